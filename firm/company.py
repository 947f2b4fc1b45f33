"""The legal entities of the firm: where they are, what they count in, which ERP keeps their books."""

from __future__ import annotations

from dataclasses import dataclass

from firm.wire import Row


@dataclass(frozen=True, slots=True)
class Company:
    """A legal entity. `offset_hours`: its office time relative to UTC, by which its people book and approve."""

    code: str
    name: str
    currency: str
    country: str
    tax_code: str
    erp_system: str
    region: str
    offset_hours: int
    cost_centers: tuple[str, ...]
    books_labor: bool = False

    def row(self) -> Row:
        """Row of `erp.LegalEntity`."""
        return {
            "Id": self.code,
            "Name": self.name,
            "Currency": self.currency,
            "Country": self.country,
            "TaxCode": self.tax_code,
            "ErpSystem": self.erp_system,
        }


COMPANIES = (
    Company("LE-DE", "Meridian Partners GmbH", "EUR", "DE", "DE-VAT-19", "netsuite", "EMEA", 1, ("CC-110", "CC-120")),
    Company("LE-FR", "Meridian Partners SAS", "EUR", "FR", "FR-TVA-20", "legacy", "EMEA", 1, ("CC-130",)),
    Company("LE-UK", "Meridian Partners Ltd", "GBP", "GB", "GB-VAT-20", "fusion", "EMEA", 0, ("CC-210", "CC-220")),
    Company("LE-US", "Meridian Partners Inc", "USD", "US", "US-NT", "dynamics", "AMER", -6, ("CC-310", "CC-320")),
    Company("LE-JP", "Meridian Partners KK", "JPY", "JP", "JP-CT-10", "sap", "APAC", 9, ("CC-410",)),
    Company("LE-KW", "Meridian Partners WLL", "KWD", "KW", "KW-00", "legacy", "EMEA", 3, ("CC-510",), books_labor=True),
)
_BY_CODE = {company.code: company for company in COMPANIES}


def company_of(code: str) -> Company:
    """The legal entity of a code. Raises KeyError for a code the firm does not have."""
    return _BY_CODE[code]

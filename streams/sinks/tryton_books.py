"""What a posting is in the books of one Tryton: which company, party, accounts and taxes, and the invoice that says so.

Owns the mapping file and the fields of an invoice. Does not own the calls that make one (`tryton`).

Ids are Tryton's own: a client shows one as the last number of a record's address. All that is invoiced for a legal
entity has one journal and one receivable account; revenue goes by billing code, taxes by tax code.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from schemas.lined_yaml import load
from streams.domain.posting import Posting

Id = Annotated[int, Field(gt=0, strict=True)]
"""Id of a record in Tryton."""

ANY_CODE: Final = "*"
"""Billing code of the account for all codes that are not named."""

_NOTED: Final = ("trigger", "contract", "project")
_KIND: Final = "__class__"
_DECEMBER: Final = 12


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Books(_Strict):
    """The books of one legal entity."""

    company: Id = Field(description="company.company that invoices.")
    journal: Id = Field(description="account.journal of type revenue.")
    receivable: Id = Field(description="account.account of what customers owe.")
    payment_term: Id | None = Field(default=None, description="account.invoice.payment_term; absent: due at once.")
    revenue: Mapping[str, Id] = Field(description="Billing code: account.account of the revenue; * is any other code.")
    taxes: Mapping[str, tuple[Id, ...]] = Field(description="Tax code: account.tax of a line, none, one or several.")


class TrytonMapping(_Strict):
    """What our codes are called in one Tryton."""

    version: Literal[1]
    legal_entities: Mapping[str, Books] = Field(min_length=1, description="Legal entity: its books.")
    customers: Mapping[str, Id] = Field(description="ERP customer id of a client: party.party.")
    currencies: Mapping[str, Id] = Field(description="ISO 4217 code: currency.currency.")

    @property
    def companies(self) -> list[int]:
        """All companies, each once."""
        return sorted({books.company for books in self.legal_entities.values()})


class Place(NamedTuple):
    """Where a posting goes: the books, and the ids of what its codes name."""

    books: Books
    party: int
    currency: int
    revenue: int
    taxes: tuple[int, ...]


class Noted(NamedTuple):
    """What a line's note keeps of its posting, for whoever asks later without having it."""

    trigger_id: str
    contract_number: str | None
    project_id: str | None


def read_mapping(path: Path) -> TrytonMapping:
    """Return the mapping in a YAML file. Raises `UnusableFile` naming file, line and every key that is wrong."""
    return load(path, TrytonMapping).content


def place_of(mapping: TrytonMapping, posting: Posting) -> Place:
    """Return where a posting goes. Raises `KeyError`, whose text says what the mapping lacks."""
    books = _named(mapping.legal_entities, posting.legal_entity, "legal_entities")
    within = f"legal_entities.{posting.legal_entity}"
    revenue = books.revenue.get(posting.billing_code, books.revenue.get(ANY_CODE))
    if revenue is None:
        raise KeyError(f"the mapping has no {within}.revenue for {posting.billing_code!r}")
    return Place(
        books,
        _named(mapping.customers, posting.erp_customer_id, "customers"),
        _named(mapping.currencies, posting.currency, "currencies"),
        revenue,
        _named(books.taxes, posting.tax_code, f"{within}.taxes"),
    )


def _named(table: Mapping[str, Any], code: str, name: str) -> Any:
    if code not in table:
        raise KeyError(f"the mapping has no {name} for {code!r}")
    return table[code]


def invoice_of(posting: Posting, place: Place, address: int, origin: int | None) -> dict[str, Any]:
    """Return the fields of the invoice that is a posting, in Tryton's notation.

    A negative amount is a credit note as Tryton's own wizard makes one: an invoice to the customer whose quantity is
    negative; `origin` is then the line that it takes back, if that is known. `source_untaxed_amount` has Tryton itself
    refuse to validate or post an invoice whose untaxed amount is another, whoever has changed it meanwhile.
    """
    books = place.books
    line = {
        "company": books.company, "currency": place.currency, "type": "line", "account": place.revenue,
        "quantity": 1 if posting.amount >= 0 else -1, "unit_price": said(abs(posting.amount)),
        "taxes": [["add", list(place.taxes)]], "description": _line_text(posting), "note": _note(posting),
    }  # fmt: skip
    if origin is not None:
        line["origin"] = f"account.invoice.line,{origin}"
    return {
        "company": books.company, "type": "out", "reference": posting.posting_id, "party": place.party,
        "invoice_address": address, "currency": place.currency, "journal": books.journal, "account": books.receivable,
        "payment_term": books.payment_term, "accounting_date": said(booked_on(posting)),
        "description": _title(posting), "source_untaxed_amount": said(posting.amount), "lines": [["create", [line]]],
    }  # fmt: skip


def booked_on(posting: Posting) -> date:
    """Return the accounting date: the day of service, or that day of its posting period which is nearest to it."""
    year, month = map(int, posting.posting_period.split("-"))
    first = date(year, month, 1)
    following = date(year + 1, 1, 1) if month == _DECEMBER else date(year, month + 1, 1)
    if posting.service_date < first:
        return first
    return min(posting.service_date, date.fromordinal(following.toordinal() - 1))


def said(value: Decimal | date) -> dict[str, Any]:
    """Return a value in Tryton's notation, where JSON has none."""
    if isinstance(value, Decimal):
        return {_KIND: "Decimal", "decimal": str(value)}
    return {_KIND: "date", "year": value.year, "month": value.month, "day": value.day}


def amount_told(value: Any) -> Decimal:
    """Return an amount that Tryton told. Raises `ValueError` for what is none."""
    if not isinstance(value, dict) or value.get(_KIND) != "Decimal":
        raise ValueError(f"{value!r} is no amount")
    return Decimal(value["decimal"])


def noted(lines: Sequence[Mapping[str, Any]]) -> Noted:
    """Return what the lines of an invoice say of its posting; empty where somebody has cleared the notes."""
    told: dict[str, str] = {}
    for line in lines:
        pairs = (row.partition(": ") for row in (line.get("note") or "").splitlines())
        told |= {name: value for name, _, value in pairs if name in _NOTED and value}
    return Noted(told.get("trigger", ""), told.get("contract"), told.get("project"))


def _note(posting: Posting) -> str:
    known = (posting.trigger_id, posting.contract_number, posting.project_id)
    return "\n".join(f"{name}: {value}" for name, value in zip(_NOTED, known, strict=True) if value is not None)


def _title(posting: Posting) -> str:
    order = "" if posting.po_number is None else f", order {posting.po_number}"
    return f"Contract {posting.contract_number}{order}"


def _line_text(posting: Posting) -> str:
    """What the customer reads: kind and day, and how the amount comes about where there are hours."""
    text = f"{posting.kind} {posting.billing_code}, {posting.service_date}"
    if posting.quantity is None or posting.rate is None:
        return text
    return f"{text}: {posting.quantity} h at {posting.rate} {posting.currency}"

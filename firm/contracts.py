"""What was sold: clients, contracts with their terms, and the amendments that change them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from firm.coins import text_of
from firm.company import Company
from firm.moments import day_text
from firm.wire import Row

if TYPE_CHECKING:
    from firm.delivery import Project

TIME_AND_MATERIALS = "T&M"
CAPPED = "T&M NTE"
FIXED_FEE = "Fixed Fee"
RETAINER = "Retainer"
BILLED_BY_TIME = (TIME_AND_MATERIALS, CAPPED)


@dataclass(slots=True, eq=False)
class Client:
    """A client: an account in the CRM, a client in the PSA, a customer in each ERP that invoices it."""

    number: int
    name: str
    company: Company
    country: str
    contracts: list[Contract] = field(default_factory=list)
    customers: set[str] = field(default_factory=set)  # legal entities whose ERP has it as an active customer

    @property
    def account_id(self) -> str:
        """Id in the CRM."""
        return f"A{self.number:04d}"

    @property
    def client_id(self) -> str:
        """Id in the PSA."""
        return f"CL{self.number:04d}"


@dataclass(frozen=True, slots=True)
class Rate:
    """Price of an hour of a role from a day on, in minor units of the contract's currency."""

    role: str
    minor: int
    effective: int


@dataclass(slots=True, eq=False)
class Amendment:
    """A change of terms: drafted, then decided. `taken_over_ms`: when finance counts it in the ERP; None: never."""

    number: int
    contract: Contract
    drafted_ms: int
    decided_ms: int
    approved: bool
    effective: int
    value_delta: int | None = None
    cap_delta: int | None = None
    new_end: int | None = None
    rates: tuple[Rate, ...] = ()
    taken_over_ms: int | None = None

    @property
    def id(self) -> str:
        """Id in the CRM."""
        return f"{self.contract.number}-A{self.number}"

    def row(self) -> Row:
        """Row of `crm.ContractAmendment` as drafted."""
        currency = self.contract.currency
        return {
            "Id": self.id,
            "ContractNumber": self.contract.number,
            "Status": "Draft",
            "EffectiveDate": day_text(self.effective),
            "ValueDelta": None if self.value_delta is None else text_of(self.value_delta, currency),
            "CapDelta": None if self.cap_delta is None else text_of(self.cap_delta, currency),
            "NewEndDate": None if self.new_end is None else day_text(self.new_end),
            "Rates": rate_rows(self.rates, currency),
        }


@dataclass(slots=True, eq=False)
class Contract:
    """A contract as planned, and what has become of it so far. Amounts in minor units of `currency`."""

    number: str
    client: Client
    company: Company
    currency: str
    billing: str
    starts: int
    ends: int | None
    works_until: int  # last day of its assignments
    projects: list[Project] = field(default_factory=list)
    stories: set[str] = field(default_factory=set)
    rates: tuple[Rate, ...] = ()
    value: int | None = None
    cap: int | None = None
    fee: int | None = None
    included_quarters: int | None = None
    overage: int | None = None
    expense_policy: str = "PassThrough"
    markup_percent: int | None = None
    requires_acceptance: bool = False
    po_required: bool = False
    po_number: str | None = None
    names_company: bool = True
    amendments: list[Amendment] = field(default_factory=list)
    schedule_percent: int | None = None  # what the revenue schedule recognizes of what was earned; None: no schedule
    # What has become of it
    status: str | None = None
    approved: list[Amendment] = field(default_factory=list)
    drawn: int = 0
    earned: int = 0

    @property
    def opportunity_id(self) -> str:
        """Id of the opportunity it was won with."""
        return f"O{self.number[1:]}"

    def rate_on(self, role: str, day: int) -> int | None:
        """Price of an hour: newest rate in force, the role's own before `*`, the later amendment on equal dates."""
        for wanted in (role, "*"):
            best: tuple[int, int, str] | None = None
            minor = None
            for rate in self.rates:
                mark = (rate.effective, -1, "")
                if rate.role == wanted and rate.effective <= day and (best is None or mark >= best):
                    best, minor = mark, rate.minor
            for amendment in self.approved:
                for rate in amendment.rates:
                    mark = (max(rate.effective, amendment.effective), amendment.effective, amendment.id)
                    if rate.role == wanted and mark[0] <= day and (best is None or mark >= best):
                        best, minor = mark, rate.minor
            if minor is not None:
                return minor
        return None

    def end_now(self) -> int | None:
        """Last day of the term, approved amendments counted."""
        ends = self.ends
        for amendment in sorted(self.approved, key=lambda one: (one.effective, one.id)):
            if amendment.new_end is not None:
                ends = amendment.new_end
        return ends

    def in_term(self, day: int) -> bool:
        """Whether a day lies within the term."""
        ends = self.end_now()
        return self.starts <= day and (ends is None or day <= ends)

    def cap_now(self) -> int | None:
        """The cap in force; None if there is none."""
        if self.cap is None or self.billing != CAPPED:
            return None
        return self.cap + sum(amendment.cap_delta or 0 for amendment in self.approved)

    def value_on(self, day: int) -> int:
        """Value of the contract at a date."""
        return (self.value or 0) + sum(one.value_delta or 0 for one in self.approved if one.effective <= day)

    def row(self) -> Row:
        """Row of `crm.Contract` as drafted, without its stamp."""
        return {
            "ContractNumber": self.number,
            "AccountId": self.client.account_id,
            "OpportunityId": self.opportunity_id,
            "Status": "Draft",
            "BillingType": self.billing,
            "CurrencyIsoCode": self.currency,
            "Value": _text(self.value, self.currency),
            "Cap": _text(self.cap, self.currency),
            "PeriodicFee": _text(self.fee, self.currency),
            "IncludedHours": None if self.included_quarters is None else str(self.included_quarters // 4),
            "OverageRate": _text(self.overage, self.currency),
            "ExpensePolicy": self.expense_policy,
            "ExpenseMarkup": None if self.markup_percent is None else f"0.{self.markup_percent:02d}",
            "RequiresAcceptance": self.requires_acceptance,
            "PoNumber": self.po_number,
            "PoRequired": self.po_required,
            "LegalEntity": self.company.code if self.names_company else None,
            "StartDate": day_text(self.starts),
            "EndDate": None if self.ends is None else day_text(self.ends),
            "Rates": rate_rows(self.rates, self.currency),
        }


def rate_rows(rates: tuple[Rate, ...], currency: str) -> list[Row]:
    """Rates as they stand in a contract's or an amendment's row."""
    return [
        {"Role": rate.role, "Rate": text_of(rate.minor, currency), "EffectiveFrom": day_text(rate.effective)}
        for rate in rates
    ]


def _text(minor: int | None, currency: str) -> str | None:
    return None if minor is None else text_of(minor, currency)

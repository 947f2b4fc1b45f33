"""Questions about money: exactly these tables from these derived records."""

from console import billing_questions as billing
from console.readmodel import fold
from tests.unit.console_records import HOLDS, NOW_MS, alert, headings, lines, matter, receipt, trigger


def test_billing_by_contract() -> None:
    model = fold(
        [
            trigger("t0", "800.00"),
            trigger("t1", "-800.00"),
            trigger("t2", "600.00"),
            trigger("t3", "1200.50", contract="C2"),
            trigger("t4", "90000", contract="C3", currency="JPY"),
            receipt("t0"),
            receipt("t1", "rejected", None),
            receipt("t2", "sent", None),
            receipt("t3"),
        ]
    )
    table = billing.billing_by_contract(model, NOW_MS)
    assert (
        headings(table) == "Contract | Client | Triggers | Triggered | Reversed | Net billed | Posted | Not posted yet"
    )
    assert lines(table) == [
        "C2 | A1 | 1 | 1,200.50 EUR | 0.00 EUR | 1,200.50 EUR | 1,200.50 EUR | 0.00 EUR",
        "C1 | A1 | 3 | 1,400.00 EUR | -800.00 EUR | 600.00 EUR | 800.00 EUR | -200.00 EUR",
        "C3 | A1 | 1 | 90,000 JPY | 0 JPY | 90,000 JPY | 0 JPY | 90,000 JPY",
        "Total EUR |  | 4 | 2,600.50 EUR | -800.00 EUR | 1,800.50 EUR | 2,000.50 EUR | -200.00 EUR",
        "Total JPY |  | 1 | 90,000 JPY | 0 JPY | 90,000 JPY | 0 JPY | 90,000 JPY",
    ]


def test_billing_by_month() -> None:
    model = fold(
        [
            trigger("t0", "100.00", posting_period="2026-01"),
            trigger("t1", "-40.00", posting_period="2026-02"),
            trigger("t2", "250.00", posting_period="2026-02"),
            trigger("t3", "1.234", currency="KWD"),
        ]
    )
    assert lines(billing.billing_by_month(model, NOW_MS)) == [
        "2026-02 | 250.00 EUR | -40.00 EUR | 210.00 EUR",
        "2026-01 | 100.00 EUR | 0.00 EUR | 100.00 EUR",
        "2026-03 | 1.234 KWD | 0.000 KWD | 1.234 KWD",
        "Total EUR | 350.00 EUR | -40.00 EUR | 310.00 EUR",
        "Total KWD | 1.234 KWD | 0.000 KWD | 1.234 KWD",
    ]


def test_unbilled_milestones_say_where_they_stand() -> None:
    milestone = {"source_kind": "milestone"}
    model = fold(
        [
            alert("milestone_unbilled", "M1", "1000", unit="EUR"),
            alert("milestone_unbilled", "M2", "5000", opened=1, unit="EUR"),
            alert("milestone_unbilled", "M3", "2000", unit="EUR"),
            alert("milestone_unbilled", "M4", "3000", unit="EUR"),
            alert("milestone_unbilled", "M5", "4000", unit="EUR"),
            alert("milestone_unbilled", "M6", "6000", unit="amount", evidence={"currency": "USD"}),
            alert("milestone_unbilled", "M7", "9000", unit="EUR", state="resolved"),
            matter("billing_hold", "milestone", "M2", ["po_missing", "no_erp_customer"]),
            matter("billing_hold", "time_entry", "M1", ["no_rate"]),
            trigger("t3", "2000.00", source_id="M3", **milestone),
            receipt("t3"),
            trigger("t4", "3000.00", source_id="M4", **milestone),
            receipt("t4", "sent", None),
            trigger("t5", "4000.00", source_id="M5", **milestone),
            receipt("t5", "rejected", None, error="period 2026-02 is closed"),
            trigger("t6", "6000.00", source_id="M6", **milestone),
            trigger("t7", "-6000.00", source_id="M6", **milestone),
        ]
    )
    table = billing.unbilled_milestones(model, NOW_MS)
    assert headings(table) == (
        "Milestone | Project | Contract | Client | Value | Where it stands | Overdue since | Days"
    )
    held = "held: purchase order missing, no customer in the ERP"
    assert lines(table) == [
        f"M2 | P1 | C1 | A1 | 5,000.00 EUR | {held} | 2026-03-01 | 9",
        "M5 | P1 | C1 | A1 | 4,000.00 EUR | rejected by the ERP: period 2026-02 is closed | 2026-03-08 | 2",
        "M4 | P1 | C1 | A1 | 3,000.00 EUR | triggered, no answer from the ERP yet | 2026-03-08 | 2",
        "M3 | P1 | C1 | A1 | 2,000.00 EUR | posted, invoice not released | 2026-03-08 | 2",
        "M1 | P1 | C1 | A1 | 1,000.00 EUR | not triggered | 2026-03-08 | 2",
        "M6 | P1 | C1 | A1 | 6,000.00 USD | not triggered | 2026-03-08 | 2",
        "Total EUR |  |  |  | 15,000.00 EUR |  |  | ",
        "Total USD |  |  |  | 6,000.00 USD |  |  | ",
    ]


def test_held_billing() -> None:
    table = billing.held_billing(fold(HOLDS), NOW_MS)
    assert headings(table) == (
        "Item | Project | Contract | Why it is held | Whose turn | Amount | Service | Held since | Days"
    )
    turn = "Finance operations"
    both = "purchase order missing, over the contract's cap"
    assert lines(table) == [
        f"time entry T2 | P1 | C1 | over the contract's cap | {turn} | 900.50 EUR | – | 2026-03-08 | 2",
        f"time entry T1 | P1 | C1 | purchase order missing | {turn} | 200.00 EUR | 2026-02-10 | 2026-03-08 | 28",
        f"time entry T4 | P1 | C1 | purchase order missing | {turn} | 50.00 EUR | – | 2026-03-08 | 2",
        f"milestone M1 | P1 | C1 | {both} | {turn} | 7,000 JPY | – | 2026-03-08 | 2",
        f"expense X1 | P1 | C1 | no exchange rate, purchase order missing | {turn} | – | – | 2026-03-01 | 9",
        "Total EUR |  |  |  |  | 1,150.50 EUR |  |  | ",
        "Total JPY |  |  |  |  | 7,000 JPY |  |  | ",
    ]
    assert table.note == (
        "Days count from the service, or from when it was first held where no date of it is known. "
        "1 of 5 items have no value yet, for want of what the reason names."
    )


def test_held_by_reason_counts_an_item_once() -> None:
    assert lines(billing.held_by_reason(fold(HOLDS), NOW_MS)) == [
        "over the contract's cap | 1 | 900.50 EUR",
        "purchase order missing | 2 | 250.00 EUR",
        "purchase order missing | 1 | 7,000 JPY",
        "no exchange rate | 1 | –",
        "Total EUR | 3 | 1,150.50 EUR",
        "Total JPY | 1 | 7,000 JPY",
    ]


def test_erp_postings_by_batch() -> None:
    closed = {"error": "period is closed"}
    model = fold(
        [
            trigger("t0", "800.00"),
            trigger("t1", "-200.00"),
            trigger("t2", "70.00"),
            trigger("t3", "30.00"),
            trigger("t4", "5000", currency="JPY"),
            trigger("t5", "1.00"),
            receipt("t0", document="00000001/1"),
            receipt("t1", document="00000001/2"),
            receipt("t2", document="INV-7"),
            receipt("t3", "rejected", None, **closed),
            receipt("t9", "rejected", None, **closed),
            receipt("t4", document="00000001/3"),
            receipt("t5", "sent", None),
        ]
    )
    table = billing.erp_postings(model, NOW_MS)
    assert headings(table) == (
        "ERP | Batch or document | Status | Postings | Posted | Not posted | Answered | What the ERP said"
    )
    assert lines(table) == [
        "LEGACY | – | rejected | 1 | – | – | 2026-03-09 | period is closed",
        "LEGACY | – | rejected | 1 | – | 30.00 EUR | 2026-03-09 | period is closed",
        "LEGACY | – | sent | 1 | – | 1.00 EUR | – | –",
        "LEGACY | 00000001 | posted | 2 | 600.00 EUR | – | 2026-03-09 | –",
        "LEGACY | 00000001 | posted | 1 | 5,000 JPY | – | 2026-03-09 | –",
        "LEGACY | INV-7 | posted | 1 | 70.00 EUR | – | 2026-03-09 | –",
        "Total EUR |  |  | 5 | 670.00 EUR | 31.00 EUR |  | ",
        "Total JPY |  |  | 1 | 5,000 JPY | 0 JPY |  | ",
    ]

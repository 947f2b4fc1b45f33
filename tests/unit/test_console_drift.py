"""Questions about drift: exactly these tables from these derived records."""

from console import drift_questions as drift
from console.readmodel import fold
from tests.unit.console_records import NOW_MS, Record, alert, headings, lines, margin, trigger


def test_margin_at_risk() -> None:
    floor: Record = {"threshold": "0.2", "evidence": {"baseline_margin_pct": "0.3"}}
    model = fold(
        [
            margin("P1", "0.3", "0.15"),
            margin("P2", None, "-0.1234"),
            margin("P3", "0.5", "0.5"),
            alert("margin_erosion", "P1", "0.15", opened=2, **floor),
            alert("margin_erosion", "P2", "-0.1234", **floor),
            alert("margin_erosion", "P9", "0.26", threshold="0.27", evidence={"baseline_margin_pct": "0.32"}),
        ]
    )
    table = drift.margin_at_risk(model, NOW_MS)
    assert headings(table) == (
        "Project | Contract | Client | Margin now | Forecast | Least allowed | Baseline | Forecast margin"
        " | Since | Days"
    )
    assert lines(table) == [
        "P2 | C1 | A1 | – | -12.3 % | 20.0 % | 30.0 % | 600.00 EUR | 2026-03-08 | 2",
        "P1 | C1 | A1 | 30.0 % | 15.0 % | 20.0 % | 30.0 % | 600.00 EUR | 2026-03-02 | 8",
        "P9 | C1 | A1 | – | 26.0 % | 27.0 % | 32.0 % | – | 2026-03-08 | 2",
        "Total EUR |  |  |  |  |  |  | 1,200.00 EUR |  | ",
    ]


def test_margin_by_project() -> None:
    model = fold([margin("P1", "0.3", "0.15"), margin("P2", None, None), margin("P3", "0.5", "-0.05")])
    assert lines(drift.margin_by_project(model, NOW_MS)) == [
        "P3 | C1 | 1,000.00 EUR | 300.00 EUR | 50.0 % | -5.0 % | 30.0 % | 600.00 EUR",
        "P1 | C1 | 1,000.00 EUR | 300.00 EUR | 30.0 % | 15.0 % | 30.0 % | 600.00 EUR",
        "P2 | C1 | 1,000.00 EUR | 300.00 EUR | – | – | 30.0 % | 600.00 EUR",
        "Total EUR |  | 3,000.00 EUR | 900.00 EUR |  |  |  | 1,800.00 EUR",
    ]


def test_overallocated_people_are_one_row_a_person() -> None:
    def planned(entity: str, load: str, **evidence: str) -> Record:
        return alert("overallocation", entity, load, threshold="1", evidence=evidence)

    model = fold(
        [
            planned("E1:2026-W52", "1.1", hours="44", capacity="40"),
            planned("E1:2026-W53", "1.25", hours="50", capacity="40"),
            planned("E1:2027-W01", "1.1", hours="44", capacity="40"),
            planned("E1:2027-W03", "1.1"),
            planned("E2:2026-W13", "1.5"),
            planned("E3:now", "1.01"),
        ]
    )
    table = drift.overallocated_people(model, NOW_MS)
    assert headings(table) == "Employee | Weeks | Which weeks | Worst week | Load then | Hours over then"
    assert lines(table) == [
        "E2 | 1 | 2026-W13 | 2026-W13 | 150.0 % | –",
        "E1 | 4 | 2026-W52 to 2027-W01, 2027-W03 | 2026-W53 | 125.0 % | 10.0",
        "E3 | 1 | now | now | 101.0 % | –",
    ]


def test_unseen_amendments() -> None:
    model = fold(
        [
            alert("amendment_unpropagated", "AM1", "1", evidence={"place": "1", "taken_over": "0"}),
            alert("amendment_unpropagated", "AM2", "2", opened=1),
        ]
    )
    table = drift.unseen_amendments(model, NOW_MS)
    assert headings(table) == "Amendment | Contract | Client | Its number | ERP has taken over | Since | Days"
    assert lines(table) == ["AM2 | C1 | A1 | 2 | – | 2026-03-01 | 9", "AM1 | C1 | A1 | 1 | 0 | 2026-03-08 | 2"]


def test_late_expenses() -> None:
    model = fold(
        [
            alert("expense_late", "X1", "99.9", unit="EUR"),
            alert("expense_late", "X2", "120", unit="EUR"),
            alert("expense_late", "X3", "7", unit="amount"),
        ]
    )
    assert lines(drift.late_expenses(model, NOW_MS)) == [
        "X3 | P1 | C1 | 7 | 2026-03-08 | 2",
        "X2 | P1 | C1 | 120.00 EUR | 2026-03-08 | 2",
        "X1 | P1 | C1 | 99.90 EUR | 2026-03-08 | 2",
        "Total |  |  | 7 |  | ",
        "Total EUR |  |  | 219.90 EUR |  | ",
    ]


def test_status_mismatches_say_what_each_system_says() -> None:
    model = fold(
        [
            alert("status_mismatch", "P1", "2", evidence={"crm": "active", "psa": "on_hold"}),
            alert(
                "status_mismatch", "P2", "3", opened=2, evidence={"crm": "closed", "psa": "active", "erp": "planned"}
            ),
        ]
    )
    table = drift.status_mismatches(model, NOW_MS)
    assert headings(table) == "Project | Contract | CRM says | PSA says | ERP says | Since | Days"
    assert lines(table) == [
        "P2 | C1 | closed | active | planned | 2026-03-02 | 8",
        "P1 | C1 | active | on hold | – | 2026-03-08 | 2",
    ]


def test_cap_burn() -> None:
    burnt: Record = {"evidence": {"billed": "1250.00", "cap": "1200.00"}, "severity": "critical"}
    model = fold(
        [alert("cap_burn", "C1", "1.041667", **burnt), alert("cap_burn", "C2", "0.8"), trigger("t0", "1250.00")]
    )
    table = drift.cap_burn(model, NOW_MS)
    assert headings(table) == "Contract | Client | Severity | Burnt | Billed | Cap | Left | Since | Days"
    assert lines(table) == [
        "C1 | A1 | critical | 104.2 % | 1,250.00 EUR | 1,200.00 EUR | -50.00 EUR | 2026-03-08 | 2",
        "C2 | A1 | warning | 80.0 % | – | – | – | 2026-03-08 | 2",
    ]


def test_reconciliation_gaps() -> None:
    model = fold(
        [
            trigger("t0", "1000.00"),
            alert("reconciliation_gap", "P1:2026-02", "100", evidence={"triggered": "1000", "invoiced": "900"}),
            alert("reconciliation_gap", "P2:2026-02", "-300", evidence={"triggered": "0", "invoiced": "300"}),
        ]
    )
    table = drift.reconciliation_gaps(model, NOW_MS)
    assert headings(table) == "Project | Month | Contract | Triggered | Invoiced | Gap | Since | Days"
    assert lines(table) == [
        "P2 | 2026-02 | C1 | 0.00 EUR | 300.00 EUR | -300.00 EUR | 2026-03-08 | 2",
        "P1 | 2026-02 | C1 | 1,000.00 EUR | 900.00 EUR | 100.00 EUR | 2026-03-08 | 2",
        "Total EUR |  |  | 1,000.00 EUR | 1,200.00 EUR | -200.00 EUR |  | ",
    ]


def test_revenue_drift_has_a_sign() -> None:
    said = {"recognized": "8000", "earned": "10000", "currency": "EUR"}
    model = fold(
        [alert("revenue_drift", "C1", "2000", evidence=said), alert("revenue_drift", "C2", "5000", unit="EUR")]
    )
    table = drift.revenue_drift(model, NOW_MS)
    assert headings(table) == "Contract | Client | Recognized | Earned by delivery | Difference | Since | Days"
    assert lines(table) == [
        "C2 | A1 | – | – | 5,000.00 EUR | 2026-03-08 | 2",
        "C1 | A1 | 8,000.00 EUR | 10,000.00 EUR | -2,000.00 EUR | 2026-03-08 | 2",
        "Total EUR |  | 8,000.00 EUR | 10,000.00 EUR | 3,000.00 EUR |  | ",
    ]


def test_alerts_by_kind() -> None:
    model = fold(
        [
            alert("cap_burn", "C1", "1", severity="critical", owner="delivery"),
            alert("cap_burn", "C2", "1", opened=3, owner="delivery"),
            alert("cap_burn", "C3", "1", owner="delivery", state="resolved"),
            alert("expense_late", "X1", "1", state="resolved"),
            alert("spark_seen", "S1", "1", owner="fire_watch"),
        ]
    )
    table = drift.alerts_by_kind(model, NOW_MS)
    assert headings(table) == "Kind | Whose turn | Open | Critical | Resolved | Oldest since | Days"
    assert lines(table) == [
        "Cap nearly burnt | Delivery leads | 2 | 1 | 1 | 2026-03-03 | 7",
        "Spark seen | Fire watch | 1 | 0 | 0 | 2026-03-08 | 2",
        "Expense not posted in time | Finance operations | 0 | 0 | 1 | – | –",
    ]

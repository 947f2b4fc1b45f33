"""Does what a stream has said equal the batch? The law of section 1, with what may hang on order taken out.

Order may decide which gated items were billed before their gate shut, who took a cap's last unit, and whether an
alert inside its clearing band is open. All else is compared exactly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from tests.oracle.amounts import ZERO, number
from tests.oracle.batch import Batch, batch
from tests.oracle.billing import DRAWS_CAP, Nets
from tests.oracle.drift import emitted, nets_of, trigger_id
from tests.oracle.folding import Record, clock_of, final_rows, good_versions

Value = dict[str, Any]
# percentages travel with six digits after the point, hours with four
WITHIN = {"margin_pct": 6, "forecast_margin_pct": 6, "percent_complete": 6, "baseline_margin_pct": 6}
WITHIN |= {"approved_hours": 4, "billable_hours": 4, "remaining_hours": 4, "uncosted_hours": 4}
ALERTS_EXACT = {"milestone_unbilled", "amendment_unpropagated", "status_mismatch", "expense_late", "reconciliation_gap"}


def disagreements(records: Iterable[Record], derived: Iterable[Record], until: str | None = None) -> list[str]:
    """Every difference between the derived records of a stream and the batch over its input, as sentences."""
    kept = list(records)
    values: dict[str, list[Value]] = defaultdict(list)
    last: dict[str, dict[str, Value]] = defaultdict(dict)
    for record in derived:
        if record.get("value") is not None:
            values[record["topic"]].append(record["value"])
            last[record["topic"]][record["key"]] = record["value"]
    folded, clock = final_rows(kept), clock_of(kept, until)
    triggers = emitted(values["billing.triggers"])
    free = batch(folded, clock)
    settled = batch(folded, clock, triggers)
    nets = nets_of(triggers)
    lowered = caps_lowered(kept)
    return [
        *_chains(values["billing.triggers"]),
        *_billed(free, nets, lowered),
        *_holds(settled, last["exceptions"], nets),
        *_margins(settled, last["margin.updates"]),
        *_alerts(settled, last["drift.alerts"]),
        *_exceptions(settled, last["exceptions"], lowered),
    ]


def caps_lowered(records: Iterable[Record]) -> set[str]:
    """Contracts whose cap may have been lower than before in some order of arrival, so that more may be billed."""
    found: set[str] = set()
    for (topic, _), versions in good_versions(records).items():
        rows = [row for row in versions if row is not None]
        named = {row["ContractNumber"] for row in rows if "ContractNumber" in row}
        if topic == "crm.Contract":
            # no cap is the highest one
            caps = [(row.get("Cap") is None, number(row.get("Cap"))) for row in rows]
            lowered = len({row["BillingType"] for row in rows}) > 1
        elif topic == "crm.ContractAmendment":
            deltas = [number(row.get("CapDelta")) if row and row["Status"] == "Approved" else ZERO for row in versions]
            caps = [(False, delta) for delta in (ZERO, *deltas)]
            lowered = len(named) > 1
        else:
            continue
        if lowered or any(new < old for old, new in pairwise(caps)):
            found |= named
    return found


def _chains(triggers: list[Value]) -> Iterator[str]:
    """Ids are deterministic, revisions count from 0, a reversal takes back one earlier trigger once."""
    revisions: dict[tuple[str, str, str], int] = defaultdict(int)
    standing: dict[str, Value] = {}
    for value in triggers:
        item = (value["contract_number"], value["source_kind"], value["source_id"])
        name = ":".join(item)
        if value["revision"] != revisions[item]:
            yield f"trigger of {name}: revision {value['revision']}, expected {revisions[item]}"
        revisions[item] += 1
        if value["trigger_id"] != trigger_id(*item, value["revision"]):
            yield f"trigger of {name}: id {value['trigger_id']} is not that of revision {value['revision']}"
        if value.get("reverses") is None:
            standing[value["trigger_id"]] = value
            if number(str(value["amount"])) <= 0:
                yield f"trigger of {name}: amount {value['amount']} is not above nought"
            continue
        original = standing.pop(value["reverses"], None)
        if original is None:
            yield f"reversal of {name}: {value['reverses']} is no standing trigger"
        elif number(str(value["amount"])) != -number(str(original["amount"])):
            yield f"reversal of {name}: {value['amount']} does not take back {original['amount']}"


def _billed(free: Batch, nets: Nets, lowered: set[str]) -> Iterator[str]:
    """Every item's net is its value; a gated one may be unbilled, and items of a crowded cap share it."""
    crowded = {
        name for name, facts in free.contracts.items() if facts["over_cap"] or (facts["billed_max"] < facts["value"])
    }
    by_key = {(item.contract or "", item.key): item for item in free.items.values()}
    for (contract, key), net in nets.items():
        if net and (contract, key) not in by_key:
            yield f"net of {key} on {contract}: {net}, expected none"
    drawn: dict[str, Fraction] = defaultdict(Fraction)
    for (contract, key), item in by_key.items():
        net, value = nets.get((contract, key), ZERO), item.value or ZERO
        capped = contract in free.contracts and free.contracts[contract]["cap"] is not None
        if capped and item.kind in DRAWS_CAP:
            drawn[contract] += net
            if contract in crowded or contract in lowered:
                if not ZERO <= net <= value:
                    yield f"net of {key} on {contract}: {net} is not within its value {value}"
                continue
        if net not in ({ZERO, value} if item.gated else {value}):
            yield f"net of {key} on {contract}: {net}, expected {value}{' or nothing' if item.gated else ''}"
    for contract in crowded - lowered:
        outside = [i for i in free.items.values() if i.contract == contract and i.kind not in DRAWS_CAP]
        milestones = sum((i.earned for i in outside), ZERO)
        gated_outside = sum((i.earned for i in outside if i.gated), ZERO)
        lowest = Fraction(free.contracts[contract]["billed_min"]) - milestones + gated_outside
        highest = Fraction(free.contracts[contract]["billed_max"]) - milestones
        if not lowest <= drawn[contract] <= highest:
            yield f"drawn of the cap of {contract}: {drawn[contract]}, expected {lowest} to {highest}"


def _holds(settled: Batch, exceptions: dict[str, Value], nets: Nets) -> Iterator[str]:
    found = {
        f"{value['entity_kind']}:{value['entity_id']}": tuple(value["reasons"])
        for value in exceptions.values()
        if value["kind"] == "billing_hold" and value["state"] != "resolved"
    }
    wanted = {
        key: item.reasons
        for key, item in settled.items.items()
        if item.reasons and (item.value is None or nets.get((item.contract or "", key), ZERO) != item.value)
    }
    yield from _unlike("open hold", found, wanted)


def _margins(settled: Batch, updates: dict[str, Value]) -> Iterator[str]:
    for name, wanted in settled.projects.items():
        if name not in updates:
            yield f"margin of {name}: never said"
            continue
        figures = settled.figures[name]
        clash = name in settled.currency_clash
        for field, value in wanted.items():
            shaky = field in ("revenue", "margin", "margin_pct", "forecast_revenue", "forecast_margin_pct")
            if clash and field not in ("labor_cost", "expense_cost", "approved_hours", "billable_hours"):
                continue
            if shaky and not figures.revenue_exact:
                continue
            if not alike(updates[name].get(field), value, WITHIN.get(field)):
                yield f"margin of {name}: {field} {updates[name].get(field)}, expected {value}"
    for name in updates.keys() - settled.projects.keys():
        yield f"margin of {name}: no such project"


def _alerts(settled: Batch, alerts: dict[str, Value]) -> Iterator[str]:
    found = {name: value for name, value in alerts.items() if value["state"] != "resolved"}
    unsure = settled.either_way | {
        f"margin_erosion:{name}" for name, m in settled.figures.items() if not m.revenue_exact
    }
    for name in sorted(found.keys() | settled.alerts.keys()):
        kind = name.partition(":")[0]
        if kind == "feed_stalled" or name in unsure:
            continue
        if name not in settled.alerts:
            yield f"alert {name}: open, expected none"
        elif name not in found:
            yield f"alert {name}: not open, expected {settled.alerts[name]}"
        elif not alike(found[name]["measure"], settled.alerts[name], None if kind in ALERTS_EXACT else 4):
            yield f"alert {name}: measure {found[name]['measure']}, expected {settled.alerts[name]}"


def _exceptions(settled: Batch, exceptions: dict[str, Value], lowered: set[str]) -> Iterator[str]:
    opened: dict[str, set[str]] = defaultdict(set)
    for value in exceptions.values():
        if value["state"] != "resolved":
            opened[value["kind"]].add(str(value["entity_id"]))
    wanted = {
        "ownership_violation": {name.rpartition(".")[0] for name in settled.ownership_violations},
        "uncosted": {key.partition(":")[2] for key in settled.uncosted},
        "unmapped_value": {name for (_, name), kind in settled.refused.items() if kind == "unmapped_value"},
        "validation_failed": {name for (_, name), kind in settled.refused.items() if kind == "validation_failed"}
        | settled.currency_clash,
    }
    opened["validation_failed"] -= lowered - wanted["validation_failed"]
    for kind, ids in wanted.items():
        yield from _unlike(f"open {kind}", dict.fromkeys(opened[kind]), dict.fromkeys(ids))


def _unlike(what: str, found: dict[str, Any], wanted: dict[str, Any]) -> Iterator[str]:
    for name in sorted(found.keys() | wanted.keys()):
        if name not in found:
            yield f"{what} of {name}: missing, expected {wanted[name]}"
        elif name not in wanted:
            yield f"{what} of {name}: {found[name]}, expected none"
        elif found[name] != wanted[name]:
            yield f"{what} of {name}: {found[name]}, expected {wanted[name]}"


def alike(found: Any, wanted: Any, places: int | None = None) -> bool:
    """Equal; numbers as numbers, within one unit of the last place where a field has fewer places than the batch."""
    if not isinstance(wanted, Decimal) or found is None:
        return bool(found == wanted)
    apart = abs(Decimal(str(found)) - wanted)
    return apart == 0 if places is None else apart <= Decimal(1).scaleb(-places)

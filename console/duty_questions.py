"""Questions of those on duty: what a person must look at, what could not be read, and how far won deals are."""

from collections import Counter, defaultdict

from console.evidence import unbilled_since
from console.readmodel import DeadLetter, Deal, Matter, ReadModel
from console.table import Column, Kind, Row, Table, age_in_days, answer
from console.wording import entity_words, kind_words, owner_words, plain, reasons_words, step_words

AGES = (
    ("under 1 day", 0, 0),
    ("1–2 days", 1, 2),
    ("3–7 days", 3, 7),
    ("8–30 days", 8, 30),
    ("31–90 days", 31, 90),
)
"""Bands of age: words, first and last whole day. What is older falls into the last band of the table."""
OLDER = "over 90 days"


def exceptions_by_kind(model: ReadModel, now: int) -> Table:
    """How many exceptions wait in each owner's queue, by kind, and how old the oldest is; most first."""
    groups: dict[tuple[str, str], list[Matter]] = defaultdict(list)
    for matter in model.matters.values():
        groups[matter.kind, matter.owner].append(matter)
    waiting = {group: [matter for matter in matters if matter.is_open] for group, matters in groups.items()}
    rows: list[Row] = []
    for kind, owner in sorted(groups, key=lambda each: (-len(waiting[each]), each)):
        still_open = waiting[kind, owner]
        oldest = min((matter.first_seen for matter in still_open), default=None)
        days = age_in_days(oldest, now) if oldest is not None else None
        resolved = len(groups[kind, owner]) - len(still_open)
        rows.append((kind_words(kind), owner_words(owner), len(still_open), resolved, oldest, days))
    columns = (
        Column("Kind"),
        Column("Whose turn"),
        Column("Open", Kind.COUNT),
        Column("Resolved", Kind.COUNT),
        Column("Oldest since", Kind.DAY, aside=True),
        Column("Days", Kind.DAYS),
    )
    return answer(
        "exceptions-by-kind",
        "Exceptions by kind and owner",
        "What waits for a person, in whose queue, and for how long?",
        columns, rows, "There has been no exception.",
    )  # fmt: skip


def other_exceptions(model: ReadModel, now: int) -> Table:
    """Each open exception that is not a billing hold, and what is wrong; the oldest first."""
    matters = [matter for matter in model.open_matters() if matter.kind != "billing_hold"]
    rows: list[Row] = []
    for matter in sorted(matters, key=lambda each: (each.first_seen, each.exception_id)):
        wrong = matter.message or reasons_words(matter.reasons)
        about = entity_words(matter.entity_kind, matter.entity_id)
        since = (matter.first_seen, age_in_days(matter.first_seen, now))
        rows.append((kind_words(matter.kind), about, wrong, owner_words(matter.owner), *since))
    columns = (
        Column("Kind"),
        Column("About"),
        Column("What is wrong"),
        Column("Whose turn", aside=True),
        Column("Since", Kind.DAY, aside=True),
        Column("Days", Kind.DAYS),
    )
    return answer(
        "other-exceptions",
        "Open exceptions other than held billing",
        "What else needs a person, and what is wrong?",
        columns, rows, "Nothing else needs a person.",
    )  # fmt: skip


def ageing(model: ReadModel, now: int) -> Table:
    """How old the open items are, in bands from the youngest to the oldest."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for matter in model.open_matters():
        kind = "held" if matter.kind == "billing_hold" else "exception"
        since = unbilled_since(matter) if kind == "held" else matter.first_seen
        counts[_band(since, now)][kind] += 1
    for alert in model.open_alerts():
        counts[_band(alert.since, now)]["alert"] += 1
    bands = (*(words for words, _, _ in AGES), OLDER)
    rows: list[Row] = [(band, counts[band]["held"], counts[band]["exception"], counts[band]["alert"]) for band in bands]
    columns = (
        Column("Open for"),
        Column("Held billing", Kind.COUNT),
        Column("Other exceptions", Kind.COUNT),
        Column("Alerts", Kind.COUNT),
    )
    return answer(
        "ageing",
        "Age of what is open",
        "How long have held billing, exceptions and alerts been open?",
        columns, rows if any(counts.values()) else (), "Nothing is open.",
        "Held billing counts from the service, alerts from when they fell due, exceptions from when first seen.",
    )  # fmt: skip


def _band(since: int, now: int) -> str:
    days = age_in_days(since, now)
    return next((words for words, first, last in AGES if first <= days <= last), OLDER)


def activation(model: ReadModel, now: int) -> Table:
    """How far the set-up of each won deal is; unfinished ones first, the longest running first."""
    deals = sorted(model.deals.values(), key=lambda each: (_is_active(each), _begun(each), each.opportunity_id))
    rows: list[Row] = []
    for deal in deals:
        begun = _begun(deal)
        days = age_in_days(begun, deal.changed_at if _is_active(deal) else now)
        place = (deal.opportunity_id, deal.client_id, deal.contract_number, deal.project_id)
        rows.append((*place, _how_far(deal), begun, days))
    columns = (
        Column("Deal"),
        Column("Client", aside=True),
        Column("Contract"),
        Column("Project"),
        Column("How far"),
        Column("Started", Kind.DAY, aside=True),
        Column("Days", Kind.DAYS),
    )
    return answer(
        "activation",
        "Won deals and their activation",
        "Which won deals are not set up for delivery and billing yet, and what do they wait for?",
        columns, rows, "No deal has been won.",
    )  # fmt: skip


def _is_active(deal: Deal) -> bool:
    return deal.state == "completed"


def _begun(deal: Deal) -> int:
    return deal.asked_at if deal.started_at is None else deal.started_at


def _how_far(deal: Deal) -> str:
    if _is_active(deal):
        return "active"
    if deal.asked_step is not None and deal.asked_at > deal.changed_at:
        return f"{step_words(deal.asked_step)}: waiting for {deal.asked_of}"
    reasons = f" ({reasons_words(deal.reasons)})" if deal.reasons else ""
    return f"{step_words(deal.step or '')}: {plain(deal.state or '')}{reasons}"


def dead_letters(model: ReadModel, _now: int) -> Table:
    """Which records could not be read, by topic and error; most first."""
    groups: dict[tuple[str, str, str], list[DeadLetter]] = defaultdict(list)
    for letter in model.dead_letters.values():
        groups[letter.topic, letter.stage, letter.error].append(letter)
    rows: list[Row] = []
    for topic, stage, error in sorted(groups, key=lambda each: (-len(groups[each]), each)):
        letters = groups[topic, stage, error]
        arrived = [letter.arrived_at for letter in letters if letter.arrived_at is not None]
        about = (error.rpartition(".")[2], letters[-1].message, max(arrived, default=None))
        rows.append((topic, plain(stage), len(letters), *about))
    columns = (
        Column("Topic"),
        Column("Stage", aside=True),
        Column("Records", Kind.COUNT),
        Column("Error"),
        Column("For example"),
        Column("Last", Kind.DAY, aside=True),
    )
    return answer(
        "dead-letters",
        "Records that could not be read",
        "Which records could not be taken in, and why?",
        columns, rows, "Every record could be read.",
        "Each is kept as it came, and can be taken in again once the cause is mended.",
    )  # fmt: skip

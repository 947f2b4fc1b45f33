"""Questions about money: what was triggered, posted, held, and for whom.

Of the evidence of a hold, `held` (the amount), `currency` and `service_date` are read.
"""

from collections import Counter, defaultdict
from decimal import Decimal

from console.evidence import by_amount, measured_money, money_in, served_at, unbilled_since
from console.readmodel import Matter, ReadModel, Receipt, Trigger
from console.table import Cell, Column, Kind, Money, Row, Table, age_in_days, answer
from console.wording import entity_words, owner_words, plain, reason_words, reasons_words

ZERO = Decimal(0)
REFUSED = ("rejected", "failed")


def billing_by_contract(model: ReadModel, _now: int) -> Table:
    """What each contract has been billed, how much of it was taken back, and how much is in the ERP."""
    posted_ids = {receipt.trigger_id for receipt in model.receipts.values() if receipt.is_posted}
    sums: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [ZERO, ZERO, ZERO])
    counts: Counter[tuple[str, str, str]] = Counter()
    for trigger in model.triggers.values():
        contract = (trigger.currency, trigger.contract_number, trigger.client_id)
        counts[contract] += 1
        sums[contract][0 if trigger.amount >= 0 else 1] += trigger.amount
        if trigger.trigger_id in posted_ids:
            sums[contract][2] += trigger.amount
    rows: list[Row] = []
    for contract in sorted(sums, key=lambda each: (each[0], -sums[each][0] - sums[each][1], each)):
        currency, number, client = contract
        triggered, taken_back, posted = sums[contract]
        net = triggered + taken_back
        amounts = (Money(amount, currency) for amount in (triggered, taken_back, net, posted, net - posted))
        rows.append((number, client, counts[contract], *amounts))
    columns = (
        Column("Contract"),
        Column("Client", aside=True),
        Column("Triggers", Kind.COUNT, aside=True, summed=True),
        Column("Triggered", Kind.MONEY, aside=True, summed=True),
        Column("Reversed", Kind.MONEY, summed=True),
        Column("Net billed", Kind.MONEY, summed=True),
        Column("Posted", Kind.MONEY, summed=True),
        Column("Not posted yet", Kind.MONEY, summed=True),
    )
    return answer(
        "billing-by-contract",
        "Billing by contract",
        "What have we billed on each contract, net of what was taken back, and how much of it is in the ERP?",
        columns, rows, "Nothing has been billed yet.",
    )  # fmt: skip


def billing_by_month(model: ReadModel, _now: int) -> Table:
    """What falls into each posting period, by currency; the newest month first."""
    sums: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
    for trigger in model.triggers.values():
        sums[trigger.currency, trigger.posting_period][0 if trigger.amount >= 0 else 1] += trigger.amount
    rows: list[Row] = []
    newest_first = sorted(sorted(sums, key=lambda each: each[1], reverse=True), key=lambda each: each[0])
    for currency, month in newest_first:
        triggered, taken_back = sums[currency, month]
        amounts = (Money(amount, currency) for amount in (triggered, taken_back, triggered + taken_back))
        rows.append((month, *amounts))
    columns = (
        Column("Month"),
        Column("Triggered", Kind.MONEY, summed=True),
        Column("Reversed", Kind.MONEY, summed=True),
        Column("Net billed", Kind.MONEY, summed=True),
    )
    return answer(
        "billing-by-month",
        "Net billed by month",
        "How much do we bill in each month, by currency?",
        columns, rows, "Nothing has been billed yet.",
        "The month is the posting period: the first open month at or after the service.",
    )  # fmt: skip


def unbilled_milestones(model: ReadModel, now: int) -> Table:
    """Which milestones are complete and not invoiced, and where each of them stands."""
    held = {matter.entity_id: matter for matter in model.open_matters("billing_hold") if _is_milestone(matter)}
    newest = {trigger.source_id: trigger for trigger in model.triggers.values() if trigger.source_kind == "milestone"}
    answers = _newest_receipts(model)
    rows: list[Row] = []
    alerts = model.open_alerts("milestone_unbilled")
    for alert in sorted(alerts, key=lambda each: by_amount(model, each)):
        stands = _stands(held.get(alert.entity_id), newest.get(alert.entity_id), answers)
        value = measured_money(model, alert)
        place = (alert.entity_id, alert.project_id, alert.contract_number, alert.client_id)
        rows.append((*place, value, stands, alert.since, age_in_days(alert.since, now)))
    columns = (
        Column("Milestone"),
        Column("Project"),
        Column("Contract", aside=True),
        Column("Client", aside=True),
        Column("Value", Kind.MONEY, summed=True),
        Column("Where it stands"),
        Column("Overdue since", Kind.DAY, aside=True),
        Column("Days", Kind.DAYS),
    )
    return answer(
        "milestones-not-invoiced",
        "Milestones complete but not invoiced",
        "Which milestones are complete, and no released invoice names them?",
        columns, rows, "Every completed milestone is invoiced.",
    )  # fmt: skip


def _is_milestone(matter: Matter) -> bool:
    return matter.entity_kind == "milestone"


def _newest_receipts(model: ReadModel) -> dict[str, Receipt]:
    newest: dict[str, Receipt] = {}
    for (trigger_id, _), receipt in model.receipts.items():
        if trigger_id not in newest or newest[trigger_id].seen_at <= receipt.seen_at:
            newest[trigger_id] = receipt
    return newest


def _stands(hold: Matter | None, trigger: Trigger | None, answers: dict[str, Receipt]) -> str:
    if hold is not None:
        return f"held: {reasons_words(hold.reasons)}"
    if trigger is None or trigger.amount < 0:
        return "not triggered"
    receipt = answers.get(trigger.trigger_id)
    if receipt is not None and receipt.is_posted:
        return "posted, invoice not released"
    if receipt is not None and receipt.status in REFUSED:
        return f"{plain(receipt.status)} by the ERP: {receipt.error or 'no reason given'}"
    return "triggered, no answer from the ERP yet"


def held_billing(model: ReadModel, now: int) -> Table:
    """What is held back from billing: why, since when, and whose turn it is."""
    holds = [(matter, held_amount(model, matter)) for matter in model.open_matters("billing_hold")]
    rows: list[Row] = []
    for matter, amount in sorted(holds, key=_by_weight):
        item = entity_words(matter.entity_kind, matter.entity_id)
        place = (item, matter.project_id, matter.contract_number)
        since = (served_at(matter), matter.first_seen, age_in_days(unbilled_since(matter), now))
        rows.append((*place, reasons_words(matter.reasons), owner_words(matter.owner), amount, *since))
    unvalued = sum(amount is None for _, amount in holds)
    without = f" {unvalued} of {len(holds)} items have no value yet, for want of what the reason names."
    columns = (
        Column("Item"),
        Column("Project", aside=True),
        Column("Contract"),
        Column("Why it is held"),
        Column("Whose turn", aside=True),
        Column("Amount", Kind.MONEY, summed=True),
        Column("Service", Kind.DAY, aside=True),
        Column("Held since", Kind.DAY, aside=True),
        Column("Days", Kind.DAYS),
    )
    return answer(
        "held-billing",
        "Held billing",
        "What could be billed but is held, why, since when, and whose turn is it?",
        columns, rows, "Nothing is held.",
        "Days count from the service, or from when it was first held where no date of it is known."
        + (without if unvalued else ""),
    )  # fmt: skip


def held_amount(model: ReadModel, matter: Matter) -> Money | None:
    """Return what a hold keeps from being billed; None where that cannot be told yet."""
    return money_in(model, matter, "held")


def _by_weight(hold: tuple[Matter, Money | None]) -> tuple[bool, str, Decimal, int, str]:
    matter, amount = hold
    if amount is None:
        return (True, "", ZERO, matter.first_seen, matter.exception_id)
    return (False, amount.currency, -amount.amount, matter.first_seen, matter.exception_id)


def held_by_reason(model: ReadModel, _now: int) -> Table:
    """How much is held for each reason; an item counts under its first reason only, so that sums are true."""
    counts: Counter[tuple[str, str]] = Counter()
    sums: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
    for matter in model.open_matters("billing_hold"):
        amount = held_amount(model, matter)
        reason = (amount.currency if amount else "", matter.reasons[0] if matter.reasons else "")
        counts[reason] += 1
        sums[reason] += amount.amount if amount else ZERO
    rows: list[Row] = []
    for currency, code in sorted(sums, key=lambda each: (not each[0], each[0], -sums[each], each[1])):
        value: Cell = Money(sums[currency, code], currency) if currency else None
        rows.append((reason_words(code) if code else "no reason given", counts[currency, code], value))
    columns = (
        Column("First reason"),
        Column("Items", Kind.COUNT, summed=True),
        Column("Held", Kind.MONEY, summed=True),
    )
    return answer(
        "held-by-reason",
        "Held amount by reason",
        "What keeps us from billing, and how much does each cause hold back?",
        columns, rows, "Nothing is held.",
        "An item held for several reasons counts under the first of them.",
    )  # fmt: skip


_URGENCY = {"rejected": 0, "failed": 0, "posted": 2, "accepted": 2, "superseded": 3}


def erp_postings(model: ReadModel, _now: int) -> Table:
    """What was posted to which ERP, in which batch or document, and what the ERP answered."""
    groups: dict[tuple[str, str, str, str], list[Receipt]] = defaultdict(list)
    for receipt in model.receipts.values():
        trigger = model.triggers.get(receipt.trigger_id)
        currency = trigger.currency if trigger else ""
        groups[receipt.system, batch_of(receipt.document_id), receipt.status, currency].append(receipt)
    rows: list[Row] = []
    for group in sorted(groups, key=lambda each: (_URGENCY.get(each[2], 1), *each)):
        system, batch, status, currency = group
        receipts = groups[group]
        known = [model.triggers[each.trigger_id].amount for each in receipts] if currency else []
        answered = max((each.answered_at for each in receipts if each.answered_at is not None), default=None)
        errors = sorted({each.error for each in receipts if each.error})
        said = f"{errors[0]} (and {len(errors) - 1} more)" if len(errors) > 1 else "".join(errors)
        amount = Money(sum(known, ZERO), currency) if currency else None
        amounts = (amount, None) if receipts[0].is_posted else (None, amount)
        rows.append((system, batch, plain(status), len(receipts), *amounts, answered, said))
    columns = (
        Column("ERP"),
        Column("Batch or document"),
        Column("Status"),
        Column("Postings", Kind.COUNT, summed=True),
        Column("Posted", Kind.MONEY, summed=True),
        Column("Not posted", Kind.MONEY, summed=True),
        Column("Answered", Kind.DAY, aside=True),
        Column("What the ERP said", aside=True),
    )
    return answer(
        "erp-postings",
        "Posted to the ERP",
        "What did we post, in which batch or document, and what did the ERP answer?",
        columns, rows, "Nothing has been posted yet.",
        "What the ERP refused comes first, then what waits for an answer. Superseded: taken back before it was sent.",
    )  # fmt: skip


def batch_of(document_id: str | None) -> str:
    """Return the batch that a document belongs to: what comes before the slash of `BATCH/LINE`, else the document."""
    return (document_id or "").partition("/")[0]

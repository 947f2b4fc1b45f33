"""The ledger's step: facts come in, are applied, and once per commit all that they touched is settled and told."""

from collections.abc import Callable, Sequence

from streams.domain.calendar import first_day, next_period, period_of, start_of
from streams.domain.fact import Cause, Person, by_the_clock
from streams.domain.ledger import RETAINER_PERIOD, Work
from streams.domain.money import ZERO
from streams.domain.policy import Policy
from streams.domain.routes import Routes
from streams.domain.terms import RETAINER
from streams.domain.undertaking import StepOutcome
from streams.ledger import activations as activation_tables, book as book_tables, reference as reference_tables
from streams.ledger.activations import Activations
from streams.ledger.apply import Application
from streams.ledger.book import Book
from streams.ledger.claims import Claims
from streams.ledger.margins import Margins
from streams.ledger.publish import Publisher
from streams.ledger.reference import SEP, Reference
from streams.ledger.routing import Routing
from streams.ledger.settle import BillingCode, Settlement
from streams.step import REVISED, Context, Record, Step
from streams.topics import (
    ACTIVATION_COMMANDS,
    ACTIVATION_EVENTS,
    AUDIT,
    CONTRACT_FACTS,
    DRIFT_CLAIMS,
    EXCEPTIONS,
    MARGIN_PARTS,
    PERSON_FACTS,
    POSTINGS,
    TRIGGERS,
)


class LedgerBehaviour:
    """The ledgers of one partition at work."""

    def __init__(self, context: Context, policy: Policy, billing_code: BillingCode, routes: Routes | None) -> None:
        self._context = context
        context.goes_by(policy.fingerprint)
        self._book = Book(context)
        self._reference = Reference(context)
        publisher = Publisher(context, self._book, self._reference)
        self._activations = Activations(context, self._book, self._reference, publisher, policy)
        self._application = Application(context, self._book, self._reference, self._activations)
        routing = Routing(routes, self._reference, publisher)
        self._settlement = Settlement(self._book, self._reference, publisher, billing_code, routing)
        self._margins = Margins(context, self._book, self._reference, publisher)
        self._claims = Claims(context, self._book, self._reference, publisher, self._margins, policy)

    def on_records(self, records: Sequence[Record]) -> None:
        """Apply facts and answers about people; nothing is emitted yet."""
        for record in records:
            key, fact = record.key, record.value
            assert key is not None  # facts have keys
            if isinstance(fact, Person):
                self._application.person(key, fact)
            elif isinstance(fact, StepOutcome):
                self._activations.outcome(key, fact)
            else:
                self._application.of_kind[fact.kind](key, fact)

    def on_timer(self, key: str) -> None:
        """A retainer's fee falls due with its month, a step of an activation is late, or the policy was revised."""
        if key == REVISED:
            self._revise(by_the_clock(self._context.now))
        elif key.startswith(activation_tables.TIMER + SEP):
            self._activations.wake(key)
        else:
            self._make_fees(key, None)

    def before_commit(self) -> None:
        """Settle what was touched, then tell margins and claims."""
        for key, cause in list(self._book.dirty_contracts.items()):
            self._make_fees(key, cause)
            self._activations.run(key, cause)
        self._settlement.run()
        self._margins.run()
        self._claims.run()

    def _revise(self, cause: Cause) -> None:
        """Hold all that may be an alert against the policy of today."""
        for key, _ in self._book.contracts.scan(""):
            self._book.mark_contract(key, cause)
        self._book.mark_claims("", cause)

    def _make_fees(self, key: str, cause: Cause | None) -> None:
        """Keep one item for each month of a retainer that is due, and a timer for the next.

        A fee falls due on the first day of its month in the term.
        """
        terms = self._book.terms(key)
        timers = self._context.timers
        state = self._book.contract(key)
        known = {item_key[2]: item for item_key, item in self._book.items_of_kind(key, RETAINER_PERIOD)}
        retainer = terms is not None and terms.contract.billing_type == RETAINER
        if terms is None or not (retainer or known):
            return
        contract, wanted, next_due = terms.contract, {}, None
        period = period_of(contract.start_on)
        while retainer:
            day = max(first_day(period), contract.start_on)
            if terms.end_on is not None and day > terms.end_on:
                break
            if start_of(day) > self._context.now:
                # The forecast of a retainer without end counts a month from its first day, before its fee may be due.
                begins = start_of(first_day(period))
                next_due = begins if begins > self._context.now else start_of(day)
                break
            wanted[f"{key}:{period}"] = day
            period = next_period(period)
        if next_due is None:
            timers.cancel(key)
        else:
            timers.set(key, next_due)
        base = cause or state.cause
        assert base is not None  # terms come from a fact with a cause
        for item_id in sorted(known.keys() | wanted.keys()):
            item_key = (key, RETAINER_PERIOD, item_id)
            item = self._book.item(item_key)
            fee_day = wanted.get(item_id)
            work = None
            if fee_day is not None:
                made = base if cause is not None else base._replace(occurred_at=start_of(fee_day))
                work = Work("", made, (0, 0), fee_day, contract.periodic_fee or ZERO, rank=start_of(fee_day))
            before = item.work
            if (work and work._replace(cause=base)) != (before and before._replace(cause=base)):
                self._book.put_item(item_key, item._replace(work=work))
                self._book.mark(item_key, work.cause if work is not None else base)
        self._book.mark_all_projects(key, base)


def ledger_step(policy: Policy, billing_code: Callable[[str, str], str], routes: Routes | None = None) -> Step:
    """Declare the step that keeps contracts' ledgers; with `routes` it also says which ERP books what they bill."""
    return Step(
        name="ledger",
        key="contract number",
        reads=(CONTRACT_FACTS,),
        writes=(
            TRIGGERS,
            *(() if routes is None else (POSTINGS,)),
            EXCEPTIONS,
            AUDIT,
            MARGIN_PARTS,
            DRIFT_CLAIMS,
            PERSON_FACTS,
            ACTIVATION_COMMANDS,
            ACTIVATION_EVENTS,
        ),
        begin=lambda context: LedgerBehaviour(context, policy, billing_code, routes),
        remembers={**book_tables.TABLES, **reference_tables.TABLES, **activation_tables.TABLES},
    )

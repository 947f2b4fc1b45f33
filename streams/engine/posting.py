"""Posting: intents go out to the ERPs that they name, and the answers come back as receipts.

A step like any other, but for one thing: its targets are outside, so what it sends cannot be undone with its state.
What it reads are committed records, and calls begin only once it is committed that they may have been made;
`streams.delivery` asks a target about everything in doubt before it is sent again. Calls are made by threads of the
target's lane: what became of them is taken in before the next commit.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from streams.delivery.calls import Clock, Look, Sending, Work
from streams.delivery.delivery import Delivery
from streams.delivery.lane import Calls, Priority
from streams.delivery.lease import lease
from streams.delivery.limits import LEASE_MS, Limits
from streams.domain.calendar import instant, moment
from streams.domain.posting import FINAL, Posting, Status, posting_id_of, posting_told
from streams.domain.routes import Routes
from streams.rules.exceptions import Entity
from streams.sinks.contract import Fatal, Problem, Receipt, Retriable, Sink, receipt_of
from streams.step import Context, Record, Step
from streams.steps.exception_queue import ExceptionQueue
from streams.topics import EXCEPTIONS, POSTINGS, RECEIPTS

NAME = "posting"
FATAL_PAUSE_MS = 60_000
"""How long a system whose sink gave up is left alone before it is opened again."""
PATIENCE_MS = 60_000
"""How long a system may fail in ways that pass by themselves before a person hears of it."""
NO_ROOM_MS = 200
"""How soon it is looked again whether a target that takes nothing more does."""

_WORK = "work"


class Target(NamedTuple):
    """One ERP as it is reached: its sink, who makes the calls, and what goes at once."""

    sink: Sink[Posting]
    calls: Calls
    limits: Limits


class Targets(NamedTuple):
    """All that posting needs of the world: `open` opens an ERP and raises ValueError for one that is not known.

    `poll_ms` is how often answers are looked for that come later, `clock` gives milliseconds since 1970. `lease_s` is
    for how long after it was promised a call may begin, at most `LEASE_MS`.
    """

    open: Callable[[str], Target]
    routes: Routes
    poll_ms: int
    clock: Clock
    lease_s: float = LEASE_MS / 1000


class _Way:
    """What is under way to one system: its delivery, and what its calls have brought back.

    Its sink is closed once nobody wants more of it and the last call has ended.
    """

    def __init__(self, target: Target, delivery: Delivery[Posting]) -> None:
        self.target = target
        self.delivery = delivery
        self.ended: deque[Work] = deque()
        self.under_way = 0
        self.failing_since: dict[type[Work], int] = {}
        self.looks = False
        self.look_at = 0
        self.left = False
        self._calling = 0
        self._counting = threading.Lock()

    def begin(self, owner: object, work: Work, priority: Priority, done: Callable[[Work], None]) -> None:
        """Have a work run, and `done` called with it, on any thread."""
        with self._counting:
            if self.left:
                return
            self._calling += 1

        def ended(work: Work) -> None:
            done(work)
            with self._counting:
                self._calling -= 1
                is_last = self.left and not self._calling
            if is_last:
                self.target.sink.close()

        self.target.calls.begin(owner, work, priority, ended)

    def leave(self, owner: object) -> None:
        """Want no more of it."""
        with self._counting:
            self.left, is_last = True, not self.left and not self._calling
        if is_last:
            self.target.sink.close()
        self.target.calls.leave(owner)


class PostingBehaviour:
    """The postings of one partition on their way.

    Tables: `posting.delivery` is the deliveries' memory; `posting.targets` the systems that something went to;
    `posting.decided` the systems of each trigger; `posting.waiting` the postings whose system's sink gave up, in order;
    `posting.open` the exceptions opened, with the instant each was first seen.
    """

    def __init__(self, context: Context, targets: Targets) -> None:
        self._context = context
        self._targets = targets
        self._memory = context.table("posting.delivery")
        self._systems = context.table("posting.targets")
        self._decided = context.table("posting.decided")
        self._waiting = context.table("posting.waiting")
        self._exceptions = ExceptionQueue(context, "posting.open")
        self._ways: dict[str, _Way] = {}
        self._paused: dict[str, int] = {}
        context.nudged = True  # what is open from before goes on without being asked for
        context.when_released(self._leave)

    def on_records(self, records: Sequence[Record]) -> None:
        """Take in intents."""
        for record in records:
            self._intend(record.value, record.offset)

    def on_timer(self, key: str) -> None:
        """Something is due, and is seen to before the commit; `key` is that of the one timer there is."""
        assert key == _WORK

    def before_commit(self) -> None:
        """Take in what calls have brought back, and promise the next ones."""
        for system, _ in self._systems.scan(""):
            way = self._way(system)
            if way is not None:
                self._work(system, way)
        self._set_timer()

    # -- intents

    def _intend(self, intent: Mapping[str, Any], offset: int) -> None:
        posting = posting_told(intent)
        decided = self._decided.get(posting.trigger_id)
        if decided is None:
            self._decided.put(posting.trigger_id, tuple(intent["systems"]) or (posting.system,))
        elif posting.system not in decided:
            # A group that was made anew has decided by other routes than those of then; what was decided first stands.
            error = f"it was decided before that {', '.join(decided)} books it"
            self._emit(replace(receipt_of(posting, Status.PENDING), status=Status.SUPERSEDED, error=error))
            return
        system = posting.system
        if self._systems.get(system) is None:
            self._systems.put(system, system)
        way = self._way(system)
        if way is None:
            # Its sink gave up: the intent is taken up by `_way` in the order in which intents were written, which is
            # that of their contract's decisions.
            self._waiting.put(f"{system}\x1f{offset:020d}", posting)
        else:
            way.delivery.intend([posting], self._context.now, instant(intent["created_at"]))

    # -- delivering

    def _way(self, system: str) -> _Way | None:
        """Return the way to a system, or None while its sink is left alone."""
        way = self._ways.get(system)
        if way is not None:
            return way
        now = self._context.now
        if self._paused.get(system, 0) > now:
            return None
        try:
            target = self._targets.open(system)
        except (Fatal, Retriable, ValueError) as error:
            self._give_up(system, error)
            return None
        frozen = partial(self._frozen_until, system)
        delivery = Delivery(target.sink, self._memory, Posting, target.limits, self._targets.clock, frozen)
        way = self._ways[system] = _Way(target, delivery)
        for key, posting in self._waiting.scan(f"{system}\x1f"):
            self._waiting.delete(key)
            delivery.intend([posting], now, 0)  # its intent may be older than the memory
        return way

    def _leave(self) -> None:
        for way in self._ways.values():
            way.leave(self)

    def _frozen_until(self, system: str, posting: Posting, now: int) -> int | None:
        routes = self._targets.routes
        if not routes.freezes:
            return None
        freeze = routes.freeze(system, posting.legal_entity, moment(now))
        return None if freeze is None else instant(freeze.ends)

    def _work(self, system: str, way: _Way) -> None:
        self._take_in(system, way)
        try:
            works = way.delivery.work(self._context.now, way.target.calls.room(self))
        except Fatal as error:
            self._tell(system, way)
            self._give_up(system, error)
            return
        if way.target.sink.answers_later and not way.looks and way.look_at <= self._context.now:
            way.looks = True
            works.append(way.delivery.look())
        holds = lease(self._targets.lease_s)
        for work in works:
            way.under_way += 1
            if isinstance(work, Sending):
                work.may = partial(self._may_send, system, way, work, holds)
            self._context.once_committed(partial(self._begin, way, work))
        self._tell(system, way)

    def _may_send(self, system: str, way: _Way, work: Sending[Posting], holds: Callable[[], bool]) -> bool:
        """Whether the next call may still begin; asked by the thread that would make it."""
        if self._context.released or way.left or not holds():
            return False
        now = self._targets.clock()
        return all(self._frozen_until(system, posting, now) is None for posting in work.postings)

    def _begin(self, way: _Way, work: Work) -> None:
        priority = Priority.BILLING if isinstance(work, Sending) else Priority.QUESTION
        context, ended = self._context, way.ended

        def done(work: Work) -> None:
            ended.append(work)
            context.nudged = True

        way.begin(self, work, priority, done)

    def _take_in(self, system: str, way: _Way) -> None:
        now = self._context.now
        while way.ended:
            work = way.ended.popleft()
            way.under_way -= 1
            way.delivery.settle(work, now)
            if isinstance(work, Sending) and not work.begun:
                continue  # it came back without a call, which says nothing of the target
            outcome = "fatal" if work.fatal else "retriable" if work.failure else "ok"
            self._context.count(f"sink/{system}/{outcome}")
            self._be_patient(system, way, work)
            if isinstance(work, Look):
                way.looks, way.look_at = False, now + self._targets.poll_ms
                for subject in work.answers.sound:
                    self._exceptions.tell("delivery_failed", _answer_entity(system, subject), "", False)
                for problem in work.answers.problems:
                    self._problem(problem)
        for problem in way.delivery.problems():
            self._problem(problem)

    def _set_timer(self) -> None:
        """Have a turn when something falls due; what is under way gives one by itself."""
        now = self._context.now
        times = [at for at in self._paused.values() if at > now]
        for way in self._ways.values():
            if way.target.sink.answers_later and not way.looks:
                times.append(max(way.look_at, now + 1))
            due = way.delivery.due(now)
            if due is not None and (due > now or not way.under_way):
                times.append(due if due > now else now + NO_ROOM_MS)
        if times and self._context.timers.next_due() != min(times):
            self._context.timers.set(_WORK, min(times))

    def _be_patient(self, system: str, way: _Way, work: Work) -> None:
        """Open an exception for what should have passed by itself and has not; resolve it once nothing fails.

        That answers are read says nothing of whether something can be sent.
        """
        now, since = self._context.now, way.failing_since
        if work.failure is None:
            since.pop(type(work), None)
        elif since.setdefault(type(work), now) + PATIENCE_MS <= now:
            message = f"{system}: {work.failure}; tried again until it passes"
            self._exceptions.tell("delivery_failed", self._system_entity(system), message, True)
        if not since:
            self._exceptions.tell("delivery_failed", self._system_entity(system), "", False)

    def _give_up(self, system: str, error: Exception) -> None:
        self._context.count(f"sink/{system}/{'retriable' if isinstance(error, Retriable) else 'fatal'}")
        way = self._ways.pop(system, None)
        if way is not None:
            way.leave(self)  # the next one asks what became of what is on its way, and sends that anew
        self._paused[system] = self._context.now + FATAL_PAUSE_MS
        self._exceptions.tell("delivery_failed", self._system_entity(system), f"{system}: {error}", True)

    def _system_entity(self, system: str) -> Entity:
        return Entity("erp_system", system, place=str(self._context.partition))

    # -- telling

    def _tell(self, system: str, way: _Way) -> None:
        for receipt in way.delivery.changes():
            self._emit(receipt)
            if receipt.status in FINAL:
                refused = receipt.status is Status.REJECTED
                entity = Entity("billing_trigger", receipt.trigger_id, receipt.project_id, receipt.contract_number)
                message = f"{receipt.system} refused trigger {receipt.trigger_id}: {receipt.error or 'no reason given'}"
                self._exceptions.tell("delivery_failed", entity, message, refused)
                self._compare(system, receipt)

    def _compare(self, system: str, receipt: Receipt) -> None:
        """Of a dual run, say where one system books what another refuses."""
        decided = self._decided.get(receipt.trigger_id) or ()
        ends = {system: receipt.status}
        for other in decided:
            way = self._ways.get(other)
            known = None if way is None else way.delivery.receipt(posting_id_of(other, receipt.trigger_id))
            if other != system and known is not None and known.status in FINAL:
                ends[other] = known.status
        if len(decided) > 1 and len(ends) == len(decided):
            entity = Entity("dual_run", receipt.trigger_id, receipt.project_id, receipt.contract_number)
            said = ", ".join(f"{name} {status}" for name, status in sorted(ends.items()))
            message = f"trigger {receipt.trigger_id}: {said}"
            self._exceptions.tell("delivery_failed", entity, message, len(set(ends.values())) > 1)

    def _emit(self, receipt: Receipt) -> None:
        self._context.emit(RECEIPTS, receipt.contract_number, receipt_record(receipt, self._context.now))

    def _problem(self, problem: Problem) -> None:
        message = f"{problem.system}, {problem.subject}: {problem.reason}"
        self._exceptions.tell("delivery_failed", _answer_entity(problem.system, problem.subject), message, True)


def _answer_entity(system: str, subject: str) -> Entity:
    return Entity("erp_answer", f"{system}:{subject}")


def receipt_record(receipt: Receipt, now: int) -> dict[str, Any]:
    """Return the `erp.receipts` record of a receipt; what was never sent or answered has its instant, `now`."""
    answered_at = receipt.answered_at or now
    return {
        "trigger_id": receipt.trigger_id,
        "posting_id": receipt.posting_id,
        "contract_number": receipt.contract_number,
        "project_id": receipt.project_id,
        "system": receipt.system,
        "document_id": receipt.document_id,
        "status": receipt.status.value,
        "attempts": receipt.attempts,
        "first_sent_at": moment(receipt.first_sent_at or answered_at),
        "answered_at": moment(answered_at),
        "error": receipt.error,
    }


def posting_step(targets: Targets) -> Step:
    """Declare the step that posts intents."""
    return Step(
        name=NAME,
        key="contract number",
        reads=(POSTINGS,),
        writes=(RECEIPTS, EXCEPTIONS),
        begin=lambda context: PostingBehaviour(context, targets),
        remembers={
            "posting.delivery": bytes,
            "posting.targets": str,
            "posting.decided": tuple[str, ...],
            "posting.waiting": Posting,
            "posting.open": int,
        },
    )

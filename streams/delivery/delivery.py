"""The durable memory of what was delivered: a trigger posts once, whatever is replayed, and in its contract's order.

Owns intent, order, reversals, and asking before sending again. Does not own the target (a `Sink`), when and by whom
calls are made (`calls`), what goes at once (`batches`), nor how memory is stored: writes go to the `Memory` given in,
and count once the caller commits it together with the receipts returned and the consumed input.

What `work` returns is to be run **after** that commit: that something may have been sent is known before it is. So a
life that begins with this memory has nothing in doubt but what was on its way, and asks the target about that before
anything is sent again; what was intended before the memory itself began is asked about, too.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Generic

from streams.delivery.batches import Batches
from streams.delivery.calls import Clock, Look, Question, Sending, Work
from streams.delivery.doubts import Doubts
from streams.delivery.known import Known
from streams.delivery.limits import LEASE_MS, SKEW_MS_MAX, Frozen, Limits, never_frozen
from streams.delivery.lineup import Line, Lineup, Open
from streams.delivery.memory import Memory
from streams.domain.posting import FINAL, Status, posting_id_of
from streams.sinks.contract import Fatal, P, Problem, Receipt, Sink, completed, contradiction


class Delivery(Generic[P]):
    """Delivers postings of one kind to one sink, remembering in one partition's memory.

    After each method `changes` has the receipts that changed: they are to be published with the next commit. After a
    `Fatal` of the sink every later `work` raises it: what is open is taken up by a new delivery.
    """

    def __init__(
        self,
        sink: Sink[P],
        memory: Memory,
        posting_type: type[P],
        limits: Limits,
        clock: Clock,
        frozen: Frozen[P] = never_frozen,
    ) -> None:
        self._sink = sink
        self._known = Known(memory, sink.system, posting_type)
        self._limits = limits
        self._clock = clock
        self._frozen = frozen
        self._lineup: Lineup[P] = Lineup()
        self._batches = Batches(self._lineup, limits, sink.postings_per_call, self._is_frozen, self._take)
        self._doubts = Doubts()
        self._awaited: dict[str, set[str]] = {}
        self._problems: list[Problem] = []
        self._fatal: Fatal | None = None
        # What somebody else has sent before may until then be on its way, or be booked and not be seen.
        self._settled_at = clock() + sink.answer_ms_max + sink.stale_ms_max
        self._load()

    @property
    def system(self) -> str:
        """The name of the target system."""
        return self._sink.system

    def intend(self, postings: Iterable[P], now: int, written_at: int | None = None) -> None:
        """Remember postings as to be delivered; those known already, in whatever state, change nothing.

        `written_at` is when their intents were written, in milliseconds: what may have been sent by somebody whose
        memory is gone is asked about first. None: now.
        """
        old = (now if written_at is None else written_at) < self._known.begin(now) + SKEW_MS_MAX
        for posting in postings:
            if posting.system != self.system:
                raise ValueError(f"posting {posting.posting_id} is for {posting.system}, not for {self.system}")
            if self.receipt(posting.posting_id) is None:
                self._admit(self._known.add(posting, now), now, max(now, self._settled_at), old)

    def changes(self) -> list[Receipt]:
        """Return the receipts that changed since the last call."""
        return self._known.changes()

    def receipt(self, posting_id: str) -> Receipt | None:
        """Return what is known of a posting, or None if it was never intended here."""
        return self._known.receipt(posting_id)

    def open_receipts(self) -> list[Receipt]:
        """Return the receipts without a final answer, in order of intent."""
        return self._known.open_receipts()

    # Working --------------------------------------------------------------------------------------------------------

    def work(self, now: int, room: int, flush: bool = False) -> list[Work]:
        """Return what is to be run once this is committed: questions first, and as many calls as there is room for.

        Batches go when they are full or old, or with `flush` at once. Raises `Fatal` after one.
        """
        if self._fatal is not None:
            raise self._fatal
        works: list[Work] = [Question(self._sink, ids) for ids in self._doubts.questions(now)]
        if room <= 0:
            self._batches.look_again()
        while room > 0 and (chosen := self._batches.choose(now, room, flush)):
            sending = self._send(chosen, now)
            works.append(sending)
            room -= sending.calls
        return works

    def look(self) -> Work:
        """Return what takes in the answers that have arrived at the sink."""
        return Look(self._sink, self._clock)

    def due(self, now: int) -> int | None:
        """Return when there may be something to do, in milliseconds, if nothing ends before; None if nothing waits."""
        times = [at for at in (self._batches.due(now), self._doubts.next_at()) if at is not None]
        return max(now, min(times)) if times else None

    def settle(self, work: Work, now: int) -> None:
        """Take in what became of something that was run."""
        if isinstance(work, Question):
            self._settle_question(work, now)
        elif isinstance(work, Sending):
            self._settle_sending(work, now)
        elif isinstance(work, Look):
            for answer in work.answers.receipts:
                self._record(answer, now)
        self._fatal = self._fatal or work.fatal

    def problems(self) -> list[Problem]:
        """Return the problems with answers since the last call."""
        problems, self._problems = self._problems, []
        return problems

    # Asking ---------------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        now = self._clock()
        for entry, old in self._known.load():
            # A former life may still begin a call that it has promised.
            lease_ms = LEASE_MS if entry.receipt.status is Status.SENT else 0
            self._admit(entry, now, self._settled_at + lease_ms, old)

    def _admit(self, entry: Open[P], now: int, ask_at: int, old: bool) -> None:
        """Line up a posting without a final answer; what may have been sent is asked about first."""
        line = self._lineup.line(entry.posting.order_key)
        pending = entry.receipt.status is Status.PENDING
        if pending:
            line.put(entry)
        if old or not pending:
            self._doubt(entry.posting.posting_id, line.key, ask_at)
        # A reversal is not judged before it is known whether its original was booked by somebody else.
        original_id = self._known.foreign_original(entry.posting)
        if original_id is not None:
            self._doubt(original_id, line.key, ask_at)
        self._lineup.release(line, now)

    def _doubt(self, posting_id: str, key: str, ask_at: int) -> None:
        self._doubts.add(posting_id, key, ask_at)
        self._lineup.line(key).holds.add(posting_id)

    def _settle_question(self, question: Question[P], now: int) -> None:
        if question.failure is not None or question.fatal is not None:
            waits_ms = None if question.failure is None else question.failure.retry_after_ms
            failures = self._doubts.failures + 1
            self._doubts.failed(
                question.posting_ids, now + (self._limits.wait_ms(failures) if waits_ms is None else waits_ms)
            )
            return
        found = {receipt.posting_id: receipt for receipt in question.found}
        for posting_id, keys in self._doubts.answered(question.posting_ids):
            lines = [self._lineup.line(key) for key in keys]
            for line in lines:
                line.holds.discard(posting_id)
            self._judge(posting_id, found.get(posting_id), now)
            for line in lines:
                self._lineup.release(line, now)

    def _judge(self, posting_id: str, found: Receipt | None, now: int) -> None:
        entry = self._known.entry(posting_id)
        if found is not None:
            if not self._known.adopt(found):
                self._record(found, now)
            if entry is not None and entry.receipt.status is Status.SENT and not self._sink.pipelined:
                self._lineup.line(entry.posting.order_key).holds.add(posting_id)
        elif entry is not None and entry.receipt.status is Status.PENDING:
            self._known.keep_asked(entry)
        elif entry is not None:
            self._note(entry, replace(entry.receipt, status=Status.PENDING), now)

    # Choosing -------------------------------------------------------------------------------------------------------

    def _is_frozen(self, line: Line[P], now: int) -> bool:
        frozen_until = self._frozen(line.queue[0].posting, now)
        if frozen_until is None:
            return False
        line.not_before = max(line.not_before, frozen_until)
        self._lineup.release(line, now)
        return True

    def _take(self, line: Line[P], count: int, now: int) -> list[Open[P]]:
        """Take what of a line may be sent now, in order; what a reversal makes needless is superseded on the way."""
        taken: dict[str, Open[P]] = {}
        while line.queue and len(taken) < count:
            entry = line.queue[0]
            posting = entry.posting
            if self._frozen(posting, now) is not None if taken else self._is_frozen(line, now):
                break
            if posting.reverses is None or self._may_reverse(entry, posting.reverses, now):
                taken[posting.posting_id] = entry
                line.unqueue(entry)
            elif entry.receipt.status is Status.PENDING:
                break
            else:
                taken.pop(posting_id_of(self.system, posting.reverses), None)
        if not taken:
            self._lineup.release(line, now)  # else what is taken holds the line
        return list(taken.values())

    def _may_reverse(self, reversal: Open[P], trigger_id: str, now: int) -> bool:
        """Return whether a reversal may go; if it never has to, give it and its original their final receipts."""
        original_id = posting_id_of(self.system, trigger_id)
        original = self.receipt(original_id)
        if original is None:
            error = f"reverses trigger {trigger_id}, which was never posted to {self.system}"
            self._note(reversal, replace(reversal.receipt, status=Status.REJECTED, error=error), now)
            return False
        if original.status is Status.POSTED:
            return True
        if original.status in (Status.SENT, Status.UNKNOWN):
            self._await(original_id, reversal.posting.order_key, now)
            return False
        # Never booked: rejected, or not sent yet and certainly so, since all doubts were asked about before.
        self._note(reversal, replace(reversal.receipt, status=Status.SUPERSEDED), now)
        superseded = replace(original, status=Status.SUPERSEDED)
        entry = self._known.entry(original_id)
        if entry is not None:
            self._note(entry, superseded, now)
        elif original != superseded:
            self._known.publish(superseded)
        return False

    def _await(self, original_id: str, key: str, now: int) -> None:
        """Let an order key wait until it is known what became of a posting; one of others is asked about again."""
        if self._known.entry(original_id) is None:
            self._doubt(original_id, key, now + self._limits.backoff_ms_max)
        else:
            self._awaited.setdefault(original_id, set()).add(key)
            self._lineup.line(key).holds.add(original_id)

    def _let_go(self, posting_id: str, now: int) -> None:
        """Let go on what waits for a posting, of which it is known now whether it was booked."""
        for key in self._doubts.drop(posting_id) | self._awaited.pop(posting_id, set()):
            line = self._lineup.line(key)
            line.holds.discard(posting_id)
            self._lineup.release(line, now)

    # Sending --------------------------------------------------------------------------------------------------------

    def _send(self, chosen: list[Open[P]], now: int) -> Sending[P]:
        for entry in chosen:
            receipt = entry.receipt
            first = now if receipt.first_sent_at is None else receipt.first_sent_at
            self._lineup.line(entry.posting.order_key).holds.add(entry.posting.posting_id)
            attempts = receipt.attempts + 1
            sent = replace(receipt, status=Status.SENT, attempts=attempts, first_sent_at=first, error=None)
            self._note(entry, sent, now)
        return Sending(self._sink, [entry.posting for entry in chosen], self._clock)

    def _settle_sending(self, sending: Sending[P], now: int) -> None:
        settled = {answer.posting_id for answer in sending.answered} | set(sending.refused)
        for answer in sending.answered:
            self._record(answer, now)
        for posting_id, reason in sending.refused.items():
            entry = self._known.entry(posting_id)
            if entry is not None:
                attempts, first = entry.receipt.attempts - 1, entry.first_sent_at
                refused = replace(entry.receipt, status=Status.REJECTED, attempts=attempts, first_sent_at=first)
                refused = replace(refused, answered_at=now, error=reason)
                self._note(entry, refused, now)
        cause = sending.failure or sending.fatal
        for posting in sending.failed:
            settled.add(posting.posting_id)
            self._fail(posting, Status.UNKNOWN, str(cause), now)
        for posting in sending.not_sent:
            settled.add(posting.posting_id)
            self._fail(posting, Status.PENDING, str(cause), now)
        self._put_back(sending, settled, now)
        self._settle_lines(sending, settled, now)

    def _put_back(self, sending: Sending[P], settled: set[str], now: int) -> None:
        """Put back what was not sent, and let its order key go on after what was, if the target keeps order."""
        for posting in sending.postings:
            entry = self._known.entry(posting.posting_id)
            if entry is None or entry.receipt.status is not Status.SENT:
                continue
            if posting.posting_id in settled:
                if self._sink.pipelined:
                    self._lineup.line(posting.order_key).holds.discard(posting.posting_id)
            else:
                receipt = entry.receipt
                unsent = replace(receipt, attempts=receipt.attempts - 1, first_sent_at=entry.first_sent_at)
                self._note(entry, replace(unsent, status=Status.PENDING), now)

    def _settle_lines(self, sending: Sending[P], settled: set[str], now: int) -> None:
        """Say when the order keys of what was sent may go on."""
        waits_ms = None if sending.failure is None else sending.failure.retry_after_ms
        unknown = {answer.posting_id for answer in sending.answered if answer.status is Status.UNKNOWN}
        failed = {posting.order_key for posting in (*sending.failed, *sending.not_sent)}
        failed |= {posting.order_key for posting in sending.postings if posting.posting_id in unknown}
        went = {posting.order_key for posting in sending.postings if posting.posting_id in settled}
        for key in dict.fromkeys(posting.order_key for posting in sending.postings):
            line = self._lineup.line(key)
            if key in failed:
                line.failures += 1
                line.not_before = now + (self._limits.wait_ms(line.failures) if waits_ms is None else waits_ms)
            elif key in went:
                line.failures = 0
            self._lineup.release(line, now)

    def _fail(self, posting: P, status: Status, error: str, now: int) -> None:
        entry = self._known.entry(posting.posting_id)
        if entry is None:
            return
        first = entry.first_sent_at if status is Status.PENDING else entry.receipt.first_sent_at
        entry.first_sent_at = first
        self._note(entry, replace(entry.receipt, status=status, first_sent_at=first, error=error), now)

    # Answers --------------------------------------------------------------------------------------------------------

    def _record(self, answer: Receipt, now: int) -> None:
        """Take in one answer of the target; a final one stands, unless a rejection turns out to have been posted."""
        known = self.receipt(answer.posting_id)
        if known is None:
            return  # it is of another partition
        answer = completed(known, answer, max(known.attempts, answer.attempts), answer.first_sent_at)
        entry = self._known.entry(answer.posting_id)
        if entry is not None:
            self._note(entry, answer, now)
        elif answer.status in FINAL and (answer.status, answer.document_id) != (known.status, known.document_id):
            corrected = (known.status, answer.status) == (Status.REJECTED, Status.POSTED)
            if known.status not in FINAL or corrected:
                self._known.publish(answer)
                self._let_go(answer.posting_id, now)
            else:
                self._problems.append(contradiction(known, answer))

    def _note(self, entry: Open[P], receipt: Receipt, now: int) -> None:
        """Keep an open posting's receipt, and let go on what it decides."""
        self._known.keep(entry, receipt)
        posting_id = receipt.posting_id
        line = self._lineup.line(entry.posting.order_key)
        if receipt.status is Status.PENDING:
            if not entry.queued:
                line.put(entry)
        else:
            line.unqueue(entry)
        if receipt.status is Status.UNKNOWN:
            self._doubt(posting_id, line.key, now + self._sink.stale_ms_max)
        if receipt.status in FINAL:
            line.failures = 0
        if receipt.status not in (Status.SENT, Status.UNKNOWN):
            line.holds.discard(posting_id)
            self._let_go(posting_id, now)
        self._lineup.release(line, now)

"""The durable memory of what was delivered: a trigger posts once, whatever is replayed, and in its contract's order.

Owns intent, order, reversals, batching, and asking before sending again. Does not own the target (a `Sink`), when and
by whom calls are made (`calls`), nor how memory is stored: writes go to the `Memory` given in, and count once the
caller commits it together with the receipts returned and the consumed input.

What `work` returns is to be run **after** that commit: that something may have been sent is known before it is. So a
life that begins with this memory has nothing in doubt but what was on its way, and asks the target about that before
anything is sent again; what was intended before the memory itself began is asked about, too.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Generic

from streams.delivery.calls import Clock, Look, Question, Sending, Work
from streams.delivery.doubts import Doubts
from streams.delivery.limits import CHAIN_MAX, SKEW_MS_MAX, Frozen, Limits, never_frozen
from streams.delivery.lineup import Line, Lineup, Open
from streams.delivery.memory import Memory
from streams.delivery.remembered import Remembered
from streams.domain.posting import FINAL, Status, posting_id_of
from streams.sinks.contract import Fatal, P, Problem, Receipt, Sink, completed, contradiction, receipt_of


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
        self._memory = Remembered(memory, sink.system, posting_type)
        self._limits = limits
        self._clock = clock
        self._frozen = frozen
        self._lineup: Lineup[P] = Lineup()
        self._open: dict[str, Open[P]] = {}
        self._doubts = Doubts()
        self._changed: list[Receipt] = []
        self._problems: list[Problem] = []
        self._fatal: Fatal | None = None
        self._next = 0
        self._unsent = 0
        self._batch_at: int | None = None
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
        old = (now if written_at is None else written_at) < self._memory.begin(now) + SKEW_MS_MAX
        for posting in postings:
            if posting.system != self.system:
                raise ValueError(f"posting {posting.posting_id} is for {posting.system}, not for {self.system}")
            if self.receipt(posting.posting_id) is not None:
                continue
            entry = Open(self._next, posting, now, receipt_of(posting, Status.PENDING))
            self._next += 1
            self._memory.open(entry.sequence, now, posting)
            self._open[posting.posting_id] = entry
            line = self._lineup.line(posting.order_key)
            self._queue(line, entry)
            if old:
                self._doubt(posting.posting_id, line, now)
            self._doubt_original(posting, line, now)
            self._lineup.release(line, now)
            self._changed.append(entry.receipt)  # not kept: that it is open says as much

    def changes(self) -> list[Receipt]:
        """Return the receipts that changed since the last call."""
        changed, self._changed = self._changed, []
        return changed

    def receipt(self, posting_id: str) -> Receipt | None:
        """Return what is known of a posting, or None if it was never intended here."""
        entry = self._open.get(posting_id)
        if entry is not None:
            return entry.receipt
        return self._memory.receipt(posting_id)

    def open_receipts(self) -> list[Receipt]:
        """Return the receipts without a final answer, in order of intent."""
        return [entry.receipt for entry in sorted(self._open.values(), key=lambda entry: entry.sequence)]

    # Working --------------------------------------------------------------------------------------------------------

    def work(self, now: int, room: int, flush: bool = False) -> list[Work]:
        """Return what is to be run once this is committed: questions first, and as many calls as there is room for.

        Batches go when they are full or old, or with `flush` at once. Raises `Fatal` after one.
        """
        if self._fatal is not None:
            raise self._fatal
        works: list[Work] = [Question(self._sink, ids) for ids in self._doubts.questions(now)]
        while room > 0 and (chosen := self._choose(now, room, flush)):
            sending = self._send(chosen, now)
            works.append(sending)
            room -= sending.calls
        return works

    def look(self) -> Work:
        """Return what takes in the answers that have arrived at the sink."""
        return Look(self._sink, self._clock)

    def due(self, now: int) -> int | None:
        """Return when there may be something to do, in milliseconds, if nothing ends before; None if nothing waits."""
        goes_at = self._lineup.next_at(now)
        if goes_at is not None and self._batch_at is not None:
            goes_at = max(goes_at, self._batch_at)
        times = [at for at in (goes_at, self._doubts.next_at()) if at is not None]
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
        # What a former life sent may still be on its way, and what has arrived may not be seen yet.
        settled_at = now + self._sink.answer_ms_max + self._sink.stale_ms_max
        born = self._memory.born
        for sequence, intended_at, posting in self._memory.open_ones():
            receipt = self.receipt(posting.posting_id) or receipt_of(posting, Status.PENDING)
            entry = Open(sequence, posting, intended_at, receipt, receipt.first_sent_at)
            self._open[posting.posting_id] = entry
            line = self._lineup.line(posting.order_key)
            old = born is None or intended_at < born + SKEW_MS_MAX
            if receipt.status is Status.PENDING:
                self._queue(line, entry)
            if old or receipt.status is not Status.PENDING:
                self._doubt(posting.posting_id, line, settled_at)
            self._doubt_original(posting, line, settled_at)
            self._lineup.release(line, now)
            self._next = entry.sequence + 1

    def _doubt(self, posting_id: str, line: Line[P], ask_at: int) -> None:
        self._doubts.add(posting_id, line.key, ask_at)
        line.holds.add(posting_id)

    def _doubt_original(self, posting: P, line: Line[P], ask_at: int) -> None:
        """A reversal is not judged before it is known whether its original was booked by somebody else."""
        if posting.reverses is not None:
            original = posting_id_of(self.system, posting.reverses)
            known = self.receipt(original)
            if known is None or (known.status not in FINAL and original not in self._open):
                self._doubt(original, line, ask_at)

    def _settle_question(self, question: Question[P], now: int) -> None:
        if question.failure is not None or question.fatal is not None:
            waits_ms = None if question.failure is None else question.failure.retry_after_ms
            failures = self._doubts.failures + 1
            self._doubts.failed(
                question.posting_ids, now + (self._limits.wait_ms(failures) if waits_ms is None else waits_ms)
            )
            return
        found = {receipt.posting_id: receipt for receipt in question.found}
        for posting_id, key in self._doubts.answered(question.posting_ids):
            line = self._lineup.line(key)
            line.holds.discard(posting_id)
            self._judge(posting_id, found.get(posting_id), now)
            self._lineup.release(line, now)

    def _judge(self, posting_id: str, found: Receipt | None, now: int) -> None:
        entry = self._open.get(posting_id)
        if found is not None and entry is None and self.receipt(posting_id) is None:
            # The original of a reversal, delivered before this memory began: it belongs to it from now on.
            self._publish(found)
        elif found is not None:
            self._record(found, now)
        elif entry is not None and entry.receipt.status is not Status.PENDING:
            self._note(entry, replace(entry.receipt, status=Status.PENDING), now)

    # Choosing -------------------------------------------------------------------------------------------------------

    def _choose(self, now: int, room: int, flush: bool) -> list[Open[P]]:
        """Return what goes next, in order of intent: a batch, or some calls of one order key; nothing if none is due.

        A batch is due when it is full or one in it is old, and then all go that there is room for.
        """
        is_batch = (per_call := min(self._sink.postings_per_call, self._limits.postings_max)) > 1
        wanted = per_call if is_batch else min(CHAIN_MAX, room)
        is_due = flush or self._unsent >= self._limits.postings_max
        chosen: list[Open[P]] = []
        young: list[Line[P]] = []
        self._batch_at = None
        for line in self._lineup.turns(now):
            if not is_due and (old_at := line.queue[0].intended_at + self._limits.age_ms_max) > now:
                young.append(line)
                self._batch_at = old_at if self._batch_at is None else min(old_at, self._batch_at)
                continue
            is_due = is_due or is_batch
            chosen += self._take(line, wanted - len(chosen), now)
            if len(chosen) >= wanted or (chosen and not is_batch):
                break
        while is_batch and chosen and young and len(chosen) < wanted:
            chosen += self._take(young.pop(0), wanted - len(chosen), now)
        for line in reversed(young):
            self._lineup.give_back(line)
        return sorted(chosen, key=lambda entry: entry.sequence)

    def _take(self, line: Line[P], count: int, now: int) -> list[Open[P]]:
        """Take what of a line may be sent now, in order; what a reversal makes needless is superseded on the way."""
        taken: dict[str, Open[P]] = {}
        while line.queue and len(taken) < count:
            entry = line.queue[0]
            posting = entry.posting
            frozen_until = self._frozen(posting, now)
            if frozen_until is not None:
                line.not_before = max(line.not_before, frozen_until)
                break
            if posting.reverses is None or self._may_reverse(entry, posting.reverses, now):
                taken[posting.posting_id] = entry
                self._unqueue(line, entry)
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
            return False
        # Never booked: rejected, or not sent yet and certainly so, since all doubts were asked about before.
        self._note(reversal, replace(reversal.receipt, status=Status.SUPERSEDED), now)
        superseded = replace(original, status=Status.SUPERSEDED)
        entry = self._open.get(original_id)
        if entry is not None:
            self._note(entry, superseded, now)
        elif original != superseded:
            self._publish(superseded)
        return False

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
            entry = self._open.get(posting_id)
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
        self._settle_lines(sending, settled, now)

    def _settle_lines(self, sending: Sending[P], settled: set[str], now: int) -> None:
        """Put back what was not sent, and say when its order keys may go on."""
        for posting in sending.postings:
            entry = self._open.get(posting.posting_id)
            if entry is None or entry.receipt.status is not Status.SENT:
                continue
            if posting.posting_id in settled:
                if self._sink.pipelined:
                    self._lineup.line(posting.order_key).holds.discard(posting.posting_id)
            else:
                receipt = entry.receipt
                unsent = replace(receipt, attempts=receipt.attempts - 1, first_sent_at=entry.first_sent_at)
                self._note(entry, replace(unsent, status=Status.PENDING), now)
        waits_ms = None if sending.failure is None else sending.failure.retry_after_ms
        unknown = {answer.posting_id for answer in sending.answered if answer.status is Status.UNKNOWN}
        failed = {posting.order_key for posting in (*sending.failed, *sending.not_sent)}
        failed |= {posting.order_key for posting in sending.postings if posting.posting_id in unknown}
        for key in dict.fromkeys(posting.order_key for posting in sending.postings):
            line = self._lineup.line(key)
            if key in failed:
                line.failures += 1
                line.not_before = now + (self._limits.wait_ms(line.failures) if waits_ms is None else waits_ms)
            else:
                line.failures = 0
            self._lineup.release(line, now)

    def _fail(self, posting: P, status: Status, error: str, now: int) -> None:
        entry = self._open.get(posting.posting_id)
        if entry is None:
            return
        first = entry.first_sent_at if status is Status.PENDING else entry.receipt.first_sent_at
        entry.first_sent_at = first
        self._note(entry, replace(entry.receipt, status=status, first_sent_at=first, error=error), now)

    # Remembering ----------------------------------------------------------------------------------------------------

    def _record(self, answer: Receipt, now: int) -> None:
        """Take in one answer of the target; a final one stands, unless a rejection turns out to have been posted."""
        known = self.receipt(answer.posting_id)
        if known is None:
            return  # it is of another partition
        answer = completed(known, answer, max(known.attempts, answer.attempts), answer.first_sent_at)
        entry = self._open.get(answer.posting_id)
        if entry is not None:
            self._note(entry, answer, now)
        elif answer.status in FINAL and (answer.status, answer.document_id) != (known.status, known.document_id):
            corrected = (known.status, answer.status) == (Status.REJECTED, Status.POSTED)
            if known.status not in FINAL or corrected:
                self._publish(answer)
            else:
                self._problems.append(contradiction(known, answer))

    def _note(self, entry: Open[P], receipt: Receipt, now: int) -> None:
        """Keep an open posting's receipt, and close it when that is final."""
        changed, entry.receipt = receipt != entry.receipt, receipt
        posting_id = receipt.posting_id
        line = self._lineup.line(entry.posting.order_key)
        if receipt.status is Status.PENDING:
            line.holds.discard(posting_id)
            if not entry.queued:
                self._queue(line, entry)
        else:
            self._unqueue(line, entry)
        if receipt.status is Status.UNKNOWN:
            self._doubt(posting_id, line, now + self._sink.stale_ms_max)
        if receipt.status in FINAL:
            self._memory.close(entry.sequence)
            del self._open[posting_id]
            self._doubts.drop(posting_id)
            line.holds.discard(posting_id)
        if changed:
            self._publish(receipt)
        self._lineup.release(line, now)

    def _queue(self, line: Line[P], entry: Open[P]) -> None:
        line.put(entry)
        self._unsent += 1

    def _unqueue(self, line: Line[P], entry: Open[P]) -> None:
        if entry.queued:
            line.remove(entry)
            self._unsent -= 1

    def _publish(self, receipt: Receipt) -> None:
        self._memory.put_receipt(receipt)
        self._changed.append(receipt)

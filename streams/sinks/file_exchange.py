"""Managed file exchange with a legacy ERP: numbered batches go out, acknowledgements come back.

    ROOT/SYSTEM/outbound/SYSTEM-00000001.csv       written here, never changed, never removed
    ROOT/SYSTEM/acknowledged/SYSTEM-00000001.csv   written by the ERP, read here
each with its checksum beside it (`.csv.sha256`). Formats are in `batch_file`, atomic appearance in `durable_files`.

The outbound folder is the memory of what was sent (`outbound`); several workers may share it. A sink object that was
interrupted by an exception other than `Retriable` and `Skippable` is not used again.
"""

import errno
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from streams.domain.posting import Posting, Status
from streams.sinks.batch_file import Acknowledgement, Batch, number_text, parse_acknowledgement, unfit
from streams.sinks.contract import Answers, Fatal, Problem, Receipt, Retriable, Skippable, receipt_of
from streams.sinks.durable_files import BadFile, Files, LocalFiles, Stamp, checksum_of, read_checked
from streams.sinks.outbound import Outbound

NAMES = re.compile(r"[a-z0-9][a-z0-9-]*")
"""What systems with a file exchange may be called."""

_QUIET_MS = 2_000  # whatever the grain of the folder's clock, a change after this long shows in its time of change
_FULL_LOOK_MS = 60_000
_PASSING = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.ENOLCK, errno.ESTALE,
    errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE,
})  # fmt: skip


class FileExchange:
    """The file exchange of one system, as a sink. One call of `post` is one batch; `Delivery` decides how many.

    `late_ms_max` is how long a change of a file may still be carried out after it was given up: 0 on a disk of our own.
    """

    pipelined = True  # lines and batches are booked in order of their numbers
    answers_later = True
    calls_at_once = 1
    postings_per_call = 10_000

    def __init__(
        self,
        root: Path,
        system: str,
        files: Files | None = None,
        batches: Outbound | None = None,
        late_ms_max: int = 0,
    ) -> None:
        if not NAMES.fullmatch(system):
            raise ValueError(f"system {system!r}: use small letters, digits and hyphens, it names files")
        self.system = system
        self.answer_ms_max = self.stale_ms_max = late_ms_max
        self.outbound = root / system / "outbound"
        self.acknowledged = root / system / "acknowledged"
        self._files: Files = LocalFiles() if files is None else files
        self._read: dict[str, tuple[Stamp, Stamp | None]] = {}
        self._wrong: set[str] = set()
        self._looked: tuple[Stamp, int] | None = None
        with self._failing(self.outbound, nothing_sent=True):
            self.batches = Outbound(self.outbound, system, self._files) if batches is None else batches
            self._files.make_folder(self.acknowledged)

    def post(self, postings: Sequence[Posting], now: int) -> list[Receipt]:
        """Write one batch with these postings, but for those that stand in a batch already."""
        refused = {posting.posting_id: reason for posting in postings if (reason := unfit(posting)) is not None}
        if refused:
            raise Skippable(refused)
        with self._failing(self.outbound, nothing_sent=True), self.batches.locked():
            self.batches.catch_up()
            sent_before = self.batches.batch_of
            known = [posting.posting_id for posting in postings if posting.posting_id in sent_before]
            fresh = [posting for posting in postings if posting.posting_id not in sent_before]
            receipts = self._known(known)
            if fresh:
                batch = self.batches.prepare(fresh, now)
                with self._failing(self.batch_path(batch.number), nothing_sent=False):
                    self.batches.publish(batch)
        sent = [receipt_of(posting, Status.SENT, first_sent_at=now) for posting in fresh]
        return [*receipts, *sent]

    def find(self, posting_ids: Collection[str]) -> list[Receipt]:
        """Return a receipt for each of these that stands in a batch: `sent`, or as the ERP answered."""
        with self._failing(self.outbound, nothing_sent=True):
            with self.batches.locked():
                self.batches.catch_up()
            return self._known([posting_id for posting_id in posting_ids if posting_id in self.batches.batch_of])

    def poll(self, now: int) -> Answers:
        """Read the acknowledgements that are new or were replaced; a wrong one is a problem and answers nothing.

        One that the disk does not give keeps back neither the others nor itself for good: it is read at a later call.
        """
        receipts: list[Receipt] = []
        problems: list[Problem] = []
        sound: list[str] = []
        with self._failing(self.acknowledged, nothing_sent=True):
            failure: OSError | None = None
            for name in self._worth_a_look(now):
                try:
                    stamp = self._stamp(self.acknowledged / name)
                    if self._read.get(name) == stamp:
                        continue
                    try:
                        receipts += self._answered(name)
                        sound.append(_subject(name))
                        self._wrong.discard(name)
                    except BadFile as error:
                        self._wrong.add(name)
                        reason = f"{error}; no line of it was taken over: have it corrected and written again"
                        problems.append(Problem(self.system, _subject(name), reason))
                    self._read[name] = stamp
                except FileNotFoundError:
                    self._wrong.discard(name)  # taken away since the folder was listed, perhaps to be replaced
                except OSError as error:
                    self._wrong.add(name)
                    failure = error
            # Answers that were read count as read, so they are handed over; the failure will be there again.
            if failure is not None and not sound and not problems:
                raise failure
        return Answers(tuple(receipts), tuple(problems), tuple(sound))

    def _worth_a_look(self, now: int) -> list[str]:
        """Return all acknowledgements, or while their folder stays as it was, those that could not be read.

        Looking at each of them at every call would cost more with every batch there ever was. A file that is replaced
        leaves the folder as it was if it is not renamed into its place: it is found once a minute.
        """
        folder = self._files.stamp(self.acknowledged)
        if self._looked is not None:
            known, looked_at = self._looked
            was_quiet = folder[2] // 1_000_000 + _QUIET_MS < looked_at
            if folder == known and was_quiet and abs(now - looked_at) < _FULL_LOOK_MS:
                return sorted(self._wrong)
        self._looked = folder, now
        names = self._files.names(self.acknowledged)
        return [name for name in names if name.endswith(".csv") and not name.startswith(".")]

    def close(self) -> None:
        """Nothing is held between calls."""

    def batch_path(self, number: int) -> Path:
        """Return where a batch lies."""
        return self.batches.path_of(number)

    # Reading --------------------------------------------------------------------------------------------------------

    def _known(self, posting_ids: Collection[str]) -> list[Receipt]:
        """Return what batches and their acknowledgements say of postings that stand in a batch."""
        wanted = set(posting_ids)
        receipts: list[Receipt] = []
        for number in sorted({self.batches.batch_of[posting_id] for posting_id in wanted}):
            path = self.acknowledged / self.batch_path(number).name
            batch = self.batches.read(number)
            try:
                answered = self._receipts(batch, parse_acknowledgement(read_checked(self._files, path), path.name))
            except (FileNotFoundError, BadFile):
                # Not answered yet, or not so that it can be believed: `poll` reports that.
                answered = [receipt_of(p, Status.SENT, first_sent_at=batch.created_at) for p in batch.postings]
            receipts += [receipt for receipt in answered if receipt.posting_id in wanted]
        return receipts

    def _stamp(self, path: Path) -> tuple[Stamp, Stamp | None]:
        """Return what changes when a file or its checksum is replaced."""
        stamp = self._files.stamp(path)
        try:
            return stamp, self._files.stamp(checksum_of(path))
        except FileNotFoundError:
            return stamp, None

    def _answered(self, name: str) -> list[Receipt]:
        acknowledgement = parse_acknowledgement(read_checked(self._files, self.acknowledged / name), name)
        if acknowledgement.system != self.system or name != self.batch_path(acknowledgement.number).name:
            raise BadFile(
                f"{name}: answers batch {acknowledgement.number} of {acknowledgement.system}, not what its name says"
            )
        try:
            batch = self.batches.read(acknowledgement.number)
        except FileNotFoundError as error:
            raise BadFile(f"{name}: batch {number_text(acknowledgement.number)} was never written") from error
        return self._receipts(batch, acknowledgement)

    def _receipts(self, batch: Batch, acknowledgement: Acknowledgement) -> list[Receipt]:
        """Return one receipt a line of the batch. Raises BadFile if the answers are not those of its lines."""
        name = self.batch_path(batch.number).name
        if acknowledgement.batch_sha256 != batch.sha256:
            raise BadFile(
                f"{name}: answers a batch with checksum {acknowledgement.batch_sha256}, ours has {batch.sha256}"
            )
        if acknowledgement.refusal is not None:
            raise BadFile(f"{name}: {self.system} refused the whole batch: {acknowledgement.refusal}")
        answered = [(a.line, a.posting_id, a.amount, a.currency) for a in acknowledgement.answers]
        lines = [(line, p.posting_id, p.amount, p.currency) for line, p in enumerate(batch.postings, 1)]
        if answered != lines:
            wrong = next((pair for pair in zip(answered, lines, strict=False) if pair[0] != pair[1]), None)
            what = (
                f"answer {wrong[0]} is not line {wrong[1]}"
                if wrong
                else f"{len(answered)} answers for {len(lines)} lines"
            )
            raise BadFile(f"{name}: {what} of the batch")
        return [
            receipt_of(
                posting, Status.POSTED if answer.accepted else Status.REJECTED, document_id=answer.document_id,
                first_sent_at=batch.created_at, answered_at=acknowledgement.answered_at, error=answer.reason,
            )
            for posting, answer in zip(batch.postings, acknowledgement.answers, strict=True)
        ]  # fmt: skip

    @contextmanager
    def _failing(self, place: Path, *, nothing_sent: bool) -> Iterator[None]:
        """Turn errors of the file system into those of the contract."""
        try:
            yield
        except BlockingIOError as error:
            raise Retriable(f"{place}: another writer is at work", nothing_sent=nothing_sent) from error
        except OSError as error:
            text = f"{error.filename or place}: {error.strerror or error}"
            if error.errno in _PASSING:
                raise Retriable(text, nothing_sent=nothing_sent) from error
            raise Fatal(f"{text}; restore the folder and its permissions, then start the sink again") from error


class FileExchanges:
    """The exchanges of one program: its sinks of one system share what is known of the outbound folder."""

    def __init__(self, root: Path, files: Files | None = None, late_ms_max: int = 0) -> None:
        self._root = root
        self._files = files
        self._late_ms_max = late_ms_max
        self._batches: dict[str, Outbound] = {}

    def open(self, system: str) -> FileExchange:
        """Return a sink of a system. Raises `ValueError` for a name that none may have, `Retriable` and `Fatal`."""
        sink = FileExchange(self._root, system, self._files, self._batches.get(system), self._late_ms_max)
        self._batches[system] = sink.batches
        return sink


def _subject(name: str) -> str:
    return f"acknowledgement {name}"

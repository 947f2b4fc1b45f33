"""The moment a variant takes in its first record, told to whoever measures it."""

import resource
import sys
import time
from typing import NamedTuple


class Stamp(NamedTuple):
    """Seconds of the machine's monotonic clock, and of CPU the program had used by then, all threads."""

    at_s: float
    cpu_s: float


_MARK = "first record:"
_told = False


def first_record() -> None:
    """Note the first record, which the program is about to take in; nothing from the second call on."""
    global _told  # noqa: PLW0603, once a program
    if _told:
        return
    _told = True
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # A line of its own: Faust writes to standard output, too.
    sys.stdout.write(f"\n{_MARK} {time.monotonic()} {usage.ru_utime + usage.ru_stime}\n")
    sys.stdout.flush()


def read_stamp(line: str) -> Stamp | None:
    """Return the stamp of a line that `first_record` wrote; None of any other line."""
    if not line.startswith(_MARK):
        return None
    at, cpu = line.removeprefix(_MARK).split()
    return Stamp(float(at), float(cpu))

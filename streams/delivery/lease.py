"""The lease of a call: for how long after it was promised it may begin. Whoever takes over asks only afterwards."""

import time
from collections.abc import Callable


def lease(lasts_s: float) -> Callable[[], bool]:
    """Return what tells, on any thread, whether a call that is promised now may still begin.

    It counts from now, and so from before the commit of the promise: who takes over after that counts from no earlier
    on.
    """
    until = time.monotonic() + lasts_s
    return lambda: time.monotonic() < until

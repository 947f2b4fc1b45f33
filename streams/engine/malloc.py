"""The C library's allocator, told how many threads of a worker allocate at a time."""

import ctypes
import sys
from contextlib import suppress

_M_ARENA_MAX = -8
_ARENAS_MAX = 4


def few_arenas() -> None:
    """Keep glibc to four arenas; call it before threads are started.

    By default each of a worker's threads (Kafka's clients and RocksDB have some twenty) comes to have an arena of its
    own, which keeps what is freed in it: a tenth of the worker's memory. With two for all, they would wait for each
    other: the 99th percentile of latency is a third higher. Where the C library is another, nothing is done.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS_MAX)

"""What is loaded by the start of long work stays, and is left to itself by the garbage collector."""

import gc


def spare_what_is_loaded(allocations: int = 2_000_000, generation_0: int = 10, generation_1: int = 100) -> None:
    """Take what there is out of the collector's rounds, and set after how much it looks through what comes.

    Looking through it again at every collection costs a tenth of the time. As a rule, much of what comes is alive at a
    time, and hardly any of it in circles.
    """
    gc.freeze()
    gc.set_threshold(allocations, generation_0, generation_1)

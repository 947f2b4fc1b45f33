"""What a person at the terminal sees while a bench runs."""

import time

from bench.running import Run

_began = time.monotonic()


def say(text: str) -> None:
    """Print a line at once, with the time since the start."""
    minutes, seconds = divmod(round(time.monotonic() - _began), 60)
    print(f"{minutes:>3}:{seconds:02d}  {text}", flush=True)


def told(run: Run) -> str:
    """Return the figures of a run in one line."""
    return f"{run.events_per_s:>9,.0f} records/s {run.cpu_us_per_event:6.1f} µs CPU {run.rss_mb:4.0f} MB"


class Left:
    """Guesses how long a part still takes, from how long its runs took so far."""

    def __init__(self, runs: int) -> None:
        self._runs = runs
        self._done = 0
        self._began = time.monotonic()

    def after_one(self) -> str:
        """Count one run as done, and say what is left of the part."""
        self._done += 1
        left = self._runs - self._done
        seconds = (time.monotonic() - self._began) / self._done * left
        return f"{left} runs left, about {seconds:.0f} s" if left else "done"

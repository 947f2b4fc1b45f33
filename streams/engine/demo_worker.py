"""The worker of the demo: `throughline worker` by its environment's settings, which ends with the demo."""

import sys

from streams.config import load
from streams.engine.worker import run

if __name__ == "__main__":
    sys.exit(run(load(), ends_with_input=True))

"""One restore of all partitions: `python -m bench.variants.restoring BROKERS TOPIC FOLDER PARTITIONS`.

Prints the records read and the seconds they took, as JSON.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from state.rocks import RocksMemory, RocksStore
from streams.config import load
from streams.engine.changelog import Changelog
from streams.engine.clock import system_clock
from streams.engine.kit import Kit
from streams.engine.metrics import Metrics
from streams.engine.probe import unwatched


def main(brokers: str, topic: str, folder: str, partitions: str) -> None:
    """Restore databases that are not there yet."""
    settings = load(None, brokers=brokers)
    no_wire: Any = None  # a restore copies bytes
    changelog = Changelog(Kit(settings, no_wire, Metrics(), system_clock, unwatched), topic, "bench", 0)
    extents = changelog.extents(range(int(partitions)))
    memory = RocksMemory(settings.state_memory_mb * 2**20 // 2)
    stores = {number: RocksStore(Path(folder, str(number)), memory) for number in extents}
    began = time.monotonic()
    starts, ends = dict.fromkeys(extents, 0), {number: extent.end for number, extent in extents.items()}
    records = changelog.restore().run(starts, ends, stores)
    print(json.dumps({"records": records, "seconds": time.monotonic() - began}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

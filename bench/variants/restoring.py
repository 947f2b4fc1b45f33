"""One restore of all partitions: `python -m bench.variants.restoring BROKERS TOPIC FOLDER PARTITIONS`.

Prints the records read and the seconds they took, as JSON.
"""

import json
import sys
import time
from pathlib import Path

from state.rocks import RocksMemory, RocksStore
from streams.config import Settings
from streams.engine.changelog import Changelog


def main(brokers: str, topic: str, folder: str, partitions: str) -> None:
    """Restore databases that are not there yet."""
    changelog = Changelog({"bootstrap.servers": brokers, "log_level": 4}, topic, "bench", 0, lambda *_: None)
    extents = changelog.extents(range(int(partitions)))
    memory = RocksMemory(Settings.model_fields["state_memory_mb"].default * 2**20)
    stores = {number: RocksStore(Path(folder, str(number)), memory) for number in extents}
    began = time.monotonic()
    starts, ends = dict.fromkeys(extents, 0), {number: extent.end for number, extent in extents.items()}
    records = changelog.restore().run(starts, ends, stores)
    print(json.dumps({"records": records, "seconds": time.monotonic() - began}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The PSA of a measurement: commits row changes at a rate, and says when each approval was committed.

    python -m bench.committing DSN TEMPLATES RATE SECONDS

`TEMPLATES` is a JSON file with approved time entries. Every entry is written twice, submitted and then approved, each
in a transaction of its own; a line `id microseconds` goes to standard output once an approval is committed.
"""

import json
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from firm.database import PREFIX, PsaDatabase
from firm.wire import Record

ID = "BENCH-{}"


def change(template: dict[str, Any], number: int) -> Record:
    """Return the change with a number: an even one submits a new entry, the odd one after it approves that."""
    entry = {**template, "id": ID.format(number // 2), "hours": "1.5000"}
    if number % 2 == 0:
        entry |= {"status": "Submitted", "approved_at": None}
    return Record(f"{PREFIX}time_entries", entry["project_id"], {"before": None, "after": entry}, 0)


def main(dsn: str, templates: str, rate: str, seconds: str) -> None:
    """Write at a rate, in changes a second, for so many seconds."""
    entries: list[dict[str, Any]] = json.loads(Path(templates).read_text(encoding="utf-8"))
    per_second, changes = int(rate), int(rate) * int(seconds)
    with closing(PsaDatabase(dsn)) as database:
        began = time.monotonic()
        for number in range(changes):
            early = began + number / per_second - time.monotonic()
            if early > 0:
                time.sleep(early)  # the rate is what is measured at
            written = change(entries[number // 2 % len(entries)], number)
            database.apply([written])
            if number % 2:
                print(written.value["after"]["id"], time.time_ns() // 1_000)


if __name__ == "__main__":
    main(*sys.argv[1:5])

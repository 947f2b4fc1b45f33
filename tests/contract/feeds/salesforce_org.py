"""One organisation in memory: records, transactions with their change events, a bin, and a clock in the test's hand.

SystemModstamp and LastModifiedDate are to the second, as they are there. Replay ids rise and leave numbers out.
"""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.contract.feeds.salesforce_objects import Kind, kinds, schema_id

Record = dict[str, Any]
Change = Mapping[str, Any]

START_MS = 1_767_607_200_000  # 2026-01-05T10:00:00Z


@dataclass(frozen=True)
class Logged:
    """An event on the bus."""

    number: int
    object: str
    schema_id: str
    payload: bytes

    @property
    def replay_id(self) -> bytes:
        """Where a subscription goes on from after it."""
        return self.number.to_bytes(8) + b"\0\0"


class Org:
    """The organisation. All methods may be called from any thread."""

    def __init__(self, seed: int) -> None:
        self.lock = threading.Condition()
        self.kinds = kinds()
        self.records: dict[str, dict[str, Record]] = {name: {} for name in self.kinds}
        self.now_ms = START_MS
        self.whole_seconds = False  # commit times, too, are to the second
        self.log: list[Logged] = []
        self.kept_from = 0  # events before this place in the log are no longer kept
        self.held = False  # events are not delivered for now
        self.schemas: dict[str, str] = {}
        self._random = Random(seed)
        self._number = 1_000
        self._commit = 1_100_000_000_000
        self._ids = 0
        self._committed: dict[str, int] = {}  # when each record was committed last

    def commit(self, order: Mapping[str, Any]) -> list[str]:
        """Make one transaction; return the ids of the records changed.

        `changes`: what is changed. `advance_ms`: of the clock before it; `at_ms`: the clock itself. `lag_ms`: how
        long before the commit the records were stamped. `merge`: equal updates become one event. `gap`: events
        say only that something changed. `overflow`: they do not even say for which records. `silent`: there
        are none, as of an object that is not selected. `diffs`: fields whose texts come as differences.
        """
        with self.lock:
            self.now_ms = order.get("at_ms") or self.now_ms + order.get("advance_ms", 1_300)
            self._commit += self._random.randint(1, 50)
            done: list[tuple[str, str, str, Record]] = []
            for change in order["changes"]:
                # A transaction waits for the lock of a record, so it stamps none before the last commit of it.
                at_ms = max(self.now_ms - order.get("lag_ms", 0), self._committed.get(change.get("id") or "", 0))
                done += self._changed(change, at_ms // 1000 * 1000)
            self._committed |= {record_id: self.now_ms for _, record_id, _, _ in done}
            if order.get("silent"):
                pass
            elif order.get("overflow"):
                self._log_overflow({kind for kind, *_ in done})
            else:
                self._log_changes(done, order)
            self.lock.notify_all()
            return [record_id for _, record_id, _, _ in done]

    def retype(self, order: Mapping[str, Any]) -> None:
        """Add a field, change its type, drop it (type null), or make it a formula."""
        with self.lock:
            kind = self.kinds[order["object"]]
            name = order["field"]
            if order.get("formula"):
                kind.formulas.add(name)
            elif order.get("type") is None:
                del kind.fields[name]
            else:
                kind.fields[name] = order["type"]
            for record in self.records[kind.name].values():
                if name in record and (order.get("type") is None) and not order.get("formula"):
                    del record[name]
                elif order.get("value", ...) is not ...:
                    record[name] = order["value"]

    def there(self, name: str, *, deleted: bool) -> list[Record]:
        """The records of an object; `deleted`: with those in the bin."""
        return [record for record in self.records[name].values() if deleted or not record["IsDeleted"]]

    def expire(self) -> None:
        """Keep no event that was logged so far."""
        with self.lock:
            self.kept_from = len(self.log)

    def _changed(self, change: Change, stamp_ms: int) -> list[tuple[str, str, str, Record]]:
        """Apply one change; return (object, id, change type, changed values), those of records deleted with it, too."""
        kind = self.kinds[change["object"]]
        stamps = {"LastModifiedDate": stamp_ms, "SystemModstamp": stamp_ms}
        records = self.records[kind.name]
        if change["op"] == "create":
            self._ids += 1
            record_id = change.get("id") or f"{kind.prefix}{self._ids:012d}AAA"
            blank = dict.fromkeys(kind.fields)
            records[record_id] = {**blank, "Id": record_id, "IsDeleted": False, "CreatedDate": stamp_ms, **stamps,
                                  **change["fields"]}  # fmt: skip
            return [(kind.name, record_id, "CREATE", dict(records[record_id]))]
        record = records[change["id"]]
        if change["op"] == "purge":
            del records[change["id"]]
            return []
        if change["op"] == "update":
            fresh = {name: value for name, value in change["fields"].items() if record[name] != value}
            record.update(fresh, **stamps)
            return [(kind.name, change["id"], "UPDATE", {**fresh, "LastModifiedDate": stamp_ms})]
        gone = change["op"] == "delete"
        found = []
        for child in self._belonging(kind, change["id"], deleted=not gone):
            child.update(IsDeleted=gone, SystemModstamp=stamp_ms)
            found.append((self._kind_of(child["Id"]).name, child["Id"], "DELETE" if gone else "UNDELETE", dict(child)))
        record.update(IsDeleted=gone, SystemModstamp=stamp_ms)
        return [*found, (kind.name, change["id"], "DELETE" if gone else "UNDELETE", dict(record))]

    def _belonging(self, kind: Kind, record_id: str, *, deleted: bool) -> Iterator[Record]:
        for other in self.kinds.values():
            if other.parent_object == kind.name and other.parent is not None:
                yield from (record for record in self.records[other.name].values()
                            if record[other.parent] == record_id and record["IsDeleted"] is deleted)  # fmt: skip

    def _kind_of(self, record_id: str) -> Kind:
        return next(kind for kind in self.kinds.values() if record_id.startswith(kind.prefix))

    def _log_changes(self, done: list[tuple[str, str, str, Record]], order: Mapping[str, Any]) -> None:
        key = f"0000{self._random.getrandbits(48):012x}"
        merged: list[tuple[str, list[str], str, Record]] = []
        for name, record_id, change, values in done:
            last = merged[-1] if merged else None
            if order.get("merge") and last is not None and (last[0], last[2], last[3]) == (name, change, values):
                last[1].append(record_id)
            else:
                merged.append((name, [record_id], change, values))
        for sequence, (name, ids, change, values) in enumerate(merged, 1):
            whole = change in {"CREATE", "UNDELETE"}
            bare = change == "DELETE" or bool(order.get("gap"))
            header = self._header(name, ids, f"GAP_{change}" if order.get("gap") else change, key, sequence)
            diffs = [field for field in order.get("diffs", ()) if field in values and not whole and not bare]
            shown: Record = (
                {} if bare else {field: value for field, value in values.items() if value is not None or not whole}
            )
            self._log(name, header, shown, None if whole or bare else values, diffs)

    def _log_overflow(self, names: set[str]) -> None:
        for name in sorted(names):
            header = self._header(name, ["000000000000000AAA"], "GAP_OVERFLOW", "0000overflow", 1)
            self._log(name, header, {}, None, [])

    def _header(self, name: str, ids: list[str], change: str, key: str, sequence: int) -> dict[str, Any]:
        at_ms = self.now_ms // 1000 * 1000 if self.whole_seconds else self.now_ms
        return {
            "entityName": name, "recordIds": ids, "changeType": change, "changeOrigin": "com/salesforce/api/rest/62.0",
            "transactionKey": key, "sequenceNumber": sequence, "commitTimestamp": at_ms,
            "commitNumber": self._commit, "commitUser": "005000000000001AAA",
        }  # fmt: skip

    def _log(self, name: str, header: dict[str, Any], values: Record, changed: Any, diffs: list[str]) -> None:
        kind = self.kinds[name]
        text = kind.schema_text()
        self.schemas[schema_id(text)] = text
        self._number += self._random.randint(1, 40)
        self.log.append(Logged(self._number, name, schema_id(text), kind.payload(header, values, changed, diffs)))

"""A store in RocksDB: one database a partition, tables as key prefixes."""

from collections.abc import Iterator
from pathlib import Path

from rocksdict import Options, Rdict, ReadOptions, WriteBatch

from state.store import Writes


class StoreUnavailable(Exception):
    """The database cannot be opened: in use by another process, damaged, or the disk refuses it."""


class RocksStore:
    """A store that outlives its process. Keys are `table NUL key` in UTF-8."""

    def __init__(self, folder: Path) -> None:
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(16 * 1024 * 1024)
        options.set_max_open_files(256)
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = Rdict(str(folder), options)
        except Exception as error:  # rocksdict raises bare Exception for every cause
            raise StoreUnavailable(f"state at {folder} cannot be opened: {error}") from error

    def get(self, table: str, key: str) -> bytes | None:
        """Return the value of a key, or None."""
        value: bytes | None = self._db.get(_join(table, key))
        return value

    def scan(self, table: str, start: str, end: str, reverse: bool = False) -> Iterator[tuple[str, bytes]]:
        """Yield pairs with start <= key < end in key order, or backwards."""
        low, high, cut = _join(table, start), _join(table, end), len(table.encode()) + 1
        iterator = self._db.iter(ReadOptions())
        if reverse:
            iterator.seek_for_prev(high)
        else:
            iterator.seek(low)
        while iterator.valid():
            key = iterator.key()
            if not low <= key < high:
                if not (reverse and key == high):
                    return
            else:
                yield key[cut:].decode(), iterator.value()
            if reverse:
                iterator.prev()
            else:
                iterator.next()

    def apply(self, writes: Writes) -> None:
        """Make all writes visible at once."""
        batch = WriteBatch(raw_mode=True)
        for table, changes in writes.items():
            for key, value in changes.items():
                if value is None:
                    batch.delete(_join(table, key))
                else:
                    batch.put(_join(table, key), value)
        self._db.write(batch)

    def close(self) -> None:
        """Close the database, so that another process may open it."""
        self._db.close()


def _join(table: str, key: str) -> bytes:
    return f"{table}\x00{key}".encode()

"""A store in RocksDB: one database a partition, tables as key prefixes, and the changelog position it corresponds to.

The database and the partition's changelog hold the same entries: an entry's key is `table NUL key`, its value the bytes
of the table, and None deletes. What the database knows about itself lies under keys that begin with NUL, which no table
does, and is not part of the changelog.
"""

import errno
import shutil
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    Options,
    Rdict,
    RdictIter,
    ReadOptions,
    WriteBatch,
    WriteBufferManager,
    WriteOptions,
)

from state.store import Entry, Writes, entries_of, entry_key

FORMAT = b"1"
"""How keys and values are laid out. Another format is rebuilt from the changelog, not read."""

MEGABYTE = 1024 * 1024

_FORMAT_KEY = b"\x00format"
_POSITION_KEY = b"\x00position"
_CORRUPT_MARK = "CORRUPT"
_POSITION = struct.Struct(">qq")
_ROOM_BYTES_MIN = 2 * MEGABYTE
_STALL_SECONDS_MAX = 60.0
_STALL_PAUSE_SECONDS = 0.01
_BUFFER_BYTES_MAX = 32 * MEGABYTE
_BUFFER_FILTER_RATIO = 0.01
"""The part of a write buffer that goes to a filter over its keys: ten bits a key where an entry takes 125 bytes."""


class StoreUnavailable(Exception):
    """The database cannot be opened or written: in use by another process, or the disk refuses it."""


class StoreCorrupt(StoreUnavailable):
    """The database is damaged or of another format: it has to be set aside and rebuilt from the changelog."""


class RocksMemory:
    """What several databases may hold in memory together, in bytes: blocks read, and writes not yet in files."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self._cache = Cache(bytes_max)
        self._buffers = WriteBufferManager.new_write_buffer_manager_with_cache(bytes_max // 2, False, self._cache)

    def limit(self, options: Options, blocks: BlockBasedOptions) -> None:
        """Put a database under the common limit."""
        blocks.set_block_cache(self._cache)
        blocks.set_cache_index_and_filter_blocks(True)
        options.set_write_buffer_manager(self._buffers)
        options.set_write_buffer_size(min(_BUFFER_BYTES_MAX, max(self.bytes_max // 4, MEGABYTE)))

    def bytes_held(self) -> int:
        """Return how many bytes of the limit are taken."""
        return int(self._cache.get_usage())


class RocksStore:
    """A store that outlives its process. Keys are `table NUL key` in UTF-8.

    Every method but `close` raises `StoreUnavailable` or `StoreCorrupt`; a database found to be damaged is marked, so
    that it is not opened again.
    """

    position: int | None
    """The offset in the changelog up to which the database holds it, exclusive; None before anything was applied."""

    written_at: int
    """When entries were last applied, in milliseconds since 1970, UTC; 0 before."""

    def __init__(self, folder: Path, memory: RocksMemory | None = None) -> None:
        self.folder = folder
        self._closed = True
        options = _options(memory)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            if (folder / _CORRUPT_MARK).exists():
                raise StoreCorrupt(f"state at {folder} was found damaged before; set it aside and rebuild it")
            self._db = Rdict(str(folder), options)
            self._closed = False
            self._db.set_write_options(_write_options())
            self._check_format()
            self.position, self.written_at = self._read_position()
        except StoreCorrupt:
            raise
        except Exception as error:  # rocksdict raises bare Exception for every cause
            self.close()
            raise self._explained(error, "opened") from error

    def _check_format(self) -> None:
        found: bytes | None = self._db.get(_FORMAT_KEY)
        if found is None and not self._db.latest_sequence_number():
            self._db.put(_FORMAT_KEY, FORMAT)
        elif found != FORMAT:
            self.close()
            told = "none" if found is None else found.decode(errors="replace")
            raise StoreCorrupt(f"state at {self.folder} has format {told}, and this version reads {FORMAT.decode()}")

    def _read_position(self) -> tuple[int | None, int]:
        found: bytes | None = self._db.get(_POSITION_KEY)
        return (None, 0) if found is None else _POSITION.unpack(found)

    def get(self, table: str, key: str) -> bytes | None:
        """Return the value of a key, or None."""
        try:
            value: bytes | None = self._db.get(entry_key(table, key))
        except Exception as error:
            raise self._explained(error, "read") from error
        return value

    def scan(self, table: str, start: str, end: str, reverse: bool = False) -> Iterator[tuple[str, bytes]]:
        """Yield pairs with start <= key < end in key order, or backwards."""
        low, high, cut = entry_key(table, start), entry_key(table, end), len(table.encode()) + 1
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
        self._check(iterator)

    def _check(self, iterator: RdictIter) -> None:
        try:
            iterator.status()  # an iterator also ends where it meets a damaged block
        except Exception as error:
            raise self._explained(error, "read") from error

    def apply(self, writes: Writes) -> None:
        """Make all writes visible at once."""
        self._write(entries_of(writes))

    def apply_entries(self, entries: Sequence[Entry], position: int | None, now: int) -> None:
        """Make entries of the changelog visible at once, with the position they lead to; None leaves it as it is."""
        self._write(entries, None if position is None else _POSITION.pack(position, now))
        if position is not None:
            self.position, self.written_at = position, now

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all entries, as the changelog has them."""
        iterator = self._db.iter(ReadOptions())
        iterator.seek(b"\x01")
        while iterator.valid():
            yield iterator.key(), iterator.value()
            iterator.next()
        self._check(iterator)

    def begin_restore(self) -> None:
        """Write without the database's own log from now on: what a crash undoes, the changelog has."""
        unlogged = _write_options()
        unlogged.disable_wal = True  # type: ignore[method-assign, assignment]
        self._db.set_write_options(unlogged)

    def end_restore(self) -> None:
        """Bring what was restored into files, and log what is written from now on.

        In this order: logged writes over lost unlogged ones would leave a position without its entries.
        """
        try:
            self._db.flush()
        except Exception as error:
            raise self._explained(error, "written") from error
        self._db.set_write_options(_write_options())

    def size_bytes(self) -> int:
        """Return how many bytes the database takes in files and in memory, about."""
        files = self._db.property_int_value("rocksdb.total-sst-files-size") or 0
        return int(files + (self._db.property_int_value("rocksdb.cur-size-all-mem-tables") or 0))

    def close(self) -> None:
        """Close the database, so that another process may open it."""
        if not self._closed:
            self._closed = True
            with suppress(Exception):  # a disk that is full or gone was told of when it was written to
                self._db.close()

    def _write(self, entries: Sequence[Entry], position: bytes | None = None) -> None:
        """Write entries at once; wait while the database is behind with its files, unless that is for want of room.

        Left to wait by itself, it would do so for ever on a disk that is full.
        """
        deadline = time.monotonic() + _STALL_SECONDS_MAX
        while True:
            batch = WriteBatch(raw_mode=True)  # one that was refused is used up
            for key, value in entries:
                if value is None:
                    batch.delete(key)
                else:
                    batch.put(key, value)
            if position is not None:
                batch.put(_POSITION_KEY, position)
            try:
                self._db.write(batch)
                return
            except Exception as error:
                if "incomplete" not in str(error):  # a write that would stall
                    raise self._explained(error, "written") from error
                if shutil.disk_usage(self.folder).free < _ROOM_BYTES_MIN:
                    raise self._explained(OSError("No space left on device"), "written") from error
                if time.monotonic() > deadline:
                    told = f"behind with its files for {_STALL_SECONDS_MAX:.0f} s; is the disk too slow?"
                    raise StoreUnavailable(f"state at {self.folder} cannot be written: {told}") from error
            time.sleep(_STALL_PAUSE_SECONDS)

    def _explained(self, error: Exception, done: str) -> StoreUnavailable:
        reason = str(error)
        if "lock" in reason.lower() and ("hold by current process" in reason or "unavailable" in reason):
            return StoreUnavailable(
                f"state at {self.folder} cannot be {done}: another process has it open, or this one has already; "
                f"stop that one, or give this worker a state_folder of its own ({reason})"
            )
        if "No space left" in reason or f"errno {errno.ENOSPC}" in reason:
            return StoreUnavailable(f"state at {self.folder} cannot be {done}: the disk is full; make room ({reason})")
        if "orruption" in reason or "bad block" in reason:
            self._mark_corrupt()
            return StoreCorrupt(f"state at {self.folder} is damaged ({reason}); set it aside and rebuild it")
        return StoreUnavailable(f"state at {self.folder} cannot be {done}: {reason}")

    def _mark_corrupt(self) -> None:
        if self.folder.is_dir():
            (self.folder / _CORRUPT_MARK).touch()


def set_aside(folder: Path, now: int) -> Path:
    """Move a database out of the way, under a name that says when, and return where it is now."""
    aside = folder.with_name(f"{folder.name}.set-aside-{now}")
    folder.rename(aside)
    return aside


def _write_options() -> WriteOptions:
    options = WriteOptions()
    options.no_slowdown = True
    return options


def _options(memory: RocksMemory | None) -> Options:
    options, blocks = Options(raw_mode=True), BlockBasedOptions()
    options.create_if_missing(True)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(2)
    blocks.set_bloom_filter(10, False)
    # In parts: whole, the index and filter of a large file outgrow what a shard of the cache holds, and would be read
    # and unpacked again for every key.
    blocks.set_index_type(BlockBasedIndexType.two_level_index_search())
    blocks.set_partition_filters(True)
    blocks.set_pin_top_level_index_and_filter(True)
    # Most lookups that come so far are for keys that are nowhere: new rows. Files say so by their filters, and what is
    # in memory says so by this one, in less than half the time.
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(_BUFFER_FILTER_RATIO)
    if memory is None:
        options.set_write_buffer_size(16 * MEGABYTE)
    else:
        memory.limit(options, blocks)
    options.set_block_based_table_factory(blocks)
    return options

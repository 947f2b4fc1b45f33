"""What the feed remembers of every record: the row that was landed last, its position, and how far it is known."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from connect.feeds.contract import Memory
from connect.feeds.salesforce.events import Order
from connect.feeds.salesforce.objects import Object

_ROW: Final = "row"
_CHILD: Final = "child"
_OWNER: Final = "key"
_HORIZON: Final = "horizon"
STREAM: Final = "stream"


class Known(NamedTuple):
    """A record as it was landed last. `row` None: it was deleted, or is not landed.

    `read_ms`: its SystemModstamp when it was last read by query. `order`: the last event that is contained in it.
    `lookups`: what the fields that dotted paths go through held. `children`: ids of the child records in it.
    `refused`: it has no key, which was said.
    """

    row: Mapping[str, Any] | None
    position: int
    read_ms: int | None = None
    order: Order | None = None
    lookups: Mapping[str, str | None] = {}
    children: tuple[str, ...] = ()
    refused: bool = False


class Child(NamedTuple):
    """A child record as it is in its parent's row. `entry`: what it is there."""

    parent: str
    entry: Mapping[str, Any]


class Owner(NamedTuple):
    """Whose row is under an identity that is not the record's Id, and where its last version stands; None: nobody's."""

    id: str | None
    position: int


class Stream(NamedTuple):
    """How far the stream was read: up to a replay id, None if there is none to go on from; when its last event was."""

    replay: bytes | None
    at_ms: int


class Horizon(NamedTuple):
    """How far an object was read by query: up to which SystemModstamp, None if not at all, and whether to its end.

    `way` is in which way: read in another, with other fields, what is remembered is no whole row.
    """

    at_ms: int | None
    complete: bool
    way: str


def row_key(read: Object, record_id: str) -> str:
    """Return the key of a record in the memory."""
    return f"{_ROW}/{read.object}/{record_id}"


def child_key(object_name: str, record_id: str) -> str:
    """Return the key of a child record in the memory."""
    return f"{_CHILD}/{object_name}/{record_id}"


def owner_key(read: Object, identity: str) -> str:
    """Return the key of an identity in the memory."""
    return f"{_OWNER}/{read.object}/{identity}"


def horizon_key(object_name: str) -> str:
    """Return the key of how far an object was read by query."""
    return f"{_HORIZON}/{object_name}"


def unswept_key(object_name: str) -> str:
    """Return the key of a note that too many records of an object were gone at once."""
    return f"unswept/{object_name}"


def horizon(memory: Memory, object_name: str) -> Horizon:
    """Return how far an object was read by query."""
    found = memory.get(horizon_key(object_name))
    return Horizon(None, False, "") if found is None else Horizon(*orjson.loads(found))


def horizon_bytes(read_to: Horizon) -> bytes:
    """Return the bytes that `horizon` reads."""
    return orjson.dumps(tuple(read_to))


def stream(memory: Memory) -> Stream:
    """Return how far the stream was read."""
    found = memory.get(STREAM)
    if found is None:
        return Stream(None, 0)
    replay, at_ms = orjson.loads(found)
    return Stream(None if replay is None else bytes.fromhex(replay), at_ms)


def stream_bytes(read_to: Stream) -> bytes:
    """Return the bytes that `stream` reads."""
    return orjson.dumps((None if read_to.replay is None else read_to.replay.hex(), read_to.at_ms))


def known_of(found: bytes | None) -> Known | None:
    """Return a record from its bytes."""
    if found is None:
        return None
    row, position, read_ms, order, lookups, children, refused = orjson.loads(found)
    return Known(row, position, read_ms, None if order is None else Order(*order), lookups, tuple(children), refused)


def known_bytes(known: Known) -> bytes:
    """Return the bytes that `known_of` reads."""
    order = None if known.order is None else tuple(known.order)
    return orjson.dumps(tuple(known._replace(order=order)))  # type: ignore[arg-type]


def child_of(found: bytes | None) -> Child | None:
    """Return a child record from its bytes."""
    return None if found is None else Child(*orjson.loads(found))


def child_bytes(child: Child) -> bytes:
    """Return the bytes that `child_of` reads."""
    return orjson.dumps(tuple(child))


def owner_of(found: bytes | None) -> Owner:
    """Return whose row is under an identity."""
    return Owner(None, -1) if found is None else Owner(*orjson.loads(found))


def owner_bytes(owner: Owner) -> bytes:
    """Return the bytes that `owner_of` reads."""
    return orjson.dumps(tuple(owner))


def landed(memory: Memory, read: Object) -> list[tuple[str, Known]]:
    """Return all records of an object that are landed and not deleted, each with its id."""
    prefix = row_key(read, "")
    rows = ((key, known_of(value)) for key, value in memory.items() if key.startswith(prefix))
    return [(key.removeprefix(prefix), known) for key, known in rows if known is not None and known.row is not None]


def outdated(memory: Memory, read: Object, before_position: int) -> list[str]:
    """Return the keys of what is remembered of deleted records and keys whose last version is before a position."""
    gone = []
    for key, value in memory.items():
        if key.startswith(row_key(read, "")):
            known = known_of(value)
            if known is not None and known.row is None and not known.refused and known.position < before_position:
                gone.append(key)
        elif key.startswith(owner_key(read, "")):
            owner = owner_of(value)
            if owner.id is None and owner.position < before_position:
                gone.append(key)
    return gone

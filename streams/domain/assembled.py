"""What assembly keeps of rows in their own system's shape, and the messages by which they look each other up.

Columns are kept as text, in one form a type: a bool is `true` or `false`, an instant RFC 3339, a duration `PT27000S`. A
column that is missing was not asked for when the row came: it is not known, which is another thing than null.
"""

from typing import NamedTuple

from streams.domain.fact import Cause


class NativeRow(NamedTuple):
    """A row of a system's own table: the newest version seen, whether that was no delete, the columns in force.

    `columns` is empty while no version is in force: after a delete, and where none could be read. `position` is that of
    the last change seen, `reread` that of the last reading on request, 0 if never; see `streams.domain.kept.Kept`.
    """

    cause: Cause
    position: int
    reread: int
    live: bool
    columns: tuple[str, ...]
    texts: tuple[str | None, ...]


class Sought(NamedTuple):
    """A row that another needs, under the name of the lookup: asked for, found with its columns, or absent."""

    name: str
    table: str
    id: str
    state: str
    columns: tuple[str, ...]
    texts: tuple[str | None, ...]
    occurred_at: int


class Joined(NamedTuple):
    """What is known of one assembled row: the position it was told at last, how it was told, the rows it needs.

    `said` are its fields that are not null; None while it is not told, or was taken back.
    """

    position: int
    said: tuple[tuple[str, str], ...] | None
    sought: tuple[Sought, ...]


class Lookup(NamedTuple):
    """An assembled row asks to be told of a row of a table, now and at every later change of the columns it needs.

    It goes to the row that is asked for. `wanted` False takes the wish back.
    """

    table: str
    id: str
    row_topic: str
    row_id: str
    name: str
    wanted: bool


class Answer(NamedTuple):
    """What a row says to one that has asked: its columns, or that it is not there. It goes to the one that asked."""

    row_topic: str
    row_id: str
    name: str
    table: str
    id: str
    found: bool
    columns: tuple[str, ...]
    texts: tuple[str | None, ...]
    cause: Cause

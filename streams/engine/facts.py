"""Internal facts as Avro: which records travel on the internal topics, what their fields mean, and how they turn back.

Steps exchange NamedTuples. On the wire each is an Avro record of the same name, under the contract `canonical.NAME`,
but for three things: a decimal of a message is text, since quotients are exact and have any number of digits; pairs of
texts are a map; and a fact says the type of its row, which its kind leaves open. Rows hold decimals as their kinds.
"""

import types
import typing
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, NamedTuple

from schemas.avro import CANONICAL_NAMESPACE
from schemas.codec import Shape
from schemas.contracts import CANONICAL
from schemas.plan import Tuples
from streams.domain import canonical
from streams.domain.assembled import Answer, Lookup
from streams.domain.fact import (
    Allocation,
    Cause,
    Claim,
    Employment,
    Fact,
    MarginPart,
    Person,
    PersonQuery,
    ProjectView,
)
from streams.domain.undertaking import StepOutcome
from streams.engine.fact_docs import DOCS

__all__ = ["CONTRACTS", "DOCS", "MESSAGES", "FactShapes"]

Fields = dict[str, Any]
Turn = Callable[[Any], Any]

_PAIRS = tuple[tuple[str, str], ...]
_VERSION = tuple[int, int]
_ROW_TYPE = "row_type"

ROWS: Mapping[str, type] = {row.__name__: row for row in (*typing.get_args(canonical.Row), ProjectView)}
"""What a fact may carry, by name."""

MESSAGES: Mapping[str, type] = {
    message.__name__: message
    for message in (Fact, Person, PersonQuery, Employment, Allocation, MarginPart, Claim, Lookup, Answer, StepOutcome)
}
"""What travels on the internal topics, by name."""


def _as_travels(message: type, already: dict[type, Any]) -> Any:
    """Return the NamedTuple class that describes a message on the wire."""
    if message in already:
        return already[message]
    if _is_row(message):
        return already.setdefault(message, message)
    fields: list[tuple[str, Any]] = []
    for name, hint in typing.get_type_hints(message).items():
        if message is Fact and name == "row":
            fields.append((_ROW_TYPE, str | None))
            fields.append((name, typing.Union[(*ROWS.values(), None)]))
        else:
            fields.append((name, _hint_as_travels(hint, already)))
    make: Any = NamedTuple
    made = make(message.__name__, fields)
    made.__doc__ = message.__doc__
    made.__new__.__defaults__ = tuple(getattr(message, "_field_defaults", {}).values())
    made._field_defaults = getattr(message, "_field_defaults", {})
    return already.setdefault(message, made)


def _hint_as_travels(hint: Any, already: dict[type, Any]) -> Any:
    if hint is Decimal:
        return str
    if hint == _PAIRS:
        return dict[str, str]
    if hint == _VERSION:
        return tuple[int, ...]
    if _is_named(hint):
        return _as_travels(hint, already)
    if isinstance(hint, types.UnionType):
        return typing.Union[tuple(_hint_as_travels(branch, already) for branch in typing.get_args(hint))]  # noqa: UP007
    return hint


def _is_row(hint: Any) -> bool:
    return hint in (Cause, canonical.CostRate) or hint in ROWS.values()


def _is_named(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields")


_TRAVELLING: dict[type, Any] = {}
CONTRACTS: tuple[type, ...] = tuple(_as_travels(message, _TRAVELLING) for message in MESSAGES.values())
"""The classes whose Avro contracts are written to `schemas/canonical`."""


class FactShapes:
    """Turns messages into Avro fields and back, with functions compiled from their type hints.

    They say what a message is on the wire; the compiled codec goes without the fields in between, by `of_subjects`.
    """

    def __init__(self) -> None:
        self._out: dict[Any, Turn | None] = {}
        self._back: dict[Any, Turn | None] = {}
        self._rows_out = {name: self._turn(row, self._out, _out_of) for name, row in ROWS.items()}
        self._rows_back = {name: self._turn(row, self._back, _back_to) for name, row in ROWS.items()}
        self._messages_out: dict[str, Turn] = {}
        self._messages_back: dict[str, Turn] = {}
        for name, message in MESSAGES.items():
            self._messages_out[name] = self._turn(_exact(message), self._out, _out_of) or dict
            self._messages_back[name] = self._turn(_exact(message), self._back, _back_to) or dict

    def fields_of(self, message: Any) -> Fields:
        """Return the Avro fields of a message. Raises KeyError for a type that does not travel."""
        name = type(message).__name__
        fields: Fields = self._messages_out[name](message)
        if name == "Fact":
            row = message.row
            row_type = None if row is None else type(row).__name__
            fields[_ROW_TYPE] = row_type
            if row_type is not None:
                turn = self._rows_out[row_type]
                assert turn is not None  # rows are NamedTuples
                fields["row"] = (f"{CANONICAL_NAMESPACE}.{row_type}", turn(row))
        return fields

    def message_of(self, name: str, fields: Fields) -> Any:
        """Return the message in Avro fields, given the name of its record. Raises KeyError for an unknown one."""
        if name == "Fact":
            row_type = fields.pop(_ROW_TYPE)
            if row_type is not None:
                turn = self._rows_back[row_type]
                assert turn is not None  # rows are NamedTuples
                fields["row"] = turn(fields["row"])
        return self._messages_back[name](fields)

    def of_subjects(self) -> dict[str, Shape]:
        """Return the shapes of all messages for a codec, by the subjects of their contracts."""
        classes: dict[str, type] = {}
        for cls in (*MESSAGES.values(), *ROWS.values()):
            _gather(cls, classes)
        tuples = Tuples({f"{CANONICAL_NAMESPACE}.{name}": cls for name, cls in classes.items()}, {_ROW_TYPE: "row"})
        return {
            f"{CANONICAL}{name}": Shape(tuples, self.fields_of, partial(self._message_of_fields, name))
            for name in MESSAGES
        }

    def _message_of_fields(self, name: str, fields: Fields) -> Any:
        try:
            return self.message_of(name, fields)
        except (KeyError, TypeError, InvalidOperation) as error:
            raise ValueError(f"these fields make no {name}: {type(error).__name__} {error}") from error

    def _turn(self, hint: Any, known: dict[Any, Turn | None], make: Callable[..., Turn | None]) -> Turn | None:
        if hint not in known:
            known[hint] = None  # no type holds itself
            known[hint] = make(hint, lambda inner: self._turn(inner, known, make))
        return known[hint]


def _gather(hint: Any, found: dict[str, type]) -> None:
    """Add the NamedTuple classes that a value may be made of, by name."""
    if _is_named(hint):
        found[hint.__name__] = hint
        for field in typing.get_type_hints(hint).values():
            _gather(field, found)
    for argument in typing.get_args(hint):
        _gather(argument, found)


class _Exact(NamedTuple):
    """A type whose decimals travel as text; as a key apart from the same type within a row."""

    of: Any


def _exact(hint: Any) -> Any:
    """Return a hint marked as part of a message, unless it is a row or a part of one."""
    return hint if _is_row(hint) else _Exact(hint)


Inner = Callable[[Any], Turn | None]


def _parts(hint: Any) -> tuple[Any, Any]:
    """Return the class behind a hint, and what to wrap its fields' hints in."""
    return (hint.of, _exact) if isinstance(hint, _Exact) else (hint, lambda field: field)


def _out_of(hint: Any, inner: Inner) -> Turn | None:
    """Return what turns a value of a type into what Avro takes, or None where it is the same."""
    cls, wrap = _parts(hint)
    if cls is Decimal:
        return str if isinstance(hint, _Exact) else None
    if cls == _PAIRS:
        return dict
    if cls == _VERSION:
        return list
    if _is_named(cls):
        turns = [(name, inner(wrap(field))) for name, field in typing.get_type_hints(cls).items()]
        names = tuple(name for name, _ in turns)
        turned = tuple((name, turn) for name, turn in turns if turn is not None)

        def record(value: Any) -> Fields:
            fields = dict(zip(names, value, strict=True))
            for name, turn in turned:
                part = fields[name]
                if part is not None:
                    fields[name] = turn(part)
            return fields

        return record
    return _of_several(cls, wrap, inner, list)


def _back_to(hint: Any, inner: Inner) -> Turn | None:
    """Return what turns what Avro gives into a value of a type, or None where it is the same."""
    cls, wrap = _parts(hint)
    if cls is Decimal:
        return Decimal if isinstance(hint, _Exact) else None
    if cls == _PAIRS:
        return lambda value: tuple(value.items())
    if cls == _VERSION:
        return tuple
    if _is_named(cls):
        turns = tuple((name, inner(wrap(field))) for name, field in typing.get_type_hints(cls).items())
        turned = tuple((name, turn) for name, turn in turns if turn is not None)

        def value_of(fields: Fields) -> Any:
            for name, turn in turned:
                part = fields[name]
                if part is not None:
                    fields[name] = turn(part)
            return cls(**fields)

        return value_of
    return _of_several(cls, wrap, inner, tuple)


def _of_several(hint: Any, wrap: Callable[[Any], Any], inner: Inner, gather: Callable[..., Any]) -> Turn | None:
    """Return the turn of an optional type or of a tuple of one type."""
    arguments = typing.get_args(hint)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        branches = [branch for branch in arguments if branch is not types.NoneType]
        return inner(wrap(branches[0])) if len(branches) == 1 else None
    if typing.get_origin(hint) is tuple:
        turn = inner(wrap(arguments[0]))
        return gather if turn is None else (lambda values: gather(map(turn, values)))
    return None

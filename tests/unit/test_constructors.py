"""Calling a named tuple says and does the same on compiled modules, where it takes another way."""

import copy
import gc
import re
import sys
from collections import namedtuple
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest

from streams import compiled
from streams.domain.fact import NO_CAUSE, Cause
from streams.domain.kept import Activation, Kept
from streams.domain.ledger import Totals, Work, Worth
from streams.domain.made import made
from streams.rules.exceptions import Entity
from streams.topology import topology
from tests.support.streams import reader, rulebook

topology(rulebook(), reader())  # by now all are as they will be

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

FITTING: list[tuple[Any, Arguments, tuple[Any, ...]]] = [
    (Cause, (("topic", 1, 2, 3, 4, 5), {}), ("topic", 1, 2, 3, 4, 5)),
    (Cause, (("topic", 1), {"occurred_at": 5, "offset": 2, "epoch": 4, "position": 3}), ("topic", 1, 2, 3, 4, 5)),
    (Worth, ((), {}), (None, None, (), None, None)),
    (Worth, (("time",), {"rate": 7}), ("time", None, (), None, 7)),
    (Kept, ((0, 1, True, "row"), {}), (0, 1, True, "row", False, 0)),
    (Kept, ((0, 1, True), {"refused": True, "good": None}), (0, 1, True, None, True, 0)),
    (Entity, ((), {"kind": "project", "id": "P1"}), ("project", "P1", None, None, None, "")),
    (Activation, ((), {"opportunity": None, "attempt": 2}), (None, -1, (), 0, 0, 2, (), 0, 0)),
]


@pytest.mark.parametrize(("cls", "arguments", "fields"), FITTING)
def test_positions_keywords_and_defaults_come_to_their_places(
    cls: Any, arguments: Arguments, fields: tuple[Any, ...]
) -> None:
    made_so = cls(*arguments[0], **arguments[1])
    assert type(made_so) is cls
    assert tuple(made_so) == fields
    assert made_so == made(cls, fields) == made(cls, list(fields)) == cls._make(fields)
    assert hash(made_so) == hash(fields)
    assert copy.deepcopy(made_so) == made_so


def test_keywords_need_not_be_interned() -> None:
    keywords: dict[str, Any] = {"".join(["ra", "te"]): 7}
    assert Worth(**keywords).rate == 7


MISFITS: list[tuple[Any, Arguments]] = [
    (Cause, ((), {})),
    (Cause, (("topic", 1, 2, 3, 4), {})),
    (Cause, (("topic", 1, 2, 3, 4, 5, 6), {})),
    (Cause, (("topic", 1, 2, 3, 4), {"occurred": 5})),
    (Cause, (("topic", 1, 2, 3, 4, 5), {"topic": "other"})),
    (Worth, (("time",), {"kind": "time"})),
    (Worth, ((), {"nothing": 1})),
    (Entity, ((), {"id": "P1"})),
]


@pytest.mark.parametrize(("cls", "arguments"), MISFITS)
def test_what_does_not_fit_is_told_as_by_any_named_tuple(cls: Any, arguments: Arguments) -> None:
    with pytest.raises(TypeError) as told:
        cls(*arguments[0], **arguments[1])
    with pytest.raises(TypeError) as meant:
        cls.__new__(cls, *arguments[0], **arguments[1])
    assert str(told.value) == str(meant.value)


def test_fields_are_replaced_and_the_rest_stays() -> None:
    worth: Any = Worth("time", None, (), Decimal(7))
    assert worth._replace(rate=2, kind="overage") == ("overage", None, (), 7, 2)
    assert worth == ("time", None, (), 7, None)
    assert type(worth._replace()) is Worth
    assert worth._replace() == worth
    keywords: dict[str, Any] = {"".join(["ra", "te"]): 7}
    assert worth._replace(**keywords) == ("time", None, (), 7, 7)


@pytest.mark.parametrize(
    ("arguments", "told", "message"),
    [
        (((), {"nothing": 1}), ValueError, "Got unexpected field names: ['nothing']"),
        (((), {"rate": 1, "nothing": 1}), ValueError, "Got unexpected field names: ['nothing']"),
        ((("time",), {}), TypeError, "takes 1 positional argument but 2 were given"),
    ],
)
def test_what_cannot_be_replaced_is_told_as_by_any_named_tuple(
    arguments: Arguments, told: type[Exception], message: str
) -> None:
    with pytest.raises(told, match=re.escape(message)):
        Worth()._replace(*arguments[0], **arguments[1])


def test_a_class_derived_from_a_quick_one_is_as_it_was() -> None:
    class Derived(Worth):
        def __new__(cls, kind: str) -> Any:
            return super().__new__(cls, kind, None, (), None, None)

    assert type(Derived("time")._replace(kind="overage")) is Derived
    assert Derived("time") == ("time", None, (), None, None)


def test_nothing_is_kept_alive_and_cycles_are_found() -> None:
    before = sys.getrefcount(NO_CAUSE)
    for _ in range(100):
        Work("P1", NO_CAUSE, (0, 0), None, None, role="any")  # type: ignore[arg-type]
        made(Work, [NO_CAUSE] * 16)
        with pytest.raises(TypeError):
            Work("P1", NO_CAUSE, nothing=1)  # type: ignore[call-arg]
        made(Work, [NO_CAUSE] * 16)._replace(project_id="P1", cause=NO_CAUSE)
        with pytest.raises(ValueError, match="nothing"):
            made(Work, [NO_CAUSE] * 16)._replace(cause=NO_CAUSE, nothing=1)  # type: ignore[call-arg]
    assert sys.getrefcount(NO_CAUSE) == before
    held: list[Any] = []
    held.append(Worth(kind=held))  # type: ignore[arg-type]
    assert gc.is_tracked(held[0])


def test_made_takes_what_the_constructor_of_tuples_takes() -> None:
    assert made(Totals, (field for field in Totals())) == Totals()
    assert made(tuple, [1, 2]) == (1, 2)
    with pytest.raises(TypeError):
        made(list, [1])  # type: ignore[type-var, unused-ignore]
    with pytest.raises(TypeError):
        made()  # type: ignore[call-arg]


def test_all_named_tuples_of_streams_take_the_quick_way_where_compiled_modules_run() -> None:
    if compiled.in_use():
        quicken = import_module(compiled.CONSTRUCTORS).quicken
        assert quicken(Worth, ()) is False, "it is quick already"
        assert quicken(namedtuple("Own", "a"), ()) is True
        assert quicken(type("Other", (tuple,), {"_fields": (), "__init__": lambda _: None}), ()) is False

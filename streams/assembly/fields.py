"""Fields of assembled rows: from columns of native rows, as text, to the text and the value of each field.

A field that comes about from nothing is left out; what cannot be made is a fault, and all faults of a row are told.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

from schemas.assembly import Column, Condition, FieldRule, Reference, Translations
from schemas.kinds import DIGITS, Kind
from streams.assembly.rows import Texts
from streams.domain.money import EXACT
from streams.intake.change import Refusal
from streams.intake.fields import Fault, UnmappedValue, shown

Parts = Mapping[str, Texts]
"""The columns that a row is assembled from: under the name of a lookup, and the row's own under the empty name."""

_DURATION: Final = re.compile(r"(-?)PT([0-9]{1,15}(?:\.[0-9]{1,9})?)S")
_NUMBER: Final = re.compile(r"(-?)([0-9]{1,15}(?:\.[0-9]{1,9})?)")
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")
_IN_AN_HOUR: Final = {"seconds": Decimal(3600), "minutes": Decimal(60), "hours": Decimal(1)}
_HOURS_PLACES: Final = Decimal("0.0001")
_NO_ROW: Final = frozenset(["", "-1"])


def named(reference: Reference, parts: Parts) -> str | None:
    """Return the id of the row that a reference names, None if it names none. Raises Fault for what is no reference."""
    text = _text(reference.column, parts)
    if text is None:
        return None
    if reference.model:
        model, comma, identity = text.partition(",")
        if not comma:
            raise Fault(f"{shown(text)} in {reference.column} is no reference: it would be a model, a comma, an id")
        return identity if model == reference.model and identity not in _NO_ROW else None
    if reference.first_of:
        text = text.split(reference.first_of, 1)[0]
    if not text or not text.isprintable():
        raise Fault(f"{shown(text)} in {reference.column} names no row")
    return text


def holds(condition: Condition, parts: Parts, translations: Translations) -> bool:
    """Tell whether a native row is of those that others are made from."""
    text = _text(condition.column, parts)
    if condition.kind == "absent":
        return text is None
    if condition.kind == "equals":
        return text == condition.value
    return text is not None and text in translations[condition.value]


def texts_of(
    rules: tuple[FieldRule, ...], parts: Parts, namespace: str, translations: Translations, key: str
) -> dict[str, str] | Refusal | None:
    """Return the fields of an assembled row that are not null, or why it cannot be made.

    None where the field that is its key is null: it belongs to nothing, such as time for no project.
    """
    texts: dict[str, str] = {}
    unmapped, invalid = [], []
    for rule in rules:
        try:
            _check_known(rule, parts, translations)
            text = _field(rule, parts, namespace, translations)
            if text is not None:
                texts[rule.name] = _plain(rule, text)
            elif rule.name == key:
                return None
        except UnmappedValue as unknown:
            unmapped.append(f"{rule.name}: {unknown}")
        except Fault as fault:
            invalid.append(f"{rule.name}: {fault}")
    if invalid:
        return Refusal("validation_failed", (*invalid, *unmapped))
    return Refusal("unmapped_value", tuple(unmapped)) if unmapped else texts


def values_of(rules: tuple[FieldRule, ...], texts: Mapping[str, str], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the values of a row's fields; what has no text is None. Raises Fault for text that its kind cannot be."""
    values: dict[str, Any] = dict.fromkeys(names)
    for rule in rules:
        text = texts.get(rule.name)
        if text is not None:
            try:
                values[rule.name] = _value(rule.kind, text)
            except (ValueError, InvalidOperation):
                raise Fault(f"{rule.name}: {shown(text)} is no {rule.kind}") from None
    return values


def _text(column: Column, parts: Parts) -> str | None:
    return parts[column.lookup][column.name]


def _field(rule: FieldRule, parts: Parts, namespace: str, translations: Translations) -> str | None:
    way = rule.way
    if way == "constant":
        return rule.constant
    if rule.reference is not None:
        identity = named(rule.reference, parts)
        return None if identity is None else f"{namespace}:{identity}"
    if way == "absent":
        return "true" if _text(rule.columns[0], parts) is None else "false"
    if way == "crosswalk":
        return _translated(rule, parts, translations)
    for column in rule.columns:
        text = _text(column, parts)
        if text is not None:
            return text
    return None


def _translated(rule: FieldRule, parts: Parts, translations: Translations) -> str | None:
    missed = []
    for table, column in zip(rule.tables, rule.columns, strict=True):
        text = _text(column, parts)
        if text is None:
            continue
        if text in translations[table]:
            return translations[table][text]
        missed.append(f"{table} has no {shown(text)}")
    if missed:
        raise UnmappedValue(f"crosswalk {', '.join(missed)}")
    return None


def _check_known(rule: FieldRule, parts: Parts, translations: Translations) -> None:
    for table, column in rule.known:
        text = _text(column, parts)
        if text is not None and text not in translations[table]:
            raise UnmappedValue(f"crosswalk {table} has no {shown(text)}")


def _plain(rule: FieldRule, text: str) -> str:
    """Return text in the form that its kind has: a duration is hours, the day of an instant its UTC date."""
    if rule.kind is Kind.HOURS:
        return _hours(text, rule.unit)
    if rule.kind is Kind.DATE and "T" in text:
        return text.split("T", 1)[0]
    return text


def _hours(text: str, unit: str) -> str:
    """Return hours, to four places; a plain number counts what its unit says, and is no hours without."""
    found = _NUMBER.fullmatch(text) if unit else _DURATION.fullmatch(text)
    if found is None:
        raise Fault(f"{shown(text)} is no {f'number of {unit}' if unit else 'duration: a number needs a unit'}")
    hours = EXACT.divide(Decimal(found[2]), _IN_AN_HOUR[unit or "seconds"])
    return f"{found[1]}{hours.quantize(_HOURS_PLACES, ROUND_HALF_UP, EXACT):f}"


def _value(kind: Kind, text: str) -> Any:
    if kind in DIGITS:
        return Decimal(text)
    if kind is Kind.DATE:
        return date.fromisoformat(text)
    if kind is Kind.TIMESTAMP:
        moment = datetime.fromisoformat(text).astimezone(UTC)
        return moment - timedelta(microseconds=moment.microsecond % 1000)
    if kind is Kind.BOOL:
        return _bool(text)
    if kind is Kind.INT:
        if _WHOLE.fullmatch(text) is None:
            raise ValueError(text)
        return int(text)
    return text


def _bool(text: str) -> bool:
    """Return a bool; MySQL has numbers for them."""
    if text not in ("true", "false", "1", "0"):
        raise ValueError(text)
    return text in ("true", "1")

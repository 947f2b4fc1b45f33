"""Row readers: from a source row to its canonical row, as the mapping files say."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from operator import itemgetter
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_type_hints

from schemas.kinds import DIGITS, Kind
from schemas.lined_yaml import UnusableFile
from schemas.mapping import FieldSpec, TopicMapping
from streams.domain import canonical
from streams.domain.made import made
from streams.intake.change import Refusal
from streams.intake.fields import Converter, Fault, UnmappedValue, converter

_TYPES: Final[dict[Kind, type]] = {
    **dict.fromkeys(DIGITS, Decimal),
    **dict.fromkeys((Kind.STRING, Kind.CURRENCY, Kind.PERIOD), str),
    **dict.fromkeys((Kind.INT, Kind.TIMESTAMP), int),
    Kind.BOOL: bool,
    Kind.DATE: date,
}


class Refused(Exception):
    """A row cannot be read; carries all its faults."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__("; ".join(refusal.reasons))


_Field = tuple[str, bool, Converter]
"""The name of a field in the source's row, whether it is required, and what converts it."""


class RowReader:
    """Reads the rows of one source topic. Raises UnusableFile if its mapping does not fill a canonical row.

    `formerly` gives the name of a field by each name that its column had before.
    """

    def __init__(self, mapping: TopicMapping) -> None:
        self.mapping = mapping
        self.kind = mapping.row
        if faults := list(_row_faults(mapping)):
            raise UnusableFile([f"{mapping.where}: {mapping.topic}: {fault}" for fault in faults])
        self.type = row_type(mapping.row)
        specs = {spec.canonical: spec for spec in mapping.fields}
        hints = get_type_hints(self.type)
        self.identity_of = _joined(mapping.identity)
        self.key_of = _joined(mapping.key)
        self.formerly = {former: spec.name for spec in mapping.fields for former in spec.formerly}
        self._fields = [_field(specs[name], hints[name]) for name in self.type._fields]

    def read(self, raw: dict[str, Any]) -> Any:
        """Return the canonical row. Raises Refused."""
        try:
            return made(
                self.type,
                [  # a converter takes no None, so that a missing required field is a fault
                    convert(value) if (value := raw.get(name)) is not None or required else None
                    for name, required, convert in self._fields
                ],
            )
        except Fault:
            raise Refused(self._faults(raw)) from None

    def _faults(self, raw: dict[str, Any]) -> Refusal:
        kinds, reasons = set(), []
        for name, required, convert in self._fields:
            value = raw.get(name)
            try:
                if value is not None:
                    convert(value)
                elif required:
                    raise Fault("a required field is missing")
            except Fault as fault:
                kinds.add("unmapped_value" if isinstance(fault, UnmappedValue) else "validation_failed")
                reasons.append(f"{name}: {fault}")
        return Refusal("validation_failed" if "validation_failed" in kinds else "unmapped_value", tuple(reasons))


def _row_faults(mapping: TopicMapping) -> Iterator[str]:
    """Yield why the fields of a mapping do not fill its canonical row."""
    if not hasattr(canonical, mapping.row):
        yield f"there is no row {mapping.row!r}"
    else:
        yield from _record_faults(row_type(mapping.row), mapping.fields)


def _record_faults(record_type: Any, fields: tuple[FieldSpec, ...]) -> Iterator[str]:
    specs = {spec.canonical: spec for spec in fields}
    for name, hint in get_type_hints(record_type).items():
        spec = specs.get(name)
        if spec is None:
            yield f"{record_type.__name__} needs {name}, and no field is known as that"
            continue
        wanted = (
            [branch for branch in get_args(hint) if branch is not NoneType] if isinstance(hint, UnionType) else [hint]
        )
        if not spec.required and NoneType not in get_args(hint):
            yield f"{spec.name}: {record_type.__name__} cannot do without {name}: it is not optional"
        if spec.fields:
            yield from _record_faults(get_args(hint)[0], spec.fields)
        elif _TYPES[spec.kind] not in wanted:
            yield f"{spec.name}: {record_type.__name__} holds {name} as {wanted[0].__name__}, not as {spec.kind}"


def _joined(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], Any]:
    """Return the function that takes an identity or key from a row: one field as it is, several with colons between."""
    if len(names) == 1:
        return itemgetter(names[0])
    return lambda raw: ":".join(str(raw[name]) for name in names)


def row_type(name: str) -> Any:
    """Return the canonical row type of that name."""
    return getattr(canonical, name)


def _field(spec: FieldSpec, hint: Any) -> _Field:
    if spec.fields:
        return spec.name, spec.required, _records(spec, get_args(hint)[0])
    return spec.name, spec.required, converter(spec)


def _records(spec: FieldSpec, record_type: Any) -> Converter:
    specs = {inner.canonical: inner for inner in spec.fields}
    fields = [(specs[n].name, specs[n].required, converter(specs[n])) for n in record_type._fields]

    def convert(value: Any) -> Any:
        if not isinstance(value, list):
            raise Fault(f"{value!r} is no list")
        try:
            return tuple(
                [
                    made(
                        record_type,
                        [
                            convert_field(inner) if (inner := entry.get(name)) is not None or required else None
                            for name, required, convert_field in fields
                        ],
                    )
                    for entry in value
                ]
            )
        except (Fault, AttributeError):  # something is wrong with an entry: look again, to say where
            return tuple(record(place, entry) for place, entry in enumerate(value, 1))

    def record(place: int, entry: Any) -> Any:
        if not isinstance(entry, dict):
            raise Fault(f"entry {place} is no record")
        values = []
        for name, required, convert_field in fields:
            inner = entry.get(name)
            try:
                if inner is None and required:
                    raise Fault("a required field is missing")
                values.append(None if inner is None else convert_field(inner))
            except Fault as fault:
                raise type(fault)(f"entry {place}, {name}: {fault}") from None
        return record_type._make(values)

    return convert

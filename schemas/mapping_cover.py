"""Whether contracts carry what mappings read: every mapped field is there, with the type of its kind."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from schemas.contracts import Contract
from schemas.kinds import Kind, avro_type
from schemas.mapping import FieldSpec, Mappings


def cover_faults(mappings: Mappings, contracts: Mapping[str, Contract]) -> list[str]:
    """Return which mapped fields the contract of their topic lacks, or has with another type."""
    faults = []
    for topic, mapping in mappings.topics.items():
        contract = contracts.get(mapping.shape)
        if contract is None:
            faults.append(f"{topic}: there is no contract source/{mapping.shape}.avsc for what its mapping reads")
            continue
        row = next((field["type"][1] for field in contract.schema["fields"] if field["name"] == "before"), None)
        fields = row["fields"] if isinstance(row, dict) else []
        faults.extend(f"{mapping.shape}: {fault}" for fault in _missing(mapping.fields, fields, "after"))
    return faults


def _missing(specs: Iterable[FieldSpec], fields: Iterable[Any], path: str) -> Iterator[str]:
    carried = {field["name"]: field["type"] for field in fields}
    for spec in specs:
        place = f"{path}.{spec.name}"
        if spec.name not in carried:
            yield f"{place}: its mapping reads this field, which the contract lacks"
            continue
        branches = carried[spec.name] if isinstance(carried[spec.name], list) else [carried[spec.name]]
        plain: Any = next((branch for branch in branches if branch != "null"), "null")
        if spec.kind is Kind.RECORDS:
            yield from _missing(spec.fields, plain["items"]["fields"], f"{place}[]")
        elif plain != avro_type(spec.kind):
            yield f"{place}: its mapping reads a {spec.kind}, the contract has {plain}"

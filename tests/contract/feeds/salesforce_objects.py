"""What the simulated organisation has: objects with their fields, and the Avro schemas of their change events.

Written from the published reference of change events: dates and instants are long, numbers double, an address is a
record of its own, a field's doc names its type. A field that is a formula is in no event.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from fastavro import parse_schema, schemaless_writer

Fields = dict[str, str]

ADDRESS = ("Street", "City", "State", "PostalCode", "Country", "Latitude", "Longitude", "GeocodeAccuracy")
_AVRO = {
    "text": ("string", "Data:Text:00N000000000001"),
    "longtext": ("string", "Data:StringPlusClob:00N000000000002"),
    "picklist": ("string", "Data:DynamicEnum:00N000000000003"),
    "reference": ("string", "ForeignKey:EntityId:00N000000000004"),
    "checkbox": ("boolean", "Data:Boolean:00N000000000005"),
    "currency": ("double", "Data:Currency:00N000000000006"),
    "percent": ("double", "Data:Percent:00N000000000007"),
    "number": ("double", "Data:Double:00N000000000008"),
    "date": ("long", "Data:DateOnly:00N000000000009"),
    "datetime": ("long", "Data:DateTime:00N00000000000A"),
}
_HEADER = {
    "name": "ChangeEventHeader",
    "type": {
        "type": "record",
        "name": "ChangeEventHeader",
        "fields": [
            {"name": "entityName", "type": "string"},
            {"name": "recordIds", "type": {"type": "array", "items": "string"}},
            {
                "name": "changeType",
                "type": {
                    "type": "enum",
                    "name": "ChangeType",
                    "symbols": [
                        "CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE",
                        "GAP_UNDELETE", "GAP_OVERFLOW", "SNAPSHOT",
                    ],
                },
            },
            {"name": "changeOrigin", "type": "string"},
            {"name": "transactionKey", "type": "string"},
            {"name": "sequenceNumber", "type": "int"},
            {"name": "commitTimestamp", "type": "long"},
            {"name": "commitNumber", "type": "long"},
            {"name": "commitUser", "type": "string"},
            *({"name": name, "type": {"type": "array", "items": "string"}}
              for name in ("nulledFields", "diffFields", "changedFields")),
        ],
    },
}  # fmt: skip
_STAMPS: Fields = {"CreatedDate": "datetime", "LastModifiedDate": "datetime"}


@dataclass
class Kind:
    """An object: its fields with their types, what it belongs to (and is deleted with), and its name as a list."""

    name: str
    prefix: str
    fields: Fields
    parent: str | None = None
    parent_object: str | None = None
    relation: str | None = None
    formulas: set[str] = field(default_factory=set)

    def schema_text(self) -> str:
        """The schema of its events, as JSON."""
        fields = [_HEADER, *(_column(name, kind) for name, kind in self._event_fields())]
        name = self.name.removesuffix("__c") + ("__ChangeEvent" if self.name.endswith("__c") else "ChangeEvent")
        return json.dumps({"type": "record", "name": name, "namespace": "com.sforce.eventbus", "fields": fields})

    def _event_fields(self) -> list[tuple[str, str]]:
        """Address parts are one compound field, where the first of them stands; formulas are none."""
        found: dict[str, str] = {}
        for name, kind in {**self.fields, **_STAMPS}.items():
            if name in self.formulas:
                continue
            if (compound := _compound(name)) is not None:
                found[compound] = "address"
            else:
                found[name] = kind
        return list(found.items())

    def payload(self, header: Mapping[str, Any], values: Mapping[str, Any], changed: Iterable[str] | None,
                diffs: Iterable[str] = ()) -> bytes:  # fmt: skip
        """An event in Avro. `changed` None: all fields that are not null are in it, and no bitmap is set."""
        columns = self._event_fields()
        names = set(values) if changed is None else set(changed)
        body: dict[str, Any] = {name: None for name, _ in columns}
        for name in names - self.formulas - {"Id", "IsDeleted", "SystemModstamp"}:
            value = _event_value(values.get(name), {**self.fields, **_STAMPS}.get(name, "text"))
            compound = _compound(name)
            if compound is None:
                body[name] = f"--- old\n+++ new\n{value}" if name in diffs else value
            elif value is not None or changed is not None:
                body[compound] = body[compound] or dict.fromkeys(ADDRESS)
                body[compound][name.removeprefix(compound.removesuffix("Address"))] = value
        bitmaps = {
            "changedFields": self._bitmaps(names if changed is not None else ()),
            "nulledFields": self._bitmaps({name for name in names if changed is not None and values.get(name) is None}),
            "diffFields": self._bitmaps(diffs),
        }
        body["ChangeEventHeader"] = {**header, **bitmaps}
        out = io.BytesIO()
        schemaless_writer(out, parse_schema(json.loads(self.schema_text())), body)
        return out.getvalue()

    def _bitmaps(self, names: Iterable[str]) -> list[str]:
        """Fields as bitmaps: of the event's own fields first, then one for each compound field."""
        places = {name: place for place, (name, _) in enumerate(self._event_fields(), 1)}  # 0 is the header
        own, nested = 0, dict[str, int]()
        for name in set(names) - self.formulas:
            compound = _compound(name)
            if compound is not None:
                part = ADDRESS.index(name.removeprefix(compound.removesuffix("Address")))
                nested[compound] = nested.get(compound, 0) | 1 << part
            elif name in places:
                own |= 1 << places[name]
        bitmaps = [_hexadecimal(own)] if own else []
        return bitmaps + [f"{places[name]}-{_hexadecimal(bits)}" for name, bits in sorted(nested.items())]


def schema_id(text: str) -> str:
    """The fingerprint by which a schema is asked for."""
    return hashlib.sha256(text.encode()).hexdigest()[:22]


def moment(at_ms: int) -> str:
    """An instant as REST has it."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def kinds() -> dict[str, Kind]:
    """The objects of the organisation, by name."""
    rate = {"Role__c": "text", "Rate__c": "currency", "EffectiveFrom__c": "date"}
    found = [
        Kind("Account", "001", {
            "Name": "text", "Status__c": "picklist", "BillingStreet": "text", "BillingCity": "text",
            "BillingCountry": "text", "Phone": "text", "Remarks__c": "longtext",
        }),
        Kind("Opportunity", "006", {
            "AccountId": "reference", "Name": "text", "StageName": "picklist", "Amount": "currency",
            "CloseDate": "date", "IsClosed": "checkbox", "IsWon": "checkbox", "ContractNumber__c": "text",
        }),
        Kind("Contract", "800", {
            "ContractNumber": "text", "AccountId": "reference", "OpportunityId__c": "reference", "Status": "picklist",
            "BillingType__c": "picklist", "CurrencyIsoCode": "picklist", "Value__c": "currency", "Cap__c": "currency",
            "PeriodicFee__c": "currency", "IncludedHours__c": "number", "OverageRate__c": "currency",
            "ExpensePolicy__c": "picklist", "ExpenseMarkup__c": "percent", "RequiresAcceptance__c": "checkbox",
            "PoNumber__c": "longtext", "PoRequired__c": "checkbox", "LegalEntity__c": "text", "StartDate": "date",
            "EndDate": "date", "Notes__c": "longtext",
        }),
        Kind("ContractRate__c", "a01", {"Contract__c": "reference", **rate}, "Contract__c", "Contract", "Rates__r"),
        Kind("ContractAmendment__c", "a02", {
            "Contract__c": "reference", "Status__c": "picklist", "EffectiveDate__c": "date",
            "ValueDelta__c": "currency", "CapDelta__c": "currency", "NewEndDate__c": "date",
        }),
        Kind("AmendmentRate__c", "a03", {"ContractAmendment__c": "reference", **rate}, "ContractAmendment__c",
             "ContractAmendment__c", "Rates__r"),
        Kind("Contact", "003", {"LastName": "text"}),
    ]  # fmt: skip
    return {kind.name: kind for kind in found}


def _column(name: str, kind: str) -> dict[str, Any]:
    if kind == "address":
        parts = [{"name": part, "type": ["null", "string" if "tude" not in part else "double"], "default": None}
                 for part in ADDRESS]  # fmt: skip
        nested = {"type": "record", "name": f"{name}Parts", "fields": parts}
        return {"name": name, "type": ["null", nested], "default": None, "doc": "Data:Address"}
    avro, doc = _AVRO[kind]
    return {"name": name, "type": ["null", avro], "default": None, "doc": doc}


def _compound(name: str) -> str | None:
    for part in ADDRESS:
        if name == f"Billing{part}":
            return "BillingAddress"
    return None


def _event_value(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "date":
        return int(datetime.combine(date.fromisoformat(value), datetime.min.time(), UTC).timestamp()) * 1000
    return float(value) if kind in {"currency", "percent", "number"} else value


def _hexadecimal(bits: int) -> str:
    """An even number of digits, as Java's bytes print."""
    text = f"{bits:X}"
    return "0x" + text.zfill(len(text) + len(text) % 2)

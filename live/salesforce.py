"""The firm's CRM: a simulated organisation of Salesforce, changed by transactions of its own objects and fields."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from joserfc.jwk import RSAKey

from firm.wire import Record
from live.inverse import Row, pairs
from live.simulator import Simulator
from live.systems import adapted

_KINDS: Final = {"Account": "account", "Opportunity": "opportunity", "Contract": "contract",
                 "ContractAmendment": "amendment"}  # fmt: skip
"""Topics without `crm.` -> how their settings begin."""

_NOT_WRITTEN: Final = frozenset({"Id", "Rates", "LastModifiedDate"})
"""Identity, child records, and what the organisation stamps itself."""

_HUNDRED: Final = Decimal(100)
_ALIVE_SECONDS: Final = 1
_KEY_BITS: Final = 2048
_OPS: Final = {"c": "create", "r": "create", "u": "update", "d": "delete"}

Change = dict[str, Any]


class Salesforce:
    """The organisation. Its clock is that of the firm: it stamps what happened when it happened."""

    prefix = "crm."

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._key_file = folder / "key.pem"
        self._simulator = Simulator("salesforce", folder, str(_key_pair(self._key_file)))
        self._urls: Mapping[str, str] = {}
        self._rates: dict[str, list[str]] = {}
        self.configuration = adapted("crm", {"pubsub.url": "${env:SALESFORCE_EVENTS_URL}"})
        config = self.configuration.config
        self._objects = {kind: config.get(f"{name}.object", kind) for kind, name in _KINDS.items()}
        self._fields = {kind: pairs(config[f"{name}.fields"]) for kind, name in _KINDS.items()}

    def connect(self) -> None:
        """Wait until it listens."""
        self._urls = json.loads(self._simulator.first_line())
        self._order("settings", {"keepalive_s": _ALIVE_SECONDS})

    @property
    def environment(self) -> Mapping[str, str]:
        """What the configuration refers to."""
        url = self._urls["url"]
        return {
            "SALESFORCE_URL": url, "SALESFORCE_LOGIN_URL": url, "SALESFORCE_EVENTS_URL": self._urls["pubsub_url"],
            "SALESFORCE_CLIENT_ID": "a-client", "SALESFORCE_USER": "feed@example.com",
            "SALESFORCE_KEY_FILE": str(self._key_file.absolute()),
        }  # fmt: skip

    def write(self, changes: Sequence[Record]) -> None:
        """Have changes happen, a transaction for each. Raises `PipelineError`."""
        for change in changes:
            self._write(change.topic.removeprefix(self.prefix), change.value)

    def close(self) -> None:
        """End it."""
        self._simulator.close()

    def _write(self, kind: str, envelope: Mapping[str, Any]) -> None:
        before, after = envelope["before"] or {}, envelope["after"]
        record_id = contract_id(before | (after or {})) if kind == "Contract" else (after or before)["Id"]
        change: Change = {"op": _OPS[envelope["op"]], "object": self._objects[kind], "id": record_id}
        if after is not None:
            change["fields"] = self.fields(kind, after)
        changes = [change]
        has_new_rates = after is not None and after.get("Rates", []) != before.get("Rates", [])
        if has_new_rates:
            changes += self._rates_replaced(kind, record_id, after["Rates"])
        answer = self._order("commit", {"changes": changes, "at_ms": envelope["source"]["ts_ms"]})
        if has_new_rates:
            ids = answer["ids"]  # those of its rates come last
            self._rates[record_id] = ids[len(ids) - len(after["Rates"]) :]

    def fields(self, kind: str, row: Row) -> dict[str, Any]:
        """Return the fields of a record that is read as this row."""
        names, fields = self._fields[kind], dict[str, Any]()
        for name, value in row.items():
            if name in _NOT_WRITTEN:
                continue
            theirs = names.get(name, name)
            if "__r." in theirs:  # a lookup is written by the id of what it leads to
                fields[theirs.partition("__r.")[0] + "__c"] = contract_id(row)
            elif theirs.endswith("%"):
                fields[theirs[:-1]] = None if value is None else str(Decimal(value) * _HUNDRED)
            else:
                fields[theirs] = value
        return fields

    def _rates_replaced(self, kind: str, record_id: str, rates: Sequence[Row]) -> list[Change]:
        """Return changes that put a record's rates, in their order, in place of those it has."""
        config, name = self.configuration.config, f"{_KINDS[kind]}.rates"
        of_object, parent, names = config[f"{name}.object"], config[f"{name}.parent"], pairs(config[f"{name}.fields"])
        gone = [{"op": "delete", "object": of_object, "id": each} for each in self._rates.get(record_id, [])]
        new = [
            {"op": "create", "object": of_object, "id": None,
             "fields": {parent: record_id, **{names[field]: value for field, value in rate.items()}}}
            for rate in rates
        ]  # fmt: skip
        return [*gone, *new]

    def _order(self, name: str, order: Mapping[str, Any]) -> Any:
        return self._simulator.order(f"{self._urls['url']}/control/{name}", order)


def contract_id(row: Row) -> str:
    """Return the record id of the contract that a row is, or names: 18 characters, by its number."""
    return f"800{row['ContractNumber']:0>12}AAA"


def _key_pair(secret: Path) -> Path:
    """Make the key by which the feed logs in, and return the file with its public half."""
    key = RSAKey.generate_key(_KEY_BITS)
    secret.touch(mode=0o600)
    secret.write_bytes(key.as_pem(private=True))
    public = secret.with_name("public.pem")
    public.write_bytes(key.as_pem(private=False))
    return public

"""A simulated organisation of Salesforce, as a program of its own: REST and Pub/Sub on one set of records.

    python -m tests.contract.feeds.salesforce_simulator PUBLIC_KEY_FILE [SEED]

It prints one line of JSON, `{"url", "pubsub_url"}`, and ends when its standard input does. Orders of a test are POSTed
as JSON to `/control/NAME`: see `Control`.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.contract.feeds import salesforce_pubsub, salesforce_rest
from tests.contract.feeds.salesforce_org import Org
from tests.contract.feeds.salesforce_pubsub import Bus
from tests.contract.feeds.salesforce_rest import Front


class Control:
    """What a test may order."""

    def __init__(self, front: Front, bus: Bus) -> None:
        self._front = front
        self._bus = bus

    @property
    def _org(self) -> Org:
        return self._front.org

    def __call__(self, name: str, order: Mapping[str, Any]) -> Any:
        """Carry out an order and return its answer."""
        return getattr(self, name)(order)

    def reset(self, order: Mapping[str, Any]) -> Any:
        """Be another organisation, without any record; `seed` makes its ids."""
        self.drop(order)
        self._front.reset(Org(order["seed"]))
        self._bus.reset()
        return {}

    def commit(self, order: Mapping[str, Any]) -> Any:
        """Make a transaction: see `Org.commit`."""
        return {"ids": self._org.commit(order)}

    def records(self, order: Mapping[str, Any]) -> Any:
        """All records of an object that are not deleted."""
        with self._org.lock:
            return self._org.there(order["object"], deleted=False)

    def retype(self, order: Mapping[str, Any]) -> Any:
        """Change a field of an object: see `Org.retype`."""
        self._org.retype(order)
        return {}

    def settings(self, order: Mapping[str, Any]) -> Any:
        """Set rows, child_rows, used, limit, token_requests, whole_seconds, held, keepalive_s, events_max, repeated."""
        with self._org.lock:
            for name, value in order.items():
                owner = next(each for each in (self._org, self._front, self._bus) if hasattr(each, name))
                setattr(owner, name, value)
            self._org.lock.notify_all()
        return {}

    def fault(self, order: Mapping[str, Any]) -> Any:
        """Answer requests with a fault: `times`, `after` so many others, where the path has `match` in it.

        `kind`: `status` (with `status`, `retry_after`, `code`, `body`), `cut`, `hang`, `page` or `large`.
        """
        usual = {"match": "/services/data", "times": 1, "after": 0, "kind": "status"}
        self._front.faults.append({**usual, **order})
        return {}

    def meanwhile(self, order: Mapping[str, Any]) -> Any:
        """Make a transaction once so many `pages` were read."""
        self._front.meanwhile.append(dict(order))
        return {}

    def put(self, order: Mapping[str, Any]) -> Any:
        """Write a record, whether it is there, in the bin, or new: `object`, `id`, `fields`, `at_ms`."""
        place = {"object": order["object"], "id": order["id"]}
        record = self._org.records[order["object"]].get(order["id"])
        changes: list[dict[str, Any]] = []
        if record is not None and record["IsDeleted"]:
            changes.append({"op": "undelete", **place})
        changes.append({"op": "create" if record is None else "update", "fields": order["fields"], **place})
        return {"ids": self._org.commit({"changes": changes, "at_ms": order["at_ms"]})}

    def remove(self, order: Mapping[str, Any]) -> Any:
        """Delete a record that is there: `object`, `id`, `at_ms`."""
        record = self._org.records[order["object"]].get(order["id"])
        if record is not None and not record["IsDeleted"]:
            self._org.commit({"changes": [{"op": "delete", **order}], "at_ms": order["at_ms"]})
        return {}

    def expire_replay(self, _order: Mapping[str, Any]) -> Any:
        """Keep no event that was logged so far."""
        self._org.expire()
        return {}

    def expire_tokens(self, _order: Mapping[str, Any]) -> Any:
        """Take no token any more that was issued so far."""
        self._front.tokens.clear()
        return {}

    def spoil(self, _order: Mapping[str, Any]) -> Any:
        """Make the newest event one that cannot be read."""
        with self._org.lock:
            last = self._org.log[-1]
            self._org.log[-1] = type(last)(last.number, last.object, last.schema_id, b"\xff\xff\xff")
        return {}

    def drop(self, _order: Mapping[str, Any]) -> Any:
        """Cut all streams."""
        with self._org.lock:
            self._bus.dropped += 1
            self._org.lock.notify_all()
        return {}

    def seen(self, _order: Mapping[str, Any]) -> Any:
        """What was asked so far: paths, subscriptions (replay ids), schemas, and how many tokens were issued."""
        replays = [None if replay is None else replay.hex() for replay in self._bus.subscribed]
        return {"calls": self._front.calls, "subscribed": replays, "schemas": self._bus.schema_calls,
                "tokens": self._front.issued}  # fmt: skip


def main() -> None:
    """Serve until standard input ends."""
    key = load_pem_public_key(Path(sys.argv[1]).read_bytes())
    assert isinstance(key, RSAPublicKey)
    front = Front(Org(int(sys.argv[2]) if len(sys.argv) > 2 else 0), key)
    bus = Bus(front)
    control = Control(front, bus)
    http = salesforce_rest.serve(front, control)
    server, port = salesforce_pubsub.serve(bus)
    print(json.dumps({"url": front.url, "pubsub_url": f"http://127.0.0.1:{port}"}), flush=True)
    sys.stdin.read()
    control.drop({})  # a stream that waits for its next sign of life would keep the program
    server.stop(0).wait()
    http.shutdown()


if __name__ == "__main__":
    main()

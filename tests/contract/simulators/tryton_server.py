"""Tryton 8 as its JSON-RPC shows it: sessions, invoices and their workflow, refusals and warnings. Run as a program.

Written from what a real server answers. Quirks: errors come with status 200; a call is one transaction, and a refusal
undoes all of it; `reference` is not unique; a button that does not fit the state of one record refuses them all; an
invoice gets its number when it is posted; posting takes a session that is young. Every database name is a database.
"""

import base64
import json
import os
import socket
import struct
import threading
from copy import deepcopy
from decimal import Decimal
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.answering import serve

Json = dict[str, Any]
USER, PASSWORD, USER_ID = "clerk", "secret", 7
CUSTOMERS = {11: 110, 12: 120, 14: 140}
"""Parties and their addresses."""

GONE = 14
"""A party that was taken away when its address was already asked for."""

CHANGES = ("create", "validate_invoice", "post", "draft", "delete")
APPLIED = ("lost", "cut", "slow")
"""What is answered, or not, once it was carried out."""

HOMELESS = 13
UNTAXED_OTHERWISE = 99
"""A tax that is not the account's own: Tryton asks whether it is meant."""


class UserError(Exception):
    """The records are refused."""


class Questioned(Exception):
    """The user is asked whether it is meant."""


class Locked(Exception):
    """Another transaction holds what this one needs."""


class Database:
    """One database: its invoices, in order of their ids, and who is logged in."""

    def __init__(self) -> None:
        self.invoices: dict[int, Json] = {}
        self.sessions: set[str] = set()
        self.stale: set[str] = set()
        self.logins = 0
        self.next_id = 1
        self.next_number = 1
        self.posted: list[int] = []
        self.refused: dict[str, list[str]] = {}
        self.closed: set[str] = set()
        self.confirmed: set[str] = set()
        self.faults: list[Json] = []
        self.asked: list[str] = []
        self.rights: Json = {}
        self.locked: set[str] = set()
        self.calls_left = -1
        self.late: list[Json] = []
        """Calls that nobody waits for any more, and that are carried out once time passes."""

    # -- what clients call

    def call(self, method: str, parameters: list[Any]) -> Any:
        """Call a method as one transaction."""
        before = deepcopy((self.invoices, self.next_id, self.next_number, self.posted))
        try:
            return self._called(method, parameters)
        except Exception:  # whatever ends a transaction leaves nothing of it, and goes on to who called
            self.invoices, self.next_id, self.next_number, self.posted = before
            raise

    def _called(self, method: str, parameters: list[Any]) -> Any:
        *arguments, context = parameters
        assert isinstance(context, dict), "a context goes with every call"
        match method:
            case "model.ir.model.access.get_access":
                yes = dict.fromkeys(("read", "write", "create", "delete"), 1)
                return {model: {**yes, **self.rights.get(model, {})} for model in arguments[0]}
            case "model.party.address.search_read":
                wanted = arguments[0][0][2]
                return [
                    {"id": address, "party": party, "invoice": False, "sequence": None}
                    for party, address in CUSTOMERS.items() if party in wanted
                ]  # fmt: skip
            case "model.res.user.warning.create":
                self.confirmed |= {row["name"] for row in arguments[0]}
                return [1]
            case "model.account.invoice.search_read":
                return [_shown(one) for one in self.invoices.values() if _fits(one, arguments[0])]
            case "model.account.invoice.line.search_read":
                return [
                    {"id": one["line"]["id"], "invoice.": {"id": one["id"], "reference": one["reference"]}}
                    for one in self.invoices.values() if _fits(one, arguments[0])
                ]  # fmt: skip
            case "model.account.invoice.create":
                return [self._create(row) for row in arguments[0]]
        return getattr(self, "_" + method.removeprefix("model.account.invoice."))(arguments[0])

    def _create(self, row: Json) -> int:
        self._refuse(row["reference"], "create")
        if row["reference"] in self.locked:
            raise Locked
        if row["party"] not in (*CUSTOMERS, HOMELESS) or row["party"] == GONE:
            raise UserError(f'The value "{row["party"]}" for field "Party" in "Account Invoice" does not exist.')
        ((what, (line,)),) = row["lines"]
        assert what == "create"
        assert row["invoice_address"] == CUSTOMERS[row["party"]]
        untaxed = line["quantity"] * _decimal(line["unit_price"])
        number = self.next_id
        self.next_id += 1
        self.invoices[number] = {
            **row, "id": number, "state": "draft", "number": None, "untaxed": untaxed, "line": {**line, "id": number}
        }  # fmt: skip
        return number

    def _validate_invoice(self, ids: list[int]) -> None:
        for one in self._meant(ids, "validate_invoice", ("draft",)):
            self._refuse(one["reference"], "validate")
            if one["untaxed"] != _decimal(one["source_untaxed_amount"]):
                raise UserError('The "Untaxed" value of the invoice must equal the source value.')
            ((_, taxes),) = one["line"]["taxes"]
            warning = f"{one['id']:032x}.invoice_taxes"
            if UNTAXED_OTHERWISE in taxes and warning not in self.confirmed:
                raise Questioned(warning)
            one["state"] = "validated"

    def _post(self, ids: list[int]) -> None:
        for one in self._meant(ids, "post", ("draft", "validated")):
            self._refuse(one["reference"], "post")
            day = one["accounting_date"]
            if f"{day['year']}-{day['month']:02d}" in self.closed:
                raise UserError(f"To continue, you must reopen the period of {day['month']:02d}/{day['year']}.")
            one["state"], one["number"] = "posted", f"INV/{self.next_number:05d}"
            self.next_number += 1
            self.posted.append(one["id"])

    def _draft(self, ids: list[int]) -> None:
        for one in self._meant(ids, "draft", ("validated", "cancelled")):
            one["state"] = "draft"

    def _delete(self, ids: list[int]) -> None:
        for one in self._meant(ids, "delete", ("draft", "cancelled")):
            if "undeletable" in self.refused.get(one["reference"], []):
                raise UserError("You cannot delete it.")
            del self.invoices[one["id"]]

    def _meant(self, ids: list[int], button: str, states: tuple[str, ...]) -> list[Json]:
        found = [self.invoices[one] for one in ids if one in self.invoices]
        if len(found) != len(ids):
            raise UserError('You are trying to read records "%s" of "Account Invoice" that no longer exist.')
        for one in found:
            if one["state"] not in states:
                raise UserError(f'You can not call "{button}" on "{one["number"]}" of "Account Invoice".')
        return found

    def _refuse(self, reference: str, stage: str) -> None:
        told, *words = self.refused.get(reference, [""])
        if told == stage:
            raise UserError(words[0])

    # -- what tests order

    def control(self, order: Json) -> Any:
        match order["do"]:
            case "refuse":
                self.refused[order["reference"]] = [order["stage"], *order["words"]]
            case "forget":
                self.refused.clear()
            case "close":
                self.closed.add(order["period"])
            case "fault":
                self.faults.append(order)
            case "clear":
                self.faults.clear()
            case "lock":
                self.locked.add(order["reference"])
            case "unlock":
                self.locked.clear()
            case "pass":
                while self.late:
                    late = self.late.pop(0)
                    self.call(late["method"], late["params"])
            case "end":
                self.calls_left = order["after"]
            case "stale":
                self.stale |= self.sessions
            case "expire":
                self.sessions.clear()
            case "rights":
                self.rights = order["rights"]
            case "change":
                self.invoices[order["id"]] |= order["fields"]
                if "untaxed" in order["fields"]:
                    self.invoices[order["id"]]["untaxed"] = Decimal(order["fields"]["untaxed"])
            case "double":  # by a call that its caller has given up on
                (one,) = [one for one in self.invoices.values() if one["reference"] == order["reference"]]
                self._create({**one, "id": None})
            case "posted":
                return [_plain(self.invoices[one]) for one in self.posted]
            case "all":
                return [_plain(one) for one in self.invoices.values()]
            case "logins":
                return self.logins
            case "asked":
                return self.asked
        return None


def _decimal(value: Json) -> Decimal:
    assert value["__class__"] == "Decimal"
    return Decimal(value["decimal"])


def _fits(one: Json, domain: list[list[Any]]) -> bool:
    for name, operator, value in domain:
        held = one[name.removeprefix("invoice.")]
        if not (held in value if operator == "in" else held == value):
            return False
    return True


def _shown(one: Json) -> Json:
    amount = {"__class__": "Decimal", "decimal": str(one["untaxed"])}
    lines = [{"id": one["line"]["id"], "note": one["line"]["note"]}]
    names = ("id", "reference", "state", "number", "company")
    return {**{name: one[name] for name in names}, "untaxed_amount": amount, "lines.": lines}


def _plain(one: Json) -> Json:
    return {**_shown(one), "untaxed": str(one["untaxed"]), "line": one["line"], "party": one["party"]}


class Answering(BaseHTTPRequestHandler):
    """Answers JSON-RPC, one request at a time."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    databases: dict[str, Database]
    lock: threading.RLock
    released: threading.Event

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("content-length", "0"))))
        with self.lock:
            if self.path == "/_control":
                database = self.databases.setdefault(asked["database"], Database())
                self._send(200, json.dumps(database.control(asked)))
                return
            name = self.path.strip("/").removesuffix("/rpc")
            database = self.databases.setdefault(name, Database())
            if asked["method"] == "common.db.login":
                self._log_in(database, asked["params"])
                return
            fault = self._fault(database, asked["method"])
        if fault is None:
            self._send(*self._answer(database, asked))
        else:
            self._meet(fault, database, asked)

    def _fault(self, database: Database, method: str) -> Json | None:
        for place, fault in enumerate(database.faults):
            if method.endswith(CHANGES if fault["method"] == "any change" else fault["method"]):
                if fault.get("after", 0) > 0:
                    fault["after"] -= 1
                    return None
                return database.faults.pop(place)
        return None

    def _log_in(self, database: Database, parameters: list[Any]) -> None:
        if database.faults and database.faults[0]["method"] == "login":
            fault = database.faults.pop(0)
            self._send(fault["status"], "{}")
        elif parameters[:2] != [USER, {"password": PASSWORD}]:
            self._send(401, "{}")
        else:
            database.logins += 1
            token = f"token-{database.logins}"
            database.sessions.add(base64.b64encode(f"{USER}:{USER_ID}:{token}".encode()).decode())
            self._send(200, json.dumps({"id": 0, "result": [USER_ID, token, None]}))

    def _answer(self, database: Database, asked: Json) -> tuple[int, str]:
        with self.lock:
            database.asked.append(asked["method"])
            if database.calls_left == 0:
                database.sessions.clear()
            database.calls_left -= 1
            session = self.headers.get("authorization", "").removeprefix("Session ")
            if session not in database.sessions:
                return 401, "{}"
            if asked["method"].endswith("invoice.post") and session in database.stale:
                database.sessions.discard(session)
                return 401, "{}"
            try:
                told: Json = {"result": database.call(asked["method"], asked["params"])}
            except UserError as error:
                told = {"error": ["UserError", [str(error), "", None]]}
            except Locked:
                told = {"error": ["ConcurrencyException", "Records were modified in the meanwhile"]}
            except Questioned as warning:
                told = {"error": ["UserWarning", [str(warning), "The taxes are not those by default.", ""]]}
            return 200, json.dumps({"id": asked["id"], **told})

    def _meet(self, fault: Json, database: Database, asked: Json) -> None:
        kind: str = fault["kind"]
        if fault["method"] == "any change":
            done = self._answer(database, asked) if kind.endswith("_after") or kind in APPLIED else (0, "")
            self._meet_on_the_way(kind.removesuffix("_before").removesuffix("_after"), fault, done)
            if kind == "late":
                database.late.append(asked)
                self.released.wait(30)
            return
        match kind:
            case "status":
                self._send(fault["status"], fault.get("body", "{}"), fault.get("headers", {}))
            case "error":
                self._send(200, json.dumps({"id": 1, "error": fault["error"]}))
            case "error-after":
                self._answer(database, asked)
                self._send(200, json.dumps({"id": 1, "error": fault["error"]}))
            case "cut":
                _, body = self._answer(database, asked)
                self._send(200, body[: len(body) // 2], {"content-length": str(len(body))})
                self.close_connection = True
            case "hang":
                self._answer(database, asked)
                self.released.wait(fault["seconds"])
                self.close_connection = True

    def _meet_on_the_way(self, kind: str, fault: Json, done: tuple[int, str]) -> None:
        """What any server may do, or what lies before it; `done` is what it would say."""
        self.close_connection = kind != "slow"
        match kind:
            case "busy":
                wait = fault.get("retry_after")
                self._send(429, "{}", {"retry-after": wait} if wait else {})
            case "error":
                self._send(500, "Internal Server Error")
            case "cut":
                self._send(done[0], done[1][: len(done[1]) // 2], {"content-length": str(len(done[1]))})
            case "slow":
                status, body = done
                self._send(status, body[:20], {"content-length": str(len(body))})
                for at in range(20, len(body), 20):
                    self.released.wait(0.001)
                    self.wfile.write(body[at : at + 20].encode())
                    self.wfile.flush()
            case "timeout":
                self.released.wait(30)
            case "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                os.close(self.connection.detach())

    def _send(self, status: int, body: str, headers: Json | None = None) -> None:
        self.send_response(status)
        for name, value in {
            "content-type": "application/json", "content-length": str(len(body)), **(headers or {})
        }.items():  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())
        self.wfile.flush()

    def log_message(self, *_arguments: object) -> None:
        """Nothing: tests say what went wrong."""


def main() -> None:
    """Run until standard input closes."""
    serve(Answering, databases={})


if __name__ == "__main__":
    main()

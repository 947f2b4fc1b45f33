"""Speaking to a Tryton by its JSON-RPC, as any client of it does: rows of its models made, changed, read and deleted.

Money travels as `Decimal`, days as `date`, durations as `timedelta`, in Tryton's own notation for them.
"""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from stack.errors import StackError

Row = Mapping[str, Any]
"""Fields of a row of a model, by name."""

ANSWER_SECONDS_MAX = 30.0
_KIND = "__class__"


class TrytonAway(StackError):
    """Nobody answers, or the answer was cut off: whether what was asked for was done is unknown."""


class TrytonClient:
    """A session of one user in one database. It logs in when it has to, also once a session has expired.

    `context` goes with every call: `{"company": 1}` says for which company rows are made.
    """

    def __init__(self, url: str, database: str, user: str, password: str) -> None:
        self.context: dict[str, Any] = {}
        self._url, self._database, self._user, self._password = url, database, user, password
        self._session: str | None = None

    def version(self) -> str:
        """The series of the server, such as 8.0; it takes no session. Raises `StackError`."""
        return str(self._answer(self._ask(f"{self._url}/rpc/", "common.server.version", [], None)))

    def call(self, method: str, *parameters: Any) -> Any:
        """Call a method, such as `model.party.party.create`; the context is added.

        Raises:
            TrytonAway: Nobody answers.
            StackError: It is refused; the message has Tryton's own words.
        """
        address = f"{self._url}/{self._database}/rpc/"
        for _ in range(2):
            if self._session is None:
                self._session = self._log_in(address)
            told = self._ask(address, method, [*parameters, self.context], self._session)
            if told is not None:
                return self._answer(told, method)
            self._session = None
        raise StackError(f"Tryton on {self._url} lets {self._user} in, and forgets it at once: {method}")

    def create(self, model: str, *rows: Row) -> list[int]:
        """Make rows; return their ids. Fields that are not given get no value from a form: only their defaults."""
        made: list[int] = self.call(f"model.{model}.create", rows)
        return made

    def write(self, model: str, ids: Sequence[int], row: Row) -> None:
        """Change fields of rows."""
        self.call(f"model.{model}.write", ids, row)

    def delete(self, model: str, ids: Sequence[int]) -> None:
        """Delete rows."""
        self.call(f"model.{model}.delete", ids)

    def read(self, model: str, ids: Sequence[int], *names: str) -> list[dict[str, Any]]:
        """The fields named of rows, and their ids."""
        rows: list[dict[str, Any]] = self.call(f"model.{model}.read", ids, names)
        return rows

    def search(self, model: str, domain: Sequence[Any], *names: str) -> list[dict[str, Any]]:
        """The fields named of the rows that a domain such as `[("name", "=", "Build")]` finds, by id."""
        order = [("id", "ASC")]
        rows: list[dict[str, Any]] = self.call(f"model.{model}.search_read", domain, 0, None, order, names)
        return rows

    def _log_in(self, address: str) -> str:
        told = self._ask(address, "common.db.login", [self._user, {"password": self._password}, "en"], None)
        if told is None:
            raise StackError(f"Tryton on {self._url} does not let {self._user} into {self._database}")
        user, token, *_ = self._answer(told, "common.db.login")
        return base64.b64encode(f"{self._user}:{user}:{token}".encode()).decode()

    def _ask(self, address: str, method: str, parameters: Sequence[Any], session: str | None) -> Any:
        """What it answers; None if it does not know who asks."""
        body = json.dumps({"id": 1, "method": method, "params": parameters}, default=_said).encode()
        headers = {"Content-Type": "application/json"}
        if session is not None:
            headers["Authorization"] = f"Session {session}"
        request = urllib.request.Request(address, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS_MAX) as answer:
                return json.load(answer, object_hook=_meant, parse_float=Decimal)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == HTTPStatus.UNAUTHORIZED:
                    return None
                raise StackError(f"Tryton on {self._url} answers {error.code} to {method}") from None
        except (OSError, ValueError) as error:  # refused, reset, too slow, or half an answer
            raise TrytonAway(f"Tryton on {self._url} does not answer {method}: {error}") from None

    def _answer(self, told: Any, method: str = "common.server.version") -> Any:
        if not isinstance(told, dict) or "result" not in told:
            words = told.get("error", told) if isinstance(told, dict) else told
            raise StackError(f"Tryton on {self._url} refuses {method}: {words}")
        return told["result"]


def _said(value: object) -> Mapping[str, Any]:
    """A value in Tryton's notation, where JSON has none."""
    if isinstance(value, Decimal):
        return {_KIND: "Decimal", "decimal": str(value)}
    if isinstance(value, date) and not isinstance(value, datetime):
        return {_KIND: "date", "year": value.year, "month": value.month, "day": value.day}
    if isinstance(value, timedelta):
        return {_KIND: "timedelta", "seconds": value // timedelta(seconds=1)}
    raise TypeError(f"{value!r} is nothing that Tryton takes")


def _meant(said: dict[str, Any]) -> Any:
    """What Tryton's notation means; whatever else is an object stays one."""
    kind = said.get(_KIND)
    if kind == "Decimal":
        return Decimal(said["decimal"])
    if kind == "date":
        return date(said["year"], said["month"], said["day"])
    if kind == "datetime":
        clock = ("year", "month", "day", "hour", "minute", "second", "microsecond")
        return datetime(**{name: said[name] for name in clock}, tzinfo=UTC)
    if kind == "timedelta":
        return timedelta(microseconds=int(Decimal(said["seconds"]) * 1_000_000))
    return said

"""What whoever calls a Tryton by its JSON-RPC shares: a session, how a call is written, and what refusals say.

Owns the session, and calls for those who know the errors of `outside`. Does not own what is called. Each call is one
transaction there: it is done whole, or not at all, unless its answer was lost.
"""

import base64
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from outside.errors import Fatal, NotThere, Retriable, Skippable
from outside.http import Http

JSON: Final = {"content-type": "application/json"}
FORBIDDEN: Final = ("Calling button", "You are not allowed to access")
"""How refusals begin that are about the user, whatever the record."""

NOT_REACHED: Final = "the database is unknown there, or cannot be reached"
"""What is meant where nothing is there: Tryton says so, too, while it cannot reach its own database server."""

SAID_MAX: Final = 500


class Session:
    """A user's session in one database: made at first, and anew when it was refused. May be used by several threads.

    `user_id` is the user's own once logged in, 0 before.
    """

    def __init__(self, http: Http, address: str, user: str, password: str) -> None:
        self.address = address
        self.user_id = 0
        self._http = http
        self._user = user
        self._password = password
        self._lock = threading.Lock()
        self._header: str | None = None

    def headers(self) -> Mapping[str, str]:
        """Return who we are, after logging in if need be. Raises `Retriable` or `Fatal`."""
        with self._lock:
            if self._header is None:
                self._header = self._logged_in()
            return {"authorization": self._header}

    def renew(self) -> bool:
        """Forget the session, which was refused, and return that there may be another."""
        with self._lock:
            self._header = None
        return True

    def _logged_in(self) -> str:
        asked = {"id": 0, "method": "common.db.login", "params": [self._user, {"password": self._password}, "en"]}
        try:
            told = self._http.exchange(self.address, json.dumps(asked).encode(), JSON)
        except NotThere as error:
            raise Retriable(f"{error}: {NOT_REACHED}") from error
        if not isinstance(told, dict) or not isinstance(told.get("result"), list):
            raise Fatal(f"{self.address}: {self._user} cannot log in by a password alone; give it one that can")
        self.user_id, token, *_ = told["result"]
        return "Session " + base64.b64encode(f"{self._user}:{self.user_id}:{token}".encode()).decode()


class TrytonCalls:
    """Calls of one user in one database. May be used by several threads."""

    def __init__(self, http: Http, url: str, database: str, user: str, password: str) -> None:
        self._http = http
        self._address = address_of(url, database)
        http.log_in(Session(http, self._address, user, password))

    def call(self, method: str, *parameters: Any, company: int) -> Any:
        """Call a method for a company, as `model.project.work.create`, and return its result.

        Raises:
            Skippable: The records are refused. Nothing was done.
            Retriable: It cannot do it now, or whether it did is unknown.
            Fatal: A person must act.
        """
        context = {"company": company, "language": "en"}  # else words are in the user's own
        told = self._told(method, [*parameters, context])
        if "result" in told:
            return told["result"]
        raise _meant(f"{self._address}: {method}", told.get("error"))

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _told(self, method: str, parameters: Sequence[Any]) -> Mapping[str, Any]:
        content = content_of(method, parameters)
        try:
            told = self._http.request("POST", self._address, content=content, headers=JSON).json()
        except NotThere as error:
            raise Retriable(f"{error}: {NOT_REACHED}") from error
        if not isinstance(told, dict):
            raise Retriable(f"{self._address}: {method} was answered by no JSON-RPC; is it the URL of a Tryton?")
        return told


def address_of(url: str, database: str) -> str:
    """Return where calls of a database go."""
    return f"{url.rstrip('/')}/{database}/rpc/"


def content_of(method: str, parameters: Sequence[Any]) -> bytes:
    """Return a call as it is sent."""
    return json.dumps({"id": 1, "method": method, "params": parameters}).encode()


def words_of(told: Any) -> str:
    """Return what Tryton says to its user: the message, and the description where there is one."""
    parts = told if isinstance(told, list) else [told]
    return " ".join(" ".join(part for part in parts[:2] if isinstance(part, str)).split())[:SAID_MAX] or "refused"


def _meant(place: str, error: Any) -> Exception:
    """Return what an error in an answer means."""
    name, *rest = error if isinstance(error, list) and error else ["RateLimitException"]
    words = words_of(rest[0] if rest else "")
    text = f"{place}: {name}: {words}"
    match name:
        case "UserError" | "UserWarning":
            return Fatal(f"{text}; give the user the right") if words.startswith(FORBIDDEN) else Skippable(text)
        case "ConcurrencyException" | "RateLimitException":
            return Retriable(text, nothing_sent=True)
        case "LoginException":
            return Fatal(f"{text}; the user needs more than a password to log in: give it one that does not")
        case _:
            return Retriable(text)

"""Calls of a Tryton by its JSON-RPC: who we are, and what its answers and refusals mean to a sink.

Owns the session and the classes of errors. Does not own what is called. Each call is one transaction there: it is done
whole, or not at all, unless its answer was lost; Tryton's own work after a transaction, such as printing an invoice,
may fail when all is done.
"""

import base64
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from pydantic import Field, SecretStr

from outside import errors
from outside.http import Answer, Http
from outside.http_settings import HttpSettings
from streams.sinks.contract import Fatal, Retriable, Trouble

_JSON: Final = {"content-type": "application/json"}
_BUSY: Final = 429
_LOCKED: Final = ("could not serialize access", "deadlock detected", "could not obtain lock", "lock timeout")
"""What PostgreSQL says when two transactions wanted to change one row."""

_FORBIDDEN: Final = ("Calling button", "You are not allowed to access")
"""How refusals begin that are about the user, whatever the record."""

_WARNING: Final = "model.res.user.warning.create"
_WARNINGS_MAX: Final = 100
_CONFIRMED: Final = ("invoice_taxes", "invoice_payment_term")
"""Warnings that we answer with yes, by the end of their names: the mapping decides on taxes, and work is due late."""

_SAID_MAX: Final = 500


class TrytonSettings(HttpSettings):
    """Where a Tryton is, and as whom it is spoken to."""

    database: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="Name of the database.")
    user: str = Field(min_length=1, description="Login of a user who may make, validate and post invoices.")
    password: SecretStr = Field(description="Password of the user.")


class Refused(Exception):
    """Tryton does not do what it was asked for with these records, in its own words. Nothing was done."""


class Session:
    """A user's session in one database: made at first, and anew when it was refused. May be used by several threads."""

    def __init__(self, http: Http, settings: TrytonSettings) -> None:
        self._http = http
        self._settings = settings
        self.address = address_of(settings)
        self.timeout_ms = settings.timeout_ms
        self._lock = threading.Lock()
        self._header: str | None = None
        self.user_id = 0

    def headers(self) -> Mapping[str, str]:
        """Return who we are, after logging in if need be. Raises errors of `outside`."""
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
        user, secret = self._settings.user, self._settings.password.get_secret_value()
        asked = {"id": 0, "method": "common.db.login", "params": [user, {"password": secret}, "en"]}
        try:
            told = self._http.exchange(self.address, json.dumps(asked).encode(), _JSON)
        except errors.Retriable as error:
            error.nothing_sent = True  # of the call that it was for
            raise
        if not isinstance(told, dict) or not isinstance(told.get("result"), list):
            raise errors.Fatal(f"{self.address}: {user} cannot log in by a password alone; give it one that can")
        self.user_id, token, *_ = told["result"]
        return "Session " + base64.b64encode(f"{user}:{self.user_id}:{token}".encode()).decode()


class Requests(Protocol):
    """What makes a request as a user, such as `outside.http.Http` once it was told of a session."""

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make a request. Raises the errors of `outside.errors`."""

    def close(self) -> None:
        """Close all connections."""


class TrytonRpc:
    """Calls of the user whose session it is, in one database. May be used by several threads."""

    def __init__(self, http: Requests, session: Session) -> None:
        self.timeout_ms = session.timeout_ms
        self._http = http
        self._address = session.address
        self._session = session

    def call(self, method: str, *parameters: Any, company: int) -> Any:
        """Call a method for a company, as `model.account.invoice.create`, and return its result.

        Warnings that the mapping answers are confirmed, as a person would by a click.

        Raises:
            Refused: The records are refused.
            Retriable: It cannot do it now, or whether it did is unknown.
            Fatal: A person must act.
        """
        context = {"company": company, "language": "en"}  # else words are in the user's own
        for _ in range(_WARNINGS_MAX):
            told = self._told(method, [*parameters, context])
            if "result" in told:
                return told["result"]
            warning = _warning_of(told)
            if warning is None:
                raise self._meant(method, told.get("error"))
            name, words = warning
            if not name.endswith(_CONFIRMED):
                raise Refused(words)
            row = {"user": self._session.user_id, "name": name, "always": False}
            self._told(_WARNING, [[row], context])
        raise Refused(f"{method}: Tryton warns of the same again and again")

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _told(self, method: str, parameters: Sequence[Any]) -> Mapping[str, Any]:
        body = json.dumps({"id": 1, "method": method, "params": parameters}).encode()
        try:
            told = self._http.request("POST", self._address, content=body, headers=_JSON).json()
        except errors.NotThere as error:
            # Tryton says so, too, while it cannot reach its own database server.
            raise Retriable(
                f"{error}: the database is unknown there, or cannot be reached", nothing_sent=True
            ) from error
        except errors.Fatal as error:
            raise Fatal(str(error)) from error
        except errors.Retriable as error:
            raise _passing(error) from error
        if not isinstance(told, dict):
            raise Retriable(f"{self._address}: {method} was answered by no JSON-RPC; is it the URL of a Tryton?")
        return told

    def _meant(self, method: str, error: Any) -> Exception:
        """Return what an error in an answer means."""
        name, *rest = error if isinstance(error, list) and error else ["RateLimitException"]
        text = f"{self._address}: {method}: {name}: {rest[0] if rest else ''}"[:_SAID_MAX]
        match name:
            case "UserError":
                words = _words(rest[0] if rest else "")
                return Fatal(f"{text}; give the user the right") if words.startswith(_FORBIDDEN) else Refused(words)
            case "ConcurrencyException":
                return Retriable(text, nothing_sent=True, trouble=Trouble.RECORD)
            case "RateLimitException":
                return Retriable(text, nothing_sent=True, trouble=Trouble.BUSY)
            case "LoginException":
                return Fatal(f"{text}; the user needs more than a password to log in: give it one that does not")
            case _:
                # A fault inside Tryton: it may have struck after the transaction, when an invoice was printed.
                return Retriable(text, trouble=Trouble.RECORD if _is_locked(text) else Trouble.DOWN)


def logged_in(http: Http, settings: TrytonSettings) -> TrytonRpc:
    """Return calls over a client that is told who we are."""
    session = Session(http, settings)
    http.log_in(session)
    return TrytonRpc(http, session)


def address_of(settings: TrytonSettings) -> str:
    """Return where calls of a database go."""
    return f"{settings.url.rstrip('/')}/{settings.database}/rpc/"


def _passing(error: errors.Retriable) -> Retriable:
    """Return a failure of the connection as the contract has it."""
    trouble = Trouble.DOWN
    if error.status == _BUSY:
        trouble = Trouble.BUSY
    elif _is_locked(str(error)):
        trouble = Trouble.RECORD
    return Retriable(str(error), nothing_sent=error.nothing_sent, retry_after_ms=error.retry_after_ms, trouble=trouble)


def _is_locked(text: str) -> bool:
    return any(words in text for words in _LOCKED)


def _warning_of(told: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return a warning's name and words, if the answer is one."""
    match told.get("error"):
        case ["UserWarning", [str(name), message, *rest]]:
            return name, _words([message, *rest])
    return None


def _words(told: Any) -> str:
    """Return what Tryton says to its user: the message, and the description where there is one."""
    parts = told if isinstance(told, list) else [told]
    return " ".join(" ".join(part for part in parts[:2] if isinstance(part, str)).split())[:_SAID_MAX] or "refused"

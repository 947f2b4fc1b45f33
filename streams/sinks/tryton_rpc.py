"""Calls of a Tryton by its JSON-RPC: what its answers and refusals mean to a sink.

Owns the classes of errors, and which warnings are answered. Does not own the session (`outside.tryton`), nor what is
called. Each call is one transaction there: it is done whole, or not at all, unless its answer was lost; Tryton's own
work after a transaction, such as printing an invoice, may fail when all is done.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from pydantic import Field, SecretStr

from outside import errors
from outside.http import Answer, Http
from outside.http_settings import HttpSettings
from outside.tryton import FORBIDDEN, JSON, NOT_REACHED, SAID_MAX, Session, address_of, content_of, words_of
from streams.sinks.contract import Fatal, Retriable, Trouble

_BUSY: Final = 429
_LOCKED: Final = ("could not serialize access", "deadlock detected", "could not obtain lock", "lock timeout")
"""What PostgreSQL says when two transactions wanted to change one row."""

_WARNING: Final = "model.res.user.warning.create"
_WARNINGS_MAX: Final = 100
_CONFIRMED: Final = ("invoice_taxes", "invoice_payment_term")
"""Warnings that we answer with yes, by the end of their names: the mapping decides on taxes, and work is due late."""


class TrytonSettings(HttpSettings):
    """Where a Tryton is, and as whom it is spoken to."""

    database: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="Name of the database.")
    user: str = Field(min_length=1, description="Login of a user who may make, validate and post invoices.")
    password: SecretStr = Field(description="Password of the user.")


class Refused(Exception):
    """Tryton does not do what it was asked for with these records, in its own words. Nothing was done."""


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

    def __init__(self, http: Requests, session: Session, timeout_ms: int) -> None:
        self.timeout_ms = timeout_ms
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
        content = content_of(method, parameters)
        try:
            told = self._http.request("POST", self._address, content=content, headers=JSON).json()
        except errors.NotThere as error:
            raise Retriable(f"{error}: {NOT_REACHED}", nothing_sent=True) from error
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
        text = f"{self._address}: {method}: {name}: {rest[0] if rest else ''}"[:SAID_MAX]
        match name:
            case "UserError":
                words = words_of(rest[0] if rest else "")
                return Fatal(f"{text}; give the user the right") if words.startswith(FORBIDDEN) else Refused(words)
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
    return TrytonRpc(http, session_of(http, settings), settings.timeout_ms)


def session_of(http: Http, settings: TrytonSettings) -> Session:
    """Return a session of the settings' user, which a client is told of."""
    address = address_of(settings.url, settings.database)
    session = Session(http, address, settings.user, settings.password.get_secret_value())
    http.log_in(session)
    return session


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
            return name, words_of([message, *rest])
    return None

"""One organisation over REST: queries, what an object has, and how many calls of the day are used.

Calls that would eat into the share of the daily limit that is left to others are not made: the feed waits.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from outside.errors import Fatal, Retriable
from outside.http import Answer

Json = Mapping[str, Any]

_USAGE: Final = re.compile(r"api-usage=(\d+)/(\d+)")
_USED_UP: Final = "REQUEST_LIMIT_EXCEEDED"
_GONE: Final = ("INVALID_FIELD", "INVALID_TYPE", "NOT_FOUND")
_BATCH_ROWS_MAX: Final = 2000
_PARTS_OF_ID: Final = 3


class Http(Protocol):
    """What fetches: it logs in, renews a token that was refused, and tells errors apart."""

    def request(self, method: str, url: str, *, params: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """Return the answer. Raises Retriable or Fatal."""


class Tokens(Protocol):
    """Who keeps the token."""

    def answer(self) -> Mapping[str, Any]:
        """Return the whole answer that brought the token in use, or a new one. Raises Retriable or Fatal."""

    def renew(self) -> bool:
        """Forget the token: it was refused."""


class Token(NamedTuple):
    """An access token, the instance it is for, and the id of the organisation."""

    access: str
    instance_url: str
    tenant: str


class Session:
    """Who we are to Salesforce, for REST and for gRPC. `url`: the instance, where no token's answer names one."""

    def __init__(self, feed: str, tokens: Tokens, url: str) -> None:
        self._feed = feed
        self._tokens = tokens
        self._url = url

    def token(self) -> Token:
        """Return the token in use, or a new one. Raises Retriable or Fatal."""
        answer = self._tokens.answer()
        missing = [name for name in ("instance_url", "id") if not isinstance(answer.get(name), str)]
        if missing:
            raise Fatal(
                f"{self._feed}: the answer for a token has no {', '.join(missing)}; is it the URL of Salesforce?"
            )
        # The id is a URL whose last two parts are the organisation and the user.
        return Token(
            answer["access_token"], answer["instance_url"].rstrip("/"), urlsplit(answer["id"]).path.split("/")[-2]
        )

    def renew(self) -> None:
        """Let the token in use go: it was refused."""
        self._tokens.renew()


class RestApi:
    """The REST API of one organisation."""

    def __init__(self, feed: str, http: Http, session: Session, version: str, calls: "Calls") -> None:
        self._feed = feed
        self._http = http
        self._session = session
        self._root = f"/services/data/v{version}"
        self._calls = calls

    def query(self, soql: str, *, deleted: bool) -> Json:
        """Return the first page of a query; `deleted`: with what is in the bin."""
        return self._get(f"{self._root}/{'queryAll' if deleted else 'query'}", {"q": soql})

    def more(self, url: str) -> Json:
        """Return the page at `nextRecordsUrl`."""
        return self._get(url, {})

    def columns(self, object_name: str) -> frozenset[str]:
        """Return the names of all fields of an object."""
        described = self._get(f"{self._root}/sobjects/{object_name}/describe", {})
        return frozenset(field["name"] for field in described["fields"])

    def _get(self, path: str, params: Mapping[str, str]) -> Json:
        self._calls.check()
        url = self._session.token().instance_url + path
        try:
            answer = self._http.request(
                "GET", url, params=params, headers={"Sforce-Query-Options": f"batchSize={_BATCH_ROWS_MAX}"}
            )
        except Retriable as error:
            if _USED_UP in str(error):
                raise Retriable(f"{self._feed}: {error}", error.retry_after_ms or self._calls.wait_ms) from error
            raise
        except Fatal as error:
            if any(code in str(error) for code in _GONE):
                raise Fatal(
                    f"{self._feed}: {error}: a field or object was renamed, dropped or hidden in Salesforce. Bring it "
                    "back, or correct its name in the configuration; the feed goes on from where it stopped"
                ) from error
            raise
        self._calls.seen(answer.headers.get("sforce-limit-info", ""))
        found: Json = answer.json()
        return found


class Calls:
    """The calls of the day, of which a share is left to others. `wait_ms`: how long to wait once ours are used."""

    def __init__(self, feed: str, left_to_others: Decimal, wait_ms: int) -> None:
        self.wait_ms = wait_ms
        self._feed = feed
        self._left_to_others = left_to_others
        self._used: tuple[int, int] | None = None

    def seen(self, header: str) -> None:
        """Take in what an answer said of the calls of the day."""
        if match := _USAGE.search(header):
            self._used = int(match[1]), int(match[2])

    def check(self) -> None:
        """Raise Retriable if the next call is one of those that are left to others.

        One call is let through after each wait: only an answer says how many there are by then.
        """
        if self._used is None:
            return
        used, limit = self._used
        if used >= limit * (1 - self._left_to_others):
            self._used = None
            said = f"{used} of {limit} calls of the day are used; what remains is left to others (limit.left.to.others)"
            raise Retriable(f"{self._feed}: {said}", self.wait_ms)

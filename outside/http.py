"""One HTTP client for all systems outside: within limits, never for ever, and with every answer told apart.

Owns what an answer means for whoever asked: an answer, `Retriable` (it may answer later, and perhaps says when), or
`Fatal` (a person must act). Does not own who we are to the other side: `Authority` gives the headers, see `oauth`.
"""

import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlsplit, urlunsplit

import httpx2

from outside.errors import Fatal, NotThere, Retriable

_SAID_MAX: Final = 300
_RETRY_MS_MAX: Final = 86_400_000
_DIGITS_MAX: Final = 12
_BUSY_CODES: Final = ("REQUEST_LIMIT_EXCEEDED",)
"""Words by which a system says that it is busy under a status that means something else."""

_NOT_CONNECTED: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
"""Failures before a request left."""

_SAYING: Final = (
    "code", "errorCode", "o:errorCode", "error", "errors", "title", "message", "value", "detail", "o:errorPath",
    "o:errorDetails", "error_description", "innererror", "errordetails",
)  # fmt: skip
"""Members of an error's body that say what is wrong, the code first."""


class Limits(NamedTuple):
    """What a system is asked at most.

    `timeout_s` bounds each wait for the network, `answer_s_max` a whole answer, `answer_bytes_max` its size unpacked.
    `requests_per_second` 0 is any number; `at_once` bounds what is under way at one moment.
    """

    timeout_s: float = 30.0
    answer_s_max: float = 300.0
    answer_bytes_max: int = 32 * 1024 * 1024
    requests_per_second: float = 0.0
    at_once: int = 4


class Authority(Protocol):
    """Who we are to the other side."""

    def headers(self) -> Mapping[str, str]:
        """Return what is sent with each request. Raises `Retriable` or `Fatal`."""

    def renew(self) -> bool:
        """Forget what was refused, and return whether there may be something else."""


class Requests(Protocol):
    """Who counts requests."""

    def requested(self, status: str) -> None:
        """A request was answered with a status, or not (`timeout`, `broken`)."""

    def held(self, seconds: float) -> None:
        """A request was held back to keep to a rate."""


class Uncounted:
    """Who counts requests where nobody asks how many there were."""

    def requested(self, status: str) -> None:
        """Nothing is counted."""

    def held(self, seconds: float) -> None:
        """Nothing is counted."""


class Answer(NamedTuple):
    """What came back: status, headers by their names in small letters, and the body."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON, its fractions as Decimal. Raises `Retriable` for a body that is none, or is cut."""
        try:
            return json.loads(self.body, parse_float=Decimal, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise Retriable(f"{self.url}: the answer is no JSON, or was cut off: {error}") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


@cache
def _trusted() -> ssl.SSLContext:
    """Return whom we trust: read once, which takes as long as a hundred requests."""
    return httpx2.create_ssl_context()


class Http:
    """A client of one system. May be used by several threads.

    `clock` gives milliseconds since 1970, for an hour that the other side names; `hold` waits for so many seconds.
    """

    def __init__(
        self,
        limits: Limits,
        told: Requests,
        clock: Callable[[], int],
        hold: Callable[[float], object],
    ) -> None:
        self._limits = limits
        self._told = told
        self._clock = clock
        self._authority: Authority | None = None
        self._pace = _Pace(limits.requests_per_second, hold, told.held)
        self._under_way = threading.BoundedSemaphore(limits.at_once)
        self._client = httpx2.Client(verify=_trusted(), timeout=limits.timeout_s, follow_redirects=False)

    def log_in(self, authority: Authority) -> None:
        """Say who we are with each request from now on."""
        self._authority = authority

    def exchange(self, url: str, content: bytes, headers: Mapping[str, str]) -> Any:
        """Post what a token is asked for with, without a token; return the answer. Raises as `request` does."""
        return self._checked(self._once("POST", url, shown(url), None, content, headers)).json()

    def get(self, url: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Any:
        """Return what stands at a URL, read as JSON. Raises as `request` does."""
        return self.request("GET", url, params=params, headers=headers).json()

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make a request and return its answer, whose status is from 200 to 299.

        A refused token is renewed once.

        Raises:
            Retriable: There was no whole answer, or the other side is busy or broken.
            Fatal: It refuses, redirects, or says more than is taken. The message names the URL without its secrets.
        """
        return self._checked(self.answer(method, url, params=params, content=content, headers=headers))

    def answer(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make a request and return its answer, whatever its status: who writes must read what a refusal says.

        A refused token is renewed once. Cookies that were set are sent with what follows.

        Raises:
            Retriable: There was no whole answer. `nothing_sent` says whether the request is sure not to have arrived.
            Fatal: The URL is none, we cannot log in, or the answer is larger than is taken.
        """
        place = shown(url)
        if self._authority is None:
            return self._once(method, url, place, params, content, headers or {})
        answer = self._once(method, url, place, params, content, {**self._login(self._authority), **(headers or {})})
        if answer.status == httpx2.codes.UNAUTHORIZED and self._authority.renew():
            sent = {**self._login(self._authority), **(headers or {})}
            answer = self._once(method, url, place, params, content, sent)
        return answer

    @staticmethod
    def _login(authority: Authority) -> Mapping[str, str]:
        try:
            return authority.headers()
        except Retriable as error:  # the token was not had, so what it is for was not sent, or was refused
            raise Retriable(str(error), error.retry_after_ms, status=error.status, nothing_sent=True) from error

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _once(
        self,
        method: str,
        url: str,
        place: str,
        params: Mapping[str, str] | None,
        content: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        sent = {"accept": "application/json", **headers}
        try:
            with self._under_way:
                self._pace.take()
                with self._client.stream(method, url, params=params, content=content, headers=sent) as response:
                    body = self._body(response, place)
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise Fatal(f"{place}: {error}; correct the URL") from error
        except httpx2.TimeoutException as error:
            self._told.requested("timeout")
            text = f"{place}: no answer within {self._limits.timeout_s:g} s"
            raise Retriable(text, nothing_sent=isinstance(error, _NOT_CONNECTED)) from error
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            self._told.requested("broken")
            text = f"{place}: the connection failed: {error or type(error).__name__}"
            raise Retriable(text, nothing_sent=isinstance(error, _NOT_CONNECTED)) from error
        self._told.requested(str(response.status_code))
        return Answer(place, response.status_code, dict(response.headers), body)

    def _body(self, response: httpx2.Response, place: str) -> bytes:
        began, body = time.monotonic(), bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > self._limits.answer_bytes_max:
                raise Fatal(
                    f"{place}: the answer has more than {self._limits.answer_bytes_max} bytes; ask for smaller pages"
                )
            if time.monotonic() - began > self._limits.answer_s_max:
                self._told.requested("timeout")
                raise Retriable(f"{place}: the answer was not whole after {self._limits.answer_s_max:g} s")
        return bytes(body)

    def _checked(self, answer: Answer) -> Answer:
        status = answer.status
        if 200 <= status < 300:
            return answer
        said = f"{answer.url}: {status}: {message_of(answer.body)}"
        is_busy = status in (408, 425, 429) or status >= 500 or any(code in said for code in _BUSY_CODES)
        if is_busy:
            wait = retry_after_ms(answer.headers.get("retry-after"), self._clock())
            refused = status == httpx2.codes.TOO_MANY_REQUESTS
            raise Retriable(said, wait, status=status, nothing_sent=refused)
        if status == httpx2.codes.UNAUTHORIZED:
            raise Fatal(f"{said}; the credentials are refused: correct them")
        raise NotThere(said) if status in (404, 410) else Fatal(said)


class _Pace:
    """Keeps to a rate: requests are begun one interval apart, at least."""

    def __init__(self, per_second: float, hold: Callable[[float], object], told: Callable[[float], None]) -> None:
        self._interval_s = 1 / per_second if per_second else 0.0
        self._hold = hold
        self._told = told
        self._next = 0.0
        self._lock = threading.Lock()

    def take(self) -> None:
        if not self._interval_s:
            return
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._next)
            self._next = begin + self._interval_s
        if begin > now:
            self._told(begin - now)
            self._hold(begin - now)


def retry_after_ms(header: str | None, now: int) -> int | None:
    """Return the wait that a `Retry-After` header asks for, in seconds or as a date, rounded up; None if it does not.

    A day at most: a longer one is rather a mistake. `now`: milliseconds since 1970.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:_DIGITS_MAX]) * 1000, _RETRY_MS_MAX)
    try:
        moment = parsedate_to_datetime(text)
        return min(max(0, round(moment.timestamp() * 1000) - now), _RETRY_MS_MAX)
    except (ValueError, OverflowError):
        return None


def shown(url: str) -> str:
    """Return a URL as it may be told: without user, password and query, which may hold secrets."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit((parts.scheme, host + port, parts.path, "", ""))


def message_of(body: bytes) -> str:
    """Return what an error's body says, in the words of the systems we know, cut to a length that fits a log."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = body.decode("utf-8", "replace")
    return " ".join(" ".join(_words(content)).split())[:_SAID_MAX] or "(nothing is said)"


def _words(content: Any) -> list[str]:
    """Return codes and messages: each system nests them elsewhere, under the same few names."""
    if isinstance(content, str | int):
        return [str(content)]
    if isinstance(content, list):
        return [word for each in content[:5] for word in _words(each)]
    if isinstance(content, dict):
        return [word for name in _SAYING if name in content for word in _words(content[name])]
    return []

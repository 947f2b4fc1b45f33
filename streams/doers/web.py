"""What doers that speak HTTP share: what each status means for an order. Does not own what is said."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from outside.errors import Fatal, Retriable, Skippable
from outside.http import Answer, Http, message_of, retry_after_ms

JSON: Final = {"content-type": "application/json"}
_BUSY: Final = frozenset({408, 423, 425, 429})
_NOT_US: Final = frozenset({401, 403, 407})
NOT_FOUND: Final = frozenset({404, 410})
EXISTS: Final = frozenset({409, 412})
"""What it says of something that is there already, or was changed meanwhile."""


class Web:
    """Requests of one doer to one system. `clock` gives milliseconds since 1970."""

    def __init__(self, http: Http, clock: Callable[[], int], secret_path: bool = False) -> None:
        """`secret_path`: the path of the URL is a password, as that of a webhook, and is never told."""
        self._http = http
        self._clock = clock
        self._secret_path = secret_path

    def found(self, url: str, params: Mapping[str, str] | None = None) -> Any | None:
        """Return what stands at a URL, or None where nothing does. Raises as doers do."""
        answer = self._answer("GET", url, None, {}, params)
        return None if answer.status in NOT_FOUND else self._checked(answer).json()

    def send(self, method: str, url: str, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
        """Send JSON; return an answer that says yes, or that there is such a thing (`EXISTS`). Raises as doers do."""
        answer = self._answer(method, url, json.dumps(body).encode(), {**JSON, **(headers or {})}, None)
        return answer if answer.status in EXISTS else self._checked(answer)

    def header(self, url: str, headers: Mapping[str, str], name: str) -> str:
        """Return a header of an answer, nothing where there is none, whatever the status. Raises as doers do."""
        answer = self._answer("GET", url, None, headers, None)
        if answer.status in _NOT_US or answer.status >= 500:
            self._checked(answer)
        return answer.headers.get(name, "")

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _answer(
        self,
        method: str,
        url: str,
        content: bytes | None,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
    ) -> Answer:
        try:
            return self._http.answer(method, url, params=params, content=content, headers=headers)
        except Retriable as error:
            if not self._secret_path:
                raise
            text = "no whole answer came" if not error.nothing_sent else "it cannot be reached"
            raise Retriable(text, error.retry_after_ms, nothing_sent=error.nothing_sent) from None
        except Fatal:
            if not self._secret_path:
                raise
            raise Fatal("its URL is none, or it says more than is taken; correct the URL") from None

    def _checked(self, answer: Answer) -> Answer:
        status = answer.status
        if 200 <= status < 300:
            return answer
        place = "" if self._secret_path else f"{answer.url}: "
        said = f"{place}{status}: {message_of(answer.body)}"
        if status in _BUSY or status >= 500:
            wait = retry_after_ms(answer.headers.get("retry-after"), self._clock())
            raise Retriable(said, wait, status=status, nothing_sent=status in _BUSY)
        if status in _NOT_US:
            raise Fatal(f"{said}; it does not let us: correct the credentials, or give the user the right")
        if status in NOT_FOUND or 300 <= status < 400:
            raise Fatal(f"{said}; there is nothing at this URL: correct it")
        raise Skippable(said)

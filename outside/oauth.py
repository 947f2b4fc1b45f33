"""Who we are to a system outside: OAuth 2.0 tokens, kept until shortly before they expire, or a login.

Owns the grants and the keeping of tokens. Assertions are signed by Authlib. The keys are read where settings are known.
"""

import base64
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlencode

from authlib.oauth2.rfc7523.assertion import sign_jwt_bearer_assertion
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from outside.errors import Fatal

_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFE_S_DEFAULT: Final = 600
"""How long a token is kept whose answer does not say how long it lives."""

_ASSERTION_LIFE_S: Final = 170
"""Salesforce takes no assertion that lives longer than three minutes."""

_EARLY_SHARE: Final = 10
"""A token is renewed when a tenth of its life is left, but a minute before its end at the earliest."""

Form = Mapping[str, str]
Exchange = Callable[[str, bytes, Mapping[str, str]], Any]
"""(token URL, body, headers) to the answer, read as JSON; raises `Retriable` or `Fatal`."""


class Grant(Protocol):
    """How a token is asked for."""

    @property
    def token_url(self) -> str:
        """Where."""

    def form(self, now: int) -> Form:
        """With which fields; `now` in milliseconds since 1970."""

    def headers(self) -> Mapping[str, str]:
        """With which headers."""


class ClientCredentials(NamedTuple):
    """A client's id and secret, in the header (RFC 6749's first choice) or in the form, as some systems want it."""

    token_url: str
    client_id: str
    secret: str
    scope: str = ""
    in_form: bool = False
    resource: str = ""

    def form(self, now: int) -> Form:  # noqa: ARG002, other grants are dated
        """Return the fields of the request."""
        login = {"client_id": self.client_id, "client_secret": self.secret} if self.in_form else {}
        return _some(grant_type="client_credentials", scope=self.scope, resource=self.resource, **login)

    def headers(self) -> Mapping[str, str]:
        """Return the headers of the request."""
        return {} if self.in_form else {"authorization": basic(self.client_id, self.secret)}


class RefreshToken(NamedTuple):
    """A token that is given for access tokens, again and again."""

    token_url: str
    client_id: str
    secret: str
    refresh_token: str
    scope: str = ""

    def form(self, now: int) -> Form:  # noqa: ARG002
        """Return the fields of the request."""
        return _some(grant_type="refresh_token", refresh_token=self.refresh_token, scope=self.scope)

    def headers(self) -> Mapping[str, str]:
        """Return the headers of the request."""
        return {"authorization": basic(self.client_id, self.secret)}


class Key(NamedTuple):
    """What assertions are signed with: the private key (PEM), RS256, PS256 or ES256, and the id it is known by."""

    pem: str
    algorithm: str = "RS256"
    key_id: str = ""


class JwtBearer(NamedTuple):
    """An assertion in place of a user's consent: `subject` has allowed it to the client."""

    token_url: str
    key: Key
    client_id: str
    subject: str
    audience: str
    scope: str = ""

    def form(self, now: int) -> Form:
        """Return the fields of the request."""
        assertion = _signed(self.key, self.client_id, self.audience, self.subject, {}, now)
        return _some(grant_type=_JWT_BEARER, assertion=assertion, scope=self.scope)

    def headers(self) -> Mapping[str, str]:
        """Return the headers of the request."""
        return {}


class ClientAssertion(NamedTuple):
    """Client credentials in which an assertion stands for the secret; the scope stands in it, too."""

    token_url: str
    key: Key
    client_id: str
    audience: str
    scope: str = ""

    def form(self, now: int) -> Form:
        """Return the fields of the request."""
        claims = _some(scope=self.scope)
        assertion = _signed(self.key, self.client_id, self.audience, self.client_id, claims, now)
        return _some(
            grant_type="client_credentials",
            client_assertion_type=_ASSERTION_TYPE,
            client_assertion=assertion,
            scope=self.scope,
        )

    def headers(self) -> Mapping[str, str]:
        """Return the headers of the request."""
        return {}


class Bearer:
    """An access token and how it is had. May be used by several threads."""

    def __init__(self, grant: Grant, exchange: Exchange, clock: Callable[[], int]) -> None:
        self._grant = grant
        self._exchange = exchange
        self._clock = clock
        self._lock = threading.Lock()
        self._answer: Mapping[str, Any] | None = None
        self._until_ms = 0

    def headers(self) -> Mapping[str, str]:
        """Return the header with a token that lives. Raises `Retriable` or `Fatal`."""
        return {"authorization": f"Bearer {self.answer()['access_token']}"}

    def answer(self) -> Mapping[str, Any]:
        """Return the whole answer that brought the token: some systems name in it the host to be asked."""
        with self._lock:
            now = self._clock()
            if self._answer is None or now >= self._until_ms:
                self._answer = self._asked(now)
            return self._answer

    def renew(self) -> bool:
        """Forget the token, which was refused before its time; return that another may be had."""
        with self._lock:
            self._answer = None
        return True

    def _asked(self, now: int) -> Mapping[str, Any]:
        url = self._grant.token_url
        headers = {"content-type": "application/x-www-form-urlencoded", **self._grant.headers()}
        answer = self._exchange(url, urlencode(self._grant.form(now)).encode(), headers)
        if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
            raise Fatal(f"{url}: the answer has no access_token; is it the URL for tokens?")
        life_s = _seconds(answer.get("expires_in"))
        self._until_ms = now + life_s * 1000 - min(life_s * 1000 // _EARLY_SHARE, 60_000)
        return answer


class Basic:
    """A user and a password, sent with each request."""

    def __init__(self, user: str, password: str) -> None:
        self._header = basic(user, password)

    def headers(self) -> Mapping[str, str]:
        """Return the header."""
        return {"authorization": self._header}

    def renew(self) -> bool:
        """Return that there is no other."""
        return False


def basic(user: str, password: str) -> str:
    """Return the value of a header for a user and a password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _some(**fields: str) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}


def _seconds(value: Any) -> int:
    try:
        return max(0, int(value))
    except (TypeError, ValueError):
        return _LIFE_S_DEFAULT


def _signed(key: Key, issuer: str, audience: str, subject: str, claims: dict[str, str], now: int) -> str:
    header = _some(alg=key.algorithm, typ="JWT", kid=key.key_id)
    begun = now // 1000
    try:
        private = (ECKey if key.algorithm.startswith("ES") else RSAKey).import_key(key.pem)
        return str(
            sign_jwt_bearer_assertion(
                private, issuer, audience, subject, begun, begun + _ASSERTION_LIFE_S, dict(claims), header
            )
        )
    except (ValueError, TypeError, JoseError):  # what it says may hold the key
        raise Fatal(f"the private key cannot sign with {key.algorithm}: is it PEM, and of that kind?") from None

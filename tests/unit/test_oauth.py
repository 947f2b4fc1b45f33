"""Tokens: how each grant asks for one, how long it is kept, and that assertions are signed as they say."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt
from joserfc.jwk import import_key

from outside.errors import Fatal
from outside.oauth import Basic, Bearer, ClientAssertion, ClientCredentials, Grant, JwtBearer, Key, RefreshToken, basic

NOON = 1_772_366_400_000
URL = "https://login.example/token"


class Exchange:
    """A token endpoint that notes what it is asked, and gives tokens of so many seconds."""

    def __init__(self, lives: Any = 600) -> None:
        self.asked: list[tuple[dict[str, str], Mapping[str, str]]] = []
        self._lives = lives

    def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> Any:
        assert url == URL
        self.asked.append(({name: values[0] for name, values in parse_qs(body.decode()).items()}, headers))
        answer = {"access_token": f"t{len(self.asked)}", "instance_url": "https://eu.example"}
        return answer if self._lives is None else {**answer, "expires_in": self._lives}


def asked_by(grant: Grant) -> tuple[dict[str, str], Mapping[str, str]]:
    exchange = Exchange()
    Bearer(grant, exchange, lambda: NOON).headers()
    return exchange.asked[0]


@pytest.mark.parametrize(
    ("grant", "form", "authorization"),
    [
        (
            ClientCredentials(URL, "id", "s", "read"),
            {"grant_type": "client_credentials", "scope": "read"},
            basic("id", "s"),
        ),
        (
            ClientCredentials(URL, "id", "s", in_form=True),
            {"grant_type": "client_credentials", "client_id": "id", "client_secret": "s"},
            None,
        ),
        (
            RefreshToken(URL, "id", "s", "again"),
            {"grant_type": "refresh_token", "refresh_token": "again"},
            basic("id", "s"),
        ),
    ],
)
def test_a_grant_asks_as_it_is_written(grant: Grant, form: dict[str, str], authorization: str | None) -> None:
    sent, headers = asked_by(grant)
    assert sent == form
    assert headers.get("authorization") == authorization
    assert headers["content-type"] == "application/x-www-form-urlencoded"


def private_key(algorithm: str) -> tuple[str, Any]:
    made: Any = (
        ec.generate_private_key(ec.SECP256R1())
        if algorithm == "ES256"
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = made.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem, import_key(public, "EC" if algorithm == "ES256" else "RSA")


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
def test_an_assertion_is_signed_and_says_who_for_whom_and_how_long(algorithm: str) -> None:
    pem, public = private_key(algorithm)
    key = Key(pem, algorithm, "key-1")
    form, _ = asked_by(JwtBearer(URL, key, "id", "ann@firm.example", "https://login.example"))
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    read = jwt.decode(form["assertion"], public, algorithms=[algorithm])
    assert read.header == {"alg": algorithm, "typ": "JWT", "kid": "key-1"}
    assert {name: read.claims[name] for name in ("iss", "sub", "aud", "iat", "exp")} == {
        "iss": "id", "sub": "ann@firm.example", "aud": "https://login.example",
        "iat": NOON // 1000, "exp": NOON // 1000 + 170,
    }  # fmt: skip

    form, headers = asked_by(ClientAssertion(URL, key, "id", URL, "rest_webservices"))
    assert form["grant_type"] == "client_credentials"
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    claims = jwt.decode(form["client_assertion"], public, algorithms=[algorithm]).claims
    assert (claims["iss"], claims["aud"], claims["scope"]) == ("id", URL, "rest_webservices")
    assert "authorization" not in headers


@pytest.mark.parametrize("pem", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_key_that_cannot_sign_is_told_and_not_shown(pem: str) -> None:
    with pytest.raises(Fatal, match="the private key cannot sign with RS256") as refused:
        asked_by(JwtBearer(URL, Key(pem), "id", "ann", URL))
    assert "AAAA" not in str(refused.value)


@pytest.mark.parametrize(
    ("lives", "kept_s"), [(600, 540), ("600", 540), (3600, 3540), (10, 9), (None, 540), ("long", 540), (0, 0)]
)
def test_a_token_is_kept_until_shortly_before_it_ends(lives: Any, kept_s: int) -> None:
    now, exchange = NOON, Exchange(lives)
    bearer = Bearer(ClientCredentials(URL, "id", "s"), exchange, lambda: now)
    assert bearer.headers() == {"authorization": "Bearer t1"}
    now = NOON + kept_s * 1000 - 1
    assert bearer.headers() == {"authorization": "Bearer t1"}
    now = NOON + kept_s * 1000
    assert bearer.headers() == {"authorization": "Bearer t2"}


def test_a_token_that_was_refused_is_not_sent_again() -> None:
    exchange = Exchange()
    bearer = Bearer(ClientCredentials(URL, "id", "s"), exchange, lambda: NOON)
    assert bearer.answer()["instance_url"] == "https://eu.example"
    assert bearer.headers() == {"authorization": "Bearer t1"}
    assert bearer.renew()
    assert bearer.headers() == {"authorization": "Bearer t2"}


@pytest.mark.parametrize("answer", [[], {"access_token": None}, {"token": "x"}])
def test_an_answer_without_a_token_is_a_persons_business(answer: Any) -> None:
    bearer = Bearer(ClientCredentials(URL, "id", "s"), lambda *_: answer, lambda: NOON)
    with pytest.raises(Fatal, match="the answer has no access_token"):
        bearer.headers()


def test_a_login_is_the_same_each_time() -> None:
    login = Basic("ann", "päss:word")
    assert login.headers() == {"authorization": "Basic YW5uOnDDpHNzOndvcmQ="}
    assert not login.renew()

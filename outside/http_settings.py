"""Settings of whatever is reached by HTTP: where it is, who we are to it, and what it is asked at most."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, model_validator

from outside.errors import Fatal
from outside.http import Http, Limits, Requests
from outside.oauth import Basic, Bearer, ClientAssertion, ClientCredentials, Grant, JwtBearer, Key, RefreshToken

_CLIENT: Final = ("auth.token.url", "auth.client.id")
_NEEDED: Final = {
    "none": (),
    "basic": ("auth.user", "auth.password"),
    "client_credentials": (*_CLIENT, "auth.client.secret"),
    "client_credentials_form": (*_CLIENT, "auth.client.secret"),
    "client_assertion": (*_CLIENT, "auth.key.file"),
    "jwt_bearer": (*_CLIENT, "auth.key.file", "auth.subject"),
    "refresh_token": (*_CLIENT, "auth.client.secret", "auth.refresh.token"),
}


class HttpSettings(BaseModel):
    """What every system that is reached by HTTP has."""

    url: str = Field(pattern=r"^https?://[^\s/]+", description="Base URL of the system, with scheme and host.")
    auth: Literal[
        "none",
        "basic",
        "client_credentials",
        "client_credentials_form",
        "client_assertion",
        "jwt_bearer",
        "refresh_token",
    ] = Field(
        default="none",
        description="How we log in: `none`, `basic`, or OAuth 2.0 by `client_credentials` (secret in the header), "
        "`client_credentials_form` (in the form), `client_assertion`, `jwt_bearer` or `refresh_token`.",
    )
    auth_user: str = Field(default="", alias="auth.user", description="User, for `basic`.")
    auth_password: SecretStr = Field(default=SecretStr(""), alias="auth.password", description="Password, for `basic`.")
    token_url: str = Field(default="", alias="auth.token.url", description="URL at which tokens are asked for.")
    client_id: str = Field(default="", alias="auth.client.id", description="Client id.")
    client_secret: SecretStr = Field(default=SecretStr(""), alias="auth.client.secret", description="Client secret.")
    key_file: Path | None = Field(
        default=None, alias="auth.key.file", description="File of the private key (PEM) that signs assertions."
    )
    key_algorithm: Literal["RS256", "PS256", "ES256"] = Field(
        default="RS256", alias="auth.key.algorithm", description="How assertions are signed: RS256, PS256 or ES256."
    )
    key_id: str = Field(default="", alias="auth.key.id", description="Id under which the system knows the key.")
    scope: str = Field(default="", alias="auth.scope", description="Scope that is asked for.")
    audience: str = Field(
        default="", alias="auth.audience", description="Audience of assertions; absent: the URL for tokens."
    )
    subject: str = Field(default="", alias="auth.subject", description="User whom a `jwt_bearer` assertion is about.")
    refresh_token: SecretStr = Field(
        default=SecretStr(""), alias="auth.refresh.token", description="Refresh token, for `refresh_token`."
    )
    timeout_ms: int = Field(
        default=30_000, ge=10, le=3_600_000, alias="timeout.ms", description="Milliseconds without a byte, at most."
    )
    answer_bytes_max: int = Field(
        default=32 * 1024 * 1024,
        ge=1024,
        alias="answer.bytes.max",
        description="Bytes of one answer, unpacked, at most.",
    )
    requests_per_second: float = Field(
        default=0.0, ge=0, le=100_000, alias="requests.per.second", description="Requests a second, at most; 0: any."
    )
    requests_at_once: int = Field(
        default=4, ge=1, le=1_000, alias="requests.at.once", description="Requests under way at one moment, at most."
    )

    @model_validator(mode="after")
    def _can_be_reached(self) -> "HttpSettings":
        keys = {name: field.alias or name for name, field in type(self).model_fields.items()}
        for name, key in keys.items():
            if key.split(".")[-1] == "url":
                try:
                    _ = urlsplit(getattr(self, name)).port
                except ValueError as error:
                    raise ValueError(f"{key}: {error}") from None
        return self

    @model_validator(mode="after")
    def _has_what_its_login_needs(self) -> "HttpSettings":
        given = {field.alias: getattr(self, name) for name, field in type(self).model_fields.items() if field.alias}
        missing = [key for key in _NEEDED[self.auth] if given[key] in ("", None, SecretStr(""))]
        if missing:
            raise ValueError(f"auth = {self.auth} needs {', '.join(missing)}")
        return self


def opened(settings: HttpSettings, told: Requests, clock: Callable[[], int], hold: Callable[[float], object]) -> Http:
    """Return a client of a system as its settings have it. Raises `Fatal` for a key that cannot be read."""
    limits = Limits(
        timeout_s=settings.timeout_ms / 1000,
        answer_bytes_max=settings.answer_bytes_max,
        requests_per_second=settings.requests_per_second,
        at_once=settings.requests_at_once,
    )
    http = Http(limits, told, clock, hold)
    if settings.auth == "basic":
        http.log_in(Basic(settings.auth_user, settings.auth_password.get_secret_value()))
    elif settings.auth != "none":
        http.log_in(Bearer(grant_of(settings), http.exchange, clock))
    return http


def grant_of(settings: HttpSettings) -> Grant:
    """Return how a token is asked for. Raises `Fatal` for a key that cannot be read."""
    url, client, scope = settings.token_url, settings.client_id, settings.scope
    audience, secret = settings.audience or url, settings.client_secret.get_secret_value()
    match settings.auth:
        case "client_assertion":
            return ClientAssertion(url, _key(settings), client, audience, scope)
        case "jwt_bearer":
            return JwtBearer(url, _key(settings), client, settings.subject, audience, scope)
        case "refresh_token":
            return RefreshToken(url, client, secret, settings.refresh_token.get_secret_value(), scope)
        case _:
            return ClientCredentials(url, client, secret, scope, in_form=settings.auth == "client_credentials_form")


def _key(settings: HttpSettings) -> Key:
    assert settings.key_file is not None  # the model wants it
    try:
        pem = settings.key_file.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise Fatal(f"auth.key.file: {settings.key_file} cannot be read: {error}") from error
    return Key(pem, settings.key_algorithm, settings.key_id)

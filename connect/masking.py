"""What of settings may be shown, and what may not even be written in a file: secrets, by their keys and by their looks.

Whether a value is a secret cannot be told from a key that nobody here knows. So a value is shown only under a key that
is known to hold none, and then without what looks like one. Refused is only what certainly is a secret.
"""

import re
from typing import Final

from connect.configuration import CLASS, Configuration, UnusableConfiguration

MASK: Final = "********"

_SECRET_WORDS: Final = (
    r"passw|passphrase|passcode|pwd|secret|token|credential|private|jaas|"
    r"(?:api|access|account|shared|master|encryption|signing)[._-]?key(?!\.?id)"
)
_SECRET: Final = re.compile(
    rf"{_SECRET_WORDS}|(?:^|[._-])(?:pass|pw|authorization|user[._-]?info)$|keystore[._-]key$", re.IGNORECASE
)
# What says where a secret is, of which kind, or for how long, is none.
_ABOUT: Final = re.compile(r"[._-](?:url|uri|endpoint|file|path|location|class|type|ms)$", re.IGNORECASE)
# In an address, names are run together: passwordCharacterEncoding, tokenEndpointUrl.
_SECRET_PARAMETER: Final = re.compile(rf"{_SECRET_WORDS}|^pass$", re.IGNORECASE)
_SECRET_IN_QUERY: Final = re.compile(r"(?:auth|code|key|pw|sig|signature)$", re.IGNORECASE)
_ABOUT_PARAMETER: Final = re.compile(r"(?:url|uri|endpoint|file|path|location|class|type|encoding|ms)$", re.IGNORECASE)

# The last word of keys that hold no secret, as Connect, Debezium, and the usual converters and sinks have them. Whoever
# knows the address of a webhook may use it.
_HARMLESS: Final = re.compile(
    r"(?:^|[._-])(?:max|min|ms|size|bytes|count|limit|partitions|factor|retries|attempts|interval|timeout|port|epoch|"
    r"enable|enabled|disabled|class|type|mode|policy|strategy|tolerance|level|support|boundary|reset|stop|delete|"
    r"operations|channels|format|version|zone|timezone|encoding|compression|protocol|algorithm|mechanism|"
    r"name|names|prefix|topic|topics|tables?|columns?|fields?|lists?|regex|pattern|predicates?|transforms|"
    r"converter|handler|handling|negate|query|collection|hostname|host|servers|(?<!hook[._-])(?:url|uri)|dbname|database|schema|"
    r"user|username|file|path|location|use-id|auto-register|find-latest|evolution|messages)$",
    re.IGNORECASE,
)

_REFERENCE: Final = re.compile(r"\$\{[a-z]+:[^}]+\}")
_REFERRED: Final = "\0"
"""Stands for a reference while a value is looked at: what it refers to is not in the value."""

_LOGIN: Final = re.compile(r"://(.*)@", re.DOTALL)
"""Up to the last @, wherever it stands: a password may hold any character."""

_PASSWORD: Final = re.compile(r"://[^/?#@\s\[]*:(?![\d\0]*(?:[/?#]|$))([^\s@]*)@")
"""What stands between a user and a host: not the port that follows a host, nor a path with an @ in it."""

_PARAMETER: Final = re.compile(r"""(^|[?&;,\s("'])([\w.-]+)=([^&;,\s]*)""")
_SCHEME: Final = re.compile(r"""(?:^|[:=,;"'])\s*(?:basic|bearer)\s+[\w+/.~=-]{6,}""", re.IGNORECASE)
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY")
_PEM: Final = "-----BEGIN"


def shown(key: str, value: str) -> str:
    """Return a value as it may be shown: what is not known to be harmless is masked; a reference to a secret is not."""
    rest = _REFERENCE.sub("", value).strip()
    if not rest or (rest in ("true", "false") and not is_secret(key)):
        return value
    if is_secret(key) or not _HARMLESS.search(key) or _PEM in value or _SCHEME.search(value):
        return MASK
    found = _secret_parameter(value)
    open_part = value if found is None else value[:found] + MASK
    return _LOGIN.sub(_without_login, open_part)


def is_secret(key: str) -> bool:
    """Whether a setting of this name may hold a secret."""
    return bool(_SECRET.search(key)) and not _ABOUT.search(key)


def refuse_plain_secrets(configuration: Configuration) -> None:
    """Refuse settings with a secret written out: whoever may read the file or ask Connect would have it.

    Raises:
        UnusableConfiguration: There is one; the message names the key, and not the secret.
    """
    for key, value in configuration.config.items():
        if key != CLASS and _has_secret(key, value):
            raise UnusableConfiguration(
                f"{configuration.name}: {key} has its secret written out; write ${{env:NAME}} or ${{file:PATH:KEY}}, "
                "and give the secret to Connect"
            )


def _has_secret(key: str, value: str) -> bool:
    written = _REFERENCE.sub(_REFERRED, value)
    if is_secret(key):
        return bool(written.replace(_REFERRED, "").strip())
    if _PRIVATE_KEY.search(written) or _SCHEME.search(written) or _secret_parameter(written) is not None:
        return True
    return any(found[1].strip(_REFERRED) for found in _PASSWORD.finditer(written))


def _secret_parameter(value: str) -> int | None:
    """Return where the first secret begins that is written out as a parameter of an address."""
    for found in _PARAMETER.finditer(value):
        before, name, given = found.groups()
        is_named = _SECRET_PARAMETER.search(name) and not _ABOUT_PARAMETER.search(name)
        is_queried = before in ("?", "&") and _SECRET_IN_QUERY.match(name)
        if (is_named or is_queried) and _REFERENCE.sub("", given).strip(_REFERRED):
            return found.start(3)
    return None


def _without_login(found: re.Match[str]) -> str:
    return f"://{MASK}@" if _REFERENCE.sub("", found[1]).strip(":") else found[0]

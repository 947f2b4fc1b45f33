"""The variables by which others find what runs: connectors in Connect's environment, and whoever works in a shell.

`of_connectors` are those that the connectors' files ask for, `of_commands` those that `throughline` and PostgreSQL's
own programs go by. A part that is not there has none.
"""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stack.connect import Connect
from stack.kafka import Kafka
from stack.postgresql import SUPERUSER, PostgreSQL
from stack.registry import Registry

ROLES: Final[Mapping[str, str]] = {"psa": "debezium", "analytics": "analytics_sink", "tryton": "tryton_capture"}
"""The databases that connectors come to, each with the role by which they do."""


def of_connectors(registry: Registry | None, postgresql: PostgreSQL | None) -> dict[str, str]:
    """Return what the connectors' files refer to as `${env:NAME}`."""
    found = {} if registry is None else {"REGISTRY_URL": f"http://{registry.address}"}
    if postgresql is not None:
        host, port = postgresql.address.split(":")
        for name, role in ROLES.items():
            word = postgresql.password_of(name)
            parts = {"HOST": host, "PORT": port, "NAME": name, "USER": role, "PASSWORD": word}
            found |= {f"{name.upper()}_DATABASE_{part}": value for part, value in parts.items()}
    return found


def of_commands(kafka: Kafka | None, registry: Registry | None, connect: Connect | None) -> dict[str, str]:
    """Return the settings of `throughline` that say where things are."""
    found = {}
    if kafka is not None:
        found["THROUGHLINE_BROKERS"] = kafka.bootstrap
    if registry is not None:
        found["THROUGHLINE_CONTRACTS__REGISTRY_URL"] = registry.confluent_url
    if connect is not None:
        found["THROUGHLINE_CONNECT_URL"] = connect.url
    return found


def of_psql(postgresql: PostgreSQL | None) -> dict[str, str]:
    """Return what PostgreSQL's programs go by, as its superuser. It must have been started once."""
    if postgresql is None:
        return {}
    host, port = postgresql.address.split(":")
    where = {"PGHOST": host, "PGPORT": port, "PGDATABASE": "postgres"}
    return {**where, "PGUSER": SUPERUSER, "PGPASSWORD": postgresql.password}


def write(file: Path, variables: Mapping[str, str]) -> None:
    """Write variables as a shell reads them. Passwords are among them, so nobody else may read the file."""
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in variables.items()]
    file.unlink(missing_ok=True)  # one that is there may be open to others
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as written:
        written.writelines(lines)

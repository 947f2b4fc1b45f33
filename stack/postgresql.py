"""PostgreSQL with logical replication, as Debezium needs it.

It refuses to run as root. There, it runs in a user namespace that gives our own user another number: its files remain
ours, and no second user is needed.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from stack.daemon import tail_of
from stack.errors import Say, StackError, silent
from stack.passwords import kept_password
from stack.server import START_SECONDS_MAX, ServerPart
from stack.tools import ask, postgresql, version_or_none

NAME = "postgresql"
SUPERUSER = "throughline"
CLUSTER_FOLDER = "cluster"
_PASSWORD_FILE = "password"
_PSQL_FLAGS = ("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")
_UNPRIVILEGED = 65_534
_COMMAND_SECONDS_MAX = 60.0
_LEFT_BEHIND = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists')
_AGAIN_SECONDS = 0.1

SETTINGS = {
    "wal_level": "logical",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    # A slot that nobody reads keeps the log for ever, until the disk is full: beyond this it is lost instead, which
    # is seen, and mended by a snapshot.
    "max_slot_wal_keep_size": "4GB",
    "timezone": "UTC",
}
"""What it is started with, beside where it listens."""

CLUSTER_OPTIONS = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8")
"""What a cluster is made with, beside its superuser."""


class PostgreSQL(ServerPart):
    """A cluster of databases. Its superuser is `throughline`, with a password of its own in the file `password`."""

    name = NAME
    stop_signal = signal.SIGINT  # ends sessions; by SIGTERM it would wait until clients go by themselves

    def __init__(self, folder: Path, port: int | None = None, *, bound: bool = True, say: Say = silent) -> None:
        super().__init__(folder, version_or_none(postgresql), port, bound=bound, say=say)

    @cached_property
    def _programs(self) -> Path:
        return postgresql()[0]

    @property
    def password(self) -> str:
        """The superuser's password."""
        return (self.folder / _PASSWORD_FILE).read_text(encoding="ascii").strip()

    def password_of(self, database: str) -> str:
        """The password of the role by which connectors come to a database; whoever makes the role gives it to it."""
        return kept_password(self.folder / f"{database}-{_PASSWORD_FILE}")

    def dsn(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """Where a database is, as clients of PostgreSQL take it."""
        secret = self.password if password is None else password
        return f"postgresql://{user}:{secret}@{self.address}/{database}"

    def psql(self, *words: str, database: str = "postgres", variables: Sequence[tuple[str, str]] = ()) -> str:
        """Run psql as the superuser, which stops at the first error; return what it printed, unaligned.

        Raises:
            StackError: It failed; the message has its own.
        """
        given = (f"--set={name}={value}" for name, value in variables)
        return self._client("psql", database, *_PSQL_FLAGS, *given, *words)

    def set_password(self, role: str, password: str) -> None:
        """Have a role log in by a password, which stands on no command line: all users of a machine may read those.

        Raises:
            StackError: It failed; the message has psql's own.
        """
        quoted = password.replace("'", "''")
        self._client("psql", "postgres", *_PSQL_FLAGS, written=f"alter role \"{role}\" login password '{quoted}';\n")

    def dump(self, database: str, into: Path) -> None:
        """Write a database to a file, from which `restore` makes it. Raises `StackError`."""
        self._client("pg_dump", database, "--format=custom", "--no-owner", "--no-privileges", "--file", str(into))

    def restore(self, database: str, dumped: Path, owner: str) -> None:
        """Fill a database that is empty from a file, all of it or nothing; `owner` owns what is in it then.

        Raises:
            StackError: It failed; the message has its own.
        """
        flags = ["--no-owner", "--role", owner, "--single-transaction", "--exit-on-error"]
        self._client("pg_restore", database, *flags, str(dumped))

    def _client(self, program: str, database: str, *words: str, written: str = "") -> str:
        """Run a program on a database as the superuser; `written` is what it reads from standard input."""
        host, port = self.address.split(":")
        told = subprocess.run(
            [str(self._programs / program), "--host", host, "--port", port, "--dbname", database, *words],
            env=os.environ | {"PGPASSWORD": self.password, "PGUSER": SUPERUSER},
            input=written,
            capture_output=True,
            text=True,
            check=False,
        )
        if told.returncode:
            raise StackError(f"{program} on {database}: {told.stderr.strip()}")
        return told.stdout.rstrip("\n")

    def create_database(self, name: str) -> None:
        """Make a database, unless it is there. Raises `StackError`."""
        if not self.psql("--command", f"select 1 from pg_database where datname = '{name}'"):
            self.psql("--command", f'create database "{name}"')

    def command(self) -> list[str]:
        """Make the cluster at first; return the command. Raises `StackError`."""
        if not (self.folder / CLUSTER_FOLDER / "PG_VERSION").is_file():
            self._make_cluster()
        host, port = self.address.split(":")
        settings = SETTINGS | {"listen_addresses": host, "port": port, "unix_socket_directories": ""}
        flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
        return [*_unprivileged(), str(self._programs / "postgres"), "-D", CLUSTER_FOLDER, *flags]

    def answers(self) -> bool:
        """Whether it takes connections: pg_isready says so."""
        host, port = self.address.split(":")
        return not ask([str(self._programs / "pg_isready"), "-q", "-h", host, "-p", port], 10.0).returncode

    def wait(self) -> None:
        """Wait until it answers; after kill -9 its children may still be there for a moment, and it is started again.

        Raises:
            StackError: It ended, or did not answer in time.
        """
        until = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                super().wait()
            except StackError:
                words = tail_of(self.daemon.log, 5)
                if not any(said in words for said in _LEFT_BEHIND) or time.monotonic() > until:
                    raise
                time.sleep(_AGAIN_SECONDS)  # nobody tells when the children of another program are gone
                self.launch()
            else:
                return

    def _make_cluster(self) -> None:
        cluster = self.folder / CLUSTER_FOLDER
        shutil.rmtree(cluster, ignore_errors=True)  # of an initdb that was interrupted
        kept_password(self.folder / _PASSWORD_FILE)
        told = ask(
            [
                *_unprivileged(),
                str(self._programs / "initdb"),
                *("-D", CLUSTER_FOLDER, "-U", SUPERUSER, f"--pwfile={_PASSWORD_FILE}", *CLUSTER_OPTIONS),
            ],
            _COMMAND_SECONDS_MAX,
            self.folder,
        )
        if told.returncode:
            raise StackError(f"{NAME}: {cluster} cannot be made:\n{told.stdout}{told.stderr}")


def _unprivileged() -> list[str]:
    """The words before a command that must not run as root."""
    if os.geteuid():
        return []
    words = ["unshare", "--user", f"--map-user={_UNPRIVILEGED}", f"--map-group={_UNPRIVILEGED}"]
    told = ask([*words, "true"], _COMMAND_SECONDS_MAX)
    if told.returncode:
        raise StackError(
            f"PostgreSQL does not run as root, and no user namespace can be made here ({told.stderr.strip()}): "
            "run the stack as another user"
        )
    return words

"""Tryton 8, an ERP with projects and timesheets, as a part: a database that nobody here designed, behind its own API.

It is a program of its own, in an environment of its own, and nothing of it is imported here. Its database lies in the
stack's PostgreSQL. Making one takes half a minute or more; the cache keeps a dump of it beside the environment, from
which every later one is made in a second.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Final

from stack.environments import environment
from stack.errors import Say, StackError, silent
from stack.followed import followed
from stack.locked import locked
from stack.passwords import kept_password
from stack.postgresql import PostgreSQL
from stack.server import ServerPart
from stack.tryton_client import TrytonClient
from stack.versions import versions

NAME = "tryton"
DATABASE = ROLE = "tryton"
USER = "admin"
COMPANY = "Hafen Consulting"
_HALF_MADE = "tryton_half_made"
_MAIL = "admin@example.org"
_CONFIG = "trytond.conf"
_PASSWORD_FILE, _ROLE_PASSWORD_FILE = "password", "database-password"
_MODULE_PREFIX = "trytond-"
_ERRORS: Final = ("Error", "error:", "FATAL")


class Tryton(ServerPart):
    """A Tryton whose database is on `postgresql`, which must answer before it starts.

    Its administrator is `admin`, with a password of its own in the file `password`. There is one company, in euros.
    """

    name = NAME

    def __init__(
        self, folder: Path, postgresql: PostgreSQL, port: int | None = None, *, bound: bool = True, say: Say = silent
    ) -> None:
        super().__init__(folder, versions().environments[NAME].version, port, bound=bound, say=say)
        self._postgresql = postgresql

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.address}"

    @property
    def password(self) -> str:
        """The administrator's password."""
        return (self.folder / _PASSWORD_FILE).read_text(encoding="ascii").strip()

    def client(self) -> TrytonClient:
        """A session of the administrator, for the company. Raises `StackError`."""
        client = TrytonClient(self.url, DATABASE, USER, self.password)
        (company,) = client.search("company.company", [], "id")
        client.context = {"company": company["id"]}
        return client

    def environment(self) -> Mapping[str, str]:
        """How it reaches its database: in its settings there is no password."""
        return {"PGUSER": ROLE, "PGPASSWORD": (self.folder / _ROLE_PASSWORD_FILE).read_text(encoding="ascii").strip()}

    def command(self) -> list[str]:
        """Install it, write its settings and make its database, as far as they are not there; return the command.

        Raises:
            StackError: It cannot be installed, or its database cannot be made.
        """
        for name in (_PASSWORD_FILE, _ROLE_PASSWORD_FILE):
            kept_password(self.folder / name)
        settings = settings_text(self._postgresql.address, self.address, self.folder / "attachments")
        (self.folder / _CONFIG).write_text(settings, encoding="utf-8")
        self._make_role()
        if not self._there_is(DATABASE):
            self._make_database()
        return self._program("trytond", DATABASE)

    def answers(self) -> bool:
        """Whether it says its version: it does so once it has read its database."""
        try:
            return bool(TrytonClient(self.url, DATABASE, USER, self.password).version())
        except (StackError, OSError):  # no password is there before it was started once
            return False

    def wait(self) -> None:
        """Wait until it answers, and see that it has a company. Raises `StackError`."""
        super().wait()
        client = TrytonClient(self.url, DATABASE, USER, self.password)
        if not client.search("company.company", [], "id"):
            _make_company(client)

    @cached_property
    def _environment(self) -> Path:
        return environment(NAME, self._say)

    def _program(self, name: str, database: str) -> list[str]:
        """The command of one of its programs, isolated from what our own Python goes by in our environment."""
        programs = self._environment / "bin"
        config = str(self.folder / _CONFIG)
        return [str(programs / "python"), "-I", str(programs / name), "--config", config, "--database", database]

    def _make_role(self) -> None:
        if not self._postgresql.psql("--command", f"select 1 from pg_roles where rolname = '{ROLE}'"):
            self._postgresql.psql("--command", f"create role {ROLE}")
        self._postgresql.set_password(ROLE, self.environment()["PGPASSWORD"])

    def _there_is(self, database: str) -> bool:
        return bool(self._postgresql.psql("--command", f"select 1 from pg_database where datname = '{database}'"))

    def _make_database(self) -> None:
        """Make it under another name first: one that has the name is whole."""
        server = self._postgresql
        dumped = self._environment / f"database-postgresql{server.daemon.version.split('.', maxsplit=1)[0]}.dump"
        with locked(dumped.with_suffix(".lock"), "another start of Tryton, which makes a database", self._say):
            server.psql("--command", f"drop database if exists {_HALF_MADE} with (force)")
            server.psql("--command", f"create database {_HALF_MADE} owner {ROLE}")
            if dumped.is_file():
                server.restore(_HALF_MADE, dumped, ROLE)
                self._administer(_HALF_MADE, ["--password"])  # the one in the dump is another's
            else:
                self._initialise(_HALF_MADE)
                partial = dumped.with_suffix(".partial")
                server.dump(_HALF_MADE, partial)
                partial.rename(dumped)
        server.psql("--command", f"alter database {_HALF_MADE} rename to {DATABASE}")

    def _initialise(self, database: str) -> None:
        modules = modules_of(versions().environments[NAME].requires)
        self._say(f"{NAME}: making a database with {', '.join(modules)}: once, for a minute or so")
        words = ["--email", _MAIL, "--update", *modules, "--activate-dependencies", "-vv"]
        self._administer(database, words)

    def _administer(self, database: str, words: Sequence[str]) -> None:
        """Run its administration, which takes the administrator's password from a file."""
        settings = {**self.environment(), "TRYTONPASSFILE": str(self.folder / _PASSWORD_FILE)}
        command = [*self._program("trytond-admin", database), *words]
        done = followed(command, f"{NAME}: {{count}} steps done", lambda _: True, self._say, settings)
        if done.code:
            said = [line for line in done.lines if any(word in line for word in _ERRORS)]
            raise StackError(f"{NAME}: its database cannot be made: {' '.join((said or done.lines)[-1:])}")


def _make_company(client: TrytonClient) -> None:
    """One company, for which its administrator works."""
    rate = ["create", [{"rate": Decimal(1), "date": date(2000, 1, 1)}]]
    euro = {"name": "Euro", "code": "EUR", "symbol": "€", "digits": 2, "rounding": Decimal("0.01"), "rates": [rate]}
    (currency,) = client.create("currency.currency", euro)
    (party,) = client.create("party.party", {"name": COMPANY})
    (user,) = client.search("res.user", [("login", "=", USER)], "id")
    (company,) = client.create("company.company", {"party": party, "currency": currency})
    client.write("res.user", [user["id"]], {"companies": [["add", [company]]], "company": company})


def modules_of(requires: Sequence[str]) -> list[str]:
    """The modules that are activated: all that are asked for by name; those beside them come by themselves."""
    names = [each.split(">")[0] for each in requires if each.startswith(_MODULE_PREFIX)]
    return [name.removeprefix(_MODULE_PREFIX).replace("-", "_") for name in names]


def settings_text(database_address: str, address: str, attachments: Path) -> str:
    """Its settings: where its database is, without user and password, and where it listens."""
    return f"[database]\nuri = postgresql://{database_address}/\npath = {attachments}\n\n[web]\nlisten = {address}\n"

"""The commands `throughline connect …`: connectors brought about, watched, restarted, asked to read tables anew.

Exit codes, for scripts: 0 as wanted; 1 not as wanted; 2 nothing can be said: no answer, or a file that cannot be used.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connect.configuration import UnusableConfiguration, read_all
from connect.place import OpenPlace, Place

if TYPE_CHECKING:
    from connect.deploy import Absent, Deployer
    from connect.freshness import Look
    from connect.rest import ConnectRest, Patience, Standing

EXIT_NOT_AS_WANTED, EXIT_UNUSABLE = 1, 2
_WIDTH_MAX = 200
# One answer must not keep the watch from all it looks at; what it did not learn, it learns at its next look.
_WATCHED_SECONDS_MAX = 10.0
_STATES = {"pause": "PAUSED", "stop": "STOPPED"}


Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Connectors; none named: all.")]
Name = Annotated[str, typer.Argument(help="The connector.")]
Config = Annotated[Path | None, typer.Option(help="Settings file in place of throughline.toml.")]
Folder = Annotated[
    Path | None,
    typer.Option(help="Folder of the connectors' files; absent: the setting connectors_folder, or those shipped."),
]
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for Connect to be ready, and for what is to run.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do what cannot be undone.")]
Dsn = Annotated[
    str | None,
    typer.Option(envvar="CONNECT_DSN", help="Database to write to; absent: as the connector's file says."),
]
WAIT_SECONDS = 60.0
WATCH_PORT = 9188


def connect_commands(open_place: OpenPlace) -> typer.Typer:
    """Return the commands, on the place that `open_place` opens."""
    app = typer.Typer(
        name="connect",
        help="Connectors of Kafka Connect: brought about from their files, looked at, restarted.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    commands = _Commands(open_place)
    for command in (
        commands.apply,
        commands.status,
        commands.watch,
        commands.restart,
        commands.snapshot,
        commands.offsets,
        commands.pause,
        commands.resume,
        commands.stop,
        commands.delete,
    ):
        app.command()(command)
    return app


class _Commands:
    def __init__(self, open_place: OpenPlace) -> None:
        self._open_place = open_place

    def apply(
        self,
        names: Names = None,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what differs, and change nothing.")] = False,
        wait: Wait = WAIT_SECONDS,
        folder: Folder = None,
        config: Config = None,
    ) -> None:
        """Bring connectors about as their files say: validated by Connect first, and changed only where they differ.

        Exit 0 if all are as they should be and run; 1 if a setting is refused, one does not run, or, with --dry-run,
        anything differs.
        """
        from connect.chosen import named

        place = self._open_place(config)
        with _connected(place, wait) as connect:
            deployer = _deployer(connect, wait, lambda topics: place.topics().absent(topics))
            _end(deployer.apply(named(folder or place.files, names), dry_run=dry_run))

    def status(
        self,
        names: Names = None,
        age_max: Annotated[
            float | None, typer.Option(min=0, help="Seconds; what brought or took nothing for longer is not as wanted.")
        ] = None,
        folder: Folder = None,
        config: Config = None,
    ) -> None:
        """Show how connectors and feeds are, and how fresh. Exit 1 if one does not run, or is older than --age-max.

        Where Connect does not answer, what else is known is shown all the same, and the exit code is 2.
        """
        from connect.status import lines

        place = self._open_place(config)
        folder = folder or place.files
        with _connected(place, 0.0) as connect:
            files = read_all(folder)
            running, silence = _running(connect)
            looks = _looks(place, None if silence else connect)
            found, unknown = lines(files, running, looks, place.expected)
        shown = [line for line in found if not names or line.name in names]
        if missing := ", ".join(sorted(set(names or ()) - {line.name for line in shown})):
            if silence:
                raise _unusable(f"{folder} has no {missing}, and what Connect has is not known: {silence[0]}")
            raise _unusable(f"neither {folder} nor Connect has {missing}")
        now_ms = time.time_ns() // 1_000_000
        _print([line.cells(now_ms) for line in shown])
        for line in shown:
            for failure in line.standing.failures if line.standing else ():
                typer.echo(f"{line.name}: {failure}", err=True)
            if stale := line.stale(now_ms, age_max):
                typer.echo(f"{line.name}: {stale}", err=True)
        for message in (*silence, *unknown):
            typer.echo(f"not known: {message}", err=True)
        if silence:
            raise typer.Exit(EXIT_UNUSABLE)
        _end(all(line.as_wanted and not line.stale(now_ms, age_max) for line in shown))

    def watch(
        self,
        port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of /metrics.")] = WATCH_PORT,
        host: Annotated[str, typer.Option(help="Address of this machine at which they are answered.")] = "127.0.0.1",
        every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 15.0,
        restart: Annotated[bool, typer.Option(help="Restart what has failed, later and later.")] = True,
        folder: Folder = None,
        config: Config = None,
    ) -> None:
        """Tell Prometheus how connectors and feeds are, and how fresh, and restart what failed, until Ctrl-C."""
        from connect.watch import watch_until_stopped

        place = self._open_place(config)
        with _connected(place, 0.0, _WATCHED_SECONDS_MAX) as connect:
            files, looks = read_all(folder or place.files), _looks(place, connect)
            anew = partial(connect.restart, failed_only=True) if restart else None
            watch_until_stopped(files, (connect.running, anew), looks, (host, port), every)

    def restart(
        self,
        name: Name,
        failed_only: Annotated[bool, typer.Option("--failed-only", help="Only what of it has failed.")] = False,
        wait: Wait = WAIT_SECONDS,
        folder: Folder = None,
        config: Config = None,
    ) -> None:
        """Restart a connector with its tasks, and wait until it runs. Exit 1 if it does not."""
        with self._one(name, wait, folder, config) as connect:
            standing = connect.standing(name)
            if failed_only and standing is not None and not standing.failures:
                typer.echo(f"{name}: nothing of it has failed")
            else:
                connect.restart(name, failed_only=failed_only)
            _end(_deployer(connect, wait).wait(name))

    def snapshot(
        self,
        tables: Annotated[
            list[str],
            typer.Argument(metavar="TABLE...", help="Tables, or their topics; without a schema: of public."),
        ],
        connector: Annotated[str | None, typer.Option(help="The connector; absent: the one that has TABLE.")] = None,
        dsn: Dsn = None,
        folder: Folder = None,
        config: Config = None,
    ) -> None:
        """Have a connector read tables anew while changes go on. It begins when the connector reads the request."""
        with _told():
            from connect.chosen import capturing
            from connect.database import request_snapshot

            files = folder or self._open_place(config).files
            chosen = capturing(read_all(files), tables, connector)
            identity = request_snapshot(chosen, tables, dsn)
        typer.echo(f"{chosen.name}: asked to read {', '.join(tables)}: request {identity}")
        typer.echo(f"`throughline connect status {chosen.name}` shows how far it is")

    def offsets(
        self,
        name: Name,
        reset: Annotated[bool, typer.Option("--reset", help="Have it forget them. It must be stopped.")] = False,
        yes: Yes = False,
        wait: Wait = WAIT_SECONDS,
        folder: Folder = None,
        config: Config = None,
    ) -> None:
        """Show how far a connector has read, as JSON; or have it forget that, so that it begins anew."""
        with self._one(name, wait, folder, config) as connect:
            if not reset:
                typer.echo(json.dumps(connect.offsets(name), indent=2))
                return
            standing = connect.standing(name)
            if standing is not None and standing.state != "STOPPED":
                state = standing.state
                typer.echo(f"{name} is {state}; stop it first: `throughline connect stop {name}`", err=True)
                _end(False)
            anew = "begin anew with a first snapshot"
            if standing is not None and standing.is_sink:
                anew = "write again all that is still in its topics"
            _sure(yes, f"{name} would forget how far it has read, and {anew}")
            connect.forget_offsets(name)
            typer.echo(f"{name}: has forgotten how far it has read; `throughline connect resume {name}` begins anew")

    def pause(self, name: Name, wait: Wait = WAIT_SECONDS, folder: Folder = None, config: Config = None) -> None:
        """Pause a connector: its tasks hold on to what they have, and bring nothing."""
        self._turn(name, "pause", wait, folder, config)

    def stop(self, name: Name, wait: Wait = WAIT_SECONDS, folder: Folder = None, config: Config = None) -> None:
        """Stop a connector: its tasks are gone, its settings and offsets stay."""
        self._turn(name, "stop", wait, folder, config)

    def resume(self, name: Name, wait: Wait = WAIT_SECONDS, folder: Folder = None, config: Config = None) -> None:
        """Have a paused or stopped connector run again, and wait until it does."""
        with self._one(name, wait, folder, config) as connect:
            connect.turn(name, "resume")
            _end(_deployer(connect, wait).wait(name, resumed=True))

    def delete(
        self,
        name: Name,
        yes: Yes = False,
        wait: Wait = WAIT_SECONDS,
        folder: Folder = None,
        config: Config = None,
    ) -> None:
        """Remove a connector. Its offsets stay with Connect, and its slot with the database: that keeps log for it."""
        with self._one(name, wait, folder, config) as connect:
            slot = (connect.config(name) or {}).get("slot.name")
            _sure(yes, f"{name} would be removed from Connect")
            connect.delete(name)
            left = f"; if it is not to come back, drop its replication slot {slot}, too" if slot else ""
            typer.echo(f"{name}: removed{left}")

    def _turn(self, name: str, action: str, wait: float, folder: Path | None, config: Path | None) -> None:
        with self._one(name, wait, folder, config) as connect:
            connect.turn(name, action)
            _end(_deployer(connect, wait).wait_at_rest(name, _STATES[action]))

    @contextmanager
    def _one(self, name: str, wait: float, folder: Path | None, config: Path | None) -> Iterator["ConnectRest"]:
        """Connect, for a command on one connector, which it must have."""
        from connect.chosen import not_in_connect
        from connect.rest import Missing

        place = self._open_place(config)
        with _connected(place, wait) as connect:
            try:
                yield connect
            except Missing:
                raise UnusableConfiguration(not_in_connect(name, folder or place.files)) from None


@contextmanager
def _told() -> Iterator[None]:
    """Say what is wrong, and end with the exit code for it."""
    from connect.database import DatabaseError
    from connect.rest import ConnectError, Refused

    try:
        yield
    except Refused as error:  # Connect answered, and will not
        typer.echo(f"throughline: {error}", err=True)
        raise typer.Exit(EXIT_NOT_AS_WANTED) from None
    except (ConnectError, DatabaseError, UnusableConfiguration) as error:
        raise _unusable(str(error)) from None


@contextmanager
def _connected(place: Place, wait: float, answer: float | None = None) -> Iterator["ConnectRest"]:
    from connect.rest import ConnectRest

    patience = _patience(wait)
    patience = patience if answer is None else patience._replace(answer_s=answer)
    with _told(), ConnectRest(place.url, patience) as connect:
        yield connect


def _looks(place: Place, connect: "ConnectRest | None") -> tuple["Look", ...]:
    """The places that know of freshness; Connect is one of them, unless it does not answer."""
    from connect.database import SlotLook
    from connect.freshness import SinkLook, SnapshotLook, TopicsLook
    from connect.snapshots import NoticesLook

    topics = place.topics()
    notices = NoticesLook(topics.notices, topics.count_since)
    others = TopicsLook(topics.newest), SinkLook(topics.behind), SlotLook(), notices
    return others if connect is None else (*others, SnapshotLook(_offsets_of(connect)))


def _deployer(connect: "ConnectRest", wait: float, absent: "Absent" = lambda _: ()) -> "Deployer":
    from connect.deploy import Deployer

    return Deployer(connect, typer.echo, _patience(wait), absent)


def _patience(wait: float) -> "Patience":
    from connect.rest import Patience

    return Patience(wait)


def _running(connect: "ConnectRest") -> tuple[Mapping[str, "Standing"] | None, tuple[str, ...]]:
    """Return the connectors that Connect knows, or None and why it does not say."""
    from connect.rest import ConnectError

    try:
        return connect.running(), ()
    except ConnectError as error:
        return None, (str(error),)


def _offsets_of(connect: "ConnectRest") -> Callable[[str], Sequence[Mapping[str, Any]]]:
    from connect.freshness import Unknown
    from connect.rest import ConnectError, Missing

    def offsets(name: str) -> Sequence[Mapping[str, Any]]:
        try:
            return connect.offsets(name)
        except Missing:
            return ()
        except ConnectError as error:
            raise Unknown(str(error)) from None

    return offsets


def _sure(yes: bool, what: str) -> None:
    if not yes:
        raise _unusable(f"{what}; if that is meant, say it with --yes")


def _unusable(message: str) -> typer.Exit:
    typer.echo(f"throughline: {message}", err=True)
    return typer.Exit(EXIT_UNUSABLE)


def _end(as_wanted: bool) -> None:
    if not as_wanted:
        raise typer.Exit(EXIT_NOT_AS_WANTED)


def _print(rows: Iterable[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from connect.status import TITLES

    table = Table(*TITLES, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(width=_WIDTH_MAX).print(table)

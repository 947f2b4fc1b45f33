"""The commands `throughline stack …`: the local stack up and down, and how it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stack.daemon import tail_of
from stack.errors import StackError
from stack.parts import NAMES, OPTIONAL

if TYPE_CHECKING:
    from stack.parts import Line
    from stack.room import Room

app = typer.Typer(
    name="stack",
    help="The real stack on this machine, as local programs: for tests and for trying things out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

EXIT_NOT_ALL_UP, EXIT_UNUSABLE = 1, 2
_WIDTH_MAX = 1_000

Folder = Annotated[Path, typer.Option(envvar="STACK_FOLDER", help="Folder of all that runs: settings, records, logs.")]
FOLDER = Path(".stack")
_PARTS = f"Parts: {', '.join(NAMES)}; else all but {', '.join(OPTIONAL)}."


def _brokers(number: int | None) -> int | None:
    if number not in (None, 1, 3):
        raise typer.BadParameter(f"{number} brokers: there can be 1, or 3")
    return number


@app.command()
def up(
    parts: Annotated[list[str] | None, typer.Argument(help=_PARTS)] = None,
    brokers: Annotated[int | None, typer.Option(help="Kafka brokers, 1 or 3.", callback=_brokers)] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_000, help="Kafka's first port, the others beside it; as before, else 19092. 0: free ones."
        ),
    ] = None,
    prometheus_config: Annotated[
        Path | None, typer.Option(help="What Prometheus goes by; as before, else deploy/prometheus/prometheus.yaml.")
    ] = None,
    folder: Folder = FOLDER,
) -> None:
    """Start what does not run yet, and wait until it answers."""
    try:
        room = _room(folder)
        room.up(parts or (), brokers, port, prometheus_config)
        _print(room.lines())
    except StackError as error:
        raise _fail(error) from None


@app.command()
def down(
    wipe: Annotated[bool, typer.Option("--wipe", help="Remove records, settings and logs, too.")] = False,
    folder: Folder = FOLDER,
) -> None:
    """Stop all that was started in the folder."""
    try:
        _room(folder).down(wipe=wipe)
    except StackError as error:
        raise _fail(error) from None


@app.command()
def logs(
    part: Annotated[str | None, typer.Argument(help="The part, such as kafka; else all.")] = None,
    tail: Annotated[int, typer.Option(min=1, help="Lines to show of each log.")] = 20,
    folder: Folder = FOLDER,
) -> None:
    """Show where the logs lie, and how they end."""
    try:
        found = _room(folder).logs(part)
    except StackError as error:
        raise _fail(error) from None
    if not found:
        typer.echo(f"nothing was started in {folder}", err=True)
    for log in found:
        typer.echo(f"== {log}")
        typer.echo(tail_of(log, tail))


@app.command()
def status(folder: Folder = FOLDER) -> None:
    """Say what is up. Exit 0 if all that was started here answers, 1 if not or if nothing was."""
    try:
        lines = _room(folder).lines()
    except StackError as error:
        raise _fail(error) from None
    if not lines:
        typer.echo(f"nothing was started in {folder}", err=True)
    else:
        _print(lines)
    if not lines or not all(line.answers for line in lines):
        raise typer.Exit(EXIT_NOT_ALL_UP)


def _room(folder: Path) -> "Room":
    from stack.room import Room

    return Room(folder, lambda line: typer.echo(line, err=True))


def _fail(error: StackError) -> typer.Exit:
    typer.echo(f"throughline: {error}", err=True)
    return typer.Exit(EXIT_UNUSABLE)


def _print(lines: "list[Line]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("part", "version", "address", "pid", "memory", "state", "log"):
        table.add_column(title, no_wrap=True)
    for line in lines:
        state = "up" if line.answers else "down" if line.pid is None else "no answer"
        memory = "-" if line.rss_mib is None else f"{line.rss_mib} MiB"
        table.add_row(line.name, line.version, line.address, str(line.pid or "-"), memory, state, str(line.log))
    Console(width=_WIDTH_MAX).print(table)  # a path is copied as a whole, or not at all

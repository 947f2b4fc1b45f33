"""`throughline targets`: the targets file shown, and each target asked whether we may."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple
from uuid import uuid4

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.lined_yaml import UnusableFile, shown
from streams.config import SettingsError, load
from streams.sinks.contract import Fatal, Retriable

if TYPE_CHECKING:
    from streams.engine.targets import NamedTarget, NamedTargets

app = typer.Typer(help="The ERPs that postings go to: check their file, and whether we may.", no_args_is_help=True)

EXIT_REFUSED = 1
EXIT_UNUSABLE = 2
EXIT_AWAY = 3


class Answered(NamedTuple):
    """What came of asking a target: in words, and the exit code that it alone would give."""

    said: str
    code: int


@app.callback()
def targets() -> None:
    """Have `check` named, as other commands will be."""


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(help="Name of one target; absent: all.")] = None,
    call: Annotated[bool, typer.Option("--call", help="Log in, and look for one posting that is not there.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings file in place of throughline.toml.")] = None,
) -> None:
    """Show the targets that workers would start with, and with --call whether each lets us in. Nothing is posted.

    Exit code 1 if a target refuses us, 3 if none does and one does not answer now, 2 if the file cannot be used or has
    no such target.
    """
    from streams.engine.lanes import targets_in  # noqa: PLC0415, clients of all targets take a while to load

    try:
        settings = load(config)
        found = targets_in(settings)
        if found is None:
            typer.echo(f"no sinks.targets_file: every ERP is a file exchange in {settings.sinks.folder}")
            if name is None:
                return
            raise ValueError(f"there is no target {name!r}")
        chosen = _chosen(found, name)
    except (SettingsError, UnusableFile, ValueError) as error:
        typer.echo(f"throughline: {error}", err=True)
        raise typer.Exit(EXIT_UNUSABLE) from None
    if settings.sinks.targets_file is not None:
        typer.echo(shown(settings.sinks.targets_file))
    answers = [asked(target) for target in chosen] if call else []
    Console(width=None, soft_wrap=True).print(_table(chosen, answers))
    codes = {answer.code for answer in answers}
    raise typer.Exit(next((code for code in (EXIT_REFUSED, EXIT_AWAY) if code in codes), 0))


def asked(target: "NamedTarget") -> Answered:
    """Look for a posting that nobody has made, and say what came of it."""
    try:
        sink = target.open()
        try:
            sink.find([str(uuid4())])
        finally:
            sink.close()
    except Retriable as error:
        return Answered(f"does not answer now: {error}", EXIT_AWAY)
    except Fatal as error:
        return Answered(f"refuses us: {error}", EXIT_REFUSED)
    return Answered("lets us in", 0)


def _chosen(found: "NamedTargets", name: str | None) -> "list[NamedTarget]":
    return [found.target(each) for each in (found.names if name is None else (name,))]


def _table(targets: "list[NamedTarget]", answers: list[Answered]) -> Table:
    headings = ["target", "kind", "where", "mapping", "calls at once", "a second"]
    table = Table(*headings, *(["asked"] if answers else []), box=None, pad_edge=False)
    for at, target in enumerate(targets):
        rate = f"{target.calls_per_second:g}" if target.calls_per_second else "any"
        said = [target.name, target.kind, target.place, target.mapping or "-", str(target.calls_at_once), rate]
        # No markup: what a target says may have brackets.
        table.add_row(*map(Text, [*said, *([answers[at].said] if answers else [])]))
    return table

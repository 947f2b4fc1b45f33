"""The command line: `throughline COMMAND`. A command reads its arguments, calls one function, and says how it went."""

import gc
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated

import typer

from schemas.lined_yaml import UnusableFile

app = typer.Typer(
    name="throughline",
    help="From changes in delivery systems to money: billing triggers, margin, drift alerts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

EXIT_UNUSABLE = 2


def fail(message: str) -> typer.Exit:
    """Say what is wrong on standard error; return the exit to raise."""
    typer.echo(f"throughline: {message}", err=True)
    return typer.Exit(EXIT_UNUSABLE)


@app.command()
def replay(
    inputs: Annotated[list[str], typer.Argument(metavar="IN.jsonl...", help="Files of records; - is standard input.")],
    out: Annotated[str, typer.Option(help="Where to write derived records; - is standard output.")] = "-",
    until: Annotated[str | None, typer.Option(help="Move the clock on to this time (RFC 3339) at the end.")] = None,
    policy: Annotated[Path | None, typer.Option(help="A policy file in place of the one shipped.")] = None,
    schemas: Annotated[Path | None, typer.Option(help="JSON file: id to Avro schema, of recorded bytes.")] = None,
    quiet: Annotated[bool, typer.Option(help="No progress on standard error.")] = False,
) -> None:
    """Run the whole topology over files, without a broker, and write what is derived."""
    from streams.progress import Progress
    from streams.replay import UnusableInput
    from streams.replay import replay as run_replay
    from streams.sources import recorded_reader
    from streams.topology import load_rulebook

    try:
        end = None if until is None else _instant(until)
        rulebook = load_rulebook(policy)
        reader = recorded_reader(rulebook, schemas)
        # What is loaded by now stays: looking through it again at every collection costs a tenth of the time.
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        with ExitStack() as stack:
            run_replay(inputs, _output(out, stack), rulebook, reader, end, Progress("replay", quiet))
    except (UnusableFile, UnusableInput) as error:
        raise fail(str(error)) from None


def _instant(text: str) -> datetime:
    from streams.replay import UnusableInput

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UnusableInput(f"--until {text!r} is no time: write it as 2026-01-31T00:00:00Z") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _output(path: str, stack: ExitStack) -> IO[bytes]:
    from streams.replay import UnusableInput

    if path == "-":
        return sys.stdout.buffer
    try:
        return stack.enter_context(Path(path).open("wb"))
    except OSError as error:
        raise UnusableInput(f"{path}: cannot be written: {error.strerror}") from error


@app.command()
def topology(
    mermaid: Annotated[bool, typer.Option(help="Print the graph in Mermaid's language.")] = False,
) -> None:
    """Print the graph of steps and topics."""
    from streams.graph import as_mermaid, as_text
    from streams.sources import recorded_reader
    from streams.topology import load_rulebook
    from streams.topology import topology as steps_of

    rulebook = load_rulebook()
    steps = steps_of(rulebook, recorded_reader(rulebook, None))
    typer.echo(as_mermaid(steps) if mermaid else as_text(steps), nl=False)


def main() -> None:
    """Run the command line."""
    app()

"""The command line: `throughline COMMAND`. A command reads its arguments, calls one function, and says how it went."""

import re
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from connect.commands import connect_commands
from connect.place import AskTopics, Place
from firm.commands import generate_into
from firm.topics import Target, Topics
from schemas.commands import app as schemas_commands
from schemas.lined_yaml import UnusableFile
from stack.commands import app as stack_commands
from streams.engine.activation_commands import app as activation_commands
from streams.engine.route_commands import app as route_commands
from streams.engine.target_commands import app as target_commands
from streams.engine.topic_commands import app as topic_commands

app = typer.Typer(
    name="throughline",
    help="From changes in delivery systems to money: billing triggers, margin, drift alerts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

app.add_typer(activation_commands, name="activation")
app.add_typer(route_commands, name="route")
app.add_typer(schemas_commands, name="schemas")
app.add_typer(stack_commands, name="stack")
app.add_typer(target_commands, name="targets")
app.add_typer(topic_commands, name="topics")


def _open_topics(target: Target) -> Topics:
    from streams.engine.feeding import open_topics  # Kafka's client takes a while to load, and files need none

    return open_topics(target)


app.command("generate")(generate_into(_open_topics))

EXIT_UNUSABLE = 2
EXIT_STOPPED = 130
UNTIL_YEAR_MAX = 9998
OUTPUT_BUFFER_BYTES = 1 << 20


def _connect_place(config: Path | None) -> Place:
    from streams.config import SettingsError, load

    try:
        settings = load(config)
    except SettingsError as error:
        raise fail(str(error)) from None

    def topics() -> AskTopics:
        from streams.engine.asked import TopicsAsked  # Kafka's client takes a while to load, and few commands ask

        try:
            return TopicsAsked(settings)
        except UnusableFile as error:
            raise fail(str(error)) from None

    return Place(settings.connect_url, topics, settings.feeds_expected, settings.connectors_folder)


app.add_typer(connect_commands(_connect_place), name="connect")


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
    mapping: Annotated[list[Path] | None, typer.Option(help="A mapping file beside those shipped; may repeat.")] = None,
    quiet: Annotated[bool, typer.Option(help="No progress on standard error.")] = False,
) -> None:
    """Run the whole topology over files, without a broker, and write what is derived."""
    from state.rocks import StoreUnavailable
    from streams.collecting import spare_what_is_loaded
    from streams.progress import Progress
    from streams.replay import UnusableInput, replay as run_replay
    from streams.sources import recorded_reader
    from streams.topology import load_rulebook

    try:
        end = None if until is None else _instant(until)
        rulebook = load_rulebook(policy, mapping or ())
        reader = recorded_reader(rulebook, schemas)
        spare_what_is_loaded()
        with ExitStack() as stack:
            run_replay(inputs, _output(out, inputs, stack), rulebook, reader, end, Progress("replay", quiet))
    except (UnusableFile, UnusableInput, StoreUnavailable) as error:
        raise fail(str(error)) from None
    except BrokenPipeError:  # whoever read standard output has seen enough
        raise
    except OSError as error:
        raise fail(f"{out}: cannot be written to the end: {error.strerror}") from None


def _instant(text: str) -> datetime:
    from streams.replay import UnusableInput

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UnusableInput(f"--until {text!r} is no time: write it as 2026-01-31T00:00:00Z") from None
    if moment.year > UNTIL_YEAR_MAX:
        raise UnusableInput(f"--until {text} is out of range: the last year is {UNTIL_YEAR_MAX}")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _output(path: str, inputs: list[str], stack: ExitStack) -> IO[bytes]:
    from streams.replay import UnusableInput

    if path == "-":
        if sys.stdout is None:
            raise UnusableInput("-: standard output is closed")
        return sys.stdout.buffer
    if Path(path).resolve() in (Path(source).resolve() for source in inputs if source != "-"):
        raise UnusableInput(f"{path} is read: write what is derived to another file")
    try:
        return stack.enter_context(Path(path).open("wb", OUTPUT_BUFFER_BYTES))
    except OSError as error:
        raise UnusableInput(f"{path}: cannot be written: {error.strerror}") from error


@app.command()
def topology(
    mermaid: Annotated[bool, typer.Option(help="Print the graph in Mermaid's language.")] = False,
) -> None:
    """Print the graph of steps and topics."""
    from streams.config import SettingsError, load
    from streams.engine.worker import steps_of
    from streams.graph import as_mermaid, as_text

    try:
        steps, _ = steps_of(load())
    except (SettingsError, UnusableFile) as error:
        raise fail(str(error)) from None
    typer.echo(as_mermaid(steps) if mermaid else as_text(steps), nl=False)


@app.command()
def worker(
    config: Annotated[Path | None, typer.Option(help="Settings file in place of throughline.toml.")] = None,
) -> None:
    """Run the topology as a worker: Faust agents on Kafka, until SIGTERM or Ctrl-C."""
    from streams.config import SettingsError, load
    from streams.engine.worker import run

    try:
        code = run(load(config))
    except (SettingsError, UnusableFile) as error:
        raise fail(str(error)) from None
    raise typer.Exit(code)


@app.command()
def feed(
    name: Annotated[str, typer.Argument(help="Name of the feed in its configuration file.")],
    config: Annotated[Path | None, typer.Option(help="Settings file in place of throughline.toml.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Until the source is read to its end, for scripts.")] = False,
    linger: Annotated[
        float, typer.Option(min=0, help="Seconds that metrics go on after a failure, for Prometheus to hear of it.")
    ] = 60.0,
) -> None:
    """Run one API feed, until SIGTERM or Ctrl-C. Exit code 1 if it ends by a failure, 2 for unusable settings."""
    from connect.configuration import UnusableConfiguration
    from streams.config import SettingsError, load
    from streams.engine.feed_alone import run_alone

    try:
        code = run_alone(load(config), name, once, linger)
    except (SettingsError, UnusableConfiguration, UnusableFile) as error:
        raise fail(str(error)) from None
    raise typer.Exit(code)


@app.command()
def load(  # noqa: PLR0913, one argument an option
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="CSV, or JSON lines as of replay; .gz too.")],
    name: Annotated[str, typer.Option(help="Name of the load, under which it remembers how far it is.")] = "history",
    topic: Annotated[str, typer.Option(help="Topic of CSV files that do not say their own.")] = "",
    rate: Annotated[int | None, typer.Option(min=1, help="Rows a second, at most.")] = None,
    lag_max: Annotated[
        int | None, typer.Option(min=1, help="Wait while the group of workers has more records open.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file in place of throughline.toml.")] = None,
    quiet: Annotated[bool, typer.Option(help="No progress on standard error.")] = False,
    delimiter: Annotated[str, typer.Option(help="Character between two fields of a CSV file.")] = ",",
) -> None:
    """Load history beside live feeds, which it never goes before. The same command goes on where it was stopped.

    Exit code 1 if there were rejects, 2 for files or settings that cannot be used, 130 if it was stopped.
    """
    from schemas.history import history_of
    from streams.config import SettingsError, load as load_settings
    from streams.engine.loading import Load, run_load

    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise fail(f"--name {name!r}: a name has letters, digits, dots, hyphens and underscores")
    if len(delimiter) != 1:
        raise fail(f"--delimiter {delimiter!r}: give one character")
    try:
        wanted = Load(files, history_of(name), topic, rate, lag_max, quiet, delimiter)
        code = run_load(load_settings(config), wanted)
    except (SettingsError, UnusableFile) as error:
        raise fail(str(error)) from None
    raise typer.Exit(code)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for state, ERP batches and the page.")] = Path("demo-out"),
    time_entries: Annotated[int, typer.Option(help="Size of the generated firm.")] = 4000,
    seed: Annotated[int, typer.Option(help="The same seed and size give the same firm.")] = 1,
    keep: Annotated[bool, typer.Option(help="Keep everything running until Ctrl-C.")] = False,
    stack: Annotated[bool, typer.Option(help="On the whole real stack, with Debezium on a database.")] = False,
) -> None:
    """Run a generated firm through the real worker on an embedded broker, and answer the business questions."""
    from console.report import print_tables, write
    from streams.config import SettingsError
    from streams.engine.demo import run
    from streams.engine.demo_folder import DemoError
    from streams.engine.tally import LostRecordsError

    def report(records: Sequence[dict[str, Any]], folder: Path, now: int) -> None:
        print_tables(records, now)
        typer.echo(f"the same tables with plots: {write(records, folder, now)}")

    if stack:
        return _stack_demo(out, time_entries, seed, report, keep)
    try:
        code = run(out, time_entries, seed, report, keep)
    except (DemoError, LostRecordsError, SettingsError, UnusableFile) as error:
        raise fail(str(error)) from None
    raise typer.Exit(code)


def _stack_demo(out: Path, time_entries: int, seed: int, report: Callable[..., None], keep: bool) -> None:
    from live.demo import run
    from live.errors import PipelineError
    from stack.errors import StackError
    from streams.engine.demo import say
    from streams.engine.demo_folder import DemoError, demo_folder

    try:
        with demo_folder(out):
            run(out, time_entries, seed, report, say, keep=keep)
    except (DemoError, OSError, PipelineError, StackError, ValueError) as error:
        raise fail(str(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_STOPPED) from None


def main() -> None:
    """Run the command line."""
    app()

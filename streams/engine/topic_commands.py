"""`throughline topics`: make and check the topics."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from connect.catalogue import names_of, notice_topics_of
from connect.configuration import CONNECTORS_FOLDER, UnusableConfiguration
from schemas.lined_yaml import UnusableFile
from schemas.mapping import MAPPINGS_FOLDER, load_mappings
from streams.config import Settings, SettingsError, load
from streams.topics import ADDED

app = typer.Typer(help="The topics of Kafka: make what is missing, and say what differs.", no_args_is_help=True)

EXIT_DIFFERS = 1
EXIT_UNUSABLE = 2

Config = Annotated[Path | None, typer.Option(help="Settings file in place of throughline.toml.")]
Replicas = Annotated[
    int | None, typer.Option(min=1, help="Copies of each partition; absent: 3, or as many as brokers.")
]


@app.command()
def apply(config: Config = None, replicas: Replicas = None) -> None:
    """Make the topics that are not there, and set what differs. Exit code 1 if something differs that cannot be set."""
    _run(config, replicas, mend=True)


@app.command()
def check(config: Config = None, replicas: Replicas = None) -> None:
    """Say what is missing or differs, and change nothing. Exit code 1 if anything does."""
    _run(config, replicas, mend=False)


def _run(config: Path | None, replicas: int | None, mend: bool) -> None:
    from streams.engine.cluster import TopicsError  # noqa: PLC0415, Kafka's client takes a while to load
    from streams.engine.topic_setup import TopicSetup, wanted_topics  # noqa: PLC0415

    try:
        settings = load(config)
        folder = settings.connectors_folder or CONNECTORS_FOLDER
        further, between = mapped_topics(settings)
        wanted = wanted_topics(settings, further, names_of(folder), [*between, *notice_topics_of(folder)])
        setup = TopicSetup(settings, wanted, replicas)
        findings = setup.find()
        rows = [(f.wanted.name, str(f.wanted.partitions), *_told(f, mend)) for f in findings]
        if mend:
            setup.apply(findings)
    except (SettingsError, TopicsError, UnusableConfiguration, UnusableFile) as error:
        typer.echo(f"throughline: {error}", err=True)
        raise typer.Exit(EXIT_UNUSABLE) from None
    _show(rows)
    wrong = [f for f in findings if (not f.mendable if mend else not f.exists or f.differing)]
    if wrong:
        typer.echo(f"{len(wrong)} of {len(findings)} topics are not as they should be", err=True)
        if any(not f.mendable for f in wrong):
            typer.echo(
                "partitions and replicas stay as a topic was made: make it anew, or change the settings", err=True
            )
        raise typer.Exit(EXIT_DIFFERS)
    typer.echo(f"{len(findings)} topics are as they should be")


def mapped_topics(settings: Settings) -> tuple[Sequence[str], Sequence[str]]:
    """Return the topics of mappings that feeds write, and those that assembly does."""
    contracts = settings.contracts
    mappings = load_mappings(contracts.mappings_folder or MAPPINGS_FOLDER, contracts.further_mappings)
    between = [*mappings.assembled, *[topic.name for topic in ADDED]] if mappings.assemblies else []
    return [*mappings.topics, *mappings.native_topics], between


def _told(finding: "object", mend: bool) -> tuple[str, str]:
    from streams.engine.topic_setup import Finding  # noqa: PLC0415

    assert isinstance(finding, Finding)
    if not finding.exists:
        return ("made" if mend else "missing"), ""
    if not finding.differing:
        return "as it should be", ""
    what = ", ".join(f"{setting} {is_now} → {should_be}" for setting, is_now, should_be in finding.differing)
    if not finding.mendable:
        return "differs, for good", what
    return ("set" if mend else "differs"), what


def _show(rows: Sequence[tuple[str, ...]]) -> None:
    table = Table("topic", "partitions", "state", "is now → should be", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(width=None).print(table)

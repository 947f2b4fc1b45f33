"""`throughline route`: check the routing file, and explain where a trigger goes or went."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.lined_yaml import UnusableFile, shown
from schemas.registry import RegistryUnavailable
from streams.config import Settings, SettingsError, load
from streams.domain.routes import Routes, Wave
from streams.routes import SHIPPED, load_routes
from streams.rules.routing import decide

app = typer.Typer(help="Which ERP books what: check the routing file, explain a trigger.", no_args_is_help=True)

EXIT_UNKNOWN = 1
EXIT_UNUSABLE = 2

Config = Annotated[Path | None, typer.Option(help="Settings file in place of throughline.toml.")]

_HOME = "the ERP that the legal entity names"
"""Stands for it, whichever that is."""


@app.command()
def check(config: Config = None) -> None:
    """Show the routing file that workers would start with. Exit code 2 if it cannot be used, with file and line.

    It must lead to systems that the targets file has, if the settings name one.
    """
    settings, routes = _loaded(config, against_targets=True)
    file = shown(settings.routing_file or SHIPPED)
    typer.echo(f"{file}: first day of service that is posted: {routes.go_live or 'any'}")
    for legal_entity, own in sorted(routes.legal_entities.items()):
        typer.echo(f"of {legal_entity}: {own.go_live}")
    if not routes.waves:
        typer.echo("no waves: the ERP of each legal entity books everything")
    else:
        Console(width=None).print(_waves(routes))
    for freeze in routes.freezes:
        whose = f"systems {_listed(freeze.systems)}, legal entities {_listed(freeze.legal_entities)}"
        typer.echo(f"freeze {freeze.name}: {_time(freeze.begins)} to {_time(freeze.ends)}, {whose}")


@app.command()
def explain(
    trigger: Annotated[str, typer.Argument(help="Id of the trigger, as `billing.triggers` has it.")],
    config: Config = None,
) -> None:
    """Say of a trigger which ERP was decided on, what that answered, and what the routing file says now.

    Exit code 1 if there is no such trigger.
    """
    from streams.engine.cluster import TopicsError  # noqa: PLC0415, Kafka's client takes a while to load
    from streams.engine.told_of_trigger import told_of_trigger  # noqa: PLC0415
    from streams.engine.unknown_ids import ForeignIds  # noqa: PLC0415

    settings, routes = _loaded(config)
    try:
        told = told_of_trigger(settings, trigger)
    except (ForeignIds, RegistryUnavailable, TopicsError, UnusableFile) as error:
        raise _unusable(str(error)) from None
    if not told.triggers:
        typer.echo(f"throughline: there is no trigger {trigger} in billing.triggers", err=True)
        raise typer.Exit(EXIT_UNKNOWN)
    table = Table.grid(padding=(0, 2))
    for name, said in explained(told.triggers[-1], told.intents, told.receipts, routes):
        table.add_row(name, Text(said))
    Console(width=None, soft_wrap=True).print(table)


def explained(
    trigger: Mapping[str, Any],
    intents: Sequence[Mapping[str, Any]],
    receipts: Sequence[Mapping[str, Any]],
    routes: Routes,
) -> Iterator[tuple[str, str]]:
    """Yield what is to be said of a trigger, each under its heading."""
    yield "trigger", _told_of(trigger)
    yield "billed by", f"legal entity {trigger['legal_entity']} to client {trigger['client_id']}"
    for intent in intents:
        yield (
            "decided",
            f"{intent['system']}, {intent['because']}; {_time(intent['created_at'])}, posting {intent['posting_id']}",
        )
    for receipt in receipts:
        yield "receipt", _answer(receipt)
    if not intents:
        yield "decided", "not posted: no intent was written"
    yield "routes now", _by_file(trigger, routes)


def _waves(routes: Routes) -> Table:
    table = Table("wave", "to", "legal entities", "clients", "service", box=None, pad_edge=False)
    for wave in routes.waves:
        to = f"{wave.system} (dual run)" if wave.dual_run else wave.system
        said = (wave.name, to, _listed(wave.legal_entities), _listed(wave.clients), _days(wave))
        table.add_row(*map(Text, said))  # no markup: names may have brackets
    return table


def _told_of(trigger: Mapping[str, Any]) -> str:
    what = f"{trigger['kind']} {trigger['amount']:f} {trigger['currency']}"
    whose = f"contract {trigger['contract_number']}, project {trigger['project_id'] or 'none'}"
    reverses = f", reverses {trigger['reverses']}" if trigger["reverses"] else ""
    return f"{what}, service of {trigger['service_date']}, {whose}{reverses}"


def _answer(receipt: Mapping[str, Any]) -> str:
    document = f", document {receipt['document_id']}" if receipt["document_id"] else ""
    error = f": {receipt['error']}" if receipt["error"] else ""
    when = _time(receipt["answered_at"])
    return f"{receipt['status']} ({receipt['system']}, {when}, attempts {receipt['attempts']}{document}){error}"


def _by_file(trigger: Mapping[str, Any], routes: Routes) -> str:
    if trigger["reverses"]:
        return "a reversal goes where its original went, whatever the routes"
    legal_entity, client_id = trigger["legal_entity"], trigger["client_id"] or ""
    decision = decide(routes, _HOME, None, legal_entity, client_id, trigger["service_date"])
    return f"{' and '.join(decision.systems) or 'not posted'}: {decision.because}"


def _listed(names: frozenset[str] | None) -> str:
    return ", ".join(sorted(names or ())) or "all"


def _days(wave: Wave) -> str:
    begins = f"from {wave.service_from}" if wave.service_from else ""
    ends = f"to {wave.service_to}" if wave.service_to else ""
    return f"{begins} {ends}".strip() or "any day"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def _loaded(config: Path | None, against_targets: bool = False) -> tuple[Settings, Routes]:
    try:
        settings = load(config)
        systems = None
        if against_targets and settings.sinks.targets_file is not None:
            from streams.engine.targets import names_in  # noqa: PLC0415, clients of all targets take a while to load

            systems = names_in(settings.sinks.targets_file)
        return settings, load_routes(settings.routing_file, systems)
    except (SettingsError, UnusableFile) as error:
        raise _unusable(str(error)) from None


def _unusable(message: str) -> typer.Exit:
    typer.echo(f"throughline: {message}", err=True)
    return typer.Exit(EXIT_UNUSABLE)

"""`throughline activation`: how far deals that were won have come, and what can be done about those that are stuck."""

from collections.abc import Iterator
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
from streams.doers.opening import load_plan
from streams.doers.plan import Plan
from streams.domain.undertaking import order_of

app = typer.Typer(help="Deals that were won: how far each is set up, and what it waits for.", no_args_is_help=True)

EXIT_NOTHING = 1
EXIT_UNUSABLE = 2

Config = Annotated[Path | None, typer.Option(help="Settings file in place of throughline.toml.")]
Deal = Annotated[str, typer.Argument(metavar="OPPORTUNITY", help="Id of the deal in the CRM.")]

_OF_A_PERSON = ("refused", "gave_up", "failed", "timed_out")


@app.command()
def check(config: Config = None) -> None:
    """Show who sets up what by the file that workers would start with. Exit code 2 if it cannot be used."""
    settings = _loaded(config)
    plan = _plan(settings)
    if plan is None:
        typer.echo("activation_file is not set: people set up deals, and Throughline waits for them")
        return
    table = Table("step", "doer", "kind", "legal entities", "countries", "clients", box=None, pad_edge=False)
    for step in ("create_project", "provision_erp", "announce"):
        for rule in plan.rules(step):
            given = (rule.legal_entities, rule.countries, rule.clients)
            conditions = (", ".join(sorted(each)) if each else "all" for each in given)
            table.add_row(*map(Text, (step, rule.doer, plan.doers[rule.doer].kind, *conditions)))
    Console(width=None, soft_wrap=True).print(table)


@app.command("list")
def list_(
    all_: Annotated[bool, typer.Option("--all", help="Also those that are set up.")] = False, config: Config = None
) -> None:
    """List deals that are not set up yet, those first that have waited longest."""
    deals = [deal for deal in _told(_loaded(config)).values() if all_ or not deal.is_over]
    if not deals:
        typer.echo("no deal waits for anything")
        return
    table = Table("deal", "contract", "step", "state", "since", "attempts", "waits for", box=None, pad_edge=False)
    for deal in sorted(deals, key=lambda each: (each.since, each.opportunity_id)):
        table.add_row(*map(Text, _row(deal)))
    Console(width=None, soft_wrap=True).print(table)


@app.command()
def show(opportunity: Deal, config: Config = None) -> None:
    """Show all that happened to a deal since it was won. Exit code 1 if nothing is known of it."""
    deal = _one(_loaded(config), opportunity)
    table = Table("time", "step", "what", "attempt", "by", "said", box=None, pad_edge=False)
    for _, row in sorted(_lines(deal), key=lambda line: line[0]):
        table.add_row(*map(Text, row))
    Console(width=None, soft_wrap=True).print(table)
    typer.echo(f"waits for: {_waits_for(deal)}")


@app.command()
def retry(
    opportunity: Deal,
    by: Annotated[str, typer.Option(help="Who asks; absent: the user who runs this.")] = "",
    because: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked for, and do nothing.")] = False,
    config: Config = None,
) -> None:
    """Ask for the step that a deal waits for once more. Exit code 1 if it waits for none that a doer does."""
    from streams.engine.told_of_deals import ask_again  # noqa: PLC0415, Kafka's client takes a while to load

    settings = _loaded(config)
    plan, deal = _plan(settings), _one(settings, opportunity)
    command = deal.outstanding
    if command is None:
        raise _nothing(f"deal {opportunity} waits for {_waits_for(deal)}: there is nothing to retry")
    now = round(datetime.now(UTC).timestamp() * 1000)
    rule = None if plan is None else plan.choose(order_of(command), now)
    was_asked = any(event["step"] == command["step"] and "doer" in event["results"] for event in deal.events)
    if plan is None or (rule is None and not was_asked):
        where = "activation_file is not set" if plan is None else "no rule of the activation file fits"
        raise _nothing(f"nobody does {command['step']} of deal {opportunity}: {where}; do it by hand")
    if not dry_run:
        ask_again(settings, command, by, because)
    said = "would be asked for" if dry_run else "is asked for"
    typer.echo(f"deal {opportunity}: {command['step']} {said} once more")


def _row(deal: Any) -> tuple[str, ...]:
    newest, command = deal.newest or {}, deal.commands[-1] if deal.commands else {}
    asked = command or newest
    told = newest if newest.get("step") == asked["step"] else {"state": "asked", "attempt": asked["attempt"]}
    state = "set up" if deal.is_over else told["state"]
    contract = asked["contract_number"] or "none"
    step, attempts = asked["step"], str(told["attempt"])
    return deal.opportunity_id, contract, step, state, _time(deal.since), attempts, _waits_for(deal)


def _waits_for(deal: Any) -> str:
    if deal.is_over:
        return "nothing"
    newest, command = deal.newest, deal.commands[-1] if deal.commands else {}
    target = command.get("target", "its system")
    if newest is None or newest["step"] != command.get("step", newest["step"]):
        return f"{target}, whoever does it there"
    reasons = "; ".join(newest["reasons"])
    match newest["state"]:
        case state if state in _OF_A_PERSON:
            return f"a person: {reasons}"
        case "retrying":
            return f"{newest['results']['doer']}, which is tried again: {reasons}"
        case "asked":
            return f"{newest['results']['doer']}, which was asked"
        case "made":
            return f"the feed of {target}, to show it"
    return f"{target}, whoever does it there"


def _lines(deal: Any) -> Iterator[tuple[datetime, tuple[str, ...]]]:
    for command in deal.commands:
        by = command["arguments"].get("asked_by", "ledger")
        said = command["arguments"].get("because", "")
        moment = command["issued_at"]
        yield moment, (_time(moment), command["step"], "command", str(command["attempt"]), by, said)
    for event in deal.events:
        results = {name: value for name, value in event["results"].items() if name != "doer"}
        said = "; ".join((*event["reasons"], *(f"{name} {value}" for name, value in sorted(results.items()))))
        moment, by = event["occurred_at"], event["results"].get("doer", "ledger")
        yield moment, (_time(moment), event["step"], event["state"], str(event["attempt"]), by, said)


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def _told(settings: Settings) -> dict[str, Any]:
    from streams.engine.cluster import TopicsError  # noqa: PLC0415, Kafka's client takes a while to load
    from streams.engine.told_of_deals import told_of_deals  # noqa: PLC0415
    from streams.engine.unknown_ids import ForeignIds  # noqa: PLC0415

    try:
        return dict(told_of_deals(settings))
    except (ForeignIds, RegistryUnavailable, TopicsError, UnusableFile) as error:
        raise _unusable(str(error)) from None


def _one(settings: Settings, opportunity: str) -> Any:
    deal = _told(settings).get(opportunity)
    if deal is None:
        raise _nothing(f"nothing is known of deal {opportunity}: it was not won, or its feed has not said so")
    return deal


def _loaded(config: Path | None) -> Settings:
    try:
        return load(config)
    except SettingsError as error:
        raise _unusable(str(error)) from None


def _plan(settings: Settings) -> Plan | None:
    if settings.activation_file is None:
        return None
    try:
        plan = load_plan(settings.activation_file)
    except UnusableFile as error:
        raise _unusable(str(error)) from None
    typer.echo(shown(settings.activation_file), err=True)
    return plan


def _nothing(message: str) -> typer.Exit:
    typer.echo(f"throughline: {message}", err=True)
    return typer.Exit(EXIT_NOTHING)


def _unusable(message: str) -> typer.Exit:
    typer.echo(f"throughline: {message}", err=True)
    return typer.Exit(EXIT_UNUSABLE)

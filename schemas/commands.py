"""The command `schemas`: check that contracts may change as they did, publish them, show them."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.contracts import SCHEMAS_FOLDER, load_contracts
from schemas.generate import text_of
from schemas.lined_yaml import UnusableFile
from schemas.mapping import load_mappings, load_ownership
from schemas.mapping_cover import cover_faults
from schemas.registry import read_manifest
from schemas.release import check_manifest, refusals, release as publish, unreleased

app = typer.Typer(
    name="schemas",
    help="The contracts of what travels: check, publish, show.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

EXIT_REFUSED, EXIT_UNUSABLE = 1, 2

Folder = Annotated[Path, typer.Option(help="Schemas folder: source, canonical, derived, mappings, released.")]


@app.command()
def check(
    folder: Folder = SCHEMAS_FOLDER,
    mapping: Annotated[list[Path] | None, typer.Option(help="A mapping file beside those of the folder.")] = None,
) -> None:
    """Refuse contracts that break readers or writers of what was released, and mappings that do not fit them.

    Exit 0 if all may change as they did, 1 with contract, field and reason if not, 2 if a file cannot be used.
    """
    try:
        contracts = load_contracts(folder)
        check_manifest(folder)
        mappings = load_mappings(folder / "mappings", mapping or ())
        load_ownership(folder / "ownership.yaml", mappings)
        refused = [*(str(refusal) for refusal in refusals(folder)), *cover_faults(mappings, contracts)]
    except UnusableFile as error:
        raise _unusable(error) from None
    for line in refused:
        typer.echo(f"refused: {line}", err=True)
    if refused:
        raise typer.Exit(EXIT_REFUSED)
    pending = unreleased(folder)
    typer.echo(f"{len(contracts)} contracts, {len(mappings.topics)} mapped topics: no breaking change")
    for subject in pending:
        typer.echo(f"not released yet: {subject}")


@app.command()
def release(folder: Folder = SCHEMAS_FOLDER) -> None:
    """Publish every contract that changed, under the next version and id."""
    try:
        published = publish(folder)
    except UnusableFile as error:
        for line in error.faults:
            typer.echo(f"refused: {line}", err=True)
        raise typer.Exit(EXIT_REFUSED) from None
    for line in published:
        typer.echo(f"released: {line}")
    if not published:
        typer.echo("nothing changed since the last release")


@app.command()
def show(
    subject: Annotated[str | None, typer.Argument(help="Contract to print; none: a list of all.")] = None,
    folder: Folder = SCHEMAS_FOLDER,
) -> None:
    """List all contracts with level, newest version and id, or print one."""
    try:
        contracts = load_contracts(folder)
        newest = {entry["subject"]: (entry["version"], number) for number, entry in read_manifest(folder).items()}
    except UnusableFile as error:
        raise _unusable(error) from None
    if subject is None:
        for name, contract in contracts.items():
            version, number = newest.get(name, ("-", "not released"))
            typer.echo(f"{name:40} {contract.level:20} version {version} id {number}")
    elif subject in contracts:
        typer.echo(text_of(contracts[subject].schema), nl=False)
    else:
        typer.echo(f"schemas: there is no contract {subject!r}: `schemas show` lists them", err=True)
        raise typer.Exit(EXIT_UNUSABLE)


def _unusable(error: UnusableFile) -> typer.Exit:
    for line in error.faults:
        typer.echo(f"schemas: {line}", err=True)
    return typer.Exit(EXIT_UNUSABLE)

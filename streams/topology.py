"""The topology: every step, in the order in which changes flow. Start reading here.

intake -> ledger -> margins, drift -> analytics, with people asked and answering at the ledger's side. Before intake
comes assembly, where a mapping of a system's own tables was added.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from schemas.lined_yaml import UnusableFile
from schemas.mapping import Mappings, Ownership, load_mappings, load_ownership
from streams import compiled
from streams.assembly.step import assembly_step
from streams.domain.policy import Policy
from streams.domain.routes import Routes
from streams.intake.ownership import never_checked
from streams.intake.reading import Decode, Reader
from streams.intake.step import intake_step
from streams.ledger.step import ledger_step
from streams.policy import load_policy
from streams.step import Step
from streams.steps.analytics import analytics_step
from streams.steps.drift import drift_step
from streams.steps.margins import margin_step
from streams.steps.people import people_step


@dataclass(frozen=True)
class Rulebook:
    """What a firm sets: mappings, ownership and policy, all checked when loaded."""

    mappings: Mappings
    ownership: Ownership
    policy: Policy


def load_rulebook(policy: Path | None = None, further: Iterable[Path] = ()) -> Rulebook:
    """Return the shipped mappings and ownership with a policy file, and further mapping files.

    Raises `schemas.lined_yaml.UnusableFile`.
    """
    mappings = load_mappings(further=further)
    ownership = load_ownership(mappings=mappings)
    if faults := never_checked(ownership):
        raise UnusableFile(faults)
    return Rulebook(mappings, ownership, load_policy(policy))


def topology(
    rulebook: Rulebook, reader: Reader, feeds: tuple[str, ...] = (), routes: Routes | None = None
) -> tuple[Step, ...]:
    """Return all steps, upstream first.

    In service only, none in a file run: `feeds` are those that must be heard, `routes` say which ERP books what.
    """
    compiled.quicken()
    policy, mappings = rulebook.policy, rulebook.mappings
    return (
        *([assembly_step(mappings, reader)] if mappings.assemblies else []),
        intake_step(reader, mappings, rulebook.ownership, policy, feeds),
        people_step(policy),
        ledger_step(policy, mappings.billing_code, routes),
        margin_step(policy),
        drift_step(policy),
        analytics_step(),
    )


__all__ = ["Decode", "Rulebook", "load_rulebook", "topology"]

"""Every topic: its name, its role, and what its records are keyed by."""

from enum import StrEnum
from typing import Final, NamedTuple


class Role(StrEnum):
    """Who writes a topic and who may read it."""

    SOURCE = "source"
    INTERNAL = "internal"
    PUBLIC = "public"


class Topic(NamedTuple):
    """A topic of the product. Names of source and public topics are its fixed public interface."""

    name: str
    role: Role
    key: str
    carries: str


_PSA: Final = ("clients", "resources", "projects", "milestones", "assignments", "time_entries", "expenses")
_PSA_OWN_KEY: Final = ("clients", "resources", "projects")
_CRM: Final = {
    "Account": "account id",
    "Opportunity": "opportunity id",
    "Contract": "contract number",
    "ContractAmendment": "contract number",
}
_ERP: Final = {
    "LegalEntity": "legal entity id",
    "Customer": "customer id",
    "Project": "project id",
    "Invoice": "project id",
    "CostPosting": "project id",
    "RevenueSchedule": "schedule id",
    "FxRate": "From:To:Date",
    "Period": "LegalEntity:Period",
}


def _source(name: str, key: str) -> Topic:
    return Topic(name, Role.SOURCE, key, f"changes of {name} rows")


SOURCES: Final[tuple[Topic, ...]] = (
    *(_source(f"psa.public.{table}", "own id" if table in _PSA_OWN_KEY else "project id") for table in _PSA),
    *(_source(f"crm.{name}", key) for name, key in _CRM.items()),
    _source("hr.Worker", "employee id"),
    *(_source(f"erp.{name}", key) for name, key in _ERP.items()),
)

CONTRACT_FACTS: Final = "facts.contract"
PERSON_FACTS: Final = "facts.person"
MARGIN_PARTS: Final = "margin.parts"
DRIFT_CLAIMS: Final = "drift.claims"

INTERNAL: Final[tuple[Topic, ...]] = (
    Topic(CONTRACT_FACTS, Role.INTERNAL, "contract number", "facts for a contract's ledger; reference rows go to all"),
    Topic(PERSON_FACTS, Role.INTERNAL, "resource or employee id", "people, their assignments, and who asks for them"),
    Topic(MARGIN_PARTS, Role.INTERNAL, "project id", "what a contract's ledger says of a project's margin"),
    Topic(DRIFT_CLAIMS, Role.INTERNAL, "alert id", "what a ledger says for or against an alert"),
)

FEED_MEMORY: Final = "feed.memory"

BESIDE: Final[tuple[Topic, ...]] = (
    Topic(
        FEED_MEMORY, Role.INTERNAL, "feed name and what it keeps", "what API feeds remember to go on; no step reads it"
    ),
)

ASSEMBLY_LOOKUPS: Final = "assembly.lookups"

ADDED: Final[tuple[Topic, ...]] = (
    Topic(ASSEMBLY_LOOKUPS, Role.INTERNAL, "row id", "how rows of a system's own tables look each other up"),
)
"""Topics that are there only where a mapping of a system's own tables was added."""

TRIGGERS: Final = "billing.triggers"
MARGINS: Final = "margin.updates"
ALERTS: Final = "drift.alerts"
EXCEPTIONS: Final = "exceptions"
DEAD_LETTERS: Final = "dead.letters"
ACTIVATION_COMMANDS: Final = "activation.commands"
ACTIVATION_EVENTS: Final = "activation.events"
POSTINGS: Final = "erp.postings"
RECEIPTS: Final = "erp.receipts"
ANALYTICS: Final = "analytics.delivery"
AUDIT: Final = "audit.trail"

PUBLIC: Final[tuple[Topic, ...]] = (
    Topic(TRIGGERS, Role.PUBLIC, "contract number", "amounts to invoice, and their reversals"),
    Topic(MARGINS, Role.PUBLIC, "project id", "cost, revenue, margin and forecast of a project"),
    Topic(ALERTS, Role.PUBLIC, "alert id", "where systems or plans drift apart, from open to resolved"),
    Topic(EXCEPTIONS, Role.PUBLIC, "exception id", "what a person must look at, from open to resolved"),
    Topic(DEAD_LETTERS, Role.PUBLIC, "the original key", "records that cannot be read, as they came"),
    Topic(ACTIVATION_COMMANDS, Role.PUBLIC, "opportunity id", "steps to take after a deal is won"),
    Topic(ACTIVATION_EVENTS, Role.PUBLIC, "opportunity id", "what became of those steps"),
    Topic(POSTINGS, Role.PUBLIC, "contract number", "intents to book a trigger in an ERP, before anything is sent"),
    Topic(RECEIPTS, Role.PUBLIC, "contract number", "what the ERP answered for each trigger"),
    Topic(ANALYTICS, Role.PUBLIC, "project id", "flat, additive facts for analysts"),
    Topic(AUDIT, Role.PUBLIC, "contract number, else project id", "every change of money or state, with its cause"),
)

TOPICS: Final[dict[str, Topic]] = {topic.name: topic for topic in (*SOURCES, *INTERNAL, *BESIDE, *PUBLIC)}
KNOWN: Final[dict[str, Topic]] = {**TOPICS, **{topic.name: topic for topic in ADDED}}

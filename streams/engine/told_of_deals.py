"""What topics tell of deals that were won: the steps that were asked for, and what became of them."""

from collections.abc import Mapping
from datetime import datetime
from getpass import getuser
from typing import Any, Final, NamedTuple

from confluent_kafka import Producer

from schemas.codec import Codec
from streams.config import Settings
from streams.domain.calendar import moment
from streams.domain.undertaking import ANNOUNCEMENT, DONE_BY_OTHERS
from streams.engine.activating import ASKED_BY
from streams.engine.clients import client_config
from streams.engine.clock import system_clock
from streams.engine.cluster import refused
from streams.engine.whole_topics import whole_topics
from streams.engine.wire import registry_of
from streams.partitioning import partition_of
from streams.topics import ACTIVATION_COMMANDS, ACTIVATION_EVENTS

_ANSWER_SECONDS_MAX: Final = 10.0

Fields = Mapping[str, Any]


class ToldOfDeal(NamedTuple):
    """The commands and events of a deal, each in the order in which they were written."""

    opportunity_id: str
    commands: list[Fields]
    events: list[Fields]

    @property
    def is_over(self) -> bool:
        """Whether nothing is waited for: it is complete, and whoever announces it has done so or was never asked."""
        said = [e["state"] for e in self.events if e["step"] == ANNOUNCEMENT and "doer" in e["results"]]
        return any(event["state"] == "completed" for event in self.events) and said[-1:] in ([], ["made"])

    @property
    def newest(self) -> Fields | None:
        """The newest event, but for those of the workflow where whoever does the step has said more."""
        events = [event for event in self.events if event["state"] != "completed"]
        told = [event for event in events if self.commands and event["step"] == self.commands[-1]["step"]]
        return told[-1] if told else events[-1] if events else None

    @property
    def outstanding(self) -> Fields | None:
        """The newest command of a step that somebody does and that is not over; None where there is none."""
        for command in reversed(self.commands):
            if command["step"] in DONE_BY_OTHERS and not self.is_over:
                done = {event["state"] for event in self.events if event["step"] == command["step"]}
                if command["step"] == ANNOUNCEMENT or "succeeded" not in done:
                    return command
        return None

    @property
    def since(self) -> datetime:
        """When the step that is waited for was first asked for."""
        step = self.commands[-1]["step"] if self.commands else ""
        moments = [command["issued_at"] for command in self.commands if command["step"] == step]
        found: datetime = min(moments or [event["occurred_at"] for event in self.events])
        return found


def told_of_deals(settings: Settings) -> dict[str, ToldOfDeal]:
    """Read all of activations, by deal. Raises as `whole_topics` does."""
    deals = dict[str, ToldOfDeal]()
    with whole_topics(settings, "activation") as topics:
        for topic in (ACTIVATION_COMMANDS, ACTIVATION_EVENTS):
            for value in topics.values(topic):
                record = topics.codec.decode(topic, value)
                identity = record["opportunity_id"]
                deal = deals.setdefault(identity, ToldOfDeal(identity, [], []))
                (deal.commands if topic == ACTIVATION_COMMANDS else deal.events).append(record)
    return deals


def ask_again(settings: Settings, command: Fields, by: str = "", because: str = "") -> None:
    """Write a command once more, as a person's. Raises as `told_of_deals` does."""
    said = {ASKED_BY: by or getuser(), **({"because": because} if because else {})}
    now = moment(system_clock())
    again = {**command, "attempt": command["attempt"] + 1, "issued_at": now, "due_at": None}
    again["arguments"] = {**command["arguments"], **said}
    codec = Codec(registry_of(settings.contracts))
    producer, key = Producer(client_config(settings)), command["opportunity_id"]
    producer.produce(
        ACTIVATION_COMMANDS,
        codec.encode(ACTIVATION_COMMANDS, again),
        key.encode(),
        partition_of(key, settings.partitions),
    )
    if producer.flush(_ANSWER_SECONDS_MAX):
        raise refused(settings.brokers, "it did not take the command")

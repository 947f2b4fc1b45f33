"""What assembly has refused or lets wait, as people are told of it: kept until a later version can be made."""

from typing import Any, Final

from streams.domain.fact import Cause
from streams.domain.kept import Refused
from streams.intake.change import Refusal
from streams.intake.parked import SEP, Parked
from streams.intake.telling import Teller
from streams.rules.exceptions import Entity
from streams.step import Context

TABLES: Final[dict[str, Any]] = {"assembly.refused": Refused, "assembly.waiting": int}


class Refusals:
    """The refused and waiting rows of one partition, by topic and id: native rows, and assembled ones."""

    def __init__(self, context: Context, teller: Teller) -> None:
        self._context = context
        self._teller = teller
        self._refused = context.table("assembly.refused")
        self._waiting = context.table("assembly.waiting")
        self._parked = Parked(context, self._refused, "assembly.waiting")

    def refuse(self, topic: str, identity: str, entity: Entity, refusal: Refusal, cause: Cause) -> None:
        """Keep and tell that the newest version of a row is not in force; nothing if that was told of this version."""
        place = f"{topic}{SEP}{identity}"
        before: Refused | None = self._refused.get(place)
        if before is not None and (before.kind, before.reasons, before.cause) == (*refusal, cause):
            return
        if before is not None and before.kind != refusal.kind:
            self.forgive(topic, identity, entity, cause)
            before = None
        since = before.first_seen if before else self._now(cause)
        attempts = before.attempts + 1 if before else 1
        refused = Refused(topic, identity, identity, refusal.kind, refusal.reasons, "", since, attempts, cause)
        self._refused.put(place, refused)
        if before is None:
            self._parked.add(since)
        self._tell(refused, entity, cause, open_=True)

    def forgive(self, topic: str, identity: str, entity: Entity, cause: Cause) -> None:
        """Forget what was refused of a row, if anything was: a later version is in force, or gone."""
        place = f"{topic}{SEP}{identity}"
        before: Refused | None = self._refused.get(place)
        if before is not None:
            self._refused.delete(place)
            self._parked.remove(before.first_seen)
            self._tell(before, entity, cause, open_=False)

    def wait(self, topic: str, identity: str, cause: Cause) -> None:
        """Count a row as one that waits for a partner."""
        if self._waiting.get(SEP.join((identity, topic, ""))) is None:
            self._parked.wait(topic, identity, "", self._now(cause))

    def wait_no_more(self, topic: str, identity: str) -> None:
        """Count a row no more: its partner came, or it is gone itself."""
        self._parked.give_up(topic, identity, "")

    def _now(self, cause: Cause) -> int:
        return max(self._context.now, cause.occurred_at)

    def _tell(self, refused: Refused, entity: Entity, cause: Cause, open_: bool) -> None:
        message = f"{refused.topic} {refused.id} is not applied: {'; '.join(refused.reasons)}"
        state = (refused.first_seen, open_)
        self._teller.exception(refused.kind, entity, refused.reasons, message, state, cause, {}, refused.attempts)

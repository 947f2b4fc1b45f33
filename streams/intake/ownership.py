"""Ownership: a field has one owning system; a copy elsewhere that differs is not applied, and says so."""

from collections.abc import Callable
from typing import Any, Final

from schemas.mapping import Ownership
from streams.domain.fact import Cause
from streams.domain.kept import Violation
from streams.intake.memory import Memory
from streams.intake.parked import SEP
from streams.rules.exceptions import Entity
from streams.step import Context

_PROJECT_ROWS: Final = {"erp.Project": "ErpProject", "psa.public.projects": "Project"}


def never_checked(ownership: Ownership) -> list[str]:
    """Return which fields of the ownership file name copies that nothing here compares, with file and line."""
    return [
        f"{owned.where}: {owned.entity}.{owned.name}: copies of {', '.join(_PROJECT_ROWS)} are compared, no others"
        for owned in ownership.fields.values()
        if owned.copies
        and (owned.entity != "project" or not {owned.owner.topic, *[c.topic for c in owned.copies]} <= {*_PROJECT_ROWS})
    ]


class OwnershipCheck:
    """Compares a project's copies with what the owner says. An empty copy violates nothing."""

    def __init__(self, context: Context, memory: Memory, ownership: Ownership, tell: Callable[..., None]) -> None:
        self._context = context
        self._memory = memory
        self._violations = context.table("intake.violation")
        self._fields = [owned for owned in ownership.fields.values() if owned.entity == "project"]
        self._tell = tell

    def check(self, project_id: str, cause: Cause) -> None:
        """Open or close the violations of a project after one of its rows changed."""
        rows = {topic: self._memory.good(kind, project_id, project_id) for topic, kind in _PROJECT_ROWS.items()}
        for owned in self._fields:
            owner = _said(rows.get(owned.owner.topic), owned.name)
            for copy in owned.copies:
                self._compare(
                    project_id,
                    owned.name,
                    owned.owner.system,
                    owner,
                    (copy.system, _said(rows.get(copy.topic), owned.name)),
                    cause,
                )

    def look_again(self) -> None:
        """Look at all that is open under the ownership of today: what is checked no more is closed."""
        checked = {(owned.name, copy.system) for owned in self._fields for copy in owned.copies}
        cause = Cause(None, None, None, None, 0, self._context.now)
        projects: dict[str, None] = {}
        for place, violation in list(self._violations.scan("")):
            project_id, name, system = place.split(SEP)
            projects[project_id] = None
            if (name, system) not in checked:
                self._violations.delete(place)
                message = f"{name} of project {project_id} in {system} is checked no more"
                entity = Entity("project", project_id, project_id, place=name)
                evidence = {"field": name, system: violation.copy}
                self._tell("ownership_violation", entity, (name,), message, (violation.since, False), cause, evidence)
        for project_id in projects:
            self.check(project_id, cause)

    def _compare(
        self,
        project_id: str,
        name: str,
        owner_system: str,
        owner: Any,
        copy: tuple[str, Any],
        cause: Cause,
    ) -> None:
        place = SEP.join((project_id, name, copy[0]))
        before: Violation | None = self._violations.get(place)
        violated = owner is not None and copy[1] not in (None, "") and copy[1] != owner
        after = None
        if violated:
            after = Violation(before.since if before else self._context.now, str(owner), str(copy[1]))
        if before == after:
            return
        if after is None:
            self._violations.delete(place)
        else:
            self._violations.put(place, after)
        shown = after or before
        assert shown is not None  # they differ
        entity = Entity("project", project_id, project_id, place=name)
        message = (
            f"{name} of project {project_id} is {shown.copy!r} in {copy[0]}, but {shown.owner!r} in {owner_system}, "
            f"which owns it: correct it in {copy[0]}"
        )
        evidence = {"field": name, "owner": owner_system, owner_system: shown.owner, copy[0]: shown.copy}
        self._tell("ownership_violation", entity, (name,), message, (shown.since, after is not None), cause, evidence)


def _said(row: Any, name: str) -> Any:
    return None if row is None else getattr(row, name)

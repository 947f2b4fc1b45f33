"""The deployer: connectors as their files say, no more changed than differs.

It owns the order: all files are read, all are validated by Connect itself, their topics are looked for, then what
differs is changed, and each connector is waited for until it runs. It changes nothing of a connector that is as it
should be, and restarts nothing. Connectors that no file names are left alone.
"""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple

from connect.configuration import Configuration
from connect.differences import Difference, differences
from connect.freshness import Unknown
from connect.masking import refuse_plain_secrets
from connect.needed import topics_needed
from connect.rest import ConnectRest, Patience, Standing

SETTLED_SECONDS: Final = 2.0
"""A connector counts as running once it was seen so for this long: right after a change, it is still the one before."""

AT_REST: Final = ("PAUSED", "STOPPED")
"""States that somebody wanted; a change of settings leaves them as they are."""

_OTHERS_KEYS: Final = (
    "admin.override.", "consumer.override.", "database.", "driver.", "header.converter.", "hibernate.", "internal.",
    "key.converter.", "predicates.", "producer.override.", "topic.creation.", "transforms.", "value.converter.",
)  # fmt: skip
"""How keys begin that Connect hands on as they are, and does not list."""

_UNLISTED_KEYS: Final = frozenset(
    {"event.converting.failure.handling.mode", "field.name.adjustment.mode", "offset.mismatch.strategy"}
)
"""Settings that Debezium goes by and does not list."""

Absent = Callable[[Sequence[str]], Sequence[str]]
"""Topics to those of them that are not there. Raises `connect.freshness.Unknown`."""

Say = Callable[[str], None]
"""Takes one line for whoever reads along."""


class Plan(NamedTuple):
    """What is to be done for one connector: `made` if it is not there yet; else the settings that differ."""

    configuration: Configuration
    made: bool
    differing: tuple[Difference, ...]

    @property
    def changes(self) -> bool:
        """Whether anything is to be done."""
        return self.made or bool(self.differing)


class Deployer:
    """Brings connectors about on one Connect."""

    def __init__(
        self, connect: ConnectRest, say: Say, patience: Patience | None = None, absent: Absent = lambda _: ()
    ) -> None:
        """`patience`: how long a connector is waited for until it runs. `absent`: who knows which topics there are."""
        self._connect = connect
        self._absent = absent
        self._say = say
        self._patience = patience or Patience()

    def apply(self, configurations: Iterable[Configuration], *, dry_run: bool) -> bool:
        """Bring connectors about, and return whether all is as it should be; with `dry_run`, only say what differs.

        Raises:
            UnusableConfiguration: A file has a secret written out.
            ConnectError: Connect does not answer, or refuses.
        """
        connectors = [one for one in configurations if not self._skipped(one)]
        for one in connectors:
            refuse_plain_secrets(one)
        if not self._all_valid(connectors):
            return False
        whole = self._all_there(connectors)
        if not whole and not dry_run:
            self._say(
                "nothing was changed: `throughline topics apply` makes those of feeds and mappings; correct other names"
            )
            return False
        plans = [self.plan(one) for one in connectors]
        for plan in plans:
            self._tell(plan, dry_run=dry_run)
        if dry_run:
            return whole and not any(plan.changes for plan in plans)
        for plan in plans:
            if plan.changes:
                self._connect.put(plan.configuration.name, plan.configuration.config)
        # All are started before one is waited for. What no change was made to is only looked at.
        ran = [self.wait(plan.configuration.name, settle=plan.changes) for plan in plans]
        return all(ran)

    def plan(self, configuration: Configuration) -> Plan:
        """Return what is to be done for one connector. Raises `ConnectError`."""
        running = self._connect.config(configuration.name)
        if running is None:
            return Plan(configuration, True, tuple(differences(configuration.config, {})))
        return Plan(configuration, False, tuple(differences(configuration.config, running)))

    def wait(self, name: str, *, settle: bool = True, resumed: bool = False) -> bool:
        """Wait until a connector and its tasks run, and say how it went; return whether they do.

        `settle`: it was changed, and is believed only once it was seen so for a while. `resumed`: it was paused or
        stopped until now. Raises `ConnectError`.
        """
        now, began = self._patience.now, self._patience.now()
        since: float | None = None
        while True:
            standing, moment = self._connect.standing(name), now()
            runs = standing is not None and standing.runs
            since = (moment if since is None else since) if runs else None
            if since is not None and (not settle or moment - since >= SETTLED_SECONDS):
                self._say(f"{name}: running")
                return True
            # Until a change has come through, what is seen may be the failure that the change mends.
            settled = not settle or moment - began >= SETTLED_SECONDS
            ended = standing is not None and (
                (standing.state in AT_REST and not resumed) or (bool(standing.failures) and settled)
            )
            if ended or moment - began >= self._patience.wait_s:
                self._tell_why(name, standing, moment - began)
                return False
            self._patience.pause(self._patience.pause_s)

    def wait_at_rest(self, name: str, state: str) -> bool:
        """Wait until a connector and its tasks are in a state of `AT_REST`, and say so; return whether they are.

        Raises `ConnectError`.
        """
        began = self._patience.now()
        while True:
            standing = self._connect.standing(name)
            if standing is not None and {standing.state, *(task.state for task in standing.tasks)} == {state}:
                self._say(f"{name}: {state.lower()}")
                return True
            waited_s = self._patience.now() - began
            if waited_s >= self._patience.wait_s:
                self._tell_why(name, standing, waited_s)
                return False
            self._patience.pause(self._patience.pause_s)

    def _skipped(self, configuration: Configuration) -> bool:
        name = configuration.name
        if configuration.is_feed:
            self._say(f"{name}: a feed, which Connect does not run: `throughline feed {name}` does; skipped")
        return configuration.is_feed

    def _all_valid(self, connectors: Sequence[Configuration]) -> bool:
        valid = True
        for one in connectors:
            checked = self._connect.check(one.name, one.config)
            for fault in checked.faults:
                valid = False
                self._say(f"{one.name}: {fault.key}: {'; '.join(fault.messages)}")
            self._tell_unknown(one, checked.keys)
        if not valid:
            self._say("nothing was changed: correct these settings, or what they name")
        return valid

    def _tell_unknown(self, one: Configuration, keys: frozenset[str]) -> None:
        """Say which settings nobody lists: a setting whose name is misspelled does nothing."""
        for key in sorted(one.config.keys() - keys - _UNLISTED_KEYS):
            if not key.startswith(_OTHERS_KEYS):
                close = get_close_matches(key, keys, 1)
                meant = f"; is {close[0]} meant?" if close else ""
                self._say(f"{one.name}: {key}: neither Connect nor the connector lists such a setting{meant}")

    def _all_there(self, connectors: Iterable[Configuration]) -> bool:
        """Whether all topics are there; without one a connector runs, and its records go nowhere."""
        needed = {one.name: topics_needed(one) for one in connectors}
        asked = [*dict.fromkeys(topic for topics in needed.values() for topic in topics)]
        try:
            absent = frozenset(self._absent(asked) if asked else ())
        except Unknown as error:
            self._say(f"not known whether all topics are there: {error}")
            return True
        for name, topics in needed.items():
            if missing := [topic for topic in topics if topic in absent]:
                self._say(f"{name}: these of its topics are not there: {', '.join(missing)}")
        return not absent

    def _tell(self, plan: Plan, *, dry_run: bool) -> None:
        name = plan.configuration.name
        if not plan.changes:
            self._say(f"{name}: as it should be")
            return
        verb = "would be" if dry_run else "is"
        count = len(plan.differing)
        self._say(f"{name}: {verb} {'made' if plan.made else 'changed'}, {count} setting{'s' * (count != 1)}")
        for difference in plan.differing if dry_run or not plan.made else ():
            self._say(f"  {difference}")

    def _tell_why(self, name: str, standing: Standing | None, waited_s: float) -> None:
        if standing is None:
            self._say(f"{name}: Connect knows nothing of it after {waited_s:.0f} s")
        elif standing.state in AT_REST:
            self._say(f"{name}: {standing.state.lower()}; `throughline connect resume {name}` has it run")
        elif standing.failures:
            for failure in standing.failures:
                self._say(f"{name}: {failure}")
            if standing.restart_mends:
                self._say(f"{name}: mend the cause, then `throughline connect restart {name}`")
        else:
            tasks = ", ".join(task.state for task in standing.tasks) or "no task"
            self._say(f"{name}: does not run after {waited_s:.0f} s: {standing.state}, {tasks}")

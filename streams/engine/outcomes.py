"""What the public records that need somebody's eye say to Prometheus: how many, of which kind."""

from collections import Counter as Tally
from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from streams.domain.policy import LIMITS
from streams.rules.exceptions import OWNERS
from streams.sinks.contract import FINAL
from streams.step import Output
from streams.topics import ALERTS, DEAD_LETTERS, EXCEPTIONS, RECEIPTS

Labels = tuple[str, ...]


def _field(*names: str) -> Callable[[Output], Labels]:
    def labels(output: Output) -> Labels:
        value: Any = output.value if isinstance(output.value, dict) else {}
        return tuple(str(value.get(name) or "unknown") for name in names)

    return labels


def _reason(output: Output) -> Labels:
    headers = dict(output.headers)
    return (headers.get("__connect.errors.exception.class.name", b"unknown").decode(errors="replace"),)


_COUNTED: dict[str, tuple[str, str, Labels, Callable[[Output], Labels]]] = {
    EXCEPTIONS: ("exceptions", "Exceptions told, by kind and state.", ("kind", "state"), _field("kind", "state")),
    ALERTS: ("alerts", "Alerts told, by kind and state.", ("kind", "state"), _field("kind", "state")),
    RECEIPTS: ("receipts", "Final answers of ERPs.", ("system", "status"), _field("system", "status")),
    DEAD_LETTERS: ("dead_letters", "Records that cannot be read, by error.", ("error",), _reason),
}


_STATES = ("open", "resolved")


class Outcomes:
    """Counts public records by what they say."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counters = {
            topic: Counter(f"throughline_{name}_total", told, labels, registry=registry)
            for topic, (name, told, labels, _) in _COUNTED.items()
        }
        # From zero, so that Prometheus sees the first one as an increase.
        for topic, kinds, states in ((EXCEPTIONS, OWNERS, _STATES), (ALERTS, LIMITS, (*_STATES, "updated"))):
            for kind in kinds:
                for state in states:
                    self._counters[topic].labels(kind, state)

    def expect_system(self, system: str) -> None:
        """Begin the receipts of an ERP at zero."""
        for status in FINAL:
            self._counters[RECEIPTS].labels(system, status.value)

    def count(self, outputs: Sequence[Output]) -> None:
        """Count committed outputs."""
        tally: Tally[tuple[str, Labels]] = Tally()
        for output in outputs:
            counted = _COUNTED.get(output.topic)
            if counted is not None:
                tally[output.topic, counted[3](output)] += 1
        for (topic, labels), number in tally.items():
            self._counters[topic].labels(*labels).inc(number)

"""What the public records that need somebody's eye say to Prometheus: how many, of which kind."""

import logging
from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from streams.domain.policy import LIMITS
from streams.domain.posting import FINAL
from streams.rules.activation import STEPS
from streams.rules.exceptions import OWNERS
from streams.step import Output
from streams.topics import ACTIVATION_EVENTS, ALERTS, DEAD_LETTERS, EXCEPTIONS, RECEIPTS

log = logging.getLogger("throughline.worker")

Labels = tuple[str, ...]

_SAID_MAX = 500


def _field(*names: str) -> Callable[[Output], Labels]:
    def labels(output: Output) -> Labels:
        value: Any = output.value if isinstance(output.value, dict) else {}
        return tuple(str(value.get(name) or "unknown") for name in names)

    return labels


def _is_counted(output: Output) -> bool:
    """Tell whether an output is an outcome: of receipts the final ones are."""
    return output.topic != RECEIPTS or output.value["status"] in FINAL


def _reason(output: Output) -> Labels:
    return (_said(output, "exception.class.name"),)


def _said(output: Output, name: str) -> str:
    """Return what the newest of a dead letter's headers of a name says; those before are of who had it before."""
    return dict(output.headers).get(f"__connect.errors.{name}", b"unknown").decode(errors="replace")


_COUNTED: dict[str, tuple[str, str, Labels, Callable[[Output], Labels]]] = {
    EXCEPTIONS: ("exceptions", "Exceptions told, by kind and state.", ("kind", "state"), _field("kind", "state")),
    ALERTS: ("alerts", "Alerts told, by kind and state.", ("kind", "state"), _field("kind", "state")),
    RECEIPTS: ("receipts", "Final answers of ERPs.", ("system", "status"), _field("system", "status")),
    DEAD_LETTERS: ("dead_letters", "Records that cannot be read, by error.", ("error",), _reason),
}


_STATES = ("open", "resolved")
_HOUR = 3_600.0
_ACTIVATION_SECONDS = (
    60.0, 300.0, 900.0, _HOUR, 4 * _HOUR, 12 * _HOUR, 24 * _HOUR, 48 * _HOUR, 168 * _HOUR, 720 * _HOUR
)  # fmt: skip


class Outcomes:
    """Counts public records by what they say; the log has the first dead letter of each topic and error."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._logged: set[tuple[str, str]] = set()
        self._counters = {
            topic: Counter(f"throughline_{name}_total", told, labels, registry=registry)
            for topic, (name, told, labels, _) in _COUNTED.items()
        }
        self._activated = Histogram(
            "throughline_activation_seconds", "From a deal's being won, as it was told here, to its being set up.",
            registry=registry, buckets=_ACTIVATION_SECONDS,
        )  # fmt: skip
        self._stepped = Histogram(
            "throughline_activation_step_seconds", "How long a step of an activation took.", ["step"],
            registry=registry, buckets=_ACTIVATION_SECONDS,
        )  # fmt: skip
        for step in STEPS:
            self._stepped.labels(step)
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
            if counted is not None and _is_counted(output):
                tally[output.topic, counted[3](output)] += 1
            if output.topic == DEAD_LETTERS:
                self._log_first(output)
            elif output.topic == ACTIVATION_EVENTS:
                self._observe(output.value)
        for (topic, labels), number in tally.items():
            self._counters[topic].labels(*labels).inc(number)

    def _observe(self, event: Mapping[str, Any]) -> None:
        elapsed_ms = event["results"].get("elapsed_ms")
        if elapsed_ms is not None:
            seen = self._activated if event["state"] == "completed" else self._stepped.labels(event["step"])
            seen.observe(int(elapsed_ms) / 1000)

    def _log_first(self, output: Output) -> None:
        topic, error = (_said(output, name) for name in ("topic", "exception.class.name"))
        if (topic, error) not in self._logged:
            self._logged.add((topic, error))
            place = f"partition {_said(output, 'partition')}, offset {_said(output, 'offset')}"
            message = _said(output, "exception.message")[:_SAID_MAX]
            log.warning(
                "a record of %s (%s) is a dead letter: %s: %s; further ones of this kind are counted, and not logged",
                topic, place, error, message,
            )  # fmt: skip

"""A start under changed mappings or ownership: what was parked is retried, what was opened is looked at again."""

from dataclasses import replace
from typing import Any

from schemas.codec import Codec
from schemas.mapping import FieldPlace, FieldSpec, Mappings, Ownership, Vocabulary
from schemas.registry import Manifest
from streams.domain.calendar import HOUR_MS
from streams.intake.ownership import never_checked
from streams.intake.reading import Reader
from streams.replay import run
from streams.simulator import Simulator
from streams.topology import Rulebook, topology
from tests.support.feed import Feed, firm
from tests.support.streams import Collected, record_of, rulebook

ENTRIES = "psa.public.time_entries"
RESOURCES = "psa.public.resources"
Json = dict[str, Any]


class Starts:
    """A firm's records taken in by one start after another, each with mappings and ownership of its own."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._taken = 0
        self._simulator: Simulator | None = None

    def start(self, mappings: Mappings, ownership: Ownership | None = None) -> Collected:
        """Start, take in what the feed has got since, and return what is derived from it."""
        book = Rulebook(mappings, ownership or rulebook().ownership, rulebook().policy)
        reader, collected = Reader(mappings, Codec(Manifest()).decode), Collected()
        steps = topology(book, reader)
        if self._simulator is None:
            self._simulator = Simulator(steps, collected)
        else:
            self._simulator.flush()
            stores, now = iter([seat.store for seat in self._simulator.seats]), self._simulator.now
            self._simulator = Simulator(steps, collected, store=lambda: next(stores))
            self._simulator.now = now + HOUR_MS
        fresh = self._feed.records[self._taken :]
        run([record_of(content, offset) for offset, content in enumerate(fresh)], self._simulator, reader, None)
        self._taken = len(self._feed.records)
        return collected


def _without(*topics: str) -> Mappings:
    shipped = rulebook().mappings
    kept = {name: mapping for name, mapping in shipped.topics.items() if name not in topics}
    return replace(shipped, topics=kept, fingerprint=f"without {topics}")


def _with_word(word: str, canonical: str) -> Mappings:
    shipped = rulebook().mappings

    def taught(spec: FieldSpec) -> FieldSpec:
        if spec.vocabulary is None or spec.vocabulary.name != "entry":
            return spec
        return replace(spec, vocabulary=Vocabulary("entry", {**spec.vocabulary.values, word: canonical}))

    entries = shipped.topics[ENTRIES]
    topics = {**shipped.topics, ENTRIES: replace(entries, fields=tuple(map(taught, entries.fields)))}
    return replace(shipped, topics=topics, fingerprint=f"with {word}")


def _states(collected: Collected, kind: str) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    for told in collected.of("exceptions"):
        if told["kind"] == kind:
            found.setdefault(told["exception_id"], []).append((told["state"], told["attempts"]))
    return found


def _billed(collected: Collected) -> dict[str, str]:
    return {trigger["source_id"]: trigger["amount"] for trigger in collected.of("billing.triggers")}


def test_every_row_of_a_topic_without_mapping_is_parked_and_released_by_its_mapping() -> None:
    feed = firm().at("2026-02-04T09:00:00Z")
    feed.entry("T1")
    feed.entry("T2", hours="2")
    feed.entry("T2", hours="3")
    feed.put(RESOURCES, id="R2")
    starts = Starts(feed)
    parked = starts.start(_without(ENTRIES, RESOURCES))
    ids = {
        f"unmapped_value:{RESOURCES}:R1": 1,
        f"unmapped_value:P1:{ENTRIES}:T1": 1,
        f"unmapped_value:P1:{ENTRIES}:T2": 2,
        f"unmapped_value:{RESOURCES}:R2": 1,
    }
    opened = {name: [("open", attempt + 1) for attempt in range(attempts)] for name, attempts in ids.items()}
    assert _states(parked, "unmapped_value") == opened
    assert _billed(parked) == {}
    feed.entry("T9", hours="1")
    released = starts.start(rulebook().mappings)
    resolved = {name: [("resolved", attempts + 1)] for name, attempts in ids.items()}
    assert _states(released, "unmapped_value") == resolved
    assert _billed(released) == {"T1": "800.00", "T2": "300.00", "T9": "100.00"}
    feed.entry("T9", hours="2")
    assert _states(starts.start(_without("hr.Worker")), "unmapped_value") == {}


def test_a_row_without_mapping_that_its_mapping_refuses_is_told_as_that_row() -> None:
    feed = firm().at("2026-02-04T09:00:00Z")
    feed.entry("T1", hours="-1")
    starts = Starts(feed)
    starts.start(_without(ENTRIES))
    feed.entry("T9")
    released = starts.start(rulebook().mappings)
    assert _states(released, "unmapped_value") == {f"unmapped_value:P1:{ENTRIES}:T1": [("resolved", 2)]}
    assert _states(released, "validation_failed") == {"validation_failed:P1:time_entry:T1": [("open", 1)]}


def test_a_value_that_its_mapping_learns_is_released_once() -> None:
    feed = firm().at("2026-02-04T09:00:00Z")
    feed.entry("T1", status="Signed")
    starts = Starts(feed)
    assert _billed(starts.start(rulebook().mappings)) == {}
    feed.entry("T9", hours="1")
    learned = starts.start(_with_word("Signed", "approved"))
    assert _states(learned, "unmapped_value") == {"unmapped_value:P1:time_entry:T1": [("resolved", 2)]}
    assert _billed(learned) == {"T1": "800.00", "T9": "100.00"}
    feed.records.extend(feed.records)
    assert starts.start(rulebook().mappings).records == []


def test_what_is_still_refused_says_what_is_left() -> None:
    feed = firm().at("2026-02-04T09:00:00Z")
    feed.entry("T1", status="Signed", hours="-1")
    feed.entry("T2", status="Unsigned")
    starts = Starts(feed)
    starts.start(rulebook().mappings)
    feed.entry("T9")
    told = starts.start(_with_word("Signed", "approved")).of("exceptions")
    assert [(e["exception_id"], e["state"], e["reasons"], e["attempts"]) for e in told] == [
        ("validation_failed:P1:time_entry:T1", "open", ["hours: -1 is negative"], 2)
    ]


def test_a_violation_of_what_is_checked_no_more_closes() -> None:
    feed = firm()
    feed.put("erp.Project", ProjectId="P1", LegalEntity="LE1", CostCenter="CC1")
    feed.project(legal_entity="LE2", cost_center="CC2")
    starts = Starts(feed)
    opened = starts.start(rulebook().mappings)
    ids = [f"ownership_violation:{name}:project:P1" for name in ("legal_entity", "cost_center")]
    assert _states(opened, "ownership_violation") == {name: [("open", 1)] for name in ids}
    shipped = rulebook().ownership
    fields = {**shipped.fields, "project.cost_center": replace(shipped.fields["project.cost_center"], copies=())}
    feed.put("crm.Account", Id="A2")
    closed = starts.start(rulebook().mappings, replace(shipped, fields=fields, fingerprint="another"))
    assert _states(closed, "ownership_violation") == {ids[1]: [("resolved", 1)]}
    [told] = closed.of("exceptions")
    assert told["message"] == "cost_center of project P1 in psa is checked no more"


def test_copies_that_nothing_compares_are_named() -> None:
    shipped = rulebook().ownership
    assert never_checked(shipped) == []
    name = shipped.fields["client.name"]
    copied = replace(name, copies=(FieldPlace("psa", "psa.public.clients", "name"),), where="ownership.yaml:7")
    assert never_checked(replace(shipped, fields={"client.name": copied})) == [
        "ownership.yaml:7: client.name: copies of erp.Project, psa.public.projects are compared, no others"
    ]

"""The watch over connectors: figures of what could be learnt, none of what could not, and each trouble said once."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from connect.configuration import Configuration
from connect.freshness import Freshness, Unknown
from connect.rest import ConnectError, Standing, Task
from connect.restarts import Restarts
from connect.watch import Outside, Restart, Watch
from connect.watch_metrics import WatchMetrics, state_of
from tests.support.metrics import series

PSA = Configuration(name="psa", config={"connector.class": "org.example.Source", "topic.prefix": "delivery"})
FEED = Configuration(name="hr", config={"connector.class": "throughline.workday"})
SINK = Configuration(name="analytics", config={"connector.class": "org.example.Sink", "topics": "a"})
RUNS = Standing("RUNNING", "", (Task(0, "RUNNING", ""),))
FAILED = Standing("RUNNING", "", (Task(0, "FAILED", "java.net.ConnectException: refused\n\tat x"),))
NOW = 1_800_000_000_000


class World:
    """What the watch sees, in the test's hand."""

    def __init__(self) -> None:
        self.running: dict[str, Standing] | str = {"psa": RUNS, "stray": RUNS}
        self.fresh: dict[str, Freshness | str] = {}
        self.said: list[str] = []
        self.waits = 0
        self.now = NOW
        self.restarted: list[str] = []
        self.refuses = ""
        self.files = {"psa": PSA, "hr": FEED, "analytics": SINK}
        self.watch = self.watched(self.restart)

    def watched(self, restart: Restart | None) -> Watch:
        outside = Outside(self.ask, restart, [self], lambda: self.now, self.wait, self.said.append, lambda: 1.0)
        self.registry = CollectorRegistry()
        return Watch(self.files, WatchMetrics(self.registry), outside)

    def restart(self, name: str) -> None:
        self.restarted.append(name)
        if self.refuses:
            raise ConnectError(self.refuses)

    def look_after(self, seconds: float) -> list[str]:
        """Look after some seconds, and return what was restarted."""
        self.now += round(seconds * 1000)
        before = len(self.restarted)
        self.watch.look()
        return self.restarted[before:]

    def ask(self) -> Mapping[str, Standing]:
        if isinstance(self.running, str):
            raise ConnectError(self.running)
        return self.running

    def look(self, configuration: Configuration) -> Freshness:
        found = self.fresh.get(configuration.name, Freshness())
        if isinstance(found, str):
            raise Unknown(found)
        return found

    def wait(self, seconds: float) -> bool:
        assert seconds == 5.0
        self.waits += 1
        return self.waits == 3

    def told(self, name: str) -> dict[tuple[str, ...], float]:
        return series(self.registry, f"throughline_feed_{name}")

    def states(self, name: str) -> set[tuple[str, ...]]:
        return {labels for labels, value in self.told(name).items() if value == 1}


def test_what_is_known_of_each_feed_is_told_by_the_name_it_is_heard_under() -> None:
    world = World()
    world.fresh["psa"] = Freshness(NOW - 1_500, 2_048, "on request", "extended", 10, True, 7, 2)
    world.fresh["hr"] = Freshness(NOW + 9_000)
    world.fresh["analytics"] = Freshness(behind_records=3, oldest_ms=NOW - 2_500)
    world.watch.look()
    assert world.told("topics_age_seconds") == {("delivery",): 1.5, ("hr",): 0.0}
    assert world.told("slot_lag_bytes") == {("delivery",): 2_048}
    assert world.told("slot_left_bytes") == {("delivery",): 10}
    assert world.told("snapshot_rows") == {("delivery",): 7}
    assert world.told("snapshot_left_tables") == {("delivery",): 2}
    assert world.told("sink_lag_records") == {("analytics",): 3}
    assert world.told("sink_oldest_age_seconds") == {("analytics",): 2.5}
    assert world.states("slot_state") == {("delivery", "extended")}
    assert world.states("connector_state") == {("delivery", "running"), ("analytics", "missing")}
    assert world.told("slot_state")["delivery", "lost"] == 0
    assert world.told("watch_unknown") == {("connect",): 0, ("freshness",): 0}
    assert world.told("watch_timestamp_seconds") == {(): NOW / 1000}
    assert world.said == []


def test_a_sink_that_has_taken_all_is_behind_by_nothing_and_one_that_cannot_be_asked_has_no_figure() -> None:
    world = World()
    world.fresh["analytics"] = Freshness(behind_records=0)
    world.watch.look()
    assert world.told("sink_lag_records") == world.told("sink_oldest_age_seconds") == {("analytics",): 0}
    world.fresh["analytics"] = "brokers: no answer"
    world.watch.look()
    assert world.told("sink_lag_records") == world.told("sink_oldest_age_seconds") == {}


def test_what_cannot_be_learnt_has_no_figure_and_is_said_when_it_begins_and_when_it_ends() -> None:
    world = World()
    world.fresh["psa"] = Freshness(NOW, 2_048, slot_state="reserved")
    world.watch.look()
    world.running, world.fresh["psa"] = "Connect does not answer", "psa: its database: refused"
    world.watch.look()
    world.watch.look()
    for name in ("connector_state", "slot_lag_bytes", "slot_state", "topics_age_seconds"):
        assert world.told(name) == {}
    assert world.told("watch_unknown") == {("connect",): 1, ("freshness",): 1}
    assert world.said == ["not known: Connect does not answer", "not known: psa: its database: refused"]
    world.running = {}
    world.watch.look()
    world.watch.look()
    assert world.states("connector_state") == {("delivery", "missing"), ("analytics", "missing")}
    assert world.said[2:] == ["known again: how connectors are"]
    world.running, world.fresh["hr"] = "Connect does not answer", "brokers: no answer"
    world.watch.look()
    del world.fresh["psa"]
    world.watch.look()
    assert world.said[3:] == ["not known: Connect does not answer", "not known: brokers: no answer"]
    del world.fresh["hr"]
    world.watch.look()
    assert world.said[5:] == ["known again: how fresh all of them are"]


def test_it_looks_until_it_is_to_end() -> None:
    world = World()
    world.watch.run(5.0)
    assert world.waits == 3


def test_a_connector_is_as_well_as_its_worst_task() -> None:
    def standing(state: str, *tasks: str) -> Standing:
        return Standing(state, "", tuple(Task(number, each, "") for number, each in enumerate(tasks)))

    assert {
        "none": state_of(None),
        "well": state_of(standing("RUNNING", "RUNNING", "RUNNING")),
        "a task failed": state_of(standing("RUNNING", "RUNNING", "FAILED")),
        "itself failed": state_of(standing("FAILED", "RUNNING")),
        "without tasks": state_of(standing("RUNNING")),
        "a task waits": state_of(standing("RUNNING", "RUNNING", "UNASSIGNED")),
        "paused": state_of(standing("PAUSED", "PAUSED")),
        "paused and failed": state_of(standing("PAUSED", "PAUSED", "FAILED")),
    } == {
        "none": "missing", "well": "running", "a task failed": "failed", "itself failed": "failed",
        "without tasks": "unassigned", "a task waits": "unassigned", "paused": "paused", "paused and failed": "failed",
    }  # fmt: skip


def test_what_has_failed_is_restarted_later_and_later_and_counted() -> None:
    world = World()
    world.running = {"psa": FAILED, "stray": FAILED, "analytics": RUNS}
    assert world.look_after(0) == []
    assert world.told("connector_restarts_total") == {("delivery",): 0, ("analytics",): 0}
    assert world.look_after(9.9) == []
    assert world.look_after(0.1) == ["psa"]
    assert world.said == ["psa: restarted, as task 0 failed: java.net.ConnectException: refused"]
    waits = [20, 40, 80, 160, 320, 600, 600]
    for wait in waits:
        assert world.look_after(wait - 0.1) == []
        assert world.look_after(0.1) == ["psa"]
    assert world.told("connector_restarts_total") == {("delivery",): 1 + len(waits), ("analytics",): 0}


def test_after_ten_minutes_of_running_a_failure_is_restarted_as_soon_as_the_first() -> None:
    world = World()
    world.running = {"psa": FAILED}
    assert [world.look_after(seconds) for seconds in (0, 10, 20)] == [[], ["psa"], ["psa"]]
    world.running = {"psa": RUNS}
    assert world.look_after(599) == []
    world.running = {"psa": FAILED}
    assert world.look_after(0) == ["psa"]  # it is long due, and the next one waits for longer
    assert [world.look_after(79), world.look_after(1)] == [[], ["psa"]]
    world.running = {"psa": RUNS}
    assert world.look_after(600) == []
    world.running = {"psa": FAILED}
    assert [world.look_after(0), world.look_after(10)] == [[], ["psa"]]


def test_what_somebody_paused_or_stopped_is_left_alone_and_all_is_where_nothing_is_to_be_restarted() -> None:
    world = World()
    world.running = {"psa": FAILED._replace(state="PAUSED"), "analytics": FAILED._replace(state="STOPPED")}
    assert [world.look_after(0), world.look_after(10_000)] == [[], []]
    world.watch = world.watched(None)
    world.running = {"psa": FAILED}
    assert [world.look_after(0), world.look_after(10_000)] == [[], []]
    assert world.said == []


def test_a_restart_that_connect_refuses_is_said_and_tried_again() -> None:
    world = World()
    world.running, world.refuses = {"psa": FAILED}, "Connect at http://c: HTTP 500"
    assert [world.look_after(seconds) for seconds in (0, 10, 20)] == [[], ["psa"], ["psa"]]
    told = "psa: restarted, as task 0 failed: java.net.ConnectException: refused"
    refused = "not known: whether psa is restarted: Connect at http://c: HTTP 500"
    assert world.said == [told, refused, told]


def test_restarts_of_several_do_not_come_at_one_time() -> None:
    chances = iter((0.0, 1.0, 0.5, 0.5))
    restarts = Restarts(lambda: next(chances))
    failed = {"psa": FAILED, "hr": FAILED}
    due = [restarts.due(failed, NOW + ms) for ms in (0, 4_999, 5_000, 9_999, 10_000)]
    assert due == [[], [], ["psa"], [], ["hr"]]

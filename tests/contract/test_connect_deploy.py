"""The deployer against a simulated Connect: what it asks for, what it says, what it leaves alone."""

import socket
from collections.abc import Iterator, Sequence

import pytest

from connect.configuration import Configuration, UnusableConfiguration
from connect.deploy import SETTLED_SECONDS, Deployer
from connect.rest import ConnectRest, Missing, NoAnswer, Patience, Refused
from tests.support.connect import CONFIG, Clock, SimulatedConnect, connector, simulated_connect

VALIDATE = "PUT /connector-plugins/org.example.Source/config/validate"
PUT = "PUT /connectors/psa/config"
TRACE = (
    "org.apache.kafka.connect.errors.ConnectException: Unrecoverable\n\tat a.b(C.java:1)\n"
    "Caused by: org.postgresql.util.PSQLException: role does not exist\n\tat d.e(F.java:2)\n"
)
CONFLICT = "Cannot complete request momentarily due to stale configuration"


class Desk:
    """A deployer, what it says, the Connect it works on, and the topics that are not there."""

    def __init__(self, connect: SimulatedConnect) -> None:
        self.connect, self.clock = connect, Clock()
        self.said: list[str] = []
        self.missing: set[str] = set()
        self.rest = ConnectRest(connect.url, self.clock.patience())
        self.deployer = Deployer(self.rest, self.said.append, self.clock.patience(), self._absent)

    def _absent(self, topics: Sequence[str]) -> list[str]:
        return [topic for topic in topics if topic in self.missing]

    def apply(self, *configurations: Configuration, dry_run: bool = False) -> bool:
        self.said.clear()
        return self.deployer.apply(configurations, dry_run=dry_run)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with simulated_connect() as connect:
        made = Desk(connect)
        with made.rest:
            yield made


def test_a_connector_is_validated_made_and_waited_for(desk: Desk) -> None:
    assert desk.apply(connector())
    assert desk.said == ["psa: is made, 3 settings", "psa: running"]
    assert desk.connect.changes() == [VALIDATE, PUT]
    assert desk.rest.config("psa") == CONFIG | {"name": "psa"}
    assert desk.clock.now_s >= SETTLED_SECONDS


def test_what_is_as_it_should_be_is_left_alone(desk: Desk) -> None:
    desk.apply(connector())
    before, at = len(desk.connect.changes()), desk.clock.now_s
    assert desk.apply(connector())
    assert desk.said == ["psa: as it should be", "psa: running"]
    # The first time it was asked, the rebalance after it was made went on.
    assert [*dict.fromkeys(desk.connect.changes()[before:])] == [VALIDATE]
    assert desk.clock.now_s - at < SETTLED_SECONDS


def test_what_differs_is_said_and_changed(desk: Desk) -> None:
    desk.apply(connector(slot_name="one", old_size="1"))
    assert desk.apply(connector(slot_name="two", new_size="1"))
    assert desk.said == [
        "psa: is changed, 3 settings",
        "  + new.size = 1",
        "  - old.size = 1",
        "  ~ slot.name = one → two",
        "psa: running",
    ]
    assert desk.rest.config("psa") == CONFIG | {"name": "psa", "slot.name": "two", "new.size": "1"}


def test_a_dry_run_says_what_differs_and_changes_nothing(desk: Desk) -> None:
    assert not desk.apply(connector(), dry_run=True)
    assert desk.said == [
        "psa: would be made, 3 settings",
        "  + connector.class = org.example.Source",
        "  + database.password = ${env:PASSWORD}",
        "  + tasks.max = 1",
    ]
    assert desk.rest.config("psa") is None
    desk.apply(connector())
    assert desk.apply(connector(), dry_run=True)
    assert not desk.apply(connector(tasks_max="2"), dry_run=True)
    assert desk.said == ["psa: would be changed, 1 setting", "  ~ tasks.max = 1 → 2"]
    assert desk.connect.changes().count(PUT) == 1


def test_faults_that_connect_finds_are_said_and_nothing_is_changed(desk: Desk) -> None:
    desk.connect.order(
        faults={"database.password": ["Invalid value resolved-PASSWORD: too short"], "slot.name": ["is required", "x"]}
    )
    assert not desk.apply(connector(), connector("other"))
    assert desk.said == [
        "psa: database.password: Invalid value ${env:PASSWORD}: too short",
        "psa: slot.name: is required; x",
        "other: database.password: Invalid value ${env:PASSWORD}: too short",
        "other: slot.name: is required; x",
        "nothing was changed: correct these settings, or what they name",
    ]
    assert desk.connect.changes() == [VALIDATE, VALIDATE]


def test_a_variable_that_connects_worker_lacks_is_told_by_its_name(desk: Desk) -> None:
    lacks = "Connect's worker has no variable {}: set it where Connect is started, and start Connect anew"
    desk.connect.order(
        lacks=["PASSWORD", "HOST"],
        faults={"database.hostname": ["The value is invalid: ${env:HOST} has invalid format"]},
    )
    assert not desk.apply(connector(database_hostname="${env:HOST}", database_user="${env:USER}"))
    assert desk.said == [
        f"psa: database.hostname: {lacks.format('HOST')}",
        f"psa: database.password: {lacks.format('PASSWORD')}",
        "nothing was changed: correct these settings, or what they name",
    ]


def test_a_setting_that_nobody_lists_is_told_and_may_be_meant(desk: Desk) -> None:
    unlisted = {
        "poll.intervall.ms": "1",
        "event.converting.failure.handling.mode": "fail",
        "transforms.x.y": "1",
        "zzz": "1",
    }
    desk.connect.order(unlisted=[*unlisted])
    one = connector(poll_interval_ms="1")
    assert desk.apply(one.model_copy(update={"config": {**one.config, **unlisted}}))
    assert desk.said == [
        "psa: poll.intervall.ms: neither Connect nor the connector lists such a setting; is poll.interval.ms meant?",
        "psa: zzz: neither Connect nor the connector lists such a setting",
        "psa: is made, 8 settings",
        "psa: running",
    ]


def test_without_its_topics_a_connector_is_not_brought_about_and_a_dry_run_says_so_beside_what_differs(
    desk: Desk,
) -> None:
    desk.missing = {"psa.public.b", "__debezium-heartbeat.psa", "psa.public.of-nobody"}
    one = connector(topic_prefix="psa", table_include_list="public.a, public.b")
    absent = "psa: these of its topics are not there: psa.public.b, __debezium-heartbeat.psa"
    assert not desk.apply(one, connector("other"))
    assert desk.said == [
        absent,
        "nothing was changed: `throughline topics apply` makes those of feeds and mappings; correct other names",
    ]
    assert desk.rest.running() == {}
    assert not desk.apply(one, dry_run=True)
    assert desk.said[:2] == [absent, "psa: would be made, 5 settings"]
    desk.missing = set()
    assert desk.apply(one)


def test_what_only_reading_everything_again_mends_is_not_to_be_restarted(desk: Desk) -> None:
    desk.connect.order(
        ends={"psa": "io.debezium.DebeziumException: x, but this is no longer available on the server.\n"}
    )
    assert not desk.apply(connector())
    (said,) = desk.said[1:]
    assert "docs/connect.md#care-of-the-slot" in said


def test_a_class_that_connect_does_not_have_is_refused_in_its_words(desk: Desk) -> None:
    desk.connect.order(absent=["org.example.Source"])
    with pytest.raises(Refused, match=r"Failed to find any class that implements Connector .* org\.example\.Source"):
        desk.apply(connector())


def test_feeds_of_our_own_are_skipped_with_a_word(desk: Desk) -> None:
    assert desk.apply(connector("hr", connector_class="throughline.workday"), connector())
    assert desk.said[0] == "hr: a feed, which Connect does not run: `throughline feed hr` does; skipped"
    assert desk.rest.config("hr") is None


def test_a_secret_that_is_written_out_is_refused_before_connect_is_asked(desk: Desk) -> None:
    with pytest.raises(UnusableConfiguration) as refusal:
        desk.apply(connector(), connector("other", database_password="open-sesame"))
    assert "other: database.password has its secret written out" in str(refusal.value)
    assert "open-sesame" not in str(refusal.value)
    assert desk.connect.changes() == []


def test_a_rebalance_and_a_worker_that_starts_are_waited_out(desk: Desk) -> None:
    desk.connect.order(busy=3, starting=2)
    assert desk.apply(connector())
    assert desk.connect.changes() == [VALIDATE] * 6 + [PUT]


def test_a_rebalance_without_end_is_given_up(desk: Desk) -> None:
    desk.connect.order(busy=1_000_000)
    with pytest.raises(Refused, match=rf"{CONFLICT}.*still so after 60 s") as refusal:
        desk.apply(connector())
    assert refusal.value.status == 409
    assert desk.clock.now_s == 60


def test_a_task_that_fails_is_told_by_its_root_cause(desk: Desk) -> None:
    desk.connect.order(ends={"psa": TRACE})
    assert not desk.apply(connector())
    assert desk.said[1:] == [
        "psa: task 0 failed: org.postgresql.util.PSQLException: role does not exist",
        "psa: mend the cause, then `throughline connect restart psa`",
    ]


def test_one_that_fails_keeps_no_other_from_being_brought_about(desk: Desk) -> None:
    desk.connect.order(ends={"psa": TRACE})
    assert not desk.apply(connector(), connector("other"))
    assert desk.said[-1] == "other: running"


def test_a_change_that_mends_a_failure_is_not_judged_by_the_failure_before(desk: Desk) -> None:
    desk.connect.order(ends={"psa": TRACE})
    desk.apply(connector())
    assert desk.apply(connector(slot_name="two"))


def test_a_change_that_breaks_what_ran_is_not_judged_by_what_ran_before(desk: Desk) -> None:
    desk.apply(connector())
    desk.connect.order(ends={"psa": TRACE})
    assert not desk.apply(connector(slot_name="two"))


def test_a_restart_takes_tasks_along_and_may_spare_what_has_not_failed(desk: Desk) -> None:
    desk.connect.order(ends={"psa": TRACE})
    desk.apply(connector())
    desk.rest.restart("psa", failed_only=True)
    assert desk.deployer.wait("psa")
    desk.rest.restart("psa", failed_only=False)
    asked = [line for line in desk.connect.changes() if "restart" in line]
    assert {*asked} == {"POST /connectors/psa/restart?includeTasks&onlyFailed"}
    with pytest.raises(Missing, match="Connector nobody not found"):
        desk.rest.restart("nobody", failed_only=False)


def test_what_somebody_paused_or_stopped_stays_so_when_it_is_changed(desk: Desk) -> None:
    desk.apply(connector())
    desk.rest.turn("psa", "stop")
    assert desk.deployer.wait_at_rest("psa", "STOPPED")
    assert not desk.apply(connector(slot_name="two"))
    assert desk.said[-1] == "psa: stopped; `throughline connect resume psa` has it run"
    desk.rest.turn("psa", "resume")
    assert desk.deployer.wait("psa", resumed=True)
    desk.rest.turn("psa", "pause")
    assert desk.deployer.wait_at_rest("psa", "PAUSED")


def test_offsets_are_forgotten_only_by_what_is_stopped(desk: Desk) -> None:
    desk.apply(connector())
    assert desk.rest.offsets("psa") == [{"partition": {"server": "psa"}, "offset": {"lsn": 100}}]
    with pytest.raises(Refused, match="must be in the STOPPED state") as refusal:
        desk.rest.forget_offsets("psa")
    assert refusal.value.status == 400
    desk.rest.turn("psa", "stop")
    desk.rest.forget_offsets("psa")
    assert desk.rest.offsets("psa") == []


def test_a_connector_that_is_deleted_is_gone(desk: Desk) -> None:
    desk.apply(connector())
    desk.rest.delete("psa")
    assert desk.rest.running() == {}
    assert desk.rest.standing("psa") is None


def test_nobody_there_is_told_with_the_setting_and_without_a_password() -> None:
    with ConnectRest("http://ann:open-sesame@127.0.0.1:1", Patience(0)) as rest:
        with pytest.raises(NoAnswer, match="check the setting connect_url") as told:
            rest.running()
        assert "open-sesame" not in str(told.value)


def test_an_answer_is_waited_for_as_long_as_is_said_and_no_longer() -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{silent.getsockname()[1]}"
    told = pytest.raises(NoAnswer, match="no answer to GET /connectors in time")
    with silent, ConnectRest(url, Patience(0, answer_s=0.05)) as rest, told:
        rest.running()

"""The log of a worker that fails: its last line says why, with a traceback where that is no known failure."""

import asyncio
import logging

import pytest
from mode.worker import Worker

from streams.engine.repeats import REPEATED_SECONDS, Repeats
from streams.engine.transport.fetching import FetchError
from streams.engine.worker import needed

FAULT = FetchError("orders, partition 1: gone; bring it back")
DEFECT = ZeroDivisionError("division by zero")


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, bool]]:
    """What is told, and whether with a traceback."""
    return [
        (record.getMessage(), bool(record.exc_info and record.exc_info[1]))
        for record in caplog.records
        if needed(record)
    ]


def raised(error: Exception) -> Exception:
    """An error with the place where it was raised."""
    try:
        raise error
    except type(error) as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FAULT, (f"stopping: {FAULT}", False)),
        (DEFECT, (f"Crashed reason={DEFECT!r}", True)),
    ],
    ids=["known", "defect"],
)
def test_an_error_that_faust_reports_where_it_is_raised_or_later(
    caplog: pytest.LogCaptureFixture, error: Exception, line: tuple[str, bool]
) -> None:
    try:
        raise error
    except type(error):
        logging.getLogger("mode").exception("Crashed reason=%r", error)
    logging.getLogger("mode").exception("Crashed reason=%r", raised(error))
    assert told(caplog) == [line, line]


def test_a_line_without_an_error_and_an_error_without_a_traceback_are_told_as_they_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = logging.getLogger("throughline.worker")
    log.warning("restored")
    log.error("%s", FAULT)
    log.exception("nothing is raised")
    assert told(caplog) == [("restored", False), (str(FAULT), False), ("nothing is raised", False)]


def test_what_faust_says_last_of_a_crash_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker(override_logging=False, redirect_stdouts=False, quiet=True, loop=asyncio.new_event_loop())
    worker._crash_reason = FAULT
    with pytest.raises(FetchError):
        worker.stop_and_shutdown()
    assert [message for message, _ in told(caplog) if "crash" in message.lower()] == []
    assert any("crash" in record.getMessage().lower() for record in caplog.records)


def test_an_agent_that_is_cancelled_is_no_crash(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("faust.agents")
    for error in (asyncio.CancelledError(), DEFECT):
        try:
            raise error
        except BaseException:
            log.exception("[^-Agent*: intake]: Crashed reason=%r", error)
    assert told(caplog) == [(f"[^-Agent*: intake]: Crashed reason={DEFECT!r}", True)]


def test_a_client_without_brokers_is_heard_once_in_a_while_and_everybody_else_always() -> None:
    repeats, told = Repeats(), []

    def say(text: str, at: float) -> None:
        record = logging.makeLogRecord({"msg": text, "created": at})
        if repeats.filter(record):
            told.append(record.getMessage())

    for tick in range(3):
        say(f"FAIL [rdkafka#consumer-1] refused (after {tick}ms)", 100.0 + tick)
        say("FAIL [rdkafka#producer-2] refused", 100.0 + tick)
        say("assigned: partitions 1", 100.0 + tick)
    say("FAIL [rdkafka#consumer-1] refused (after 9ms)", 100.0 + REPEATED_SECONDS)
    assert told == [
        "FAIL [rdkafka#consumer-1] refused (after 0ms)",
        "FAIL [rdkafka#producer-2] refused",
        *["assigned: partitions 1"] * 3,
        "FAIL [rdkafka#consumer-1] refused (after 9ms), and 2 times before",
    ]

"""Failures of connectors as Connect traces them, and what is said of them."""

import pytest

from connect.configuration import Configuration
from connect.failures import Failure, failure, unresolved
from connect.needed import topics_needed

BEAT = "__debezium-heartbeat.psa"
REGISTRY = "io.apicurio.registry.rest.client.exception.RestClientException"
HIBERNATE = (
    "org.hibernate.service.spi.ServiceException: Unable to create requested service: Unable to determine Dialect\n"
    "\tat a.b(C.java:1)\n"
    "Caused by: org.hibernate.HibernateException: Unable to determine Dialect without JDBC metadata (please set x)\n"
    "\t... 22 more\n"
)
LOST = (
    "io.debezium.DebeziumException: The connector is trying to read change stream starting at PostgresOffsetContext "
    "[lsn=LSN{0/1E184B8}], but this is no longer available on the server. Reconfigure the connector to use a snapshot "
    "mode when needed.\n\tat a.b(C.java:1)\n"
)
WRAPPED = "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n\tat a.b(C.java:1)\n"


@pytest.mark.parametrize(
    ("trace", "words"),
    [
        ("", "no reason given"),
        ("java.io.IOException: gone\n\tat a.b(C.java:1)\nDETAIL: x\n", "java.io.IOException: gone"),
        (f"{WRAPPED}Caused by: java.io.IOException: gone\n", "java.io.IOException: gone"),
        (
            f"{WRAPPED}Caused by: java.lang.IllegalStateException\n",
            "java.lang.IllegalStateException, in org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded "
            "in error handler",
        ),
        ("java.lang.NullPointerException\n", "java.lang.NullPointerException"),
        (f"{WRAPPED}Caused by: {REGISTRY}: No artifact\n", f"{REGISTRY}: No artifact"),
        (
            f"{WRAPPED}Caused by: {REGISTRY}\n",
            "the schema registry does not answer: see that it runs, and that REGISTRY_URL of Connect's worker leads to "
            f"it ({REGISTRY})",
        ),
        (
            HIBERNATE,
            "it cannot log in to its database: there is no such database or role, or the password is another; see "
            "docs/analytics.md#set-up (Unable to determine Dialect without JDBC metadata)",
        ),
        (
            "java.net.URISyntaxException: Illegal character in path at index 1: ${env:REGISTRY_URL}/apis\n",
            "Connect's worker has no variable REGISTRY_URL: set it where Connect is started, and start Connect anew",
        ),
    ],
)
def test_the_cause_at_the_root_is_told_or_what_it_means(trace: str, words: str) -> None:
    assert failure(trace) == Failure(words)


@pytest.mark.parametrize(
    "trace",
    [
        LOST,
        'org.postgresql.util.PSQLException: ERROR: can no longer get changes from replication slot "psa_capture"\n',
        "x\nCaused by: org.postgresql.util.PSQLException: ERROR: requested WAL segment 0001 has already been removed\n",
    ],
)
def test_a_slot_that_was_lost_is_not_mended_by_a_restart(trace: str) -> None:
    assert failure(trace) == Failure(
        "the log that it has yet to read is gone: its slot was lost, or made anew. A restart does not mend that; read "
        "everything again, as docs/connect.md#care-of-the-slot says",
        restart_mends=False,
    )


def test_variables_that_were_not_resolved_are_told_once() -> None:
    assert unresolved("${env:A}:${env:B}/${env:A} ${file:/a:B}") == ["A", "B"]


@pytest.mark.parametrize(
    ("config", "topics"),
    [
        ({"topic.prefix": "psa", "table.include.list": "public.a, public.b"}, ["psa.public.a", "psa.public.b", BEAT]),
        ({"topic.prefix": "psa", "table.include.list": "public.a.*"}, [BEAT]),
        ({"topic.prefix": "psa", "notification.sink.topic.name": "notes"}, ["notes", BEAT]),
        ({"topic.prefix": "psa", "transforms.r.type": "org.apache.kafka.connect.transforms.RegexRouter"}, []),
        ({"topic.prefix": "psa", "topic.creation.default.partitions": "1"}, []),
        ({"topics": "a, b", "errors.deadletterqueue.topic.name": "dead.letters"}, ["a", "b", "dead.letters"]),
        ({"topics.regex": "a.*"}, []),
        ({"file": "a"}, []),
    ],
)
def test_topics_are_needed_as_far_as_settings_say_which(config: dict[str, str], topics: list[str]) -> None:
    assert topics_needed(Configuration(name="psa", config={"connector.class": "a", **config})) == topics

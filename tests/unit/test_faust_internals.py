"""What the transport overrides and calls of Faust is where it was: a new Faust fails here first, and says what moved.

Faust promises nothing of these names. When one of these tests fails after Faust was raised: read what has become of the
name in Faust, adapt the module of the engine that the message names, then write down the new signature here.
"""

import asyncio
import importlib
import inspect
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from faust.transport.drivers import TRANSPORTS
from faust.types import TP

from streams.config import Settings
from streams.engine import app as engine_app
from streams.engine.state_folder import StateFolder
from streams.engine.transport import batch, conductor, consumer, driver, producer
from tests.tidy.house import ROOT

# The module of the engine, then Faust's name as module:path and its arguments; `=` has a default.
USED = """
consumer.py   faust.transport.consumer:Consumer.__init__  self transport callback on_partitions_revoked on_partitions_assigned commit_interval= commit_livelock_soft_timeout= loop= **kwargs
consumer.py   faust.transport.consumer:Consumer.subscribe  async self topics
consumer.py   faust.transport.consumer:Consumer._drain_messages  async self fetcher
consumer.py   faust.transport.consumer:Consumer.assignment  self
consumer.py   faust.transport.consumer:Consumer.highwater  self tp
consumer.py   faust.transport.consumer:Consumer.highwaters  async self *partitions
consumer.py   faust.transport.consumer:Consumer.ack  self message
consumer.py   faust.transport.consumer:Consumer.commit  async self topics= start_new_transaction=
consumer.py   faust.transport.consumer:Consumer.wait_empty  async self
consumer.py   faust.transport.consumer:Consumer.on_stop  async self
consumer.py   faust.transport.consumer:Consumer.topic_partitions  self topic
consumer.py   faust.transport.consumer:Consumer.key_partition  self topic key partition=
consumer.py   faust.transport.consumer:Consumer._new_topicpartition  self topic partition
consumer.py   faust.transport.consumer:Consumer.create_topic  async self topic partitions replication config= timeout= retention= compacting= deleting= ensure_created=
consumer.py   faust.transport.consumer:Consumer.position  async self tp
consumer.py   faust.transport.consumer:Consumer.seek_wait  async self partitions
consumer.py   faust.transport.consumer:Consumer.earliest_offsets  async self *partitions
consumer.py   faust.transport.consumer:Consumer.seek_to_committed  async self
consumer.py   faust.transport.consumer:Consumer._commit  async self offsets
consumer.py   faust.transport.consumer:Consumer._seek  async self partition offset
consumer.py   faust.transport.consumer:Consumer._getmany  async self active_partitions timeout
consumer.py   faust.transport.consumer:Consumer._to_message  self tp record
consumer.py   faust.transport.consumer:Consumer.on_partitions_assigned  async self assigned generation_id=
consumer.py   faust.transport.consumer:Consumer.on_partitions_revoked  async self revoked
consumer.py   faust.transport.consumer:Consumer.resume_flow  self
consumer.py   faust.types.tuples:ConsumerMessage.__init__  self topic partition offset timestamp timestamp_type headers key value checksum serialized_key_size= serialized_value_size= tp= time_in= time_out= time_total= generation_id=
consumer.py   faust.app.base:App.on_rebalance_start  self
consumer.py   faust.app.base:App.on_rebalance_end  self
consumer.py   faust.app.base:App._on_partitions_assigned  async self assigned generation_id=
consumer.py   faust.app.base:App._on_partitions_revoked  async self revoked
consumer.py   mode.utils.queues:FlowControlEvent.resume  self
consumer.py   mode.services:Service.maybe_start  async self
consumer.py   mode.services:Service.crash  async self reason
conductor.py  faust.transport.conductor:Conductor.__init__  self app **kwargs
conductor.py  faust.transport.conductor:Conductor._build_handler  self tp channels
conductor.py  faust.topics:Topic.decode  async self message propagate=
conductor.py  mode.utils.queues:FlowControlQueue.force_put_nowait  self item
conductor.py  mode.services:Service.add_future  self coro
producer.py   faust.transport.producer:Producer.__init__  self transport loop= **kwargs
producer.py   faust.transport.producer:Producer.send  async self topic key value partition timestamp headers transactional_id=
producer.py   faust.transport.producer:Producer.send_and_wait  async self topic key value partition timestamp headers transactional_id=
producer.py   faust.transport.producer:Producer.flush  async self
producer.py   faust.transport.producer:Producer.key_partition  self topic key
producer.py   faust.transport.producer:Producer.create_topic  async self topic partitions replication config= timeout= retention= compacting= deleting= ensure_created=
producer.py   faust.transport.producer:Producer.supports_headers  self
producer.py   faust.transport.producer:ProducerBuffer.flush  async self
driver.py     faust.transport.base:Transport.create_consumer  self callback **kwargs
driver.py     faust.transport.base:Transport.create_producer  self **kwargs
driver.py     faust.transport.base:Transport.create_conductor  self **kwargs
driver.py     faust.transport.base:Transport.create_transaction_manager  self consumer producer **kwargs
driver.py     faust.tables.manager:TableManager.add  self table
driver.py     faust.tables.manager:TableManager.on_start  async self
driver.py     faust.tables.manager:TableManager.on_rebalance  async self assigned revoked newly_assigned generation_id=
driver.py     faust.tables.manager:TableManager.on_partitions_revoked  self revoked
driver.py     faust.tables.manager:TableManager.wait_until_recovery_completed  async self
driver.py     faust.tables.manager:TableManager.wait_until_tables_registered  async self
driver.py     faust.streams:Stream.__aiter__  self
driver.py     faust.streams:Stream._py_aiter  self
batch.py      faust.serializers.schemas:Schema.compile  self app on_key_decode_error= on_value_decode_error= default_propagate=
batch.py      faust.app.base:App.create_event  self key value headers message
agents.py     faust.app.base:App.topic  self *topics pattern= schema= key_type= value_type= key_serializer= value_serializer= partitions= retention= compacting= deleting= replicas= acks= internal= config= maxsize= allow_empty= has_prefix= loop=
agents.py     faust.app.base:App.agent  self channel= name= concurrency= supervisor_strategy= sink= isolated_partitions= use_reply_headers= **kwargs
agents.py     faust.streams:Stream.noack  self
agents.py     faust.streams:Stream.events  self
app.py        faust.app.base:App.on_start  async self
app.py        faust.app.base:App.on_started  async self
app.py        faust.app.base:App.on_stop  async self
app.py        faust.app.base:App._stop_consumer  async self
app.py        mode.services:Service.add_runtime_dependency  async self service
worker.py     faust.worker:Worker.__init__  self app *services sensors= debug= quiet= loglevel= logfile= stdout= stderr= blocking_timeout= workdir= console_port= loop= redirect_stdouts= redirect_stdouts_level= logging_config= **kwargs
worker.py     faust.worker:Worker.execute_from_commandline  self
"""  # noqa: E501, one line a name

# What our classes add to Faust's: a name of Faust's own that comes to be the same would be overridden unawares.
ADDED = {
    consumer.Consumer: {
        "acks",
        "owner",
        "resume",
        "commit_offsets",
        "taken",
        "caught_up",
        "hold",
        "waiting",
        "begin",
        "end",
    },
    conductor.Conductor: {"_feeder", "_feed", "_consumer"},
    producer.Producer: {"take_sent"},
    driver.Transport: set(),
    driver.NoTables: set(),
    driver.Stream: set(),
    batch.BatchSchema: set(),
    engine_app.EngineApp: {
        "registry",
        "health",
        "readiness",
        "take_sent",
        "advanced",
        "committed",
        "fence",
        "caught_up",
        "hold",
    },
}
FROM_OBJECT = {"__init__"}


def rows() -> list[Any]:
    return [pytest.param(*line.split(maxsplit=2), id=line.split()[1]) for line in USED.strip().splitlines()]


def find(name: str) -> Any:
    module, path = name.split(":")
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def arguments_of(function: Any) -> str:
    words = ["async"] if inspect.iscoroutinefunction(function) else []
    for parameter in inspect.signature(function).parameters.values():
        stars = "*" * (parameter.kind is parameter.VAR_POSITIONAL) or "**" * (parameter.kind is parameter.VAR_KEYWORD)
        words.append(stars + parameter.name + ("" if parameter.default is parameter.empty else "="))
    return " ".join(words)


def test_the_pinned_version_of_faust_is_the_one_installed() -> None:
    pinned = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"faust-streaming=={version('faust-streaming')}" in pinned


@pytest.mark.parametrize(("module", "name", "arguments"), rows())
def test_a_name_that_the_engine_relies_on_takes_what_it_took(module: str, name: str, arguments: str) -> None:
    faust = f"Faust {version('faust-streaming')}"
    try:
        found = arguments_of(find(name))
    except (AttributeError, ImportError) as error:
        pytest.fail(f"{name} has moved: {faust} says {error}. See streams/engine/**/{module}, which relies on it")
    assert found == arguments, f"{name} has changed in {faust}. See streams/engine/**/{module}, which relies on it"


@pytest.mark.parametrize("ours", ADDED, ids=lambda ours: ours.__name__)
def test_what_overrides_faust_overrides_something_and_nothing_else_does(ours: type) -> None:
    bases = [base for base in ours.__mro__[1:] if base is not object]
    defined = {name for name, part in vars(ours).items() if callable(part) or isinstance(part, property)} - FROM_OBJECT
    known = {name for base in bases for name in dir(base)}
    gone = defined - known - ADDED[ours] - {"__annotate__", "__annotate_func__"}
    assert not gone, f"{ours.__name__} overrides names that Faust has no more: {sorted(gone)}"
    met = ADDED[ours] & known
    assert not met, f"Faust has names now that {ours.__name__} uses for something else: {sorted(met)}"


def test_what_faust_makes_for_the_engine_is_ours_and_has_what_we_reach_for(tmp_path: Path) -> None:
    async def made() -> tuple[list[object], list[str]]:
        app = engine_app._faust_app(Settings(brokers="127.0.0.1:1"), StateFolder(tmp_path, "nobody"))
        parts: list[object] = [app.transport, app.consumer, app.producer, app.topics, app.tables, app._fetcher]
        return parts, [name for name, owner in reached_for(app) if not hasattr(owner, name)]

    parts, gone = asyncio.run(made())
    assert TRANSPORTS.aliases[driver.SCHEME] == "streams.engine.transport.driver:Transport"
    assert [type(part) for part in parts] == [
        driver.Transport,
        consumer.Consumer,
        producer.Producer,
        conductor.Conductor,
        driver.NoTables,
        driver.Fetcher,
    ]
    assert gone == [], (
        f"attributes that the engine reads or sets are gone from Faust {version('faust-streaming')}: {gone}"
    )


def reached_for(app: Any) -> Iterator[tuple[str, object]]:
    """Attributes, not methods: what no signature tells."""
    for name in (
        "rebalancing",
        "consumer_generation_id",
        "flow_control",
        "conf",
        "on_before_shutdown",
        "on_startup_finished",
    ):
        yield name, app
    for name in ("callback", "should_stop", "app"):
        yield name, app.consumer
    for name in ("buffer", "app"):
        yield name, app.producer
    for name in ("on_message", "should_stop", "app"):
        yield name, app.topics
    for name in ("_tables_finalized", "_tables_registered"):
        yield name, app.tables
    yield "_active_agens", app.stream(app.topic("some.topic"))
    for name in ("channel", "concurrency"):
        yield name, app.agent(app.topic("some.topic", schema=batch.BatchSchema()), name="some")(_agent)
    message = consumer.message_of(TP("some.topic", 0), SomeRecord(), 3)
    for name in ("acked", "generation_id", "tp", "offset"):
        yield name, message
    for name in ("schema", "queue"):
        yield name, app.topic("some.topic", schema=batch.BatchSchema())


async def _agent(_stream: Any) -> None:
    """Does nothing."""


class SomeRecord:
    """A record as confluent-kafka has it."""

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_123

    def key(self) -> bytes:
        return b"key"

    def value(self) -> bytes:
        return b"value"

    def offset(self) -> int:
        return 7

    def headers(self) -> None:
        return None


def test_a_single_record_is_a_message_of_faust_with_everything_in_its_place() -> None:
    message = consumer.message_of(TP("some.topic", 2), SomeRecord(), 3)
    assert (message.topic, message.partition, message.tp) == ("some.topic", 2, TP("some.topic", 2))
    assert (message.offset, message.key, message.value, message.headers) == (7, b"key", b"value", None)
    assert (message.timestamp, message.timestamp_type, message.generation_id) == (1_700_000_000.123, 1, 3)
    assert (message.serialized_key_size, message.serialized_value_size, message.acked) == (3, 5, False)

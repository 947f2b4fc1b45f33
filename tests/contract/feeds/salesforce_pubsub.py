"""The simulated organisation's Pub/Sub API over gRPC. The messages are of Salesforce's own proto."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any

import grpc

from connect.feeds.salesforce.stubs import pubsub_api_pb2 as messages
from tests.contract.feeds.salesforce_org import Logged
from tests.contract.feeds.salesforce_rest import TENANT, Front

REQUESTED_MAX = 100
_CODE = "sfdc.platform.eventbus.grpc."


class Bus:
    """Streams of the events of one organisation."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.dropped = 0  # streams before this generation are cut
        self.reset()

    def reset(self) -> None:
        """Carry the events of another organisation, from its first day."""
        self.org = self.front.org
        self.keepalive_s = 0.05  # 270 there; a test does not wait for that
        self.events_max = 100  # of one answer
        self.repeated = 0  # events before the replay id that a subscription gets once more
        self.subscribed: list[bytes | None] = []
        self.schema_calls: list[str] = []

    def get_schema(self, request: Any, context: grpc.ServicerContext) -> Any:
        """GetSchema."""
        self._let_in(context)
        self.schema_calls.append(request.schema_id)
        if request.schema_id not in self.org.schemas:
            self._abort(context, grpc.StatusCode.INVALID_ARGUMENT, "schema.id.not.found", "no such schema")
        text = self.org.schemas[request.schema_id]
        return messages.SchemaInfo(schema_id=request.schema_id, schema_json=text, rpc_id="an-rpc")

    def get_topic(self, request: Any, context: grpc.ServicerContext) -> Any:
        """GetTopic."""
        self._let_in(context)
        if not self._is_topic(request.topic_name):
            self._abort(context, grpc.StatusCode.NOT_FOUND, "topic.not.found", "no such topic")
        return messages.TopicInfo(topic_name=request.topic_name, tenant_guid=TENANT, can_publish=False,
                                  can_subscribe=True, rpc_id="an-rpc")  # fmt: skip

    def subscribe(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        """Subscribe: answers as long as the client has asked for more events than were sent."""
        self._let_in(context)
        first = next(requests)
        if not self._is_topic(first.topic_name):
            self._abort(context, grpc.StatusCode.NOT_FOUND, "topic.not.found", "no such topic")
        with self.org.lock:
            place = self._start(first, context)
            stream = _Stream(self.dropped, place)
        stream.add(first.num_requested)
        Thread(target=self._take, args=(requests, stream), daemon=True).start()
        while context.is_active():
            with self.org.lock:
                if stream.too_many:
                    self._abort(context, grpc.StatusCode.INVALID_ARGUMENT, "subscription.fetch.requested.events.limits",
                                "over 100 events requested")  # fmt: skip
                if stream.generation != self.dropped:
                    self._abort(context, grpc.StatusCode.UNAVAILABLE, "service.unavailable", "stream was cut")
                answer = self._answer(stream)
            if answer is not None:
                yield answer

    def _answer(self, stream: "_Stream") -> Any:
        """The next events, or a sign of life after a time without any."""
        until = time.monotonic() + self.keepalive_s
        while stream.generation == self.dropped and not stream.too_many:
            ready = [] if self.org.held else self.org.log[stream.place :]
            ready = ready[: min(self.events_max, stream.open)]
            if ready:
                stream.place += len(ready)
                stream.open -= len(ready)
                events = [_consumed(event) for event in ready]
                return messages.FetchResponse(events=events, latest_replay_id=ready[-1].replay_id, rpc_id="an-rpc",
                                              pending_num_requested=stream.open)  # fmt: skip
            left = until - time.monotonic()
            if left <= 0:
                latest = self.org.log[stream.place - 1].replay_id if stream.place else b"\0" * 10
                return messages.FetchResponse(
                    latest_replay_id=latest, rpc_id="an-rpc", pending_num_requested=stream.open
                )
            self.org.lock.wait(left)
        return None

    def _take(self, requests: Iterator[Any], stream: "_Stream") -> None:
        try:
            for request in requests:
                with self.org.lock:
                    stream.add(request.num_requested)
                    self.org.lock.notify_all()
        except grpc.RpcError:
            pass  # the stream has ended
        except Exception:  # the iterator of a call that was cancelled raises a bare one
            pass

    def _start(self, first: Any, context: grpc.ServicerContext) -> int:
        if first.replay_preset == messages.ReplayPreset.LATEST:
            self.subscribed.append(None)
            return len(self.org.log)
        self.subscribed.append(first.replay_id)
        places = [place for place, event in enumerate(self.org.log) if event.replay_id == first.replay_id]
        if first.replay_id == b"\0" * 10 and not self.org.kept_from:
            places = [-1]
        if not places or places[0] + 1 < self.org.kept_from:
            self._abort(context, grpc.StatusCode.INVALID_ARGUMENT, "subscription.fetch.replayid.corrupted",
                        "The Replay ID validation failed. rpcId: an-rpc")  # fmt: skip
        return max(self.org.kept_from, places[0] + 1 - self.repeated)

    def _let_in(self, context: grpc.ServicerContext) -> None:
        given = dict(context.invocation_metadata())
        right = given.get("accesstoken") in self.front.tokens and given.get("tenantid") == TENANT
        if not right or given.get("instanceurl") != self.front.url:
            self._abort(context, grpc.StatusCode.UNAUTHENTICATED, "service.auth.error", "authentication exception")

    def _is_topic(self, name: str) -> bool:
        return name == "/data/ChangeEvents"

    def _abort(self, context: grpc.ServicerContext, status: grpc.StatusCode, code: str, said: str) -> None:
        context.set_trailing_metadata((("error-code", _CODE + code), ("rpc-id", "an-rpc")))
        context.abort(status, said)


class _Stream:
    def __init__(self, generation: int, place: int) -> None:
        self.generation = generation
        self.place = place
        self.open = 0
        self.too_many = False

    def add(self, requested: int) -> None:
        self.open += requested
        self.too_many |= requested < 1 or self.open > REQUESTED_MAX


def _consumed(event: Logged) -> Any:
    produced = messages.ProducerEvent(id=str(event.number), schema_id=event.schema_id, payload=event.payload)
    return messages.ConsumerEvent(event=produced, replay_id=event.replay_id)


def serve(bus: Bus) -> tuple[grpc.Server, int]:
    """Serve on a free port of this machine."""
    server = grpc.server(ThreadPoolExecutor(max_workers=32))
    ways: dict[str, tuple[Callable[..., Any], Callable[..., Any], Any]] = {
        "Subscribe": (grpc.stream_stream_rpc_method_handler, bus.subscribe, messages.FetchRequest),
        "GetSchema": (grpc.unary_unary_rpc_method_handler, bus.get_schema, messages.SchemaRequest),
        "GetTopic": (grpc.unary_unary_rpc_method_handler, bus.get_topic, messages.TopicRequest),
    }
    methods = {
        name: make(
            call, request_deserializer=request.FromString, response_serializer=lambda answer: answer.SerializeToString()
        )
        for name, (make, call, request) in ways.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("eventbus.v1.PubSub", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port

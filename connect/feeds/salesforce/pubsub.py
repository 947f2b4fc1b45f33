"""The Pub/Sub API over gRPC: a subscription, schemas, and what its errors mean.

gRPC calls from threads of its own. A subscription reads in one thread into a queue that flow control keeps short: no
more events are asked for than were taken out. `close` ends both.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import grpc

from connect.feeds.salesforce.session import Session
from connect.feeds.salesforce.stubs import pubsub_api_pb2 as messages
from outside.errors import Fatal, Retriable

REQUESTED_MAX: Final = 100
"""Events that may be asked for and not yet delivered: the API's own limit."""

_SERVICE: Final = "/eventbus.v1.PubSub/"
_REPLAY_ERRORS: Final = ("replayid.corrupted", "replayid.validation.failed")
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),  # 100 events of up to 1 MB are split well before
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)
_RETRIABLE: Final = frozenset({
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DATA_LOSS,
})  # fmt: skip
_SLICE_S: Final = 0.1


class RefusedReplay(Exception):
    """The replay id is no longer kept, or never was: events were missed."""


class RefusedToken(Exception):
    """The token is no longer taken."""


class PubSub:
    """One channel to the API.

    `call_s_max` bounds every call that is no subscription; `silence_s_max` how long a subscription may say nothing,
    when a sign of life is due every 270 seconds.
    """

    def __init__(self, feed: str, url: str, session: Session, *, call_s_max: float, silence_s_max: float) -> None:
        self._feed = feed
        self._session = session
        self._call_s_max = call_s_max
        self._silence_s_max = silence_s_max
        self._channel = _channel(url)
        self._schema = self._unary("GetSchema", messages.SchemaRequest, messages.SchemaInfo)
        self._topic = self._unary("GetTopic", messages.TopicRequest, messages.TopicInfo)

    def subscribe(self, channel: str, replay: bytes | None) -> "Subscription":
        """Open a subscription after a replay id; None: from now on."""
        token = self._session.token()
        call = self._channel.stream_stream(
            _SERVICE + "Subscribe",
            request_serializer=messages.FetchRequest.SerializeToString,
            response_deserializer=messages.FetchResponse.FromString,
        )
        return Subscription(self._feed, call, _metadata(token), channel, replay, self._silence_s_max)

    def schema(self, schema_id: str) -> str:
        """Return a schema as JSON text. Raises RefusedToken, Retriable or Fatal."""
        return str(self._asked(self._schema, messages.SchemaRequest(schema_id=schema_id)).schema_json)

    def check(self, channel: str) -> None:
        """Raise Fatal if the channel is not there, or may not be subscribed to."""
        found = self._asked(self._topic, messages.TopicRequest(topic_name=channel))
        if not found.can_subscribe:
            raise Fatal(
                f"{self._feed}: {channel} may not be subscribed to; give the user the right, or correct channel"
            )

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def _unary(self, name: str, request: Any, response: Any) -> Callable[..., Any]:
        call: Callable[..., Any] = self._channel.unary_unary(
            _SERVICE + name, request_serializer=request.SerializeToString, response_deserializer=response.FromString
        )
        return call

    def _asked(self, call: Callable[..., Any], request: Any) -> Any:
        try:
            return call(request, metadata=_metadata(self._session.token()), timeout=self._call_s_max)
        except grpc.RpcError as error:
            raise meaning(self._feed, error) from error


class Subscription:
    """A stream of answers. Used by one thread."""

    def __init__(
        self,
        feed: str,
        call: Callable[..., Any],
        metadata: Any,
        channel: str,
        replay: bytes | None,
        silence_s_max: float,
    ) -> None:
        self._feed = feed
        self._silence_s_max = silence_s_max
        self._open = 0  # events asked for and not yet taken out of the queue
        self._requests: queue.SimpleQueue[messages.FetchRequest | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[messages.FetchResponse | Exception] = queue.SimpleQueue()
        preset = messages.ReplayPreset.LATEST if replay is None else messages.ReplayPreset.CUSTOM
        self._ask(messages.FetchRequest(topic_name=channel, replay_preset=preset, replay_id=replay or b""))
        self._call = call(iter(self._requests.get, None), metadata=metadata)
        self._reader = threading.Thread(target=self._read, name=f"{feed}-subscription", daemon=True)
        self._reader.start()

    def next(self, timeout_s: float, stop: threading.Event) -> messages.FetchResponse | None:
        """Return the next answer, None if there is none within the time, or `stop` is set.

        Raises:
            RefusedReplay: Nothing can be had from the replay id on.
            RefusedToken: A new token is needed.
            Retriable: The stream was cut, or is silent beyond what the API promises.
            Fatal: A person must act.
        """
        until = time.monotonic() + timeout_s
        while not stop.is_set():
            try:
                answer = self._answers.get(timeout=max(0.0, min(_SLICE_S, until - time.monotonic())))
            except queue.Empty:
                if time.monotonic() >= until:
                    return None
                continue
            if isinstance(answer, Exception):
                raise answer
            self._open -= len(answer.events)
            if self._open <= REQUESTED_MAX // 2:
                self._ask(messages.FetchRequest())
            return answer
        return None

    def answers(self, stop: threading.Event) -> Iterator[messages.FetchResponse]:
        """Yield answers until `stop` is set. Raises as `next` does."""
        while not stop.is_set():
            answer = self.next(self._silence_s_max, stop)
            if answer is not None:
                yield answer
            elif not stop.is_set():
                raise Retriable(f"{self._feed}: the subscription said nothing for {self._silence_s_max:g} s")

    def close(self) -> None:
        """End the call and its threads."""
        self._call.cancel()
        self._requests.put(None)
        self._reader.join()

    def _ask(self, request: messages.FetchRequest) -> None:
        request.num_requested = REQUESTED_MAX - self._open
        self._open = REQUESTED_MAX
        self._requests.put(request)

    def _read(self) -> None:
        try:
            for answer in self._call:
                self._answers.put(answer)
            self._answers.put(Retriable(f"{self._feed}: the subscription was ended by Salesforce"))
        except grpc.RpcError as error:
            self._answers.put(meaning(self._feed, error))


def meaning(feed: str, error: Any) -> Exception:
    """Return what an error of the API means: what to do about it is in its class."""
    status, details = error.code(), error.details()
    code = str(dict(error.trailing_metadata() or ()).get("error-code", ""))
    said = f"{feed}: the Pub/Sub API answers {status.name}: {details}" + (f" ({code})" if code else "")
    if any(each in code or each in str(details) for each in _REPLAY_ERRORS):
        return RefusedReplay(said)
    if status is grpc.StatusCode.UNAUTHENTICATED or "service.auth" in code:
        return RefusedToken(said)
    if status in _RETRIABLE:
        return Retriable(said)
    return Fatal(f"{said}; look at channel, the objects selected for change events, and the rights of the user")


def _metadata(token: Any) -> Sequence[tuple[str, str]]:
    return (("accesstoken", token.access), ("instanceurl", token.instance_url), ("tenantid", token.tenant))


def _channel(url: str) -> grpc.Channel:
    parts = urlsplit(url)
    if parts.scheme == "https":
        return grpc.secure_channel(parts.netloc, grpc.ssl_channel_credentials(), _OPTIONS)
    return grpc.insecure_channel(parts.netloc, _OPTIONS)

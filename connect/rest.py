"""Kafka Connect as it is reached: its REST API, call by call.

It owns how Connect is asked and what its answers mean: which of them say "come again" and are asked anew for a bounded
time, which say that something is not there, which that it will not. It decides nothing about connectors.
"""

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import quote

import httpx2

from connect.failures import Failure, failure, no_variables, unresolved

Json = dict[str, Any]

CONFLICT: Final = 409
"""A rebalance is under way, or another change of the same connector: Connect asks to come again."""
STARTING: Final = 503
"""The worker has not read yet what it knows."""
MISSING: Final = 404

_CONNECT_SECONDS_MAX = 5.0


class ConnectError(Exception):
    """Connect did not do what it was asked; the message says what it said."""


class NoAnswer(ConnectError):
    """Nobody answers, or what answers is no Kafka Connect."""


class Missing(ConnectError):
    """There is no such connector."""


class Refused(ConnectError):
    """Connect answered with an error. `status`: of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Patience(NamedTuple):
    """How long something is waited for, in seconds, and how often it is looked at; the clock and the pause with it.

    `answer_s`: how long one answer is waited for. Connect itself gives up after 90 s, and validating a connector
    connects to its database, for up to 60.
    """

    wait_s: float = 60.0
    pause_s: float = 0.3
    now: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    answer_s: float = 95.0


class Fault(NamedTuple):
    """What Connect finds wrong with one setting."""

    key: str
    messages: tuple[str, ...]


class Checked(NamedTuple):
    """What Connect says of settings: what is wrong with them, and the keys of all that it and the connector list."""

    faults: tuple[Fault, ...]
    keys: frozenset[str]


class Task(NamedTuple):
    """One task: its number, its state, and the trace of what ended it."""

    number: int
    state: str
    trace: str


class Standing(NamedTuple):
    """How a connector is: its own state, the trace of what ended it, its tasks, and whether it reads topics."""

    state: str
    trace: str
    tasks: tuple[Task, ...]
    is_sink: bool = False

    @property
    def runs(self) -> bool:
        """Whether it is running, and so is at least one task, and every one."""
        return self.state == "RUNNING" and bool(self.tasks) and all(task.state == "RUNNING" for task in self.tasks)

    @property
    def failures(self) -> list[str]:
        """What ended it or its tasks, each in a line."""
        return [f"{who} failed: {why.words}" for who, why in self._ended]

    @property
    def restart_mends(self) -> bool:
        """Whether a restart helps, once the cause of its failures is mended."""
        return all(why.restart_mends for _, why in self._ended)

    @property
    def _ended(self) -> list[tuple[str, Failure]]:
        each = [(self.state, "connector", self.trace)]
        each += [(task.state, f"task {task.number}", task.trace) for task in self.tasks]
        return [(who, failure(trace)) for state, who, trace in each if state == "FAILED"]


class ConnectRest:
    """Asks one Connect worker; any worker of a cluster answers for all."""

    def __init__(self, url: str, patience: Patience | None = None) -> None:
        self._url = httpx2.URL(url.rstrip("/"))
        self._patience = patience or Patience()
        timeout = httpx2.Timeout(self._patience.answer_s, connect=_CONNECT_SECONDS_MAX)
        # Connect is reached as the setting says: a proxy of the environment is for the way out.
        self._client = httpx2.Client(base_url=self._url, timeout=timeout, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @property
    def place(self) -> str:
        """Where it is, without the password that a URL may hold."""
        return str(self._url.copy_with(userinfo=b""))

    def running(self) -> dict[str, Standing]:
        """Return every connector with how it is.

        Raises:
            ConnectError: Connect does not answer, or refuses.
        """
        found: Mapping[str, Json] = self._ask("GET", "/connectors", {"expand": "status"})
        return {name: _standing(parts["status"]) for name, parts in found.items()}

    def standing(self, name: str) -> Standing | None:
        """Return how a connector is; None while nothing is known of it yet.

        Raises:
            ConnectError: Connect does not answer, or refuses.
        """
        try:
            return _standing(self._ask("GET", f"/connectors/{quote(name)}/status"))
        except Missing:
            return None

    def config(self, name: str) -> dict[str, str] | None:
        """Return the settings of a connector as they were given, references to secrets unresolved; None without one.

        Raises:
            ConnectError: Connect does not answer, or refuses.
        """
        try:
            found: dict[str, str] = self._ask("GET", f"/connectors/{quote(name)}/config")
        except Missing:
            return None
        return found

    def check(self, name: str, config: Mapping[str, str]) -> Checked:
        """Have Connect check settings as it does before it takes them; return what is wrong, and what it knows.

        Raises:
            ConnectError: Connect does not answer, or cannot check: it has no such class.
        """
        kind = config["connector.class"]
        path = f"/connector-plugins/{quote(kind, safe='')}/config/validate"
        answer: Json = self._ask("PUT", path, body={**config, "name": name})
        values = [entry["value"] for entry in answer["configs"]]
        faults = [fault for value in values if (fault := _fault(value, config.get(value["name"], ""))) is not None]
        return Checked(tuple(faults), frozenset(value["name"] for value in values))

    def put(self, name: str, config: Mapping[str, str]) -> None:
        """Give a connector its settings; it is made if it is not there.

        Raises:
            ConnectError: Connect does not answer, or refuses.
        """
        self._ask("PUT", f"/connectors/{quote(name)}/config", body=dict(config))

    def restart(self, name: str, *, failed_only: bool) -> None:
        """Restart a connector with its tasks, or what of it has failed. Raises `ConnectError`."""
        query = {"includeTasks": "true", "onlyFailed": str(failed_only).lower()}
        self._ask("POST", f"/connectors/{quote(name)}/restart", query)

    def turn(self, name: str, action: str) -> None:
        """Pause, resume or stop a connector: `action` is one of these words. Raises `ConnectError`."""
        self._ask("PUT", f"/connectors/{quote(name)}/{action}")

    def delete(self, name: str) -> None:
        """Remove a connector. What it had read up to stays known under its name. Raises `ConnectError`."""
        self._ask("DELETE", f"/connectors/{quote(name)}")

    def offsets(self, name: str) -> list[Json]:
        """Return how far a connector has read: `partition` and `offset`, as the connector writes them.

        Raises:
            ConnectError: Connect does not answer, or has no such connector.
        """
        found: list[Json] = self._ask("GET", f"/connectors/{quote(name)}/offsets")["offsets"]
        return found

    def forget_offsets(self, name: str) -> None:
        """Have a stopped connector forget how far it has read. Raises `ConnectError`."""
        self._ask("DELETE", f"/connectors/{quote(name)}/offsets")

    def _ask(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Json | None = None) -> Any:
        deadline = self._patience.now() + self._patience.wait_s
        while True:
            answer = self._once(method, path, query, body)
            if answer.status_code not in (CONFLICT, STARTING) or self._patience.now() >= deadline:
                return self._read(answer, f"{method} {path}")
            self._patience.pause(self._patience.pause_s)

    def _once(self, method: str, path: str, query: Mapping[str, str] | None, body: Json | None) -> httpx2.Response:
        try:
            return self._client.request(method, path, params=query, json=body)
        except httpx2.TimeoutException:
            raise NoAnswer(
                f"Connect at {self.place}: no answer to {method} {path} in time; is it overloaded?"
            ) from None
        except httpx2.TransportError as error:
            raise NoAnswer(
                f"Connect at {self.place} does not answer ({error}); check the setting connect_url, and that it runs"
            ) from None

    def _read(self, answer: httpx2.Response, asked: str) -> Any:
        try:
            body = answer.json() if answer.content else None
        except ValueError:
            raise NoAnswer(
                f"{self.place} answers {asked} with no JSON (HTTP {answer.status_code}): it is no Kafka Connect; check "
                "the setting connect_url"
            ) from None
        if answer.is_success:
            return body
        said = body.get("message") if isinstance(body, dict) else None
        message = f"Connect at {self.place}: {said or f'HTTP {answer.status_code}'}"
        if answer.status_code == MISSING and _about_a_connector(asked):
            raise Missing(message)
        if answer.status_code in (CONFLICT, STARTING):
            message += f" (still so after {self._patience.wait_s:.0f} s)"
        raise Refused(message, answer.status_code)


def _about_a_connector(asked: str) -> bool:
    """Whether "not found" means that there is no such connector."""
    return " /connectors/" in asked


def _fault(value: Json, given: str) -> Fault | None:
    """What is wrong with a setting, given as it was; None if nothing is."""
    meant, errors = value.get("value") or "", value["errors"]
    left = [name for name in unresolved(" ".join([meant, *errors])) if name in unresolved(given)]
    if left:
        return Fault(value["name"], (no_variables(left),))
    # What a reference refers to must not come back in a message.
    said = tuple(text.replace(meant, given) if "${" in given and meant else text for text in errors)
    return Fault(value["name"], said) if said else None


def _standing(status: Json) -> Standing:
    tasks = tuple(Task(task["id"], task["state"], task.get("trace", "")) for task in status["tasks"])
    own, is_sink = status["connector"], status["type"] == "sink"
    return Standing(own["state"], own.get("trace", ""), tasks, is_sink)

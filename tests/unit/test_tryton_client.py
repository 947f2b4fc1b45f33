"""Tryton's client against a server that answers as it is told: notation, sessions, refusals, and nobody there."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from live.tryton import Line, TrytonAtWork
from stack.errors import StackError
from stack.ports import free_ports
from stack.tryton_client import TrytonAway, TrytonClient

SESSION = "Session YWRtaW46MTp0b2tlbg=="
"""What `admin:1:token` is in base 64."""


class Answering(BaseHTTPRequestHandler):
    """Answers from a list; writes down what was asked."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        assert isinstance(server, Answers)
        server.asked.append((self.path, asked["method"], asked["params"], self.headers["Authorization"]))
        code, body = server.answers.pop(0)
        if code == 0:
            return  # it dies: the connection is cut
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words: object) -> None:
        """Say nothing."""


class Answers(HTTPServer):
    """A server on loopback, with what it will answer and what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, str, Any, str | None]] = []

    def will(self, *results: Any) -> None:
        """Answer with these results next."""
        self.answers += [(200, {"id": 1, "result": result}) for result in results]


@pytest.fixture
def server() -> Iterator[Answers]:
    with Answers() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()
    assert made.answers == []


@pytest.fixture
def client(server: Answers) -> TrytonClient:
    made = TrytonClient(f"http://127.0.0.1:{server.server_port}", "tryton", "admin", "secret")
    made.context = {"company": 1}
    return made


LOGIN = [1, "token", None]


def test_values_travel_in_trytons_notation(server: Answers, client: TrytonClient) -> None:
    moment = {"year": 2026, "month": 11, "day": 2, "hour": 9, "minute": 0, "second": 5, "microsecond": 7}
    server.will(
        LOGIN,
        [{
            "id": 3, "price": {"__class__": "Decimal", "decimal": "1250.00"}, "quantity": 1.5,
            "day": {"__class__": "date", "year": 2026, "month": 11, "day": 2},
            "at": {"__class__": "datetime", **moment},
            "duration": {"__class__": "timedelta", "seconds": 1200.5}, "other": {"of": "nothing"},
        }],
        None,
    )  # fmt: skip
    assert client.read("project.work", [3], "price") == [
        {
            "id": 3, "price": Decimal("1250.00"), "quantity": Decimal("1.5"), "day": date(2026, 11, 2),
            "at": datetime(2026, 11, 2, 9, 0, 5, 7, UTC), "duration": timedelta(seconds=1200.5),
            "other": {"of": "nothing"},
        }
    ]  # fmt: skip
    client.write("timesheet.line", [3], {"duration": timedelta(hours=1), "date": date(2026, 1, 2), "x": Decimal("1.0")})
    assert server.asked == [
        ("/tryton/rpc/", "common.db.login", ["admin", {"password": "secret"}, "en"], None),
        ("/tryton/rpc/", "model.project.work.read", [[3], ["price"], {"company": 1}], SESSION),
        (
            "/tryton/rpc/",
            "model.timesheet.line.write",
            [
                [3],
                {
                    "duration": {"__class__": "timedelta", "seconds": 3600},
                    "date": {"__class__": "date", "year": 2026, "month": 1, "day": 2},
                    "x": {"__class__": "Decimal", "decimal": "1.0"},
                },
                {"company": 1},
            ],
            SESSION,
        ),
    ]
    with pytest.raises(TypeError, match="is nothing that Tryton takes"):
        client.write("timesheet.line", [3], {"x": datetime(2026, 1, 1, tzinfo=UTC)})


def test_a_session_that_has_expired_is_made_anew(server: Answers, client: TrytonClient) -> None:
    server.will(LOGIN, [])
    client.search("party.party", [], "name")
    server.answers.append((401, None))
    server.will(LOGIN, [7])
    assert client.create("party.party", {"name": "Hafen"}) == [7]
    assert [method for _, method, _, _ in server.asked] == [
        "common.db.login", "model.party.party.search_read", "model.party.party.create", "common.db.login",
        "model.party.party.create",
    ]  # fmt: skip


def test_what_it_refuses_is_said_in_its_own_words(server: Answers, client: TrytonClient) -> None:
    server.answers.append((401, None))
    with pytest.raises(StackError, match=r"does not let admin into tryton$"):
        client.delete("party.party", [1])
    server.will(LOGIN)
    server.answers.append((200, {"id": 1, "error": ["UserError", ["A value is required", "", None]]}))
    with pytest.raises(
        StackError, match=r"refuses model\.party\.party\.delete: \['UserError', \['A value is required'"
    ):
        client.delete("party.party", [1])
    server.answers.append((500, None))
    with pytest.raises(StackError, match=r"answers 500 to model\.party\.party\.delete$"):
        client.delete("party.party", [1])
    server.answers.append((401, None))
    server.will(LOGIN)
    server.answers.append((401, None))
    with pytest.raises(StackError, match=r"lets admin in, and forgets it at once"):
        client.delete("party.party", [1])


def test_nobody_answers() -> None:
    (port,) = free_ports(1)
    with pytest.raises(
        TrytonAway, match=rf"^Tryton on http://127\.0\.0\.1:{port} does not answer common\.server\.vers"
    ):
        TrytonClient(f"http://127.0.0.1:{port}", "tryton", "admin", "secret").version()


def test_a_line_whose_outcome_is_unknown_is_not_recorded_twice(server: Answers, client: TrytonClient) -> None:
    chart: list[Any] = [LOGIN, [{"id": 1}], [5, "start", "end"], {}, [{"id": 2}], [{"id": 3}], {}, None]
    server.will(*chart, [4], [{"id": 5}], [6], [{"id": 7}])
    at_work = TrytonAtWork(client)
    server.asked.clear()
    server.will([])
    server.answers.append((0, None))
    server.will([{"id": 9}])
    line = Line(work=2, employee=1, day=date(2026, 11, 2), duration=timedelta(hours=1))
    assert at_work.record(line) == 9
    searches = [told[0] for _, method, told, _ in server.asked if method.endswith("search_read")]
    ((created,),) = [told[0] for _, method, told, _ in server.asked if method.endswith("create")]
    assert searches == [[["uuid", "=", created["uuid"]]]] * 2

"""The HTTP client: what an answer means, how long it is waited for, and that nothing secret is told."""

import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from outside.errors import Fatal, Retriable
from outside.http import Http, Limits, message_of, retry_after_ms, shown

NOON = 1_772_366_400_000  # Sun, 01 Mar 2026 12:00:00 GMT


class Told:
    def __init__(self) -> None:
        self.statuses: list[str] = []
        self.held_s: list[float] = []

    def requested(self, status: str) -> None:
        self.statuses.append(status)

    def held(self, seconds: float) -> None:
        self.held_s.append(seconds)


class Server:
    """Answers each request with what the test puts there: status, headers and pieces of a body."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = [b"{}"]
        self.cookies: list[str | None] = []
        self.pause = threading.Event()
        outer = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.cookies.append(self.headers.get("cookie"))
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                for number, piece in enumerate(outer.pieces):
                    if number:
                        outer.pause.wait(0.05)
                    self.wfile.write(piece)
                    self.wfile.flush()

            def log_message(self, *_arguments: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.pause.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def told() -> Told:
    return Told()


def client(told: Told, **limits: Any) -> Http:
    return Http(Limits(**{"timeout_s": 2.0, **limits}), told, lambda: NOON, lambda _seconds: None)


def asked(server: Server, told: Told, **limits: Any) -> Any:
    http = client(told, **limits)
    try:
        return http.get(f"{server.url}/things")
    finally:
        http.close()


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, None),
        ("0", 0),
        ("120", 120_000),
        (" 7 ", 7_000),
        ("Sun, 01 Mar 2026 12:00:05 GMT", 5_000),
        ("Sun, 01 Mar 2026 11:59:00 GMT", 0),
        ("Sunday, 01-Mar-26 12:00:05 GMT", 5_000),
        ("soon", None),
        ("-3", None),
        ("1.5", None),
        ("99999999999", 86_400_000),
        ("9" * 5_000, 86_400_000),
        ("Fri, 01 Mar 2999 12:00:05 GMT", 86_400_000),
    ],
)
def test_retry_after_is_read_in_both_its_forms(header: str | None, wanted: int | None) -> None:
    assert retry_after_ms(header, NOON) == wanted


def test_fractions_are_read_as_decimals(server: Server, told: Told) -> None:
    server.pieces = [b'{"amount": 0.1, "large": 12345678901234567890.123456789, "whole": 3}']
    answer = asked(server, told)
    assert {name: str(value) for name, value in answer.items()} == {
        "amount": "0.1", "large": "12345678901234567890.123456789", "whole": "3",
    }  # fmt: skip
    assert told.statuses == ["200"]


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": NaN}', b"<html>", b"[" * 100_000, b"\xff"])
def test_what_is_no_json_is_asked_for_again(server: Server, told: Told, body: bytes) -> None:
    server.pieces = [body]
    with pytest.raises(Retriable, match=r"/things: the answer is no JSON, or was cut off"):
        asked(server, told)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_who_is_busy_or_broken_is_asked_again(server: Server, told: Told, status: int) -> None:
    server.status, server.headers = status, {"Retry-After": "9"}
    with pytest.raises(Retriable, match=f"/things: {status}: ") as busy:
        asked(server, told)
    assert busy.value.retry_after_ms == 9_000
    assert told.statuses == [str(status)]


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 410, 422])
def test_a_refusal_is_a_persons_business(server: Server, told: Told, status: int) -> None:
    server.status, server.headers = status, {"Location": "http://127.0.0.1:1/elsewhere"}
    with pytest.raises(Fatal, match=f"/things: {status}: "):
        asked(server, told)


def test_a_system_that_says_it_is_busy_under_another_status_is_believed(server: Server, told: Told) -> None:
    server.status, server.pieces = 403, [b'[{"message": "too many", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]']
    with pytest.raises(Retriable, match="403: REQUEST_LIMIT_EXCEEDED too many"):
        asked(server, told)


def test_an_answer_is_read_no_further_than_its_limit(server: Server, told: Told) -> None:
    server.pieces = [b"x" * 3000] * 4
    with pytest.raises(Fatal, match="more than 4000 bytes; ask for smaller pages"):
        asked(server, told, answer_bytes_max=4000)


def test_an_answer_that_trickles_does_not_last_for_ever(server: Server, told: Told) -> None:
    server.pieces = [b" "] * 1000
    with pytest.raises(Retriable, match=r"the answer was not whole after 0\.2 s"):
        asked(server, told, answer_s_max=0.2)
    assert told.statuses == ["timeout"]


def test_nobody_there_is_told_without_what_stands_in_the_url(told: Told) -> None:
    http = client(told)
    with pytest.raises(Retriable) as broken:
        http.get("http://user:hidden@127.0.0.1:1/x?token=hidden")
    http.close()
    assert "http://127.0.0.1:1/x: the connection failed" in str(broken.value)
    assert "hidden" not in str(broken.value)
    assert told.statuses == ["broken"]


def test_a_url_that_is_none_is_a_persons_business(told: Told) -> None:
    http = client(told)
    with pytest.raises(Fatal, match="correct the URL"):
        http.get("ftp://127.0.0.1/x")
    http.close()


def test_requests_keep_to_a_rate(server: Server, told: Told) -> None:
    waits: list[float] = []
    http = Http(Limits(requests_per_second=0.001), told, lambda: NOON, waits.append)
    for _ in range(3):
        http.get(server.url)
    http.close()
    assert [round(wait) for wait in waits] == [1000, 2000]
    assert told.held_s == waits


def test_a_url_is_shown_without_secrets() -> None:
    assert shown("https://u:p@erp.example:8443/a/b?key=1#c") == "https://erp.example:8443/a/b"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"code": "BadFilter", "message": "no such field", "innererror": {}}}', "BadFilter no such field"),
        (
            b'{"title": "Bad", "status": 400, "o:errorDetails": [{"detail": "Invalid", "o:errorCode": "USER_ERROR"}]}',
            "Bad USER_ERROR Invalid",
        ),
        (b'[{"message": "session", "errorCode": "INVALID_SESSION_ID"}]', "INVALID_SESSION_ID session"),
        (b'{"error": {"code": "X/1", "message": {"lang": "en", "value": "closed"}}}', "X/1 closed"),
        (
            b'{"error": {"code": "", "message": "failed", "innererror": {"message": "closed", "type": "T"}}}',
            "failed closed",
        ),
        (b'{"error": "invalid_grant", "error_description": "expired"}', "invalid_grant expired"),
        (b"<h1>no</h1>", "<h1>no</h1>"),
        (b"", "(nothing is said)"),
        (b"x" * 1000, "x" * 300),
    ],
)
def test_what_an_error_says_is_found_wherever_systems_put_it(body: bytes, said: str) -> None:
    assert message_of(body) == said


def test_a_failure_says_whether_anything_was_sent(server: Server, told: Told) -> None:
    http = client(told, timeout_s=0.05)
    with pytest.raises(Retriable) as refused:
        http.get("http://127.0.0.1:1/")
    assert (refused.value.status, refused.value.nothing_sent) == (None, True)
    server.status = 429
    with pytest.raises(Retriable) as busy:
        http.get(server.url)
    assert (busy.value.status, busy.value.nothing_sent) == (429, True)
    server.status = 503
    with pytest.raises(Retriable) as broken:
        http.get(server.url)
    assert (broken.value.status, broken.value.nothing_sent) == (503, False)
    server.status, server.headers, server.pieces = 200, {"content-length": "2"}, [b"{", b"}"]
    with pytest.raises(Retriable) as late:
        client(told, timeout_s=0.01).get(server.url)
    assert (late.value.status, late.value.nothing_sent) == (None, False)


def test_an_answer_may_be_had_whatever_it_says(server: Server, told: Told) -> None:
    server.status, server.pieces = 422, [b'{"title": "no such customer"}']
    with closing(client(told)) as http:
        answer = http.answer("GET", server.url)
    assert (answer.status, answer.json()) == (422, {"title": "no such customer"})


def test_cookies_that_were_set_are_sent_with_what_follows(server: Server, told: Told) -> None:
    server.headers = {"set-cookie": "session=1; Path=/"}
    with closing(client(told)) as http:
        http.answer("GET", server.url)
        http.answer("GET", server.url)
    assert server.cookies == [None, "session=1"]


def test_it_is_certain_that_nothing_was_sent_only_where_there_was_no_connection(server: Server, told: Told) -> None:
    with closing(client(told, timeout_s=0.02)) as http:
        server.pieces, server.headers = [b"{", b"}"], {"content-length": "9"}
        with pytest.raises(Retriable) as cut:
            http.answer("GET", server.url)
        with pytest.raises(Retriable) as refused:
            http.answer("GET", "http://127.0.0.1:9")
    assert (cut.value.nothing_sent, refused.value.nothing_sent) == (False, True)


def test_without_a_token_nothing_was_sent(server: Server, told: Told) -> None:
    class Busy:
        def headers(self) -> dict[str, str]:
            raise Retriable("tokens are busy", 7)

        def renew(self) -> bool:
            return False

    with closing(client(told)) as http:
        http.log_in(Busy())
        with pytest.raises(Retriable, match="tokens are busy") as raised:
            http.answer("GET", server.url)
    assert (raised.value.nothing_sent, raised.value.retry_after_ms, told.statuses) == (True, 7, [])

"""Batches of OData calls: what is sent, and what is read from answers, whole or not."""

from outside.http import Answer
from streams.sinks.batch_of_calls import parts_of, parts_text

TYPE = {"content-type": "multipart/mixed; boundary=answers"}
CREATED = (
    b"--answers\r\nContent-Type: multipart/mixed; boundary=c1\r\n\r\n"
    b"--c1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: 1\r\n\r\n"
    b'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n\r\n{"Name": "M\xc3\xbcller"}\r\n--c1--\r\n'
)
BUSY = (
    b"--answers\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\n\r\n{}\r\n"
)


def test_each_call_is_a_changeset_of_its_own() -> None:
    content_type, body = parts_text([("a", "http://x/data/Rows", b'{"A": 1}'), ("b", "http://x/data/Rows", b"{}")])
    assert content_type == "multipart/mixed; boundary=batch_a"
    lines = body.split(b"\r\n")
    assert lines[:4] == [b"--batch_a", b"Content-Type: multipart/mixed; boundary=changeset_a", b"", b"--changeset_a"]
    assert [line for line in lines if line.startswith(b"POST")] == [b"POST http://x/data/Rows HTTP/1.1"] * 2
    assert [line for line in lines if line.startswith(b"Content-ID")] == [b"Content-ID: 1", b"Content-ID: 2"]
    assert lines[-3:] == [b"--changeset_b--", b"--batch_a--", b""]


def test_parts_are_read_in_their_order_with_status_headers_and_body() -> None:
    first, second = parts_of(Answer("u", 200, TYPE, CREATED + BUSY + b"--answers--\r\n"))
    assert (first.status, first.json()) == (201, {"Name": "Müller"})
    assert (second.status, second.headers["retry-after"], second.body.strip()) == (429, "5", b"{}")


def test_what_is_no_batch_has_no_parts() -> None:
    assert parts_of(Answer("u", 200, {"content-type": "application/json"}, b"{}")) == []
    assert parts_of(Answer("u", 200, TYPE, b"--answers--\r\n")) == []


def test_a_part_that_is_cut_is_left_out_with_all_that_follows() -> None:
    for cut in (90, 150, 215):
        assert parts_of(Answer("u", 200, TYPE, CREATED[:cut])) == []
    garbled = CREATED.replace(b"HTTP/1.1 201 Created", b"nonsense") + BUSY + b"--answers--\r\n"
    assert parts_of(Answer("u", 200, TYPE, garbled)) == []

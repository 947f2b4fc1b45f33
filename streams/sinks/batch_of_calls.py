"""Several OData calls in one: a multipart/mixed body of changesets, and the answers to each that come back in one.

Owns the text of it, as OData 4.0 has it (part 1, 11.7). Does not own what is called, nor what the answers mean.
"""

from collections.abc import Sequence
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Final

from outside.http import Answer

_LINE: Final = b"\r\n"


def parts_text(posts: Sequence[tuple[str, str, bytes]]) -> tuple[str, bytes]:
    """Return content type and body of a batch in which each post (id, URL, JSON) is a changeset of its own.

    A changeset is done whole or not at all; of the others it knows nothing.
    """
    name = f"batch_{posts[0][0]}"
    lines: list[bytes] = []
    for number, (identity, url, content) in enumerate(posts, 1):
        inner = f"changeset_{identity}"
        lines += [
            f"--{name}".encode(),
            f"Content-Type: multipart/mixed; boundary={inner}".encode(),
            b"",
            f"--{inner}".encode(),
            b"Content-Type: application/http",
            b"Content-Transfer-Encoding: binary",
            f"Content-ID: {number}".encode(),
            b"",
            f"POST {url} HTTP/1.1".encode(),
            b"Content-Type: application/json",
            b"Accept: application/json",
            b"",
            content,
            f"--{inner}--".encode(),
        ]
    return f"multipart/mixed; boundary={name}", _LINE.join([*lines, f"--{name}--".encode(), b""])


def parts_of(answer: Answer) -> list[Answer]:
    """Return the answers to a batch's changesets in their order; what follows a part that cannot be read is left out.

    A changeset that was done answers by a part within a part; one that was not, by a plain one.
    """
    head = f"content-type: {answer.headers.get('content-type', '')}\r\n\r\n".encode()
    whole = BytesParser(policy=HTTP).parsebytes(head + answer.body)
    found: list[Answer] = []
    for part in whole.iter_parts() if whole.is_multipart() else ():
        inner = next(iter(part.iter_parts()), None) if part.is_multipart() else part
        told = None if inner is None or inner.defects or part.defects else _answer(answer.url, inner)
        if told is None:
            break
        found.append(told)
    return found


def _answer(url: str, part: Message) -> Answer | None:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return None
    head, _, body = content.partition(_LINE * 2)
    status_line, *lines = head.split(_LINE)
    words = status_line.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        return None
    fields = (line.decode("latin-1").partition(":") for line in lines)
    return Answer(url, int(words[1]), {name.strip().lower(): value.strip() for name, _, value in fields}, body)

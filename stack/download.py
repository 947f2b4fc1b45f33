"""Fetching one file by HTTPS, with progress."""

import os
import time
import urllib.error
import urllib.request
from pathlib import Path

from stack.errors import Say, StackError

REPOSITORY_VARIABLE = "STACK_REPOSITORY"
"""Names another Maven repository than Central for archives, such as a mirror; jars go by Maven's own settings."""

SAY_EVERY_SECONDS = 2.0
_ANSWER_SECONDS_MAX = 60.0
_CHUNK_BYTES = 1 << 20


def repository(central: str) -> str:
    """The repository that archives are fetched from."""
    return os.environ.get(REPOSITORY_VARIABLE, central).rstrip("/")


def download(url: str, into: Path, say: Say) -> None:
    """Fetch a file and write it to `into`.

    Raises:
        StackError: It cannot be fetched whole; the message names the address and the reason.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "throughline-stack"})
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS_MAX) as answer, into.open("wb") as file:
            whole = int(answer.headers.get("Content-Length") or 0)
            done, began = 0, time.monotonic()
            said_at = began
            while chunk := answer.read(_CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                if time.monotonic() - said_at >= SAY_EVERY_SECONDS:
                    said_at = time.monotonic()
                    say(f"{into.name}: {_progress(done, whole, said_at - began)}")
    except (urllib.error.URLError, OSError) as error:
        raise StackError(
            f"{url} cannot be fetched: {getattr(error, 'reason', error)}. It needs the network, or a mirror named by "
            f"{REPOSITORY_VARIABLE}; run the same command again"
        ) from None
    if whole and done != whole:
        raise StackError(f"{url} was cut off after {done} of {whole} bytes; run the same command again")


def _progress(done: int, whole: int, seconds: float) -> str:
    rate = done / seconds
    told = f"{done / 1e6:.0f} MB fetched, {rate / 1e6:.1f} MB/s"
    return f"{told}, {(whole - done) / rate:.0f} s left" if whole else told

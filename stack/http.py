"""Asking a server of the stack by HTTP, briefly."""

import json
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any

_ASK_SECONDS = 2.0


def is_ok(url: str) -> bool:
    """Whether the address answers, with 200."""
    try:
        with urllib.request.urlopen(url, timeout=_ASK_SECONDS) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def json_of(url: str) -> Any:
    """The JSON at an address. Raises OSError or ValueError if there is none."""
    with urllib.request.urlopen(url, timeout=_ASK_SECONDS) as answer:
        return json.load(answer)

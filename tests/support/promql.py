"""What a PromQL expression names: metrics, labels, and values of labels. It is read by its words, not parsed."""

import re
from typing import NamedTuple

WORDS = frozenset("and or unless offset bool by without on ignoring group_left group_right".split())
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)?\s*\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_NAME = re.compile(r"(?<![\w.:$])([a-zA-Z_:][\w:]*)(?![\w:]|\s*\()")
_NEW_LABEL = re.compile(r'label_replace\(.*?,\s*"(\w+)"\s*,', re.DOTALL)


class Named(NamedTuple):
    """What an expression names. `values` are those of matchers that want exactly one: (metric, label, value)."""

    metrics: frozenset[str]
    labels: frozenset[str]
    values: frozenset[tuple[str, str, str]]
    made: frozenset[str]
    """Labels that the expression makes itself."""


def named(expression: str) -> Named:
    """Return what an expression names."""
    values: set[tuple[str, str, str]] = set()
    labels: set[str] = set()
    for metric, matchers in _SELECTOR.findall(expression):
        for label, operator, text in _MATCHER.findall(matchers):
            labels.add(label)
            if operator == "=":
                values.add((metric, label, text[1:-1]))
    for listed in _GROUPING.findall(expression):
        labels.update(label.strip() for label in listed.split(",") if label.strip())
    plain = _SELECTOR.sub(lambda found: found[1] or "", expression)
    for pattern in (_TEXT, _GROUPING, _RANGE):
        plain = pattern.sub(" ", plain)
    metrics = frozenset(_NAME.findall(plain)) - WORDS
    return Named(metrics, frozenset(labels), frozenset(values), frozenset(_NEW_LABEL.findall(expression)))

"""Texts with places for what an order says: `{contract_number}`, `{name:.40}` for its first forty letters.

Owns the names that a template may use. Does not own where texts come from, nor where they go.
"""

from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any, Final
from urllib.parse import quote

from streams.domain.undertaking import Order

NAMES: Final = (
    "client_id", "client_name", "command_id", "company", "contract_number", "country", "currency", "end_on",
    "erp_project_number", "legal_entity", "name", "number", "opportunity_id", "project_id", "project_name", "region",
    "start_on",
)  # fmt: skip
_NUMBER_DIGITS: Final = 10


def values_of(order: Order, companies: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what a template may name. `number` follows from the deal and has 12 signs, for ERPs with short keys."""
    values = dict.fromkeys(NAMES, "") | dict(order.arguments)
    values |= {
        "client_id": order.client_id,
        "command_id": order.command_id,
        "company": (companies or {}).get(order.legal_entity, order.legal_entity),
        "contract_number": order.contract_number,
        "legal_entity": order.legal_entity,
        "number": "TL" + order.shell_id.replace("-", "")[:_NUMBER_DIGITS].upper(),
        "opportunity_id": order.opportunity_id,
        "project_id": order.project_id,
    }
    return values


def filled(template: Any, values: Mapping[str, str]) -> Any:
    """Return a template, or mappings and lists of them, with values in their places; what is no text stays."""
    if isinstance(template, str):
        return template.format_map(values)
    if isinstance(template, Mapping):
        return {name: filled(each, values) for name, each in template.items()}
    return [filled(each, values) for each in template] if isinstance(template, list) else template


def filled_url(template: str, values: Mapping[str, str]) -> str:
    """Return a template of a URL with values in their places, with no sign of theirs that means something there."""
    # A quote within a literal of OData is doubled.
    return template.format_map(_Quoted(values, lambda text: quote(text.replace("'", "''"), safe="")))


def fault_of(template: Any) -> str | None:
    """Return what is wrong with a template, or None."""
    try:
        for name in sorted(set(_named(template))):
            if name not in NAMES:
                return f"there is no {{{name}}}; use one of {', '.join(NAMES)}"
        filled(template, dict.fromkeys(NAMES, ""))
    except (ValueError, IndexError, KeyError) as error:
        return f"it is no template: {error}; a brace that is meant is written twice"
    return None


def _named(template: Any) -> list[str]:
    if isinstance(template, str):
        return [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    parts = template.values() if isinstance(template, Mapping) else template if isinstance(template, list) else ()
    return [name for part in parts for name in _named(part)]


class _Quoted(dict[str, str]):
    """Values that are quoted once they are cut to their length."""

    def __init__(self, values: Mapping[str, str], quoted: Callable[[str], str]) -> None:
        super().__init__({name: _Text(value, quoted) for name, value in values.items()})


class _Text(str):
    _quoted: Callable[[str], str]

    def __new__(cls, text: str, quoted: Callable[[str], str]) -> "_Text":
        made = super().__new__(cls, text)
        made._quoted = quoted
        return made

    def __format__(self, how: str) -> str:
        return self._quoted(super().__format__(how))

"""A feed's field map the other way round: rows as topics have them, written as the records that they are read from."""

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]


def pairs(text: str) -> dict[str, str]:
    """Return what a setting `Ours=theirs, …` names, by our names."""
    split = (part.partition("=") for part in text.split(","))
    return {ours.strip(): theirs.strip() for ours, _, theirs in split}


class Inverse:
    """Records of one kind, by the settings of their feed: `fields`, `FIELD.path`, `FIELD.fields`, `FIELD.words`."""

    def __init__(self, config: Mapping[str, str], prefix: str = "") -> None:
        """Take a feed's configuration, and what its settings of this kind begin with (`Invoice.`)."""
        settings = {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
        self._fields = pairs(settings["fields"])
        self._lists: dict[str, tuple[str, dict[str, str]]] = {}
        self._words: dict[str, dict[str, str]] = {}
        for key, value in settings.items():
            field, _, what = key.partition(".")
            if what == "fields":
                self._lists[field] = settings.get(f"{field}.path", field), pairs(value)
            elif what == "words":
                self._words[field] = {ours: theirs for theirs, ours in pairs(value).items()}

    def record(self, row: Row) -> dict[str, Any]:
        """Return the record of a row. Raises KeyError for a field that the feed does not read."""
        record: dict[str, Any] = {}
        for name, value in row.items():
            if name in self._lists:
                path, fields = self._lists[name]
                _put(record, path, [_renamed(item, fields) for item in value])
            else:
                _put(record, self._fields[name], self._words.get(name, {}).get(value, value))
        return record


def _renamed(row: Row, names: Mapping[str, str]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for name, value in row.items():
        _put(record, names[name], value)
    return record


def _put(record: dict[str, Any], path: str, value: Any) -> None:
    """Put a value where a path of names with dots between leads to."""
    *way, last = path.split(".")
    for name in way:
        record = record.setdefault(name, {})
    record[last] = value

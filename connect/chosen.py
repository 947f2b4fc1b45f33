"""Which of the connectors' files a command is about, by what its words name."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from connect.configuration import Configuration, UnusableConfiguration, read_all
from connect.database import SIGNAL_TABLE, table_named


def named(folder: Path, names: Sequence[str] | None) -> list[Configuration]:
    """Return those of the names, or all where none is named.

    Raises:
        UnusableConfiguration: There is no file, or none of a name, or one cannot be used.
    """
    files = read_all(folder)
    if not files:
        raise UnusableConfiguration(f"{folder}: no file of a connector is there; --folder names another folder")
    if missing := [name for name in names or () if name not in files]:
        raise UnusableConfiguration(f"{folder}: no file is named {', '.join(missing)}; there are {', '.join(files)}")
    return [files[name] for name in names or files]


def capturing(files: Mapping[str, Configuration], tables: Sequence[str], name: str | None) -> Configuration:
    """Return the connector of that name, or the only one that takes requests and captures the first table.

    Raises:
        UnusableConfiguration: There is none, or there are several.
    """
    if name is not None:
        if name not in files:
            raise UnusableConfiguration(f"no file is named {name}; there are {', '.join(files)}")
        return files[name]
    found = [one for one in files.values() if one.config.get(SIGNAL_TABLE) and _captures(one, tables[0])]
    if len(found) != 1:
        first = tables[0] if "." in tables[0] else f"public.{tables[0]}"
        raise UnusableConfiguration(f"connectors that capture {first}: {_listed(found)}; name one with --connector")
    return found[0]


def not_in_connect(name: str, folder: Path) -> str:
    """Say why Connect has no connector of a name, and what to do."""
    try:
        one = read_all(folder).get(name)
    except UnusableConfiguration:  # a file that cannot be used is no reason why Connect does not have this one
        one = None
    if one is None:
        return f"Connect has no connector {name}; `throughline connect status` lists those there are"
    if one.is_feed:
        return f"{name} is a feed, and no connector: Connect does not run it, `throughline feed {name}` does"
    return f"Connect has no connector {name} yet; `throughline connect apply {name}` makes it"


def _captures(one: Configuration, table: str) -> bool:
    return table_named(one, table) in one.captured_tables


def _listed(found: Iterable[Configuration]) -> str:
    return ", ".join(one.name for one in found) or "none"

"""The field tables of `docs/topics.md`, written from `derived.yaml`: `python -m schemas.pages`.

The page is written by hand but for what stands between the two marks; a test says when that is not current.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from schemas.generate import DERIVED_FILE
from schemas.kinds import DIGITS, Kind
from schemas.lined_yaml import PROJECT_ROOT, UnusableFile, load, shown
from schemas.mapping_file import DerivedFile, FieldEntry

PAGE = PROJECT_ROOT / "docs" / "topics.md"
BEGIN = "<!-- fields: written by `python -m schemas.pages` -->"
END = "<!-- end of fields -->"

_WORDS = {
    Kind.STRING: "text",
    Kind.BOOL: "true or false",
    Kind.INT: "whole number",
    Kind.MONEY: "money",
    Kind.RATE: "money an hour",
    Kind.FRACTION: "fraction of one",
    Kind.HOURS: "hours",
    Kind.EFFORT: "hours",
    Kind.MEASURE: "number",
    Kind.DATE: "date",
    Kind.TIMESTAMP: "time, UTC",
    Kind.CURRENCY: "currency code",
    Kind.PERIOD: "month YYYY-MM",
    Kind.STRINGS: "list of texts",
    Kind.LABELS: "texts by name",
    Kind.RECORD: "record",
    Kind.RECORDS: "list of records",
}


def field_tables(path: Path = DERIVED_FILE) -> str:
    """Return a section for each derived topic: what it carries, its key, and a table of all its fields.

    Raises UnusableFile if the descriptions cannot be used.
    """
    sections = []
    for topic, entry in load(path, DerivedFile).content.root.items():
        rows = "\n".join(_rows(entry.fields, ""))
        head = "| field | holds | null | meaning |\n|---|---|---|---|"
        sections.append(f"### {topic}\n\n{entry.doc}\n\nKey: {entry.key}.\n\n{head}\n{rows}\n")
    return "\n".join(sections)


def _rows(fields: Mapping[str, FieldEntry], prefix: str) -> Iterator[str]:
    for name, field in fields.items():
        null = "may be" if field.optional else ""
        meaning = field.doc.replace("|", "\\|")
        yield f"| `{prefix}{name}` | {_holds(field)} | {null} | {meaning} |"
        yield from _rows(field.fields, f"{prefix}{name}.")


def _holds(field: FieldEntry) -> str:
    if field.one_of:
        return f"one of {', '.join(field.one_of)}"
    if field.kind not in DIGITS:
        return _WORDS[field.kind]
    digits, scale = field.digits
    return f"{_WORDS[field.kind]}, decimal({digits},{scale})"


def current(page: str, where: str) -> str:
    """Return the text of a page with the tables of today between its marks.

    Raises UnusableFile naming the page if it lacks a mark.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UnusableFile([f"{where}: the lines {BEGIN!r} and {END!r} must stand in this order around the tables"])
    return f"{before}{BEGIN}\n\n{field_tables()}\n{END}{after}"


def write(path: Path = PAGE) -> bool:
    """Bring the page up to date; return whether it changed. Raises UnusableFile for a page without the marks."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise UnusableFile([f"{shown(path)}: cannot be read: {error.strerror}"]) from error
    wanted = current(text, shown(path))
    if wanted != text:
        path.write_text(wanted, "utf-8")
    return wanted != text


if __name__ == "__main__":
    print(f"{'wrote' if write() else 'is current:'} {shown(PAGE)}")

"""A table that was altered: what passes unnoticed, what is not read, and what somebody can say in the mapping."""

import base64
import gzip
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import Codec
from schemas.contracts import load_contracts
from schemas.debezium_writing import debezium_subject
from schemas.evolution import BrokenSchema, Reading, SchemaJudge
from schemas.mapping import Mappings, load_mappings
from schemas.registry import Recorded
from schemas.whole_rows import row_of
from streams.domain.fact import Cause
from streams.intake.change import Change, Refusal
from streams.intake.natives import NativeReader
from streams.intake.reading import Reader
from streams.sources import recorded_reader
from streams.step import Record
from tests.support.feed import Feed
from tests.support.streams import rulebook
from tests.support.tables import INTEGER, TEXT, ZONED, Table, numeric, schemas_file
from tests.support.tryton import mapping_in

pytestmark = pytest.mark.usefixtures("codec_path")

Alter = Callable[[Table], Table]
TRYTON = Path(__file__).parents[1] / "recordings" / "tryton"
ENTRIES, MILESTONES = "psa.public.time_entries", "psa.public.milestones"


def mapped(topic: str, column: str, **words: Any) -> Mappings:
    """The mappings shipped, in which a column of a topic is described by further words."""
    shipped = rulebook().mappings
    fields = tuple(replace(spec, **words) if spec.name == column else spec for spec in shipped.topics[topic].fields)
    return replace(shipped, topics={**shipped.topics, topic: replace(shipped.topics[topic], fields=fields)})


def judged(table: Table, mappings: Mappings | None = None) -> Reading:
    return SchemaJudge(mappings or rulebook().mappings)(table.topic, 17, table.schema)


@pytest.mark.parametrize("topic", [name for name in rulebook().mappings.topics if name.startswith("psa.")])
def test_tables_are_read_as_they_were_released(topic: str) -> None:
    schema = load_contracts()[debezium_subject(topic)].schema
    assert SchemaJudge(rulebook().mappings)(topic, 1, schema) == Reading(schema, {})


VARYING: Any = {
    "type": "record", "name": "VariableScaleDecimal", "connect.name": "io.debezium.data.VariableScaleDecimal",
    "fields": [{"name": "scale", "type": "int"}, {"name": "value", "type": "bytes"}],
}  # fmt: skip
MICROS: Any = {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"}

UNNOTICED: dict[str, Alter] = {
    "added, may be null": lambda table: table.add("note", TEXT),
    "added, not null": lambda table: table.add("priority", INTEGER, required=True),
    "added and dropped again": lambda table: table.add("note", TEXT).drop("note"),
    "wider": lambda table: table.retype("amount", numeric(24, 6)),
    "whole numbers for decimals": lambda table: table.retype("amount", "long"),
    "varying scale": lambda table: table.retype("amount", VARYING),
    "two of varying scale": lambda table: table.retype("amount", VARYING).retype("percent", VARYING["name"]),
    "char for text": lambda table: table.retype("name", {"type": "enum", "name": "Names", "symbols": ["A"]}),
    "without time zone": lambda table: table.retype("completed_at", MICROS),
}


@pytest.mark.parametrize("alter", UNNOTICED.values(), ids=UNNOTICED.keys())
def test_what_takes_nothing_away_passes_unnoticed(alter: Alter) -> None:
    table = alter(Table("milestones"))
    assert judged(table) == Reading(table.schema, {})


def test_an_optional_column_that_a_table_never_had_is_left_out_on_purpose() -> None:
    table = Table("milestones").drop("amount")
    without = {name: each for name, each in load_contracts().items() if name != debezium_subject(MILESTONES)}
    assert SchemaJudge(rulebook().mappings, contracts=without)(MILESTONES, 17, table.schema).refused == {}


def test_what_nobody_maps_is_read_as_it_is() -> None:
    table = Table("milestones").drop("amount")
    judge = SchemaJudge(rulebook().mappings)
    assert judge("shop.public.milestones", 17, table.schema) == Reading(table.schema, {})
    no_envelope = {"type": "record", "name": "Beat", "fields": [{"name": "ts_ms", "type": "long"}]}
    assert judge(MILESTONES, 17, no_envelope) == Reading(no_envelope, {})


BROKEN: list[tuple[str, Alter, tuple[str, ...], str]] = [
    ("time_entries", lambda t: t.drop("hours"), ("hours",), "has no column hours; it was numeric(9,4). Say"),
    ("time_entries", lambda t: t.rename("hours", "worked"), ("hours",),
     "has no column hours; it was numeric(9,4); new in it: worked (numeric(9,4)). Say"),
    ("time_entries", lambda t: t.retype("hours", TEXT), ("hours",),
     "has column hours as text, which cannot be read as hours; it was numeric(9,4). Say"),
    ("time_entries", lambda t: t.retype("hours", "double"), ("hours",), "has column hours as double precision, which"),
    ("time_entries", lambda t: t.retype("billable", TEXT), ("billable",), "as text, which cannot be read as bool"),
    ("time_entries", lambda t: t.retype("work_date", ZONED), ("work_date",), "as timestamptz, which cannot be read as"),
    ("time_entries", lambda t: t.retype("status", INTEGER), ("status",), "as integer, which cannot be read as string"),
    ("milestones", lambda t: t.drop("amount"), ("amount",), "has no column amount; it was numeric(20,4). Say"),
    ("milestones", lambda t: t.drop("amount").retype("due_date", {"type": "long", "connect.name":
     "io.debezium.time.MicroTime"}), ("amount", "due_date"), "as MicroTime, which cannot be read as date; it was date"),
    ("projects", lambda t: t.drop("id"), ("id",), "has no column id; it was text. Say"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "alter", "columns", "said"), BROKEN)
def test_what_takes_something_away_is_told_by_table_and_column_with_what_to_do(
    table: str, alter: Alter, columns: tuple[str, ...], said: str
) -> None:
    altered = alter(Table(table))
    with pytest.raises(BrokenSchema) as told:
        judged(altered)
    assert (told.value.topic, told.value.schema_id, told.value.columns) == (altered.topic, 17, columns)
    message = str(told.value)
    assert message.startswith(f"psa.public.{table}: table public.{table} has ")
    assert said in message
    assert "Say in the mapping (schemas/mappings/psa.yaml:" in message
    assert message.endswith(
        "where the values are now, by `formerly`, `text`, `dropped`; or put the column back, pass schema id 17 by "
        "contracts.passed_schemas and read the table anew: docs/operating.md#a-feed-is-held"
    )


def test_a_table_without_a_contract_does_not_say_what_was() -> None:
    judge = SchemaJudge(rulebook().mappings, contracts={"other": load_contracts()["exceptions"]})
    with pytest.raises(BrokenSchema, match=r"table public\.time_entries has no column hours\. Say"):
        judge(ENTRIES, 17, Table("time_entries").rename("hours", "worked").schema)


# -- what comes of it: bytes of a connector in, changes out


def entry(**fields: Any) -> Any:
    """A time entry of 8 hours, created."""
    return Feed().put(ENTRIES, id="T1", **fields)["value"]


def reader_of(table: Table, mappings: Mappings | None = None, passed: tuple[int, ...] = ()) -> Reader:
    mappings = mappings or rulebook().mappings
    codec = Codec(Recorded({17: table.schema}), judge=SchemaJudge(mappings, passed))
    return Reader(mappings, codec.decode_change)


def read(reader: Reader, table: Table, change: Any) -> Any:
    return reader.read(Record(table.topic, "P1", table.payload(17, change), 1_770_000_000_000, 0, 5))


def renamed(change: Any, column: str, name: str) -> Any:
    sides = {side: change[side] and {**change[side], name: change[side][column]} for side in ("before", "after")}
    return {**change, **sides}


def test_a_reader_in_service_is_stopped_at_the_first_record() -> None:
    table = Table("time_entries").drop("hours")
    reader = reader_of(table)
    for _ in range(2):
        with pytest.raises(BrokenSchema, match="has no column hours"):
            read(reader, table, entry())


def test_a_file_run_holds_nothing_back_and_refuses_a_row_that_lacks_a_column(tmp_path: Path) -> None:
    table = Table("time_entries").drop("hours")
    told = read(recorded_reader(rulebook(), schemas_file(tmp_path, {17: table})), table, entry())
    assert isinstance(told, Change)
    assert told.refusal is not None
    assert (told.id, told.row, told.refusal.kind) == ("T1", None, "validation_failed")
    assert "hours" in " ".join(told.refusal.reasons)


def test_a_column_is_read_under_the_name_that_it_has_now_and_those_before() -> None:
    mappings = mapped(ENTRIES, "hours", name="worked", formerly=("hours", "effort"))
    after, before = Table("time_entries").rename("hours", "worked"), Table("time_entries")
    long_before = Table("time_entries").rename("hours", "effort")
    for table, name in ((after, "worked"), (before, "hours"), (long_before, "effort")):
        change = read(reader_of(table, mappings), table, renamed(entry(), "hours", name))
        assert (change.refusal, str(change.row.hours)) == (None, "8.0000")


def test_a_column_that_is_written_as_text_is_read_where_the_mapping_says_so() -> None:
    table = Table("time_entries").retype("hours", TEXT)
    reader = reader_of(table, mapped(ENTRIES, "hours", text=True))
    assert str(read(reader, table, entry(hours="7.25")).row.hours) == "7.25"
    refused = Refusal("validation_failed", ("hours: 'a day' is no decimal number",))
    assert read(reader, table, entry(hours="a day")).refusal == refused


def test_a_column_that_is_gone_for_good_is_read_as_empty() -> None:
    table = Table("milestones").drop("amount")
    milestone = Feed().put(MILESTONES, id="M1", amount="100")["value"]
    change = read(reader_of(table, mapped(MILESTONES, "amount", dropped=True)), table, milestone)
    assert (change.refusal, change.row.amount) == (None, None)


@pytest.mark.parametrize(
    ("topic", "alter", "reason"),
    [
        (ENTRIES, lambda table: table.drop("hours"), "hours: a required field is missing"),
        (ENTRIES, lambda table: table.retype("hours", TEXT), "hours: a required field is missing"),
        (MILESTONES, lambda table: table.drop("amount"),
         "amount: ['not in schema id 17'] is no decimal: decimals are strings"),
    ],
)  # fmt: skip
def test_rows_that_are_let_through_are_refused_and_their_deletes_apply(topic: str, alter: Alter, reason: str) -> None:
    table, feed = alter(Table(topic.removeprefix("psa.public."))), Feed()
    reader = reader_of(table, passed=(17,))
    created, updated = (feed.put(topic, id="X", name=name)["value"] for name in ("a", "b"))
    deleted = feed.delete(topic, "X")["value"]
    for change in (created, updated):
        told = read(reader, table, change)
        assert (told.id, told.row, told.refusal) == ("X", None, Refusal("validation_failed", (reason,)))
        # It stays refused when it is looked at again, as after a change of the mapping.
        assert reader.again(topic, "P1", "X", told.raw, told.cause).refusal == told.refusal
    gone = read(reader, table, deleted)
    assert isinstance(gone, Change)
    assert (gone.id, gone.deleted, gone.refusal) == ("X", True, None)


def test_what_was_refused_under_a_former_name_is_read_again_under_the_new_one() -> None:
    mappings = mapped(ENTRIES, "hours", name="worked", formerly=("hours",))
    raw = entry(status="Approved")["after"]
    change = reader_of(Table("time_entries"), mappings).again(ENTRIES, "P1", "T1", raw, Cause(ENTRIES, 0, 5, 10, 0, 0))
    assert (change.refusal, str(change.row.hours)) == (None, "8")


# -- tables of a system's own design, which rows are assembled from

LINES = "tryton.public.timesheet_line"


def altered_lines(**names: str | None) -> Any:
    """The schema that Tryton's table of hours had in the recording, with columns renamed, or dropped."""
    with gzip.open(TRYTON / "feed.jsonl.gz") as lines:
        line = next(record for record in map(json.loads, lines) if record["topic"] == LINES)
    schema_id = int.from_bytes(base64.b64decode(line["value_base64"])[1:5])
    schema = deepcopy(Recorded.read(TRYTON / "schemas.json").schema(schema_id))
    row = row_of(schema)
    row["fields"] = [
        {**field, "name": name}
        for field in row["fields"]
        if (name := names.get(field["name"], field["name"])) is not None
    ]
    return schema


def test_tables_that_rows_are_assembled_from_are_judged_too(tmp_path: Path) -> None:
    judge = SchemaJudge(load_mappings(further=[mapping_in(tmp_path)]))
    as_recorded = altered_lines()
    assert judge(LINES, 17, as_recorded) == Reading(as_recorded, {})
    without_what_nobody_needs = altered_lines(uuid=None)
    assert judge(LINES, 17, without_what_nobody_needs) == Reading(without_what_nobody_needs, {})
    with pytest.raises(BrokenSchema, match=r"table public\.timesheet_line has no column duration\. Say") as told:
        judge(LINES, 17, altered_lines(duration="effort"))
    assert (told.value.topic, told.value.columns) == (LINES, ("duration",))


def test_a_column_of_theirs_is_read_under_its_names_of_before_or_refused_where_it_is_let_through(
    tmp_path: Path,
) -> None:
    words = ("  rows:\n", f"  formerly: {{{LINES}: {{duration: [effort]}}}}\n  rows:\n")
    mappings = load_mappings(further=[mapping_in(tmp_path, edit=words)])
    renamed = altered_lines(duration="effort")
    assert SchemaJudge(mappings)(LINES, 17, renamed) == Reading(altered_lines(), {})
    refused = SchemaJudge(mappings, passed=[17])(LINES, 17, altered_lines(duration=None)).refused
    assert refused == {"duration": ["not in schema id 17"]}
    native = NativeReader(mappings.assemblies[0].tables[LINES])
    row = {**dict.fromkeys(mappings.assemblies[0].tables[LINES].columns), "id": 4, **refused}
    told = native.change("4", row, False, Cause(LINES, 0, 5, 10, 0, 0)).refusal
    assert told is not None
    assert (told.kind, len(told.reasons)) == ("validation_failed", 1)
    assert told.reasons[0].startswith("duration: ['not in schema id 17'] is list")

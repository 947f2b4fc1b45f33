"""What a mapping file says of assembly: the file shipped, and what a slip in one is answered with."""

from pathlib import Path

import pytest

from schemas.lined_yaml import UnusableFile, shown
from schemas.mapping import load_mappings
from streams.config import load
from streams.engine.topic_commands import mapped_topics
from streams.engine.topic_setup import wanted_topics
from tests.support.tryton import CROSSWALK, SHIPPED, mapping_in

TABLES = {
    "company_company": "currency id",
    "company_employee": "create_date id party write_date",
    "currency_currency": "code id",
    "party_party": "create_date id name write_date",
    "project_work": "company create_date id name parent party path status type write_date",
    "timesheet_line": "create_date date duration employee id invoice_line work write_date",
    "timesheet_work": "id origin",
}
"""Which columns of which tables are asked for: what the connector must bring, and no more."""


def test_the_mapping_shipped_asks_for_these_columns() -> None:
    (assembly,) = load_mappings(further=[SHIPPED]).assemblies
    asked = {topic.removeprefix("tryton.public."): " ".join(table.columns) for topic, table in assembly.tables.items()}
    assert asked == TABLES
    assert (assembly.system, assembly.namespace) == ("tryton", "tryton")


def test_without_it_nobody_reads_a_topic_of_tryton() -> None:
    mappings = load_mappings()
    assert (mappings.assemblies, mappings.assembled, mappings.native_topics) == ((), frozenset(), ())
    assert not [topic for topic in mappings.topics if topic.startswith("tryton")]


def test_fingerprints_change_with_the_mapping_and_with_the_crosswalk(tmp_path: Path) -> None:
    shipped = load_mappings().fingerprint
    plain = load_mappings(further=[mapping_in(tmp_path / "a")])
    other_words = load_mappings(further=[mapping_in(tmp_path / "b", edit=("version: 1", "version: 2"))])
    other_ids = load_mappings(further=[mapping_in(tmp_path / "c", {**CROSSWALK, "accounts": {"9": "A9"}})])
    of_files = [mappings.assemblies[0].fingerprint for mappings in (plain, other_words, other_ids)]
    assert len(set(of_files)) == 3
    assert load_mappings().fingerprint == shipped


ENTRIES = "tryton.time_entries"
FAULTS = [
    ("  rows:\n", "  formerly: {tryton.public.project_work: {title: [name]}}\n  rows:\n", "title: [name]",
     "tryton.public.project_work: no row is assembled from column 'title'"),
    ("  rows:\n", "  formerly: {tryton.public.project_work: {name: [path]}}\n  rows:\n", "name: [path]",
     "tryton.public.project_work: 'path' is a column of its own"),
    ("  rows:\n", "  formerly: {tryton.public.sale_sale: {name: [title]}}\n  rows:\n", "name: [title]",
     "tryton.public.sale_sale: no row is assembled from column 'name'"),
    ("namespace: tryton", "namespace: 7", "namespace: 7", "Input should be a valid string"),
    ("tryton.clients:\n      table", "tryton.customers:\n      table", "tryton.customers:",
     "tryton.customers: is not among `topics` as `like` a topic that is described"),
    ("table: tryton.public.timesheet_line", "table: psa.public.clients", "tryton.time_entries:\n",
     f"{ENTRIES}: psa.public.clients is a mapped topic: rows are assembled from tables that no mapping reads"),
    ("{absent: parent}", "{absent: task.parent}", "where: [{absent: task.parent}",
     "tryton.projects: 'task.parent': a condition is on a column of tryton.public.project_work itself"),
    ("by: {column: work.origin", "by: {column: job.origin", "task: {table",
     f"{ENTRIES}: 'job.origin': no lookup 'job' stands before 'task'"),
    ("{column: currency.code}", "{column: money.code}", "currency: {column: money.code}",
     "tryton.projects: 'money.code': there is no lookup 'money'"),
    ("hours: {column: duration}", "ours: {column: duration}", "ours: {column",
     f"{ENTRIES}: rows like psa.public.time_entries have no field 'ours'"),
    ("        stage: {column: status}\n", "",
     "      fields:\n        id: {id: id}\n        name: {column: name}\n        client_id",
     "tryton.projects: 'stage' is missing, which rows like psa.public.projects need"),
    ("name: {column: party.name}", "name: {absent: party.name}", "name: {absent: party.name}",
     "tryton.resources: name is string: `absent` says true or false"),
    ("work_date: {column: date}", "work_date: {id: date}", "work_date: {id: date}",
     f"{ENTRIES}: work_date is date: an id is a string"),
    ("project_id: {id: {column: task.path, first_of: /}}", "project_id: {column: task.path}", "project_id: {column",
     f"{ENTRIES}: project_id tells rows apart: it must be an `id`, or meets ids of other systems"),
    ("{crosswalk: {regions: company}}", "{crosswalk: {areas: company}}", "region: {crosswalk",
     "tryton.projects: the crosswalk has no table 'areas'"),
    ("{known: {accounts: id}}", "{known: {clients: id}}", "where: [{known: {clients",
     "tryton.clients: the crosswalk has no table 'clients'"),
    ("hours: {column: duration}", "hours: {column: duration, constant: 8}", "hours: {column: duration, constant",
     "a field comes about in one way of column, id, constant, first, absent, crosswalk, not in 2"),
    ("hours: {column: duration}", "hours: {}", "hours: {}",
     "a field comes about in one way of column, id, constant, first, absent, crosswalk, not in 0"),
    ("work_date: {column: date}", "work_date: {column: date, unit: hours}", "work_date: {column: date, unit",
     f"{ENTRIES}: work_date is date: only hours have a unit"),
    ("id: {id: id}", "id: {id: id, unit: hours}", "id: {id: id, unit", "only a column has a unit"),
    ("{absent: parent}", "{absent: parent, equals: {type: task}}", "where: [{absent: parent, equals",
     "a condition says one of absent, equals, known, of one column"),
    ("{column: task.path, first_of: /}", "{column: task.path, first_of: /, model: x}", "project_id: {id",
     "a reference has a model or is the first of a path, not both"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "place", "said"), FAULTS)
def test_a_slip_is_named_with_file_and_line(tmp_path: Path, old: str, new: str, place: str, said: str) -> None:
    mapping = mapping_in(tmp_path, edit=(old, new))
    with pytest.raises(UnusableFile) as refused:
        load_mappings(further=[mapping])
    line = mapping.read_text("utf-8").split(place)[0].count("\n") + 1
    (fault,) = [fault for fault in refused.value.faults if said in fault]
    assert fault.startswith(f"{shown(mapping)}:{line}: "), line


def test_a_crosswalk_of_another_system_is_refused(tmp_path: Path) -> None:
    mapping = mapping_in(tmp_path)
    crosswalk = tmp_path / "crosswalk.yaml"
    crosswalk.write_text(crosswalk.read_text().replace("system: tryton", "system: odoo"))
    with pytest.raises(UnusableFile, match=r"crosswalk.yaml:1: system 'odoo' is not 'tryton', whose mapping names"):
        load_mappings(further=[mapping])


def test_a_crosswalk_that_is_not_there_or_holds_numbers_is_refused(tmp_path: Path) -> None:
    mapping = mapping_in(tmp_path)
    crosswalk = tmp_path / "crosswalk.yaml"
    crosswalk.write_text(crosswalk.read_text().replace('"1": AT1', "1: AT1"))
    with pytest.raises(UnusableFile, match=r"crosswalk.yaml:6: tables.accounts.1: Input should be a valid string"):
        load_mappings(further=[mapping])
    crosswalk.unlink()
    with pytest.raises(UnusableFile, match=r"crosswalk.yaml: cannot be read"):
        load_mappings(further=[mapping])


def test_topics_are_made_for_tables_for_what_is_assembled_and_for_lookups() -> None:
    settings = load(None, contracts={"further_mappings": [SHIPPED]})
    further, between = mapped_topics(settings)
    made = {topic.name: topic.config.get("retention.ms") for topic in wanted_topics(settings, further, (), between)}
    for_good, week_ms = "-1", str(7 * 24 * 60 * 60 * 1000)
    added = {name: kept for name, kept in made.items() if name.startswith(("tryton", "assembly"))}
    assert added == {
        **{f"tryton.public.{table}": for_good for table in TABLES},
        **{f"tryton.{row}": week_ms for row in ("clients", "resources", "projects", "time_entries")},
        "assembly.lookups": week_ms,
    }
    plain = {topic.name for topic in wanted_topics(load(None), *mapped_topics(load(None)))}
    assert made.keys() - plain == added.keys()


def test_two_systems_share_neither_tables_nor_a_namespace(tmp_path: Path) -> None:
    other = mapping_in(tmp_path / "other")
    odoo = other.rename(other.with_name("odoo.yaml"))
    odoo.write_text(odoo.read_text().replace("system: tryton", "system: odoo").replace("  tryton.", "  odoo."))
    crosswalk = other.with_name("crosswalk.yaml")
    crosswalk.write_text(crosswalk.read_text().replace("system: tryton", "system: odoo"))
    with pytest.raises(UnusableFile) as refused:
        load_mappings(further=[SHIPPED, odoo])
    place = f"{shown(odoo)}:{odoo.read_text().splitlines().index('assembly:') + 1}"
    assert f"{place}: namespace 'tryton' is that of tryton, too" in refused.value.faults
    assert f"{place}: tryton.public.party_party is a table of tryton, too" in refused.value.faults


def test_the_same_system_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match=r"system 'tryton' is mapped in tryton.yaml too"):
        load_mappings(further=[SHIPPED, mapping_in(tmp_path)])

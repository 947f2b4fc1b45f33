"""The format of a batch: written, read back, and refused when it is not what it says."""

import hashlib
from decimal import Decimal
from pathlib import Path

import pytest

from streams.sinks.batch_file import Batch, parse_batch, read_batch, render_batch
from streams.sinks.contract import Skippable
from streams.sinks.durable_files import BadFile, checksum_of
from streams.sinks.file_exchange import FileExchange
from tests.contract.station import NOON, Item, money_posting
from tests.contract.targets import MIXED, SYSTEM, postings

HEAD = (
    "columns,line,posting_id,trigger_id,kind,source_kind,source_id,revision,reverses,contract_number,project_id,"
    "client_id,legal_entity,erp_customer_id,service_date,posting_period,billing_code,tax_code,po_number,quantity,rate,"
    "amount,currency"
)
GOLDEN = f"""\
header,1,legacy-erp,00000001,2026-03-01T12:00:00.000Z
{HEAD}
detail,1,ID1,00000000-0000-5000-8000-000000000001,time,time_entry,T1,0,,C1,P-C1,A1,LE1,CU1,2026-02-03,2026-02,\
"CONS, senior",DE-19,,1.5000,66.67,1250.50,EUR
detail,2,ID2,00000000-0000-5000-8000-000000000002,time,time_entry,T2,0,,C2,P-C2,A1,LE1,CU1,2026-02-03,2026-02,\
"CONS, senior",DE-19,,1.5000,66.67,180000,JPY
detail,3,ID3,00000000-0000-5000-8000-000000000003,time,time_entry,T3,1,00000000-0000-5000-8000-000000000001,C1,P-C1,A1,\
LE1,CU1,2026-02-03,2026-02,"CONS, senior",DE-19,,1.5000,66.67,-1250.50,EUR
detail,4,ID4,00000000-0000-5000-8000-000000000004,time,time_entry,T4,0,,C3,P-C3,A1,LE1,CU1,2026-02-03,2026-02,\
"CONS, senior",DE-19,,1.5000,66.67,12.345,KWD
detail,5,ID5,00000000-0000-5000-8000-000000000005,time,time_entry,T5,0,,C3,P-C3,A1,LE1,CU1,2026-02-03,2026-02,\
"CONS, senior",DE-19,,1.5000,66.67,0.10,EUR
control,EUR,3,0.10
control,JPY,1,180000
control,KWD,1,12.345
trailer,00000001,5,3
"""


def golden() -> str:
    text = GOLDEN
    for item in MIXED:
        text = text.replace(f"ID{item.number},", f"{money_posting(item, SYSTEM).posting_id},")
    return text


def test_a_batch_reads_like_this(tmp_path: Path) -> None:
    sink = FileExchange(tmp_path, SYSTEM)
    sink.post(postings(MIXED), NOON)
    path = tmp_path / SYSTEM / "outbound" / "legacy-erp-00000001.csv"
    assert path.read_text() == golden()
    digest = hashlib.sha256(golden().encode()).hexdigest()
    assert checksum_of(path).read_text() == f"{digest}  legacy-erp-00000001.csv\n"
    assert sorted(item.name for item in path.parent.iterdir()) == [
        ".highest", ".lock", "legacy-erp-00000001.csv", "legacy-erp-00000001.csv.sha256",
    ]  # fmt: skip


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    sink = FileExchange(tmp_path, SYSTEM)
    sink.post(postings(MIXED), NOON)
    batch = read_batch(sink.batch_path(1))
    assert batch.postings == tuple(postings(MIXED))
    assert (batch.system, batch.number, batch.created_at) == (SYSTEM, 1, NOON)
    assert batch.totals == {"EUR": (3, Decimal("0.10")), "JPY": (1, Decimal(180000)), "KWD": (1, Decimal("12.345"))}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1250.50,EUR\ndetail,2", "1250.51,EUR\ndetail,2", ":10: control totals are EUR 0.10 in 3, JPY 180000 in 1, "
         "KWD 12.345 in 1, the lines add up to EUR 0.11 in 3, JPY 180000 in 1, KWD 12.345 in 1"),
        ("control,JPY,1,180000\n", "", ":9: control totals are EUR 0.10 in 3, KWD 12.345 in 1, the lines add up to"),
        ("control,JPY,1,180000", "control,EUR,1,180000", ":9: a second control total for EUR"),
        ("trailer,00000001,5,3\n", "", ":11: expected a trailer line, found 'nothing': the file is cut or mixed up"),
        ("trailer,00000001,5,3", "trailer,00000002,5,3", ":11: the trailer says 00000002,5,3, the lines 00000001,5,3"),
        ("trailer,00000001,5,3\n", "trailer,00000001,5,3\ntrailer,00000001,5,3\n", ":11: lines follow the trailer"),
        ("header,1,", "header,2,", ":1: format version '2' is not known here, only 1"),
        ("header,1,legacy-erp,", "header,1,", ":1: a header line has 5 fields, this one 4"),
        ("00:00.000Z", "00:00", ":1: '2026-03-01T12:00:00' has no time zone"),
        ("2026-03-01T12:00:00.000Z", "noon", ":1: 'noon' is no time in RFC 3339"),
        ("header,1,legacy-erp,00000001", "header,1,legacy-erp,one", ":1: 'one' is no whole number"),
        ("columns,line,posting_id", "columns,line,id", ":2: columns must be line,posting_id,"),
        ("detail,3,", "detail,4,", ":5: detail line '4' must be 3"),
        ("12.345,KWD\ndetail", "NaN,KWD\ndetail", ":6: amount: Input should be a finite number"),
        ("2026-02-03,2026-02", "2026-02-31,2026-02", ":3: service_date: Input should be a valid date"),
        ('"CONS, senior",DE-19', '"CONS, senior,DE-19', ": no CSV in UTF-8: ',' expected after"),
        ("control,EUR,3,0.10", "control,EUR,3,ten", ":8: 'ten' is no amount"),
        ("control,EUR,3,0.10", "control,EUR,3,Infinity", ":8: 'Infinity' is no amount"),
    ],
)  # fmt: skip
def test_a_batch_that_is_not_what_it_says_is_refused(old: str, new: str, message: str) -> None:
    text = golden()
    assert old in text
    with pytest.raises(BadFile) as raised:
        parse_batch(text.replace(old, new, 1).encode(), "b.csv")
    assert str(raised.value).startswith(f"b.csv{message}")


def test_a_batch_without_its_checksum_or_with_another_is_refused(tmp_path: Path) -> None:
    sink = FileExchange(tmp_path, SYSTEM)
    sink.post(postings(MIXED), NOON)
    path = sink.batch_path(1)
    path.write_text(golden().replace("senior", "junior"))
    with pytest.raises(BadFile, match=r"does not match legacy-erp-00000001\.csv\.sha256; have it sent again"):
        read_batch(path)
    checksum_of(path).unlink()
    with pytest.raises(BadFile, match=r"its checksum legacy-erp-00000001\.csv\.sha256 is missing"):
        read_batch(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"amount": "10.001"}, "amount 10.001 has more digits than EUR has (smallest unit 0.01)"),
        ({"amount": "10.5", "currency": "JPY"}, "amount 10.5 has more digits than JPY has (smallest unit 1)"),
        ({"amount": "1.2345", "currency": "KWD"}, "amount 1.2345 has more digits than KWD has (smallest unit 0.001)"),
        ({"currency": "eur"}, "currency 'eur' is no ISO 4217 code"),
    ],
)
def test_a_posting_that_does_not_fit_is_skipped_and_nothing_written(
    tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    sink = FileExchange(tmp_path, SYSTEM)
    wrong = money_posting(Item(1, **{"amount": "1", **change}), SYSTEM)  # type: ignore[arg-type]
    with pytest.raises(Skippable) as raised:
        sink.post([*postings(MIXED[1:2]), wrong], NOON)
    assert raised.value.reasons == {wrong.posting_id: reason}
    assert not sink.batch_path(1).exists()


@pytest.mark.parametrize("sign", ["\n", "\r", "\x00", "\x85", "\u2028", "\ud800"])
def test_a_line_break_in_a_field_is_skipped(tmp_path: Path, sign: str) -> None:
    wrong = money_posting(Item(1, f"C{sign}1"), SYSTEM)
    with pytest.raises(Skippable, match="contract_number holds a control character"):
        FileExchange(tmp_path, SYSTEM).post([wrong], NOON)


def test_commas_quotes_and_foreign_letters_survive(tmp_path: Path) -> None:
    sink = FileExchange(tmp_path, SYSTEM)
    [posting] = postings([Item(1, 'C"1", Größe\u00a0漢字;=1+1')])
    sink.post([posting], NOON)
    assert read_batch(sink.batch_path(1)).postings == (posting,)


def test_amounts_have_the_digits_of_their_currency() -> None:
    items = [Item(1, amount="7"), Item(2, amount="7.000", currency="JPY"), Item(3, amount="7", currency="KWD")]
    content = render_batch(Batch(SYSTEM, 1, NOON, tuple(postings(items)))).decode()
    assert [line.split(",")[-2:] for line in content.splitlines() if line.startswith("detail")] == [
        ["7.00", "EUR"], ["7", "JPY"], ["7.000", "KWD"],
    ]  # fmt: skip


def test_a_system_must_be_able_to_name_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="use small letters, digits and hyphens"):
        FileExchange(tmp_path, "../ERP")

"""ERP objects: overlap, order, keys that change, marks of deletion, and pages that lead elsewhere."""

from collections.abc import Iterator

import pytest

from connect.configuration import UnusableConfiguration
from connect.feeds.contract import Fatal, position
from tests.contract.feeds.program import Program
from tests.contract.feeds.station import NOON, Station, to_seconds
from tests.contract.feeds.subjects import ErpList, ErpOdata, ErpOffset, ErpThin, ErpUnordered, Invoices


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    made = Program("tests.contract.feeds.erp_simulator")
    yield made
    made.stop()


@pytest.fixture(params=[ErpOdata, ErpOffset])
def invoices(program: Program, request: pytest.FixtureRequest) -> Invoices:
    made: Invoices = request.param(program)
    return made


def put(subject: Invoices, number: int, now: int, **changed: object) -> None:
    subject.order("put", number, {**subject.record(number, 1, now), **changed})


def ops(run: Station) -> list[tuple[str, str]]:
    return [(change.op, change.key) for change in run.topics.changes]


def test_what_is_booked_late_within_the_overlap_is_not_missed(invoices: Invoices) -> None:
    run = Station(invoices.configuration())
    invoices.put(1, 1, run.tick(1_000))
    run.poll()
    invoices.put(2, 1, run.now - 200_000)  # its time is before that of what is known
    run.poll(2)
    assert run.topics.rows() == invoices.rows()
    assert len(run.topics.changes) == 2


CUSTOMERS = {
    "style": "odata",
    "objects": "Customer",
    "Customer.path": "/data/CustomersV3",
    "Customer.params": "cross-company=true",
    "Customer.modified": "ModifiedDateTime",
    "Customer.fields": "Id=CustomerAccount, CrmAccountId=Party, LegalEntity='LE-1', Status='Active'",
}


def test_what_was_read_in_the_overlap_is_forgotten_behind_it(program: Program) -> None:
    subject = ErpOdata(program)
    login = {key: value for key, value in subject.configuration().items() if not key.startswith(("Invoice", "obj"))}
    run = Station({**login, **CUSTOMERS, "overlap.ms": "200000"})  # a record comes every 90 s
    for number in range(8):
        changed = to_seconds(run.tick(30))
        record = {"CustomerAccount": f"K{number}", "Party": "A1", "ModifiedDateTime": changed}
        program.order("put", id=f"CustomersV3/{number}", record=record)
        run.poll()
    kept = [key for key in run.topics.memory if key.startswith("Customer/row/")]
    assert sorted(kept) == [f"Customer/row/K{number}" for number in (5, 6, 7)]
    assert len(run.topics.changes) == 8


def test_a_row_whose_key_may_change_is_remembered_however_old_it_is(program: Program) -> None:
    subject = ErpOffset(program)
    run = Station({**subject.configuration(), "overlap.ms": "60000"})
    put(subject, 1, run.tick(1), Project="P1")
    run.poll()
    put(subject, 2, run.tick(3_600), Project="P2")
    run.poll()
    put(subject, 1, run.tick(3_600), Project="P7")
    run.poll()
    assert ops(run) == [("r", "P1"), ("c", "P2"), ("d", "P1"), ("c", "P7")]


def test_a_record_that_moves_into_the_page_before_is_not_missed(program: Program) -> None:
    subject = ErpUnordered(program)
    run = Station({key: value for key, value in subject.configuration().items() if ".Lines." not in key})
    for number in range(8):
        subject.put(number, 1, run.tick(1.3))
    # After the first page one record of it goes and an old one comes: there are as many as before.
    late = subject.record(9, 1, NOON - 5_000)
    orders = [{"do": "remove", "id": "7"}, {"do": "put", "id": "9", "record": late}]
    program.order("meanwhile", pages=1, orders=orders)
    run.tick(2)
    run.poll()
    assert {(change.after or {})["Id"] for change in run.topics.changes} == {f"I{number}" for number in (*range(8), 9)}
    run.topics.verify_once()


def test_several_pages_are_read_once_more_and_a_single_one_is_not(program: Program) -> None:
    subject = ErpUnordered(program)
    run = Station({**subject.configuration(), "overlap.ms": "0"})
    for number in range(4):
        subject.put(number, 1, run.tick(1.3))
    run.tick(2)
    run.poll()
    lists = [each["params"]["offset"] for each in program.order("asked") if each["path"] == "/rest/unordered"]
    assert lists == ["0", "3", "0", "3"]
    subject.put(5, 1, run.tick(60))
    run.tick(2)
    run.poll()
    lists = [each["params"]["offset"] for each in program.order("asked") if each["path"] == "/rest/unordered"]
    assert lists[4:] == ["0"]


def test_versions_within_one_second_all_land(invoices: Invoices) -> None:
    run, now = Station(invoices.configuration()), NOON + 5_000
    run.tick(6)
    for version in (1, 2, 3):
        invoices.put(1, version, now)
        run.poll()
    assert [change.position - position(now) for change in run.topics.changes] == [0, 1, 2]
    assert run.topics.rows() == invoices.rows()


def test_more_changes_of_one_second_than_a_page_holds_all_land(invoices: Invoices) -> None:
    run, now = Station({**invoices.configuration(), "page.size": "2"}), NOON + 5_000
    invoices.put(20, 1, now - 3_000)
    for number in range(11):
        invoices.put(number, 1, now)
    invoices.put(21, 1, now + 2_000)
    run.tick(60)
    run.poll(2)
    assert run.topics.rows() == invoices.rows()
    run.topics.verify_once()


def test_a_clock_that_is_ahead_makes_nothing_else_look_old(invoices: Invoices) -> None:
    run = Station(invoices.configuration())
    invoices.put(1, 1, NOON + 86_400_000)
    run.poll()
    invoices.put(2, 1, run.tick(30))
    run.tick(5)
    run.poll(2)
    assert run.topics.rows() == invoices.rows()
    assert len(run.topics.changes) == 2


def test_an_invoice_that_changes_its_project_is_deleted_there_and_created_here(invoices: Invoices) -> None:
    run = Station(invoices.configuration())
    put(invoices, 1, run.tick(1), Project="P1")
    run.poll()
    put(invoices, 1, run.tick(60), Project="P7")
    run.tick(2)
    run.poll()
    assert ops(run)[1:] == [("d", "P1"), ("c", "P7")]
    gone, made = run.topics.changes[1:]
    assert gone.position == made.position
    assert gone.before == {"Id": "I1", "ProjectId": "P1"}


def test_amounts_are_never_floats(invoices: Invoices) -> None:
    run = Station(invoices.configuration())
    lines = [{"Line": "1-1", "Amount": 1234567890.1234, "Trigger": "b953b9c8"}]
    put(invoices, 1, run.tick(1), Lines=lines)
    run.poll()
    assert (run.topics.changes[0].after or {})["Lines"][0]["Amount"] == "1234567890.1234"


def test_a_record_that_cannot_be_read_is_a_reject_once(invoices: Invoices) -> None:
    run = Station(invoices.configuration())
    put(invoices, 1, run.tick(1), Project=None)
    put(invoices, 2, run.tick(1), Modified="yesterday-ish")
    invoices.put(3, 1, run.tick(1))
    run.tick(2)
    run.poll(3)
    assert [key for _, key in ops(run)] == ["P0"]
    assert sorted(reject.message for reject in run.topics.rejects) == [
        "'yesterday-ish' is no time: Invalid isoformat string: 'yesterday-ish'",
        "ProjectId is missing, without which no row of erp.Invoice is known",
    ]


def test_the_first_reading_goes_on_where_it_was_stopped(program: Program) -> None:
    subject = ErpOdata(program)
    run = Station({**subject.configuration(), "Invoice.compare.interval.ms": "0"})
    for number in range(12):
        subject.put(number, 1, run.tick(400))
    run.tick(2)
    program.order("fault", kind="status", status=503, after=2)
    run.poll()
    assert run.topics.rows() == subject.rows()
    filters = [request["params"].get("$filter", "") for request in program.order("asked")]
    assert filters[0] == ""
    assert filters[3] > f"Modified ge {to_seconds(NOON + 400_000)}"  # not from the beginning
    assert {change.op for change in run.topics.changes} == {"r"}


def test_a_page_at_another_host_is_not_asked_for(program: Program) -> None:
    subject = ErpOdata(program)
    run = Station(subject.configuration())
    link = {"value": [], "@odata.nextLink": "http://elsewhere.example/data"}
    program.order("fault", kind="status", status=200, body=link)
    with pytest.raises(Fatal, match=r"the next page is at another host, http://elsewhere\.example/data"):
        run.poll()


def test_a_record_that_goes_between_list_and_detail_stops_nothing(program: Program) -> None:
    subject = ErpThin(program)
    run = Station(subject.configuration())
    for number in range(3):
        subject.put(number, 1, run.tick(1.3))
    run.tick(2)
    program.order("meanwhile", pages=1, orders=[{"do": "remove", "id": "1"}])
    subject._rows.pop("I1")
    run.poll(2)
    assert run.topics.rows() == subject.rows()
    assert run.told.failures == []


def test_a_detail_that_is_never_there_ends_the_feed(program: Program) -> None:
    subject = ErpThin(program)
    run = Station({**subject.configuration(), "Invoice.detail": "/rest/nowhere/{InvoiceId}"})
    for number in range(3):
        subject.put(number, 1, run.tick(1.3))
    with pytest.raises(Fatal, match="404: NotFound no resource /rest/nowhere/I2"):
        run.poll()


def test_an_api_that_does_not_keep_to_the_order_is_found_out_before_anything_is_missed(program: Program) -> None:
    subject = ErpOffset(program)
    run = Station({**subject.configuration(), "Invoice.path": "/rest/unordered"})
    for number in range(8):
        subject.put(number, 1, run.tick(1.3))
    with pytest.raises(Fatal, match=r"the answer is not in the order of Modified: correct order\.parameter"):
        run.poll()


def test_an_api_that_knows_no_offset_is_found_out(program: Program) -> None:
    subject = ErpOffset(program)
    run = Station({**subject.configuration(), "Invoice.path": "/rest/ignorant", "order.parameter": ""})
    for number in range(8):
        subject.put(number, 1, run.tick(1.3))
    with pytest.raises(Fatal, match=r"each page is the first one; correct offset\.parameter"):
        run.poll()


def test_an_answer_without_a_list_ends_the_feed(program: Program) -> None:
    subject = ErpList(program)
    program.order("fault", kind="status", status=200, body={"items": []})
    with pytest.raises(Fatal, match=r"the answer has no list as a whole; correct items\.path or style"):
        Station(subject.configuration()).poll()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"objects": "Invoice, Order"}, "Order.path: Field required"),
        ({"objects": ""}, "Invoice.path: there is no such setting; remove it or correct its name"),
        ({"Invoice.path": "data"}, "Invoice.path: String should match pattern"),
        ({"Invoice.deleted": "IsDeleted"}, "deleted: write path=value"),
        ({"Invoice.fields": "Id=x"}, "Invoice.fields: ProjectId is missing"),
        ({"Invoice.colour": "red"}, "Invoice.colour: there is no such setting"),
        ({"Customer.path": "/x"}, "Customer.path: there is no such setting"),
        ({"style": "soap"}, "style: Input should be 'odata', 'offset' or 'list'"),
        (
            {"filter.text": "{nme} > {since}"},
            "filter.text: '{nme} > {since}' cannot be filled; in braces may stand name",
        ),
        ({"order.text": "{"}, "order.text: '{' cannot be filled"),
        ({"url": "http://127.0.0.1:99999"}, "url: Port out of range 0-65535"),
        ({"auth.token.url": "http://127.0.0.1:x/token"}, "auth.token.url: Port could not be cast to integer value"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_with_its_key(
    program: Program, settings: dict[str, str], said: str
) -> None:
    with pytest.raises(UnusableConfiguration) as refused:
        Station({**ErpOdata(program).configuration(), **settings}).poll()
    assert said in str(refused.value)

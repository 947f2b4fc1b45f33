"""The contract suite: what every doer must do, whatever the system that it works in."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from outside.errors import Fatal, Retriable, Skippable
from streams.doers.contract import Doer, Made, Undone
from tests.contract.doers.bench import Subject, Systems, order_for


def makes(doer: Doer, subject: Subject, opportunity: str = "O1", in_doubt: bool = False) -> Made:
    return doer.make(order_for(subject.step, opportunity), in_doubt)


class DoerContract:
    """Holds for every doer. A subclass gives the fixture `subject`, over systems where nothing is yet."""

    def test_what_is_ordered_is_made_once_however_often_it_is_asked_for(self, subject: Subject) -> None:
        doer = subject.open()
        first = makes(doer, subject)
        assert first.own
        assert first.reference
        if not subject.in_doubt:  # whoever cannot ask is called again only if it is in doubt
            assert makes(doer, subject) == first
        assert makes(subject.open(), subject, in_doubt=True) == first
        assert subject.there() == ["O1"]
        doer.close()

    def test_each_deal_has_its_own(self, subject: Subject) -> None:
        doer = subject.open()
        deals = [f"O{number}" for number in range(1, 9)]
        with ThreadPoolExecutor(4) as threads:
            made = list(threads.map(lambda deal: makes(doer, subject, deal), deals))
        assert len({each.reference for each in made}) == len(deals)
        assert sorted(subject.there()) == deals

    def test_nothing_to_undo(self, subject: Subject) -> None:
        if subject.undoes:
            assert subject.open().undo(order_for(subject.step)) is Undone.NOT_THERE

    def test_what_was_made_is_taken_back_once(self, subject: Subject) -> None:
        doer = subject.open()
        makes(doer, subject)
        if not subject.undoes:
            assert doer.undo(order_for(subject.step)) is Undone.IN_USE
            assert subject.there() == ["O1"]
            return
        assert doer.undo(order_for(subject.step)) is Undone.CLOSED
        assert doer.undo(order_for(subject.step)) is Undone.CLOSED
        assert subject.there() == []


class ShellContract:
    """Holds for every doer that makes projects."""

    def test_a_project_that_was_taken_back_is_taken_up_again(self, subject: Subject) -> None:
        doer = subject.open()
        first = makes(doer, subject)
        doer.undo(order_for(subject.step))
        assert makes(doer, subject) == first
        assert subject.there() == ["O1"]

    def test_a_project_in_which_somebody_works_is_left(self, subject: Subject) -> None:
        doer = subject.open()
        makes(doer, subject)
        assert subject.touch is not None
        subject.touch()
        assert doer.undo(order_for(subject.step)) is Undone.IN_USE
        assert subject.there() == ["O1"]

    def test_a_client_that_is_not_there_is_a_refusal_that_says_so(self, subject: Subject) -> None:
        with pytest.raises(Skippable, match="A9"):
            subject.open().make(order_for(subject.step, client_id="A9"), False)
        assert subject.there() == []

    def test_a_deal_that_is_given_another_contract_is_a_persons(self, subject: Subject) -> None:
        doer = subject.open()
        makes(doer, subject)
        with pytest.raises(Skippable, match="contract"):
            doer.make(order_for(subject.step, contract_number="C-O7"), False)
        assert subject.there() == ["O1"]


class WebContract:
    """Holds for every doer that speaks HTTP: what becomes of failures on the way."""

    @pytest.mark.parametrize("fault", ["lost", "broken_after", "dropped", "broken", "garbled"])
    def test_after_an_answer_that_was_lost_it_is_there_once(
        self, subject: Subject, systems: Systems, fault: str
    ) -> None:
        doer = subject.open()
        systems.order(faults=[[fault, 1]])
        with suppress(Retriable):  # where nobody reads it, an answer that is cut off is one
            makes(doer, subject)
        makes(subject.open(), subject, in_doubt=True)
        assert subject.there() == ["O1"]

    def test_one_that_is_busy_says_for_how_long(self, subject: Subject, systems: Systems) -> None:
        doer = subject.open()
        systems.order(faults=[["busy", 1]])
        with pytest.raises(Retriable) as caught:
            makes(doer, subject)
        assert (caught.value.retry_after_ms, caught.value.nothing_sent) == (7_000, True)
        assert subject.there() == []
        makes(doer, subject)
        assert subject.there() == ["O1"]

    def test_a_refusal_is_for_good(self, subject: Subject, systems: Systems) -> None:
        systems.order(faults=[["refused", 1]])
        with pytest.raises(Skippable if subject.name != "tryton" else Fatal, match="never taken"):
            makes(subject.open(), subject)
        assert subject.there() == []

    def test_a_stranger_is_a_persons_business(self, subject: Subject, systems: Systems) -> None:
        systems.order(faults=[["stranger", 2]])
        with pytest.raises(Fatal) as caught:
            makes(subject.open(), subject)
        assert "secret" not in str(caught.value)
        assert subject.there() == []

    def test_one_that_is_not_there_was_sent_nothing(self, subject: Subject) -> None:
        doer = subject.open()
        _misdirect(doer)
        with pytest.raises(Retriable) as caught:
            makes(doer, subject)
        assert caught.value.nothing_sent
        assert subject.step != "announce" or "secret" not in str(caught.value)


def _misdirect(doer: Doer) -> None:
    """Have a doer speak to a port at which nobody listens."""
    nowhere = "http://127.0.0.1:1"
    for name in ("_url", "_ask"):
        if getattr(doer, name, ""):
            setattr(doer, name, f"{nowhere}/secret")
    if hasattr(doer, "_calls"):
        doer._calls._address = f"{nowhere}/"

"""The ledger yields decisions: marked items are valued, compared with what was emitted, the difference is emitted."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, Final

from state.table import END, FIRST
from streams.domain.calendar import iso_date, last_day, period_of
from streams.domain.fact import Cause, Person
from streams.domain.ledger import (
    EXPENSE,
    MILESTONE,
    NOTHING,
    RETAINER_PERIOD,
    TIME_ENTRY,
    Item,
    Outstanding,
    ProjectState,
    Totals,
    Work,
    Worth,
)
from streams.domain.money import ZERO, minor_unit
from streams.domain.terms import RETAINER, Terms
from streams.ledger.book import Book, ItemKey, queue_key
from streams.ledger.publish import Publisher
from streams.ledger.reference import SEP, Reference
from streams.ledger.routing import Routing
from streams.rules.billing import UNDER_CAP, Settled, settle
from streams.rules.gates import OVER_CAP, BillTo, closed_gates
from streams.rules.share import added_up, cost_of, share_of
from streams.rules.valuation import worth_of

BillingCode = Callable[[str, str], str]
_NO_WORTH: Final = Worth()
_PAST: Final = "~"


class Settlement:
    """Settles the marked items of one partition's book."""

    def __init__(
        self,
        book: Book,
        reference: Reference,
        publisher: Publisher,
        billing_code: BillingCode,
        routing: Routing,
    ) -> None:
        self._book = book
        self._reference = reference
        self._publish = publisher
        self._billing_code = billing_code
        self._routing = routing

    def run(self) -> None:
        """Settle everything marked, in the order of its marks, then release what caps now leave room for."""
        book = self._book
        self._mark_overage()
        contracts: dict[str, Cause] = dict(book.dirty_contracts)
        while book.dirty_items:
            marked, book.dirty_items = book.dirty_items, {}
            for key, cause in marked.items():
                self._settle(key, cause)
                contracts[key[0]] = cause
        for ledger, cause in contracts.items():
            self._release(ledger, cause)

    def _mark_overage(self) -> None:
        """Mark the entries of a retainer's month whose place around the included hours has changed."""
        book = self._book
        months, book.dirty_months = book.dirty_months, {}
        for (key, month), (cause, changed) in months.items():
            terms = book.terms(key)
            if terms is None or terms.contract.billing_type != RETAINER:
                continue
            place = f"{key}{SEP}{month}"
            before = book.month_edges.get(place)
            edge = self._edge(key, month, terms.contract.included_hours or ZERO)
            if edge != before:
                book.month_edges.put(place, edge)
            # Not known before, since what a month includes has changed: its hours may lie otherwise anywhere in it.
            edges = (f"{month}-01", _PAST) if before is None else (before, edge)
            if min(edges) == _PAST:
                continue
            first, end = date.fromisoformat(min(edges)), last_day(month)
            last = end if max(edges) == _PAST else date.fromisoformat(max(edges))
            # Where the hours pass on the day they did, only what comes after the change on that day may lie otherwise.
            after = changed if edge == before else ""
            if after > f"{iso_date(last)}{SEP}{END}":
                continue
            for item_key, _, _ in book.worked_since(key, first, last):
                place = f"{iso_date(last)}{SEP}{item_key[2]}" if after else ""
                if item_key[1] == TIME_ENTRY and place >= after and item_key not in book.dirty_items:
                    book.mark(item_key, cause)

    def _edge(self, key: str, month: str, included: Decimal) -> str:
        """Return the day on which the month's hours pass the included ones; past the month where they do not."""
        prefix = f"{key}{SEP}"
        total = ZERO
        for place, hours in self._book.billable_days.between(f"{prefix}{month}-", f"{prefix}{month}-{_PAST}"):
            total += hours
            if total > included:
                return place[len(prefix) :]
        return _PAST

    def _release(self, key: str, cause: Cause) -> None:
        terms = self._book.terms(key)
        if terms is None or terms.cap is None:
            return
        prefix, unit, queue = key + SEP, minor_unit(terms.contract.currency), self._book.over_cap
        place = prefix
        while terms.cap - self._book.contract(key).drawn >= unit:
            # One at a time: a spent cap may have years of work waiting for it.
            found = next(queue.between(place, prefix + END), None)
            if found is None:
                return
            _, item_id, kind = found[0][len(prefix) :].split(SEP, 2)
            self._settle((key, kind, item_id), cause)
            place = found[0] + FIRST

    def _settle(self, key: ItemKey, cause: Cause) -> None:
        book = self._book
        item = book.item(key)
        work = item.work
        person: Person | None = None
        if work is not None and work.resource_id:
            person = book.persons.get(f"{key[0]}{SEP}{work.resource_id}")
            if person is None or person.version < 0:
                book.wait_for(key, work)
                return
        terms = book.terms(key[0])
        state = book.contract(key[0])
        project = book.project(key[0], work.project_id) if work is not None else ProjectState()
        bill_to = self._bill_to(terms, project, item.kind)
        worth = _NO_WORTH if work is None else self._worth(key, item, terms)
        gates: tuple[str, ...] = ()
        if terms is not None and worth.kind is not None:
            hold = project.view is not None and project.view.project.billing_hold and item.kind != RETAINER_PERIOD
            gates = closed_gates(terms, hold, bill_to)
        room = None if terms is None or terms.cap is None else terms.cap - state.drawn
        currency = terms.contract.currency if terms is not None else ""
        settled = settle(item, worth, currency, gates, room)
        after = self._emit(key, item, worth, settled, (terms, bill_to, person), cause)
        after = self._hold(key, after, settled, cause)
        after = self._share(key, after, item, (terms, project, person), cause)
        book.put_item(key, self._queue(key, after))
        self._follow(key, item, after, cause)

    def _worth(self, key: ItemKey, item: Item, terms: Terms | None) -> Worth:
        work = item.work
        assert work is not None  # the caller has looked
        if not work.project_id and item.kind != RETAINER_PERIOD:
            return _NO_WORTH
        overage = None
        if item.kind == TIME_ENTRY and terms is not None and terms.contract.billing_type == RETAINER and work.billable:
            overage = self._overage(key, work, terms)
        return worth_of(item.kind, work, terms, overage, self._reference.convert)

    def _overage(self, key: ItemKey, work: Work, terms: Terms) -> Decimal:
        """Return the hours of an entry beyond the month's included ones, filled in order of work date, then id."""
        book = self._book
        month = period_of(work.day)
        before = ZERO
        for _, hours in book.billable_days.between(f"{key[0]}{SEP}{month}-", f"{key[0]}{SEP}{iso_date(work.day)}"):
            before += hours
        included, quantity = terms.contract.included_hours or ZERO, work.quantity or ZERO
        whole_day = book.billable_days.get(f"{key[0]}{SEP}{iso_date(work.day)}") or ZERO
        if before + whole_day <= included:
            return ZERO
        if before >= included:
            return quantity
        for other, _, _ in book.worked_since(key[0], work.day, work.day):
            if other[1] == TIME_ENTRY and other[2] < key[2]:
                row = book.item(other).work
                if row is not None and row.billable:
                    before += row.quantity or ZERO
        return min(quantity, max(before + quantity - included, ZERO))

    def _bill_to(self, terms: Terms | None, project: ProjectState, kind: str) -> BillTo:
        if terms is None:
            return BillTo(None, None, None)
        entity = terms.contract.legal_entity
        if kind != RETAINER_PERIOD and project.view is not None and project.view.erp is not None:
            entity = project.view.erp.legal_entity or entity
        return self._reference.bill_to(terms.contract.account_id, entity)

    def _emit(
        self, key: ItemKey, item: Item, worth: Worth, settled: Settled,
        parties: tuple[Terms | None, BillTo, Person | None], cause: Cause,
    ) -> Item:  # fmt: skip
        revision = item.next_revision
        drawn = ZERO
        taken_back = tuple(map(self._routing.taken, settled.reversed))
        for taken in taken_back:
            self._publish.reversal(key, taken, revision, self._version(parties[0]), cause)
            revision += 1
            drawn -= taken.amount if taken.kind in UNDER_CAP else ZERO
        outstanding = settled.kept
        terms, bill_to, person = parties
        if settled.billed and terms is not None:
            made = self._outstanding(key, item, worth, settled.billed, revision, (terms, bill_to, person))
            made, because = self._routing.made(made, item)
            self._publish.trigger(key, made, revision, because, terms.version, cause)
            outstanding = (*outstanding, made)
            revision += 1
            drawn += made.amount if made.kind in UNDER_CAP else ZERO
        if drawn:
            state = self._book.contract(key[0])
            self._book.put_contract(key[0], state._replace(drawn=state.drawn + drawn))
            self._book.dirty_drawn[key[0]] = cause
        after = item._replace(worth=worth, next_revision=revision, outstanding=outstanding)
        if revision == item.next_revision:
            return after
        return self._routing.remembered(key, after, taken_back, bool(settled.billed), cause)

    def _version(self, terms: Terms | None) -> int:
        return terms.version if terms is not None else 0

    def _outstanding(
        self, key: ItemKey, item: Item, worth: Worth, amount: Decimal, revision: int,
        parties: tuple[Terms, BillTo, Person | None],
    ) -> Outstanding:  # fmt: skip
        terms, bill_to, person = parties
        work, kind = item.work, worth.kind
        assert work is not None
        assert kind is not None
        assert bill_to.legal_entity
        assert bill_to.customer_id
        return Outstanding(
            trigger_id=self._publish.trigger_id(key, revision),
            kind=kind,
            amount=amount,
            currency=terms.contract.currency,
            project_id=work.project_id or None,
            day=work.day,
            quantity=worth.quantity,
            rate=worth.rate,
            client_id=terms.contract.account_id,
            legal_entity=bill_to.legal_entity,
            customer_id=bill_to.customer_id,
            tax_code=bill_to.tax_code or "",
            billing_code=self._billing_code(kind, work.role),
            employee_id=person.employee_id if person is not None else None,
            po_number=terms.contract.po_number,
        )

    def _hold(self, key: ItemKey, item: Item, settled: Settled, cause: Cause) -> Item:
        reasons = settled.reasons
        before = item.hold
        work = item.work
        rank = work.rank if work is not None else 0
        book = self._book
        place = SEP.join(key)
        waits = bool(reasons) and reasons != (OVER_CAP,)
        if waits:
            if book.held.get(place) != rank:
                book.held.put(place, rank)
        elif before and before != (OVER_CAP,):
            book.held.delete(place)
        if (before, item.held) == (reasons, settled.held):
            return item
        since = item.held_since if before else self._publish.now
        held = item._replace(hold=reasons, held=settled.held, held_since=since if reasons else 0)
        self._publish.hold(key, held, before, since, cause)
        return held

    def _share(
        self, key: ItemKey, item: Item, before: Item,
        parties: tuple[Terms | None, ProjectState, Person | None], cause: Cause,
    ) -> Item:  # fmt: skip
        terms, project, person = parties
        work = item.work
        share, owner = NOTHING, ""
        cost: Decimal | None = ZERO
        if work is not None and work.project_id and project.view is not None:
            currency, owner = project.view.project.currency, work.project_id
            rates = person.cost_rates if person is not None else None
            if item.kind != MILESTONE:
                cost = cost_of(item, currency, rates, self._reference.convert)
            self._note_fx(key, item, terms, currency, rates)
            share = share_of(item, terms, currency, cost, self._reference.convert)
        item = self._uncosted(key, item, cost is None, cause)
        if (share, owner) != (before.share, before.share_of):
            self._move_share(key[0], before.share_of, before.share, owner, share, cause)
            item = item._replace(share=share, share_of=owner)
        return item

    def _note_fx(self, key: ItemKey, item: Item, terms: Terms | None, currency: str, rates: Any) -> None:
        work = item.work
        assert work is not None  # the caller has looked
        home = terms.contract.currency if terms is not None else currency
        used = {home}
        for rate in rates or ():
            used.add(rate.currency)
        if item.kind == EXPENSE:
            used.add(work.currency)
            if work.currency != home != currency:
                self._reference.note_fx_use(work.currency, home, work.day, SEP.join(key))
        used.discard(currency)
        for other in used:
            self._reference.note_fx_use(other, currency, work.day, SEP.join(key))

    def _uncosted(self, key: ItemKey, item: Item, uncosted: bool, cause: Cause) -> Item:
        if uncosted == bool(item.uncosted_since):
            return item
        since = self._publish.now if uncosted else 0
        self._publish.uncosted(key, item, item.uncosted_since or since, open_=uncosted, cause=cause)
        return item._replace(uncosted_since=since)

    def _move_share(self, key: str, source: str, gone: Totals, target: str, added: Totals, cause: Cause) -> None:
        book = self._book
        for project_id, share, sign in ((source, gone, -1), (target, added, 1)):
            if not project_id or share is NOTHING:
                continue
            project = book.project(key, project_id)
            book.put_project(key, project_id, project._replace(totals=added_up(project.totals, share, sign)))
            book.mark_project(key, project_id, cause)

    def _follow(self, key: ItemKey, before: Item, after: Item, cause: Cause) -> None:
        """Keep what depends on an item: fees due, and alerts on it."""
        book = self._book
        if after.kind == RETAINER_PERIOD:
            change = (after.worth.amount or ZERO) - (before.worth.amount or ZERO)
            if change:
                latest = book.contract(key[0])
                book.put_contract(key[0], latest._replace(fees_due=latest.fees_due + change))
                book.mark_all_projects(key[0], cause)
        if after.kind in (MILESTONE, EXPENSE):
            book.dirty_claims[key] = cause

    def _queue(self, key: ItemKey, item: Item) -> Item:
        place = ""
        if item.hold == (OVER_CAP,) and item.work is not None:
            place = queue_key(key[0], item.work, key[2], key[1])
        if place == item.queued_at:
            return item
        if item.queued_at:
            self._book.over_cap.delete(item.queued_at)
        if place:
            self._book.over_cap.put(place, True)
        return item._replace(queued_at=place)

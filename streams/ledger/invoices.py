"""Invoices of a contract: which of their lines name a trigger, and what that bills and releases."""

from typing import Any

from streams.domain.canonical import Invoice
from streams.domain.fact import Cause, Fact
from streams.domain.ledger import MILESTONE, NamedLine, Reconciled
from streams.domain.money import ZERO
from streams.ledger.book import Book
from streams.ledger.reference import SEP

_POSTED = frozenset({"posted", "released", "paid"})
_RELEASED = frozenset({"released", "paid"})


class Invoices:
    """Keeps the invoices of one partition's ledgers, and under each trigger the lines that name it."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def put(self, key: str, fact: Fact) -> None:
        """Keep an invoice, or with no row forget it; mark what its lines name."""
        # An invoice that moves between projects may arrive before it is taken back under its old one.
        invoice = f"{fact.scope}{SEP}{fact.id}"
        invoices, place = self._book.invoices, f"{key}{SEP}{invoice}"
        before: Invoice | None = invoices.get(place)
        after: Invoice | None = fact.row
        if after is None:
            invoices.delete(place)
        else:
            invoices.put(place, after)
        if before is not None and after is not None and _counted_as(before) == _counted_as(after):
            return
        named, now = _lines_of(before, invoice), _lines_of(after, invoice)
        for line in {**named, **now}:
            self._line(key, line, named.get(line), now.get(line), fact.cause)

    def _line(
        self, key: str, place: tuple[str, str], before: NamedLine | None, now: NamedLine | None, cause: Cause
    ) -> None:
        if before == now:
            return
        book = self._book
        trigger_id, line_id = place
        at = f"{key}{SEP}{trigger_id}"
        lines = tuple(line for line in book.lines.get(at) or () if line.id != line_id)
        if now is not None:
            book.lines.put(at, (*lines, now))
        elif lines:
            book.lines.put(at, lines)
        else:
            book.lines.delete(at)
        trigger = book.triggers.get(at)
        if trigger is None:
            return  # an invoice may name a trigger that is not made yet: ids are known beforehand
        if trigger.project_id is not None:
            change = (now.amount if now else ZERO) - (before.amount if before else ZERO)
            spot = SEP.join((key, trigger.project_id, trigger.posting_period))
            sums = book.reconciled.get(spot) or Reconciled()
            book.reconciled.put(spot, Reconciled(sums.triggered, sums.invoiced + change, sums.newest_at))
            book.dirty_reconciled[key, trigger.project_id, trigger.posting_period] = cause
        if trigger.kind == MILESTONE:
            book.dirty_claims[key, MILESTONE, trigger.item_id] = cause


def _counted_as(invoice: Invoice) -> tuple[Any, ...]:
    return invoice.lines, invoice.status in _POSTED, invoice.status in _RELEASED


def _lines_of(invoice: Invoice | None, place: str) -> dict[tuple[str, str], NamedLine]:
    """Return the lines that name a trigger, by trigger and line; `place` is where the invoice stands."""
    if invoice is None:
        return {}
    posted, released = invoice.status in _POSTED, invoice.status in _RELEASED
    found = {}
    for line in invoice.lines:
        if line.trigger_id:
            line_id = f"{place}{SEP}{line.line_id}"
            found[line.trigger_id, line_id] = NamedLine(line_id, line.amount if posted else ZERO, released)
    return found

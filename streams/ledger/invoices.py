"""Invoices of a contract: which of their lines name a trigger, and what that bills and releases."""

from typing import Final

from streams.domain.canonical import Invoice
from streams.domain.fact import Cause, Fact
from streams.domain.ledger import MILESTONE, NamedLine, Reconciled
from streams.domain.money import ZERO
from streams.ledger.book import Book
from streams.ledger.reference import SEP

Said = tuple[tuple[str, NamedLine], ...]
"""What an invoice says of triggers, by their ids."""

_POSTED: Final = frozenset({"posted", "released", "paid"})
_RELEASED: Final = frozenset({"released", "paid"})


class Invoices:
    """Keeps the invoices of one partition's ledgers, and under each trigger the lines that name it."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def put(self, key: str, fact: Fact) -> None:
        """Keep what an invoice says of triggers, or with no row forget it; mark what that changes."""
        # An invoice that moves between projects may arrive before it is taken back under its old one.
        invoice = f"{fact.scope}{SEP}{fact.id}"
        invoices, place = self._book.invoices, f"{key}{SEP}{invoice}"
        before: Said = invoices.get(place) or ()
        after = () if fact.row is None else _said_by(fact.row)
        if before == after:
            return
        if after:
            invoices.put(place, after)
        else:
            invoices.delete(place)
        named = {(trigger_id, line.id): line for trigger_id, line in before}
        now = {(trigger_id, line.id): line for trigger_id, line in after}
        for line in {**named, **now}:
            trigger_id, line_id = line
            self._line(key, (trigger_id, f"{invoice}{SEP}{line_id}"), named.get(line), now.get(line), fact.cause)

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
            book.lines.put(at, (*lines, NamedLine(line_id, now.amount, now.released)))
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


def _said_by(invoice: Invoice) -> Said:
    """Return the lines that name a trigger."""
    posted, released = invoice.status in _POSTED, invoice.status in _RELEASED
    return tuple(
        [
            (line.trigger_id, NamedLine(line.line_id, line.amount if posted else ZERO, released))
            for line in invoice.lines
            if line.trigger_id
        ]
    )

"""Tryton 8 as a target: each posting is an invoice to a customer there, validated and posted.

Owns how a posting becomes exactly one posted invoice. Does not own the calls (`tryton_rpc`) nor what codes are called
there (`tryton_books`).

The invoice's `reference` is the posting id. Tryton lets two invoices have one reference, so it is asked before anything
is made, and once more after: a call that we gave up on may have made one late. Only then are invoices validated and
posted, by their ids; of two for one posting, one is, and the other is deleted. A draft is no booking, so a second draft
is no second booking.

What was begun and not finished is finished by whoever meets it, `post` or `find`. `find` must not leave a draft as it
is: told as not there, a reversal would cancel a posting whose invoice somebody can still post by a click; told as sent,
it would wait for ever, since Tryton tells nobody of it. The draft has all that is needed, and Tryton itself holds it
against the amount that was asked for.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import groupby
from typing import Any, Final, NamedTuple

from streams.domain.posting import Posting, Status, posting_id_of
from streams.sinks.contract import Answers, Fatal, Problem, Receipt, Retriable, Skippable, Trouble, receipt_of
from streams.sinks.tryton_books import Noted, Place, TrytonMapping, amount_told, invoice_of, noted, place_of
from streams.sinks.tryton_rpc import Refused, TrytonRpc

_INVOICE: Final = "model.account.invoice"
_LINE: Final = "model.account.invoice.line"
_ADDRESS: Final = "model.party.address"
_RIGHTS: Final = {
    "account.invoice": ("read", "create", "write", "delete"),
    "account.invoice.line": ("read", "create"),
    "party.address": ("read",),
}
_FIELDS: Final = ["reference", "state", "number", "company", "untaxed_amount", "lines.note"]
_BOOKED: Final = ("posted", "paid")
_UNFINISHED: Final = ("draft", "validated")
_WAITS_OF_A_CALL: Final = 12
"""Calls to a batch that is taken whole; for each, an answer is waited for."""

_GONE: Final = "its invoice was cancelled in Tryton before it was posted"


class _Invoice(NamedTuple):
    """An invoice as it stands in Tryton. `number` is given when it is posted, and kept if it is cancelled later."""

    id: int
    reference: str
    state: str
    number: str | None
    company: int
    untaxed: Decimal
    noted: Noted

    @property
    def is_booked(self) -> bool:
        """Whether it was posted, whatever became of it."""
        return self.state in _BOOKED or (self.state not in _UNFINISHED and self.number is not None)

    @property
    def rank(self) -> tuple[int, int]:
        """Which of several invoices of one posting stands for it: what is booked, else the oldest that can be."""
        return (0 if self.is_booked else 1 if self.state in _UNFINISHED else 2, self.id)


class Tryton:
    """One Tryton, as a sink. May be used by several threads."""

    pipelined = False
    # Numbers of invoices have no gaps, so Tryton gives them one transaction at a time: calls beside each other only
    # fail and are repeated there.
    calls_at_once = 1
    # Unless Tryton has workers for its queue, it prints each invoice before it answers: 20 take about three seconds.
    postings_per_call = 20
    # A call that comes late leaves a draft, which is no booking, and which whoever meets it finishes or deletes.
    stale_ms_max = 0

    def __init__(self, system: str, rpc: TrytonRpc, mapping: TrytonMapping) -> None:
        self.system = system
        self.answer_ms_max = _WAITS_OF_A_CALL * rpc.timeout_ms
        self._rpc = rpc
        self._mapping = mapping
        self._problems: deque[Problem] = deque()
        self._may = False

    @property
    def answers_later(self) -> bool:
        """Whether something was seen that cannot be right, and of which a person must hear."""
        return bool(self._problems)

    def post(self, postings: Sequence[Posting], now: int) -> list[Receipt]:
        """Make, validate and post the invoices of the first postings, as many as one call takes."""
        postings = postings[: self.postings_per_call]
        self._places(postings)
        asked = [posting.posting_id for posting in postings]
        with _nothing_sent():
            found = self._found(asked)
        with _something_sent() if found else _nothing_sent():
            rows, refused = self._rows([posting for posting in postings if posting.posting_id not in found])
        if rows:
            refused |= self._create(rows)
        with _something_sent():
            found = self._found(asked) if rows else found
            refused |= self._finish([found[one] for one in asked if one in found])
            return self._receipts(postings, self._found(asked), refused, now)

    def find(self, posting_ids: Collection[str]) -> list[Receipt]:
        """Return receipts of what is booked, after finishing what was begun; what cannot be is refused and gone."""
        found = self._found(posting_ids)
        unfinished = [invoice for invoice in found.values() if invoice.state in _UNFINISHED]
        refused = self._finish(sorted(unfinished, key=lambda invoice: invoice.id))
        now_found = self._found(posting_ids) if unfinished else found
        receipts = [
            self._told(invoice, Status.POSTED) if invoice.is_booked else self._told(invoice, Status.REJECTED, _GONE)
            for invoice in now_found.values()
            if invoice.state not in _UNFINISHED
        ]
        told = {receipt.posting_id for receipt in receipts}
        for posting_id, words in refused.items():
            if posting_id not in told:
                receipts.append(self._told(found[posting_id], Status.REJECTED, words))
        if changed := [one for one, it in now_found.items() if it.state in _UNFINISHED and one not in refused]:
            raise self._meddled(changed)
        return receipts

    def poll(self, now: int) -> Answers:  # noqa: ARG002 - it has answered already
        """Return what was seen and cannot be right."""
        problems: list[Problem] = []
        while self._problems:
            problems.append(self._problems.popleft())
        return Answers(problems=tuple(problems))

    def close(self) -> None:
        """Close the connection."""
        self._rpc.close()

    # Asking ---------------------------------------------------------------------------------------------------------

    def _places(self, postings: Sequence[Posting]) -> dict[str, Place]:
        """Return where each posting goes. Raises `Skippable` for those that the mapping has no place for."""
        places: dict[str, Place] = {}
        refused: dict[str, str] = {}
        for posting in postings:
            try:
                places[posting.posting_id] = place_of(self._mapping, posting)
            except KeyError as error:
                refused[posting.posting_id] = str(error.args[0])
        if refused:
            raise Skippable(refused)
        return places

    def _see_rights(self) -> None:
        """See once that the user may do what we do: otherwise, every posting would be refused, and for good."""
        company = self._mapping.companies[0]
        access = self._rpc.call("model.ir.model.access.get_access", list(_RIGHTS), company=company)
        lacking = [
            f"{right} {model}" for model, rights in _RIGHTS.items() for right in rights if not access[model][right]
        ]
        if lacking:
            raise Fatal(f"{self.system}: our user may not {', '.join(lacking)} in Tryton: put it into the right group")
        self._may = True

    def _found(self, references: Collection[str]) -> dict[str, _Invoice]:
        """Return the invoice that stands for each reference, in whichever company; further drafts are deleted."""
        if not self._may:
            self._see_rights()
        domain = [["reference", "in", list(references)], ["type", "=", "out"]]
        known: dict[str, dict[int, _Invoice]] = {}
        for company in self._mapping.companies if references else ():
            for row in self._search(_INVOICE, domain, _FIELDS, company):
                invoice = _invoice(row)
                known.setdefault(invoice.reference, {})[invoice.id] = invoice
        return {reference: self._chosen(list(invoices.values())) for reference, invoices in known.items()}

    def _chosen(self, invoices: list[_Invoice]) -> _Invoice:
        """Return the one that stands for a posting, after deleting further drafts."""
        first, *others = sorted(invoices, key=lambda invoice: invoice.rank)
        for other in others:
            left = self._take_away(other) if other.state in _UNFINISHED else None
            if left is not None and not first.is_booked:
                raise self._meddled([first.reference])  # it may have been posted in this moment: `first` must not be
            if other.state in _BOOKED:
                left = f"stands in Tryton as {first.number} and as {other.number}: cancel one of them there"
            if left is not None:
                self._problems.append(Problem(self.system, f"posting {first.reference}", left))
        return first

    def _rows(self, postings: Sequence[Posting]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Return the fields of the invoices that are postings, and why there can be none for a posting."""
        places = self._places(postings)
        addresses = self._addresses(places.values())
        origins = self._origins(postings)
        rows: dict[str, dict[str, Any]] = {}
        refused: dict[str, str] = {}
        for posting in postings:
            place = places[posting.posting_id]
            address = addresses.get(place.party)
            if address is None:
                refused[posting.posting_id] = f"party {place.party} has no address in {self.system}"
            else:
                origin = origins.get(posting.reverses or "")
                rows[posting.posting_id] = invoice_of(posting, place, address, origin)
        return rows, refused

    def _addresses(self, places: Iterable[Place]) -> dict[int, int]:
        """Return the address of each party that invoices go to: the first one for invoices, else the first."""
        parties: dict[int, dict[int, None]] = {}
        for place in places:
            parties.setdefault(place.books.company, {})[place.party] = None
        addresses: dict[int, int] = {}
        for company, wanted in parties.items():
            rows = self._search(_ADDRESS, [["party", "in", list(wanted)]], ["party", "invoice", "sequence"], company)
            for row in sorted(rows, key=lambda row: (not row["invoice"], row["sequence"] or 0, row["id"])):
                addresses.setdefault(row["party"], row["id"])
        return addresses

    def _origins(self, postings: Sequence[Posting]) -> dict[str, int]:
        """Return the invoice line of each trigger that one of these reverses, as far as there is one."""
        triggers = {posting_id_of(self.system, p.reverses): p.reverses for p in postings if p.reverses is not None}
        origins: dict[str, int] = {}
        for company in self._mapping.companies if triggers else ():
            domain = [["invoice.reference", "in", list(triggers)], ["invoice.state", "in", list(_BOOKED)]]
            for row in self._search(_LINE, domain, ["invoice.reference"], company):
                origins[triggers[row["invoice."]["reference"]]] = row["id"]
        return origins

    def _search(self, model: str, domain: list[Any], names: list[str], company: int) -> list[dict[str, Any]]:
        order = [["id", "ASC"]]
        try:
            rows: list[dict[str, Any]] = self._rpc.call(
                f"{model}.search_read", domain, 0, None, order, names, company=company
            )
        except Refused as refusal:
            raise Fatal(f"{self.system}: Tryton lets us see no {model}: {refusal}") from refusal
        return rows

    # Changing -------------------------------------------------------------------------------------------------------

    def _create(self, rows: Mapping[str, dict[str, Any]]) -> dict[str, str]:
        """Make drafts; return for each posting that is refused Tryton's words.

        What fails before anything was made may say that nothing was sent; what fails later may not.
        """
        refused: dict[str, str] = {}
        made = False
        for company, group in groupby(rows, key=lambda one: rows[one]["company"]):
            try:
                refused |= self._in_parts(f"{_INVOICE}.create", list(group), company, rows)
            except Retriable as failure:
                failure.nothing_sent = failure.nothing_sent and not made
                raise
            made = True
        return refused

    def _finish(self, invoices: Sequence[_Invoice]) -> dict[str, str]:
        """Validate and post what is not yet, in this order; return Tryton's words for each posting that it refuses.

        What it refuses is deleted: a draft that is left could be posted by anybody, after the posting was rejected.
        """
        refused: dict[str, str] = {}
        unfinished = [invoice for invoice in invoices if invoice.state in _UNFINISHED]
        with _something_sent():
            for company, group in groupby(unfinished, key=lambda invoice: invoice.company):
                by_id = {invoice.id: invoice for invoice in group}
                drafts = [invoice.id for invoice in by_id.values() if invoice.state == "draft"]
                words = self._in_parts(f"{_INVOICE}.validate_invoice", drafts, company)
                self._see_untouched([by_id[one] for one in words], "draft", company)
                unposted = self._in_parts(f"{_INVOICE}.post", [one for one in by_id if one not in words], company)
                self._see_untouched([by_id[one] for one in unposted], "validated", company)
                words |= unposted
                for one, said in words.items():
                    left = self._take_away(by_id[one])
                    refused[by_id[one].reference] = said if left is None else f"{said}; {left}"
        return refused

    def _see_untouched(self, refused: Sequence[_Invoice], state: str, company: int) -> None:
        """See that what was refused is in the state that it was refused in, and by nobody else brought into another.

        A worker that lost its partition may still be at work on the same invoices: Tryton refuses then what is done
        already, which says nothing about the posting.
        """
        ids = [invoice.id for invoice in refused]
        rows = self._search(_INVOICE, [["id", "in", ids]], ["state"], company) if ids else []
        standing = {row["id"] for row in rows if row["state"] == state}
        if changed := [invoice.reference for invoice in refused if invoice.id not in standing]:
            raise self._meddled(changed)

    def _in_parts(
        self, method: str, wanted: list[Any], company: int, rows: Mapping[str, dict[str, Any]] | None = None
    ) -> dict[Any, str]:
        """Call a method for records, all at once; where Tryton refuses, for halves of them, until it is clear whom.

        A call that is refused has done nothing for any of its records. `rows` are sent in place of their keys.
        """
        if not wanted:
            return {}
        try:
            self._rpc.call(method, wanted if rows is None else [rows[one] for one in wanted], company=company)
        except Refused as refusal:
            if len(wanted) == 1:
                return {wanted[0]: str(refusal)}
            half = len(wanted) // 2
            first = self._in_parts(method, wanted[:half], company, rows)
            with _something_sent():
                return first | self._in_parts(method, wanted[half:], company, rows)
        return {}

    def _take_away(self, invoice: _Invoice) -> str | None:
        """Delete an invoice that is not posted; return what must be done by hand if Tryton refuses that, too."""
        for method in ("draft", "delete"):  # only a draft can be deleted, and only what is none can become one
            try:
                self._rpc.call(f"{_INVOICE}.{method}", [invoice.id], company=invoice.company)
            except Refused as refusal:
                if method == "delete":
                    return f"invoice {invoice.id} is left there unposted: delete it ({refusal})"
        return None

    # Answering ------------------------------------------------------------------------------------------------------

    def _receipts(
        self, postings: Sequence[Posting], found: Mapping[str, _Invoice], refused: Mapping[str, str], now: int
    ) -> list[Receipt]:
        """Return what became of each posting, by what Tryton holds now: whoever else posted it, it is posted."""
        receipts: list[Receipt] = []
        for posting in postings:
            invoice, words = found.get(posting.posting_id), refused.get(posting.posting_id)
            if invoice is not None and invoice.is_booked:
                self._compare(posting, invoice)
                receipts.append(
                    receipt_of(
                        posting, Status.POSTED, document_id=invoice.number, first_sent_at=now, answered_at=now
                    )
                )  # fmt: skip
            elif words is not None or (invoice is not None and invoice.state not in _UNFINISHED):
                receipts.append(
                    receipt_of(posting, Status.REJECTED, first_sent_at=now, answered_at=now, error=words or _GONE)
                )
            else:
                raise self._meddled([posting.posting_id])
        return receipts

    def _meddled(self, posting_ids: Sequence[str]) -> Retriable:
        who = ", ".join(posting_ids[:3])
        text = f"{self.system}: somebody else changed the invoices of {who} meanwhile ({len(posting_ids)} in all)"
        return Retriable(text, trouble=Trouble.RECORD)

    def _compare(self, posting: Posting, invoice: _Invoice) -> None:
        if invoice.untaxed != posting.amount:
            reason = f"is {posting.amount} {posting.currency}, and stands in Tryton as {invoice.number} with "
            reason += f"{invoice.untaxed} without taxes: correct it there"
            self._problems.append(Problem(self.system, f"posting {posting.posting_id}", reason))

    def _told(self, invoice: _Invoice, status: Status, error: str | None = None) -> Receipt:
        kept = invoice.noted
        return Receipt(
            invoice.reference, kept.trigger_id, self.system, invoice.number if error is None else None, status, 1,
            None, None, error, kept.contract_number, kept.project_id,
        )  # fmt: skip


def _invoice(row: Mapping[str, Any]) -> _Invoice:
    return _Invoice(
        row["id"], row["reference"], row["state"], row["number"] or None, row["company"],
        amount_told(row["untaxed_amount"]), noted(row["lines."]),
    )  # fmt: skip


@contextmanager
def _nothing_sent() -> Iterator[None]:
    """Whatever fails in here, no posting has reached the target: it was only asked."""
    try:
        yield
    except Retriable as failure:
        failure.nothing_sent = True
        raise


@contextmanager
def _something_sent() -> Iterator[None]:
    """Whatever fails in here, a posting may have reached the target before."""
    try:
        yield
    except Retriable as failure:
        failure.nothing_sent = False
        raise

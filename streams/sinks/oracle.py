"""Oracle Fusion Cloud, by REST: a billing event a posting, which Oracle bills by the contract's own rules.

Owns what Oracle is asked and what its answers mean. Our reference (SourceName, SourceReference) is not unique there, so
Oracle is asked for it before anything is sent; where it holds more than one event for a posting, a person is told.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from pydantic import Field

from outside.http import Answer
from streams.domain.posting import Posting
from streams.sinks.contract import Answers, Receipt, Retriable
from streams.sinks.doubles import Doubles
from streams.sinks.rest import (
    Refused,
    Rest,
    bodies,
    booking_date,
    chunks,
    encoded,
    found_receipt,
    note_of,
    one_by_one,
    sending,
)
from streams.sinks.target_mapping import Name, Names, TargetMapping, TargetNames, without_nothing

_EVENTS: Final = "/fscmRestApi/resources/11.13.18.05/projectBillingEvents"
_HEADERS: Final = {
    "content-type": "application/vnd.oracle.adf.resourceitem+json",
    # From version 2 on, a query is an expression; from 4 on, errors come as JSON.
    "rest-framework-version": "4",
}
_FOUND_AT_ONCE: Final = 50
"""References in one query: with more, its URL is longer than what lies on the way may take."""

_PAGE: Final = 500
_DESCRIPTION_MAX: Final = 240
_LOCKED: Final = ("JBO-26030", "JBO-26014", "JBO-25014")
"""Codes of ADF under which a row is locked or was changed by somebody else: from memory, and kept here only."""


class OracleMapping(TargetMapping):
    """What Oracle calls things: organizations under `company`, event types under `item`, project numbers.

    Customer and tax are the contract's affair there.
    """

    contract: Names = Field(default={}, description="The contract's number, by our own; unless listed, the same.")
    contract_type: Name = Field(description="Name of the contract type of all contracts.")
    contract_line: Names = Field(default={}, description="Number of the contract's line, by our contract number.")
    contract_line_default: Name = Field(default="1", description="Number of the line of contracts that are not listed.")
    source_name: Name = Field(default="Throughline", max_length=80, description="SourceName of our events.")


class OracleFusion:
    """The sink of one Oracle Fusion environment. May be used by several threads."""

    pipelined = False
    postings_per_call = 1

    def __init__(self, rest: Rest, names: TargetNames[OracleMapping], calls_at_once: int = 4) -> None:
        self.system = rest.system
        self.calls_at_once = calls_at_once
        self.answer_ms_max = rest.answer_ms_max
        self.stale_ms_max = rest.late_ms_max
        self._rest = rest
        self._names = names
        self._doubles = Doubles(rest.system, "billing events")

    @property
    def answers_later(self) -> bool:
        """Whether there are postings of which a person must hear."""
        return self._doubles.untold

    def post(self, postings: Sequence[Posting], now: int) -> list[Receipt]:
        """Create an event a posting that Oracle does not hold yet."""
        content = bodies(postings, self._body)
        with sending(nothing=True):
            there = self._events([posting.posting_id for posting in postings])

        def book(posting: Posting) -> str:
            events = there.get(posting.posting_id)
            return str(events[0]["EventId"]) if events else self._create(encoded(content[posting.posting_id]))

        return one_by_one(postings, book, now)

    def find(self, posting_ids: Collection[str]) -> list[Receipt]:
        """Ask for the events under these references; the first of several counts, and the others are told."""
        return [
            found_receipt(self.system, posting_id, str(events[0]["EventId"]), str(events[0].get("EventDescription")))
            for posting_id, events in self._events(sorted(posting_ids)).items()
        ]

    def poll(self, now: int) -> Answers:  # noqa: ARG002 - it has answered already
        """Return which of the postings looked at have several events, and which have one."""
        return self._doubles.told()

    def close(self) -> None:
        """Close all connections."""
        self._rest.close()

    def _events(self, posting_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """Return the events of each posting that has some, the oldest first."""
        found: dict[str, list[dict[str, Any]]] = {}
        for ids in chunks(posting_ids, _FOUND_AT_ONCE):
            for event in self._pages(self._query(ids)):
                found.setdefault(event["SourceReference"], []).append(event)
        for events in found.values():
            events.sort(key=lambda event: int(event["EventId"]))
        self._doubles.look({key: [str(each["EventId"]) for each in events] for key, events in found.items()})
        return found

    def _query(self, ids: Sequence[str]) -> str:
        any_of = " or ".join(f"SourceReference='{posting_id}'" for posting_id in ids)
        source_name = self._names.content.source_name.replace("'", "''")
        return f"SourceName='{source_name}' and ({any_of})"

    def _pages(self, query: str) -> Iterator[dict[str, Any]]:
        params = {"q": query, "onlyData": "true", "fields": "EventId,SourceReference,EventDescription"}
        offset = 0
        while True:
            page = self._rest.read(_EVENTS, {**params, "limit": str(_PAGE), "offset": str(offset)}, _HEADERS)
            yield from page["items"]
            offset += len(page["items"])
            if not page.get("hasMore") or not page["items"]:
                return

    def _create(self, content: bytes) -> str:
        answer = self._rest.call("POST", _EVENTS, content=content, headers=_HEADERS)
        if answer.status >= 400:
            raise self._refusal(answer)
        created = self._rest.json(answer)
        if not isinstance(created, dict) or "EventId" not in created:
            raise Retriable(f"{self.system}: {answer.url}: {answer.status}, but the answer names no EventId")
        return str(created["EventId"])

    def _refusal(self, answer: Answer) -> Exception:
        """Return what a refusal is: of a locked row, of us, or of this posting."""
        said = self._rest.said(answer)
        if any(code in said for code in _LOCKED):
            return self._rest.locked(answer)
        if answer.status in (403, 404, 405, 406, 415):
            return self._rest.forbidden(answer)
        return Refused(said)

    def _body(self, posting: Posting) -> dict[str, Any]:
        names, own = self._names, self._names.content
        body = {
            "SourceName": own.source_name,
            "SourceReference": posting.posting_id,
            "ContractTypeName": own.contract_type,
            "ContractNumber": names.of("contract", posting.contract_number),
            "ContractLineNumber": own.contract_line.get(posting.contract_number, own.contract_line_default),
            "EventTypeName": names.of("item", posting.billing_code),
            "EventDescription": note_of(posting)[:_DESCRIPTION_MAX],
            "ProjectNumber": None if posting.project_id is None else names.of("project", posting.project_id),
            "BillTrnsAmount": posting.amount,
            "BillTrnsCurrencyCode": posting.currency,
            "CompletionDate": booking_date(posting).isoformat(),
            "OrganizationName": names.of("company", posting.legal_entity),
        }
        return without_nothing(body)

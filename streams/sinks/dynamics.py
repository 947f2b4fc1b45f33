"""Dynamics 365 Finance and Operations, by OData: a row a posting, in the entity set that the mapping names.

Owns what Dynamics is asked and what its answers mean. Idempotency is the row's key, which is made of the posting's id:
a row that is there already is refused, then read, and counts as booked. Entity sets and properties differ from one
installation to the next, so that their names are in the mapping; `$metadata` says what they are.
"""

import base64
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from pydantic import Field

from outside.http import Answer
from streams.domain.posting import Posting
from streams.sinks.batch_of_calls import parts_of, parts_text
from streams.sinks.contract import Answers, Receipt, Retriable
from streams.sinks.rest import (
    Outcomes,
    Refused,
    Rest,
    bodies,
    booking_date,
    chunks,
    encoded,
    found_receipt,
    named,
    one_by_one,
    sending,
)
from streams.sinks.target_mapping import CustomerMapping, Properties, Property, TargetNames

_ROOT: Final = "/data"
_FOUND_AT_ONCE: Final = 20
"""Keys in one `$filter`: each is a term of its own, as there is no `in`, and the depth of an expression is bounded."""

_NOON: Final = "T12:00:00Z"
"""Days are sent as noon, which is the same day in whatever time zone they are read."""

_EXISTS: Final = ("already exists", "duplicate")
_LOCKED: Final = ("update conflict", "deadlock", "is locked")
"""Words by which a refusal says that the row exists or is locked, as there are no codes: from memory, and only here."""

_WHOLE_ID: Final = 36
_SHORT_ID: Final = 20


class DynamicsMapping(CustomerMapping):
    """What Dynamics calls things: legal entities (dataAreaId) under `company`, and the names of sets and properties."""

    entity_set: Property = Field(description="Public collection name of the entity, as $metadata has it.")
    key: Property = Field(default="TransactionId", description="Property of the key that takes our reference.")
    key_length: int = Field(
        default=_WHOLE_ID, ge=_SHORT_ID, description="Characters that it takes; under 36, a shorter form is sent."
    )
    company_property: Property = Field(default="dataAreaId", description="Property of the key that names the company.")
    document: Property | None = Field(default=None, description="Property that names the document; absent: the key.")
    text_length: int = Field(default=60, ge=45, description="Characters that the text takes; what is longer is cut.")
    properties: Properties
    constants: Mapping[Property, str] = Field(default={}, description="Properties that always say the same, as enums.")


class Dynamics:
    """The sink of one Dynamics environment. May be used by several threads."""

    pipelined = False
    answers_later = False

    def __init__(
        self,
        rest: Rest,
        names: TargetNames[DynamicsMapping],
        calls_at_once: int = 4,
        postings_per_call: int = 1,
    ) -> None:
        self.system = rest.system
        self.calls_at_once = calls_at_once
        self.answer_ms_max = rest.answer_ms_max
        self.stale_ms_max = rest.late_ms_max
        self.postings_per_call = postings_per_call
        self._rest = rest
        self._names = names
        self._own = names.content
        self._rows = f"{_ROOT}/{names.content.entity_set}"

    def post(self, postings: Sequence[Posting], now: int) -> list[Receipt]:
        """Create a row a posting: each by a call, or where more than one may go with a call, by a batch.

        Of a batch, each row is a changeset of its own, and a contract has one: its next waits for what comes of it.
        """
        rows = bodies(postings, self._row)
        if self.postings_per_call == 1:
            return one_by_one(postings, lambda posting: self._create(posting, rows[posting.posting_id]), now)
        firsts = {posting.order_key: posting for posting in reversed(postings)}
        chosen = [posting for posting in postings if firsts[posting.order_key] is posting]
        outcomes = Outcomes(now)
        for posting, booked in zip(chosen, self._batch(chosen, rows), strict=True):
            outcomes.note(posting, booked)
        return outcomes.receipts()

    def find(self, posting_ids: Collection[str]) -> list[Receipt]:
        """Ask for rows under these keys in all companies."""
        by_key = {self._key(posting_id): posting_id for posting_id in sorted(posting_ids)}
        found: list[Receipt] = []
        for keys in chunks(list(by_key), _FOUND_AT_ONCE):
            any_of = " or ".join(f"{self._own.key} eq '{key}'" for key in keys)
            rows = self._rest.read(self._rows, {"cross-company": "true", "$filter": any_of})["value"]
            found += [
                found_receipt(
                    self.system, by_key[row[self._own.key]], self._document(row), str(row[self._own.properties.text])
                )
                for row in rows
            ]
        return found

    def poll(self, now: int) -> Answers:  # noqa: ARG002 - it has answered already
        """Return nothing: every call brings its answer."""
        return Answers()

    def close(self) -> None:
        """Close all connections."""
        self._rest.close()

    def _create(self, posting: Posting, row: Mapping[str, Any]) -> str:
        return self._booked(posting, self._rest.call("POST", self._rows, content=encoded(row)))

    def _batch(self, postings: Sequence[Posting], rows: Mapping[str, Any]) -> list[Callable[[], str]]:
        """Send rows in one call; return what tells of each whether it was booked, in their order."""
        url = f"{self._rest.url}{self._rows}"
        calls = [(posting.posting_id, url, encoded(rows[posting.posting_id])) for posting in postings]
        content_type, content = parts_text(calls)
        answer = self._rest.call(
            "POST",
            f"{_ROOT}/$batch",
            content=content,
            # Otherwise nothing after the first refusal would be done.
            headers={"content-type": content_type, "accept": "multipart/mixed", "prefer": "odata.continue-on-error"},
        )
        if answer.status >= 400:
            raise self._rest.forbidden(answer)
        parts = parts_of(answer)

        def told(place: int, posting: Posting) -> str:
            if place >= len(parts):
                raise Retriable(f"{self._rest.said(answer)}: the batch's answer says nothing of this posting")
            return self._booked(posting, self._rest.checked(parts[place]))

        return [lambda place=place, posting=posting: told(place, posting) for place, posting in enumerate(postings)]  # type: ignore[misc]

    def _booked(self, posting: Posting, answer: Answer) -> str:
        """Return the document that an answer brought, or that was there already."""
        if answer.status < 400:
            row = self._rest.json(answer)
            if not isinstance(row, dict) or row.get(self._own.key) != self._key(posting.posting_id):
                raise Retriable(f"{self._rest.said(answer)}: the answer names no {self._own.key} of ours")
            return self._document(row)
        said = self._rest.said(answer)
        if any(words in said.lower() for words in _EXISTS) or answer.status == 409:
            there = self._there(posting)
            if there is not None:
                return there
        if any(words in said.lower() for words in _LOCKED):
            raise self._rest.locked(answer)
        if answer.status in (403, 404, 405):
            raise self._rest.forbidden(answer)
        raise Refused(said)

    def _there(self, posting: Posting) -> str | None:
        """Return the document of a posting's row, or None if there is no such row: something else is there twice."""
        company, key = self._names.of("company", posting.legal_entity), self._key(posting.posting_id)
        path = f"{self._rows}({self._own.company_property}='{company}',{self._own.key}='{key}')"
        with sending(nothing=False):
            answer = self._rest.call("GET", path, params={"cross-company": "true"})
        if answer.status == 404:
            return None
        if answer.status >= 400:
            raise self._rest.forbidden(answer)
        return self._document(self._rest.json(answer))

    def _document(self, row: Mapping[str, Any]) -> str:
        return str((self._own.document and row.get(self._own.document)) or row[self._own.key])

    def _key(self, posting_id: str) -> str:
        """Return our reference in as many characters as the key takes: of 20, it keeps 100 bits of the id."""
        if self._own.key_length >= _WHOLE_ID:
            return posting_id
        return base64.b32encode(uuid.UUID(posting_id).bytes).decode().rstrip("=")[: self._own.key_length]

    def _row(self, posting: Posting) -> dict[str, Any]:
        own = self._own
        told = named(posting, self._names, own.properties, f"{booking_date(posting)}{_NOON}", own.text_length)
        company = self._names.of("company", posting.legal_entity)
        return {**own.constants, own.company_property: company, own.key: self._key(posting.posting_id), **told}

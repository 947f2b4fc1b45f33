"""NetSuite, by SuiteTalk REST: an invoice or a credit memo a posting, upserted under the posting's id as external id.

Owns what NetSuite is asked and what its answers mean. Idempotency is the upsert: whoever sends a posting again replaces
the same document with the same content. Its idempotency header is left alone, as synchronous calls ignore it.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from pydantic import Field

from outside.http import Answer
from streams.domain.posting import Posting
from streams.sinks.contract import Answers, Receipt
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
from streams.sinks.target_mapping import CustomerMapping, Names, TargetNames, without_nothing

_RECORD: Final = "/services/rest/record/v1"
_SUITEQL: Final = "/services/rest/query/v1/suiteql"
_REPLACE: Final = {"replace": "item"}
"""The lines sent stand in place of those there; without it, an upsert sent again adds its lines once more."""

_BUSY: Final = frozenset({"SSS_REQUEST_LIMIT_EXCEEDED"})
_LOCKED: Final = frozenset({"RCRD_HAS_BEEN_CHANGED", "RCRD_LOCKED_BY_WF", "RECORD_LOCKED"})
"""Codes under which NetSuite says that somebody else has the record: taken from memory, and kept here only."""

_FOUND_AT_ONCE: Final = 500


class NetSuiteMapping(CustomerMapping):
    """What NetSuite calls things: internal ids throughout, so subsidiaries under `company`, tax codes under `tax`."""

    currency: Names = Field(min_length=1, description="Internal id of a currency, by its ISO code.")
    project_field: str = Field(
        default="", description="Field of the body that takes the project's id; empty: none does."
    )


class NetSuite:
    """The sink of one NetSuite account. May be used by several threads."""

    pipelined = False
    answers_later = False
    postings_per_call = 1

    def __init__(self, rest: Rest, names: TargetNames[NetSuiteMapping], calls_at_once: int = 5) -> None:
        self.system = rest.system
        self.calls_at_once = calls_at_once
        self.answer_ms_max = rest.answer_ms_max
        self.stale_ms_max = rest.late_ms_max
        self._rest = rest
        self._names = names

    def post(self, postings: Sequence[Posting], now: int) -> list[Receipt]:
        """Upsert a document a posting."""
        content = bodies(postings, self._body)
        return one_by_one(postings, lambda posting: self._put(posting, encoded(content[posting.posting_id])), now)

    def find(self, posting_ids: Collection[str]) -> list[Receipt]:
        """Ask for all transactions under these external ids, of either kind, by one query."""
        found: list[Receipt] = []
        for ids in chunks(sorted(posting_ids), _FOUND_AT_ONCE):
            wanted = ", ".join(f"'{posting_id}'" for posting_id in ids)
            query = f"SELECT id, externalid, memo FROM transaction WHERE externalid IN ({wanted}) ORDER BY id"
            answer = self._rest.call(
                "POST",
                _SUITEQL,
                params={"limit": "1000"},
                content=encoded({"q": query}),
                headers={"prefer": "transient"},
            )
            if answer.status >= 400:
                raise self._busy_or_forbidden(answer)
            found += [
                found_receipt(self.system, row["externalid"], str(row["id"]), str(row.get("memo") or ""))
                for row in self._rest.json(answer)["items"]
            ]
        return found

    def poll(self, now: int) -> Answers:  # noqa: ARG002 - it has answered already
        """Return nothing: every call brings its answer."""
        return Answers()

    def close(self) -> None:
        """Close all connections."""
        self._rest.close()

    def _put(self, posting: Posting, content: bytes) -> str:
        path = f"{_RECORD}/{_record(posting)}/eid:{posting.posting_id}"
        answer = self._rest.call("PUT", path, params=_REPLACE, content=content)
        if answer.status >= 400:
            raise self._refusal(answer)
        _, _, internal_id = answer.headers.get("location", "").rpartition("/")
        if internal_id and not internal_id.startswith("eid:"):
            return internal_id
        with sending(nothing=False):
            return str(self._rest.read(path, {"fields": "id"})["id"])

    def _refusal(self, answer: Answer) -> Exception:
        """Return what a refusal is: of the pace, of a locked record, of us, or of this posting."""
        codes = self._codes(answer)
        if codes & _BUSY:
            return self._rest.busy(answer)
        if codes & _LOCKED:
            return self._rest.locked(answer)
        if answer.status != 400:
            return self._rest.forbidden(answer)
        return Refused(self._rest.said(answer))

    def _busy_or_forbidden(self, answer: Answer) -> Exception:
        """Return what it means that a question, not a posting, is refused."""
        refusal = self._refusal(answer)
        return self._rest.forbidden(answer) if isinstance(refusal, Refused) else refusal

    def _codes(self, answer: Answer) -> set[str]:
        said = self._rest.json(answer) if answer.body else {}
        details = said.get("o:errorDetails", []) if isinstance(said, dict) else []
        return {str(each.get("o:errorCode")) for each in details if isinstance(each, dict)}

    def _body(self, posting: Posting) -> dict[str, Any]:
        names, tables = self._names, self._names.content
        line = {
            "item": _id(names.of("item", posting.billing_code)),
            "amount": abs(posting.amount),
            "description": note_of(posting),
            "taxCode": _id(names.of("tax", posting.tax_code)) if tables.tax else None,
        }
        body = {
            "externalId": posting.posting_id,
            "entity": _id(names.of("customer", posting.erp_customer_id)),
            "subsidiary": _id(names.of("company", posting.legal_entity)),
            "currency": _id(names.of("currency", posting.currency)),
            "tranDate": booking_date(posting).isoformat(),
            "otherRefNum": posting.po_number,
            "memo": note_of(posting),
            "item": {"items": [without_nothing(line)]},
        }
        if tables.project_field and posting.project_id is not None:
            body[tables.project_field] = _id(names.of("project", posting.project_id))
        return without_nothing(body)


def _record(posting: Posting) -> str:
    return "creditMemo" if posting.amount < 0 else "invoice"


def _id(identity: str) -> dict[str, str]:
    return {"id": identity}

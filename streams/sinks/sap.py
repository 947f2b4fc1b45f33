"""SAP S/4HANA Cloud, by OData: a project billing request a posting.

Owns what SAP is asked and what its answers mean. Nothing there makes our reference unique, and its own repeatability
must be configured for each API, so SAP is asked for it before anything is sent. What SAP says it has created is read
back: some of its services answer 201 and create nothing.
"""

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from pydantic import Field

from outside.http import Answer
from streams.domain.posting import Posting
from streams.sinks.contract import Answers, Fatal, Receipt, Retriable
from streams.sinks.doubles import Doubles
from streams.sinks.rest import (
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
from streams.sinks.target_mapping import CustomerMapping, Names, Properties, Property, TargetNames

_SERVICE: Final = "/sap/opu/odata4/sap/api_projectbillingrequest/srvd_a2x/sap/projectbillingrequest/0001"
_REQUESTS: Final = f"{_SERVICE}/ProjectBillingRequest"
_CREATE: Final = f"{_REQUESTS}/SAP__self.CreateProjectBillingRequest"
_WBS: Final = "BillingWBSElementInternalID"
_KEY: Final = "ProjectBillingRequestUUID"
_NUMBER: Final = "ProjectBillingRequest"
_ELEMENTS: Final = "/sap/opu/odata/sap/API_ENTERPRISE_PROJECT_SRV/A_EnterpriseProjectElement"
"""The service's names, beside those of the mapping: all that would change with another of SAP's services."""

_LOCKED: Final = ("locked by", "is locked", "being edited by", "being processed by")
"""Words by which a refusal says that somebody has the project: from memory, and kept here only."""

_CSRF: Final = "x-csrf-token"
_TOKENS_MAX: Final = 3
_FOUND_AT_ONCE: Final = 20


class SapMapping(CustomerMapping):
    """What SAP calls things: company codes, products under `item`, project elements, and the names of properties."""

    reference: Property = Field(description="Property that takes our reference: an extension field of the request.")
    properties: Properties
    text_length: int = Field(default=120, ge=45, description="Characters that the text takes; what is longer is cut.")
    wbs: Names = Field(
        default={}, description="Internal WBS id (8 characters) by project id; of what is not listed, SAP is asked."
    )
    contract_wbs: Names = Field(
        default={}, description="Internal WBS id by contract number, for postings without a project, such as fees."
    )


class Session:
    """A session that may write: its token, whose cookies the client keeps. What shares a client shares this."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._token: str | None = None

    def create(self, rest: Rest, content: bytes) -> Answer:
        """Make the call that creates, with a token that holds: a refused one has sent nothing. Raises as `call`."""
        refused = 0
        while True:
            with sending(nothing=True):
                token = self._fetched(rest)
            answer = rest.call("POST", _CREATE, content=content, headers={_CSRF: token})
            if answer.status != 403 or answer.headers.get(_CSRF, "").lower() != "required":
                return answer
            with self._lock:
                if self._token == token:
                    self._token = None
            refused += 1
            if refused == _TOKENS_MAX:
                raise Retriable(f"{rest.said(answer)}: a token that was just fetched is refused", nothing_sent=True)

    def _fetched(self, rest: Rest) -> str:
        with self._lock:
            if self._token is None:
                answer = rest.call("GET", f"{_SERVICE}/", headers={_CSRF: "Fetch"})
                token = answer.headers.get(_CSRF)
                if answer.status >= 400 or not token:
                    raise rest.forbidden(answer)
                self._token = token
            return self._token


class Sap:
    """The sink of one S/4HANA tenant. May be used by several threads."""

    pipelined = False
    postings_per_call = 1

    def __init__(
        self,
        rest: Rest,
        names: TargetNames[SapMapping],
        calls_at_once: int = 4,
        session: Session | None = None,
    ) -> None:
        self.system = rest.system
        self.calls_at_once = calls_at_once
        self.answer_ms_max = rest.answer_ms_max
        self.stale_ms_max = rest.late_ms_max
        self._rest = rest
        self._names = names
        self._own = names.content
        self._doubles = Doubles(rest.system, "billing requests")
        self._session = session or Session()
        self._elements: dict[str, str] = {}
        self._forgets: str | None = None
        """What SAP was seen to do with our reference, if it does not keep it: then nothing more is sent."""

    @property
    def answers_later(self) -> bool:
        """Whether there are postings of which a person must hear."""
        return self._doubles.untold

    def post(self, postings: Sequence[Posting], now: int) -> list[Receipt]:
        """Create a billing request a posting that SAP does not hold yet."""
        if self._forgets is not None:
            raise Fatal(self._forgets)
        content = bodies(postings, self._body)
        with sending(nothing=True):
            there = self._requests([posting.posting_id for posting in postings])

        def book(posting: Posting) -> str:
            if posting.posting_id in there:
                return str(there[posting.posting_id][0][_NUMBER])
            with sending(nothing=True):
                body = {_WBS: self._wbs(posting), **content[posting.posting_id]}
            return self._create(posting.posting_id, encoded(body))

        return one_by_one(postings, book, now)

    def find(self, posting_ids: Collection[str]) -> list[Receipt]:
        """Ask for the requests under these references; the first of several counts, and the others are told."""
        return [
            found_receipt(
                self.system, posting_id, str(requests[0][_NUMBER]), str(requests[0].get(self._own.properties.text))
            )
            for posting_id, requests in self._requests(sorted(posting_ids)).items()
        ]

    def poll(self, now: int) -> Answers:  # noqa: ARG002 - it has answered already
        """Return which of the postings looked at have several requests, and which have one."""
        return self._doubles.told()

    def close(self) -> None:
        """Close all connections."""
        self._rest.close()

    # -- reading

    def _requests(self, posting_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """Return the requests of each posting that has some, the oldest first."""
        found: dict[str, list[dict[str, Any]]] = {}
        for ids in chunks(posting_ids, _FOUND_AT_ONCE):
            any_of = " or ".join(f"{self._own.reference} eq '{posting_id}'" for posting_id in ids)
            for request in self._rest.read(_REQUESTS, {"$filter": any_of, "$orderby": _NUMBER})["value"]:
                found.setdefault(request[self._own.reference], []).append(request)
        self._doubles.look({key: [str(each[_NUMBER]) for each in requests] for key, requests in found.items()})
        return found

    def _wbs(self, posting: Posting) -> str:
        """Return the internal id of what is billed: listed, or as SAP has it. Raises `Refused` if it has none."""
        if posting.project_id is None:
            return self._names.of("contract_wbs", posting.contract_number)
        listed = self._own.wbs.get(posting.project_id)
        if listed is not None:
            return listed
        element = self._names.of("project", posting.project_id)
        known = self._elements.get(element)
        if known is None:
            quoted = element.replace("'", "''")
            query = {"$filter": f"ProjectElement eq '{quoted}'", "$select": "ProjectElement,WBSElementInternalID"}
            found = self._rest.read(_ELEMENTS, query)["d"]["results"]
            if not found:
                raise Refused(f"{self.system} has no project element {element!r}: create it, or list it under 'wbs'")
            known = self._elements[element] = str(found[0]["WBSElementInternalID"])
        return known

    # -- writing

    def _create(self, posting_id: str, content: bytes) -> str:
        answer = self._session.create(self._rest, content)
        if answer.status >= 400:
            raise self._refusal(answer)
        with sending(nothing=False):
            return self._read_back(posting_id, answer)

    def _read_back(self, posting_id: str, answer: Answer) -> str:
        created = self._rest.json(answer) if answer.body else {}
        key = created.get(_KEY) if isinstance(created, dict) else None
        if not key:
            raise Retriable(f"{self._rest.said(answer)}: the answer names nothing that was created")
        there = self._rest.call("GET", f"{_REQUESTS}({key})")
        if there.status == 404:
            raise Retriable(f"{self._rest.said(there)}: it was answered as created, but is not there")
        if there.status >= 400:
            raise self._rest.forbidden(there)
        request = self._rest.json(there)
        if request.get(self._own.reference) != posting_id:
            # It is booked, and known to be; of the next one, nobody could tell whether it is.
            self._forgets = (
                f"{self.system}: request {request[_NUMBER]} was created without our reference in "
                f"{self._own.reference}: make that field part of the service, for reading and writing"
            )
        return str(request[_NUMBER])

    def _refusal(self, answer: Answer) -> Exception:
        """Return what a refusal is: of a locked project, of us, or of this posting."""
        said = self._rest.said(answer)
        if answer.status == 423 or any(words in said.lower() for words in _LOCKED):
            return self._rest.locked(answer)
        if answer.status in (403, 404, 405, 428):
            return self._rest.forbidden(answer)
        return Refused(said)

    def _body(self, posting: Posting) -> Mapping[str, Any]:
        if posting.project_id is None:
            self._names.of("contract_wbs", posting.contract_number)
        own = self._own
        told = named(posting, self._names, own.properties, booking_date(posting).isoformat(), own.text_length)
        return {own.reference: posting.posting_id, **told}

"""Oracle Fusion Cloud: billing events of projects by REST.

Written from what Oracle publishes. Quirks: a source reference is not unique; a query is an expression only from
REST-Framework-Version 2 on, and errors are JSON only from version 4 on; collections come in pages with `hasMore`.
"""

import base64
import re
from typing import Any

from tests.contract.simulators.far_side import Asked, FarSide, Json, Refusal, Said, serve

TOKEN = "/oauth2/v1/token"
EVENTS = "/fscmRestApi/resources/11.13.18.05/projectBillingEvents"
CONTENT = "application/vnd.oracle.adf.resourceitem+json"
REQUIRED = (
    "ContractTypeName", "ContractNumber", "ContractLineNumber", "EventTypeName", "CompletionDate", "OrganizationName",
    "BillTrnsAmount", "BillTrnsCurrencyCode",
)  # fmt: skip
KNOWN = {
    "OrganizationName": r"Vision Operations",
    "ContractTypeName": r"Sell : Project lines",
    "ContractNumber": r"C\d+",
    "ProjectNumber": r"P-C\d+",
    "EventTypeName": r"Consulting",
    "BillTrnsCurrencyCode": r"EUR|JPY|KWD",
}


def fault(status: int, code: str, detail: str, path: str = "") -> Refusal:
    body = {"title": "Bad Request", "status": str(status), "o:errorDetails": [{"detail": detail, "o:errorCode": code}]}
    if path:
        body["o:errorDetails"][0]["o:errorPath"] = path  # type: ignore[index]
    return Refusal(Said(status, body, {"content-type": "application/vnd.oracle.adf.error+json"}))


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Oracle(FarSide):
    def is_booking(self, asked: Asked) -> bool:
        return asked.method == "POST" and asked.path == EVENTS

    def answer(self, asked: Asked) -> Said:
        if asked.path == TOKEN:
            return self._token(asked)
        if asked.headers.get("authorization") != basic("ann", "s3cret") and not self.token_is_good(asked):
            raise Refusal(Said(401, b"<html>401 Unauthorized</html>", {"content-type": "text/html"}))
        if asked.path != EVENTS:
            raise Refusal(Said(404, b"Not Found", {"content-type": "text/plain"}))
        if asked.method == "GET":
            return self._search(asked)
        return self._create(asked)

    def copied(self, document: Json) -> Json:
        return {**super().copied(document), "EventId": int(document["id"] + "9")}

    def own(self, kind: str) -> Said:
        assert kind == "nameless"
        return Said(201, {"links": []})

    def _token(self, asked: Asked) -> Said:
        form = asked.form()
        if asked.headers.get("authorization") != basic("client-1", "s3cret"):
            raise Refusal(Said(401, {"error": "invalid_client", "error_description": "Client authentication failed."}))
        if form.get("grant_type") != "client_credentials" or form.get("scope") != "urn:opc:resource:fusion":
            raise Refusal(Said(400, {"error": "invalid_scope"}))
        return Said(200, {"access_token": self.new_token(), "token_type": "Bearer", "expires_in": 3600})

    def _search(self, asked: Asked) -> Said:
        if int(asked.headers.get("rest-framework-version", "1")) < 2:
            raise fault(400, "27540", f"The query {asked.params.get('q')} is not valid in this version.")
        found = re.fullmatch(r"SourceName='((?:[^']|'')*)' and \((.*)\)", asked.params["q"])
        terms = re.split(" or ", found[2]) if found else []
        if found is None or not all(re.fullmatch(r"SourceReference='[^']*'", term) for term in terms):
            raise fault(400, "27540", f"URL request parameter q {asked.params['q']} is not valid.")
        wanted = {term.split("'")[1] for term in terms}
        events = [
            {name: each[name] for name in asked.params["fields"].split(",")}
            for each in reversed(self.held(wanted))  # in no order that anybody promised
            if each["SourceName"] == found[1].replace("''", "'")
        ]
        offset, limit = int(asked.params.get("offset", "0")), min(int(asked.params.get("limit", "25")), 2)
        page = events[offset : offset + limit]
        more = offset + limit < len(events)
        return Said(200, {"items": page, "count": len(page), "hasMore": more, "limit": limit, "offset": offset})

    def _create(self, asked: Asked) -> Said:
        if asked.headers.get("content-type") != CONTENT:
            raise Refusal(Said(415, b"Unsupported Media Type", {"content-type": "text/plain"}))
        event = asked.json()
        self._check(event)
        booked = self.book(event["SourceReference"], **event, amount=event["BillTrnsAmount"], currency="")
        booked["EventId"], booked["currency"] = int(booked["id"]), event["BillTrnsCurrencyCode"]
        return Said(201, {**event, "EventId": booked["EventId"], "EventNumber": 1, "links": []})

    def _check(self, event: Json) -> None:
        for name in ("SourceName", "SourceReference"):
            if len(event.get(name, "")) > 80:
                raise fault(400, "27024", f"The value of the attribute {name} is too long.", f"/{name}")
        if event["SourceReference"] in self.locked:
            raise fault(400, "JBO-26030", "JBO-26030: Failed to lock the record, another user holds the lock.")
        if event["SourceReference"] in self.refused:
            raise fault(400, "PJB-1", self.refused[event["SourceReference"]])
        missing: list[Any] = [name for name in REQUIRED if event.get(name) in (None, "")]
        if missing:
            raise fault(
                400, "JBO-27014", f"Attribute {missing[0]} in ProjectBillingEvent is required.", f"/{missing[0]}"
            )
        if len(event.get("EventDescription", "")) > 240:
            raise fault(400, "27024", "The value of the attribute EventDescription is too long.")
        for name, known in KNOWN.items():
            if name in event and not re.fullmatch(known, event[name]):
                raise fault(400, "PJB-2", f"The {name} {event[name]} is not valid.", f"/{name}")
        if event["CompletionDate"][:7] in self.closed:
            raise fault(400, "PJB-3", f"The accounting period of {event['CompletionDate']} is closed.")


if __name__ == "__main__":
    serve(Oracle())

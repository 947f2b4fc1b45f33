"""SAP S/4HANA Cloud: project billing requests by OData V4, and project elements by OData V2.

Written from what SAP publishes. Quirks: what writes needs a token that goes with the session's cookies, and is refused
with `X-CSRF-Token: Required` otherwise; projects are named by internal ids of eight characters; numbers of V2 come
within `d`; and, as its timesheets do, it may answer 201 and create nothing.
"""

import base64
import re
import uuid
from typing import Any

from tests.contract.simulators.far_side import Asked, FarSide, Json, Refusal, Said, serve

SERVICE = "/sap/opu/odata4/sap/api_projectbillingrequest/srvd_a2x/sap/projectbillingrequest/0001"
REQUESTS = f"{SERVICE}/ProjectBillingRequest"
CREATE = f"{REQUESTS}/SAP__self.CreateProjectBillingRequest"
ELEMENTS = "/sap/opu/odata/sap/API_ENTERPRISE_PROJECT_SRV/A_EnterpriseProjectElement"
REFERENCE = "YY1_Reference_PBR"
REQUIRED = ("BillingWBSElementInternalID", "Amount", "TransactionCurrency", "BillingDate")
KNOWN = {
    "BillingWBSElementInternalID": r"0000\d{4}",
    "TransactionCurrency": r"EUR|JPY|KWD",
    "CompanyCode": r"1010",
    "Product": r"CONSULT",
}
OPTIONAL = {REFERENCE, "RequestText", "ProjectElement"}


def fault(status: int, code: str, said: str, headers: dict[str, str] | None = None) -> Refusal:
    return Refusal(Said(status, {"error": {"code": code, "message": said, "innererror": {}}}, headers or {}))


class Sap(FarSide):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.sessions: dict[str, str] = {}
        """Token by session; what is only read goes on without."""

    def is_booking(self, asked: Asked) -> bool:
        return asked.method == "POST" and asked.path == CREATE

    def busy(self) -> Said:
        return fault(429, "TOO_MANY_REQUESTS", "Too many requests").said

    def own(self, kind: str) -> Said:
        answers = {
            "hollow": Said(201, {"@odata.context": "$metadata"}),
            "vanished": Said(201, {"ProjectBillingRequestUUID": str(uuid.UUID(int=7))}),
            "no_token": fault(403, "TOKEN", "CSRF token validation failed", {"x-csrf-token": "Required"}).said,
        }
        return answers[kind]

    def answer(self, asked: Asked) -> Said:
        if asked.headers.get("authorization") != "Basic " + base64.b64encode(b"ann:s3cret").decode():
            raise Refusal(Said(401, b"<html>Logon failed</html>", {"content-type": "text/html"}))
        self.pass_request()
        if asked.method == "GET":
            return self._get(asked)
        if asked.path != CREATE:
            raise fault(404, "005056A509B11EE1B9A8FEC11C21578E", f"Resource not found for segment {asked.path}")
        cookies = dict(re.findall(r"([^=;\s]+)=([^;]*)", asked.headers.get("cookie", "")))
        token = self.sessions.get(cookies.get("SAP_SESSIONID", ""))
        if token not in self.tokens or asked.headers.get("x-csrf-token") != token:
            raise fault(403, "TOKEN", "CSRF token validation failed", {"x-csrf-token": "Required"})
        return self._create(asked.json())

    def _get(self, asked: Asked) -> Said:
        if asked.path == f"{SERVICE}/":
            if asked.headers.get("x-csrf-token", "").lower() != "fetch":
                return Said(200, {"value": []})
            token = self.new_token()
            session = f"session-of-{token}"
            self.sessions[session] = token
            cookie = f"SAP_SESSIONID={session}; path=/; HttpOnly"
            return Said(200, {"value": []}, {"x-csrf-token": token, "set-cookie": cookie})
        if asked.path == ELEMENTS:
            return self._elements(asked.params)
        if asked.path == REQUESTS:
            return self._search(asked.params)
        if keyed := re.fullmatch(re.escape(REQUESTS) + r"\(([0-9a-f-]{36})\)", asked.path):
            for each in self.documents:
                if each["request"]["ProjectBillingRequestUUID"] == keyed[1]:
                    return Said(200, each["request"])
        raise fault(404, "/IWBEP/CM_V4_RUNTIME/021", "Requested entity is not available")

    def _elements(self, params: dict[str, str]) -> Said:
        wanted = re.fullmatch(r"ProjectElement eq '([^']*)'", params["$filter"])
        number = re.fullmatch(r"P-C(\d+)", wanted[1]) if wanted else None
        rows = (
            [{"ProjectElement": wanted[1], "WBSElementInternalID": f"{int(number[1]):08d}"}]
            if wanted and number
            else []
        )
        return Said(200, {"d": {"results": rows}})

    def _search(self, params: dict[str, str]) -> Said:
        terms = params["$filter"].split(" or ")
        if len(terms) > 30 or not all(re.fullmatch(rf"{REFERENCE} eq '[^']*'", term) for term in terms):
            raise fault(400, "/IWBEP/CM_V4_RUNTIME/042", "Invalid filter expression")
        wanted = {term.split("'")[1] for term in terms}
        return Said(200, {"value": [each["request"] for each in self.seen() if each["reference"] in wanted]})

    def copied(self, document: Json) -> Json:
        request = {**document["request"], "ProjectBillingRequest": document["id"] + "9"}
        return {**super().copied(document), "request": request}

    def _create(self, asked: Json) -> Said:
        missing: list[Any] = [name for name in REQUIRED if asked.get(name) in (None, "")]
        if missing:
            raise fault(400, "PBR/010", f"Enter a value for {missing[0]}")
        reference = asked.get(REFERENCE, "")
        if reference in self.locked:
            raise fault(400, "PBR/020", "Project element is locked by user MILLER")
        if reference in self.refused:
            raise fault(400, "PBR/030", self.refused[reference])
        if unknown := asked.keys() - {*REQUIRED, *KNOWN, *OPTIONAL}:
            raise fault(400, "/IWBEP/CM_V4_RUNTIME/033", f"Property {min(unknown)} is not known")
        for name, known in KNOWN.items():
            if name in asked and not re.fullmatch(known, asked[name]):
                raise fault(400, "PBR/040", f"{name} {asked[name]} does not exist")
        if asked["BillingDate"][:7] in self.closed:
            raise fault(400, "F5/201", f"Posting period {asked['BillingDate'][:7]} is closed")
        booked = self.book(reference, amount=asked["Amount"], currency=asked["TransactionCurrency"])
        kept = {name: value for name, value in asked.items() if name not in self.settings.get("forgotten", [])}
        key = str(uuid.uuid5(uuid.NAMESPACE_URL, booked["id"]))
        booked["request"] = {**kept, "ProjectBillingRequestUUID": key, "ProjectBillingRequest": booked["id"]}
        return Said(201, booked["request"])


if __name__ == "__main__":
    serve(Sap())

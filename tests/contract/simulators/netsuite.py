"""NetSuite's SuiteTalk REST: invoices and credit memos by upsert under an external id, and SuiteQL over them.

Written from what NetSuite publishes. Quirks: a record is created with an empty 204 and a Location; an external id takes
few characters; an upsert without `replace=item` adds its lines to those there; SuiteQL wants `Prefer: transient`; an
invoice's total is never below zero; being asked too much may come as a 429 or as an error code.
"""

import re
import time
from decimal import Decimal
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from tests.contract.simulators.far_side import Asked, FarSide, Json, Refusal, Said, serve

TOKEN = "/services/rest/auth/oauth2/v1/token"
RECORD = re.compile(r"/services/rest/record/v1/(invoice|creditMemo)/(?:eid:(.+)|(\d+))")
SUITEQL = "/services/rest/query/v1/suiteql"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KNOWN = {
    "entity": {"220", "221"},
    "subsidiary": {"1", "2"},
    "currency": {"1", "2", "3"},
    "item": {"144", "145"},
    "taxCode": {"7"},
}
CURRENCIES = {"1": "EUR", "2": "JPY", "3": "KWD"}


def fault(status: int, code: str, detail: str, path: str = "") -> Refusal:
    details: Json = {"detail": detail, "o:errorCode": code, **({"o:errorPath": path} if path else {})}
    return Refusal(
        Said(status, {"type": "about:blank", "title": "Bad Request", "status": status, "o:errorDetails": [details]})
    )


class NetSuite(FarSide):
    def is_booking(self, asked: Asked) -> bool:
        return asked.method == "PUT"

    def busy(self) -> Said:
        return fault(429, "SSS_REQUEST_LIMIT_EXCEEDED", "Request limit exceeded").said

    def own(self, kind: str) -> Said:
        if kind == "busy_code":
            return fault(400, "SSS_REQUEST_LIMIT_EXCEEDED", "Request limit exceeded").said
        return fault(403, "INSUFFICIENT_PERMISSION", "You do not have permissions to perform this action").said

    def answer(self, asked: Asked) -> Said:
        if asked.path == TOKEN:
            return self._token(asked)
        if not self.token_is_good(asked):
            raise fault(401, "INVALID_LOGIN", "Invalid login attempt")
        if asked.path == SUITEQL and asked.method == "POST":
            return self._suiteql(asked)
        place = RECORD.fullmatch(asked.path)
        if place is None:
            raise fault(404, "NONEXISTENT_URL", f"There is no {asked.path}")
        if asked.method == "GET":
            return self._read(place[1], place[2], place[3])
        if asked.method == "PUT" and place[2]:
            return self._upsert(place[1], place[2], asked)
        raise fault(405, "METHOD_NOT_ALLOWED", f"{asked.method} is not allowed")

    def _token(self, asked: Asked) -> Said:
        form, settings = asked.form(), self.settings
        invalid = Refusal(Said(401, {"error": "invalid_grant", "error_description": "the assertion is refused"}))
        if form.get("grant_type") != "client_credentials" or form.get("client_assertion_type") != ASSERTION:
            raise Refusal(Said(400, {"error": "invalid_request"}))
        pem, kind = settings["public_key"], ECKey if settings["algorithm"] == "ES256" else RSAKey
        try:
            token = jwt.decode(form["client_assertion"], kind.import_key(pem), algorithms=["PS256", "ES256"])
        except (JoseError, ValueError):
            raise invalid from None
        claims, now = token.claims, time.time()
        scopes = claims.get("scope", [])
        good = (
            token.header.get("kid") == settings["certificate"]
            and token.header.get("typ") == "JWT"
            and claims.get("iss") == settings["client"]
            and claims.get("aud") == f"http://{asked.headers['host']}{TOKEN}"
            and "rest_webservices" in (scopes.split(",") if isinstance(scopes, str) else scopes)
            and claims["iat"] <= now + 5
            and now < claims["exp"] <= claims["iat"] + 3600
        )
        if not good:
            raise invalid
        return Said(200, {"access_token": self.new_token(), "expires_in": "3600", "token_type": "Bearer"})

    def _suiteql(self, asked: Asked) -> Said:
        if asked.headers.get("prefer") != "transient":
            raise fault(400, "INVALID_HEADER", "The required request header 'Prefer' is missing or has a wrong value.")
        query = asked.json()["q"]
        found = re.fullmatch(
            r"SELECT id, externalid, memo FROM transaction WHERE externalid IN \(([^)]*)\) ORDER BY id", query
        )
        if found is None:
            raise fault(400, "INVALID_PARAMETER", f"Invalid search query: {query}")
        wanted = set(re.findall(r"'([^']*)'", found[1]))
        rows = [
            {"links": [], "id": each["id"], "externalid": each["reference"], "memo": each["memo"]}
            for each in self.seen()
            if each["reference"] in wanted
        ]
        return Said(200, {"links": [], "count": len(rows), "hasMore": False, "items": rows, "totalResults": len(rows)})

    def _read(self, kind: str, external: str | None, internal: str | None) -> Said:
        for each in self.documents:
            if each["kind"] == kind and (each["reference"] == external or each["id"] == internal):
                return Said(200, {"id": each["id"], "externalId": each["reference"], "memo": each["memo"]})
        raise fault(404, "NONEXISTENT_ID", "The record instance does not exist. Provide a valid record instance ID.")

    def _upsert(self, kind: str, external: str, asked: Asked) -> Said:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", external):
            raise fault(400, "INVALID_ID", f"Invalid external ID {external}")
        if external in self.locked:
            raise fault(400, "RCRD_HAS_BEEN_CHANGED", "Record has been changed")
        if external in self.refused:
            raise fault(400, "INVALID_KEY_OR_REF", self.refused[external], "item.items[0].item")
        body = asked.json()
        lines, total = self._checked(body, kind)
        existing = next((each for each in self.documents if each["reference"] == external), None)
        if existing is None:
            existing = self.book(external, kind=kind, lines=[], amount=Decimal(0))
        kept = [] if asked.params.get("replace") == "item" else existing["lines"]
        existing.update(
            lines=[*kept, *lines],
            memo=body.get("memo", ""),
            currency=CURRENCIES[body["currency"]["id"]],
            amount=(total if kind == "invoice" else -total) * (1 + len(kept)),
            body=body,
        )
        host = asked.headers["host"]
        return Said(204, None, {"location": f"http://{host}/services/rest/record/v1/{kind}/{existing['id']}"})

    def _checked(self, body: Json, kind: str) -> tuple[list[Any], Decimal]:
        for name in ("entity", "subsidiary", "currency"):
            self._reference(body, name, name)
        lines = body.get("item", {}).get("items", [])
        if not lines:
            raise fault(400, "USER_ERROR", "Please enter value(s) for: Item", "item")
        for at, line in enumerate(lines):
            self._reference(line, "item", f"item.items[{at}].item")
            if "taxCode" in line:
                self._reference(line, "taxCode", f"item.items[{at}].taxCode")
            if not isinstance(line.get("amount"), int | Decimal):
                raise fault(400, "USER_ERROR", "Please enter value(s) for: Amount", f"item.items[{at}].amount")
        if body.get("tranDate", "")[:7] in self.closed:
            raise fault(400, "USER_ERROR", f"The posting period {body['tranDate'][:7]} is closed.", "tranDate")
        total = sum((Decimal(line["amount"]) for line in lines), Decimal(0))
        if total < 0:
            raise fault(400, "USER_ERROR", f"The total of this {kind} may not be negative.")
        return lines, total

    @staticmethod
    def _reference(body: Json, name: str, path: str) -> None:
        if body.get(name, {}).get("id") not in KNOWN[name]:
            raise fault(400, "INVALID_KEY_OR_REF", f"Invalid {name} reference key {body.get(name)}.", path)


if __name__ == "__main__":
    serve(NetSuite())

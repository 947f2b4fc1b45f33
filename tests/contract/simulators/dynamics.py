"""Dynamics 365 Finance and Operations: rows of one entity set by OData, and batches of changesets.

Written from what Microsoft publishes. Quirks: a row's key is its company and a transaction id of few characters; a
second row under one key is refused with words and no code; a read sees the user's own company unless it is told
`cross-company`; a batch answers 200 whatever became of its parts, a changeset that failed by one plain part, and stops
at the first failure unless it is told to go on.
"""

import json
import re
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from tests.contract.simulators.far_side import Asked, FarSide, Json, Refusal, Said, serve

TOKEN = "/tenant-1/oauth2/v2.0/token"
SET = "/data/ProjectMilestoneBillings"
BATCH = "/data/$batch"
KEYED = re.compile(re.escape(SET) + r"\(dataAreaId='([^']*)',TransactionId='([^']*)'\)")
REQUIRED = ("dataAreaId", "TransactionId", "Amount", "CurrencyId", "InvoiceDate", "Description", "CategoryId")
KNOWN = {
    "dataAreaId": r"usmf|demf",
    "ProjectID": r"P-C\d+",
    "CustomerAccount": r"CU1",
    "CategoryId": r"Consult",
    "CurrencyId": r"EUR|JPY|KWD",
    "SalesTaxGroup": r"DE19",
    "LineStatus": r"Ready",
}
OPTIONAL = {"ContractLineRef", "Quantity", "SalesPrice"}


def fault(status: int, said: str) -> Refusal:
    inner = {"message": said, "type": "Microsoft.Dynamics.Platform.Integration.Services.OData.ODataException"}
    return Refusal(Said(status, {"error": {"code": "", "message": "An error has occurred.", "innererror": inner}}))


class Dynamics(FarSide):
    def is_booking(self, asked: Asked) -> bool:
        return asked.method == "POST" and asked.path in (SET, BATCH)

    def answer(self, asked: Asked) -> Said:
        if asked.path == TOKEN:
            return self._token(asked)
        if not self.token_is_good(asked):
            raise Refusal(Said(401, b""))
        if asked.path == BATCH:
            return self._batch(asked)
        if asked.method == "POST" and asked.path == SET:
            return self._create(asked.json())
        if asked.method == "GET" and asked.path == SET:
            return self._search(asked.params)
        if keyed := KEYED.fullmatch(asked.path):
            return self._read(keyed[1], keyed[2], asked.params)
        raise fault(404, f"No HTTP resource was found that matches the request URI '{asked.path}'.")

    def own(self, kind: str) -> Said:
        if kind == "nothing":
            return Said(201, {"@odata.context": "$metadata"})
        assert kind == "batch_cut_short"
        return Said(200, b"--b--\r\n", {"content-type": "multipart/mixed; boundary=b"})

    def _token(self, asked: Asked) -> Said:
        form = asked.form()
        if form.get("client_id") != "client-1" or form.get("client_secret") != "s3cret":
            raise Refusal(Said(401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid secret."}))
        if form.get("grant_type") != "client_credentials" or form.get("scope") != "https://firm.example/.default":
            raise Refusal(Said(400, {"error": "invalid_scope", "error_description": "AADSTS70011: Invalid scope."}))
        return Said(200, {"access_token": self.new_token(), "token_type": "Bearer", "expires_in": 3599})

    def _search(self, params: dict[str, str]) -> Said:
        terms = params["$filter"].split(" or ")
        if len(terms) > 25 or not all(re.fullmatch(r"TransactionId eq '[^']*'", term) for term in terms):
            raise fault(400, f"The query specified in the URI is not valid. {params['$filter'][:40]}")
        wanted = {term.split("'")[1] for term in terms}
        across = params.get("cross-company") == "true"
        rows = [
            each["row"]
            for each in self.documents
            if each["row"]["TransactionId"] in wanted and (across or each["row"]["dataAreaId"] == "demf")
        ]
        return Said(200, {"@odata.context": "$metadata", "value": rows})

    def _read(self, company: str, key: str, params: dict[str, str]) -> Said:
        row = self._row(company, key)
        if row is not None and (params.get("cross-company") == "true" or company == "demf"):
            return Said(200, row)
        raise fault(404, "The record does not exist.")

    def _row(self, company: str, key: str) -> Json | None:
        rows: list[Json] = [each["row"] for each in self.documents]
        return next((row for row in rows if (row["dataAreaId"], row["TransactionId"]) == (company, key)), None)

    def _create(self, row: Json) -> Said:
        missing: list[Any] = [name for name in REQUIRED if row.get(name) in (None, "")]
        if missing:
            raise fault(400, f"Write failed. Infolog: Warning: Field '{missing[0]}' must be filled in.")
        key = row["TransactionId"]
        self._check(row)
        if any(
            each["row"]["TransactionId"] == key and each["row"]["dataAreaId"] == row["dataAreaId"]
            for each in self.documents
        ):
            raise fault(400, f"Cannot create a record in Milestones. {key}. The record already exists.")
        row["VoucherNumber"] = f"V-{1000 + len(self.documents)}"
        self.book(key, amount=row["Amount"], currency=row["CurrencyId"], row=row)
        return Said(201, {"@odata.context": "$metadata", **row})

    def _check(self, row: Json) -> None:
        key, key_length = row["TransactionId"], self.settings.get("key_length", 36)
        if len(key) > key_length or len(row["Description"]) > 60:
            raise fault(400, "Write failed. Infolog: Error: a value is longer than its field.")
        if key in self.locked:
            raise fault(400, "Write failed. Infolog: Error: An update conflict occurred due to another user.")
        if key in self.refused:
            raise fault(400, f"Write failed. Infolog: Error: {self.refused[key]}")
        unknown = row.keys() - {*REQUIRED, *KNOWN, *OPTIONAL}
        if unknown:
            raise fault(400, f"The property '{min(unknown)}' does not exist on type 'ProjectMilestoneBilling'.")
        for name, known in KNOWN.items():
            if name in row and not re.fullmatch(known, row[name]):
                raise fault(400, f"Write failed. Infolog: The value '{row[name]}' in field '{name}' is not found.")
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT12:00:00Z", row["InvoiceDate"]):
            raise fault(400, "Cannot convert the literal to the expected type 'Edm.DateTimeOffset'.")
        if row["InvoiceDate"][:7] in self.closed:
            raise fault(400, f"Write failed. Infolog: Error: Period for {row['InvoiceDate'][:10]} is closed.")

    # -- batches

    def _batch(self, asked: Asked) -> Said:
        head = f"content-type: {asked.headers['content-type']}\r\n\r\n".encode()
        whole = BytesParser(policy=HTTP).parsebytes(head + asked.body)
        if not whole.is_multipart() or whole.defects:
            raise fault(400, "The message header is invalid.")
        goes_on = "odata.continue-on-error" in asked.headers.get("prefer", "")
        parts = []
        for place, changeset in enumerate(whole.iter_parts()):
            said = self._changeset(changeset, asked.headers["host"])
            parts.append(self._part(place, said))
            if said.status >= 400 and not goes_on:
                break
        return Said(200, b"".join(parts) + b"--answers--\r\n", {"content-type": "multipart/mixed; boundary=answers"})

    def _changeset(self, changeset: Any, host: str) -> Said:
        [call] = changeset.iter_parts()
        if call.get_content_type() != "application/http" or not call["content-id"]:
            raise fault(400, "A changeset's part has no Content-ID.")
        head, _, body = call.get_payload(decode=True).partition(b"\r\n\r\n")
        if head.split(b"\r\n")[0] != f"POST http://{host}{SET} HTTP/1.1".encode():
            raise fault(400, f"The request line {head.split(b' ')[:2]} is not valid.")
        key = json.loads(body)["TransactionId"]
        if key in self.settings.get("busy", []):
            return Said(429, {"error": {"code": "", "message": "Too many requests"}}, {"Retry-After": "5"})
        try:
            return self._create(Asked("POST", SET, {}, {}, body).json())
        except Refusal as refusal:
            return refusal.said

    @staticmethod
    def _part(place: int, said: Said) -> bytes:
        fields = {"Content-Type": "application/json", **said.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        http = f"HTTP/1.1 {said.status} Said\r\n{lines}\r\n".encode() + said.content()
        head = b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
        if said.status >= 400:
            return b"--answers\r\n" + head + b"\r\n" + http + b"\r\n"
        inner = f"changesetresponse_{place}"
        return (
            f"--answers\r\nContent-Type: multipart/mixed; boundary={inner}\r\n\r\n--{inner}\r\n".encode()
            + head
            + b"Content-ID: 1\r\n\r\n"
            + http
            + f"\r\n--{inner}--\r\n".encode()
        )


if __name__ == "__main__":
    serve(Dynamics())

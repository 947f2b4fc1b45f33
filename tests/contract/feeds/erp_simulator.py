"""An ERP behind three kinds of API, on the same records: OData as Dynamics has it, REST with offsets as NetSuite and
Oracle have it, and plain lists as Tryton has them.

Quirks: without `cross-company=true` OData tells of one company alone; lines come only with `$expand`; pages are cut at
three records whatever `$top` says, and go on by `@odata.nextLink` with a skip token that counts records. The offset API
lists records without their lines, which are asked for one record at a time. Times have a precision of seconds.
"""

import re
from typing import Any
from urllib.parse import urlencode

from tests.contract.feeds.program import Asked, Json, Refusal, System, serve

SERVER_PAGE = 3


class Erp(System):
    def answer(self, asked: Asked) -> Any:
        parts = asked.path.strip("/").split("/")
        match parts:
            case ["data", "SalesInvoiceHeaders"]:
                return self._odata(asked)
            case ["rest", "invoices"]:
                return self._offsets(asked.params)
            case ["rest", "thin"]:  # of each record it lists its id alone
                answer = self._offsets(asked.params)
                return {**answer, "items": [{"InvoiceId": item["InvoiceId"]} for item in answer["items"]]}
            case ["rest", "unordered"]:  # whatever order it is asked for
                return self._offsets({name: value for name, value in asked.params.items() if name != "orderBy"})
            case ["rest", "ignorant"]:  # it knows no offset
                return self._offsets({**asked.params, "offset": "0"})
            case ["rest", "invoices", name]:
                return self._one(name)
            case ["rest", "invoices", name, "lines"]:
                return {"items": self._one(name)["Lines"], "hasMore": False}
            case ["model", "customers"]:
                return self._list(asked.params)
        raise Refusal(404, {"error": {"code": "NotFound", "message": f"no resource {asked.path}"}})

    def _one(self, name: str) -> Json:
        for record in self.records.values():
            if record["InvoiceId"] == name:
                return record
        raise Refusal(
            404, {"title": "Not Found", "o:errorDetails": [{"detail": name, "o:errorCode": "NONEXISTENT_ID"}]}
        )

    def _since(self, pattern: str, text: str | None) -> list[Json]:
        """The records that a filter names, in the order of their times."""
        since = ""
        if text is not None:
            found = re.fullmatch(pattern, text)
            if found is None:
                raise Refusal(400, {"error": {"code": "BadFilter", "message": f"cannot read {text}"}})
            since = found[1]
        records = [record for record in self.records.values() if record["Modified"] >= since]
        return sorted(records, key=lambda record: record["Modified"])

    def _odata(self, asked: Asked) -> Json:
        params = asked.params
        records = self._since(r"Modified ge (\S+)", params.get("$filter"))
        if params.get("cross-company") != "true":
            records = [record for record in records if record["dataAreaId"] == "usmf"]
        skip, top = int(params.get("$skiptoken", "0")), int(params.get("$top", str(10**9)))
        page = records[skip : min(skip + SERVER_PAGE, top)]
        answer: Json = {"value": [self._expanded(record, params) for record in page]}
        if params.get("$count") == "true":
            answer["@odata.count"] = len(records)
        if skip + len(page) < min(len(records), top):
            kept = {name: value for name, value in params.items() if name != "$skiptoken"}
            query = urlencode({**kept, "$skiptoken": skip + len(page)})
            answer["@odata.nextLink"] = f"http://{asked.headers['host']}{asked.path}?{query}"
        self.page_served()
        return answer

    @staticmethod
    def _expanded(record: Json, params: dict[str, str]) -> Json:
        if params.get("$expand") == "Lines":
            return record
        return {name: value for name, value in record.items() if name != "Lines"}

    def _offsets(self, params: dict[str, str]) -> Json:
        records = self._since(r'Modified >= "(\S+)"', params.get("q"))
        if "orderBy" not in params:
            records.reverse()
        limit, offset = int(params["limit"]), int(params["offset"])
        page = records[offset : offset + limit]
        answer = {
            "items": [self._expanded(record, {}) for record in page],
            "hasMore": offset + len(page) < len(records),
            "offset": offset,
            "totalResults": len(records),
        }
        self.page_served()
        return answer

    def _list(self, params: dict[str, str]) -> list[Json]:
        limit, offset = int(params["limit"]), int(params["offset"])
        page = list(self.records.values())[offset : offset + limit]
        self.page_served()
        return page


if __name__ == "__main__":
    serve(Erp())

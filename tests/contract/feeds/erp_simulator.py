"""An ERP behind three kinds of API, on the same records: OData as Dynamics has it, REST with offsets as NetSuite and
Oracle have it, and plain lists as Tryton has them.

Quirks: without `cross-company=true` OData tells of one company alone; lines come only with `$expand`; pages are cut at
three records whatever `$top` says (`page` orders another limit), and go on by `@odata.nextLink` with a skip token that
counts records. The offset API lists records without their lines, which are asked for one record at a time. Times have a
precision of seconds.

Under `/data` there is any other entity set, too: its records are put under ids that begin with its name, `NAME/…`. What
is a decimal there is put as text, so that no order rounds it, and answered as a number, as OData has it.
"""

import re
from typing import Any
from urllib.parse import urlencode

from tests.contract.feeds.program import Asked, Json, Refusal, System, serve

SERVER_PAGE = 3
DECIMALS = ("Rate", "Amount")
"""How the names of decimal properties end."""


class Erp(System):
    def __init__(self) -> None:
        super().__init__()
        self.server_page = SERVER_PAGE

    def control(self, order: Json) -> Any:
        if order["do"] == "page":
            self.server_page = order["records"]
            return None
        return super().control(order)

    def answer(self, asked: Asked) -> Any:
        parts = asked.path.strip("/").split("/")
        match parts:
            case ["data", entity_set]:
                return self._entity_set(asked, entity_set)
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

    def _since(self, pattern: str, text: str | None, records: list[Json], modified: str) -> list[Json]:
        """The records that a filter names, in the order of their times."""
        since = ""
        if text is not None:
            found = re.fullmatch(pattern, text)
            if found is None:
                raise Refusal(400, {"error": {"code": "BadFilter", "message": f"cannot read {text}"}})
            since = found[1]
        newer = [record for record in records if record[modified] >= since]
        return sorted(newer, key=lambda record: str(record[modified]))

    def _entity_set(self, asked: Asked, entity_set: str) -> Json:
        if entity_set == "SalesInvoiceHeaders":
            return self._odata(asked, list(self.records.values()), "Modified")
        named = [record for name, record in self.records.items() if name.startswith(f"{entity_set}/")]
        return self._odata(asked, named, "ModifiedDateTime")

    def _odata(self, asked: Asked, records: list[Json], modified: str) -> Json:
        params = asked.params
        records = self._since(rf"{modified} ge (\S+)", params.get("$filter"), records, modified)
        if params.get("cross-company") != "true":
            records = [record for record in records if record["dataAreaId"] == "usmf"]
        skip, top = int(params.get("$skiptoken", "0")), int(params.get("$top", str(10**9)))
        page = records[skip : min(skip + self.server_page, top)]
        answer: Json = {"value": [as_numbers(self._expanded(record, params)) for record in page]}
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
        everything = list(self.records.values())
        records = self._since(r'Modified >= "(\S+)"', params.get("q"), everything, "Modified")
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


def as_numbers(record: Json) -> Json:
    """A record with numbers for what are decimals in it, its lines included."""
    told = dict(record)
    for name, value in record.items():
        if isinstance(value, list):
            told[name] = [as_numbers(line) for line in value]
        elif isinstance(value, str) and name.endswith(DECIMALS):
            told[name] = float(value)
    return told


if __name__ == "__main__":
    serve(Erp())

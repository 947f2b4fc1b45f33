"""Workday: workers by REST, at most a hundred a page, and by a report as a service.

Written from what Workday publishes. Quirks: offsets are zero-based and a page may be asked for that is not there; a
report without `format=json` comes as XML, its numbers are texts, and it wants both ends of a window or none.
"""

from typing import Any

from tests.contract.feeds.program import Asked, Json, Refusal, System, serve

LIMIT_MAX = 100


class Workday(System):
    def answer(self, asked: Asked) -> Any:
        if asked.path == "/ccx/api/staffing/v6/firm/workers":
            return self._workers(asked.params)
        if asked.path == "/ccx/service/customreport2/firm/ISU/Workers":
            return self._report(asked.params)
        raise Refusal(404, {"error": "invalid request: no such resource", "code": "A21"})

    def _workers(self, params: dict[str, str]) -> Json:
        limit, offset = int(params.get("limit", "20")), int(params.get("offset", "0"))
        if limit > LIMIT_MAX:
            raise Refusal(400, {"error": "The limit must be at most 100.", "code": "S22"})
        workers = list(self.records.values())
        page = {"total": len(workers), "data": workers[offset : offset + limit]}
        self.page_served()
        return page

    def _report(self, params: dict[str, str]) -> Json:
        if params.get("format") != "json":
            raise Refusal(406, "<wd:Report_Data/>")
        begin, end = params.get("Updated_From"), params.get("Updated_Through")
        if (begin is None) != (end is None):
            raise Refusal(400, {"error": "Updated From and Updated Through must be given together."})
        workers = [
            worker
            for worker in self.records.values()
            if begin is None or end is None or begin <= worker["Last_Modified"] <= end
        ]
        self.page_served()
        return {"Report_Entry": workers}


if __name__ == "__main__":
    serve(Workday())

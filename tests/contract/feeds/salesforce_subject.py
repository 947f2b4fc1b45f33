"""Salesforce by polling, as the suite of all feeds wants its system: accounts that are numbered, two a page."""

from typing import Any

from tests.contract.feeds.program import Json
from tests.contract.feeds.salesforce_bench import Org
from tests.contract.feeds.station import Row, to_seconds
from tests.contract.feeds.subjects import LOGIN, HttpSubject


class Orders:
    """The suite's orders, as the simulated organisation takes them."""

    def __init__(self, org: Org) -> None:
        self.org = org
        self.url = org.url

    def order(self, do: str, **order: Any) -> Any:
        """Order something."""
        match do:
            case "reset":
                self.org.order("reset", seed=0)
                return self.org.order("settings", rows=2)
            case "put" | "remove":
                return self.org.order(do, object="Account", id=f"A{order['id']}", **order.get("record", {}))
            case "token":
                return self.org.order("settings", token_requests=order["requests"])
            case "meanwhile":
                (each,) = order["orders"]
                record = each["record"]
                change = {"op": "update", "object": "Account", "id": f"A{each['id']}", "fields": record["fields"]}
                return self.org.order("meanwhile", pages=order["pages"], changes=[change], at_ms=record["at_ms"])
            case _:
                return self.org.order(do, **{name: value for name, value in order.items() if value is not None})


class SalesforcePolling(HttpSubject):
    """Accounts of an organisation."""

    program: Orders  # type: ignore[assignment]

    def configuration(self) -> dict[str, str]:
        login = {**LOGIN, "auth.client.id": "a-client", "auth.client.secret": "a-secret"}
        return {
            "connector.class": "throughline.salesforce", **login, "mode": "polling", "objects": "Account",
            "url": self.program.url, "auth.token.url": f"{self.program.url}/services/oauth2/token",
            "account.fields": "Status=Status__c",
        }  # fmt: skip

    def remove(self, number: int, now: int) -> None:
        self.program.order("remove", id=str(number), record={"at_ms": now})
        self._rows.pop(self.identity(number), None)

    def identity(self, number: int) -> str:
        return f"A{number}"

    def record(self, number: int, version: int, now: int) -> Json:
        fields = {"Name": f"Client {version}", "Phone": f"0{number}", "Status__c": "Active"}
        return {"fields": fields, "at_ms": now}

    def row(self, number: int, version: int, now: int) -> Row:
        changed = {"Name": f"Client {version}", "Status": "Active", "LastModifiedDate": to_seconds(now)}
        return {"Id": self.identity(number), **changed}

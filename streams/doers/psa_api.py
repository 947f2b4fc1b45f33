"""Project shells by the API of a PSA: JSON over HTTP, with ids of our own and conditions in headers.

What is asked of the API is this, under the URL of the settings:

    GET   /clients?crm_account_id=A       {"items": [{"id", ...}]}
    GET   /projects?contract_number=C     {"items": [{"id", "stage", ...}]}
    GET   /projects/ID                    the project with its "version", and "in_use": whether anything lies under it
    PUT   /projects/ID                    `If-None-Match: *`: 201; 412 where there is one
    PATCH /projects/ID                    `If-Match: VERSION`: 200; 412 where it was changed since
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from outside.errors import Retriable, Skippable
from streams.doers.contract import Made, NotYet, Undone
from streams.doers.web import EXISTS, Web
from streams.domain.undertaking import Order

PROPOSED: Final = "Proposed"
CANCELLED: Final = "Cancelled"


class PsaApi:
    """Makes projects in stage Proposed."""

    def __init__(self, name: str, url: str, web: Web) -> None:
        self.name = name
        self._url = url.rstrip("/")
        self._web = web

    def make(self, order: Order, in_doubt: bool) -> Made:  # noqa: ARG002, the id settles all doubt
        """Make the project, find it, or find another that names the contract. Raises as the contract says."""
        own = self._web.found(self._place(order))
        if own is None:
            others = self._items("projects", {"contract_number": order.contract_number})
            if others:
                return Made(others[0]["id"], own=False, results=(("project_id", others[0]["id"]),))
            self._put(order)
        elif own["contract_number"] != order.contract_number:
            raise Skippable(
                f"{self.name}: project {order.shell_id} was made for contract {own['contract_number']}; give it "
                f"contract {order.contract_number} there, or close it and set the deal up by hand"
            )
        elif own["stage"] == CANCELLED:
            self._patch(order, own, PROPOSED)
        return Made(order.shell_id, results=(("project_id", order.shell_id),))

    def undo(self, order: Order) -> Undone:
        """Cancel the project if nobody has touched it. Raises as the contract says."""
        own = self._web.found(self._place(order))
        if own is None:
            return Undone.NOT_THERE
        if own["stage"] == CANCELLED:
            return Undone.CLOSED
        wanted = self._fields(order, own["client_id"])
        if own["in_use"] or any(own.get(name) != value for name, value in wanted.items()):
            return Undone.IN_USE
        self._patch(order, own, CANCELLED)
        return Undone.CLOSED

    def close(self) -> None:
        """Close all connections."""
        self._web.close()

    def _put(self, order: Order) -> None:
        clients = self._items("clients", {"crm_account_id": order.client_id})
        if not clients:
            raise Skippable(
                f"{self.name}: the PSA has no client with crm_account_id {order.client_id}; make it there first"
            )
        fields = self._fields(order, clients[0]["id"])
        # 412: a call of ours that was given up has arrived after all.
        self._web.send("PUT", self._place(order), fields, {"if-none-match": "*"})

    def _patch(self, order: Order, own: Mapping[str, Any], stage: str) -> None:
        answer = self._web.send("PATCH", self._place(order), {"stage": stage}, {"if-match": str(own["version"])})
        if answer.status in EXISTS:
            raise NotYet(f"{self.name}: project {order.shell_id} was changed meanwhile")

    def _items(self, what: str, params: Mapping[str, str]) -> list[dict[str, Any]]:
        told = self._web.found(f"{self._url}/{what}", params)
        items = told.get("items") if isinstance(told, dict) else None
        if not isinstance(items, list):
            raise Retriable(f"{self._url}/{what}: the answer has no items; is it the URL of a PSA?")
        return items

    def _place(self, order: Order) -> str:
        return f"{self._url}/projects/{quote(order.shell_id, safe='')}"

    @staticmethod
    def _fields(order: Order, client_id: str) -> dict[str, Any]:
        return {
            "name": order.argument("name") or order.contract_number,
            "client_id": client_id,
            "contract_number": order.contract_number,
            "stage": PROPOSED,
            "region": order.argument("region"),
            "legal_entity": order.legal_entity or None,
            "currency": order.argument("currency"),
            "start_date": order.argument("start_on"),
            "end_date": order.argument("end_on") or None,
        }

"""Project shells in a Tryton: a `project.work` of type project, made by its JSON-RPC.

Tryton lets nobody choose an id and keeps no reference unique: the work carries our reference in its comment, and is
looked for before it is made. One deal is set up by one worker at a time, so nothing comes between.
"""

from collections.abc import Mapping
from typing import Any, Final

from outside.errors import Skippable
from outside.tryton import TrytonCalls
from streams.doers.contract import Made, Undone
from streams.domain.undertaking import Order

_WORK: Final = "model.project.work"
_FIELDS: Final = ["id", "comment", "status", "timesheet_duration", "children"]


class TrytonProject:
    """Makes projects. `companies` are Tryton's by legal entity, `parties` its parties by CRM account.

    `begun` and `closed` are ids of `project.work.status`; `namespace` goes before ids as the feed has them.
    """

    def __init__(
        self,
        name: str,
        calls: TrytonCalls,
        companies: Mapping[str, int],
        parties: Mapping[str, int],
        statuses: tuple[int, int] = (1, 2),
        namespace: str = "tryton",
    ) -> None:
        self.name = name
        self._calls = calls
        self._companies = companies
        self._parties = parties
        self._begun, self._closed = statuses
        self._namespace = namespace

    def make(self, order: Order, in_doubt: bool) -> Made:  # noqa: ARG002, it is looked for each time
        """Make the project, or find it. Raises as the contract says."""
        company, party = self._company(order), self._parties.get(order.client_id)
        own = self._own(order, company)
        if own is None:
            if party is None:
                raise Skippable(f"{self.name}: no party is named for account {order.client_id}; add it to parties")
            [number] = self._calls.call(f"{_WORK}.create", [self._fields(order, company, party)], company=company)
        else:
            number = own["id"]
            if self._contract_of(own) != order.contract_number:
                raise Skippable(
                    f"{self.name}: project {number} was made for another contract than {order.contract_number}; say so "
                    "in its comment, or close it and set the deal up by hand"
                )
            if own["status"] == self._closed:
                begun = {"status": self._begun, "progress": None}
                self._calls.call(f"{_WORK}.write", [number], begun, company=company)
        # The feed knows the project's contract once somebody has added this line to the crosswalk.
        line, identity = f"{number}: {order.contract_number}", f"{self._namespace}:{number}"
        return Made(str(number), results=(("project_id", identity), ("crosswalk", line)))

    def undo(self, order: Order) -> Undone:
        """Close the project if nobody has recorded time for it or put tasks under it. Raises as the contract says."""
        company = self._company(order)
        own = self._own(order, company)
        if own is None:
            return Undone.NOT_THERE
        if own["status"] == self._closed:
            return Undone.CLOSED
        spent = own["timesheet_duration"] or {}
        if own["children"] or own["status"] != self._begun or spent.get("seconds"):
            return Undone.IN_USE
        closed = {"status": self._closed, "progress": 1.0}
        self._calls.call(f"{_WORK}.write", [own["id"]], closed, company=company)
        return Undone.CLOSED

    def close(self) -> None:
        """Close all connections."""
        self._calls.close()

    def _company(self, order: Order) -> int:
        company = self._companies.get(order.legal_entity)
        if company is None:
            raise Skippable(f"{self.name}: no company is named for {order.legal_entity or 'no legal entity'}")
        return company

    def _own(self, order: Order, company: int) -> dict[str, Any] | None:
        wanted = [["comment", "like", f"%{_reference(order)}%"]]
        found = self._calls.call(f"{_WORK}.search", wanted, 0, 1, [["id", "ASC"]], company=company)
        if not found:
            return None
        rows: list[dict[str, Any]] = self._calls.call(f"{_WORK}.read", found[:1], _FIELDS, company=company)
        return rows[0]

    def _fields(self, order: Order, company: int, party: int) -> dict[str, Any]:
        # create runs no on_change: what a form would fill in is given.
        return {
            "name": order.argument("name") or order.contract_number,
            "type": "project",
            "company": company,
            "party": party,
            "status": self._begun,
            "timesheet_available": True,
            "comment": f"{_reference(order)}\ncontract {order.contract_number}",
        }

    @staticmethod
    def _contract_of(own: Mapping[str, Any]) -> str:
        lines = (own["comment"] or "").splitlines()
        return next((line.removeprefix("contract ") for line in lines if line.startswith("contract ")), "")


def _reference(order: Order) -> str:
    return f"throughline:{order.shell_id}"

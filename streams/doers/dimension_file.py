"""ERP dimensions by files: one file a dimension, under a name that follows from the order, and perhaps an answer.

`outbound/dimension-ID.csv` is written whole or not at all, with its checksum beside, and never changed. An ERP that
answers writes `inbound/dimension-ID.csv` in the same way: a line `status,number,reason` under its heading, with the
status `accepted` or `rejected`. `outbound/retire-ID.csv` takes a dimension back.
"""

import csv
import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from outside.errors import Fatal, Skippable
from streams.doers.contract import Made, NotYet, Undone
from streams.doers.templates import filled, values_of
from streams.domain.undertaking import Order

_ACCEPTED: Final = "accepted"
_REJECTED: Final = "rejected"


class DimensionFile:
    """Writes dimension files. `fields` are templates by column; `answers` tells whether the ERP answers each file."""

    def __init__(
        self,
        name: str,
        folder: Path,
        fields: Mapping[str, str],
        answers: bool,
        companies: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._outbound = folder / "outbound"
        self._inbound = folder / "inbound"
        self._fields = dict(fields)
        self._answers = answers
        self._companies = dict(companies or {})

    def make(self, order: Order, in_doubt: bool) -> Made:  # noqa: ARG002, a file is there or not
        """Write the file, and return once it is answered, if it is. Raises as the contract says."""
        values = values_of(order, self._companies)
        name = f"dimension-{order.shell_id}.csv"
        self._write(name, filled(self._fields, values))
        if not self._answers:
            return Made(values["number"])
        answer = self._answer(name)
        if answer is None:
            raise NotYet(f"{self.name}: {name} is not answered yet")
        if answer.get("status") == _REJECTED:
            raise Skippable(f"{self.name}: {answer.get('reason') or 'rejected, and no reason is given'}")
        if answer.get("status") != _ACCEPTED:
            raise Fatal(f"{self._inbound / name}: its status is neither {_ACCEPTED} nor {_REJECTED}; correct it")
        number = answer.get("number") or ""
        return Made(number or values["number"], results=(("erp_project_number", number),) if number else ())

    def undo(self, order: Order) -> Undone:
        """Tell the ERP to take the dimension back. Raises as the contract says."""
        if not (self._outbound / f"dimension-{order.shell_id}.csv").exists():
            return Undone.NOT_THERE
        self._write(f"retire-{order.shell_id}.csv", filled(self._fields, values_of(order, self._companies)))
        return Undone.CLOSED

    def close(self) -> None:
        """Nothing is kept open."""

    def _write(self, name: str, row: Mapping[str, str]) -> None:
        text = io.StringIO()
        lines = csv.DictWriter(text, list(row), lineterminator="\n")
        lines.writeheader()
        lines.writerow(row)
        content = text.getvalue().encode()
        try:
            self._outbound.mkdir(parents=True, exist_ok=True)
            if (self._outbound / name).exists():
                return
            checksum = f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()
            self._publish(f"{name}.sha256", checksum)  # first, so that whoever sees the file finds it
            self._publish(name, content)
        except OSError as error:
            raise Fatal(f"{self._outbound}: {error.strerror}; make it a folder that can be written") from error

    def _publish(self, name: str, content: bytes) -> None:
        temporary = self._outbound / f"{name}.tmp"
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._outbound / name)
        folder = os.open(self._outbound, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _answer(self, name: str) -> Mapping[str, str] | None:
        try:
            text = (self._inbound / name).read_text("utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeError) as error:
            raise Fatal(f"{self._inbound / name}: cannot be read: {error}; correct it") from error
        rows = list(csv.DictReader(text.splitlines()))
        if not rows:
            raise NotYet(f"{self._inbound / name} has no line yet")
        return rows[0]

"""Batches: what one fetch brought of one partition."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Message
from faust.serializers.schemas import Schema
from faust.types import TP

from streams.step import Record


@dataclass(slots=True, eq=False)
class Batch:
    """Records of one partition in their order, fetched in one generation of the group.

    `end` is the offset from which to read on. It may lie behind the last record and there may be no records at all: the
    marks that end transactions take offsets too, and who waits for the end of a partition has to get past them.
    """

    tp: TP
    messages: Sequence[Message]
    end: int
    generation: int
    _records: list[Record] | None = field(default=None, repr=False)

    def records(self, read: Callable[[Sequence[Message]], list[Record]]) -> list[Record]:
        """Return the messages as records: `read` is asked once, for all steps that the batch goes to."""
        if self._records is None:
            self._records = read(self.messages)
        return self._records


class BatchSchema(Schema[Any, Any]):
    """Marks a Faust topic whose events are batches, and passes them through as they are."""

    def compile(self, app: Any, **_: Any) -> Any:
        """Return the function that makes an event of a message whose value is a batch."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001, Faust's signature
            return app.create_event(None, message.value, None, message)

        return decode

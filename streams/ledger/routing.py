"""Where what a ledger bills goes: each trigger is decided in the transaction that makes it, and the item remembers it.

Owns what an item remembers of that. Does not own the rule (`streams.rules.routing`), nor how intents are written.
"""

from typing import Final

from streams.domain.calendar import start_of
from streams.domain.fact import Cause
from streams.domain.ledger import Item, Outstanding
from streams.domain.routes import Decision, Routes
from streams.ledger.book import ItemKey
from streams.ledger.publish import Publisher
from streams.ledger.reference import Reference
from streams.rules.routing import NOBODY, decide

_LOAD_MS_MAX: Final = 24 * 60 * 60 * 1000
"""How long the load of a history lasts at most: meanwhile items are held for want of rows that are still to come."""


class Routing:
    """Decides for the items of one partition. Without `routes` nothing is decided: a file run has no ERP."""

    def __init__(self, routes: Routes | None, reference: Reference, publisher: Publisher) -> None:
        self._routes = routes
        self._reference = reference
        self._publish = publisher

    def taken(self, taken: Outstanding) -> Outstanding:
        """Return what is taken back with where it went."""
        return taken if self._routes is None else taken._replace(posted_to=self._went_to(taken))

    def made(self, made: Outstanding, item: Item) -> tuple[Outstanding, str]:
        """Return what is billed with where it goes, and what decided that; `item` is as it was before."""
        if self._routes is None:
            return made, ""
        decision = self._decide(self._routes, made, self._earlier(item))
        return made._replace(posted_to=decision.systems), decision.because

    def remembered(self, key: ItemKey, item: Item, taken: tuple[Outstanding, ...], billed: bool, cause: Cause) -> Item:
        """Return an item with what it has to remember of what was just taken back, and perhaps billed."""
        if self._routes is None:
            return item
        if item.outstanding:
            item = item if item.decided is None else item._replace(decided=None)
        elif taken and taken[-1].posted_to is not None:
            item = item._replace(decided=Decision(taken[-1].legal_entity, taken[-1].posted_to))
        is_left = bool(item.left_since) and bool(item.outstanding)
        if billed and item.outstanding[-1].posted_to == NOBODY:
            is_left = is_left or self._comes_late(item)
        if is_left == bool(item.left_since):
            return item
        since = item.left_since or self._publish.now
        self._publish.left(key, item, since, is_left, cause)
        return item._replace(left_since=since if is_left else 0)

    def _earlier(self, item: Item) -> Decision | None:
        if not item.outstanding:
            return item.decided
        last = item.outstanding[-1]
        return Decision(last.legal_entity, self._went_to(last))

    def _went_to(self, made: Outstanding) -> tuple[str, ...]:
        """Return where something went: before there were routes, always to its legal entity's own ERP."""
        return (self._reference.home_of(made.legal_entity),) if made.posted_to is None else made.posted_to

    def _decide(self, routes: Routes, made: Outstanding, earlier: Decision | None) -> Decision:
        home = self._reference.home_of(made.legal_entity)
        return decide(routes, home, earlier, made.legal_entity, made.client_id or "", made.day)

    def _comes_late(self, item: Item) -> bool:
        """Tell whether an item could be billed only when those who billed its day did so no more.

        It was approved so late, or was held for so long that it was not for want of what came in the same load.
        """
        outstanding, work, routes = item.outstanding, item.work, self._routes
        if routes is None or work is None or not outstanding:
            return False
        first_day = routes.first_day(outstanding[-1].legal_entity)
        if first_day is None:
            return False
        was_held = bool(item.held_since) and self._publish.now - item.held_since >= _LOAD_MS_MAX
        return was_held or max(work.rank, work.accepted_at) >= start_of(first_day)

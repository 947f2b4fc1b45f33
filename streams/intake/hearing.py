"""Hearing: which feeds are silent, as far as this partition has listened.

A feed is heard when a record or a heartbeat of it is taken in, whatever that says and however old it is. A feed may
come on any partition, so each listens for itself and claims `feed_stalled` once it has heard nothing for as long as the
policy allows; the alert opens when all claim it. What was not listened to is no silence: a partition that nobody holds
claims nothing, and one that is held again goes on counting where it was, and first takes in what lies in the topics;
so does one that waited for a registry.

While feeds are heard, nothing is told, and silence is looked at and kept every quarter of the time allowed.
"""

from typing import Final

from streams.domain.kept import Silence
from streams.domain.policy import Policy
from streams.rules.claims import feed_stalled
from streams.step import Context
from streams.topics import DRIFT_CLAIMS

SILENT_SINCE: Final = "silent_since/"
"""How the gauge of a feed is named: since when it is silent here, by the clock, less what was not listened to."""

_AT_ONCE: Final = 1
_LOOKS: Final = 4
_NOTHING_KEPT: Final = Silence()


class Hearing:
    """Listens on one partition for the feeds that are expected; each has a timer by its name."""

    def __init__(self, context: Context, policy: Policy, expected: tuple[str, ...]) -> None:
        self._context = context
        self._policy = policy
        self._silences = context.table("intake.silence")
        self._since: dict[str, int] = {}
        self._heard_at: dict[str, int] = {}
        self._due: dict[str, int] = {}
        self._told: set[str] = set()
        self._began_at = 0
        self.expected = frozenset(expected)
        for feed, kept in self._silences.scan(""):
            context.timers.set(feed, _AT_ONCE)  # also one that is not expected any more: its claim is taken back
            if kept.told:
                self._told.add(feed)
        for feed in expected:
            context.timers.set(feed, _AT_ONCE)

    def heard(self, feeds: set[str]) -> None:
        """Note feeds of which something was taken in just now."""
        self._begin()
        now = self._context.now
        for feed in sorted(feeds & self.expected):
            self._set_since(feed, now)
            self._heard_at[feed] = now
            if feed in self._told:
                self._look(feed)

    def on_timer(self, feed: str) -> None:
        """Look at the silence of a feed."""
        self._begin()
        due = self._due.pop(feed, None)
        if due is not None and feed in self._since:
            # The worker was suspended, or its clock was set: what a timer comes late by, nobody listened to.
            now = self._context.now
            self._set_since(feed, min(now, self._since[feed] + max(0, now - due)))
        if self._context.waits and feed in self._since:
            kept: Silence = self._silences.get(feed) or _NOTHING_KEPT
            self._set_since(feed, max(self._since[feed], self._context.now - kept.silent_ms))
        self._look(feed)

    def _begin(self) -> None:
        """Go on counting where it was left, once the time is known."""
        if self._began_at:
            return
        self._began_at = self._context.now
        for feed in self.expected:
            kept: Silence = self._silences.get(feed) or _NOTHING_KEPT
            self._set_since(feed, self._began_at - kept.silent_ms)
            self._heard_at[feed] = kept.heard_at

    def _set_since(self, feed: str, since: int) -> None:
        self._since[feed] = since
        self._context.gauges[f"{SILENT_SINCE}{feed}"] = since

    def _look(self, feed: str) -> None:
        if feed not in self.expected:
            self._forget(feed)
            return
        now, limit_ms = self._context.now, self._policy.silence_ms()
        silent_ms, heard_at = now - self._since[feed], self._heard_at[feed]
        told, quarter_ms = feed in self._told, limit_ms // _LOOKS
        left_ms = limit_ms - silent_ms
        if not told:  # what lies in the topics at a start is taken in before anybody is accused
            left_ms = max(left_ms, self._began_at + quarter_ms - now)
        if left_ms > 0:
            self._silences.put(feed, Silence(silent_ms, heard_at, False))
            self._wake(feed, min(left_ms, quarter_ms))
            if told:
                self._told.discard(feed)
                self._claim(feed, 0, heard_at)
            return
        kept: Silence = self._silences.get(feed) or _NOTHING_KEPT
        if not told:  # it stays as long as it was when it was claimed: nothing is told of how it grows
            kept = Silence(silent_ms, heard_at, True)
            self._silences.put(feed, kept)
            self._told.add(feed)
        self._claim(feed, kept.silent_ms, heard_at)

    def _wake(self, feed: str, after_ms: int) -> None:
        due = self._context.now + max(1, after_ms)
        self._due[feed] = due
        self._context.timers.set(feed, due)

    def _forget(self, feed: str) -> None:
        self._silences.delete(feed)
        if feed in self._told:
            self._told.discard(feed)
            self._claim(feed, 0, 0)

    def _claim(self, feed: str, silent_ms: int, heard_at: int) -> None:
        listener = str(self._context.partition)
        told = feed_stalled(feed, listener, silent_ms, heard_at, self._policy, self._context.now)
        self._context.emit(DRIFT_CLAIMS, f"{told.alert_kind}:{told.entity_id}", told)

"""How far the clock of each source of ticks runs ahead of ours: the time of a tick less the time at which it came.

Nobody's event time is rewritten, and the newest event time wins: the ticks of a source whose clock runs ahead hide those of the
others until the clock has come to their time. So such a source is named at once, and stays named as long as a tick of it may hide
others. Used on the event loop, once per batch: ticks within AHEAD_US cost nothing each.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from riskengine.clock import MICROS_PER_SECOND
from riskengine.market.quote_book import AnyTick
from riskengine.records.fields import Rejected, timestamp

AHEAD_US = MICROS_PER_SECOND
"""A clock that runs ahead by more is named."""

KEEP_US = 10 * MICROS_PER_SECOND
"""How long a source stays named after its last tick from the future."""

BEHIND_US = 60 * MICROS_PER_SECOND
"""A source whose ticks are older than a moment by more says that this moment has not come."""

FRESH_US = 60 * MICROS_PER_SECOND
"""A source that sent a tick so long ago at most has something to say about the clock."""

SURVEY_US = MICROS_PER_SECOND // 10
"""How often all ticks of a batch are looked at, so that every source has its skew; of the other batches only the last one is."""

MAX_SOURCES = 1_000
MAX_NAME = 128


class Skew:
    """Of one source: the newest `skew` (us), when it was noted, the `worst` one of late, and until when that counts."""

    __slots__ = ("noted_at", "skew", "until", "worst")

    def __init__(self) -> None:
        self.skew = self.worst = self.noted_at = self.until = 0


class ClockSkews:
    """The skew of each source that sends ticks: MAX_SOURCES at most."""

    def __init__(self) -> None:
        self._skews: dict[str, Skew] = {}
        self._survey_at = 0
        self._named_until = 0

    def note(self, ticks: Sequence[AnyTick], newest_ts: int, any_refused: bool, now: int) -> bool:
        """Note a batch. `newest_ts` is the newest event time of those taken; a clock far ahead has its ticks refused.

        Whether a source of it runs ahead. O(1) for a usual batch.
        """
        if not ticks:
            return False
        if newest_ts > now + AHEAD_US or now >= self._survey_at or now < self._named_until or any_refused:
            self._survey_at = now + SURVEY_US
            newest: dict[str, int] = {}
            for tick in ticks:
                ts, source = _event_time(tick), tick.source
                if ts > newest.get(source, 0):
                    newest[source] = ts
            ahead = [self._note_one(source, ts, now) for source, ts in newest.items()]
            return any(ahead)
        last = ticks[-1]
        return self._note_one(last.source, _event_time(last), now)

    def _note_one(self, source: str, ts: int, now: int) -> bool:
        skew = self._skews.get(source)
        if skew is None:
            if not ts or len(source) > MAX_NAME or len(self._skews) >= MAX_SOURCES:
                return False
            skew = self._skews[source] = Skew()
        skew.skew, skew.noted_at = ts - now, now
        if skew.skew <= AHEAD_US:
            return False
        if skew.skew > skew.worst or now >= skew.until:
            skew.worst = skew.skew
        skew.until = max(now + KEEP_US, ts)
        self._named_until = max(self._named_until, skew.until)
        return True

    def forget(self, source: str) -> None:
        """A source is no more."""
        self._skews.pop(source, None)

    @property
    def any_known(self) -> bool:
        """Whether any source has sent ticks."""
        return bool(self._skews)

    def knows(self, source: str) -> bool:
        """Whether the source has sent ticks."""
        return source in self._skews

    def skew_ms(self, source: str, now: int) -> int | None:
        """How far the clock of a source runs ahead, the worst of late; negative: its ticks come late. None: it sent none."""
        skew = self._skews.get(source)
        if skew is None:
            return None
        return (skew.worst if now < skew.until else skew.skew) // 1_000

    def ahead(self, now: int) -> dict[str, int]:
        """The sources whose clocks run ahead, with their skew in ms, the worst first."""
        if now >= self._named_until:
            return {}
        found = {source: skew.worst // 1_000 for source, skew in self._skews.items() if now < skew.until}
        return dict(sorted(found.items(), key=lambda each: -each[1]))

    def behind(self, moment: int, now: int) -> tuple[list[str], int]:
        """The sources whose newest tick is more than BEHIND_US older than a moment, and how many sources are fresh.

        Fresh are those whose tick came within FRESH_US. O(sources).
        """
        fresh = {source: skew for source, skew in self._skews.items() if 0 <= now - skew.noted_at <= FRESH_US}
        late = [source for source, skew in fresh.items() if skew.noted_at + skew.skew < moment - BEHIND_US]
        return sorted(late), len(fresh)

    def rows(self, known: Iterable[str], now: int) -> list[dict[str, Any]]:
        """A row of `/v1/status` for each named source of ticks that is not `known` by its heartbeats."""
        beating = set(known)
        return [
            {
                "source": source,
                "age_ms": (now - skew.noted_at) // 1_000,
                "last_seq": None,
                "received_seq": None,
                "gap": False,
                "missing": [],
                "missing_count": 0,
                "acknowledged_count": 0,
                "anew": False,
                "alive": None,
                "retired": False,
            }
            for source, skew in sorted(self._skews.items())
            if source and source not in beating
        ]


def _event_time(tick: AnyTick) -> int:
    """The event time of a tick, 0 where it has none that can be read."""
    ts = tick.ts
    if type(ts) is int:
        return ts if 0 < ts < 2**63 else 0
    try:
        return timestamp(ts, "ts")
    except Rejected:
        return 0

"""Prices that are not believed yet: what a quote state holds back, source by source, and when it is believed (ACCOUNTING 8).

A source whose quote lies too far from the mark is suspect. It is believed once three of its quotes in a row agree, or a second
source agrees with it, or its level has held for `suspect_release_s`, or a person says so. Another source that quotes near the
mark keeps the mark and clears nothing. One print that nobody repeats, and the price that the mark has just left, do not hold by
time alone beside a mark that another source keeps. Pure; owned by the thread that owns the quote book.
"""

from collections.abc import Iterable
from typing import NamedTuple

from riskengine.market.price_limits import is_within

MAX_SUSPECT_SOURCES = 16
"""SuspectLevel sources of one instrument at one time: senders choose the names, so that their number needs a bound."""


class SuspectLevel(NamedTuple):
    """A level that one source quotes and that is held back. Microseconds.

    price, ts, kind, came  its newest quote: event time, kind as in a mark, and when it came by the clock
    before                 the quote before that, where both agree; None for the first one of the level
    since, since_came      the first quote of the level: event time, and when it came by the clock
    """

    source: str
    price: float
    ts: int
    kind: str
    came: int
    before: float | None
    since: int
    since_came: int

    @classmethod
    def of(cls, source: str, price: float, ts: int, kind: str, came: int) -> "SuspectLevel":
        """The level that one quote alone makes."""
        return cls(source, price, ts, kind, came, None, ts, came)

    def has_held(self, ts: int, now: int, release_us: int) -> bool:
        """Whether the level is `release_us` old at event time `ts`, or by the clock at `now`."""
        return ts - self.since >= release_us or now - self.since_came >= release_us


def extend_level(known: SuspectLevel | None, quote: SuspectLevel, limit: float) -> tuple[SuspectLevel, bool]:
    """A source's level after one more quote, and whether that was the third in a row to agree within `limit` of each other.

    `quote` is the quote as a level of its own, `known` the level of its source before it.
    """
    if known is None or not is_within(quote.price, known.price, limit):
        return quote, False
    if known.before is None:
        return quote._replace(before=known.price, since=known.since, since_came=known.since_came), False
    if is_within(quote.price, known.before, limit):
        return quote._replace(before=known.price, since=known.since, since_came=known.since_came), True
    return quote._replace(before=known.price, since=known.ts, since_came=known.came), False


def has_second_source(quote: SuspectLevel, levels: Iterable[SuspectLevel], limit: float) -> bool:
    """Whether another source's level agrees with a quote within `limit`."""
    return any(other.source != quote.source and is_within(quote.price, other.price, limit) for other in levels)


def without_agreeing(levels: dict[str, SuspectLevel], believed: SuspectLevel, limit: float) -> dict[str, SuspectLevel]:
    """What is still held back once a level is believed: the other sources, but for those that agree with it."""
    return {
        source: level
        for source, level in levels.items()
        if source != believed.source and not is_within(level.price, believed.price, limit)
    }

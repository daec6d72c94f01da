"""A rate limit on ticks per source: ticks within it are applied one by one, the others conflated by instrument.

No screen loses a price that it would have shown for longer than a beat: the newest waiting ticks of each instrument, over all
sources, go into the book before the next `take`. Each tick is checked on arrival, so that a bad one neither waits nor displaces
a good one.

Memory is bounded: at most two ticks an instrument and MAX_SOURCES allowances.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import IngestConfig, MarksConfig
from riskengine.market.closing_book import NO_MARKS, ClosingMarks, ClosingQuoteBook
from riskengine.market.marks import Mark
from riskengine.market.quote_book import AnyTick
from riskengine.market.quote_state import NEVER
from riskengine.records.fields import QUOTE_DECIMALS, TS_MIN, Rejected
from riskengine.records.reference import Reference
from riskengine.records.types import Refusal

MAX_SOURCES = 1_000
"""Sources with an allowance of their own at one time. All further sources, and names longer than MAX_NAME, share one."""

MAX_NAME = 128

_OTHERS = ""


class TicksTaken(NamedTuple):
    """The outcome of ticks: the refused ones, and how many were conflated because they exceeded their source's limit.

    Of the others: how many came into force, how many were too old, and their newest event time (0: none).
    """

    refused: list[Refusal]
    coalesced: int
    in_force: int = 0
    old: int = 0
    newest_ts: int = 0


class TickAllowance:
    """The ticks that a source may still send: `left` at time `at`, more as time passes."""

    __slots__ = ("at", "left")

    def __init__(self, left: float, at: int) -> None:
        self.left = left
        self.at = at


class WaitingTicks:
    """The newest ticks of one instrument that are not in the book yet: one with a mid, and a later one-sided one.

    They are all from before the cutoff `bound`, or all from after it (`bound` is NEVER).
    """

    __slots__ = ("bound", "one_sided", "one_sided_ts", "quote", "quote_ts")

    def __init__(self, bound: int = NEVER) -> None:
        self.bound = bound
        self.quote: AnyTick | None = None
        self.quote_ts = TS_MIN
        self.one_sided: AnyTick | None = None
        self.one_sided_ts = 0

    def put(self, tick: AnyTick, ts: int, has_mid: bool) -> None:
        """Keep a tick if it is newest by event time; on ties the later arrival wins. A one-sided quote never displaces a mid."""
        if has_mid:
            if self.quote is None or ts >= self.quote_ts:
                self.quote, self.quote_ts = tick, ts
            if self.one_sided is not None and ts >= self.one_sided_ts:
                self.one_sided = None
        elif self.one_sided is None or ts >= self.one_sided_ts:
            self.one_sided, self.one_sided_ts = tick, ts

    def ticks(self) -> list[AnyTick]:
        """The waiting ticks, in the order in which to apply them."""
        return [tick for tick in (self.quote, self.one_sided) if tick is not None]


class LimitedQuoteBook(ClosingQuoteBook):
    """A quote book with a rate limit per source. `coalesced` counts the ticks beyond the limit, since the start.

    A waiting tick counts as accepted. Used on one thread, like every quote book.
    """

    def __init__(self, reference: Reference, config: MarksConfig, future_limit_s: float, limits: IngestConfig) -> None:
        super().__init__(reference, config, future_limit_s)
        self.coalesced = 0
        self._per_us = limits.ticks_per_s / MICROS_PER_SECOND
        self._burst = float(limits.burst_ticks)
        self._allowances: dict[str, TickAllowance] = {}
        self._waiting: dict[str, WaitingTicks] = {}
        self._now = 0

    def offer(self, ticks: Sequence[AnyTick], now: int) -> list[Refusal]:
        """See `QuoteBook.offer`. Costs 0.05 us a tick more within the limit; a tick that waits costs 0.5 us."""
        self._now = now
        ticks = self.in_own_units(ticks)
        if not self._per_us or not ticks:
            return self.apply(ticks, now)
        refusals: list[Refusal] = []
        first, size = 0, len(ticks)
        while first < size:
            source, end = ticks[first].source, first + 1
            while end < size and ticks[end].source == source:
                end += 1
            within = first + self._room(source, end - first, now)
            if within == size and not first:
                return self._take_now(ticks, now)
            for refusal in self._take_now(ticks[first:within], now):
                refusals.append(Refusal(refusal.index + first, refusal.field, refusal.reason))
            refusals += self._keep_newest(ticks, range(within, end), now)
            first = end
        return refusals

    def offer_counted(self, ticks: Sequence[AnyTick], now: int) -> TicksTaken:
        """As `offer`, with the number of ticks beyond the limit."""
        coalesced, in_force, old = self.coalesced, self.in_force, self.old
        known, self.newest_ts = self.newest_ts, 0
        refused = self.offer(ticks, now)
        newest, self.newest_ts = self.newest_ts, max(known, self.newest_ts)
        return TicksTaken(refused, self.coalesced - coalesced, self.in_force - in_force, self.old - old, newest)

    def take(self, now: int = 0) -> dict[int, Mark]:
        """See `QuoteBook.take`; applies the waiting ticks first."""
        if self._waiting:
            self._take_all_waiting()
        if self._allowances:
            self._drop_full_allowances()
        return super().take(now)

    def set_cutoffs(self, date: str, cutoffs: Mapping[str, int], closing: Mapping[str, Mark] = NO_MARKS) -> None:
        """See `ClosingQuoteBook.set_cutoffs`."""
        self._take_all_waiting()
        super().set_cutoffs(date, cutoffs, closing)

    def add_cutoffs(self, cutoffs: Mapping[str, int], closing: Mapping[str, Mark] = NO_MARKS) -> None:
        """See `ClosingQuoteBook.add_cutoffs`."""
        self._take_all_waiting()
        super().add_cutoffs(cutoffs, closing)

    def closing_marks(self) -> ClosingMarks:
        """See `ClosingQuoteBook.closing_marks`; applies the waiting ticks first."""
        self._take_all_waiting()
        return super().closing_marks()

    def _take_all_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._take_waiting([tick for kept in waiting.values() for tick in kept.ticks()])

    def _room(self, source: str, wanted: int, now: int) -> int:
        """How many of `wanted` ticks the source's allowance covers; deducts them."""
        if len(source) > MAX_NAME or (source not in self._allowances and len(self._allowances) >= MAX_SOURCES):
            source = _OTHERS
        allowance = self._allowances.get(source)
        if allowance is None:
            allowance = self._allowances[source] = TickAllowance(self._burst, now)
        elif now != allowance.at:
            # A clock that went back adds nothing and takes nothing away.
            allowance.left = min(self._burst, allowance.left + self._per_us * max(0, now - allowance.at))
            allowance.at = now
        room = min(wanted, int(allowance.left))
        allowance.left -= room
        return room

    def _take_now(self, ticks: Sequence[AnyTick], now: int) -> list[Refusal]:
        """Apply waiting ticks of the same instruments, then these."""
        if self._waiting:
            before = [kept for tick in ticks if (kept := self._waiting.pop(tick.instrument, None)) is not None]
            self._take_waiting([tick for kept in before for tick in kept.ticks()])
        return self.apply(ticks, now)

    def _take_waiting(self, ticks: Sequence[AnyTick]) -> None:
        """Apply ticks that were accepted on arrival. If an instrument has gone since, drop its ticks without a refusal."""
        accepted = self.accepted
        self.accepted = accepted - len(self.apply(ticks, self._now))

    def _keep_newest(self, ticks: Sequence[AnyTick], places: Sequence[int], now: int) -> list[Refusal]:
        refusals = []
        waiting, latest = self._waiting, now + self._future_limit
        for place in places:
            tick = ticks[place]
            bid, ask, ts = tick.bid, tick.ask, tick.ts
            kept = waiting.get(tick.instrument)
            if (
                kept is not None
                and type(bid) is float
                and type(ask) is float
                and type(ts) is int
                and 0.0 < bid <= ask < 1e15
                and kept.quote_ts <= ts <= latest
                and ts < kept.bound
                and kept.one_sided is None
                and (int(bid * 1e12 + 0.5) / 1e12 == bid or round(bid, QUOTE_DECIMALS) == bid)
                and (int(ask * 1e12 + 0.5) / 1e12 == ask or round(ask, QUOTE_DECIMALS) == ask)
            ):
                kept.quote, kept.quote_ts = tick, ts
                continue
            try:
                ts, has_mid = self.examine(tick, now)
            except Rejected as error:
                refusals.append(Refusal(place, error.field, error.reason))
                continue
            cutoff = self._cutoffs.get(tick.instrument, NEVER)
            if kept is not None and (ts < cutoff) != (kept.bound == cutoff):
                self._take_waiting(waiting.pop(tick.instrument).ticks())
                kept = None
            if ts < cutoff and self._states[tick.instrument].is_closing:
                self._take_waiting((tick,))
                continue
            if kept is None:
                kept = waiting[tick.instrument] = WaitingTicks(cutoff if ts < cutoff else NEVER)
            kept.put(tick, ts, has_mid)
        self.refused += len(refusals)
        self.accepted += len(places) - len(refusals)
        self.coalesced += len(places) - len(refusals)
        return refusals

    def _drop_full_allowances(self) -> None:
        """Forget sources whose allowance is full again: a new one would be equal."""
        spent = self._burst - 1.0
        self._allowances = {
            source: each for source, each in self._allowances.items() if each.left + self._per_us * (self._now - each.at) < spent
        }

"""How many ticks of one source are taken one by one; of what comes beyond that, the newest of each instrument.

No screen misses anything by it that it would have shown for longer than a beat: what waits is coalesced by instrument, whoever
sent it, and put into the book before the book is next asked what has changed. Every tick is looked at when it comes, so that one
that would be refused neither takes the place of a good one nor waits.

Memory is bounded by what there is, not by what is sent: at most two ticks an instrument, MAX_SOURCES counts.
"""

from collections.abc import Sequence
from typing import NamedTuple

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import IngestConfig, MarksConfig
from riskengine.market.marks import AnyTick, Mark, QuoteBook
from riskengine.records.fields import QUOTE_DECIMALS, TS_MIN, Rejected
from riskengine.records.reference import Reference
from riskengine.records.types import Refusal

MAX_SOURCES = 1_000
"""Sources that are counted each for itself at one time. Those beyond share one count, and so do names longer than MAX_NAME."""

MAX_NAME = 128

_OTHERS = ""


class TicksTaken(NamedTuple):
    """What became of ticks: the refused ones, and how many were beyond their sources' limit, so that only the newest count."""

    refused: list[Refusal]
    coalesced: int


class TickAllowance:
    """How many ticks a source may still send: `left` of them at `at`, more with time."""

    __slots__ = ("at", "left")

    def __init__(self, left: float, at: int) -> None:
        self.left = left
        self.at = at


class Waiting:
    """The newest ticks of one instrument that are not in the book yet: one with a mid, and a one-sided one that came after it."""

    __slots__ = ("one_sided", "one_sided_ts", "quote", "quote_ts")

    def __init__(self) -> None:
        self.quote: AnyTick | None = None
        self.quote_ts = TS_MIN
        self.one_sided: AnyTick | None = None
        self.one_sided_ts = 0

    def put(self, tick: AnyTick, ts: int, has_mid: bool) -> None:
        """Newest event time wins, later arrival on ties. A one-sided quote takes no mid's place: a fresh mid stays."""
        if has_mid:
            if self.quote is None or ts >= self.quote_ts:
                self.quote, self.quote_ts = tick, ts
            if self.one_sided is not None and ts >= self.one_sided_ts:
                self.one_sided = None
        elif self.one_sided is None or ts >= self.one_sided_ts:
            self.one_sided, self.one_sided_ts = tick, ts

    def ticks(self) -> list[AnyTick]:
        """In the order in which they are to be taken."""
        return [tick for tick in (self.quote, self.one_sided) if tick is not None]


class LimitedQuoteBook(QuoteBook):
    """A quote book that takes so many ticks of a source one by one. `coalesced` counts those beyond, since the start.

    A tick that waits counts as accepted. Used on one thread, like every quote book.
    """

    def __init__(self, reference: Reference, config: MarksConfig, future_limit_s: float, limits: IngestConfig) -> None:
        super().__init__(reference, config, future_limit_s)
        self.coalesced = 0
        self._per_us = limits.ticks_per_s / MICROS_PER_SECOND
        self._burst = float(limits.burst_ticks)
        self._allowances: dict[str, TickAllowance] = {}
        self._waiting: dict[str, Waiting] = {}
        self._now = 0

    def offer(self, ticks: Sequence[AnyTick], now: int) -> list[Refusal]:
        """See `QuoteBook.offer`. 0.05 us a tick more where all are taken one by one; one that waits 0.5 us."""
        self._now = now
        if not self._per_us or not ticks:
            return super().offer(ticks, now)
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
            refusals += self._hold(ticks, range(within, end), now)
            first = end
        return refusals

    def offer_counted(self, ticks: Sequence[AnyTick], now: int) -> TicksTaken:
        """As `offer`, with how many of these were beyond a limit."""
        before = self.coalesced
        refused = self.offer(ticks, now)
        return TicksTaken(refused, self.coalesced - before)

    def take(self) -> dict[int, Mark]:
        """See `QuoteBook.take`; what waits is taken first."""
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            self._take_waiting([tick for held in waiting.values() for tick in held.ticks()])
        if self._allowances:
            self._forget_the_quiet()
        return super().take()

    def _room(self, source: str, wanted: int, now: int) -> int:
        """So many of `wanted` ticks may be taken one by one; they count as sent."""
        if len(source) > MAX_NAME or (source not in self._allowances and len(self._allowances) >= MAX_SOURCES):
            source = _OTHERS
        allowance = self._allowances.get(source)
        if allowance is None:
            allowance = self._allowances[source] = TickAllowance(self._burst, now)
        elif now != allowance.at:
            # A clock that was set back gives nothing, and takes nothing away.
            allowance.left = min(self._burst, allowance.left + self._per_us * max(0, now - allowance.at))
            allowance.at = now
        room = min(wanted, int(allowance.left))
        allowance.left -= room
        return room

    def _take_now(self, ticks: Sequence[AnyTick], now: int) -> list[Refusal]:
        """What came before of the same instruments, then these."""
        if self._waiting:
            before = [held for tick in ticks if (held := self._waiting.pop(tick.instrument, None)) is not None]
            self._take_waiting([tick for held in before for tick in held.ticks()])
        return super().offer(ticks, now)

    def _take_waiting(self, ticks: Sequence[AnyTick]) -> None:
        """They were accepted when they came; one whose instrument is gone since then is refused, and told to nobody."""
        accepted = self.accepted
        self.accepted = accepted - len(super().offer(ticks, self._now))

    def _hold(self, ticks: Sequence[AnyTick], places: Sequence[int], now: int) -> list[Refusal]:
        refusals = []
        waiting, latest = self._waiting, now + self._future_limit
        for place in places:
            tick = ticks[place]
            bid, ask, ts = tick.bid, tick.ask, tick.ts
            held = waiting.get(tick.instrument)
            if (
                held is not None
                and type(bid) is float
                and type(ask) is float
                and type(ts) is int
                and 0.0 < bid <= ask < 1e15
                and held.quote_ts <= ts <= latest
                and held.one_sided is None
                and (int(bid * 1e12 + 0.5) / 1e12 == bid or round(bid, QUOTE_DECIMALS) == bid)
                and (int(ask * 1e12 + 0.5) / 1e12 == ask or round(ask, QUOTE_DECIMALS) == ask)
            ):
                held.quote, held.quote_ts = tick, ts
                continue
            try:
                ts, has_mid = self.examine(tick, now)
            except Rejected as error:
                refusals.append(Refusal(place, error.field, error.reason))
                continue
            if held is None:
                held = waiting[tick.instrument] = Waiting()
            held.put(tick, ts, has_mid)
        self.refused += len(refusals)
        self.accepted += len(places) - len(refusals)
        self.coalesced += len(places) - len(refusals)
        return refusals

    def _forget_the_quiet(self) -> None:
        """An allowance that is whole again is as good as none."""
        spent = self._burst - 1.0
        self._allowances = {
            source: each for source, each in self._allowances.items() if each.left + self._per_us * (self._now - each.at) < spent
        }

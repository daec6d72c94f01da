"""Marks from ticks: the prices that value positions (ACCOUNTING section 8).

`QuoteBook` applies every tick on arrival and keeps one state per instrument, so that conflating cannot change a mark: a
one-sided quote after a two-sided one keeps the mid, and every tick extends a suspect level, not only the last of a beat. Once a
beat the owner takes the changed marks (`take`) and hands that dictionary over to the writer; nothing is shared. `MarkTable` is
the writer's side: arrays by instrument number.

The newest event time wins, on ties the later arrival. A mark further ahead of the clock than a tick may be (somebody set the
clock back) gives way to any tick. Two-sided: the mid, unrounded. One-sided: a fresh mid stays, else that side. A crossed quote
still gives its mid, and counts as crossed. A quote crossed beyond `max_cross_bp`, or beyond `max_move` from the last good mark,
is suspect until the level has lasted for `suspect_release_s` of event time.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import MarksConfig
from riskengine.records.decode import TickInput
from riskengine.records.fields import QUOTE_DECIMALS, TS_MIN, Rejected, excerpt, quote, timestamp
from riskengine.records.reference import Reference
from riskengine.records.types import Kind, Refusal, Tick

ONE_SIDED = "one_sided"
TWO_SIDED = "quote"
"""The kinds of a mark from a feed; a third, `close`, is the last official close."""


class Mark(NamedTuple):
    """The price that values an instrument. `kind` is `quote`, `one_sided` or `close`.

    `suspect` is a level that the mark policy has held back since `suspect_ts`, or None. Event times, microseconds.
    """

    price: float
    ts: int
    source: str
    kind: str
    suspect: float | None = None
    suspect_ts: int = 0


AnyTick = Tick | TickInput


class QuoteState:
    """The quote of one instrument: its good mark, and a suspect level beside it."""

    __slots__ = ("changed", "kind", "number", "positive", "price", "source", "suspect", "suspect_since", "ts")

    def __init__(self, number: int, positive: bool) -> None:
        self.number = number
        self.positive = positive
        self.price = 0.0
        self.ts = 0
        self.source = ""
        self.kind = ""
        self.suspect: float | None = None
        self.suspect_since = 0
        self.changed = False

    def mark(self) -> Mark | None:
        """The good mark with any suspect level; None before the first price."""
        if not self.ts and self.suspect is None:
            return None
        return Mark(self.price, self.ts, self.source, self.kind, self.suspect, 0 if self.suspect is None else self.suspect_since)


class QuoteBook:
    """The quotes of all instruments. Owned by the thread that decodes ticks (the event loop; the caller in a replay).

    Counts since the start: `accepted`, `refused`, `crossed`, `old` (an event time before the mark's).
    """

    def __init__(self, reference: Reference, config: MarksConfig, future_limit_s: float) -> None:
        self.reference = reference
        """Defines the instrument numbers in `take`."""
        self._states = {
            instrument.instrument: QuoteState(number, instrument.kind is not Kind.FUTURE)
            for number, instrument in enumerate(reference.instruments)
        }
        self._changed: list[QuoteState] = []
        self._future_limit = int(future_limit_s * MICROS_PER_SECOND)
        self._stale_after = int(config.stale_after_s * MICROS_PER_SECOND)
        self._release_after = int(config.suspect_release_s * MICROS_PER_SECOND)
        self._max_cross = None if config.max_cross_bp is None else config.max_cross_bp / 10_000.0
        self._max_move = config.max_move
        self._plain = self._max_cross is None and self._max_move is None
        self.accepted = 0
        self.refused = 0
        self.crossed = 0
        self.old = 0
        self.newest_ts = 0

    def restore(self, marks: Mapping[str, Mark]) -> None:
        """Put in marks from before the start: newer ticks replace them, older ones do not. Call before the first tick."""
        for symbol, mark in marks.items():
            state = self._states.get(symbol)
            if state is not None:
                state.price, state.ts, state.source, state.kind = mark.price, mark.ts, mark.source, mark.kind

    def renew(self, reference: Reference, marks: Mapping[str, Mark]) -> None:
        """Change to other reference data: quotes stay with their symbols; those of removed instruments go. O(instruments).

        `marks` are in force on the writer's side. One newer than the quote here (somebody loaded it) replaces it and goes to the
        writer again with the next `take`, so that both sides agree whatever was in flight between them.
        """
        before, self.reference = self._states, reference
        self._states = {}
        for number, instrument in enumerate(reference.instruments):
            positive = instrument.kind is not Kind.FUTURE
            state = before.get(instrument.instrument) or QuoteState(number, positive)
            state.number, state.positive = number, positive
            self._states[instrument.instrument] = state
            mark = marks.get(instrument.instrument)
            if mark is not None and mark.ts > state.ts:
                state.price, state.ts, state.source, state.kind, state.suspect = mark.price, mark.ts, mark.source, mark.kind, None
                self._record_change(state)
        self._changed = [state for state in self._states.values() if state.changed]

    def take_stored(self, marks: Mapping[str, Mark], now: int) -> None:
        """Put in marks that another program stored: the newest event time wins, on ties these, which came later. O(marks).

        They go to the writer with the next `take`. Marks of unknown instruments are passed over.
        """
        latest = now + self._future_limit
        for symbol, mark in marks.items():
            state = self._states.get(symbol)
            if (
                state is None
                or mark.ts < state.ts <= latest
                or (mark.price, mark.ts, mark.kind) == (state.price, state.ts, state.kind)
            ):
                continue
            state.price, state.ts, state.source, state.kind, state.suspect = mark.price, mark.ts, mark.source, mark.kind, None
            self._record_change(state)

    def offer(self, ticks: Sequence[AnyTick], now: int) -> list[Refusal]:
        """Apply ticks in their order of arrival. A refusal has the tick's place, the field and the reason.

        `now` only limits how far ahead a tick may be. 0.4 us for a plain two-sided tick, without allocation.
        """
        # A whole number divided by 1e12 is the double nearest to a decimal of 12 places: no need to round it.
        refusals: list[Refusal] = []
        states, changed, plain = self._states, self._changed, self._plain
        earliest, latest = TS_MIN, now + self._future_limit
        newest = self.newest_ts
        for index, tick in enumerate(ticks):
            state = states.get(tick.instrument)
            bid, ask, ts = tick.bid, tick.ask, tick.ts
            if (
                plain
                and state is not None
                and type(bid) is float
                and type(ask) is float
                and type(ts) is int
                and 0.0 < bid <= ask < 1e15
                and earliest <= ts <= latest
                and (int(bid * 1e12 + 0.5) / 1e12 == bid or round(bid, QUOTE_DECIMALS) == bid)
                and (int(ask * 1e12 + 0.5) / 1e12 == ask or round(ask, QUOTE_DECIMALS) == ask)
            ):
                if ts < state.ts <= latest:
                    self.old += 1
                    continue
                state.price = (bid + ask) * 0.5
                state.ts = ts
                state.source = tick.source
                state.kind = TWO_SIDED
                if not state.changed:
                    state.changed = True
                    changed.append(state)
                if ts > newest:
                    newest = ts
                continue
            try:
                self._apply(state, tick, latest)
                newest = max(newest, timestamp(ts, "ts"))
            except Rejected as error:
                refusals.append(Refusal(index, error.field, error.reason))
        self.newest_ts = newest
        self.refused += len(refusals)
        self.accepted += len(ticks) - len(refusals)
        return refusals

    def decide(self, instrument: str, *, release: bool) -> None:
        """Carry out a person's verdict on a suspect level: make it the mark, dated to its first tick, or drop it. O(1)."""
        state = self._states.get(instrument)
        if state is None or state.suspect is None:
            return
        if release:
            state.price, state.ts = state.suspect, state.suspect_since
        state.suspect = None
        self._record_change(state)

    def examine(self, tick: AnyTick, now: int) -> tuple[int, bool]:
        """Check a tick as `offer` at `now` would: its event time, and whether it has a mid. Raises Rejected. Changes nothing."""
        state, bid, ask, ts = self._states.get(tick.instrument), tick.bid, tick.ask, tick.ts
        if (
            state is not None
            and type(bid) is float
            and type(ask) is float
            and type(ts) is int
            and 0.0 < bid <= ask < 1e15
            and TS_MIN <= ts <= now + self._future_limit
            and round(bid, QUOTE_DECIMALS) == bid
            and round(ask, QUOTE_DECIMALS) == ask
        ):
            return ts, True
        _, ts, bid, ask, mid = self._read(state, tick, now + self._future_limit)
        return ts, mid is not None or (bid is not None and ask is not None)

    def _read(
        self, state: QuoteState | None, tick: AnyTick, latest: int
    ) -> tuple[QuoteState, int, float | None, float | None, float | None]:
        """State, event time, bid, ask and mid of a tick. Raises Rejected."""
        if state is None:
            raise Rejected("instrument", f"unknown instrument {excerpt(tick.instrument)}")
        ts = timestamp(tick.ts, "ts")
        if ts > latest:
            raise Rejected("ts", f"is more than {self._future_limit // MICROS_PER_SECOND} s ahead of the clock")
        bid = _side(tick.bid, "bid", state)
        ask = _side(tick.ask, "ask", state)
        mid = _side(tick.mid, "mid", state)
        if bid is None and ask is None and mid is None:
            raise Rejected("bid", "is missing: a tick needs bid, ask or mid")
        return state, ts, bid, ask, mid

    def _apply(self, known: QuoteState | None, tick: AnyTick, latest: int) -> None:
        """Apply one tick by all rules. Raises Rejected."""
        state, ts, bid, ask, mid = self._read(known, tick, latest)
        if bid is not None and ask is not None:
            crossed = bid > ask
            self.crossed += crossed
            price = (bid + ask) * 0.5
            too_crossed = crossed and self._max_cross is not None and bid - ask > self._max_cross * abs(price)
            self._set_mark(state, price, ts, tick.source, TWO_SIDED, too_crossed, latest)
        elif mid is not None:
            self._set_mark(state, mid, ts, tick.source, TWO_SIDED, False, latest)
        else:
            if state.ts and state.kind == TWO_SIDED and ts - state.ts <= self._stale_after and state.ts <= latest:
                return
            self._set_mark(state, bid if bid is not None else ask or 0.0, ts, tick.source, ONE_SIDED, False, latest)

    def _set_mark(self, state: QuoteState, price: float, ts: int, source: str, kind: str, too_crossed: bool, latest: int) -> None:
        """Make a price the mark, or hold it as suspect. A mark dated after `latest` blocks no price."""
        if ts < state.ts <= latest:
            self.old += 1
            return
        is_doubtful = too_crossed or self._is_jump(price, state.price if state.ts else None)
        if is_doubtful and not self._confirm_suspect(state, price, ts, latest):
            self._record_change(state)
            return
        state.price, state.ts, state.source, state.kind = price, ts, source, kind
        state.suspect = None
        self._record_change(state)

    def _is_jump(self, price: float, reference: float | None) -> bool:
        if self._max_move is None or reference is None:
            return False
        return abs(price - reference) > self._max_move * abs(reference)

    def _confirm_suspect(self, state: QuoteState, price: float, ts: int, latest: int) -> bool:
        """Record a suspect level, and say whether it has lasted for `suspect_release_s`. A new level starts its time again."""
        if state.suspect is None or state.suspect_since > latest or self._is_jump(price, state.suspect):
            state.suspect, state.suspect_since = price, ts
        else:
            state.suspect = price
        return ts - state.suspect_since >= self._release_after

    def _record_change(self, state: QuoteState) -> None:
        if not state.changed:
            state.changed = True
            self._changed.append(state)

    def take(self) -> dict[int, Mark]:
        """The marks that changed since the last call, by instrument number. The caller owns the dictionary. O(changed)."""
        changed, self._changed = self._changed, []
        taken: dict[int, Mark] = {}
        for state in changed:
            state.changed = False
            mark = state.mark()
            if mark is not None:
                taken[state.number] = mark
        return taken


def _side(value: float | str | None, field: str, state: QuoteState) -> float | None:
    """A side of a quote. Feeds write 0 for an absent side, except for futures, which can trade at 0."""
    if value is None or value == "":
        return None
    price = quote(value, field)
    if state.positive and price <= 0.0:
        if price == 0.0:
            return None
        raise Rejected(field, "must not be negative")
    return price


class MarkTable:
    """The marks in force, by instrument number. Owned by the writer thread.

    `future_limit_s` is how far ahead of the clock a tick, and so a mark, may be.
    """

    def __init__(self, reference: Reference, config: MarksConfig, future_limit_s: float = 60.0) -> None:
        size = len(reference.instruments)
        self._index = reference.instrument_index
        self._stale_after = int(config.stale_after_s * MICROS_PER_SECOND)
        self._future_limit = int(future_limit_s * MICROS_PER_SECOND)
        self.marks: list[Mark | None] = [None] * size
        self.price = np.zeros(size)
        self.ts = np.zeros(size, dtype=np.int64)
        self.priced = np.zeros(size, dtype=np.bool_)
        self.unsaved: set[int] = set()
        self.revision = 0
        """Rises with every change, so that a reader of `marks` knows whether to copy."""

    def take(self, marks: Mapping[int, Mark]) -> list[int]:
        """Put changed marks in force. Returns the numbers of those with a new price. O(marks)."""
        if not marks:
            return []
        self.revision += 1
        current = self.marks
        for number, mark in marks.items():
            current[number] = mark
        good = marks if all(mark.ts for mark in marks.values()) else {n: mark for n, mark in marks.items() if mark.ts}
        if not good:
            return []
        numbers = np.fromiter(good, dtype=np.int64, count=len(good))
        price, ts, *_ = zip(*good.values(), strict=True)
        prices = np.array(price)
        moved = numbers[(prices != self.price[numbers]) | ~self.priced[numbers]]
        self.price[numbers] = prices
        self.ts[numbers] = ts
        self.priced[numbers] = True
        self.unsaved.update(good)
        return cast(list[int], moved.tolist())

    def restore(self, marks: Mapping[str, Mark]) -> None:
        """Put in marks from before the start. They are stored already, so `take_unsaved` leaves them out."""
        self.take({self._index[symbol]: mark for symbol, mark in marks.items() if symbol in self._index})
        self.unsaved.clear()

    def fresh(self, now: int) -> "np.typing.NDArray[np.bool_]":
        """True for marks within `stale_after_s` of `now` by event time. O(instruments).

        A mark further ahead of the clock than a tick may be is not fresh: somebody has set the clock back.
        """
        return np.asarray(self.priced & (self.ts >= now - self._stale_after) & (self.ts <= now + self._future_limit))

    def take_unsaved(self) -> list[tuple[int, Mark]]:
        """The marks that changed since the last call, for the store."""
        numbers, self.unsaved = sorted(self.unsaved), set()
        return [(number, mark) for number in numbers if (mark := self.marks[number]) is not None]

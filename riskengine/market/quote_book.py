"""Marks from ticks: the prices that value positions (ACCOUNTING section 8).

`QuoteBook` applies every tick on arrival and keeps one state per instrument, so that conflating cannot change a mark: a
one-sided quote after a two-sided one keeps the mid, and every tick extends a suspect level, not only the last of a beat. Once a
beat the owner takes the changed marks (`take`) and hands that dictionary over to the writer (`mark_table`); nothing is shared.

The newest event time wins, on ties the later arrival. A mark further ahead of the clock than a tick may be (somebody set the
clock back) gives way to any tick. Two-sided: the mid, unrounded. One-sided: a fresh mid stays, held to the side that is there
(never below a bid, never above an ask), else that side. A side of 0 is a price of a future alone; of every other kind it is no
side. A mid of 0 that comes alone is a price of what can become worthless. A crossed quote still gives its mid, and counts as
crossed. A quote crossed beyond `max_cross_bp`, or further from the last good mark than the limit of its kind (`max_move`; three
times that after a gap), makes its source suspect (`suspects`).
"""

from collections.abc import Mapping, Sequence

from msgspec import structs

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import MarksConfig
from riskengine.market.marks import NO_MARK, ONE_SIDED, TWO_SIDED, Mark, SetByHand
from riskengine.market.price_limits import is_within, limit_of
from riskengine.market.quote_state import Offered, QuoteState
from riskengine.market.split_prices import NO_SPLITS, SplitPrices
from riskengine.market.suspects import MAX_SUSPECT_SOURCES, SuspectLevel, extend_level, has_second_source, without_agreeing
from riskengine.records.currency_units import move_quote, quoted_places
from riskengine.records.decode import TickInput
from riskengine.records.fields import QUOTE_DECIMALS, TS_MIN, Rejected, excerpt, quote, timestamp
from riskengine.records.manual_marks import MANUAL, ManualMark
from riskengine.records.reference import Reference
from riskengine.records.types import Instrument, Refusal, Tick

AnyTick = Tick | TickInput

AFTER_A_GAP = 3.0
"""The limit on moves counts this many times for the first quote after a gap: the mark is stale by event time."""


class QuoteBook:
    """The quotes of all instruments. Owned by the thread that decodes ticks (the event loop; the caller in a replay).

    Counts since the start: `accepted`, `refused`, `crossed`, `old` (an event time before the mark's), `held_back` (quotes of
    suspect sources), `believed` (suspect levels that became the mark), `kept` (one-sided quotes that left a fresh mid as it is),
    and `in_force`, those that became the mark.
    """

    def __init__(self, reference: Reference, config: MarksConfig, future_limit_s: float) -> None:
        self.reference = reference
        """Defines the instrument numbers in `take`."""
        self._max_move = config.max_move
        self._states = {instrument.instrument: QuoteState() for instrument in reference.instruments}
        self._fit_states()
        self._changed: list[QuoteState] = []
        self._suspected: dict[str, QuoteState] = {}
        self._by_hand: dict[str, ManualMark] = {}
        self._released: set[str] = set()
        self._future_limit = int(future_limit_s * MICROS_PER_SECOND)
        self._stale_after = int(config.stale_after_s * MICROS_PER_SECOND)
        self._release_after = int(config.suspect_release_s * MICROS_PER_SECOND)
        self._max_cross = None if config.max_cross_bp is None else config.max_cross_bp / 10_000.0
        self.accepted = 0
        self.refused = 0
        self.crossed = 0
        self.old = 0
        self.held_back = 0
        self.believed = 0
        self.kept = 0
        self.in_force = 0
        self.newest_ts = 0
        self._splits = NO_SPLITS

    @property
    def splits(self) -> SplitPrices:
        """The splits by which prices from before an ex-date count."""
        return self._splits

    def take_splits(self, splits: SplitPrices) -> None:
        """From now on, prices from before an ex-date count by these splits; those that stand are divided anew. O(instruments).

        The writer's side does the same with the marks in force, so nothing of it goes there.
        """
        before, self._splits = self._splits, splits
        for symbol in before.splits.keys() | splits.splits.keys():
            state = self._states.get(symbol)
            if state is None:
                continue
            if (by_hand := self._by_hand.get(symbol)) is not None:
                quoted = before.then(symbol, by_hand.price, by_hand.ts)
                self._by_hand[symbol] = structs.replace(by_hand, price=splits.now(symbol, quoted, by_hand.ts))
            quoted = before.then(symbol, state.price, state.ts, state.kind)
            price = splits.now(symbol, quoted, state.ts, state.kind)
            if price != state.price:
                state.price, state.left, state.bid, state.ask = price, None, None, None
                self._hold(symbol, state, {})
        for symbol, former in splits.formerly.items():
            state, other = self._states.get(symbol), self._states.get(former)
            if state is not None and other is not None and not state.ts and other.ts:
                state.price, state.ts, state.source, state.kind = other.price, other.ts, other.source, other.kind
                state.bid, state.ask = other.bid, other.ask

    def _fit_states(self) -> None:
        for number, instrument in enumerate(self.reference.instruments):
            self._fit(self._states[instrument.instrument], number, instrument)

    def _fit(self, state: QuoteState, number: int, instrument: Instrument) -> None:
        state.fit(number, instrument, limit_of(instrument, self._max_move))

    def restore(self, marks: Mapping[str, Mark]) -> None:
        """Put in marks from before the start: newer ticks replace them, older ones do not. Call before the first tick."""
        for symbol, mark in marks.items():
            state = self._states.get(symbol)
            if state is None:
                continue
            if mark.lasting is not None:
                state.put(mark.lasting)
            if (said := mark.by_hand) is not None:
                self._by_hand[symbol] = ManualMark(
                    instrument=symbol,
                    ts=mark.ts,
                    price=mark.price,
                    author=said.author,
                    reason=said.reason,
                    expires_ts=said.expires_ts,
                )

    # -- by hand -----------------------------------------------------------------------------------------------

    def would_supersede(self, mark: ManualMark, now: int) -> bool:
        """Whether the mark in force is newer than a person's that holds against no feed. O(1)."""
        state = self._states.get(mark.instrument)
        if state is None or mark.cleared or mark.expires_ts is not None:
            return False
        return mark.ts < state.ts <= now + self._future_limit

    def set_by_hand(self, mark: ManualMark, now: int) -> None:
        """Put a person's mark in force: it goes to the writer with the next `take`. O(1).

        One with an expiry holds against the feeds, whose newest mark is kept beneath it; one without is a mark like any other;
        a cleared one ends what holds.
        """
        symbol, state = mark.instrument, self._states.get(mark.instrument)
        mark = structs.replace(mark, price=self._splits.now(symbol, mark.price, mark.ts))
        before = self._by_hand.get(symbol)
        held = before is not None and before.expires_ts is not None
        if state is None or (mark.cleared and not held):
            return
        self._by_hand.pop(symbol, None)
        if held:
            self._release(symbol, state)
        if mark.cleared or (mark.expires_ts is not None and not mark.holds(now)):
            return
        if mark.expires_ts is None:
            if self.would_supersede(mark, now):
                return
            state.put(Mark(mark.price, mark.ts, MANUAL, TWO_SIDED))
            self._hold(symbol, state, {})
        self._by_hand[symbol] = mark
        self._record_change(state)

    def held_by_hand(self) -> list[ManualMark]:
        """The marks that hold against the feeds, in the order in which they were set. O(those set by hand)."""
        return [mark for mark in self._by_hand.values() if mark.expires_ts is not None]

    def _release(self, symbol: str, state: QuoteState) -> None:
        self._released.add(symbol)
        self._record_change(state)

    def _end_held(self, now: int) -> None:
        """Let the feeds' marks come back where a person's has expired."""
        for symbol, mark in tuple(self._by_hand.items()):
            if mark.expires_ts is not None and mark.expires_ts <= now:
                del self._by_hand[symbol]
                self._release(symbol, self._states[symbol])

    def _in_force(self, state: QuoteState) -> Mark | None:
        """The mark that counts: a person's that holds, else that of the feeds; NO_MARK where one held and no other is there."""
        mark = state.mark()
        if not (self._by_hand or self._released):
            return mark
        symbol = self.reference.symbols[state.number]
        by_hand = self._by_hand.get(symbol)
        if by_hand is None:
            was_held = symbol in self._released
            self._released.discard(symbol)
            return NO_MARK if mark is None and was_held else mark
        said = SetByHand(by_hand.author, by_hand.reason, by_hand.expires_ts)
        if by_hand.expires_ts is None:
            is_mine = mark is not None and (mark.source, mark.ts) == (MANUAL, by_hand.ts)
            return mark._replace(by_hand=said) if is_mine and mark is not None else mark
        beneath = mark._replace(suspects=(), bid=None, ask=None) if mark is not None and mark.ts else None
        suspects = () if mark is None else mark.suspects
        return Mark(by_hand.price, by_hand.ts, MANUAL, TWO_SIDED, suspects, said._replace(beneath=beneath))

    # -- the feeds ---------------------------------------------------------------------------------------------

    def renew(self, reference: Reference, marks: Mapping[str, Mark]) -> None:
        """Change to other reference data: quotes stay with their symbols; those of removed instruments go. O(instruments).

        `marks` are in force on the writer's side. One newer than the quote here (somebody loaded it) replaces it and goes to the
        writer again with the next `take`, so that both sides agree whatever was in flight between them.
        """
        before, self.reference = self._states, reference
        symbols = [instrument.instrument for instrument in reference.instruments]
        self._states = {symbol: before.get(symbol) or QuoteState() for symbol in symbols}
        self._suspected = {symbol: state for symbol, state in self._suspected.items() if symbol in self._states}
        self._by_hand = {symbol: mark for symbol, mark in self._by_hand.items() if symbol in self._states}
        self._released &= self._states.keys()
        self._fit_states()
        for symbol, in_force in marks.items():
            state, mark = self._states.get(symbol), in_force.lasting
            if state is not None and mark is not None and mark.ts > state.ts:
                state.put(mark)
                self._hold(symbol, state, {})
        self._changed = [state for state in self._states.values() if state.changed]

    def take_stored(self, marks: Mapping[str, Mark], now: int) -> list[str]:
        """Put in marks that another program stored: the newest event time wins, on ties these, which came later. O(marks).

        Returns the symbols whose mark they became. They go to the writer with the next `take`. Marks of unknown instruments are
        passed over.
        """
        latest = now + self._future_limit
        taken = []
        for symbol, mark in marks.items():
            state = self._states.get(symbol)
            mark = mark._replace(price=self._splits.now(symbol, mark.price, mark.ts, mark.kind))
            if (
                state is None
                or mark.ts < state.ts <= latest
                or (mark.price, mark.ts, mark.kind) == (state.price, state.ts, state.kind)
            ):
                continue
            state.put(mark)
            self._hold(symbol, state, {})
            taken.append(symbol)
        return taken

    @property
    def suspects(self) -> list[str]:
        """The instruments of which a level is held back, in the order of the first one. O(suspects)."""
        return list(self._suspected)

    def offer(self, ticks: Sequence[AnyTick], now: int) -> list[Refusal]:
        """Apply ticks in their order of arrival. A refusal has the tick's place, the field and the reason.

        `now` limits how far ahead a tick may be, and says when a suspect level came. 0.4 us for one that is plain. Prices of a
        source that quotes in another unit are converted first (5 us a tick).
        """
        return self.apply(self.in_own_units(ticks), now)

    def in_own_units(self, ticks: Sequence[AnyTick]) -> Sequence[AnyTick]:
        """The ticks with prices in their instruments' cash currencies and of today's units; the same list where all are so."""
        units = self.reference.price_units
        if units:
            ticks = [tick if tick.source not in units else self._in_own_unit(tick) for tick in ticks]
        if self._splits.splits:
            ticks = [self._split(tick) if tick.instrument in self._splits.splits else tick for tick in ticks]
        return ticks

    def _split(self, tick: AnyTick) -> AnyTick:
        """A tick in the units of now, if it is dated before an ex-date."""
        try:
            ts = timestamp(tick.ts, "ts")
            if not self._splits.concerns(tick.instrument, ts):
                return tick
            sides = [None if side in (None, "") else float(side) for side in (tick.bid, tick.ask, tick.mid)]
        except (Rejected, ValueError):
            return tick  # the rules of quotes refuse it
        bid, ask, mid = (None if side is None else self._splits.now(tick.instrument, side, ts) for side in sides)
        return TickInput(tick.instrument, ts, bid, ask, mid, tick.source)

    def _in_own_unit(self, tick: AnyTick) -> AnyTick:
        instrument = self.reference.by_symbol.get(tick.instrument)
        places = quoted_places(self.reference.price_units, tick.source, instrument.currency) if instrument is not None else 0
        if not places:
            return tick
        bid, ask, mid = (move_quote(side, places) for side in (tick.bid, tick.ask, tick.mid))
        return TickInput(tick.instrument, tick.ts, bid, ask, mid, tick.source)

    def apply(self, ticks: Sequence[AnyTick], now: int) -> list[Refusal]:
        """As `offer`, for ticks that have passed the door: their prices are in their instruments' cash currencies."""
        # A whole number divided by 1e12 is the double nearest to a decimal of 12 places: no need to round it. Adding 2**52 and
        # taking it away again leaves a whole number of whatever double.
        refusals: list[Refusal] = []
        # A mark of 0 (there is none yet) and one below 0 are in no band: those ticks go by all rules.
        states, changed = self._states, self._changed
        earliest, latest = TS_MIN, now + self._future_limit
        newest, without_effect = self.newest_ts, self.old + self.held_back + self.kept
        for index, tick in enumerate(ticks):
            state = states.get(tick.instrument)
            bid, ask, ts = tick.bid, tick.ask, tick.ts
            if (
                state is not None
                and type(bid) is float
                and type(ask) is float
                and type(ts) is int
                and 0.0 < bid <= ask < 1e15
                and earliest <= ts <= latest
                and ts < state.bound
                and (last := state.price) * state.down <= (price := (bid + ask) * 0.5) <= last * state.up
                and ((bid * 1e12 + 2.0**52 - 2.0**52) / 1e12 == bid or round(bid, QUOTE_DECIMALS) == bid)
                and ((ask * 1e12 + 2.0**52 - 2.0**52) / 1e12 == ask or round(ask, QUOTE_DECIMALS) == ask)
            ):
                if ts < state.ts <= latest:
                    self.old += 1
                    if state.is_closing:
                        self._take_late(tick, ts, now)
                    continue
                state.price = price
                state.bid = bid
                state.ask = ask
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
                self._apply(state, tick, now, latest)
                newest = max(newest, timestamp(ts, "ts"))
            except Rejected as error:
                refusals.append(Refusal(index, error.field, error.reason))
        self.newest_ts = newest
        self.refused += len(refusals)
        self.accepted += len(ticks) - len(refusals)
        self.in_force += len(ticks) - len(refusals) - (self.old + self.held_back + self.kept - without_effect)
        return refusals

    def decide(self, instrument: str, source: str, *, release: bool) -> None:
        """Carry out a person's verdict on the suspect level of a source: make it the mark, or drop it. O(sources).

        Released, it is dated to its newest quote, or to the mark's time if that is newer, so that it is stored.
        """
        state = self._states.get(instrument)
        level = None if state is None else state.suspects.get(source)
        if state is None or level is None:
            return
        if release:
            self._believe(instrument, state, level._replace(ts=max(level.ts, state.ts)))
        else:
            self._hold(instrument, state, {name: other for name, other in state.suspects.items() if name != source})

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
        if mid is None and bid is None and ask is None and state.may_be_worthless and tick.mid not in (None, ""):
            mid = 0.0  # said to be worthless, as by a mark or close of 0; a side of 0 is none
        if bid is None and ask is None and mid is None:
            raise Rejected("bid", "is missing or 0, as are ask and mid: a tick needs a price")
        return state, ts, bid, ask, mid

    def _apply(self, known: QuoteState | None, tick: AnyTick, now: int, latest: int) -> None:
        """Apply one tick by all rules. Raises Rejected."""
        state, ts, bid, ask, mid = self._read(known, tick, latest)
        if ts >= state.bound:
            self._pass_cutoff(tick.instrument, state, ts)
        if state.is_closing:
            self._take_late(tick, ts, now)
        if state.suspects:
            self._settle(tick.instrument, state, ts, now)
        if bid is not None and ask is not None:
            crossed = bid > ask
            self.crossed += crossed
            price = (bid + ask) * 0.5
            too_crossed = crossed and self._max_cross is not None and bid - ask > self._max_cross * abs(price)
            self._judge(tick.instrument, state, Offered(price, ts, tick.source, TWO_SIDED, now, latest, bid, ask), too_crossed)
        elif mid is not None:
            self._judge(tick.instrument, state, Offered(mid, ts, tick.source, TWO_SIDED, now, latest), False)
        elif state.ts and state.kind == TWO_SIDED and ts - state.ts <= self._stale_after and state.ts <= latest:
            kept = max(state.price, bid) if bid is not None else min(state.price, ask or 0.0)
            offered = Offered(kept, ts, tick.source, ONE_SIDED, now, latest, bid, ask)
            self._judge(tick.instrument, state, offered, False, keeps_mid=True)
        else:
            side = bid if bid is not None else ask or 0.0
            self._judge(tick.instrument, state, Offered(side, ts, tick.source, ONE_SIDED, now, latest, bid, ask), False)

    def _pass_cutoff(self, symbol: str, state: QuoteState, ts: int) -> None:
        """A tick of event time `ts` comes, from the state's `bound` on. A book without cutoffs has no bounds."""

    def _take_late(self, tick: AnyTick, ts: int, now: int) -> None:
        """A tick of event time `ts` comes to an instrument whose closing mark is kept apart (`is_closing`)."""

    def _judge(self, symbol: str, state: QuoteState, offered: Offered, too_crossed: bool, *, keeps_mid: bool = False) -> None:
        """Make a price the mark, or hold it back as suspect. A mark dated after `latest` blocks no price.

        `keeps_mid`: the price is the mark, held to one side; it is no younger for that, and stays a mid.
        """
        if offered.ts < state.ts <= offered.latest:
            self.old += 1
            return
        if too_crossed or not self._is_in_band(state, offered):
            self._doubt(symbol, state, offered)
            return
        if offered.source in state.suspects:
            state.left = None
            self._hold(symbol, state, {name: level for name, level in state.suspects.items() if name != offered.source})
        if keeps_mid:
            if offered.price == state.price:
                self.kept += 1
                return
            state.price = offered.price
        else:
            state.price, state.ts, state.source, state.kind = offered.price, offered.ts, offered.source, offered.kind
        state.bid, state.ask = offered.bid, offered.ask
        self._record_change(state)

    def _is_in_band(self, state: QuoteState, offered: Offered) -> bool:
        """Whether a price lies within the limit of the last good mark. The first price has nothing to have moved from."""
        if not state.ts:
            return True
        gap = offered.ts - state.ts > self._stale_after or state.ts > offered.latest
        return is_within(offered.price, state.price, state.limit * (AFTER_A_GAP if gap else 1.0))

    def _doubt(self, symbol: str, state: QuoteState, offered: Offered) -> None:
        """Hold a price back, unless it is the third in a row, a second source agrees, or the level has held long enough."""
        price, ts, source, kind, now, latest, _, _ = offered
        known = state.suspects.get(source)
        if known is not None and ts < known.ts <= latest:
            self.old += 1
            return
        if known is not None and known.since > latest:
            known = None  # from before the clock was set back
        quote = SuspectLevel.of(source, price, ts, kind, now)
        level, is_third = extend_level(known, quote, state.limit)
        is_confirmed = is_third or level.has_held(ts, now, self._release_after)
        if is_confirmed and state.repeats_left(source, price, ts - self._release_after):
            is_confirmed = False
        if is_confirmed or has_second_source(level, state.suspects.values(), state.limit):
            self._believe(symbol, state, level)
            return
        self.held_back += 1
        suspects = state.suspects | {source: level}
        if len(suspects) > MAX_SUSPECT_SOURCES:
            del suspects[min(suspects.values(), key=lambda each: each.ts).source]
        self._hold(symbol, state, suspects)

    def _settle(self, symbol: str, state: QuoteState, ts: int, now: int) -> None:
        """Believe levels that have held until event time `ts`, or by the clock, where no newer quote has set the mark since.

        Forgets levels that nobody has quoted for as long as it takes a mark to be stale, and those from ahead of the clock.
        """
        latest = now + self._future_limit
        for level in sorted(state.suspects.values(), key=lambda each: each.ts):
            if level.source not in state.suspects:
                continue
            if level.since <= latest and self._has_held(state, level, ts, now):
                self._believe(symbol, state, level)
            elif level.since > latest or ts - level.ts > self._stale_after or now - level.came > self._stale_after:
                self._hold(symbol, state, {name: each for name, each in state.suspects.items() if name != level.source})

    def _has_held(self, state: QuoteState, level: SuspectLevel, ts: int, now: int) -> bool:
        """Whether a level has held until event time `ts` or by the clock, and nothing speaks against it.

        A newer quote that set the mark does. So does the mark itself: while it is fresh and another source's, one print that
        nobody repeated does not replace it; while it is quoted, the price that it has left does not.
        """
        if not level.has_held(ts, now, self._release_after) or level.ts < state.ts <= now + self._future_limit:
            return False
        at = max(ts, level.ts + now - level.came)
        if level.before is None and state.is_contradicted(level, at - self._stale_after):
            return False
        return not state.repeats_left(level.source, level.price, at - self._release_after)

    def _believe(self, symbol: str, state: QuoteState, level: SuspectLevel) -> None:
        """Make a suspect level the mark."""
        state.left = state.price if state.ts and state.source != level.source else None
        state.price, state.ts, state.source, state.kind = level.price, level.ts, level.source, level.kind
        state.bid = state.ask = None  # a level that was held back is a price alone
        self.believed += 1
        self._hold(symbol, state, without_agreeing(state.suspects, level, state.limit))

    def _hold(self, symbol: str, state: QuoteState, suspects: dict[str, SuspectLevel]) -> None:
        """Replace the suspect levels of a state; `take` then hands its mark over."""
        state.hold(suspects)
        if suspects:
            self._suspected[symbol] = state
        else:
            self._suspected.pop(symbol, None)
        self._record_change(state)

    def _record_change(self, state: QuoteState) -> None:
        if not state.changed:
            state.changed = True
            self._changed.append(state)

    def take(self, now: int = 0) -> dict[int, Mark]:
        """The marks that changed since the last call, by instrument number. The caller owns the dictionary. O(changed).

        A suspect level that has held until `now`, by the clock, is believed first.
        """
        for symbol, state in tuple(self._suspected.items()) if now else ():
            self._settle(symbol, state, 0, now)
        if self._by_hand and now:
            self._end_held(now)
        changed, self._changed = self._changed, []
        taken: dict[int, Mark] = {}
        for state in changed:
            state.changed = False
            mark = self._in_force(state)
            if mark is not None:
                taken[state.number] = mark
        return taken


def _side(value: float | str | None, field: str, state: QuoteState) -> float | None:
    """A side of a quote. Feeds write 0 for an absent side, and a bid of 0 is no bid, except of futures, which can trade at 0."""
    if value is None or value == "":
        return None
    price = quote(value, field)
    if price <= 0.0 and not state.may_be_zero:
        if price == 0.0:
            return None
        raise Rejected(field, "must not be negative")
    return price

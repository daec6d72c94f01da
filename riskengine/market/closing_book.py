"""Keeps the closing mark of each instrument: that of a quote book which never sees a tick from the cutoff of the day on.

The cutoff is the boundary of the trading day, or the end of the regular session where the instrument's calendar has one. Until a
tick from the cutoff on comes, the closing mark is the mark. Then the quote is copied, before that tick changes it, and the copy
goes on by itself: late ticks from before the cutoff reach it by all rules, as they would have reached the quote, until the roll
strikes the close and names the cutoffs of the next day. So the closing mark does not depend on how ticks are batched, or on what
comes after the cutoff.
"""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from riskengine.config import MarksConfig
from riskengine.market.marks import Mark
from riskengine.market.quote_book import AnyTick, QuoteBook
from riskengine.market.quote_state import NEVER, QuoteState
from riskengine.market.split_prices import SplitPrices
from riskengine.records.reference import Reference

NO_MARKS: Mapping[str, Mark] = MappingProxyType({})


class ClosingMarks(NamedTuple):
    """Closing marks of the trading day `date` (YYYY-MM-DD) by symbol; levels held back are left out."""

    date: str
    marks: Mapping[str, Mark]


class _Apart(QuoteBook):
    """The quotes that are kept apart: of instruments whose cutoff has passed."""

    def __init__(self, reference: Reference, config: MarksConfig, future_limit_s: float) -> None:
        super().__init__(reference, config, future_limit_s)
        self._states = {}

    def begin(self, symbol: str, state: QuoteState) -> None:
        """Go on with a quote from here."""
        self._states[symbol] = state
        if state.suspects:
            self._suspected[symbol] = state
        self._record_change(state)

    def mark_of(self, symbol: str) -> Mark | None:
        """The mark of an instrument without what is held back; None if there is none."""
        state = self._states.get(symbol)
        return _plain(state) if state is not None else None

    def begin_new(self, symbol: str, mark: Mark | None) -> None:
        """Go on with a mark of which nothing else is known, or with none."""
        state, number = QuoteState(), self.reference.instrument_index[symbol]
        self._fit(state, number, self.reference.instruments[number])
        if mark is not None:
            state.put(mark)
        self._states[symbol] = state

    def keep_only(self, reference: Reference) -> None:
        """Change to other reference data. What changed before has been taken."""
        self.reference = reference
        known = reference.instrument_index
        self._states = {symbol: state for symbol, state in self._states.items() if symbol in known}
        self._suspected = {symbol: state for symbol, state in self._suspected.items() if symbol in known}
        for symbol, state in self._states.items():
            self._fit(state, known[symbol], reference.instruments[known[symbol]])


class ClosingQuoteBook(QuoteBook):
    """A quote book that keeps closing marks once it has cutoffs (`set_cutoffs`). Used on one thread, like every quote book."""

    def __init__(self, reference: Reference, config: MarksConfig, future_limit_s: float) -> None:
        super().__init__(reference, config, future_limit_s)
        self.closing_date = ""
        """The trading day that the cutoffs are of; empty while there are none."""
        self._cutoffs: dict[str, int] = {}
        self._new_apart = partial(_Apart, config=config, future_limit_s=future_limit_s)
        self._apart = self._new_apart(reference)
        self._unsaved: dict[str, Mark] = {}

    def take_splits(self, splits: SplitPrices) -> None:
        """See `QuoteBook.take_splits`. Closing marks come and go as they were quoted."""
        super().take_splits(splits)
        self._apart.take_splits(splits)

    def _as_quoted(self, symbol: str, mark: Mark) -> Mark:
        return mark._replace(price=self._splits.then(symbol, mark.price, mark.ts, mark.kind)) if self._splits.splits else mark

    # -- the cutoffs of a day ----------------------------------------------------------------------------------

    def set_cutoffs(self, date: str, cutoffs: Mapping[str, int], closing: Mapping[str, Mark] = NO_MARKS) -> None:
        """Begin to keep the closing marks of the trading day `date`, by symbol: an instrument without a cutoff has none.

        `closing` are closing marks of that day from before a start. Of an instrument whose mark is from the cutoff on already,
        and that has none of these, the closing mark is unknown unless a late tick brings one. O(instruments).
        """
        self.closing_date = date
        self._cutoffs = {}
        self._apart = self._new_apart(self.reference)
        self._apart.take_splits(self._splits)
        self._unsaved = {}
        for state in self._states.values():
            state.is_closing, state.bound = False, NEVER
        self.add_cutoffs(cutoffs, closing)

    def add_cutoffs(self, cutoffs: Mapping[str, int], closing: Mapping[str, Mark] = NO_MARKS) -> None:
        """Give instruments that have none their cutoff of the day. O(cutoffs)."""
        for symbol, cutoff in cutoffs.items():
            state = self._states.get(symbol)
            if state is None or symbol in self._cutoffs:
                continue
            self._cutoffs[symbol] = cutoff
            known = closing.get(symbol)
            known = known if known is not None and known.ts < cutoff else None
            if known is not None:
                known = known._replace(price=self._splits.now(symbol, known.price, known.ts, known.kind))
            if state.ts >= cutoff:
                self._apart.begin_new(symbol, known)
                state.is_closing = True
                continue
            state.bound = cutoff
            if known is not None and known.ts > state.ts:
                state.put(known)
                self._record_change(state)

    def cutoff_of(self, symbol: str) -> int | None:
        """The cutoff of an instrument, microseconds; None if it has none."""
        return self._cutoffs.get(symbol)

    def closing_marks(self) -> ClosingMarks:
        """The closing marks as they are now. O(instruments)."""
        found: dict[str, Mark] = {}
        for symbol, cutoff in self._cutoffs.items():
            state = self._states.get(symbol)
            if state is None:
                continue
            mark = self._apart.mark_of(symbol) if state.is_closing else _plain(state)
            if state.is_closing and state.bound == NEVER and 0 < state.ts < cutoff and (mark is None or mark.ts <= state.ts):
                mark = _plain(state)  # the clock was set back after the cutoff
            if mark is not None:
                found[symbol] = self._as_quoted(symbol, mark)
        return ClosingMarks(self.closing_date, found)

    def take_closing(self) -> ClosingMarks | None:
        """The closing marks kept apart that are new or changed since the last call, for the store. O(changed)."""
        self._collect(self._apart.take())
        if not self._unsaved:
            return None
        unsaved, self._unsaved = self._unsaved, {}
        return ClosingMarks(self.closing_date, unsaved)

    def _collect(self, changed: Mapping[int, Mark]) -> None:
        symbols = self._apart.reference.symbols
        for number, mark in changed.items():
            if mark.ts:
                self._unsaved[symbols[number]] = self._as_quoted(symbols[number], mark)._replace(suspects=(), bid=None, ask=None)

    # -- around a cutoff ---------------------------------------------------------------------------------------

    def _pass_cutoff(self, symbol: str, state: QuoteState, ts: int) -> None:
        cutoff = self._cutoffs.get(symbol, NEVER)
        if not state.is_closing:
            if ts >= cutoff:
                self._keep_apart(symbol, state, state.copy())
        elif state.ts >= cutoff:
            state.bound = NEVER

    def _keep_apart(self, symbol: str, state: QuoteState, apart: QuoteState) -> None:
        """Keep the closing mark apart from now on.

        While the quote itself is still from before the cutoff (the tick was held back, or left a mid as it is), all its ticks
        go by all rules: those from before the cutoff belong to both.
        """
        self._apart.begin(symbol, apart)
        state.is_closing, state.bound = True, NEVER if state.ts >= self._cutoffs[symbol] else 0

    def _take_late(self, tick: AnyTick, ts: int, now: int) -> None:
        if ts < self._cutoffs.get(tick.instrument, 0):
            self._apart.apply((tick,), now)

    # -- as every quote book -----------------------------------------------------------------------------------

    def take(self, now: int = 0) -> dict[int, Mark]:
        """See `QuoteBook.take`. What is kept apart settles by the clock as well."""
        if self._apart.suspects:
            self._collect(self._apart.take(now))
        return super().take(now)

    def take_stored(self, marks: Mapping[str, Mark], now: int) -> list[str]:
        """See `QuoteBook.take_stored`; a mark from before the cutoff may become the closing mark."""
        self._expect(marks)
        late = {symbol: mark for symbol, mark in marks.items() if mark.ts < self._cutoffs.get(symbol, 0)}
        self._apart.take_stored(late, now)
        return super().take_stored(marks, now)

    def decide(self, instrument: str, source: str, *, release: bool) -> None:
        """See `QuoteBook.decide`."""
        self._apart.decide(instrument, source, release=release)
        super().decide(instrument, source, release=release)

    def renew(self, reference: Reference, marks: Mapping[str, Mark]) -> None:
        """See `QuoteBook.renew`. A new instrument has no cutoff before the next day."""
        self._expect(marks)
        self._collect(self._apart.take())
        super().renew(reference, marks)
        self._apart.keep_only(reference)

    def _expect(self, marks: Mapping[str, Mark]) -> None:
        """Marks come that may be from the cutoff on."""
        for symbol, mark in marks.items():
            state = self._states.get(symbol)
            if state is not None and mark.ts >= state.bound:
                self._pass_cutoff(symbol, state, mark.ts)


def _plain(state: QuoteState) -> Mark | None:
    """The good mark of a quote alone; None before the first price."""
    return Mark(state.price, state.ts, state.source, state.kind) if state.ts else None

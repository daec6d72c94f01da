"""Engines that say what of an earlier instant was known at a later one: for P&L explain, which tells corrections from trades.

Two kinds. `KnownLater` is a moment by the trades, decisions, cash, carry and corporate actions that were known at a later one.
`AfterClose` is the day after a struck close, whose start says what the close was first published with and what is known of it.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import takewhile
from typing import NamedTuple

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.market.marks import Mark
from riskengine.market.spot_dates import SpotDates
from riskengine.market.trading_day import TradingDay
from riskengine.rebuild.as_of import PastDay
from riskengine.rebuild.moment import RecordedPast
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.actions import ActionRows
from riskengine.records.decode import TradeCheck
from riskengine.records.manual_marks import ManualMark
from riskengine.records.option_inputs import OptionInput
from riskengine.records.types import Identity, StoredMark, Trade, Verdict
from riskengine.snapshot.mark_journal import Recorded
from riskengine.store.protocol import Store
from riskengine.store.results import CashRows, Changes
from riskengine.store.trade_rows import RefusedRow

TRADES_PER_REST = 256

Rows = Iterable[tuple[int, Trade | RefusedRow]]


class Knowledge(NamedTuple):
    """What was known: rows of trades up to `watermark` (None: those received by `ts`), all else that had come by `ts`."""

    ts: int
    watermark: int | None = None

    def rows(self, past: PastDay, check: TradeCheck) -> Rows:
        """The rows of trades, by a past of the same `ts`."""
        last = self.watermark
        if last is None:
            return PastDay.read_trades(past, check)
        return takewhile(lambda row: row[0] <= last, past.rows_of_then(check))


class Then(NamedTuple):
    """The earlier moment: its time, the last row of a trade that it held, and its instant of the journal, where there is one."""

    ts: int
    watermark: int
    recorded: Recorded | None


class KnownLater(RecordedPast):
    """The store at a moment by what was known later; its marks, vols and rates are those of the moment."""

    def __init__(self, store: Store, config: Config, then: Then, later: Knowledge) -> None:
        super().__init__(store, config, then.ts, then.recorded, "then")
        self._then = then
        self._later = later
        self._past = PastDay(store, config, later.ts)
        self._tolerance = int(config.engine.tolerance_s * MICROS_PER_SECOND)

    def action_rows(self) -> ActionRows:
        """Those that had been received later."""
        return self._past.action_rows()

    def verdicts(self) -> list[Verdict]:
        """What had been decided later."""
        return self._past.verdicts()

    def cash_beyond(self, seen: Changes | None) -> CashRows:
        """The records that had been received later and are, in their highest version, dated up to the moment."""
        found = self._past.cash_beyond(seen)
        newest = {(type(row), row[0]): row for row in sorted(found.rows, key=lambda row: row.version)}
        return found._replace(rows=[row for row in found.rows if newest[type(row), row[0]].ts <= self._then.ts])

    def read_conflicts(self, check: TradeCheck) -> Iterable[Trade]:
        """Conflicts that had been received later."""
        return self._past.read_conflicts(check)

    def read_trades(self, check: TradeCheck) -> Iterator[tuple[int, Trade | RefusedRow]]:
        """See `of_before`."""
        return of_before(self._later.rows(self._past, check), self._then, self._tolerance)


def of_before(rows: Rows, then: Then, tolerance: int) -> Iterator[tuple[int, Trade | RefusedRow]]:
    """The rows, in order, of trades that belong before a moment as it is known now. O(rows) memory.

    Those are the trades that were known then, unless a later version moved them behind it, and those executed by then that came
    more than `tolerance` (microseconds) after that: one that was only on its way belongs to what followed.
    """
    kept = [*rows]
    first: dict[Identity, tuple[int, int, int]] = {}
    newest: dict[Identity, tuple[int, int]] = {}
    for store_seq, trade in kept:
        if isinstance(trade, RefusedRow) or trade.action == "cancel":
            continue
        first.setdefault(trade.identity, (store_seq, trade.received_ts or trade.ts, trade.ts))
        version = trade.version
        if version >= newest.get(trade.identity, (0, 0))[0]:
            newest[trade.identity] = version, trade.ts

    def is_before(trade: Trade) -> bool:
        known = first.get(trade.identity)
        if known is None:
            return True  # a cancel alone changes nothing
        store_seq, received, original = known
        executed = newest[trade.identity][1]
        if store_seq <= then.watermark:
            return executed <= then.ts or original > then.ts
        return executed <= then.ts and received - executed > tolerance

    return (row for row in kept if isinstance(row[1], RefusedRow) or is_before(row[1]))


def may_be_restated(store: Store, then: Then, since: Knowledge, later: Knowledge, tolerance: int) -> bool:
    """Whether anything that has come between `since` and `later` may say otherwise of a moment. 3 us a trade in between.

    `since` must name a row; what came by then is known. May be True where nothing has changed, never False where something has.
    """
    assert since.watermark is not None, "the rows after it are looked at"
    if any(since.ts < verdict.ts <= later.ts for verdict in store.verdicts()):
        return True
    before, after = (store.action_rows(ts).actions for ts in (since.ts, later.ts))
    if len(before) != len(after):
        return True
    if any(since.ts < row.received_ts <= later.ts and row.ts <= then.ts for row in store.cash_beyond(None).rows):
        return True
    for row in store.trades_after(since.watermark):
        if later.watermark is not None and row.store_seq > later.watermark:
            break
        executed, received = row.ts or 0, row.received_ts or 0
        is_late = executed <= then.ts and received - executed > tolerance
        if row.version != 1 or row.action != "new" or is_late:
            return True
    return False


class AfterClose(PastDay):
    """The store on the day after a struck close, by what was known at a moment; marks are those of the close."""

    def __init__(self, store: Store, config: Config, date: str, later: Knowledge, boundary: int) -> None:
        super().__init__(store, config, later.ts)
        self._date = date
        self._later = later
        self._boundary = boundary

    def struck_close_dates(self) -> dict[str, int]:
        """The closes up to this one, which stands in the newest version of then, and at least in its first."""
        dates = {date: version for date, version in self._store.struck_close_dates().items() if date <= self._date}
        known = 1
        for version in range(2, dates[self._date] + 1):
            header = self._store.struck_close_header(self._date, version)
            if header is not None and header.struck_ts <= self._later.ts:
                known = version
        return dates | {self._date: known}

    def marks(self) -> list[StoredMark]:
        """The marks of the close, without those of days since."""
        return [mark for mark in self._closing_marks() if mark.ts < self._boundary]

    def option_inputs(self) -> list[OptionInput]:
        """Stored vols, rates and Greeks from before the boundary."""
        return [row for row in self._store.option_inputs() if row.ts <= self._boundary]

    def manual_marks(self) -> list[ManualMark]:
        """None: the marks are those of the close."""
        return []

    def read_trades(self, check: TradeCheck) -> Iterator[tuple[int, Trade | RefusedRow]]:
        """The rows that were known."""
        yield from self._later.rows(self, check)


def known_later(store: Store, config: Config, then: Then, later: Knowledge, rest: Callable[[], None]) -> Engine:
    """The engine of an earlier moment by what was known at a later one. 9 us a trade. Raises StoreError, and as `rest`."""
    past = KnownLater(store, config, then, later)
    current = None if then.recorded is None else then.recorded.current_day or None
    return _rebuilt(past, config, then.ts, current, rest, past.known_marks)


def after_close(store: Store, config: Config, date: str, later: Knowledge, rest: Callable[[], None]) -> Engine:
    """The engine of the day after a struck close. 9 us a trade. Raises StoreError, and what `rest` raises."""
    trading_day = days_of(store, config)
    closed = dt.date.fromisoformat(date)
    boundary = trading_day.close_of(closed)
    past = AfterClose(store, config, date, later, boundary)
    return _rebuilt(past, config, boundary, trading_day.next(closed).isoformat(), rest)


def days_of(store: Store, config: Config) -> TradingDay:
    """The trading days by the calendars of the store. Raises StoreError."""
    return SpotDates.of(store.calendar_state(), config.engine).calendars.trading_day(config.engine)


def _rebuilt(
    past: PastDay,
    config: Config,
    now: int,
    current_day: str | None,
    rest: Callable[[], None],
    marks: Mapping[str, Mark] | None = None,
) -> Engine:
    return rebuild(
        past,
        lambda check: _resting(past.read_trades(check), rest),
        config,
        epoch=0,
        now=now,
        read_conflicts=past.read_conflicts,
        gentle=True,
        current_day=current_day,
        marks=marks,
    )


def _resting(rows: Rows, rest: Callable[[], None]) -> Iterator[tuple[int, Trade | RefusedRow]]:
    for place, row in enumerate(rows):
        if not place % TRADES_PER_REST:
            rest()
        yield row


def carry_in(engine: Engine, node: str, before: int | None = None) -> dict[str, int]:
    """The carry below a node in the cash currency by instrument, units of 1e-28: of before a time, or all. O(positions below).

    Of an engine that no writer owns. Positions that are set aside are left out.
    """
    hierarchy, symbols = engine.reference.hierarchy, engine.reference.symbols
    found: dict[str, int] = {}
    number = hierarchy.index.get(node)
    for leaf in () if number is None else hierarchy.leaves_below(number):
        for instrument, position in engine.ledger.organisation.books[hierarchy.index[leaf]].positions.items():
            if not position.carry or position.quarantined:
                continue
            entries = (each for each in position.carry if not each.is_beside and (before is None or each.ts < before))
            found[symbols[instrument]] = found.get(symbols[instrument], 0) + sum(each.amount for each in entries)
    return found

"""Trading days that ended while no engine ran: which are due, and their closes from stored prices, before the engine goes live.

`process.roll` does the same for a live engine, with the closing marks of its quote book.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.intake.recall import Recall
from riskengine.market.closing_prices import CloseTimes, ClosingRules, closing_prices, cutoffs_of, newest_before
from riskengine.market.marks import Mark
from riskengine.market.trading_day import TradingDay
from riskengine.observe import get_logger
from riskengine.rebuild.day import strike_missed
from riskengine.records.reference import trade_check
from riskengine.records.types import Key, StoredMark
from riskengine.store.protocol import Store

FIRST_DAYS = 400
"""How many calendar days back the first start of a store strikes closes, where official closes are loaded for them."""

log = get_logger("riskengine.roll")


def due_dates(store: Store, trading_day: TradingDay, now: int, tolerance_s: float) -> list[dt.date]:
    """The trading days that have ended, tolerance included, and have no close after the newest one; ascending.

    A store without any close begins with the earliest day that has official closes, at most FIRST_DAYS back, else with the last
    day that has ended.
    """
    last = trading_day.last_closed(now - int(tolerance_s * MICROS_PER_SECOND))
    struck = store.struck_close_dates()
    if struck:
        day = trading_day.next(dt.date.fromisoformat(max(struck)))
    else:
        loaded = store.first_close_date((last - dt.timedelta(days=FIRST_DAYS)).isoformat())
        first = last if loaded is None else min(last, dt.date.fromisoformat(loaded))
        day = first if trading_day.is_business_day(first) else trading_day.next(first)
    found = []
    while day <= last:
        found.append(day)
        day = trading_day.next(day)
    return found


def stored_closing_marks(
    store: Store, date: dt.date, cutoffs: Mapping[str, int], times: CloseTimes, before: Mapping[str, Mark]
) -> dict[str, Mark]:
    """The closing marks of a day as the store knows them; `before` are those of the day before. O(instruments)."""
    return newest_before(
        cutoffs,
        before,
        _marks(store.marks()),
        _marks(store.closing_marks(date.isoformat())),
        closes=store.latest_closes((date - dt.timedelta(days=1)).isoformat()),
        times=times,
    )


def _marks(stored: Iterable[StoredMark]) -> dict[str, Mark]:
    return {mark.instrument: Mark(mark.price, mark.ts, mark.source, mark.kind) for mark in stored}


def make_up(
    engine: Engine, store: Store, config: Config, rules: ClosingRules, now: int, rest: Callable[[], None] = lambda: None
) -> tuple[str, ...]:
    """Strike and store the closes that are due, one for each trading day, and begin the day after the last. Returns their dates.

    On the thread that owns the engine and the write side of the store, before trades come in; `rest` is called after each day.
    2 s for each with 300,000 positions. Raises StoreError.
    """
    trading_day, instruments = rules.trading_day, engine.reference.instruments
    times = CloseTimes(instruments, rules)
    before: dict[str, Mark] = {}
    made_up = []
    recall = Recall(store, trade_check(engine.reference), engine)

    def thaw(keys: Sequence[Key]) -> None:
        recalled = recall.for_keys(keys)
        if recalled is not None:
            engine.thaw(recalled)

    for date in due_dates(store, trading_day, now, config.engine.tolerance_s):
        before = stored_closing_marks(store, date, cutoffs_of(instruments, date, rules), times, before)
        prices = closing_prices(instruments, date, before, store.closes(date.isoformat()), rules)
        ends = trading_day.close_of(date)
        inputs = [row for row in store.option_inputs() if row.ts < ends]  # of each subject the newest of each day
        close = strike_missed(engine, date, prices, config, now, store.openings(), thaw, inputs)
        store.save_struck_close(close)
        log.info("roll_made_up", date=close.date, prices=len(prices), positions=len(close.nodes))
        made_up.append(close.date)
        rest()
    return tuple(made_up)

"""The trading day of an engine that was rebuilt: the newest close that the store holds, and the day that follows it."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from riskengine.config import Config
from riskengine.engine.closing import ClosingDay, make_close
from riskengine.engine.engine import Engine
from riskengine.errors import Frozen
from riskengine.positions.day_window import DayWindow
from riskengine.records.closes import ClosePrice, StruckClose
from riskengine.records.option_inputs import OptionInput
from riskengine.records.types import Key, Opening
from riskengine.valuation.day_start import DayStart


class ClosesStore(Protocol):
    """What knows the closes that were struck."""

    def struck_close_dates(self) -> dict[str, int]: ...
    def struck_close(self, date: str, version: int | None = None) -> StruckClose | None: ...
    def openings(self) -> list[Opening]: ...


def begin_stored_day(engine: Engine, store: ClosesStore) -> str | None:
    """Begin the day after the newest struck close; the next publication shows it. Returns the date of the close, None if none.

    Call it before trades come in, on the thread that owns the engine. O(positions). Raises StoreError.
    """
    dates = store.struck_close_dates()
    if not dates:
        return None
    date = max(dates)
    close = store.struck_close(date)
    assert close is not None, "a date that is listed has a close"
    published = [one for version in range(1, close.version) if (one := store.struck_close(date, version)) is not None]
    start = day_after(engine, close, published, store.openings())
    engine.begin_day(start, engine.day_values(start))
    return date


Thaw = Callable[[Sequence[Key]], None]
"""Has the engine take back what it has frozen of some positions. Raises StoreError."""


def strike_missed(
    engine: Engine,
    date: dt.date,
    prices: Mapping[str, ClosePrice],
    config: Config,
    now: int,
    openings: list[Opening],
    thaw: Thaw | None = None,
    inputs: Iterable[OptionInput] | None = None,
) -> StruckClose:
    """The close of a day that ended while no engine ran, and begin the day after it. Call it before trades come in.

    The caller stores the close. `inputs` as for `Engine.close_rows`. Corporate actions of later days are not in force in it.
    O(trades + positions), on the thread that owns the engine.
    """
    following = DayWindow.after(date, engine.trading_day)
    _put_actions_in_force(engine, date.isoformat(), now, thaw)
    engine.publish(now)
    window = DayWindow.after(engine.trading_day.previous(date), engine.trading_day)
    rows = engine.close_rows(window, following, inputs)
    close = make_close(rows, prices, ClosingDay(date.isoformat(), window.end_ts, now), config)
    _put_actions_in_force(engine, following.current, now, thaw)
    start = day_after(engine, close, [], openings)
    engine.begin_day(start, engine.day_values(start))
    engine.publish(now)
    return close


def actions_day(engine: Engine, store: ClosesStore) -> str:
    """The trading day by which corporate actions are in force in an engine of this store: the one after its newest close."""
    dates = store.struck_close_dates()
    return engine.trading_day.next(dt.date.fromisoformat(max(dates))).isoformat() if dates else engine.actions_day


def _put_actions_in_force(engine: Engine, day: str, now: int, thaw: Thaw | None) -> None:
    try:
        engine.take_actions(engine.action_rows, now, day)
    except Frozen as frozen:
        if thaw is None:
            raise
        thaw(frozen.keys)
        engine.take_actions(engine.action_rows, now, day)


def day_after(engine: Engine, close: StruckClose, published: list[StruckClose], openings: list[Opening]) -> DayStart:
    """The start of the day after a close; `published` are its earlier versions. O(positions). Not beside a writer that runs."""
    window = DayWindow.after(dt.date.fromisoformat(close.date), engine.trading_day)
    engine.know({each.instrument for each in (*close.nodes, *close.dealers)})
    first = published[0] if published else close
    dealers = engine.number_dealers([*(each.owner for each in first.dealers), *(each.dealer for each in openings)])
    return DayStart.of(
        engine.reference, window, close, published, dealers=dealers, openings=openings, changes=engine.close_changes(window)
    )

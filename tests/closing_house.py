"""A house with a store, the closes that it strikes and the states that it keeps of them; and both ways to start on it."""

import datetime as dt
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from riskengine.engine.cash_ladder import cash_ladder, collect, look_back
from riskengine.engine.engine import Engine
from riskengine.engine.self_audit import SelfAudit
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.intake.recall import Recall, frozen_since
from riskengine.intake.side_writes import notice_of
from riskengine.market.trading_day import TradingDay
from riskengine.positions.processed import exception_id
from riskengine.rebuild.close_state import make_close_state
from riskengine.rebuild.day import strike_missed
from riskengine.rebuild.equal_states import state_differences
from riskengine.rebuild.from_close import FromClose
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.cash import CARRY, CarryRecord
from riskengine.records.closes import ClosePrice
from riskengine.records.reference import trade_check
from riskengine.records.types import ONE, Close, StoredMark, Trade, Verdict
from riskengine.store.open_store import open_store
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from tests.store_book import Outside
from tests.world import REFERENCE, SECOND, config, instruments, nodes, opening, trade

TUESDAY = dt.date(2026, 3, 3)
WEDNESDAY = TUESDAY + dt.timedelta(days=1)
BOUNDARY = TradingDay.of(config().engine).close_of(TUESDAY)
DAY = 86_400 * SECOND
STRUCK = BOUNDARY + 5 * SECOND
PRICES = {name: ClosePrice(price, BOUNDARY - SECOND) for name, price in (("EURUSD", 1.1), ("ACME", 90.0), ("ESZ6", 5_000.0))}
SETTINGS = config(engine={"history_days": 5})
OLD = BOUNDARY - 60 * SECOND


class ClosingHouse:
    """A store, and what its live engine and others do to it."""

    def __init__(self, url: str) -> None:
        self.store = open_store(url)
        self.url = url
        self.store.save_nodes(nodes())
        self.store.save_instruments(instruments())
        self.store.save_marks([StoredMark("EURUSD", BOUNDARY, 1.2), StoredMark("ACME", BOUNDARY, 91.0)])
        self.store.save_openings(
            [opening(instrument="ACME", desk="EQ1", ts=BOUNDARY - 6 * SECOND, quantity="2", average_price="3", fees="1")]
        )
        self.store.save_closes([Close("2026-03-02", "ESZ6", 5_001.0)])
        carry = CarryRecord("c1", 1, "FX1", "ann", "EURUSD", "USD", BOUNDARY - DAY, -3 * ONE, "swap_points", STRUCK)
        self.store.save_cash(CARRY, [carry])
        self.now = STRUCK
        self.recent_trades = -1
        """Trades of the last days that states keep in memory if they are no more; none is few enough."""

    def full(self) -> Engine:
        """The replay of everything."""
        return self._rebuilt()

    def resumed(self, settings: Any = SETTINGS, *, gentle: bool = False) -> tuple[Engine, FromClose]:
        start = FromClose(self.store, settings)
        return self._rebuilt(settings, resume=start, past=partial(Recall, self.store), gentle=gentle), start

    def _rebuilt(self, settings: Any = SETTINGS, **more: Any) -> Engine:
        conflicts = read_conflicts(self.store, MAX_NOTICES)
        return rebuild(self.store, read_trades(self.store), settings, epoch=1, now=self.now, read_conflicts=conflicts, **more)

    def deliver(self, trades: Sequence[Trade], verdicts: Sequence[tuple[int, str]] = ()) -> None:
        """Trades as they come while an engine is live: stored, and what it notices of them too; then people decide."""
        self.store.append_trades(trades)
        self.notice()
        for place, word in verdicts:
            if place < len(trades):
                self.store.save_verdict(Verdict(exception_id("quarantined", trades[place]), word, "", "ann", self.now))

    def notice(self) -> None:
        engine = self.full()
        items, up_to = engine.take_noticed()
        self.store.save_notices(list(map(notice_of, items)), max(up_to, self.store.watermark()))

    def edit(self, statement: str) -> list[tuple[Any, ...]]:
        """A statement of another program."""
        outside = Outside(self.url)
        try:
            return outside.execute(statement)
        finally:
            outside.close()

    def strike(self, date: dt.date) -> None:
        close = strike_missed(self.full(), date, PRICES, SETTINGS, self.now, self.store.openings())
        self.store.save_struck_close(close)

    def keep(self, date: dt.date) -> bool:
        """Make the state of a close; whether there was anything to keep."""
        number, store = self.store.new_close_state(), self.store

        def save(part: str, place: int, content: bytes) -> None:
            store.save_close_state_chunks(number, part, place, [content])

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("riskengine.rebuild.close_state.RECENT_TRADES", self.recent_trades)
            made = make_close_state(store, SETTINGS, date.isoformat(), epoch=1, now=self.now, rest=lambda: None, save=save)
        if made is not None:
            store.save_close_state(number, made.state)
            while store.prune_close_states(2):
                pass
        return made is not None

    def compare(self, later: Sequence[Trade] = ()) -> FromClose:
        """Assert that both starts show the same, now and after some more trades; the start from the close."""
        full, (resumed, start) = self.full(), self.resumed()
        assert start.state is not None, start.refused
        assert_equal(full, resumed)
        assert self.ladder(full) == self.ladder(resumed)
        if later:
            recalled = Recall(self.store, trade_check(REFERENCE), resumed).for_trades(later)
            self.store.append_trades(later)
            if recalled is not None:
                resumed.thaw(recalled)
            assert resumed.apply(later, self.now) == full.apply(later, self.now)
            full.publish(self.now)
            resumed.publish(self.now)
            assert_equal(full, resumed)
        return start

    def ladder(self, engine: Engine) -> Any:
        """The cash ladder of everything, as the route makes it: what is frozen is read from the store, and stays so."""
        trading_day = TradingDay.of(SETTINGS.engine)
        since = look_back(trading_day, self.now)
        taken = collect(engine, node=None, since=since, known={})
        behind = taken.behind()
        if behind:
            read = frozen_since(self.store, trade_check(REFERENCE), taken.frozen_ids, behind, since, taken.place)
            taken = taken.with_those_behind(read)
        return cash_ladder(taken, trading_day)


def assert_equal(full: Engine, resumed: Engine) -> None:
    assert state_differences(full.snapshot, resumed.snapshot) == []
    assert len(full.processed) == len(resumed.processed)
    resumed.check()
    assert SelfAudit(resumed).finish_pass() == []


def old(name: str, **more: Any) -> Trade:
    return trade(name, **({"ts": OLD, "received_ts": OLD} | more))


def kept_house(house: ClosingHouse, *more: Trade) -> ClosingHouse:
    """A house whose state of Tuesday is stored, after six trades and some more."""
    house.deliver([*(old(f"t{at}", ts=OLD + at * SECOND, price=f"1.{at + 1}") for at in range(6)), *more])
    house.strike(TUESDAY)
    house.now = STRUCK + 10 * SECOND
    assert house.keep(TUESDAY)
    return house

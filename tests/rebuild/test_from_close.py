"""A start from the state of a close is the replay of everything, to the last bit, whatever came before and after."""

import datetime as dt
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from riskengine.engine.engine import Engine
from riskengine.engine.self_audit import SelfAudit
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.intake.recall import Recall
from riskengine.intake.side_writes import notice_of
from riskengine.market.trading_day import TradingDay
from riskengine.positions.processed import exception_id
from riskengine.rebuild.close_state import make_close_state
from riskengine.rebuild.day import strike_missed
from riskengine.rebuild.equal_states import state_differences
from riskengine.rebuild.from_close import ALL_IN_MEMORY, NONE_YET, FromClose
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.closes import ClosePrice
from riskengine.records.reference import trade_check
from riskengine.records.types import Instrument, StoredMark, Trade, Verdict
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from tests.store_book import Outside
from tests.world import REFERENCE, SECOND, cancel, config, instruments, nodes, opening, trade

TUESDAY = dt.date(2026, 3, 3)
WEDNESDAY = TUESDAY + dt.timedelta(days=1)
BOUNDARY = TradingDay.of(config().engine).close_of(TUESDAY)
DAY = 86_400 * SECOND
STRUCK = BOUNDARY + 5 * SECOND
PRICES = {name: ClosePrice(price, BOUNDARY - SECOND) for name, price in (("EURUSD", 1.1), ("ACME", 90.0), ("ESZ6", 5_000.0))}
SETTINGS = config(engine={"history_days": 5})

columns: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "trade_id": st.sampled_from("abcdefghij"),
        "version": st.sampled_from([1, 1, 1, 2, 3]),
        "ts": st.sampled_from([-9, -7, -5, -3, -2, -1, 0, 2, 4, 100]).map(lambda n: BOUNDARY + n * SECOND),
        "instrument": st.sampled_from(["EURUSD", "ACME", "ESZ6"]),
        "desk": st.sampled_from(["FX1", "FX2", "EQ1"]),
        "dealer": st.sampled_from(["", "ann", "bob"]),
        "side": st.sampled_from(["buy", "sell"]),
        "quantity": st.sampled_from(["1", "2", "3"]),
        "price": st.sampled_from(["1.1", "1.37", "2.0001"]),
        "fees": st.sampled_from(["0", "0", "0.1"]),
        "fees_currency": st.sampled_from(["", "", "EUR"]),
        "source_seq": st.sampled_from([0, 1]),
        "leg": st.sampled_from([0, 0, 0, 0, 1]),
        "legs": st.sampled_from([None] * 9 + [2]),
        "value_date": st.sampled_from([""] * 9 + ["2026-06-04"]),
        "trade_date": st.sampled_from([""] * 7 + ["2026-03-02", "2026-03-03", "2026-03-04"]),
    }
)


def sent(given: dict[str, Any], *, is_cancel: bool, received_ts: int) -> Trade:
    if is_cancel:
        return cancel(given["trade_id"], given["version"], leg=given["leg"], received_ts=received_ts)
    return trade(**given, action="amend" if given["version"] > 1 else "new", received_ts=received_ts)


def received(*times: int) -> st.SearchStrategy[list[Trade]]:
    one = st.builds(sent, columns, is_cancel=st.sampled_from([False] * 5 + [True]), received_ts=st.sampled_from(times))
    return st.lists(one, max_size=24)


class House:
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
        self.now = STRUCK

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

    def strike(self, date: dt.date) -> None:
        close = strike_missed(self.full(), date, PRICES, SETTINGS, self.now, self.store.openings())
        self.store.save_struck_close(close)

    def keep(self, date: dt.date) -> bool:
        """Make the state of a close; whether there was anything to keep."""
        number, store = self.store.new_close_state(), self.store

        def save(part: str, place: int, content: bytes) -> None:
            store.save_close_state_chunks(number, part, place, [content])

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


def assert_equal(full: Engine, resumed: Engine) -> None:
    assert state_differences(full.snapshot, resumed.snapshot) == []
    assert len(full.processed) == len(resumed.processed)
    resumed.check()
    assert SelfAudit(resumed).finish_pass() == []


verdicts = st.lists(st.tuples(st.integers(0, 23), st.sampled_from(["accept", "accept", "reject"])), max_size=4)


@settings(deadline=None, max_examples=400, phases=[Phase.generate], derandomize=False)
@given(
    received(BOUNDARY - 2 * SECOND, BOUNDARY + 3 * SECOND),
    verdicts,
    received(STRUCK + SECOND, STRUCK + 9 * SECOND),
    verdicts,
    received(STRUCK + DAY + 9 * SECOND),
)
def test_it_is_the_replay_of_everything(
    before: list[Trade],
    decided: list[tuple[int, str]],
    after: list[Trade],
    decided_after: list[tuple[int, str]],
    later: list[Trade],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        house = House(f"sqlite:///{folder}/engine.db")
        try:
            house.deliver(before, decided)
            house.strike(TUESDAY)
            house.now = STRUCK + 10 * SECOND
            if not house.keep(TUESDAY):
                return
            house.compare()
            house.deliver(after, decided_after)
            house.compare()
            house.now += DAY
            house.strike(WEDNESDAY)
            house.keep(WEDNESDAY)
            start = house.compare(later)
            assert start.state is not None and start.state.date == WEDNESDAY.isoformat()
        finally:
            house.store.close()

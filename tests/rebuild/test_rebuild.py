"""The morning: an engine from what the store holds, the same as the one that was live."""

import datetime as dt
import gc
from collections.abc import Iterator
from itertools import pairwise

import pytest
from msgspec import structs

from riskengine.errors import ReferenceDataError
from riskengine.market.trading_day import TradingDay
from riskengine.positions.batches import COLUMNS_FROM_TRADES
from riskengine.rebuild import rebuild as start_of_day
from riskengine.rebuild.rebuild import GENTLE_TRADES, READ_TRADES, rebuild
from riskengine.records.decode import TradeCheck
from riskengine.records.reference import trade_check
from riskengine.records.types import Close, Node, Opening, StoredMark, Trade
from riskengine.snapshot.digest import digest
from riskengine.store.trade_rows import RefusedRow, TradeRow, row_of
from tests.shelf import Shelf
from tests.world import NOON, SECOND, House, cancel, config, opening, trade

DAY = 86_400 * SECOND
BEFORE_NOON = "2026-03-03"
TODAY = "2026-03-04"
"""NOON's own date: its close, 17:00 in New York, is still to come."""


def a_row(store_seq: int) -> TradeRow:
    return row_of(trade("2"), store_seq)


class Told:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.progress: list[tuple[float, int]] = []
        self.facts: dict[str, int] = {}

    def enter(self, phase: str) -> None:
        self.phases.append(phase)

    def advance(self, share: float, loaded: int) -> None:
        self.progress.append((share, loaded))

    def note(self, **facts: int) -> None:
        self.facts |= facts


def test_it_is_the_state_of_the_engine_that_was_live():
    sent = [
        trade("1", quantity="100", price="1.1"),
        trade("2", ts=NOON - 5),
        trade("1", version=2, action="amend", desk="FX2"),
        trade("1"),
        cancel("9"),
        trade("3", instrument="ACME", desk="EQ1", side="sell", quantity="7"),
    ]
    house = House()
    house.deal(*sent)
    engine = Shelf(*sent).rebuild()
    assert digest(engine.snapshot) == digest(house.engine.snapshot)
    assert engine.snapshot.counts == house.engine.snapshot.counts
    assert engine.snapshot.epoch == 3
    assert engine.snapshot.watermark == 6
    engine.check()


def test_what_is_no_trade_is_listed_and_the_watermark_passes_it():
    engine = Shelf(
        trade("1"),
        RefusedRow(2, "desk", "unknown desk 'X'", a_row(2)),
    ).rebuild()
    [item] = engine.snapshot.exceptions["quarantined"]
    assert (item.detail, item.reason) == ({"store_seq": 2}, "desk: unknown desk 'X'")
    assert engine.snapshot.watermark == 2
    assert engine.snapshot.counts.applied == 1


def test_rows_that_come_while_it_reads_are_in_and_a_higher_watermark_stands():
    shelf = Shelf(trade("1"), trade("2"))
    shelf.highest = 1
    assert shelf.rebuild().snapshot.watermark == 2
    shelf.highest = 9
    assert shelf.rebuild().snapshot.watermark == 9


@pytest.mark.parametrize("size", [READ_TRADES, 10 * READ_TRADES])
def test_progress_is_told_while_it_reads_and_applies_and_ends_at_one(monkeypatch, size):
    monkeypatch.setattr(start_of_day, "BATCH_TRADES", size)
    told = Told()
    count = 2 * COLUMNS_FROM_TRADES + 10
    shelf = Shelf(*(trade(f"{number:06}", ts=NOON + number) for number in range(count)))
    shelf.rebuild(listener=told)
    assert told.phases == ["reference", "marks", "replay"]
    assert list(dict.fromkeys(loaded for _, loaded in told.progress)) == [*range(READ_TRADES, count, READ_TRADES), count]
    shares = [share for share, _ in told.progress]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len({*shares}) >= len(shares) - 1
    assert max(after - before for before, after in pairwise(shares)) < 0.25


def test_a_start_in_gentle_steps_makes_the_same_state():
    sent = [trade(f"{number:06}", ts=NOON + number % 7, desk=("FX1", "FX2")[number % 2]) for number in range(GENTLE_TRADES + 10)]
    there, here = Shelf(*sent).rebuild(), Shelf(*sent).rebuild(gentle=True)
    assert digest(there.snapshot) == digest(here.snapshot)
    here.check()


def test_an_empty_store_is_a_morning_too():
    told = Told()
    shelf = Shelf()
    shelf.nodes_ = []
    engine = shelf.rebuild(listener=told)
    assert told.progress == [(1.0, 0)]
    assert len(engine.reference.hierarchy) == 0 and engine.snapshot.watermark == 0


@pytest.mark.parametrize("collecting", [True, False])
def test_the_garbage_collector_is_left_as_it_was_even_by_a_failure(collecting: bool):
    def broken(check: TradeCheck) -> Iterator[tuple[int, Trade | RefusedRow]]:
        assert not gc.isenabled()
        yield 1, trade("1")
        raise OSError

    before = gc.isenabled()
    (gc.enable if collecting else gc.disable)()
    try:
        with pytest.raises(OSError):  # noqa: PT011 - the one that was raised
            rebuild(Shelf(), broken, config(), epoch=0, now=NOON)
        assert gc.isenabled() == collecting
    finally:
        (gc.enable if before else gc.disable)()


def test_nodes_that_form_no_tree_refuse_the_start():
    shelf = Shelf()
    shelf.nodes_ = [Node("A", "", "B"), Node("B", "", "A")]
    with pytest.raises(ReferenceDataError, match="exactly one node"):
        shelf.rebuild()


# -- balances ----------------------------------------------------------------------------------------------------


def test_opening_balances_come_before_the_trades_and_keep_older_ones_out():
    shelf = Shelf(trade("old", ts=NOON - 1), trade("new", quantity="50", price="1.3"))
    shelf.openings_ = [opening(quantity="100", average_price="1.1")]
    engine = shelf.rebuild()
    [row] = engine.snapshot.nodes.state(0).positions()
    assert row.quantity == 150 * 10**10
    assert [item.trade.trade_id for item in engine.snapshot.exceptions["quarantined"] if item.trade] == ["old"]


def test_a_balance_without_a_place_is_left_out_aloud(caplog: pytest.LogCaptureFixture):
    shelf = Shelf()
    shelf.openings_ = [opening(), Opening(desk="GONE", instrument="EURUSD", ts=NOON, quantity=10**10)]
    told = Told()
    engine = shelf.rebuild(listener=told)
    assert engine.snapshot.nodes.state(0).position_count == 1
    assert told.facts == {"openings": 1, "openings_left_out": 1, "unjudged": 0}
    [record] = caplog.records
    assert record.levelname == "ERROR" and "GONE" in str(record.msg)


# -- marks -------------------------------------------------------------------------------------------------------


def test_a_restart_shows_the_same_marks_and_the_same_profit():
    house = House()
    sent = [trade("1"), trade("2", instrument="GBPUSD", price="1.25")]
    house.deal(*sent)
    live = house.marks(EURUSD=1.15, GBPUSD=1.2625)
    shelf = Shelf(*sent)
    shelf.marks_ = [StoredMark("EURUSD", NOON, 1.15, "feed"), StoredMark("GBPUSD", NOON, 1.2625, "feed")]
    again = shelf.rebuild().snapshot
    assert again.units.price.tolist() == live.units.price.tolist()
    assert again.nodes.measures(0).tolist() == live.nodes.measures(0).tolist()
    assert not again.units.stale_mark.any()
    assert shelf.rebuild(now=NOON + DAY).snapshot.units.stale_mark.any(), "age is judged at the start"


def test_a_restored_mark_does_not_need_to_be_stored_again():
    shelf = Shelf()
    shelf.marks_ = [StoredMark("EURUSD", NOON, 1.15, "feed"), StoredMark("UNHEARD", NOON, 1.0, "feed")]
    engine = shelf.rebuild()
    assert engine.marks.take_unsaved() == []


def mark_of(shelf: Shelf, symbol: str = "EURUSD", now: int = NOON) -> tuple[float, int, str] | None:
    engine = shelf.rebuild(now=now)
    mark = engine.marks.marks[engine.reference.instrument_index[symbol]]
    return None if mark is None else (mark.price, mark.ts, mark.kind)


def test_the_last_close_stands_where_nothing_newer_is_known():
    shelf = Shelf()
    shelf.closes_ = [Close(BEFORE_NOON, "EURUSD", 1.2)]
    closed = TradingDay.of(config().engine).close_of(dt.date.fromisoformat(BEFORE_NOON))
    assert mark_of(shelf) == (1.2, closed, "close")
    shelf.marks_ = [StoredMark("EURUSD", closed - 1, 1.1, "feed")]
    assert mark_of(shelf) == (1.2, closed, "close")
    shelf.marks_ = [StoredMark("EURUSD", closed, 1.1, "feed")]
    assert mark_of(shelf) == (1.1, closed, "quote")


def test_a_quote_from_after_the_session_stays_over_the_close_of_its_day():
    shelf = Shelf()
    shelf.instruments_ = [
        structs.replace(each, calendar="XNYS") if each.instrument == "ACME" else each for each in shelf.instruments()
    ]
    shelf.closes_ = [Close(BEFORE_NOON, "ACME", 268.5)]
    session = TradingDay.of(config().engine).close_of(dt.date.fromisoformat(BEFORE_NOON)) - 3_600 * SECOND
    assert mark_of(shelf, "ACME") == (268.5, session, "close")
    shelf.marks_ = [StoredMark("ACME", session + 1, 255.0, "feed")]
    assert mark_of(shelf, "ACME") == (255.0, session + 1, "quote")


def test_a_close_dated_today_or_later_waits_for_its_day_and_hides_none_before_it():
    shelf = Shelf()
    shelf.closes_ = [Close(TODAY, "EURUSD", 1.2), Close("2031-01-01", "EURUSD", 9.0)]
    assert mark_of(shelf) is None
    shelf.closes_ = [Close(BEFORE_NOON, "EURUSD", 1.1), *shelf.closes_]
    closed = TradingDay.of(config().engine).close_of(dt.date.fromisoformat(BEFORE_NOON))
    assert mark_of(shelf) == (1.1, closed, "close")
    ends = TradingDay.of(config().engine).close_of(dt.date.fromisoformat(TODAY))
    assert mark_of(shelf, now=ends - 1) == (1.1, closed, "close")
    assert mark_of(shelf, now=ends) == (1.2, ends, "close")


def test_closes_of_days_that_have_not_ended_are_listed_as_waiting():
    shelf = Shelf()
    shelf.closes_ = [Close(BEFORE_NOON, "ACME", 40.0), Close(TODAY, "ACME", 41.0)]
    [item] = shelf.rebuild().snapshot.exceptions["waiting"]
    assert (item.id, item.trade) == (f"waiting:close:ACME:{TODAY}", None)
    assert shelf.rebuild(now=NOON + DAY).snapshot.exceptions["waiting"] == ()


def test_a_close_is_stale_unless_the_market_has_been_shut_since():
    shelf = Shelf()
    shelf.closes_ = [Close("2026-11-20", "EURUSD", 1.2), Close("2026-11-20", "BTCEUR", 6e4), Close("2026-11-19", "GBPUSD", 1.3)]
    day = TradingDay.of(config().engine)
    closed, opens = (day.close_of(dt.date.fromisoformat(date)) for date in ("2026-11-20", "2026-11-22"))

    def stale(now: int) -> set[str]:
        snapshot = shelf.rebuild(now=now).snapshot
        return {symbol for symbol, flag in zip(snapshot.reference.symbols, snapshot.units.stale_mark, strict=True) if flag}

    assert stale(closed + DAY) == stale(opens - 1) == {"BTCEUR", "GBPUSD"}, "Friday's close, on the weekend"
    assert stale(opens) == {"BTCEUR", "EURUSD", "GBPUSD"}


def test_the_door_knows_leaves_and_instruments():
    check = trade_check(House().where)
    assert check.leaves == {"FX1", "FX2", "EM1", "EQ1"}

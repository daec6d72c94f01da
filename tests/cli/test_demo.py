"""The demo: what it finds behind it when it opens, and its clock."""

import datetime as dt
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from msgspec import structs

from riskengine.cli.demo import DEMO_SEED, MAX_SPEED, clock_text, paced
from riskengine.cli.demo_store import House, fill_store
from riskengine.clock import FastClock
from riskengine.config import Config, StoreConfig
from riskengine.errors import InputError
from riskengine.feeds.simulation.market import MarketSimulator
from riskengine.feeds.simulation.sample_book import sample_instruments, sample_limits, sample_nodes
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.limits import LIMIT
from riskengine.records.types import MEASURES
from riskengine.snapshot.rows import ladder_rows, node_rows, position_rows
from riskengine.store.open_store import open_store
from riskengine.store.results import TradeFilter
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from tests.cli.commands import fails, riskengine
from tests.running import running
from tests.waiting import wait_until

SECOND = 1_000_000
NOON = int(dt.datetime(2026, 3, 4, 17, tzinfo=dt.UTC).timestamp()) * SECOND
"""Noon in New York."""
HOUSE = House(sample_nodes(), sample_instruments())


def config(folder: Path) -> Config:
    return Config(store=StoreConfig(f"sqlite:///{folder}/demo.db"))


def fill(where: Config, now: int = NOON, **how: Any) -> MarketSimulator:
    market = MarketSimulator(DEMO_SEED, HOUSE.instruments)
    fill_store(where, HOUSE, DEMO_SEED, now, market, **how)
    return market


# -- the past ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, float]]:
    """The file of a store that was filled at noon, and the prices at which the market goes on."""
    folder = tmp_path_factory.mktemp("filled")
    return folder / "demo.db", fill(config(folder)).mids()


@pytest.fixture
def where(filled: tuple[Path, Mapping[str, float]], tmp_path: Path) -> Config:
    """A copy of it."""
    shutil.copy(filled[0], tmp_path / "demo.db")
    return config(tmp_path)


def test_a_start_finds_the_desk_at_noon(where: Config, filled: tuple[Path, Mapping[str, float]]) -> None:
    store = open_store(where.store.url)
    engine = rebuild(store, read_trades(store), where, epoch=1, now=NOON, read_conflicts=read_conflicts(store, 100))
    snapshot, rows = engine.snapshot, ladder_rows(engine.snapshot)
    assert {row["instrument"] for row in rows} == {each.instrument for each in HOUSE.instruments}
    unknown = {name for row in rows for name, value in row.items() if value is None}
    assert unknown <= {"average_price", "breakeven_price", "bid", "ask"}, (
        "desks on both sides, or flat together; marks alone are stored"
    )
    assert not any(row["stale"] for row in rows)
    kinds = Counter(item.kind for items in snapshot.exceptions.values() for item in items)
    assert [kinds[kind] for kind in ("conflict", "parked", "quarantined", "unmatched")] == [1, 1, 1, 1]
    assert 1 <= kinds["late"] < 40
    marks = {mark.instrument: mark.price for mark in store.marks()}
    assert marks == pytest.approx(filled[1], rel=2e-3)
    store.close()


def test_the_curve_leads_from_the_closes_of_a_month_to_now(where: Config) -> None:
    store = open_store(where.store.url)
    snapshot = rebuild(store, read_trades(store), where, epoch=1, now=NOON).snapshot
    now = {row["node"]: row for row in node_rows(snapshot)}
    samples = store.curve_samples(0, NOON)
    assert len(samples) == 300 and samples[-1].ts == NOON
    for measure in ("total_pnl", "day_pnl", "net_exposure"):
        last = dict(zip(samples[-1].nodes, samples[-1].amounts[MEASURES.index(measure)], strict=True))
        assert last == pytest.approx({node: row[measure] for node, row in now.items()})
    assert len(store.closes()) == 22 * len(HOUSE.instruments) and len(store.struck_close_dates()) == 22
    closes = store.close_totals("node", "FX1", "2026-03-01")
    assert [(close.date, close.version) for close in closes] == [("2026-03-02", 1), ("2026-03-03", 1)]
    row = now["FX1"]
    assert row["total_pnl"] == pytest.approx(closes[-1].amounts["total_pnl"] + row["day_pnl"])
    assert row["month_pnl"] == pytest.approx(sum(close.amounts["day_pnl"] or 0.0 for close in closes) + row["day_pnl"])
    first, amended = [trade for trade in store.select_trades(TradeFilter(versions="all"), 10_000)[0] if trade.trade_id == "pm-1"]
    assert {first.version, amended.version} == {1, 2} and row["correction_pnl"] != 0, "a trade of yesterday was amended"
    store.close()


def test_a_store_of_a_demo_goes_on_as_it_is(where: Config) -> None:
    store = open_store(where.store.url)
    before = store.watermark(), len(store.openings()), len(store.closes())
    marks = {mark.instrument: mark.price for mark in store.marks()}
    store.close()
    market = fill(where, NOON + 86_400 * SECOND)
    store = open_store(where.store.url)
    assert (store.watermark(), len(store.openings()), len(store.closes())) == before
    store.close()
    assert market.mids()["EURUSD"] == marks["EURUSD"] and market.mids()["AAPL"] == marks["AAPL"]


def test_a_store_that_a_kill_left_half_filled_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = config(tmp_path)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("riskengine.cli.demo_store.Desk", killed)
    with pytest.raises(KeyboardInterrupt):
        fill(where)
    monkeypatch.undo()
    with pytest.raises(InputError, match="was left half filled by a demo that was killed: delete it, and begin again"):
        fill(where, NOON + SECOND)


def test_before_recorded_prices_the_past_ends_at_them(tmp_path: Path) -> None:
    where = config(tmp_path)
    market = MarketSimulator(DEMO_SEED, HOUSE.instruments)
    prices = {"EURUSD": 1.0832, "USDJPY": 119.25, "AAPL": 27.0, "OTHER": 5.0}
    fill_store(where, HOUSE, DEMO_SEED, NOON, market, prices)
    mids = market.mids()
    assert {symbol: mids[symbol] for symbol in prices if symbol != "OTHER"} == pytest.approx(
        {"EURUSD": 1.0832, "USDJPY": 119.25, "AAPL": 27.0}, rel=1e-3
    )
    store = open_store(where.store.url)
    marks = {mark.instrument: mark.price for mark in store.marks()}
    store.close()
    assert marks == pytest.approx(mids, rel=2e-3) and marks["EURJPY"] == pytest.approx(1.0832 * 119.25, rel=2e-3)


def test_a_store_from_ahead_of_the_clock_is_refused_with_the_way_on(where: Config) -> None:
    with pytest.raises(InputError, match=r"until 2026-03-04 1[67].*, and this one says .* 13:00:00 UTC: --start-at [0-9]+"):
        fill(where, NOON - 4 * 3_600 * SECOND)


# -- its clock ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", ["0x", "0.5", "3601x", "-2", "fast", "1e2", "x", "", "nan"])
def test_a_speed_that_is_none_is_one_line(speed: str) -> None:
    fails(riskengine("demo", "--clock", speed), "--clock", "must be", status=2)


@pytest.mark.parametrize("start", ["noon", "2026-03-04T12:00:00", "1772625600"])
def test_a_beginning_that_is_none_is_one_line(start: str) -> None:
    fails(riskengine("demo", "--start-at", start), "--start-at", status=2)


def test_on_a_fast_clock_prices_and_readers_have_the_same_real_time() -> None:
    plain, fast = Config(), paced(Config(), 60.0)
    assert paced(plain, 1.0) == plain
    assert (fast.marks.stale_after_s, fast.marks.store_every_s, fast.server.snapshot_history_s) == (3_600.0, 60.0, 120.0)
    assert fast.engine == plain.engine and fast.curves == plain.curves


def test_ctrl_c_ends_it_in_order_while_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("riskengine.cli.demo.fill_store", stopped)
    done = riskengine("demo", "--port", "0", "--store", f"sqlite:///{tmp_path}/demo.db")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


def test_it_says_when_the_trading_day_ends() -> None:
    assert clock_text(FastClock(60.0, NOON, lambda: 0), Config()) == (
        "Its clock begins at 2026-03-04 17:00:00 UTC and runs 60 times as fast: the trading day ends in 5 min, at"
        " 2026-03-04 22:00:00 UTC."
    )
    assert "ends in 5 s" in clock_text(FastClock(MAX_SPEED, NOON, lambda: 0), Config())
    assert "ends in 5.0 h" in clock_text(FastClock(1.0, NOON, lambda: 0), Config())


def test_the_first_screen_is_full_and_the_day_rolls_in_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    with running("demo", "--port", "0", "--clock", "3600x", "--start-at", "2026-03-04T21:30:00Z", log=tmp_path / "log") as server:
        wait_until(lambda: server.get("/readyz")["state"] == "live", 5)
        rows = server.get("/v1/ladder")["rows"]
        assert time.monotonic() - began < 10, "1 s on an idle machine"
        assert len(rows) == 55 and all(row["total_pnl"] is not None and row["mark"] for row in rows)
        wait_until(lambda: server.get("/v1/history")["total"] > 250, 10)  # the curve of the morning is read back
        start = server.get("/v1/status")
        wait_until(lambda: server.get("/v1/status")["ts"] > start["ts"] + 3_600 * SECOND, 10)
        now, points = server.get("/v1/status"), server.get(f"/v1/history?since={start['ts']}")["rows"]
        assert len(points) > 10, "samples keep up with the clock"
        assert now["as_of"] > start["as_of"] + 3_000 * SECOND and now["publish_age_ms"] < 1_500
        assert not any(warning["kind"] in ("stalled", "suspect") for warning in now["warnings"])
        boundary = NOON + 5 * 3_600 * SECOND
        wait_until(lambda: server.get("/v1/nodes/ALL")["rows"][0]["day_start_ts"] == boundary, 10)  # the roll
        days = server.get("/v1/history?days=7")
        assert days["closes"] >= 5 and boundary in [point["ts"] for point in days["rows"]]
        assert server.stop() == 0


def test_a_demo_with_options_has_all_of_them_priced_and_goes_on_with_those_it_dealt_in(tmp_path: Path) -> None:
    where = Config(store=StoreConfig(f"sqlite:///{tmp_path}/demo.db"))
    house = House(sample_nodes(), sample_instruments(), has_options=True)
    dealt = fill_store(where, house, DEMO_SEED, NOON, MarketSimulator(DEMO_SEED, house.instruments)).options
    store = open_store(where.store.url, read_only=True)
    snapshot = rebuild(store, read_trades(store), where, epoch=0, now=NOON).snapshot
    store.close()
    [root] = [row for row in node_rows(snapshot) if row["node"] == "ALL"]
    assert (root["unpriced_count"], len(dealt)) == (0, 13)
    assert {row["mark_source"] for row in position_rows(snapshot, node="EQO")} == {"model", "implied", "simulator"}
    week = 7 * 86_400 * SECOND
    again = fill_store(where, house, DEMO_SEED, NOON + week, MarketSimulator(DEMO_SEED, house.instruments)).options
    assert {each.instrument: each.expiry for each in again} == {each.instrument: each.expiry for each in dealt}


def test_a_demo_has_limits_and_leaves_one_that_was_changed_as_it_is(tmp_path: Path) -> None:
    where, house = config(tmp_path), House(sample_nodes(), sample_instruments(), has_options=True, limits=sample_limits())
    fill_store(where, house, DEMO_SEED, NOON, MarketSimulator(DEMO_SEED, house.instruments))
    store = open_store(where.store.url)
    limits = {limit.limit_id: limit for limit in store.risk_rules().limits}
    assert limits.keys() == {limit.limit_id for limit in sample_limits()}
    store.save_risk_rules(LIMIT, [structs.replace(limits["TICKET"], version=2, limit=1.0)])
    store.close()
    fill_store(where, house, DEMO_SEED, NOON + SECOND, MarketSimulator(DEMO_SEED, house.instruments))
    store = open_store(where.store.url)
    assert [(limit.version, limit.limit) for limit in store.risk_rules().limits if limit.limit_id == "TICKET"][-1] == (2, 1.0)
    assert len(store.risk_rules().limits) == len(limits) + 1
    store.close()


def test_after_noon_in_new_york_an_option_is_exercised_on_the_screen(tmp_path: Path) -> None:
    with running("demo", "--port", "0", "--clock", "300x", "--start-at", "2026-03-04T16:49:30Z", log=tmp_path / "log") as server:
        wait_until(lambda: server.get("/v1/exceptions?kind=expired")["rows"], 60)
        [expired] = server.get("/v1/exceptions?kind=expired")["rows"]
        assert expired["instrument"] == "EURUSD NOON C" and expired["detail"]["spot_at_cut"] is not None
        said = server.post(f"/v1/exceptions/{quote(expired['id'], safe='')}", {"action": "accept"})
        assert said["verdict"] == "accept"
        assert server.get("/v1/exceptions?kind=expired")["rows"] == []
        assert server.get("/v1/nodes")["rows"][0]["unpriced_count"] == 0
        kinds = {warning["kind"] for warning in server.get("/v1/status")["warnings"]}
        assert kinds <= {"conflict", "parked", "quarantined", "unmatched"}, "what the morning leaves, and nothing else"
        assert server.stop() == 0

"""Figures that limits bound: made of the newest snapshot, those of cash as the ladder has them now and once trades are booked."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.config import Config, EngineConfig, ScenariosConfig, StoreConfig
from riskengine.engine.cash_ladder import cash_ladder, collect, flows_of, look_back
from riskengine.limits.figures import IntendedTrade
from riskengine.market.trading_day import TradingDay
from riskengine.process import limit_figures
from riskengine.process.limit_figures import StandingCash
from riskengine.process.process import EngineProcess
from riskengine.records.limits import Limit
from riskengine.records.reference import trade_check
from riskengine.store.open_store import open_store
from tests.limiting import limit
from tests.live_process import run_live
from tests.scenarios_data import walks
from tests.waiting import until
from tests.world import DESKS, House, check_row, instruments, nodes, quote, row, trade

NEW_YORK = TradingDay("17:00", "America/New_York")
TODAY = NEW_YORK.date_of(int(dt.datetime.now(dt.UTC).timestamp() * 1e6)).isoformat()
FLOOR = limit("C", measure="cash_on_date", node="ALL", currency="EUR", limit=-1.0)


def standing(house: House) -> StandingCash:
    taken = collect(house.engine, node=None, since=look_back(NEW_YORK, house.now), known={})
    flows, quarantined, _ = flows_of(taken, NEW_YORK)
    return StandingCash(flows, taken.snapshot.reference, whole=not quarantined)


def worst_of_ladder(house: House, one: Limit) -> tuple[float, str]:
    """The number by the public rows: the flow of a date that is furthest towards the limit."""
    taken = collect(house.engine, node=None, since=look_back(NEW_YORK, house.now), known={})
    rows = [row for row in cash_ladder(taken, NEW_YORK, one.currency)[0] if row["value_date"]]
    rank = {"below": lambda row: -row["amount"], "above": lambda row: row["amount"], "absolute": lambda row: abs(row["amount"])}
    worst = max(rows, key=rank[one.side], default=None)
    return (0.0, "") if worst is None or rank[one.side](worst) <= 0 else (worst["amount"], worst["value_date"])


deals = st.lists(
    st.tuples(
        st.sampled_from(("EURUSD", "EURGBP", "BTCEUR", "USDCAD")),
        st.sampled_from(DESKS),
        st.sampled_from(("buy", "sell")),
        st.integers(1, 1_000),
        st.integers(0, 2),
    ),
    max_size=5,
)


def dealt(house: House, prefix: str, sent: list[tuple[str, str, str, int, int]]) -> list[Any]:
    return [
        trade(f"{prefix}{at}", instrument=symbol, desk=desk, side=side, quantity=str(size), fees=str(fees), fees_currency="EUR")
        for at, (symbol, desk, side, size, fees) in enumerate(sent)
    ]


@given(before=deals, sent=deals, side=st.sampled_from(["below", "above", "absolute"]))
@settings(max_examples=30, deadline=None)
def test_cash_after_trades_is_what_the_ladder_shows_once_they_are_booked(
    before: list[tuple[str, str, str, int, int]], sent: list[tuple[str, str, str, int, int]], side: str
) -> None:
    house = House()
    house.deal(*dealt(house, "b", before))
    one = limit("C", measure="cash_on_date", node="ALL", currency="EUR", side=side, limit=1.0)
    cash = standing(house)
    now = cash.after(one, ())
    value, date = worst_of_ladder(house, one)
    assert now.value == pytest.approx(value)
    assert now.subject == date
    trades = dealt(house, "a", sent)
    told = cash.after(one, [IntendedTrade(each) for each in trades])
    house.deal(*trades)
    assert told.value == pytest.approx(worst_of_ladder(house, one)[0])
    assert told.whole


def test_a_position_that_waits_for_a_repair_makes_cash_incomplete() -> None:
    house = House()
    house.deal(trade("1", quantity="10"))
    house.engine.set_aside_key(("node", "FX1", "EURUSD"), "found wrong", house.now)
    house.engine.publish(house.now)
    assert not standing(house).after(FLOOR, ()).whole


# -- live ----------------------------------------------------------------------------------------------------------


LIMITS: dict[str, dict[str, Any]] = {
    "VAR": {"measure": "var", "node": "ALL", "limit": 1e9},
    "ES": {"measure": "expected_shortfall", "dealer": "ann", "limit": 1e9},
    "CASH": {"measure": "cash_on_date", "node": "FX1", "currency": "USD", "limit": -500.0},
    "OWES": {"measure": "counterparty_exposure", "node": "ALL", "limit": 1e6},
    "OTHER": {"measure": "var", "dealer": "nobody", "limit": 1.0},
}


def test_a_live_engine_judges_var_and_cash_by_the_newest_figures(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit_figures, "EVERY_S", 0.05)
    store = open_store(store_url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.save_closes(walks({"EURUSD": 1.1}, 30, before=TODAY))
    store.close()

    async def test(process: EngineProcess) -> None:
        now = process.clock.now()
        process.offer_ticks([quote("EURUSD", 1.1, 1.1, now)])
        check = trade_check(process.history.newest.reference)
        sent = row("t1", quantity="1000", price="1.1", ts=now - 1_000_000)
        await process.submit([check_row(sent, now)], check)
        rules = [limit(name, **fields) for name, fields in LIMITS.items()]
        await process.save_risk_rules("limit", rules, "ann")

        def states() -> dict[str, tuple[int, float, str]]:
            found = process.judgement(process.history.newest)
            return {
                line.limit.limit_id: (found.state.item(at), found.readings.value.item(at), found.readings.subjects.get(at, ""))
                for at, line in enumerate(found.lines)
            }

        await until(lambda: states()["CASH"][0] == 2 and states()["VAR"][0] == 0 and states()["ES"][0] == 0)
        await until(lambda: states()["OWES"][:2] == (0, 0.0))
        assert states()["CASH"][1] == pytest.approx(-1_100.0)
        assert states()["CASH"][2] > TODAY
        assert states()["VAR"][1] == states()["VAR"][1] > 0.0
        assert states()["OTHER"][0] == 3, "who has not dealt yet has no figure"

    settings = ScenariosConfig(days=20, min_days=10)
    run_live(Config(engine=EngineConfig(beat_ms=20), store=StoreConfig(store_url), scenarios=settings), test)

"""What is kept between questions: the vectors of the last snapshot, closes by reference data, the last minutes."""

from typing import Any

import numpy as np
import pytest

from riskengine.config import ScenariosConfig
from riskengine.records.types import Close
from riskengine.scenarios.var import HISTORICAL, INSTRUMENT, INTRADAY, OwnerVar, owner_var
from riskengine.scenarios.workbench import Workbench
from riskengine.snapshot.snapshot import Snapshot
from tests.scenarios_data import MARKS, house, stored, walks
from tests.world import INSTRUMENTS, House, reference, trade


def bench(days: int = 501, **settings: Any) -> Workbench:
    made = Workbench(ScenariosConfig(**settings))
    made.take_closes(stored(walks(MARKS, days)))
    return made


def var_of(desk: Workbench, snapshot: Snapshot, method: str = HISTORICAL) -> OwnerVar:
    return owner_var(desk.scenarios(snapshot, method), desk.rule(method), snapshot.nodes.state(0), INSTRUMENT)


def test_a_new_snapshot_is_valued_anew_and_the_old_one_still_gives_what_it_gave() -> None:
    made, desk = house(), bench()
    before = made.engine.snapshot
    first = var_of(desk, before)
    made.now += 1
    made.marks(EURUSD=1.3)
    assert var_of(desk, made.engine.snapshot).var != first.var
    assert var_of(desk, before) == first


def test_intraday_var_is_the_third_worst_of_the_last_sixty_minutes() -> None:
    made = House()
    made.deal(trade("1", quantity="1000000", price="1.1"))
    desk, dice = bench(), np.random.default_rng(3)
    prices = [1.1, *(1.1 * np.exp(np.cumsum(dice.normal(0, 1e-4, 60)))).tolist()]
    for minute, price in enumerate(prices):
        made.now += 60_000_000
        snapshot = made.marks(EURUSD=price)
        if minute < 60:
            assert var_of(desk, snapshot, method=INTRADAY).var is None
        desk.take_minute(f"{minute:02}", snapshot)
    found = var_of(desk, snapshot, method=INTRADAY)
    moves = np.diff(prices) / np.array(prices[:-1])
    assert found.var == pytest.approx(-np.sort(moves)[2] * 1_000_000 * prices[-1], rel=1e-9)


def test_the_vectors_of_a_snapshot_are_made_once_and_closes_that_come_make_them_anew() -> None:
    snapshot, desk = house().engine.snapshot, bench()
    first = desk.scenarios(snapshot, HISTORICAL)
    assert desk.scenarios(snapshot, HISTORICAL) is first
    desk.take_closes(stored(walks(MARKS, 300)))
    assert desk.scenarios(snapshot, HISTORICAL).size == 299


def test_a_day_that_has_not_ended_makes_no_scenario() -> None:
    snapshot, desk = house().engine.snapshot, bench(days=20)
    today = snapshot.current_day
    closes = walks(MARKS, 20)
    desk.take_closes(stored([*closes, Close(today, "ACME", 1.0)]))
    assert today not in desk.shifts(snapshot, HISTORICAL).names


def test_minutes_follow_instruments_by_name_into_other_reference_data() -> None:
    desk = Workbench(ScenariosConfig(intraday_minutes=2))
    made = House()
    for minute, price in enumerate((1.0, 1.1, 1.21)):
        made.now += 60_000_000
        desk.take_minute(str(minute), made.marks(EURUSD=price))
    other = House(reference(rows=({"instrument": "AAA", "kind": "equity", "quote_currency": "USD"}, *INSTRUMENTS)))
    found = desk.shifts(other.engine.snapshot, INTRADAY)
    number = other.where.instrument_index["EURUSD"]
    assert number != made.where.instrument_index["EURUSD"]
    assert found.shift[:, number].tolist() == pytest.approx([0.1, 0.1])
    assert found.missing[other.where.instrument_index["AAA"]] == 2

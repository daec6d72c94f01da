"""Closes as a table, and the shifts between them: what is carried, what is missing, what is absolute."""

import numpy as np
import pytest

from riskengine.market.split_prices import PriceSplit, SplitPrices
from riskengine.records.types import Close
from riskengine.scenarios.close_history import MAX_CARRIED, CloseHistory, Shifts, shifts_of
from tests.world import REFERENCE

DAYS = tuple(f"2026-01-{day:02}" for day in range(5, 20))
ACME = REFERENCE.instrument_index["ACME"]
PRICES = np.full(len(REFERENCE.symbols), 100.0)


def shifts(*closes: Close, days: tuple[str, ...] = DAYS, negative: tuple[str, ...] = ()) -> Shifts:
    return shifts_of(CloseHistory.of(closes, days, REFERENCE), REFERENCE, negative, PRICES)


def closes(*prices: float | None, symbol: str = "ACME") -> list[Close]:
    return [Close(day, symbol, price) for day, price in zip(DAYS, prices, strict=False) if price is not None]


def test_a_shift_is_the_fraction_from_one_date_to_the_next() -> None:
    found = shifts(*closes(100.0, 110.0, 99.0), days=DAYS[:3])
    assert found.names == DAYS[1:3]
    assert found.begins == DAYS[0]
    assert found.shift[:, ACME].tolist() == pytest.approx([0.1, -0.1])
    assert found.prices(PRICES)[:, ACME].tolist() == pytest.approx([110.0, 90.0])


def test_a_date_without_a_close_carries_the_one_before_and_is_counted() -> None:
    found = shifts(*closes(100.0, None, 121.0), days=DAYS[:3])
    assert found.shift[:, ACME].tolist() == pytest.approx([0.0, 0.21])
    assert found.carried[ACME] == 1
    assert found.missing[ACME] == 0


def test_a_longer_hole_is_missing_and_not_zero() -> None:
    hole = [None] * (MAX_CARRIED + 1)
    days = DAYS[: len(hole) + 2]
    found = shifts(*closes(100.0, *hole, 121.0), days=days)
    assert found.carried[ACME] == MAX_CARRIED
    assert found.missing[ACME] == 2
    assert np.isnan(found.shift[-2:, ACME]).all()


def test_what_has_no_closes_before_some_date_is_missing_until_then() -> None:
    found = shifts(*closes(None, None, 100.0, 101.0), days=DAYS[:4])
    assert found.missing[ACME] == 2
    assert found.missing[REFERENCE.instrument_index["ESZ6"]] == 3


def test_a_named_instrument_has_absolute_shifts_and_so_has_one_that_has_been_below_zero() -> None:
    assert shifts(*closes(100.0, 110.0), days=DAYS[:2], negative=("ACME",)).shift[0, ACME] == 10.0
    sunk = shifts(*closes(100.0, -10.0, 5.0), days=DAYS[:3])
    assert sunk.absolute[ACME]
    assert sunk.shift[:, ACME].tolist() == [-110.0, 15.0]


def test_a_pair_is_always_relative_and_a_close_of_it_at_zero_is_missing() -> None:
    pair = REFERENCE.instrument_index["EURUSD"]
    found = shifts(*closes(1.1, 0.0, 1.2, symbol="EURUSD"), days=DAYS[:3], negative=("EURUSD",))
    assert not found.absolute[pair]
    assert found.missing[pair] == 2


def test_a_split_moves_no_price() -> None:
    split = SplitPrices({"ACME": [PriceSplit(200, 4, 1)]})
    ends = {DAYS[0]: 100, DAYS[1]: 200, DAYS[2]: 300}
    history = CloseHistory.of(closes(400.0, 400.0, 101.0), DAYS[:3], REFERENCE, split, ends.__getitem__)
    assert history.price[:, ACME].tolist() == [100.0, 100.0, 101.0]


def test_a_former_name_gives_the_history_of_the_new_one() -> None:
    renamed = SplitPrices(formerly={"ACME": "OLD"})
    both = [Close(DAYS[0], "OLD", 7.0), Close(DAYS[1], "ACME", 8.0)]
    history = CloseHistory.of(both, DAYS[:2], REFERENCE, renamed, dict.fromkeys(DAYS, 1).__getitem__)
    assert history.price[:, ACME].tolist() == [7.0, 8.0]


def test_closes_of_other_dates_and_unknown_instruments_count_for_nothing() -> None:
    history = CloseHistory.of([Close("1999-01-01", "ACME", 1.0), Close(DAYS[0], "NOBODY", 1.0)], DAYS, REFERENCE)
    assert np.isnan(history.price).all()


def test_dates_before_a_day_and_the_latest_of_them() -> None:
    history = CloseHistory.of(closes(*range(1, 11)), DAYS[:10], REFERENCE)
    assert history.before(DAYS[4]).dates == DAYS[:4]
    assert history.latest(2).dates == DAYS[7:10]
    wide = history.widened(len(REFERENCE.symbols) + 2)
    assert wide.price.shape == (10, len(REFERENCE.symbols) + 2)
    assert np.isnan(wide.price[:, -2:]).all()

"""Unit values: marks times rates, made anew or with other prices alone; the bits are the same either way."""

import numpy as np
import pytest

from riskengine.config import MarksConfig
from riskengine.market.currencies import CurrencyGraph, Rates
from riskengine.market.mark_table import MarkTable
from riskengine.market.marks import Mark
from riskengine.valuation.unit_values import ContractTerms, Factors, Units
from tests.world import NOON, REFERENCE, SECOND

TERMS = ContractTerms.of(REFERENCE)
NUMBERS = REFERENCE.instrument_index
ARRAYS = [field for field in Units._fields if field not in ("marks", "netting", "options")]
PRICES = {"EURUSD": 1.25, "USDJPY": 150.0, "BTCEUR": 60_000.0, "ESZ6": 5_000.0}


def table(**prices: float) -> MarkTable:
    """Marks of noon."""
    marks = MarkTable(REFERENCE, MarksConfig())
    marks.take({NUMBERS[symbol]: Mark(price, NOON, "feed", "quote") for symbol, price in prices.items()})
    return marks


def rates(marks: MarkTable, now: int = NOON) -> Rates:
    return CurrencyGraph(REFERENCE).rates(marks.price, marks.priced, marks.fresh(now))


def units(marks: MarkTable, now: int = NOON) -> Units:
    return Units.of(TERMS, marks, marks.priced.copy(), marks.fresh(now), rates(marks, now), marks.shut(now))


def test_a_unit_is_worth_its_price_times_multiplier_times_rate():
    found = units(table(**PRICES))
    assert found.value[NUMBERS["BTCEUR"]] == 60_000.0 * 1.25
    assert found.value[NUMBERS["ESZ6"]] == 50 * 5_000.0
    assert found.rate[NUMBERS["USDJPY"]] == 1.0 / 150.0


def test_a_unit_without_a_mark_or_a_rate_is_worth_nothing_and_says_so():
    found = units(table(ACME=90.0, MAREL=400.0))
    marel, ghost = NUMBERS["MAREL"], NUMBERS["GHOST"]
    assert (found.value[marel], found.priced[marel], found.rated[marel]) == (0.0, True, False)
    assert (found.value[ghost], found.priced[ghost], found.rated[ghost]) == (0.0, False, True)


def test_an_old_mark_and_a_rate_from_one_are_stale():
    found = units(table(**PRICES), now=NOON + 61 * SECOND)
    assert found.stale_mark[NUMBERS["BTCEUR"]] and found.stale_rate[NUMBERS["BTCEUR"]]
    assert found.stale_mark[NUMBERS["ESZ6"]] and not found.stale_rate[NUMBERS["ESZ6"]]


def test_other_prices_alone_give_the_bits_of_units_made_anew():
    marks = table(**PRICES)
    first = units(marks)
    factors = Factors(first, rates(marks))
    marks.take({NUMBERS["BTCEUR"]: Mark(61_234.5, NOON + 1, "feed", "quote")})
    repriced, fresh = first.with_prices(TERMS, marks), units(marks)
    for name in ARRAYS:
        assert np.array_equal(getattr(repriced, name), getattr(fresh, name)), name
    assert repriced.marks == fresh.marks
    assert first.price[NUMBERS["BTCEUR"]] == 60_000.0, "the first ones stay as they were"
    with_prices, anew = vars(factors.with_prices(repriced, rates(marks))), vars(Factors(fresh, rates(marks)))
    nets = with_prices.pop("options"), anew.pop("options")
    assert all(np.array_equal(mine, its) for mine, its in zip(*nets, strict=True))
    assert {name: np.asarray(value).tolist() for name, value in with_prices.items()} == {
        name: np.asarray(value).tolist() for name, value in anew.items()
    }


@pytest.mark.parametrize("field", ARRAYS)
def test_unit_values_are_read_only(field):
    marks = table(**PRICES)
    for made in (units(marks), units(marks).with_prices(TERMS, marks)):
        with pytest.raises(ValueError, match="read-only"):
            getattr(made, field)[0] = 0

"""What forwards are worth: outrights from points and from rates, discounting, legs, unknown inputs, stale ones."""

import math

import pytest

from riskengine.config import Config, OptionsConfig
from riskengine.market.fixings import Fixing
from riskengine.records.option_inputs import RateRow
from riskengine.snapshot.exposure import exposure
from riskengine.snapshot.rows import node_row
from tests import world
from tests.forwarding import PRICES, house, noon_of
from tests.world import NOON, SECOND, House, mark_settings, trade

SPOT = "2026-03-06"
"""The spot date of a trade on the day of these tests."""

YEAR = "2027-03-08"
"""367 days after it."""

DOLLARS = RateRow("USD", "rate", YEAR, NOON, 0.04)
POINTS = RateRow("EURUSD", "points", YEAR, NOON, 0.02)


def of(made: House, date: str = YEAR, pair: str = "EURUSD") -> dict[str, object]:
    return made.position(f"{pair}@{date}")


def test_points_of_a_year_are_worth_less_than_they_are() -> None:
    """The example of ACCOUNTING section 5, on the day that is good in both currencies."""
    made = house([DOLLARS, POINTS])
    made.deal(trade(quantity="10000000", price="1.08", value_date=YEAR))
    row = of(made)
    assert (row["mark"], row["mark_source"]) == (1.1, "points")
    years = 367 / 365  # from spot, by a rate that is flat
    assert row["total_pnl"] == pytest.approx(200_000 * math.exp(-0.04 * years), rel=1e-12)
    assert row["total_pnl_local"] == pytest.approx(200_000, rel=1e-12)


def test_without_discounting_points_are_worth_what_they_are() -> None:
    made = House(settings=Config(marks=mark_settings(), options=OptionsConfig(forward_discounting=False)))
    made.engine.forwards.take_rates([POINTS])
    made.marks(**PRICES)
    made.deal(trade(quantity="10000000", price="1.08", value_date=YEAR))
    assert of(made)["total_pnl"] == pytest.approx(200_000, rel=1e-12)


def test_a_three_month_forward_dealt_at_its_points_shows_no_phantom_pnl() -> None:
    made = house([DOLLARS, RateRow("EURUSD", "points", "2026-06-08", NOON, 0.005)])
    made.deal(trade(quantity="10000000", price="1.085", value_date="2026-06-08"))
    assert made.node()["total_pnl"] == 0.0


def test_without_points_the_outright_follows_from_both_rates() -> None:
    made = house([DOLLARS, RateRow("EUR", "rate", YEAR, NOON, 0.01)])
    made.deal(trade(quantity="1", price="1", value_date=YEAR))
    assert of(made)["mark"] == pytest.approx(1.08 * math.exp(0.03 * 367 / 365), rel=1e-12)
    assert of(made)["mark_source"] == "rates"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        pytest.param([POINTS], "no rates for USD", id="points alone"),
        pytest.param([DOLLARS], "no points of EURUSD and no rates for EUR", id="one rate"),
        pytest.param([], "no points of EURUSD and no rates for USD and EUR", id="nothing"),
    ],
)
def test_a_forward_without_its_inputs_is_unpriced_and_says_why(rows, reason) -> None:
    made = house(rows)
    made.deal(trade(quantity="10", price="1.08", value_date=YEAR), trade("t2", quantity="10", price="1.07"))
    assert of(made)["total_pnl"] is None
    assert made.engine.forwards.market.reasons == [reason]
    assert made.node()["unpriced_count"] == 1
    assert made.position()["total_pnl"] == pytest.approx(0.1)


@pytest.mark.parametrize("date", ["2026-03-04", "2026-03-05"])
def test_tom_and_cash_are_worth_spot_and_need_no_rates(date) -> None:
    made = house([])
    made.deal(trade(quantity="10", price="1.07", value_date=date))
    assert (of(made, date)["mark"], of(made, date)["mark_source"]) == (1.08, "spot")
    assert of(made, date)["total_pnl"] == pytest.approx(0.1)


@pytest.mark.parametrize("pair", ["EURUSD", "EURGBP", "USDJPY"])
def test_the_legs_of_a_forward_sum_to_its_worth_at_spot(pair) -> None:
    """Rates of currencies that follow from the pairs alone, so that no pair is quoted apart from them."""
    made = house(EURGBP=1.08 / 1.25)
    made.deal(trade(quantity="7000000", price="1.3", instrument=pair, value_date="2026-06-08"))
    rows = exposure(made.engine.snapshot, "currency").rows
    total = made.node()["total_pnl"]
    assert sum(row["net"] for row in rows) == pytest.approx(total, rel=1e-9)
    assert made.node()["nav"] == pytest.approx(total)
    assert abs(exposure(made.engine.snapshot, "currency").summary["quoted_apart"]) < 1e-3


def test_spot_and_forward_legs_of_one_currency_net_in_gross_exposure() -> None:
    made = house()
    made.deal(
        trade("spot", quantity="1000000", price="1.08"), trade("fwd", quantity="1000000", side="sell", value_date="2026-06-08")
    )
    node = node_row(made.engine.snapshot, 0)
    assert node["gross_exposure"] == pytest.approx(abs(node["net_exposure"]), abs=1e-6)
    assert node["gross_exposure"] < 20_000
    by_instrument = exposure(made.engine.snapshot, "instrument").rows
    assert sum(row["net"] for row in by_instrument) == pytest.approx(node["net_exposure"], abs=1e-6)


def test_old_points_make_a_forward_stale_and_nothing_else() -> None:
    made = house([DOLLARS, RateRow("EURUSD", "points", YEAR, NOON - 300_000 * SECOND, 0.02)])
    made.deal(trade(value_date=YEAR), trade("t2"))
    assert (of(made)["stale"], made.position()["stale"]) == (True, False)
    assert of(made)["mark_ts"] == NOON - 300_000 * SECOND


def test_a_stale_spot_makes_a_forward_stale() -> None:
    made = house()
    made.deal(trade(value_date=YEAR))
    made.now = NOON + 120 * SECOND
    made.beat()
    assert of(made)["stale"] is True


def test_new_points_move_a_forward_with_the_next_beat() -> None:
    made = house([DOLLARS, POINTS])
    made.deal(trade(quantity="10000000", price="1.08", value_date=YEAR))
    made.engine.forwards.take_rates([DOLLARS, RateRow("EURUSD", "points", YEAR, NOON + 1, 0.03)])
    made.beat()
    assert of(made)["mark"] == pytest.approx(1.11)


def test_a_quote_of_the_forward_itself_is_its_mark_where_nothing_else_is() -> None:
    where = world.reference(rows=[*world.INSTRUMENTS, FORWARD])
    made = House(where)
    made.engine.forwards.take_rates([DOLLARS])
    made.marks(EURUSD=1.08, **{"EURUSD@2027-03-08": 1.2})
    made.deal(trade(quantity="10", price="1.1", value_date=YEAR, where=where))
    assert (of(made)["mark"], of(made)["mark_source"]) == (1.2, "feed")
    assert of(made)["total_pnl"] == pytest.approx(10 * 0.1 * math.exp(-0.04 * 367 / 365))


FORWARD = {
    "instrument": "EURUSD@2027-03-08",
    "kind": "fx_forward",
    "base_currency": "EUR",
    "quote_currency": "USD",
    "expiry": "2027-03-08",
}


def test_a_forward_that_was_loaded_is_the_one_that_trades_go_to() -> None:
    where = world.reference(rows=[*world.INSTRUMENTS, FORWARD])
    made = House(where)
    made.deal(trade(value_date=YEAR, where=where), trade("t2", instrument="EURUSD@2027-03-08", where=where))
    assert made.engine.reference is where
    assert of(made)["quantity"] == 200.0


KRW = {"instrument": "USDKRW", "kind": "fx", "base_currency": "USD", "quote_currency": "KRW"}
NDF = KRW | {
    "instrument": "USDKRW@2026-04-08",
    "kind": "fx_forward",
    "expiry": "2026-04-08",
    "fixing_date": "2026-04-06",
    "fixing_source": "KFTC18",
    "settlement_currency": "USD",
}


def test_a_fixed_forward_stands_still_whatever_spot_does() -> None:
    """The example of ACCOUNTING section 5."""
    where = world.reference(rows=[*world.INSTRUMENTS, KRW, NDF])
    made = House(where)
    made.marks(USDKRW=1360.0)
    made.deal(trade(quantity="10000000", price="1350", instrument="USDKRW@2026-04-08", where=where))
    assert made.position("USDKRW@2026-04-08")["total_pnl"] is None  # no points, no rates
    made.engine.forwards.take_fixings({"USDKRW@2026-04-08": Fixing(noon_of("2026-04-06"), 1380.0)})
    for spot in (1360.0, 1500.0):
        made.marks(USDKRW=spot)
        assert made.position("USDKRW@2026-04-08")["total_pnl"] == pytest.approx(217_391.30, abs=0.01)
        assert made.node()["net_exposure"] == 0.0

"""An option after its cut: what it is worth, what is suggested, and the trades that book it."""

from typing import Any

import pytest

from riskengine.engine.exercise import ExerciseDecision
from riskengine.errors import InputError
from riskengine.market.marks import CLOSE, Mark
from riskengine.records.option_inputs import CutSpot
from riskengine.snapshot.expired_options import expired_option
from riskengine.snapshot.snapshot import ExceptionItem
from tests.optioned import OptionHouse, option, share_option
from tests.world import NOON, SECOND

TODAY = "2026-03-04"
HOUR = 3_600 * SECOND
CUT = NOON + 3 * HOUR  # 10:00 in New York
CALL, PUT, JPY, CASH, SHARES = "EURUSD C", "EURUSD P", "USDJPY C", "EURUSD CASH", "ACME P"
LAPSED = "EURUSD C1.20"


def house(*more: dict[str, Any]) -> OptionHouse:
    rows = (
        option(CALL, "EUR", "USD", "1.1", expiry=TODAY),
        option(PUT, "EUR", "USD", "1.13", expiry=TODAY, option_type="put", premium_style="pips"),
        option(JPY, "USD", "JPY", "150", expiry=TODAY, premium_style="pct_base"),
        option(CASH, "EUR", "USD", "1.1", expiry=TODAY, settlement="cash"),
        option(LAPSED, "EUR", "USD", "1.2", expiry=TODAY),
        share_option(SHARES, "95", expiry=TODAY, option_type="put", cut="10:00 America/New_York"),
    )
    made = OptionHouse((*rows, *more))
    made.vols(0.1)
    made.spots()
    return made


def at_the_cut(made: OptionHouse, **spots: float) -> None:
    """Spots a second before the cut, and a beat at it."""
    made.now = CUT - SECOND
    made.spots(**spots)
    made.now = CUT
    made.beat()


def later(made: OptionHouse, **spots: float) -> None:
    made.now += 60 * SECOND
    made.spots(**spots)


def listed(made: OptionHouse, symbol: str) -> ExceptionItem:
    snapshot = made.engine.publish(made.now)
    number = made.where.instrument_index[symbol]
    leaves = [made.where.hierarchy.index[leaf] for leaf in sorted(made.where.hierarchy.leaves)]
    return expired_option(snapshot, number, 1, leaves, lambda name: True)


def book(made: OptionHouse, symbol: str, *, accepts: bool = True) -> list[Any]:
    trades = made.engine.exercise_trades(symbol, ExerciseDecision(accepts, "olga", made.now))
    assert set(made.deal(*trades)) <= {"applied"}
    return trades


# -- what decides ------------------------------------------------------------------------------------------------


def test_the_spot_in_force_at_the_cut_decides_and_is_to_be_stored_once() -> None:
    made = house()
    at_the_cut(made, EURUSD=1.12)
    assert CutSpot(CALL, CUT - SECOND, 1.12, "mark") in made.engine.options.take_cut_spots()
    later(made, EURUSD=1.05)
    assert made.engine.options.take_cut_spots() == []
    assert (made.values(CALL)["fixing"], bool(made.values(CALL)["in_money"])) == (1.12, True)


def test_a_price_from_after_the_cut_does_not_decide_even_where_it_comes_with_the_same_beat() -> None:
    made = house()
    made.now = CUT - SECOND
    made.spots(EURUSD=1.12)
    made.now = CUT + SECOND
    made.spots(EURUSD=1.05)
    assert made.values(CALL)["fixing"] == 1.12


def test_the_price_of_a_source_whose_clock_runs_ahead_decides_where_it_was_in_force() -> None:
    made = house()
    made.now = CUT - SECOND
    made.engine.beat({made.where.instrument_index["EURUSD"]: Mark(1.12, CUT + SECOND, "feed", "quote")}, made.now)
    made.now = CUT + SECOND
    made.beat()
    assert made.values(CALL)["fixing"] == 1.12


def test_an_engine_that_starts_after_the_cut_decides_by_the_stored_fixing() -> None:
    made, again = house(), house()
    at_the_cut(made, EURUSD=1.12)
    again.now = CUT + HOUR
    again.take(made.engine.options.take_cut_spots())
    again.spots(EURUSD=1.05)
    for symbol in (CALL, PUT, CASH, LAPSED):
        later(made, EURUSD=1.05)
        assert again.values(symbol)["value"] == made.values(symbol)["value"], symbol


def test_without_a_price_of_its_cut_a_physical_option_goes_by_spot_and_a_cash_settled_one_is_unpriced_with_the_reason() -> None:
    made = house()
    made.buy(CASH, "1000")
    made.now = CUT + 5 * HOUR
    made.spots(EURUSD=1.12)
    assert made.engine.options.take_cut_spots() == []
    assert made.values(CALL)["value"] == pytest.approx(0.02)
    assert made.values(CASH)["reason"].startswith("it is settled in cash, and no price of its underlying at its cut is known")
    assert (made.position(CASH)["mark"], made.node()["unpriced_count"]) == (None, 1)


@pytest.mark.parametrize(("spot", "in_money"), [(94.99, True), (94.995, False), (95.0, False)])
def test_a_listed_option_is_in_the_money_from_a_cent_on(spot: float, in_money: bool) -> None:
    made = house()
    at_the_cut(made, ACME=spot)
    assert bool(made.values(SHARES)["in_money"]) is in_money


# -- what it is worth --------------------------------------------------------------------------------------------


def test_a_physical_option_in_the_money_follows_the_spot_with_a_whole_delta_and_even_below_zero() -> None:
    made = house()
    made.buy(CALL, "1000000", "0.01")
    at_the_cut(made, EURUSD=1.12)
    assert made.values(CALL)["value"] == pytest.approx(0.02, rel=1e-12)
    later(made, EURUSD=1.09)
    row, values = made.position(CALL), made.values(CALL)
    assert (values["value"], values["delta"], values["gamma"], values["vega"]) == (pytest.approx(-0.01), 1.0, 0.0, 0.0)
    assert row["total_pnl"] == pytest.approx(-10_000 - 10_000)
    assert (row["delta_base"], row["delta_cash"]) == (1e6, pytest.approx(1.09e6))


def test_a_cash_settled_option_holds_its_fixing_and_has_no_delta() -> None:
    made = house()
    made.buy(CASH, "1000000", "0")
    at_the_cut(made, EURUSD=1.12)
    later(made, EURUSD=1.3)
    row = made.position(CASH)
    assert (row["total_pnl"], row["delta_cash"], row["mark_source"], row["stale"]) == (20_000.0, 0.0, "fixing", False)


def test_an_option_out_of_the_money_is_worth_nothing_whatever_spot_does_later() -> None:
    made = house()
    made.buy(LAPSED, "1000000", "0.001")
    at_the_cut(made)
    later(made, EURUSD=1.3)
    row = made.position(LAPSED)
    assert (row["total_pnl"], row["delta_cash"], row["market_value"]) == (-1_000.0, 0.0, 0.0)


def test_a_person_says_what_a_cash_settled_option_pays_by_a_mark_or_a_close_of_it() -> None:
    made = house()
    made.buy(CASH, "1000000", "0")
    made.now = CUT + 5 * HOUR
    made.spots()
    number = made.where.instrument_index[CASH]
    made.engine.beat({number: Mark(0.05, CUT - SECOND, "close", CLOSE)}, made.now)
    assert made.values(CASH)["reason"], "a close of before the cut says nothing"
    made.engine.beat({number: Mark(0.035, CUT + HOUR, "close", CLOSE)}, made.now)
    made.engine.publish(made.now)
    assert made.position(CASH)["total_pnl"] == pytest.approx(35_000)


# -- what is listed ----------------------------------------------------------------------------------------------


def test_an_expired_option_is_listed_with_who_holds_it_since_when_and_what_to_do() -> None:
    made = house()
    made.buy(CALL, "1000")
    made.buy(CALL, "400", side="sell", desk="FX2", dealer="bob")
    at_the_cut(made, EURUSD=1.12)
    item = listed(made, CALL)
    assert (item.ts, item.detail["suggested"], item.detail["spot_at_cut"]) == (CUT, "exercise", 1.12)
    assert item.detail["holders"] == [
        {"desk": "FX1", "quantity": 1_000.0, "action": "exercise"},
        {"desk": "FX2", "quantity": -400.0, "action": "assign"},
        {"dealer": "ann", "quantity": 1_000.0, "action": "exercise"},
        {"dealer": "bob", "quantity": -400.0, "action": "assign"},
    ]


# -- what is booked ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("symbol", [CALL, PUT, JPY, CASH, LAPSED, SHARES])
def test_booking_what_is_suggested_changes_no_total_while_spot_stands_still(symbol: str, side: str) -> None:
    made = house()
    desk = "EQ1" if symbol == SHARES else "FX1"
    size = "7" if symbol == SHARES else "1000000"
    made.buy(symbol, size, "0.0123", side=side, desk=desk)
    at_the_cut(made, EURUSD=1.1234, USDJPY=151.37, ACME=91.3)
    later(made, EURUSD=1.1177, USDJPY=150.91, ACME=92.7)
    before = {name: made.node()[name] for name in ("total_pnl", "net_exposure", "delta_cash")}
    book(made, symbol)
    after = {name: made.node()[name] for name in before}
    assert after == {name: pytest.approx(value, rel=1e-9, abs=1e-6) for name, value in before.items()}
    assert made.position(symbol, node=desk)["quantity"] == 0.0
    made.engine.check()


@pytest.mark.parametrize(
    ("symbol", "side", "underlying", "dealt"),
    [
        (CALL, "buy", "EURUSD", ("buy", 1_000_000, 1.1, "2026-03-06")),
        (CALL, "sell", "EURUSD", ("sell", 1_000_000, 1.1, "2026-03-06")),
        (PUT, "buy", "EURUSD", ("sell", 1_000_000, 1.13, "2026-03-06")),
        (JPY, "buy", "USDJPY", ("buy", 1_000_000, 150.0, "2026-03-06")),
        (SHARES, "sell", "ACME", ("buy", 700, 95.0, "")),
    ],
)
def test_exercise_is_one_deal_of_two_legs_at_the_strike_for_spot(
    symbol: str, side: str, underlying: str, dealt: tuple[str, int, float, str]
) -> None:
    made = house()
    made.buy(symbol, "7" if symbol == SHARES else "1000000", side=side, desk="EQ1" if symbol == SHARES else "FX1")
    at_the_cut(made, EURUSD=1.12, USDJPY=151.0)
    option_leg, spot_leg = book(made, symbol)
    assert (option_leg.price, option_leg.legs, option_leg.ts) == (0, 2, CUT)
    assert (spot_leg.instrument, spot_leg.trade_id, spot_leg.leg, spot_leg.ts) == (underlying, option_leg.trade_id, 1, CUT)
    assert (spot_leg.side, spot_leg.quantity / 1e10, spot_leg.fill_price, spot_leg.value_date) == dealt


def test_to_reject_what_is_in_the_money_abandons_it_and_books_no_underlying() -> None:
    made = house()
    made.buy(CALL, "1000000", "0.01")
    at_the_cut(made, EURUSD=1.12)
    [only] = book(made, CALL, accepts=False)
    assert (only.instrument, only.price, only.legs) == (CALL, 0, None)
    assert made.node()["total_pnl"] == -10_000.0


def test_to_reject_that_it_lapses_exercises_it() -> None:
    made = house()
    made.buy(LAPSED, "1000000", "0.01")
    at_the_cut(made, EURUSD=1.19)
    assert [trade.instrument for trade in book(made, LAPSED, accepts=False)] == [LAPSED, "EURUSD"]
    assert made.node()["total_pnl"] == pytest.approx(-10_000 - 10_000)


def test_every_desk_and_dealer_gets_his_own_deal_and_balances_brought_forward_count() -> None:
    made = house()
    made.buy(CALL, "1000")
    made.buy(CALL, "300", dealer="bob")
    made.buy(CALL, "400", side="sell", desk="FX2", dealer="bob")
    at_the_cut(made, EURUSD=1.12)
    trades = book(made, CALL)
    held = [(one.desk, one.dealer, one.side, one.quantity / 1e10) for one in trades if one.leg == 1]
    assert held == [("FX1", "ann", "buy", 1_000), ("FX1", "bob", "buy", 300), ("FX2", "bob", "sell", 400)]
    assert len({one.trade_id for one in trades}) == 3


def test_a_second_booking_has_nothing_to_do_and_what_comes_later_gets_a_deal_of_its_own() -> None:
    made = house()
    made.buy(CALL, "1000")
    at_the_cut(made, EURUSD=1.12)
    first = book(made, CALL)
    assert book(made, CALL) == []
    made.buy(CALL, "50", ts=CUT - HOUR, received_ts=made.now)
    second = book(made, CALL)
    assert [one.quantity for one in second] == [50 * 10**10] * 2
    assert {one.trade_id for one in first}.isdisjoint(one.trade_id for one in second)


def test_what_is_booked_is_neither_late_nor_off_market() -> None:
    made = house()
    made.buy(CALL, "1000")
    at_the_cut(made, EURUSD=1.3)
    later(made, EURUSD=1.3)
    made.buy("EURUSD", "5", "1.3", ts=made.now, received_ts=made.now)
    trades = made.engine.exercise_trades(CALL, ExerciseDecision(True, "olga", made.now))
    outcomes = made.engine.apply(trades, made.now, notice=True)
    snapshot = made.engine.publish(made.now)
    assert [each.late for each in outcomes] == [False, False]
    assert [snapshot.exceptions[kind] for kind in ("late", "off_market", "possible_duplicate")] == [(), (), ()]


def test_a_pair_that_nothing_quotes_says_so_and_can_be_abandoned() -> None:
    cross = "GBPJPY C"
    made = house(option(cross, "GBP", "JPY", "190", expiry=TODAY))
    made.vols(0.1, cross)
    made.buy(cross, "1000")
    at_the_cut(made, GBPUSD=1.3)
    with pytest.raises(InputError, match="no instrument quotes GBPJPY"):
        made.engine.exercise_trades(cross, ExerciseDecision(True, "olga", made.now))
    assert len(book(made, cross, accepts=False)) == 1


def test_a_pair_that_is_quoted_upside_down_is_dealt_for_exactly_the_base() -> None:
    made = OptionHouse([option("JPYUSD C", "JPY", "USD", "0.0065", expiry=TODAY)])
    made.vols()
    made.spots()
    made.buy("JPYUSD C", "15000000", "0.0001")
    at_the_cut(made)
    before = made.node()["total_pnl"]
    _, spot_leg = book(made, "JPYUSD C")
    assert (spot_leg.instrument, spot_leg.side, spot_leg.quantity / 1e10, spot_leg.cash / 1e28) == (
        "USDJPY",
        "sell",
        97_500,
        15e6,
    )
    assert made.node()["total_pnl"] == pytest.approx(before, rel=1e-9)


def test_an_option_that_lives_is_not_booked() -> None:
    with pytest.raises(InputError, match="no option that has expired"):
        house().engine.exercise_trades(CALL, ExerciseDecision(True, "olga", NOON))

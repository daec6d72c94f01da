"""What intended trades would do to the limits: the outcome of each rule, and that later judgements agree with it."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.limits.check import REFUSES, RuleOutcome, check, worst
from riskengine.limits.effects import effect_of
from riskengine.limits.judge import STATES
from riskengine.records.limits import LIMIT_MEASURES, OF_CURRENCY, Limit
from riskengine.records.types import Trade
from riskengine.snapshot.snapshot import Snapshot
from tests.checked_deals import PRICES, deals, made, quoted
from tests.limiting import judge_of, judged, limit
from tests.optioned import OptionHouse
from tests.rolling import begin, strike
from tests.world import NOON, SECOND, House, trade


def outcomes(snapshot: Snapshot, trades: list[Trade], *limits: Limit) -> list[RuleOutcome]:
    numbers = snapshot.reference.instrument_index
    effects = {at: effect_of(snapshot, each, numbers[each.instrument]) for at, each in enumerate(trades)}
    return check(snapshot, judged(snapshot, *limits), effects, lambda line: True)


def of_limit(snapshot: Snapshot, sent: Trade, one: Limit) -> RuleOutcome:
    [found] = [each for each in outcomes(snapshot, [sent], one) if each.line is not None]
    return found


@pytest.fixture
def house() -> House:
    made = House()
    made.deal(trade("a", instrument="ACME", desk="EQ1", quantity="100", price="90"))
    made.deal(trade("b", quantity="1000", price="1.1"))
    return quoted(made)


def buy(quantity: str = "10", **columns: Any) -> Trade:
    return trade("new", **({"instrument": "ACME", "desk": "EQ1", "quantity": quantity, "price": "90"} | columns))


def test_the_size_of_a_trade_is_bounded_by_itself(house: House) -> None:
    snapshot = house.engine.snapshot
    size = limit(measure="trade_quantity", node="CASH", instrument="ACME", limit=100.0)
    found = of_limit(snapshot, buy("95"), size)
    assert (found.outcome, found.after, found.headroom, found.trade) == ("warn", 95.0, 5.0, 0)
    assert of_limit(snapshot, buy("101"), size).outcome == "refuse"
    assert of_limit(snapshot, buy("10"), size).outcome == "pass"
    amount = limit(measure="trade_amount", node="ALL", limit=1_000.0, severity="soft")
    assert of_limit(snapshot, buy("12"), amount).outcome == "warn"
    assert outcomes(snapshot, [buy(instrument="EURUSD", desk="FX1")], size)[-1].line is None


def test_a_price_lies_within_a_band_of_a_fresh_mark(house: House) -> None:
    band = limit(measure="price_band", node="ALL", limit=2.0)
    assert of_limit(house.engine.snapshot, buy(price="91"), band).outcome == "pass"
    found = of_limit(house.engine.snapshot, buy(price="92"), band)
    assert found.outcome == "refuse"
    assert found.after == pytest.approx(100 * 2 / 90)
    unmarked = of_limit(house.engine.snapshot, buy(instrument="GHOST", price="5"), band)
    assert (unmarked.outcome, unmarked.reason) == ("unknown", "there is no mark")
    house.now += 3_600 * SECOND
    stale = of_limit(house.beat(), buy(price="90"), band)
    assert (stale.outcome, stale.reason, math.isnan(stale.after)) == ("unknown", "the mark is stale", True)


def test_a_number_is_judged_as_it_would_stand_after_all_trades(house: House) -> None:
    position = limit(measure="quantity", node="CASH", instrument="ACME", limit=120.0)
    found = outcomes(house.engine.snapshot, [buy("10"), buy("15")], position)
    [rule] = [each for each in found if each.line is not None]
    assert (rule.outcome, rule.before, rule.after, rule.headroom, rule.trade) == ("refuse", 100.0, 125.0, -5.0, None)
    assert worst(found) == REFUSES
    assert worst(outcomes(house.engine.snapshot, [buy("5")], position)) == "pass"


def test_what_reduces_a_breach_is_not_refused(house: House) -> None:
    position = limit(measure="quantity", node="EQ1", instrument="ACME", limit=50.0)
    assert of_limit(house.engine.snapshot, buy("1"), position).outcome == "refuse"
    found = of_limit(house.engine.snapshot, buy("10", side="sell"), position)
    assert (found.outcome, STATES[found.state]) == ("warn", "breach")
    assert of_limit(house.engine.snapshot, buy("60", side="sell"), position).outcome == "pass"


def test_a_new_dealer_has_held_nothing_so_far(house: House) -> None:
    found = of_limit(house.engine.snapshot, buy("10", dealer="zoe"), limit(measure="gross_exposure", dealer="zoe", limit=800.0))
    assert found.outcome == "refuse"
    assert found.after == pytest.approx(900.0)


def test_an_unknown_number_stays_unknown(house: House) -> None:
    house.deal(trade("g", instrument="GHOST", desk="EQ1", quantity="5", price="5"))
    found = of_limit(house.engine.snapshot, buy("1"), limit(measure="net_exposure", node="EQ1", limit=1e9))
    assert (found.outcome, found.reason) == ("unknown", "parts of the number are unknown")
    ghost = of_limit(house.engine.snapshot, buy(instrument="GHOST"), limit(measure="total_pnl", node="EQ1", limit=-1e9))
    assert (ghost.outcome, ghost.reason) == ("unknown", "the number is unknown")


def test_limits_elsewhere_do_not_apply_and_hidden_ones_are_not_told(house: House) -> None:
    snapshot = house.engine.snapshot
    elsewhere = [limit(node="FX1"), limit("L2", dealer="bob"), limit("L3", measure="quantity", node="EQ1", instrument="ESZ6")]
    assert all(each.line is None for each in outcomes(snapshot, [buy()], *elsewhere))
    effects = {0: effect_of(snapshot, buy(), snapshot.reference.instrument_index["ACME"])}
    found = check(snapshot, judged(snapshot, limit(node="EQ1", limit=1.0)), effects, lambda line: False)
    assert worst(found) == "pass"


MEASURES = [name for name, terms in LIMIT_MEASURES.items() if not terms.of_trade]


def every_limit(snapshot: Snapshot, bound: float) -> list[Limit]:
    places: list[dict[str, Any]] = [{"node": name} for name in ("ALL", "G10", "FX1", "EQ1")] + [{"dealer": "ann"}]
    found = []
    for measure in MEASURES:
        terms = LIMIT_MEASURES[measure]
        for place in places:
            if "dealer" in place and not terms.of_dealers:
                continue
            more: dict[str, Any] = {"currency": "EUR"} if measure in OF_CURRENCY else {}
            if terms.instrument == "required":
                more["instrument"] = "EURUSD"
            name = f"{measure} {next(iter(place.values()))}"
            found.append(limit(name, measure=measure, limit=bound, hysteresis=0, side="absolute", **place, **more))
    return found


@given(before=deals, intended=deals, bound=st.sampled_from([0.7, 12.3, 99.1, 1_234.5, 54_321.1, 432_109.8]))
@settings(max_examples=15, deadline=None)
def test_a_check_and_the_later_judgement_agree(
    before: list[tuple[str, str, str, str, int, int, int]],
    intended: list[tuple[str, str, str, str, int, int, int]],
    bound: float,
) -> None:
    """For every measure: the number after, and how the limit stands, are what the snapshot shows once the trades are booked."""
    house = House()
    house.deal(trade("first", instrument="ACME", desk="EQ1", dealer="ann", quantity="1", price="90"))
    for number, deal in enumerate(before):
        house.deal(made(number, deal))
    quoted(house)
    begin(house.engine, strike(house.engine, "2026-03-04", PRICES))
    house.now = house.engine.snapshot.as_of
    snapshot = house.engine.snapshot
    limits = every_limit(snapshot, bound)
    trades = [made(100 + number, deal) for number, deal in enumerate(intended)]
    told = {each.line.key: each for each in outcomes(snapshot, trades, *limits) if each.line is not None}
    judge = judge_of(*limits)
    judge.judge(snapshot)
    house.deal(*trades)
    later = judge.judge(house.engine.snapshot)
    for at, line in enumerate(later.lines):
        rule = told.get(line.key)
        if rule is None:
            continue
        value = later.readings.value.item(at)
        scale = 1e-6 * (1.0 + abs(value))
        assert rule.after == pytest.approx(value, abs=scale, nan_ok=True), line.key
        if abs(rule.headroom) > scale and abs(rule.headroom - line.limit.margin) > scale:
            assert STATES[rule.state] == STATES[later.state.item(at)], line.key


def test_options_change_greeks_and_exposures_as_the_later_judgement_says() -> None:
    house = OptionHouse()
    house.buy("EURUSD C1.10", "1000000")
    house.spots()
    house.vols()
    snapshot = house.spots()
    limits = [
        limit(f"{measure} {node}", where=house.where, measure=measure, node=node, limit=1e9, side="absolute")
        for measure in ("net_exposure", "gross_exposure", "delta_cash", "gamma_cash", "vega", "theta", "total_pnl")
        for node in ("FX1", "ALL")
    ]
    sent = [
        trade(f"o{number}", where=house.where, instrument=symbol, desk="FX1", quantity=quantity, price="0.01")
        for number, (symbol, quantity) in enumerate((("EURUSD P1.08", "500000"), ("USDJPY C150", "300000")), 9)
    ]
    told = {each.line.key: each for each in outcomes(snapshot, sent, *limits) if each.line is not None}
    house.deal(*sent)
    later = judged(house.engine.snapshot, *limits)
    assert len(told) == len(limits)
    for at, line in enumerate(later.lines):
        assert told[line.key].after == pytest.approx(later.readings.value.item(at), rel=1e-9), line.key
    assert NOON == house.now

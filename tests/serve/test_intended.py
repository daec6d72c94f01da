"""Trades to come on pairs: spot or the forward to their value date, as they will be placed once they are booked."""

import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.config import EngineConfig
from riskengine.limits.check import check
from riskengine.limits.effects import effect_of
from riskengine.limits.judge import STATES
from riskengine.market.calendars import Calendars
from riskengine.market.spot_dates import SpotDates
from riskengine.records.fields import Rejected
from riskengine.records.limits import LIMIT_MEASURES
from riskengine.records.types import Trade
from riskengine.serve.app import create_app
from riskengine.serve.routes.intended import place_intended, valuing
from tests.forwarding import VALUE_DATES, house
from tests.limiting import judge_of, limit
from tests.serve.stand_in import post, traded
from tests.world import row, trade

BOUND = 12.3
MEASURES = (
    "net_exposure",
    "gross_exposure",
    "delta_cash",
    "total_pnl",
    "nav",
    "net_open_position",
    "largest_name",
    "position_pnl",
)


def limits() -> list[Any]:
    more: dict[str, dict[str, Any]] = {"net_open_position": {"currency": "EUR"}}
    return [
        limit(
            f"{measure} {node}", measure=measure, node=node, limit=BOUND, hysteresis=0, side="absolute", **more.get(measure, {})
        )
        for measure in MEASURES
        for node in ("ALL", "FX1", "FX2")
    ]


deals = st.lists(
    st.fixed_dictionaries(
        {
            "instrument": st.sampled_from(["EURUSD", "EURGBP", "USDCAD"]),
            "desk": st.sampled_from(["FX1", "FX2"]),
            "side": st.sampled_from(["buy", "sell"]),
            "quantity": st.integers(1, 40).map(str),
            "price": st.sampled_from(["1.1", "1.37"]),
            "value_date": st.sampled_from(VALUE_DATES),
        }
    ),
    max_size=4,
)


def placeable(sent: list[Trade], dates: SpotDates, reference: Any) -> list[Trade]:
    found = []
    for each in sent:
        with suppress(Rejected):
            found.append(place_intended(each, reference, dates))
    return found


@given(before=deals, intended=deals)
@settings(max_examples=12, deadline=None)
def test_a_check_of_forwards_and_the_later_judgement_agree(before: list[dict[str, Any]], intended: list[dict[str, Any]]) -> None:
    """Held already or not, with points, rates or neither: what is told is what is judged once they are booked."""
    made = house()
    for at, columns in enumerate(before):
        made.deal(trade(f"b{at}", **columns))
    newest, judge = made.engine.snapshot, judge_of(*limits())
    judgement = judge.judge(newest)
    dates = SpotDates(Calendars(), EngineConfig())
    sent = [trade(f"i{at}", **columns) for at, columns in enumerate(intended)]
    trades = placeable(sent, dates, newest.reference)
    snapshot = valuing(newest, trades, dates)
    effects = {
        at: effect_of(snapshot, each, snapshot.reference.instrument_index[each.instrument]) for at, each in enumerate(trades)
    }
    told = {each.line.key: each for each in check(snapshot, judgement, effects, lambda _: True) if each.line is not None}
    assert dates.unsaved() == [], "a question makes no fact"
    made.deal(*sent)
    later = judge.judge(made.engine.snapshot)
    for at, line in enumerate(later.lines):
        if line.key in told:
            rule, value = told[line.key], later.readings.value.item(at)
            if math.isnan(rule.after) or math.isnan(value):  # a forward without an outright: nobody knows what it adds
                assert (rule.outcome, bool(later.readings.whole[at])) == ("unknown", False), line.key
                continue
            scale = 1e-6 * (1.0 + abs(value))
            assert rule.after == pytest.approx(value, abs=scale), line.key
            if abs(rule.headroom) > scale and abs(rule.headroom - line.limit.margin) > scale:
                assert STATES[rule.state] == STATES[later.state.item(at)], line.key
    assert set(MEASURES) <= LIMIT_MEASURES.keys()


def test_a_trade_is_placed_as_it_will_be_booked() -> None:
    made = house()
    dates, reference = SpotDates(Calendars(), EngineConfig()), made.engine.reference
    for date in VALUE_DATES:
        sent = trade("t", value_date=date, quantity="1")
        booked = made.engine.quarantine.place(sent).instrument
        reason = made.engine.quarantine.reason(made.engine.quarantine.place(sent))
        if reason:
            with pytest.raises(Rejected):
                place_intended(sent, reference, dates)
        else:
            assert place_intended(sent, reference, dates).instrument == booked
    assert place_intended(trade("s", instrument="ACME", desk="EQ1"), reference, dates).instrument == "ACME"


def test_over_http_a_forward_is_checked_by_every_rule_and_nothing_is_made_by_it() -> None:
    gateway = traded(count=5)
    app = create_app(gateway)
    size = {"limit_id": "SIZE", "measure": "trade_amount", "node": "FX", "limit": 500}
    net = {"limit_id": "NET", "measure": "net_exposure", "node": "FX1", "limit": 1e9}
    assert post(app, "/v1/limits", [size, net]).json()["counts"]["applied"] == 2
    before = len(gateway.engine.reference.instruments)
    spot, forward = row("s", quantity="10", value_date="2026-03-06"), row("f", quantity="10", value_date="2026-06-08")
    answer = post(app, "/v1/check", [spot, forward]).json()
    assert [each["outcome"] for each in answer["results"]] == ["pass", "pass"], "the size of a forward needs no curve"
    assert answer["outcome"] == "unknown", "no rate or points of that date is known, so nobody knows the exposure after"
    amounts = {each["trade"]: each["after"] for each in answer["rules"] if each["rule"] == "trade_amount"}
    assert amounts == {0: pytest.approx(11.0), 1: pytest.approx(11.0)}
    named = {each["trade"]: each["instrument"] for each in answer["rules"] if each["rule"] == "market"}
    assert named == {0: "EURUSD", 1: "EURUSD@2026-06-08"}
    assert len(gateway.engine.reference.instruments) == before

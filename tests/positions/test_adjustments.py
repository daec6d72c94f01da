"""What corporate actions do to positions, example by example."""

from typing import Any

import pytest

from riskengine.engine.receipt import cell_of, receipt
from riskengine.engine.self_audit import SelfAudit
from riskengine.market.trading_day import TradingDay
from riskengine.records.actions import Action
from riskengine.records.types import Trade
from riskengine.serve.routes.exceptions import exception_items
from riskengine.snapshot.snapshot import Snapshot
from tests.acted import ACTED, EX_DATE, YESTERDAY, action, dealt, rows_of
from tests.world import NOON, SECOND, House, config, opening

TRADING_DAY = TradingDay.of(config().engine)


class Acted(House):
    """A house whose actions a test gives, after these trades."""

    def __init__(self, *trades: Trade) -> None:
        super().__init__(ACTED)
        self.deal(*trades)

    def act(self, *actions: Action, **closes: float) -> Snapshot:
        self.engine.take_actions(rows_of(*actions, **closes), self.now)
        snapshot = self.engine.publish(self.now)
        self.engine.check()
        assert SelfAudit(self.engine).finish_pass() == []
        return snapshot

    def old_marks(self, **prices: float) -> None:
        self.now, now = YESTERDAY, self.now
        self.marks(**prices)
        self.now = now
        self.beat()

    def held(self, symbol: str = "AAA", **owner: Any) -> tuple[Any, ...]:
        row = self.position(symbol, **owner)
        return row["quantity"], row["net_cash"], row["average_price"], row["realised_pnl"]

    def listed(self, kind: str = "waiting") -> list[str]:
        return [item.reason for item in exception_items(self.engine.snapshot, (kind,), TRADING_DAY)]


def test_a_split_adjusts_quantity_average_and_the_marks_before_it_and_no_value() -> None:
    house = Acted(dealt("1", quantity="25", price="390.5"), dealt("2", ts=NOON, quantity="8", price="100.5"))
    house.old_marks(AAA=401.0)
    snapshot = house.act(action())
    assert house.held() == (108.0, -10_566.5, (100 * 97.625 + 8 * 100.5) / 108, 0.0)
    assert house.position("AAA")["mark"] == 100.25
    assert house.marks(AAA=100.75).units.marks[snapshot.reference.instrument_index["AAA"]].price == 100.75  # type: ignore[union-attr]


def test_a_trade_belongs_to_its_trade_date_and_else_to_the_day_of_its_time() -> None:
    starts = NOON - 14 * 3_600 * SECOND  # 17:00 in New York
    house = Acted(
        dealt("before", ts=starts - 1, quantity="1"),
        dealt("after", ts=starts, quantity="10"),
        dealt("booked late", ts=NOON, trade_date="2026-03-03", quantity="100"),
        dealt("booked ahead", ts=YESTERDAY, trade_date=EX_DATE, quantity="1000"),
    )
    house.act(action())
    assert house.held()[0] == 4 + 10 + 400 + 1000


def test_an_opening_balance_is_split_too() -> None:
    house = Acted()
    house.engine.open_with([opening(ACTED, instrument="AAA", ts=YESTERDAY, quantity="-3", average_price="400", realised="7")])
    house.act(action())
    assert house.held() == (-12.0, 1_207.0, 100.0, 7.0)


def test_options_on_it_become_a_whole_number_of_options() -> None:
    house = Acted(dealt("o", instrument="AAA-C400", quantity="3", price="20"))
    house.old_marks(**{"AAA-C400": 24.0})
    house.act(action())
    row = house.position("AAA-C400")
    assert (row["quantity"], row["average_price"], row["mark"], row["total_pnl"]) == (12.0, 5.0, 6.0, 1_200.0)
    assert receipt(cell_of(house.engine, node="FX1", dealer=None, instrument="AAA-C400"))["strike"] == "100"


@pytest.mark.parametrize("ratio", ["3:2", "1:10", "7:1"])
def test_an_option_without_whole_terms_is_unpriced_and_listed(ratio: str) -> None:
    house = Acted(dealt("o", instrument="AAA-C400", quantity="3", price="20"))
    house.old_marks(**{"AAA-C400": 24.0})
    house.act(action(ratio=ratio))
    row = house.position("AAA-C400")
    assert (row["quantity"], row["total_pnl"], house.node()["unpriced_count"]) == (3.0, None, 1)
    [reason] = house.listed("unpriced")
    assert "close it by hand" in reason
    house.act()
    assert house.position("AAA-C400")["total_pnl"] == 1_200.0, "without the action it is priced as before"


def test_a_reverse_split_pays_the_fraction_of_each_desk_and_dealer_at_the_adjusted_close() -> None:
    house = Acted(
        dealt("1", quantity="25"), dealt("2", quantity="17", dealer="bob", side="sell"), dealt("3", quantity="6", desk="EQ1")
    )
    house.act(action(ratio="1:10"), AAA=401.0)
    cash = -25 * 400 + 0.5 * 4_010
    assert house.held(dealer="bob")[:2] == (-1.0, 17 * 400 - 0.7 * 4_010)
    assert house.held(node="EQ1")[:2] == (0.0, -6 * 400 + 0.6 * 4_010)
    assert house.held()[:2] == (1.0, cash + 17 * 400 - 0.7 * 4_010)
    assert house.listed() == []


def test_without_a_close_the_fraction_stays_and_is_listed() -> None:
    house = Acted(dealt("1", quantity="25"))
    house.act(action(ratio="1:10"))
    assert house.held()[:3] == (2.5, -10_000.0, 4_000.0)
    [reason] = house.listed()
    assert "the fraction 0.5 of AAA at FX1, dealer ann, is not paid in cash" in reason
    assert "load a close of AAA" in reason


def test_a_dividend_pays_what_is_held_when_its_day_begins_and_short_positions_pay() -> None:
    house = Acted(
        dealt("1", quantity="25"), dealt("2", quantity="40", side="sell", dealer="bob"), dealt("3", ts=NOON, quantity="9")
    )
    house.act(action(kind="dividend", amount="1.25"))
    assert house.held(dealer="ann")[3] == 25 * 1.25
    assert house.held(dealer="bob")[3] == -40 * 1.25
    house.deal(dealt("late", quantity="4"))
    assert house.held(dealer="ann")[3] == 29 * 1.25
    house.act(action(kind="dividend", amount="0", version=2))
    assert house.held(dealer="ann")[3] == 0.0
    assert house.position("AAA", dealer="ann")["trade_count"] == 3


def test_a_dividend_in_another_currency_stands_beside_net_cash() -> None:
    house = Acted(dealt("1", quantity="25"))
    house.marks(EURUSD=1.2, AAA=400.0)
    house.act(action(kind="dividend", amount="1.25", currency="EUR"))
    row = house.position("AAA")
    assert (row["net_cash"], row["total_pnl"]) == (-10_000.0, 31.25 * 1.2)
    [carried] = receipt(cell_of(house.engine, node="FX1", dealer=None, instrument="AAA"))["positions"][0]["steps"][1:]
    assert (carried["carry"]["type"], carried["beside"]) == ("dividend", {"EUR": "31.25"})
    house.act()
    assert house.position("AAA")["total_pnl"] == 0.0


def test_a_symbol_change_moves_the_position_bit_for_bit_and_its_mark() -> None:
    house = Acted(dealt("1", quantity="25", price="390.3"), dealt("2", quantity="7", side="sell", price="401.7", dealer="bob"))
    house.old_marks(AAA=400.0)
    before = house.position("AAA")
    house.act(action(kind="symbol_change", into="BBB"))
    assert house.position("BBB") == before | {"instrument": "BBB"}
    house.deal(dealt("old name", ts=NOON, quantity="1"), dealt("new name", ts=NOON, quantity="1", instrument="BBB"))
    assert house.position("BBB")["quantity"] == 20.0
    with pytest.raises(ValueError, match="not enough values"):
        house.position("AAA")
    house.act()
    assert (house.held()[0], house.held("BBB")[0]) == (19.0, 1.0)


def test_a_spin_off_moves_its_share_of_the_cost_and_realises_nothing() -> None:
    house = Acted(dealt("1", quantity="25", price="400.01"), dealt("2", quantity="5", side="sell", price="410"))
    realised = house.held()[3]
    before = house.engine.snapshot.nodes.row(0, ACTED.instrument_index["AAA"])
    house.act(action(kind="spin_off", into="CCC", ratio="1:3", cost_share="0.2"))
    assert house.held("CCC")[0] == 6.66
    [reason] = house.listed()
    assert "the fraction 0.0066666667 of CCC at FX1, dealer ann, is not given" in reason
    rows = [house.engine.snapshot.nodes.row(0, ACTED.instrument_index[symbol]) for symbol in ("AAA", "CCC")]
    assert before is not None
    assert sum(row.cash for row in rows if row is not None) == before.cash
    assert house.held()[3] == pytest.approx(realised)
    assert house.held("CCC")[3] == pytest.approx(0.0)
    assert house.held()[2] == pytest.approx(400.01 * 0.8)


def test_an_action_under_a_name_that_was_given_up_is_listed() -> None:
    house = Acted(dealt("1", quantity="25"))
    house.act(action("a", kind="symbol_change", into="BBB", ex_date="2026-03-03"), action("b"))
    assert house.held("BBB")[0] == 25.0
    assert "AAA has been BBB since 2026-03-03: name that" in house.listed()[0]


def test_the_receipt_shows_the_ratio_what_was_dealt_and_what_was_generated() -> None:
    house = Acted(dealt("1", quantity="25"))
    house.act(action(ratio="1:10"), AAA=400.0)
    made = receipt(cell_of(house.engine, node="FX1", dealer=None, instrument="AAA"))
    assert [each["ratio"] for each in made["actions"]] == ["1:10"]
    trade, paid = made["positions"][0]["steps"]
    assert trade["split"] == {"ratio": "1:10", "instrument": "AAA", "dealt": {"signed_quantity": "25", "price": "400.0"}}
    assert (trade["signed_quantity"], trade["price"]) == ("2.5", "4000.0")
    assert paid["action"] == {"action_id": "a", "ex_date": EX_DATE, "kind": "cash_in_lieu", "desk": "FX1", "dealer": "ann"}
    assert (paid["signed_quantity"], paid["cash"], paid["quantity_after"]) == ("-0.5", "2000", "2")
    assert (made["row"]["quantity"], made["row"]["net_cash"]) == ("2", "-8000")

"""The rows of the public interface: every field is there, unknown is null, and ladders add up to their node."""

from decimal import Context, Decimal, localcontext
from typing import Any

import pytest

from riskengine.snapshot.cash_rows import CASH_LINES
from riskengine.snapshot.rows import dealer_rows, ladder_rows, mark_rows, node_and_children, node_rows, position_rows
from riskengine.snapshot.snapshot import UnknownName
from tests.world import INSTRUMENTS, NOON, SECOND, House, cancel, opening, quote, reference, trade


def names(text: str) -> set[str]:
    return set(text.split())


DAY = {
    "day_pnl",
    "day_position_pnl",
    "day_carry_pnl",
    "day_trading_pnl",
    "day_translation_pnl",
    "correction_pnl",
    "net_day_pnl",
    "month_pnl",
    "year_pnl",
    "day_start_ts",
}
AMOUNTS = names(
    "total_pnl realised_pnl unrealised_pnl day_pnl fees net_exposure gross_exposure long_exposure short_exposure delta_cash"
    " gamma_cash vega theta position_count trade_count unpriced_count quarantined_count stale_count last_trade_ts oldest_mark_ts"
    " day_unknown_count"
)
POSITION = names(
    "instrument quantity net_cash average_price breakeven_price bid ask mark mark_source mark_ts currency total_pnl realised_pnl"
    " unrealised_pnl day_pnl total_pnl_local realised_pnl_local unrealised_pnl_local fees beside market_value delta_base"
    " delta_cash gamma_cash vega theta stale closed quarantined trade_count last_trade_ts bought_quantity bought_price"
    " sold_quantity sold_price"
)
DEALT = names("bought_quantity bought_price sold_quantity sold_price")
"""Unknown while no day is known."""
OPTION = {
    "instrument": "CALL",
    "kind": "equity_option",
    "quote_currency": "USD",
    "multiplier": "100",
    "underlying": "ACME",
    "option_type": "call",
    "strike": "100",
    "expiry": "2026-12-18",
}


@pytest.fixture
def house() -> House:
    """EURUSD on two desks by two dealers, a flat position in GBPUSD; both marked."""
    made = House()
    made.deal(
        trade("1", quantity="100", price="1.1", fees="2"),
        trade("2", quantity="40", price="1.2", side="sell", desk="FX2", dealer="bob"),
        trade("3", instrument="GBPUSD", quantity="10", price="1.3", desk="EM1"),
        trade("4", instrument="GBPUSD", quantity="10", price="1.5", side="sell", desk="EM1", ts=NOON + 1),
    )
    made.marks(EURUSD=1.15, GBPUSD=1.25)
    return made


def test_every_field_of_the_interface_is_there_and_the_day_is_unknown(house: House) -> None:
    snapshot = house.engine.snapshot
    for rows, expected in (
        (node_rows(snapshot), {"node", "level", "parent"} | AMOUNTS | DAY | set(CASH_LINES)),
        (dealer_rows(snapshot), {"dealer"} | AMOUNTS | DAY),
        (ladder_rows(snapshot), {"node"} | POSITION | DAY),
        (ladder_rows(snapshot, dealer="ann"), {"dealer"} | POSITION | DAY),
        (list(position_rows(snapshot)), {"node"} | POSITION | DAY),
    ):
        assert rows
        for row in rows:
            assert set(row) == expected
            assert all(row[field] is None for field in DAY)


def test_a_position_by_the_rules_of_accounting(house: House) -> None:
    row = house.position()
    # q 100, A 1.1, m 1.15
    exact = {"quantity": 100.0, "net_cash": -110.0, "average_price": 1.1, "breakeven_price": 1.1, "mark": 1.15, "fees": 2.0}
    near = {"total_pnl": 5.0, "realised_pnl": 0.0, "unrealised_pnl": 5.0, "market_value": 115.0, "delta_base": 100.0}
    for field, value in (exact | near | {"delta_cash": 115.0, "gamma_cash": 0.0, "vega": 0.0, "theta": 0.0}).items():
        assert row[field] == pytest.approx(value, abs=1e-9), field
    assert (row["currency"], row["mark_source"], row["mark_ts"], row["stale"]) == ("USD", "feed", NOON, False)
    assert (row["trade_count"], row["last_trade_ts"]) == (1, NOON)


def test_local_figures_are_in_the_row_s_currency_and_the_others_in_the_reporting_one() -> None:
    house = House()
    house.deal(trade("1", instrument="EURGBP", quantity="10000000", price="0.85"))
    house.deal(trade("2", instrument="EURGBP", quantity="4000000", price="0.855", side="sell", ts=NOON + 1))
    house.marks(EURGBP=0.852, GBPUSD=1.24)
    row = house.position("EURGBP")
    assert row["currency"] == "GBP"
    assert row["realised_pnl_local"] == pytest.approx(20_000)
    assert row["unrealised_pnl_local"] == pytest.approx(12_000)
    assert row["total_pnl"] == pytest.approx(39_680)
    assert row["total_pnl_local"] == pytest.approx(32_000)


def test_an_empty_node_has_zeros(house: House) -> None:
    row = house.node("EQ1")
    unknown = DAY | {"last_trade_ts", "oldest_mark_ts", "cash_translation_pnl"}
    assert {field for field, value in row.items() if value is None} == unknown
    assert all(row[field] == 0 for field in AMOUNTS - unknown)


def test_the_root_has_no_parent(house: House) -> None:
    assert [row["parent"] for row in node_rows(house.engine.snapshot)][:2] == [None, "ALL"]


def test_an_open_position_without_a_mark_is_unknown_and_counted_but_its_realised_is_known() -> None:
    house = House()
    house.deal(trade("1", instrument="GHOST", desk="EQ1", quantity="10", price="5"))
    house.deal(trade("2", instrument="GHOST", desk="EQ1", quantity="4", price="7", side="sell", ts=NOON + 1))
    row = house.position("GHOST", node="EQ1")
    unknown = {"mark", "mark_source", "mark_ts", "total_pnl", "unrealised_pnl", "total_pnl_local", "unrealised_pnl_local"}
    unknown |= {"bid", "ask", "market_value", "delta_cash"}
    assert {field for field, value in row.items() if value is None} == DAY | DEALT | unknown
    assert row["realised_pnl"] == pytest.approx(8.0)
    for name in ("EQ1", "CASH", "ALL"):
        node = house.node(name)
        assert node["unpriced_count"] == node["position_count"] == 1
        for field in ("total_pnl", "unrealised_pnl", "net_exposure", "gross_exposure", "long_exposure", "delta_cash", "vega"):
            assert node[field] is None, field
        assert node["realised_pnl"] == pytest.approx(8.0)


def test_a_node_sums_its_known_positions_and_counts_the_others(house: House) -> None:
    before = house.node()
    house.deal(trade("9", instrument="GHOST", desk="EQ1", quantity="10", price="5"))
    after = house.node()
    assert after["unpriced_count"] == 1
    for field in ("total_pnl", "unrealised_pnl", "realised_pnl", "net_exposure", "gross_exposure", "delta_cash"):
        assert after[field] == pytest.approx(before[field]), field


def test_a_flat_position_needs_no_mark() -> None:
    house = House()
    house.deal(trade("1", instrument="GHOST", desk="EQ1", quantity="10", price="5"))
    house.deal(trade("2", instrument="GHOST", desk="EQ1", quantity="10", price="7", side="sell", ts=NOON + 1))
    row = house.position("GHOST", node="EQ1")
    assert row["average_price"] is None and row["breakeven_price"] is None
    assert row["total_pnl"] == row["realised_pnl"] == pytest.approx(20.0)
    assert row["unrealised_pnl"] == row["market_value"] == row["delta_cash"] == 0.0
    node = house.node("EQ1")
    assert node["unpriced_count"] == 0 and node["total_pnl"] == pytest.approx(20.0)
    assert node["oldest_mark_ts"] is None


def test_without_a_rate_nothing_in_the_reporting_currency_is_known() -> None:
    house = House()
    house.deal(trade("1", instrument="MAREL", desk="EQ1", quantity="10", price="500", fees="3"))
    house.marks(MAREL=510.0)
    row = house.position("MAREL", node="EQ1")
    for field in ("total_pnl", "realised_pnl", "unrealised_pnl", "market_value", "delta_cash", "fees"):
        assert row[field] is None, field
    assert row["total_pnl_local"] == pytest.approx(100.0) and row["mark"] == 510.0
    for name in ("EQ1", "ALL"):
        node = house.node(name)
        assert node["unpriced_count"] == 1
        for field in ("total_pnl", "realised_pnl", "unrealised_pnl", "fees", "net_exposure"):
            assert node[field] is None, field


def test_fees_of_which_none_has_a_rate_are_unknown_and_others_sum_what_is_known(house: House) -> None:
    house.deal(trade("9", instrument="ACME", desk="EQ1", quantity="1", price="5", fees="3", fees_currency="ISK"))
    house.marks(ACME=5.0)
    assert house.node("EQ1")["fees"] is None
    assert house.node("CASH")["fees"] is None
    assert house.node("EQ1")["total_pnl"] == 0.0
    assert house.node("ALL")["fees"] == 2.0
    assert [house.node(name)["unpriced_count"] for name in ("EQ1", "CASH", "ALL", "EM1")] == [1, 1, 1, 0]
    assert house.node("EM1")["fees"] == 0.0
    assert house.position("ACME", node="EQ1")["fees"] is None


def test_long_and_short_are_netted_inside_the_node_and_gross_is_their_distance(house: House) -> None:
    fx1, fx2, g10 = (house.node(name) for name in ("FX1", "FX2", "G10"))
    assert (fx1["long_exposure"], fx1["short_exposure"]) == (pytest.approx(115.0), 0.0)
    assert (fx2["long_exposure"], fx2["short_exposure"]) == (0.0, pytest.approx(-46.0))
    assert [g10[side] for side in ("long_exposure", "gross_exposure", "net_exposure")] == [pytest.approx(69.0)] * 3
    assert g10["short_exposure"] == 0.0
    for row in (*node_rows(house.engine.snapshot), *dealer_rows(house.engine.snapshot)):
        assert row["long_exposure"] >= 0.0 >= row["short_exposure"]
        assert row["long_exposure"] - row["short_exposure"] == pytest.approx(row["gross_exposure"])
        assert row["long_exposure"] + row["short_exposure"] == pytest.approx(row["net_exposure"])


def test_long_one_cross_and_short_another_is_not_flat() -> None:
    house = House()
    house.deal(
        trade("1", quantity="10000000", price="1.1"),
        trade("2", instrument="EURGBP", quantity="10000000", price="0.8", side="sell"),
    )
    house.marks(EURUSD=1.1, EURGBP=0.8, GBPUSD=1.375)
    row = house.node("FX1")
    assert row["long_exposure"] == pytest.approx(11_000_000)  # GBP 8m; EUR nets out, USD is the reporting currency
    assert row["short_exposure"] == 0.0


@pytest.mark.parametrize("owner", [{"node": name} for name in ("ALL", "FX", "G10", "FX1", "EM1", "CASH")] + [{"dealer": "ann"}])
def test_ladder_rows_add_up_to_their_owner(house: House, owner: dict[str, Any]) -> None:
    house.deal(
        trade("5", instrument="USDJPY", quantity="300", price="150", desk="FX2", fees="100"),
        trade("6", instrument="ACME", quantity="7", price="20", desk="EQ1", dealer="bob", side="sell"),
    )
    house.marks(USDJPY=151.0, ACME=21.0)
    rows = ladder_rows(house.engine.snapshot, **owner)
    whole: dict[str, Any] = house.node(owner["node"]) if "node" in owner else house.dealer(owner["dealer"])
    for field in ("total_pnl", "realised_pnl", "unrealised_pnl", "fees", "delta_cash", "trade_count"):
        assert sum(row[field] for row in rows) == pytest.approx(whole[field], abs=1e-9), field
    assert [row["instrument"] for row in rows] == sorted(row["instrument"] for row in rows)


def test_flat_positions_stay_in_the_ladder(house: House) -> None:
    [row] = ladder_rows(house.engine.snapshot, node="EM1")
    assert (row["instrument"], row["quantity"], row["realised_pnl"]) == ("GBPUSD", 0.0, pytest.approx(2.0))


def test_a_row_that_nets_several_positions_has_a_break_even_but_no_average(house: House) -> None:
    [row] = ladder_rows(house.engine.snapshot, node="G10")
    assert row["quantity"] == 60.0 and row["average_price"] is None
    assert row["breakeven_price"] == pytest.approx((110 - 48) / 60)


def test_a_parent_s_row_that_stands_for_one_position_has_its_average() -> None:
    house = House()
    house.deal(trade("1", quantity="100", price="1.1"), trade("2", instrument="ACME", desk="EQ1", quantity="3", price="9"))
    house.deal(trade("3", instrument="GBPUSD", desk="FX1"), trade("4", instrument="GBPUSD", desk="EM1"))
    for name in ("FX1", "G10", "FX", "ALL"):
        averages = {row["instrument"]: row["average_price"] for row in ladder_rows(house.engine.snapshot, node=name)}
        assert averages["EURUSD"] == 1.1
        assert averages["GBPUSD"] == 1.1
    [acme] = ladder_rows(house.engine.snapshot, node="CASH")
    assert acme["average_price"] == 9.0
    # A second, flat position below has no side.
    house.deal(trade("5", desk="FX2", ts=NOON), trade("6", desk="FX2", side="sell", ts=NOON + 1))
    [row] = [row for row in ladder_rows(house.engine.snapshot, node="ALL") if row["instrument"] == "EURUSD"]
    assert (row["quantity"], row["average_price"]) == (100.0, pytest.approx(1.1, rel=1e-15))


def test_a_row_whose_open_positions_lie_on_one_side_has_their_cost_over_their_quantity() -> None:
    house = House()
    short: dict[str, Any] = {"side": "sell", "instrument": "ACME"}
    house.deal(trade("1", quantity="3500", price="105.66", desk="EQ1", **short))
    house.deal(trade("2", quantity="7200", price="105.33", desk="EM1", **short))
    [row] = ladder_rows(house.engine.snapshot, node="ALL")
    assert row["average_price"] == pytest.approx((3500 * 105.66 + 7200 * 105.33) / 10_700, rel=1e-15)
    house.deal(trade("3", quantity="1", price="100", desk="FX1", instrument="ACME"))
    [row] = ladder_rows(house.engine.snapshot, node="ALL")
    assert (row["quantity"], row["average_price"]) == (-10_699.0, None), "one of them is long"
    house.deal(trade("4", quantity="1", price="101", desk="FX1", ts=NOON + 1, **short))
    [row] = ladder_rows(house.engine.snapshot, node="ALL")
    assert row["average_price"] == pytest.approx((3500 * 105.66 + 7200 * 105.33) / 10_700, rel=1e-15)


def test_a_dealer_s_position_over_several_desks_is_one_position_with_an_average() -> None:
    house = House()
    house.deal(trade("1", quantity="100", price="1"), trade("2", quantity="100", price="2", desk="FX2", ts=NOON + 1))
    [row] = ladder_rows(house.engine.snapshot, dealer="ann")
    assert row["average_price"] == 1.5
    assert list(position_rows(house.engine.snapshot, dealer="ann")) == [row]


def test_exact_gives_decimal_texts_quantity_and_cash_to_the_last_digit() -> None:
    house = House()
    house.deal(trade("1", instrument="BTCEUR", quantity="12345678.0123456789", price="60000.0123456789", desk="FX1"))
    house.marks(BTCEUR=61_000.1, EURUSD=1.1)
    [exact] = position_rows(house.engine.snapshot, node="FX1", exact=True)
    [plain] = position_rows(house.engine.snapshot, node="FX1")
    assert exact["quantity"] == "12345678.0123456789"
    with localcontext(Context(prec=60)):
        assert Decimal(exact["net_cash"]) == -Decimal("12345678.0123456789") * Decimal("60000.0123456789")
    for field, value in plain.items():
        if type(value) is float:
            assert isinstance(exact[field], str) and "E" not in exact[field].upper()
            assert float(exact[field]) == value, field
        else:
            assert exact[field] == value, field
    assert exact["trade_count"] == 1 and exact["last_trade_ts"] == NOON


def test_a_multiplier_counts_in_size_cash_and_break_even() -> None:
    house = House()
    house.deal(trade("1", instrument="ESZ6", desk="EQ1", quantity="2", price="6000"))
    house.marks(ESZ6=6_010.0)
    row = house.position("ESZ6", node="EQ1")
    assert row["delta_base"] == 100.0 and row["net_cash"] == -600_000.0
    assert (row["breakeven_price"], row["total_pnl"]) == (6_000.0, pytest.approx(1_000.0))


def test_greeks_and_exposure_of_an_open_option_are_unknown_and_sums_are_of_the_others() -> None:
    where = reference(rows=(*INSTRUMENTS, OPTION))
    house = House(where)
    house.deal(trade("1", where=where, instrument="CALL", desk="EQ1", quantity="1", price="3"))
    house.deal(trade("2", where=where, instrument="ACME", desk="EQ1", quantity="1", price="90"))
    house.marks(CALL=4.0, ACME=91.0)
    greeks = ("delta_cash", "gamma_cash", "vega", "theta")
    row = house.position("CALL", node="EQ1")
    assert all(row[field] is None for field in (*greeks, "delta_base"))
    assert row["total_pnl"] == pytest.approx(100.0)
    node = house.node("ALL")
    exposures = ("net_exposure", "gross_exposure", "long_exposure", "delta_cash")
    assert [node[field] for field in exposures] == [91.0] * 4
    assert (node["unpriced_count"], node["total_pnl"]) == (1, pytest.approx(101.0))
    house.deal(trade("4", where=where, instrument="ACME", desk="EQ1", quantity="1", price="90", side="sell", ts=NOON + 1))
    house.deal(trade("5", where=where, instrument="CALL", desk="FX1", quantity="1", price="3"))
    alone = house.node("FX1")
    assert [alone[field] for field in (*exposures, "short_exposure", *greeks)] == [None] * 9
    assert (alone["unpriced_count"], alone["total_pnl"]) == (1, pytest.approx(100.0))
    house.deal(trade("6", where=where, instrument="CALL", desk="FX1", quantity="1", price="3", side="sell", ts=NOON + 1))
    house.deal(trade("7", where=where, instrument="ACME", desk="EQ1", quantity="1", price="90", ts=NOON + 2))
    house.deal(trade("3", where=where, instrument="CALL", desk="EQ1", quantity="1", price="3", side="sell", ts=NOON + 1))
    assert house.position("CALL", node="EQ1")["gamma_cash"] == 0.0
    assert house.node("ALL")["delta_cash"] == pytest.approx(91.0)


def test_a_stale_mark_still_values_and_is_flagged_and_counted(house: House) -> None:
    house.now += 61 * SECOND
    house.beat()
    row = house.position()
    assert row["stale"] is True and row["total_pnl"] == pytest.approx(5.0)
    assert house.node("ALL")["stale_count"] == 2, "the flat position has no use for its mark"
    assert house.node("ALL")["oldest_mark_ts"] == NOON


def test_no_number_is_a_negative_zero(house: House) -> None:
    house.deal(trade("7", instrument="GBPUSD", desk="FX1", side="sell", price="0"), trade("8", instrument="GBPUSD", desk="FX1"))
    snapshot = house.engine.snapshot
    for row in (*node_rows(snapshot), *dealer_rows(snapshot), *ladder_rows(snapshot), *position_rows(snapshot)):
        for field, value in row.items():
            assert str(value) != "-0.0", (row, field)


def test_positions_can_be_asked_for_by_node_dealer_and_instrument(house: House) -> None:
    def found(**wanted: Any) -> list[tuple[str, str]]:
        return [(row.get("node") or row["dealer"], row["instrument"]) for row in position_rows(house.engine.snapshot, **wanted)]

    assert sorted(found()) == [("EM1", "GBPUSD"), ("FX1", "EURUSD"), ("FX2", "EURUSD")]
    assert sorted(found(node="G10")) == [("FX1", "EURUSD"), ("FX2", "EURUSD")]
    assert found(dealer="ann") == [("ann", "EURUSD"), ("ann", "GBPUSD")]
    assert found(node="ALL", instrument="GBPUSD") == [("EM1", "GBPUSD")]
    assert found(node="EQ1") == []


@pytest.mark.parametrize("wanted", [{"node": "X"}, {"dealer": "X"}, {"instrument": "X"}])
def test_an_unknown_name_raises_at_the_call(house: House, wanted: dict[str, Any]) -> None:
    with pytest.raises(UnknownName, match="'X'"):
        position_rows(house.engine.snapshot, **wanted)
    if "instrument" not in wanted:
        with pytest.raises(UnknownName, match="'X'"):
            ladder_rows(house.engine.snapshot, **wanted)


def test_a_node_comes_with_its_children(house: House) -> None:
    assert [row["node"] for row in node_and_children(house.engine.snapshot, "FX")] == ["FX", "EM1", "G10"]


def test_dealers_are_those_with_a_position_by_name_and_nobody_is_empty_text(house: House) -> None:
    house.deal(trade("7", dealer="zoe"), trade("8", dealer=""))
    assert [row["dealer"] for row in dealer_rows(house.engine.snapshot)] == ["", "ann", "bob", "zoe"]
    house.deal(cancel("7"))
    assert [row["dealer"] for row in dealer_rows(house.engine.snapshot)] == ["", "ann", "bob"]
    assert ladder_rows(house.engine.snapshot, dealer="zoe") == []


def test_an_opening_balance_counts_as_position_and_not_as_trade() -> None:
    house = House()
    house.engine.open_with([opening(quantity="100", average_price="1.1", realised="50", fees="1")])
    house.marks(EURUSD=1.2)
    row = house.position()
    assert (row["trade_count"], row["last_trade_ts"], row["average_price"]) == (0, None, 1.1)
    assert row["realised_pnl"] == pytest.approx(50.0) and row["total_pnl"] == pytest.approx(60.0)
    assert (house.node()["position_count"], house.node()["trade_count"]) == (1, 0)


def test_marks_come_with_source_and_age_and_null_where_there_is_none(house: House) -> None:
    house.now += 2 * SECOND
    house.quotes.offer([quote("ACME", 20.0, None, house.now)], house.now)
    house.beat()
    rows = {row["instrument"]: row for row in mark_rows(house.engine.snapshot)}
    assert rows["EURUSD"] == {
        "instrument": "EURUSD",
        "price": 1.15,
        "ts": NOON,
        "source": "feed",
        "kind": "quote",
        "age_ms": 2_000,
        "stale": False,
        "closed": False,
        "suspect": None,
        "suspect_ts": None,
        "currency": "USD",
        "rate": 1.0,
        "quoted_price": None,
        "quoted_ts": None,
        "quoted_source": None,
        "unvalued": None,
        "author": None,
        "reason": None,
        "expires_ts": None,
    }
    assert rows["ACME"]["kind"] == "one_sided"
    assert {field for field, value in rows["GHOST"].items() if value is None} == {
        "price",
        "ts",
        "source",
        "kind",
        "age_ms",
        "suspect",
        "suspect_ts",
        "quoted_price",
        "quoted_ts",
        "quoted_source",
        "unvalued",
        "author",
        "reason",
        "expires_ts",
    }
    assert rows["MAREL"]["rate"] is None

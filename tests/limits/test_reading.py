"""The numbers that limits bound are those of the public rows, for every node and dealer, whatever is known of them."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.limits.lines import lines_of
from riskengine.limits.reading import LineReader
from riskengine.records.limits import LIMIT_MEASURES
from riskengine.snapshot.exposure import exposure
from riskengine.snapshot.rows import dealer_rows, ladder_rows, node_rows
from riskengine.snapshot.snapshot import Snapshot
from tests.cash_records import cash
from tests.limiting import limit
from tests.optioned import OptionHouse
from tests.rolling import begin, strike
from tests.world import DESKS, NOON, House, trade

OF_ROWS = [name for name, terms in LIMIT_MEASURES.items() if terms.of_row and name != "drawdown"]
PRICES = {"EURUSD": 1.1, "GBPUSD": 1.28, "USDJPY": 150.0, "EURGBP": 0.86, "ACME": 90.0, "ESZ6": 5_000.0}

deals = st.lists(
    st.tuples(
        st.sampled_from(("EURUSD", "USDJPY", "EURGBP", "ACME", "GHOST", "MAREL", "ESZ6", "BTCEUR", "USDCAD")),
        st.sampled_from(DESKS),
        st.sampled_from(("ann", "bob", "")),
        st.sampled_from(("buy", "sell")),
        st.integers(1, 90),
    ),
    max_size=6,
)


def deal(house: House, number: int, one: tuple[str, str, str, str, int]) -> None:
    symbol, desk, dealer, side, quantity = one
    columns: dict[str, Any] = {"instrument": symbol, "desk": desk, "dealer": dealer, "side": side, "quantity": str(quantity)}
    assert house.deal(trade(f"t{number}", price=str(PRICES.get(symbol, 2.0)), **columns)) == ["applied"]


def check_rows(snapshot: Snapshot, reader: LineReader) -> None:
    """Every line against the row of its node or dealer."""
    rows = {("node", row["node"]): row for row in node_rows(snapshot)}
    rows |= {("dealer", row["dealer"]): row for row in dealer_rows(snapshot)}
    found = reader.read(snapshot)
    for at, line in enumerate(reader.lines):
        row = rows.get(("node", line.node) if line.node else ("dealer", line.dealer))
        if row is None:
            continue
        value = row[line.limit.measure]
        label = f"{line.limit.measure} of {line.place}"
        got = found.value.item(at)
        if found.whole[at]:
            scale = abs(row["gross_exposure"] or 0.0) + abs(row["total_pnl"] or 0.0) + 1.0
            assert value is not None, label
            assert got == pytest.approx(value, rel=1e-12, abs=1e-12 * scale), label
        else:
            assert row["unpriced_count"] or row["day_unknown_count"] or value is None, label
            assert math.isnan(got) or value is None or got == pytest.approx(value, rel=1e-9, abs=1e-9), label
        if value is not None and not row["unpriced_count"] and not row["day_unknown_count"]:
            assert found.whole[at], label


def reader_of(snapshot: Snapshot, dealers: tuple[str, ...] = ("ann", "bob")) -> LineReader:
    places: list[dict[str, Any]] = [{"node": name} for name in snapshot.reference.hierarchy.names]
    places += [{"dealer": name} for name in dealers if name in snapshot.dealer_names]
    limits = [
        limit(f"{measure} {at}", where=snapshot.reference, measure=measure, limit=1.0, **place)
        for measure in OF_ROWS
        for at, place in enumerate(places)
        if "node" in place or LIMIT_MEASURES[measure].of_dealers
    ]
    return LineReader(lines_of(limits, snapshot))


@given(before=deals, after=deals)
@settings(max_examples=12, deadline=None)
def test_numbers_are_those_of_the_rows_after_trades_and_after_prices(
    before: list[tuple[str, str, str, str, int]], after: list[tuple[str, str, str, str, int]]
) -> None:
    """One reader follows: what it keeps from the snapshot before must not show."""
    house = House()
    deal(house, 0, ("ACME", "EQ1", "ann", "buy", 1))
    deal(house, 1, ("ACME", "EQ1", "bob", "buy", 1))
    for number, one in enumerate(before, 2):
        deal(house, number, one)
    reader = reader_of(house.marks(**PRICES))
    check_rows(house.engine.snapshot, reader)
    begin(house.engine, strike(house.engine, "2026-03-04", PRICES))
    house.now = house.engine.snapshot.as_of
    check_rows(house.engine.snapshot, reader)
    for number, one in enumerate(after, 100):
        deal(house, number, one)
        check_rows(house.engine.snapshot, reader)
    check_rows(house.marks(**{symbol: price * 1.01 for symbol, price in PRICES.items()}), reader)


def test_external_cash_counts_in_nav_and_without_a_rate_makes_it_unknown() -> None:
    house = House()
    house.marks(**PRICES)
    reader = reader_of(house.engine.snapshot, ())
    for record in (cash("1", node="FX1", currency="EUR", amount="100"), cash("2", node="EQ1", currency="ISK", amount="5")):
        house.engine.take_cash([record], NOON)
        house.engine.publish(NOON)
        check_rows(house.engine.snapshot, reader)
    found = reader.read(house.engine.snapshot)
    navs = {line.place: found.value.item(at) for at, line in enumerate(reader.lines) if line.limit.measure == "nav"}
    assert navs["FX1"] == pytest.approx(110.0)
    assert math.isnan(navs["EQ1"])


def test_greeks_of_options_are_those_of_the_rows() -> None:
    house = OptionHouse()
    house.buy("EURUSD C1.10", "1000000")
    house.buy("GBPJPY C190", "2000000", desk="FX2")
    house.spots()
    house.vols()
    snapshot = house.spots(EURUSD=1.11)
    check_rows(snapshot, reader_of(snapshot))


def number_of(snapshot: Snapshot, **fields: Any) -> Any:
    """Value, whether it is whole, and what decides it."""
    reader = LineReader(lines_of([limit(where=snapshot.reference, **({"limit": 1.0} | fields))], snapshot))
    found = reader.read(snapshot)
    return found.value.item(0), bool(found.whole[0]), found.subjects.get(0, "")


@pytest.fixture
def dealt() -> House:
    house = House()
    for number, one in enumerate(
        [
            ("EURUSD", "FX1", "ann", "buy", 80),
            ("USDJPY", "FX1", "bob", "sell", 30),
            ("ACME", "EQ1", "ann", "buy", 10),
            ("ESZ6", "EQ1", "ann", "sell", 1),
        ]
    ):
        deal(house, number, one)
    house.marks(**(PRICES | {"ACME": 80.0, "EURUSD": 1.12}))
    return house


def test_positions_are_those_of_the_ladder(dealt: House) -> None:
    snapshot = dealt.engine.snapshot
    rows = {row["instrument"]: row for row in ladder_rows(snapshot, node="ALL")}
    for measure, field in (("quantity", "quantity"), ("market_value", "market_value"), ("position_pnl", "total_pnl")):
        for symbol, row in rows.items():
            value, whole, subject = number_of(snapshot, measure=measure, node="ALL", instrument=symbol)
            assert (value, whole, subject) == (pytest.approx(row[field]), True, symbol)
    assert number_of(snapshot, measure="quantity", node="ALL", instrument="GBPUSD") == (0.0, True, "")
    assert number_of(snapshot, measure="position_pnl", node="ALL") == (pytest.approx(-100.0), True, "ACME")
    assert number_of(snapshot, measure="market_value", node="ALL") == (pytest.approx(-250_000.0), True, "ESZ6")
    assert number_of(snapshot, measure="market_value", node="ALL", side="above") == (pytest.approx(800.0), True, "ACME")


def test_a_position_without_a_mark_is_unknown_and_so_is_the_worst_of_all(dealt: House) -> None:
    deal(dealt, 9, ("GHOST", "EQ1", "ann", "buy", 5))
    snapshot = dealt.engine.snapshot
    value, whole, _ = number_of(snapshot, measure="position_pnl", node="EQ1", instrument="GHOST")
    assert math.isnan(value)
    assert not whole
    assert number_of(snapshot, measure="position_pnl", node="EQ1") == (pytest.approx(-100.0), False, "ACME")
    assert number_of(snapshot, measure="quantity", node="EQ1", instrument="GHOST")[:2] == (5.0, True)


def test_exposures_are_those_of_the_breakdowns(dealt: House) -> None:
    snapshot = dealt.engine.snapshot
    currencies = exposure(snapshot, "currency", node="ALL")
    for row in currencies.rows:
        found = number_of(snapshot, measure="net_open_position", node="ALL", currency=row["currency"])
        assert found[:2] == (row["net"], True)
    assert number_of(snapshot, measure="net_open_position", node="ALL", currency="CAD")[:2] == (0.0, True)
    assert number_of(snapshot, measure="shorthand", node="ALL")[0] == currencies.summary["shorthand"]
    names = exposure(snapshot, "instrument", dealer="ann").rows
    largest = max(names, key=lambda row: abs(row["percent"]))
    found = number_of(snapshot, measure="largest_name", dealer="ann")
    assert found == (abs(largest["percent"]), True, largest["instrument"])


def test_an_exposure_with_an_unknown_part_is_not_whole(dealt: House) -> None:
    deal(dealt, 9, ("MAREL", "EQ1", "ann", "buy", 5))
    snapshot = dealt.engine.snapshot
    assert number_of(snapshot, measure="net_open_position", node="EQ1", currency="ISK")[1] is False
    assert number_of(snapshot, measure="shorthand", node="EQ1")[1] is False
    assert number_of(snapshot, measure="shorthand", node="FX1")[1] is True


def test_what_has_not_changed_is_not_read_again(dealt: House) -> None:
    lines = lines_of([limit(measure="position_pnl", node="FX1", limit=-1.0)], dealt.engine.snapshot)
    reader = LineReader(lines)
    first = reader.read(dealt.engine.snapshot)
    deal(dealt, 9, ("ACME", "EQ1", "zoe", "buy", 5))
    again = reader.read(dealt.engine.snapshot)
    assert first.value.tolist() == again.value.tolist()

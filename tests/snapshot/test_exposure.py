"""What an owner is exposed to: by currency everything that counts, by group what a node would show that held the group alone."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.records.reference import Reference
from riskengine.snapshot.exposure import BY, exposure
from riskengine.snapshot.rows import dealer_rows, node_rows
from riskengine.snapshot.snapshot import Snapshot, Table, UnknownName
from tests.cash_records import carry, cash
from tests.world import INSTRUMENTS, NOON, SECOND, House, config, reference, trade


def rows_by(house: House, by: str = "currency", **owner: Any) -> dict[str, dict[str, Any]]:
    return {row[by]: row for row in exposure(house.engine.snapshot, by, **owner).rows}


def nets(house: House, by: str = "currency", **owner: Any) -> dict[str, float | None]:
    return {name: row["net"] for name, row in rows_by(house, by, **owner).items()}


def summary(house: House, by: str = "currency", **owner: Any) -> dict[str, Any]:
    return exposure(house.engine.snapshot, by, **owner).summary


# -- by currency leg ---------------------------------------------------------------------------------------------


@pytest.fixture
def crossed() -> House:
    """Long 10m EURUSD and short 10m EURGBP, each at its mark."""
    house = House()
    house.deal(
        trade("1", quantity="10000000", price="1.1"),
        trade("2", instrument="EURGBP", quantity="10000000", price="0.8", side="sell"),
    )
    house.marks(EURUSD=1.1, EURGBP=0.8, GBPUSD=1.375)
    return house


def test_a_long_and_a_short_pair_of_one_base_are_not_flat_but_two_other_legs(crossed: House) -> None:
    assert nets(crossed) == {"EUR": 0.0, "GBP": pytest.approx(11_000_000), "USD": pytest.approx(-11_000_000)}
    assert {name: row["net_local"] for name, row in rows_by(crossed).items()} == {
        "EUR": 0.0,
        "GBP": 8_000_000.0,
        "USD": pytest.approx(-11_000_000),
    }


def test_long_and_short_are_the_parts_of_net_and_percent_its_share_of_all(crossed: House) -> None:
    pound, dollar = (rows_by(crossed)[code] for code in ("GBP", "USD"))
    assert (pound["long"], pound["short"], pound["percent"]) == (pytest.approx(11e6), 0.0, pytest.approx(50.0))
    assert (dollar["long"], dollar["short"], dollar["percent"]) == (0.0, pytest.approx(-11e6), pytest.approx(-50.0))


CHF_BOOK = {"GBP": 100, "EUR": 150, "SAR": 50, "USD": -180, "JPY": -20, "XAU": -20}
"""ACCOUNTING section 5."""


def chf_house() -> House:
    """A book in Swiss francs, every pair and gold at a price of 1."""
    rows = [
        {
            "instrument": f"{code}CHF",
            "kind": "metal" if code == "XAU" else "fx",
            "base_currency": code,
            "quote_currency": "CHF",
        }
        for code in CHF_BOOK
    ]
    where = reference(rows=rows, reporting_currency="CHF")
    house = House(where, config(engine={"reporting_currency": "CHF"}))
    for code, amount in CHF_BOOK.items():
        side = "buy" if amount > 0 else "sell"
        house.deal(trade(code, where=where, instrument=f"{code}CHF", side=side, quantity=str(abs(amount)), price="1"))
    house.marks(**{f"{code}CHF": 1.0 for code in CHF_BOOK})
    return house


def test_the_shorthand_figure_is_the_larger_side_and_gold_on_top() -> None:
    house = chf_house()
    assert {name: row["net"] for name, row in rows_by(house).items()} == CHF_BOOK | {"CHF": -80.0}
    beside = summary(house)
    assert [beside[name] for name in ("long", "short", "gold", "shorthand")] == [300.0, -200.0, -20.0, 320.0]


def test_the_shorthand_figure_takes_the_shorts_where_they_are_larger() -> None:
    house = House()
    house.deal(
        trade("1", quantity="100", price="1.1"),
        trade("2", instrument="GBPUSD", quantity="300", price="1.3", side="sell"),
    )
    house.marks(EURUSD=1.0, GBPUSD=1.0)
    assert [summary(house)[name] for name in ("long", "short", "shorthand")] == [100.0, -300.0, 300.0]


def test_gold_and_coins_stand_against_their_cash_and_other_products_as_what_they_came_to() -> None:
    gold = {"instrument": "XAUUSD", "kind": "metal", "base_currency": "XAU", "quote_currency": "USD", "multiplier": "100"}
    where = reference(rows=(*INSTRUMENTS, gold))
    house = House(where)
    house.deal(
        trade("1", where=where, instrument="XAUUSD", quantity="2", price="4000"),
        trade("2", where=where, instrument="BTCEUR", quantity="3", price="50000"),
        trade("3", where=where, instrument="ESZ6", quantity="1", price="6000", side="sell"),
        trade("4", where=where, instrument="ACME", desk="EQ1", quantity="10", price="90"),
    )
    house.marks(XAUUSD=4_100.0, BTCEUR=52_000.0, EURUSD=1.1, ESZ6=6_010.0, ACME=95.0)
    assert nets(house) == {
        "XAU": pytest.approx(820_000),
        "BTC": pytest.approx(3 * 52_000 * 1.1),
        "EUR": pytest.approx(-150_000 * 1.1),
        "USD": pytest.approx(-800_000 - 500 + 50),
    }
    assert [rows_by(house)[code]["net_local"] for code in ("XAU", "BTC")] == [200.0, 3.0]


def test_fees_are_short_in_their_own_currency() -> None:
    house = House()
    house.deal(trade("1", fees="5", fees_currency="GBP"))
    house.marks(EURUSD=1.1, GBPUSD=1.3)
    assert nets(house)["GBP"] == pytest.approx(-6.5)
    assert rows_by(house)["GBP"]["net_local"] == -5.0


def test_what_a_cross_is_quoted_apart_from_its_rates_stands_in_the_reporting_currency(crossed: House) -> None:
    crossed.now += SECOND
    crossed.marks(EURGBP=0.81)
    assert nets(crossed)["EUR"] == 0.0
    assert nets(crossed)["GBP"] == pytest.approx(11_000_000)
    apart = -10_000_000 * (0.81 * 1.375 - 1.1)
    assert summary(crossed)["quoted_apart"] == pytest.approx(apart)
    assert nets(crossed)["USD"] == pytest.approx(-11_000_000 + apart)
    assert sum(net or 0.0 for net in nets(crossed).values()) == pytest.approx(crossed.node()["total_pnl"])


# -- by sector, instrument and kind ------------------------------------------------------------------------------

SECTORS = {"OIL": "Energy", "GAS": "Energy", "BANK": "Financials", "CASHCO": ""}


@pytest.fixture
def sectors() -> House:
    stocks = [
        {"instrument": name, "kind": "equity", "quote_currency": "USD", "sector": sector} for name, sector in SECTORS.items()
    ]
    where = reference(rows=(*INSTRUMENTS, *stocks))
    house = House(where)
    for name, quantity in {"OIL": 60, "GAS": -20, "BANK": 15, "CASHCO": 5}.items():
        side = "buy" if quantity > 0 else "sell"
        house.deal(trade(name, where=where, instrument=name, desk="EQ1", side=side, quantity=str(abs(quantity)), price="2"))
    house.marks(**dict.fromkeys(SECTORS, 1.0))
    return house


def test_a_sector_has_its_longs_its_shorts_and_its_share(sectors: House) -> None:
    found = {name: (row["net"], row["long"], row["short"], row["percent"]) for name, row in rows_by(sectors, "sector").items()}
    assert found == {"Energy": (40.0, 60.0, -20.0, 40.0), "Financials": (15.0, 15.0, 0.0, 15.0), "": (5.0, 5.0, 0.0, 5.0)}


def test_held_sectors_are_counted(sectors: House) -> None:
    assert summary(sectors)["sector_count"] == 2
    sectors.deal(trade("out", where=sectors.where, instrument="BANK", desk="EQ1", side="sell", quantity="15", ts=NOON + 1))
    assert summary(sectors)["sector_count"] == 1


def test_the_largest_names_come_first_with_their_shares(sectors: House) -> None:
    beside = summary(sectors)
    assert beside["largest"] == {"instrument": "OIL", "net": 60.0, "percent": 60.0}
    assert [name["instrument"] for name in beside["top_five"]] == ["OIL", "GAS", "BANK", "CASHCO"]
    assert beside["top_five_percent"] == 100.0


def test_no_more_than_five_names_and_no_pair_among_them() -> None:
    stocks = [{"instrument": f"S{n}", "kind": "equity", "quote_currency": "USD"} for n in range(7)]
    where = reference(rows=(*INSTRUMENTS, *stocks))
    house = House(where)
    house.deal(trade("fx", where=where, quantity="1000000"))
    house.deal(*(trade(f"{n}", where=where, instrument=f"S{n}", quantity=str(n + 1), price="1") for n in range(7)))
    house.marks(EURUSD=1.1, **{f"S{n}": 1.0 for n in range(7)})
    assert [name["instrument"] for name in summary(house)["top_five"]] == ["S6", "S5", "S4", "S3", "S2"]


def test_a_pair_by_instrument_is_its_legs_without_the_reporting_currency(crossed: House) -> None:
    euro, cross = (rows_by(crossed, "instrument")[symbol] for symbol in ("EURUSD", "EURGBP"))
    assert (euro["net"], euro["long"], euro["short"]) == (pytest.approx(11e6), pytest.approx(11e6), 0.0)
    assert (cross["net"], cross["long"], cross["short"]) == (pytest.approx(0.0), pytest.approx(11e6), pytest.approx(-11e6))


def test_a_kind_held_alone_is_its_node(crossed: House) -> None:
    [row], node = rows_by(crossed, "kind").values(), crossed.node()
    assert row["kind"] == "fx"
    assert [row[side] for side in ("net", "long", "short")] == [
        pytest.approx(node[f"{side}_exposure"]) for side in ("net", "long", "short")
    ]


def test_shares_of_names_are_those_of_their_rows(sectors: House) -> None:
    sectors.deal(trade("cad", where=sectors.where, instrument="USDCAD", quantity="100", price="1.3"))
    sectors.deal(trade("eur", where=sectors.where, instrument="EURUSD", quantity="100", price="1.3"))
    sectors.marks(EURUSD=1.1)
    rows = rows_by(sectors, "instrument")
    for name in summary(sectors)["top_five"]:
        assert name == {field: rows[name["instrument"]][field] for field in name}


def test_no_number_is_a_negative_zero(crossed: House) -> None:
    for by in BY:
        for row in exposure(crossed.engine.snapshot, by).rows:
            assert not [field for field, value in row.items() if str(value) == "-0.0"], row


# -- whose -------------------------------------------------------------------------------------------------------


def test_a_node_and_a_dealer_have_their_own(crossed: House) -> None:
    crossed.deal(trade("3", desk="FX2", dealer="bob", quantity="100"))
    assert nets(crossed, node="FX2") == {"EUR": pytest.approx(110), "USD": pytest.approx(-110)}
    assert nets(crossed, dealer="bob") == nets(crossed, node="FX2")
    assert nets(crossed, node="ALL") == nets(crossed)


def test_an_owner_that_holds_nothing_has_no_rows_and_no_shorthand_but_0(crossed: House) -> None:
    for by in BY:
        found = exposure(crossed.engine.snapshot, by, node="EQ1")
        assert found.rows == []
        assert [found.summary[name] for name in ("shorthand", "long", "short", "gold", "unpriced_count")] == [0.0] * 5
        assert found.summary["largest"] is None


def test_an_engine_without_nodes_has_no_rows() -> None:
    assert exposure(House(reference({})).engine.snapshot, "currency").rows == []


@pytest.mark.parametrize("owner", [{"node": "NOWHERE"}, {"dealer": "nobody"}])
def test_unknown_names_are_refused(crossed: House, owner: dict[str, str]) -> None:
    with pytest.raises(UnknownName):
        exposure(crossed.engine.snapshot, "currency", **owner)


# -- what is not known -------------------------------------------------------------------------------------------


def test_an_open_product_without_a_price_is_null_and_counted_with_its_cash() -> None:
    house = House()
    house.deal(trade("1", instrument="GHOST", desk="EQ1", quantity="10", price="5"))
    [row] = exposure(house.engine.snapshot, "currency").rows
    unknown = ("net", "long", "short", "percent", "net_local")
    assert [row[field] for field in unknown] == [None] * 5
    assert row["unpriced_count"] == 1
    for by in ("sector", "instrument", "kind"):
        [row] = exposure(house.engine.snapshot, by).rows
        assert [row[field] for field in unknown[:4]] == [None] * 4, by
        assert row["unpriced_count"] == 1


def test_a_row_sums_what_is_known_and_counts_the_rest() -> None:
    house = House()
    house.deal(trade("1", instrument="GHOST", desk="EQ1", quantity="10", price="5"))
    house.deal(trade("2", instrument="ACME", desk="EQ1", quantity="10", price="5"))
    house.marks(ACME=7.0)
    [row] = exposure(house.engine.snapshot, "currency").rows
    assert (row["net"], row["unpriced_count"]) == (pytest.approx(20.0), 1)
    assert summary(house)["unpriced_count"] == 1


def test_a_currency_without_a_rate_has_its_own_amount_and_no_other() -> None:
    house = House()
    house.deal(trade("1", instrument="MAREL", desk="EQ1", quantity="10", price="500"))
    house.marks(MAREL=510.0)
    [krona] = [row for row in exposure(house.engine.snapshot, "currency").rows if row["currency"] == "ISK"]
    assert (krona["net"], krona["net_local"], krona["unpriced_count"]) == (None, 100.0, 1)
    assert [summary(house)[name] for name in ("shorthand", "long", "short")] == [None] * 3


LONDON = reference(rows=[*INSTRUMENTS, {"instrument": "VOD", "kind": "equity", "quote_currency": "GBX"}])


def test_what_is_in_pence_is_exposure_to_pounds() -> None:
    house = House(LONDON)
    house.deal(
        trade("1", where=LONDON, instrument="VOD", desk="EQ1", quantity="1000", price="70.5", fees="3", fees_currency="GBP"),
        trade("2", where=LONDON, instrument="EURGBP", quantity="100", price="0.8", fees="7", fees_currency="GBX"),
    )
    house.marks(VOD=71.0, EURUSD=1.1, GBPUSD=1.25)
    assert set(nets(house)) == {"EUR", "GBP", "USD"}
    pounds = rows_by(house)["GBP"]
    assert (pounds["net_local"], pounds["net"]) == (pytest.approx(5 - 80 - 3.07), pytest.approx(-78.07 * 1.25))
    assert nets(house, "sector")[""] == pytest.approx(710 * 1.25 + 100 * 1.1 - 80 * 1.25)


def test_what_was_paid_in_pence_for_what_has_no_price_is_unknown_too() -> None:
    house = House(LONDON)
    house.deal(trade("1", where=LONDON, instrument="VOD", desk="EQ1", quantity="1000", price="70.5"))
    house.marks(GBPUSD=1.25)
    assert (rows_by(house)["GBP"]["net"], rows_by(house)["GBP"]["unpriced_count"]) == (None, 1)


def test_the_legs_of_a_pair_without_a_mark_have_rates_of_their_own() -> None:
    house = House()
    house.deal(trade("1", instrument="EURGBP", quantity="100", price="0.8"))
    house.marks(EURUSD=1.1, GBPUSD=1.3)
    assert nets(house) == {"EUR": pytest.approx(110.0), "GBP": pytest.approx(-104.0), "USD": 0.0}
    assert summary(house)["unpriced_count"] == 0


OPTIONS = (
    {
        "instrument": "CALL",
        "kind": "equity_option",
        "quote_currency": "USD",
        "underlying": "ACME",
        "option_type": "call",
        "strike": "100",
        "expiry": "2026-12-18",
    },
    {
        "instrument": "EURCALL",
        "kind": "fx_option",
        "base_currency": "EUR",
        "quote_currency": "USD",
        "underlying": "EURUSD",
        "option_type": "call",
        "strike": "1.1",
        "expiry": "2026-12-18",
    },
)


def test_an_option_is_null_without_a_delta_never_its_premium() -> None:
    where = reference(rows=(*INSTRUMENTS, *OPTIONS))
    house = House(where)
    house.deal(trade("1", where=where, instrument="EURCALL", quantity="1000000", price="0.01"))
    house.marks(EURCALL=0.02, EURUSD=1.1)
    assert {name: (row["net"], row["unpriced_count"]) for name, row in rows_by(house).items()} == {
        "EUR": (None, 1),
        "USD": (None, 1),
    }
    assert nets(house, "instrument") == {"EURCALL": None}


def test_the_premium_of_an_open_option_is_in_no_row_and_that_of_a_closed_one_is_money() -> None:
    where = reference(rows=(*INSTRUMENTS, *OPTIONS))
    house = House(where)
    house.deal(
        trade("1", where=where, instrument="EURCALL", quantity="1000", price="0.01"),
        trade("2", where=where, instrument="EURCALL", quantity="500", price="0.02", desk="FX2"),
        trade("3", where=where, instrument="EURCALL", quantity="500", price="0.05", desk="FX2", side="sell", ts=NOON + 1),
    )
    house.marks(EURCALL=0.02, EURUSD=1.1)
    dollar = rows_by(house)["USD"]
    assert (dollar["net"], dollar["unpriced_count"]) == (pytest.approx(15.0), 1)


def test_a_group_with_an_option_sums_the_others() -> None:
    where = reference(rows=(*INSTRUMENTS, *OPTIONS))
    house = House(where)
    house.deal(trade("1", where=where, instrument="CALL", desk="EQ1", quantity="10", price="3"))
    house.deal(trade("2", where=where, instrument="ACME", desk="EQ1", quantity="2", price="90"))
    house.marks(CALL=4.0, ACME=91.0)
    [row] = exposure(house.engine.snapshot, "sector").rows
    assert (row["net"], row["unpriced_count"]) == (182.0, 1)


def test_a_pair_whose_currency_has_no_rate_is_unknown_there_and_known_in_the_other() -> None:
    house = House()
    house.deal(trade("1", instrument="USDCAD", quantity="100", price="1.3"))
    found = rows_by(house)
    assert [(found[code]["net"], found[code]["net_local"], found[code]["unpriced_count"]) for code in ("CAD", "USD")] == [
        (None, -130.0, 1),
        (100.0, 100.0, 0),
    ]
    [pair] = exposure(house.engine.snapshot, "instrument").rows
    assert (pair["net"], pair["unpriced_count"]) == (None, 1)


def test_of_an_instrument_without_a_price_only_the_open_positions_are_unknown() -> None:
    house = House()
    house.deal(
        trade("1", instrument="GHOST", desk="EQ1", quantity="10", price="5"),
        trade("2", instrument="GHOST", desk="FX1", quantity="10", price="5"),
        trade("3", instrument="GHOST", desk="FX1", quantity="10", price="7", side="sell", ts=NOON + 1),
    )
    [dollar] = exposure(house.engine.snapshot, "currency").rows
    assert (dollar["net"], dollar["net_local"], dollar["unpriced_count"]) == (pytest.approx(20.0), 20.0, 1)
    [ghost] = exposure(house.engine.snapshot, "instrument").rows
    assert (ghost["net"], ghost["unpriced_count"]) == (None, 1), "null, as in the ladder"


def test_an_equity_option_is_worth_money_of_its_currency_and_its_delta_is_unknown() -> None:
    where = reference(rows=(*INSTRUMENTS, *OPTIONS))
    house = House(where)
    house.deal(trade("1", where=where, instrument="CALL", desk="EQ1", quantity="10", price="3"))
    house.marks(CALL=4.0)
    assert nets(house) == {"USD": pytest.approx(10.0)}
    assert nets(house, "instrument") == {"CALL": None}


def test_a_sum_that_was_found_wrong_is_unknown(crossed: House) -> None:
    snapshot = crossed.engine.snapshot
    number = snapshot.reference.instrument_index["EURGBP"]
    root = snapshot.nodes
    broken = Table(root.size, root.states, root.numbers, frozenset({number}))
    fields = {name: getattr(snapshot, name) for name in Snapshot.__slots__}
    found = exposure(Snapshot(**fields | {"nodes": broken}), "currency")
    assert found.summary["unpriced_count"] == 1
    assert {row["currency"]: row["net"] for row in found.rows} == {
        "EUR": pytest.approx(11_000_000),
        "GBP": None,
        "USD": pytest.approx(-11_000_000),
    }


# -- random books, against a model that shares no code with the engine ---------------------------------------------


class Spec(NamedTuple):
    kind: str
    base: str
    quote: str
    multiplier: int = 1


SPECS = {
    "EURUSD": Spec("fx", "EUR", "USD"),
    "GBPUSD": Spec("fx", "GBP", "USD", 1_000),
    "USDJPY": Spec("fx", "USD", "JPY"),
    "USDCHF": Spec("fx", "USD", "CHF"),
    "EURGBP": Spec("fx", "EUR", "GBP"),
    "EURCHF": Spec("fx", "EUR", "CHF", 10),
    "XAUUSD": Spec("metal", "XAU", "USD", 100),
    "XAGEUR": Spec("metal", "XAG", "EUR"),
    "BTCUSD": Spec("crypto", "BTC", "USD"),
    "BTCEUR": Spec("crypto", "BTC", "EUR"),
    "ACME": Spec("equity", "", "USD"),
    "SAPG": Spec("equity", "", "EUR"),
    "ESZ6": Spec("future", "", "USD", 50),
    "FDXZ6": Spec("future", "", "EUR", 25),
}
WORTH = {"USD": 1.0, "EUR": 1.1, "GBP": 1.3, "JPY": 0.0066, "CHF": 1.2, "XAU": 4_000.0, "XAG": 50.0, "BTC": 90_000.0}
LOCAL = {"ACME": 90.0, "SAPG": 210.0, "ESZ6": 6_000.0, "FDXZ6": 24_000.0}


def wide_reference(reporting: str) -> Reference:
    rows = [
        {
            "instrument": symbol,
            "kind": spec.kind,
            "base_currency": spec.base,
            "quote_currency": spec.quote,
            "multiplier": str(spec.multiplier),
            **({"expiry": "2026-12-18"} if spec.kind == "future" else {}),
        }
        for symbol, spec in SPECS.items()
    ]
    return reference(rows=rows, reporting_currency=reporting)


REFERENCES = {code: wide_reference(code) for code in ("USD", "CHF")}


class Deal(NamedTuple):
    symbol: str
    quantity: int
    price: Decimal
    fees: Decimal
    fees_currency: str


deals = st.lists(
    st.builds(
        lambda symbol, quantity, off, fees, code: (symbol, quantity, off, fees, code),
        st.sampled_from(sorted(SPECS)),
        st.integers(-1_000, 1_000).filter(bool),
        st.sampled_from(("0.97", "1", "1.02")),
        st.sampled_from(("0", "0.5", "-1.25")),
        st.sampled_from(("", "EUR", "JPY", "CHF", "BTC")),
    ),
    min_size=1,
    max_size=12,
)


class Money(NamedTuple):
    """External cash of a node (no symbol), or carry of a position in a currency."""

    symbol: str
    amount: str
    currency: str


moneys = st.lists(
    st.builds(
        Money,
        st.sampled_from(("", *sorted(SPECS))),
        st.sampled_from(("1000", "-0.0000000001", "-33.25", "700.1")),
        st.sampled_from(("USD", "EUR", "JPY", "CHF", "BTC")),
    ),
    max_size=6,
)


def marks_of(worth: dict[str, float]) -> dict[str, float]:
    """The prices that say what currencies and assets are worth; shares and futures keep their own."""
    return {symbol: LOCAL[symbol] if symbol in LOCAL else worth[spec.base] / worth[spec.quote] for symbol, spec in SPECS.items()}


def priced(drawn: list[tuple[str, int, str, str, str]]) -> list[Deal]:
    at = marks_of(WORTH)
    return [
        Deal(symbol, quantity, Decimal(f"{at[symbol] * float(off):.6f}"), Decimal(fees), code or SPECS[symbol].quote)
        for symbol, quantity, off, fees, code in drawn
    ]


def dealt(book: list[Deal], reporting: str, money: Sequence[Money] = ()) -> House:
    where = REFERENCES[reporting]
    house = House(where, config(engine={"reporting_currency": reporting}))
    for number, deal in enumerate(book):
        columns: dict[str, Any] = {
            "instrument": deal.symbol,
            "side": "buy" if deal.quantity > 0 else "sell",
            "quantity": str(abs(deal.quantity)),
            "price": str(deal.price),
            "fees": str(deal.fees),
            "desk": ("FX1", "FX2", "EQ1")[number % 3],
        }
        if deal.fees:
            columns["fees_currency"] = deal.fees_currency
        statuses = house.deal(trade(f"d{number}", where=where, ts=NOON + number, **columns))
        assert statuses == ["applied"]
    rows = [
        carry(f"m{number}", amount, desk=("FX1", "FX2", "EQ1")[number % 3], instrument=symbol, currency=currency)
        if symbol
        else cash(f"m{number}", amount, node=("FX1", "FX", "ALL")[number % 3], currency=currency)
        for number, (symbol, amount, currency) in enumerate(money)
    ]
    assert house.engine.take_cash(rows, NOON).kept_out == ()
    return house


def amounts_of(book: list[Deal], money: Sequence[Money] = ()) -> dict[str, Fraction]:
    """What the book holds of every currency and asset, deal by deal, in fractions."""
    held: dict[str, Fraction] = {}

    def post(code: str, amount: Fraction) -> None:
        held[code] = held.get(code, Fraction(0)) + amount

    for deal in book:
        spec = SPECS[deal.symbol]
        size = Fraction(deal.quantity * spec.multiplier)
        post(spec.quote, -size * Fraction(deal.price))
        if spec.base:
            post(spec.base, size)
        else:
            post(spec.quote, size * Fraction(LOCAL[deal.symbol]))
        if deal.fees:
            post(deal.fees_currency, -Fraction(deal.fees))
    for each in money:
        post(each.currency, Fraction(each.amount))
        if each.symbol:  # the position exists, and stands in the rows of its currencies
            post(SPECS[each.symbol].quote, Fraction(0))
            post(SPECS[each.symbol].base or SPECS[each.symbol].quote, Fraction(0))
    return held


def nav(house: House) -> float:
    row = house.node()
    assert row["unpriced_count"] == 0
    return float(row["nav"])


def size_of(book: list[Deal], reporting: str, money: Sequence[Money] = ()) -> float:
    """The measure of rounding errors."""
    carried = sum(abs(float(each.amount)) * WORTH[each.currency] for each in money) * 100
    return carried + sum(float(abs(deal.quantity) * SPECS[deal.symbol].multiplier * deal.price) for deal in book) * 200 + 1.0


@settings(max_examples=60, deadline=None)
@given(drawn=deals, money=moneys, reporting=st.sampled_from(sorted(REFERENCES)))
def test_every_row_is_what_the_deals_come_to_and_the_rows_sum_to_the_nav(drawn, money, reporting):
    book = priced(drawn)
    house = dealt(book, reporting, money)
    house.marks(**marks_of(WORTH))
    found, near = rows_by(house), size_of(book, reporting, money) * 1e-12
    expected = amounts_of(book, money)
    assert found.keys() - {reporting} == expected.keys() - {reporting}
    for code, amount in expected.items():
        assert found[code]["net"] == pytest.approx(float(amount) * WORTH[code] / WORTH[reporting], abs=near), code
        if code != reporting:
            assert found[code]["net_local"] == pytest.approx(float(amount), rel=1e-12, abs=near), code
    assert sum(row["net"] for row in found.values()) == pytest.approx(nav(house), abs=near)


@settings(max_examples=40, deadline=None)
@given(drawn=deals, money=moneys, reporting=st.sampled_from(sorted(REFERENCES)), data=st.data())
def test_one_per_cent_on_a_currency_moves_the_nav_by_one_per_cent_of_its_row(drawn, money, reporting, data):
    book = priced(drawn)
    house = dealt(book, reporting, money)
    house.marks(**marks_of(WORTH))
    before, rows = nav(house), rows_by(house)
    code = data.draw(st.sampled_from(sorted(rows.keys() - {reporting}) or [reporting]))
    # Moving the reporting currency is moving all others the other way.
    moved = {other: worth * 1.01 for other, worth in WORTH.items() if (other == code) is (code != reporting)}
    house.now += SECOND
    house.marks(**marks_of(WORTH | moved))
    row = rows[code]["net"] if code != reporting else before - rows.get(reporting, {"net": 0.0})["net"]
    assert nav(house) - before == pytest.approx(row / 100, abs=size_of(book, reporting, money) * 1e-12)


@settings(max_examples=40, deadline=None)
@given(drawn=deals, money=moneys, shifts=st.lists(st.sampled_from((0.98, 1.0, 1.015)), min_size=len(SPECS), max_size=len(SPECS)))
def test_the_rows_sum_to_the_nav_whatever_is_quoted_apart(drawn, money, shifts):
    book = priced(drawn)
    house = dealt(book, "USD", money)
    house.marks(**{symbol: price * shift for (symbol, price), shift in zip(marks_of(WORTH).items(), shifts, strict=True)})
    found = exposure(house.engine.snapshot, "currency")
    assert sum(row["net"] for row in found.rows) == pytest.approx(nav(house), abs=size_of(book, "USD", money) * 1e-12)
    house.engine.check()


UNPRICEABLE = sorted(symbol for symbol, spec in SPECS.items() if spec.kind != "fx")


def known_parts(book: list[Deal], unmarked: set[str]) -> tuple[dict[str, Fraction], dict[str, int], dict[str, int]]:
    """By currency what is known without some marks, and the positions that have a known and an unknown part in it."""
    positions: dict[tuple[int, str], list[Deal]] = {}
    for number, deal in enumerate(book):
        positions.setdefault((number % 3, deal.symbol), []).append(deal)
    amounts: dict[str, Fraction] = {}
    known: dict[str, int] = {}
    unknown: dict[str, int] = {}
    for (_, symbol), held in positions.items():
        spec = SPECS[symbol]
        lost: set[str] = set()
        if symbol in unmarked and sum(deal.quantity for deal in held) != 0:
            lost = {spec.base or spec.quote}
        for code, amount in amounts_of(held).items():
            fees = sum((Fraction(deal.fees) for deal in held if deal.fees_currency == code), Fraction(0))
            amounts[code] = amounts.get(code, Fraction(0)) + (-fees if code in lost else amount)
        for code in {spec.base or spec.quote, spec.quote, *(deal.fees_currency for deal in held if deal.fees)}:
            counted = unknown if code in lost else known
            counted[code] = counted.get(code, 0) + 1
    return amounts, known, unknown


@settings(max_examples=80, deadline=None)
@given(drawn=deals, unmarked=st.sets(st.sampled_from(UNPRICEABLE), max_size=6))
def test_without_some_marks_a_row_is_what_is_known_and_counts_what_is_not(drawn, unmarked):
    book = [deal._replace(fees=Decimal(0)) if deal.fees_currency == "BTC" else deal for deal in priced(drawn)]
    house = dealt(book, "USD")
    house.marks(**{symbol: price for symbol, price in marks_of(WORTH).items() if symbol not in unmarked})
    amounts, known, unknown = known_parts(book, unmarked)
    found = rows_by(house)
    for code, amount in amounts.items():
        row = found[code]
        assert row["unpriced_count"] == unknown.get(code, 0), code
        assert (row["net"] is None) is not (code in known), code
        if row["net"] is not None:
            assert row["net"] == pytest.approx(float(amount) * WORTH[code], abs=size_of(book, "USD") * 1e-12), code
    assert summary(house)["unpriced_count"] == sum(unknown.values())


@settings(max_examples=40, deadline=None)
@given(drawn=deals, reporting=st.sampled_from(sorted(REFERENCES)))
def test_groups_sum_to_the_net_exposure_of_every_node_and_dealer(drawn, reporting):
    book = priced(drawn)
    house = dealt(book, reporting)
    house.marks(**marks_of(WORTH))
    snapshot = house.engine.snapshot
    owners = [({"node": row["node"]}, row) for row in node_rows(snapshot)]
    owners += [({"dealer": row["dealer"]}, row) for row in dealer_rows(snapshot)]
    for owner, row in owners:
        for by in ("sector", "instrument", "kind"):
            found = exposure(snapshot, by, **owner).rows
            near = pytest.approx(row["net_exposure"], abs=size_of(book, reporting) * 1e-12)
            assert sum(group["net"] for group in found) == near, (owner, by)
        [alone] = exposure(snapshot, "sector", **owner).rows or [dict.fromkeys(("long", "short"), 0.0)]
        for side in ("long", "short"):
            assert alone[side] == pytest.approx(row[f"{side}_exposure"], abs=size_of(book, reporting) * 1e-12), owner

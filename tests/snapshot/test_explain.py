"""The lines of a span against a naive model in fractions, and the laws that they keep: sums, chains, nothing unexplained."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.positions.adjustments import NO_CHANGES, CloseChanges
from riskengine.pricing.black_scholes import DENSITY_AT_0
from riskengine.records.actions import Ratio
from riskengine.records.types import Instrument, Kind
from riskengine.snapshot.explain import (
    GREEKS,
    LINES,
    NET_LINES,
    Explained,
    HeldSide,
    HeldThen,
    OptionPoint,
    SpanBegin,
    SpanEnd,
    explain,
)

ONE, CASH = 10**10, 10**28
SYMBOLS = ("EURUSD", "GBPJPY", "ACME")
INSTRUMENTS = {
    "EURUSD": Instrument(instrument="EURUSD", kind=Kind.FX, quote_currency="USD", base_currency="EUR"),
    "GBPJPY": Instrument(instrument="GBPJPY", kind=Kind.FX, quote_currency="JPY", base_currency="GBP"),
    "ACME": Instrument(instrument="ACME", kind=Kind.EQUITY, quote_currency="USD", multiplier=50 * 10**8),
    "NEWCO": Instrument(instrument="NEWCO", kind=Kind.EQUITY, quote_currency="USD", multiplier=50 * 10**8),
    "CALL": Instrument(instrument="CALL", kind=Kind.FX_OPTION, quote_currency="USD", base_currency="EUR"),
    "CALLE": Instrument(
        instrument="CALLE", kind=Kind.FX_OPTION, quote_currency="USD", base_currency="EUR", premium_currency="EUR"
    ),
}


class Given(NamedTuple):
    """The market of a test: marks, rates of instruments and rates of currencies, by name."""

    marks: dict[str, float]
    rates: dict[str, float]
    codes: dict[str, float]

    def price(self, symbol: str) -> float | None:
        return self.marks.get(symbol)

    def rate(self, symbol: str) -> float | None:
        return self.rates.get(symbol)

    def currency(self, code: str) -> float | None:
        return self.codes.get(code)


class GivenOptions(NamedTuple):
    spot: float = math.nan
    vol: float = math.nan
    ts: int = 0

    def spot_and_vol(self, symbol: str) -> tuple[float, float]:
        return self.spot, self.vol


NUMBERS = st.floats(0.0001, 1e6, allow_nan=False)
AMOUNTS = st.dictionaries(st.sampled_from(["EUR", "CHF"]), st.integers(-(10**34), 10**34), max_size=2)
MARKETS = st.builds(
    Given,
    st.fixed_dictionaries(dict.fromkeys(SYMBOLS, NUMBERS)),
    st.fixed_dictionaries(dict.fromkeys(SYMBOLS, NUMBERS)),
    st.fixed_dictionaries(dict.fromkeys(["EUR", "CHF"], NUMBERS)),
)
HELD = st.builds(
    HeldThen,
    st.integers(-(10**18), 10**18),
    st.integers(-(10**38), 10**38),
    st.integers(-(10**33), 10**33),
    AMOUNTS,
    AMOUNTS.map(lambda fees: {code: units // 10**18 for code, units in fees.items()}),
    st.just(1),
    st.just(0),
    st.just(0),
)
BOOKS = st.dictionaries(st.sampled_from(SYMBOLS), HELD, max_size=3)


def span(known: HeldSide, restated: HeldSide, last: HeldSide, changes: CloseChanges = NO_CHANGES) -> Explained:
    return explain(SpanBegin(known, restated, {}), SpanEnd(last, GivenOptions(), changes), INSTRUMENTS)


def exact(value: float) -> Fraction:
    return Fraction(repr(value))


def naive(symbol: str, was: HeldThen, held: HeldThen, now: HeldThen, first: Given, last: Given) -> dict[str, Fraction]:
    """The lines as ACCOUNTING says them, in fractions, from one position at a time."""
    k = 50 if symbol == "ACME" else 1
    m0, m1, x0, x1 = (exact(each) for each in (first.marks[symbol], last.marks[symbol], first.rates[symbol], last.rates[symbol]))
    q0, q1, c0, c1 = (
        Fraction(held.quantity, ONE),
        Fraction(now.quantity, ONE),
        Fraction(held.cash, CASH),
        Fraction(now.cash, CASH),
    )
    p0 = Fraction(was.cash, CASH) + k * Fraction(was.quantity, ONE) * m0
    t0, carry = c0 + k * q0 * m0, Fraction(now.carry - held.carry, CASH)
    found = {
        "price": k * q0 * (m1 - m0) * x1,
        "trades": (c1 - c0 - carry + k * (q1 - q0) * m1) * x1,
        "carry": carry * x1,
        "translation": t0 * (x1 - x0),
        "corrections": (t0 - p0) * x0,
        "fees": Fraction(0),
    }
    for code in ("EUR", "CHF"):
        y0, y1 = exact(first.codes[code]), exact(last.codes[code])
        b, r, n = (Fraction(each.beside.get(code, 0), CASH) for each in (was, held, now))
        found["carry"] += (n - r) * y1
        found["translation"] += r * (y1 - y0)
        found["corrections"] += (r - b) * y0
        found["fees"] += Fraction(was.fees.get(code, 0), ONE) * y0 - Fraction(now.fees.get(code, 0), ONE) * y1
    return found


@given(BOOKS, BOOKS, BOOKS, MARKETS, MARKETS)
@settings(max_examples=60, deadline=None)
def test_every_line_is_what_a_naive_model_says(was: Any, held: Any, now: Any, first: Given, last: Given) -> None:
    found = span(HeldSide(was, first), HeldSide(held, first), HeldSide(now, last))
    assert [row.instrument for row in found.rows] == sorted({*was, *held, *now})
    sums = dict.fromkeys(NET_LINES, Fraction(0))
    for row in found.rows:
        none = HeldThen()
        symbol = row.instrument
        expected = naive(symbol, was.get(symbol, none), held.get(symbol, none), now.get(symbol, none), first, last)
        assert {line: Fraction(row.lines[line] or 0) for line in expected} == expected
        assert all(row.lines[line] == 0 for line in (*GREEKS, "unpriced", "unexplained")), "a cash product is explained"
        for line in NET_LINES:
            sums[line] += Fraction(row.lines[line] or 0)
    assert {line: Fraction(amount or 0) for line, amount in found.lines.items()} == sums
    assert found.begin.net is not None and found.end.net is not None
    assert sum(sums.values()) == Fraction(found.end.net) - Fraction(found.begin.net)


@given(BOOKS, BOOKS, BOOKS, BOOKS, BOOKS, st.tuples(MARKETS, MARKETS, MARKETS))
@settings(max_examples=40, deadline=None)
def test_neighbouring_spans_chain_to_the_last_digit(a: Any, b: Any, c: Any, later_a: Any, later_b: Any, markets: Any) -> None:
    """Whatever is known later of each end: that moves lines, never the total."""
    first, middle, last = (HeldSide(book, market) for book, market in zip((a, b, c), markets, strict=True))
    one = span(first, HeldSide(later_a, markets[0]), middle)
    two = span(middle, HeldSide(later_b, markets[1]), last)
    both = span(first, HeldSide(later_b, markets[0]), last)
    for field in ("total", "fees", "net"):
        parts = [Fraction(getattr(each.end, field)) - Fraction(getattr(each.begin, field)) for each in (one, two, both)]
        assert parts[0] + parts[1] == parts[2], field
    assert one.end == two.begin
    for symbol in SYMBOLS:
        rows = [[row for row in each.rows if row.instrument == symbol] for each in (one, two, both)]
        changes = [sum((Fraction(row.closing) - Fraction(row.opening) for row in found), Fraction(0)) for found in rows]
        assert changes[0] + changes[1] == changes[2], symbol


def test_the_example_of_the_manual() -> None:
    first = Given({"ACME": 100.0}, {"ACME": 1.0}, {"USD": 1.0})
    last = Given({"ACME": 102.5}, {"ACME": 1.0}, {"USD": 1.0})
    size = 50  # the multiplier here is 50
    was = HeldThen(10_000 * ONE // size, 50_000 * CASH - 10_000 * 100 * CASH, positions=1)
    now = HeldThen(12_000 * ONE // size, was.cash - 2_000 * 101 * CASH, fees={"USD": 12 * ONE}, positions=1)
    found = span(HeldSide({"ACME": was}, first), HeldSide({"ACME": was}, first), HeldSide({"ACME": now}, last))
    assert [found.begin.total, found.end.total] == [50_000, 78_000]
    assert {line: amount for line, amount in found.lines.items() if amount} == {"price": 25_000, "trades": 3_000, "fees": -12}


def test_a_trade_at_the_mark_is_no_p_and_l_and_a_mark_that_stands_explains_nothing() -> None:
    market = Given({"EURUSD": 1.1}, {"EURUSD": 1.0}, {})
    now = HeldThen(100 * ONE, -110 * CASH, positions=1)
    found = span(HeldSide({}, market), HeldSide({}, market), HeldSide({"EURUSD": now}, market))
    assert all(amount == 0 for amount in found.lines.values())


@pytest.mark.parametrize(
    ("first", "last", "reason"),
    [
        (Given({}, {"EURUSD": 1.0}, {}), Given({"EURUSD": 1.2}, {"EURUSD": 1.0}, {}), "no price at the beginning"),
        (Given({"EURUSD": 1.2}, {}, {}), Given({"EURUSD": 1.2}, {"EURUSD": 1.0}, {}), "no rate at the beginning"),
        (Given({"EURUSD": 1.2}, {"EURUSD": 1.0}, {}), Given({}, {"EURUSD": 1.0}, {}), "no price at the end"),
        (Given({"EURUSD": 1.2}, {"EURUSD": 1.0}, {}), Given({"EURUSD": 1.2}, {}, {}), "no rate at the end"),
    ],
)
def test_what_is_unknown_at_an_end_stands_in_a_line_of_its_own(first: Given, last: Given, reason: str) -> None:
    held = HeldThen(100 * ONE, -110 * CASH, positions=1)
    [row] = span(HeldSide({"EURUSD": held}, first), HeldSide({"EURUSD": held}, first), HeldSide({"EURUSD": held}, last)).rows
    assert row.reason == reason
    assert all(row.lines[line] is None for line in LINES if line != "unpriced")
    assert row.lines["unpriced"] == row.closing - row.opening


def test_positions_of_which_nothing_is_known_make_the_worth_null_and_never_zero() -> None:
    market, lost = Given({}, {}, {}), HeldThen(positions=2, unknown=2)
    found = span(HeldSide({"ACME": lost}, market), HeldSide({"ACME": lost}, market), HeldSide({}, market))
    assert [found.begin.total, found.begin.unknown, found.end.total] == [None, 2, 0]
    assert found.lines["price"] is None


def test_a_split_and_a_new_name_are_no_p_and_l() -> None:
    first = Given({"ACME": 400.0}, {"ACME": 1.0}, {})
    last = Given({"NEWCO": 101.0}, {"NEWCO": 1.0}, {})
    changes = CloseChanges({"ACME": Ratio(4, 1)}, {"ACME": "NEWCO"})
    was, now = HeldThen(25 * ONE, 0, positions=1), HeldThen(100 * ONE, 0, positions=1)
    known = HeldSide({"ACME": was}, first)
    found = span(known, known, HeldSide({"NEWCO": now}, last), changes)
    assert [row.instrument for row in found.rows] == ["NEWCO"]
    assert found.lines["price"] == 100 * 50 and found.lines["trades"] == 0 and found.lines["corrections"] == 0


def test_a_name_given_up_for_one_that_was_held_too_is_counted_once() -> None:
    market = Given({"ACME": 10.0, "NEWCO": 10.0}, {"ACME": 1.0, "NEWCO": 1.0}, {})
    was = HeldSide({name: HeldThen(ONE, 0, positions=1) for name in ("ACME", "NEWCO")}, market)
    now = HeldSide({"NEWCO": HeldThen(2 * ONE, 0, positions=1)}, market)
    found = span(was, was, now, CloseChanges({}, {"ACME": "NEWCO"}))
    assert found.begin.total == found.end.total == 1_000
    assert found.lines["trades"] == 0


# -- options -----------------------------------------------------------------------------------------------------


def value(spot: float, vol: float, years: float, strike: float = 1.1) -> float:
    """A call without rates: Black's formula, by the error function."""
    deviation = vol * math.sqrt(years)
    d1 = math.log(spot / strike) / deviation + deviation / 2
    return spot * normal(d1) - strike * normal(d1 - deviation)


def normal(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def point(spot: float, vol: float, years: float, strike: float = 1.1) -> OptionPoint:
    deviation = vol * math.sqrt(years)
    d1 = math.log(spot / strike) / deviation + deviation / 2
    density = DENSITY_AT_0 * math.exp(-d1 * d1 / 2)
    return OptionPoint(
        value=value(spot, vol, years, strike),
        delta=normal(d1),
        gamma=density / (spot * deviation),
        vega=spot * math.sqrt(years) * density,
        theta=-spot * density * vol / (2 * math.sqrt(years)),
        spot=spot,
        vol=vol,
        ts=0,
        cut_ts=0,
    )


@pytest.mark.parametrize(("symbol", "in_base"), [("CALL", False), ("CALLE", True)])
def test_the_greeks_explain_a_small_move_of_an_option_up_to_the_third_order(symbol: str, in_base: bool) -> None:
    spot, vol, years, days = 1.1, 0.1, 0.5, 2
    moved, new_vol, left = spot * 1.004, vol + 0.002, years - days / 365
    worth = [value(spot, vol, years), value(moved, new_vol, left)]
    marks = [worth[0] / spot, worth[1] / moved] if in_base else worth
    rate = [1.1, 1.2] if in_base else [1.0, 1.0]
    first, last = (Given({symbol: m}, {symbol: x}, {}) for m, x in zip(marks, rate, strict=True))
    held = HeldThen(1_000_000 * ONE, 0, positions=1)
    book = HeldSide({symbol: held}, first)
    begin = SpanBegin(book, book, {symbol: point(spot, vol, years)})
    options = GivenOptions(moved, new_vol, days * 86_400 * 1_000_000)
    found = explain(begin, SpanEnd(HeldSide({symbol: held}, last), options, NO_CHANGES), INSTRUMENTS)
    lines = {line: float(amount or 0) for line, amount in found.lines.items()}
    move = sum(lines[line] for line in (*GREEKS, "unexplained"))
    assert move == pytest.approx(1_000_000 * (marks[1] - marks[0]) * rate[1])
    assert lines["price"] == 0.0
    assert abs(lines["unexplained"]) < 0.02 * sum(abs(lines[line]) for line in GREEKS)
    assert lines["gamma"] > 0 and lines["theta"] < 0 and lines["vega"] > 0
    assert found.begin.total is not None and found.end.total is not None
    assert sum(amount or Decimal(0) for amount in found.lines.values()) == found.end.total - found.begin.total


def test_an_option_without_greeks_leaves_its_move_unexplained_and_says_so() -> None:
    first, last = (Given({"CALL": mark}, {"CALL": 1.0}, {}) for mark in (0.02, 0.03))
    held = HeldThen(100 * ONE, 0, positions=1)
    book = HeldSide({"CALL": held}, first)
    [row] = span(book, book, HeldSide({"CALL": held}, last)).rows
    assert row.lines["unexplained"] == 1 and row.reason == "no Greeks at the beginning"
    assert all(row.lines[greek] is None for greek in GREEKS)


def test_an_unknown_vol_leaves_vega_null_and_the_rest_explained() -> None:
    first, last = (Given({"CALL": mark}, {"CALL": 1.0}, {}) for mark in (0.02, 0.03))
    held = HeldThen(100 * ONE, 0, positions=1)
    begin = SpanBegin(HeldSide({"CALL": held}, first), HeldSide({"CALL": held}, first), {"CALL": point(1.1, 0.1, 0.5)})
    end = SpanEnd(HeldSide({"CALL": held}, last), GivenOptions(1.11, math.nan, 0), NO_CHANGES)
    [row] = explain(begin, end, INSTRUMENTS).rows
    assert row.lines["vega"] is None and row.lines["delta"] is not None
    assert row.reason == "no vega: spot or vol is unknown"


def test_the_change_of_what_is_unknown_at_both_ends_is_unknown_and_at_one_end_stands_as_unpriced() -> None:
    market = Given({"ACME": 10.0}, {"ACME": 1.0}, {})
    lost, held = HeldThen(positions=1, unknown=1), HeldThen(2 * ONE, 0, positions=1)
    before, after = (HeldSide({"ACME": each}, market) for each in (lost, held))
    [row] = span(before, before, before).rows
    assert row.change is None and row.lines["unpriced"] is None
    [row] = span(before, before, after).rows
    assert row.change == row.lines["unpriced"] == 2 * 50 * 10

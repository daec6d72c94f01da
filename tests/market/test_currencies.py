"""Rates: the fewest hops among fresh pairs, else among all; ties in alphabetical order; none without a path."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.market.currencies import CurrencyGraph, Rates
from riskengine.records.reference import Reference
from tests import world
from tests.model import SECOND, Model, Spec
from tests.world import NOON


def pairs(*symbols: str, reporting: str = "USD") -> Reference:
    rows = [
        {"instrument": symbol, "kind": "fx", "base_currency": symbol[:3], "quote_currency": symbol[3:6]} for symbol in symbols
    ]
    return world.reference(rows=rows, reporting_currency=reporting)


def rates_of(where: Reference, mids: dict[str, float], stale: tuple[str, ...] = ()) -> Rates:
    return CurrencyGraph(where).rates(*inputs(where, mids, stale))


def inputs(where: Reference, mids: dict[str, float], stale: tuple[str, ...] = ()):
    price = np.array([mids.get(symbol, 0.0) for symbol in where.symbols])
    priced = np.array([symbol in mids for symbol in where.symbols])
    fresh = np.array([symbol in mids and symbol not in stale for symbol in where.symbols])
    return price, priced, fresh


def rate(where: Reference, currency: str, mids: dict[str, float], stale: tuple[str, ...] = ()) -> float | None:
    rates, number = rates_of(where, mids, stale), where.currency_index[currency]
    return float(rates.value[number]) if rates.known[number] else None


def test_the_reporting_currency_is_worth_one():
    assert rate(pairs("EURUSD"), "USD", {}) == 1.0


def test_a_minor_unit_has_a_hundredth_of_the_rate_of_its_currency_also_where_that_is_stale():
    share = {"instrument": "VOD", "kind": "equity", "quote_currency": "GBp"}
    pair = {"instrument": "GBPUSD", "kind": "fx", "base_currency": "GBP", "quote_currency": "USD"}
    where = world.reference(rows=(share, pair))
    assert rate(where, "GBX", {"GBPUSD": 1.25}) == 0.0125
    assert rates_of(where, {"GBPUSD": 1.25}, ("GBPUSD",)).stale[where.currency_index["GBX"]]
    assert rate(where, "GBX", {}) is None
    assert rate(world.reference(rows=(share,), reporting_currency="GBP"), "GBX", {}) == 0.01


def test_a_direct_pair_is_its_mid():
    assert rate(pairs("EURUSD"), "EUR", {"EURUSD": 1.0842}) == 1.0842


def test_an_inverse_is_one_over_the_mid():
    assert rate(pairs("USDJPY"), "JPY", {"USDJPY": 151.37}) == 1.0 / 151.37


def test_a_cross_is_the_product_along_its_path():
    mids = {"GBPUSD": 1.24, "EURGBP": 0.852}
    assert rate(pairs("GBPUSD", "EURGBP"), "EUR", mids) == 0.852 * 1.24


def test_a_currency_without_a_path_has_no_rate_neither_one_nor_zero():
    assert rate(pairs("EURUSD", "EURGBP"), "GBP", {"EURUSD": 1.1}) is None


def test_an_unpriced_pair_is_no_path():
    assert rate(pairs("EURUSD"), "EUR", {}) is None


def test_the_fewest_hops_win_over_any_longer_way():
    mids = {"EURUSD": 1.1, "EURGBP": 0.8, "GBPUSD": 9.0}
    assert rate(pairs(*mids), "EUR", mids) == 1.1


def test_of_equal_paths_the_first_currency_in_the_alphabet_is_gone_through():
    mids = {"SEKEUR": 0.1, "SEKGBP": 0.2, "EURUSD": 1.1, "GBPUSD": 1.3}
    assert rate(pairs(*mids), "SEK", mids) == 0.1 * 1.1


def test_of_two_pairs_over_the_same_currencies_the_first_symbol_counts():
    mids = {"EURUSD": 1.1, "EURUSD2": 1.2}
    assert rate(pairs(*mids), "EUR", mids) == 1.1


def test_a_fresh_longer_path_is_preferred_to_a_stale_shorter_one():
    mids = {"EURUSD": 1.1, "EURGBP": 0.8, "GBPUSD": 1.3}
    assert rate(pairs(*mids), "EUR", mids, stale=("EURUSD",)) == 0.8 * 1.3


def test_a_stale_path_still_gives_a_rate_and_says_so():
    where = pairs("EURUSD")
    rates = rates_of(where, {"EURUSD": 1.1}, stale=("EURUSD",))
    assert rates.value[where.currency_index["EUR"]] == 1.1
    assert rates.stale[where.currency_index["EUR"]]


def test_where_no_path_is_all_fresh_the_shortest_of_all_counts_though_parts_of_a_longer_are_fresh():
    mids = {"EURUSD": 1.1, "EURGBP": 0.8, "GBPUSD": 1.3}
    assert rate(pairs(*mids), "EUR", mids, stale=("EURUSD", "GBPUSD")) == 1.1


def test_only_spot_pairs_are_edges():
    forward = {"instrument": "EURUSD1M", "kind": "fx_forward", "base_currency": "EUR", "quote_currency": "USD"}
    forward["expiry"] = "2026-04-07"
    assert rate(world.reference(rows=[forward]), "EUR", {"EURUSD1M": 1.1}) is None


def test_the_graph_notices_pairs_that_come_age_and_change():
    where = pairs("EURUSD", "EURGBP", "GBPUSD")
    graph, euro = CurrencyGraph(where), where.currency_index["EUR"]
    mids = {"EURGBP": 0.8, "GBPUSD": 1.3}
    assert graph.rates(*inputs(where, mids)).value[euro] == 0.8 * 1.3
    assert graph.rates(*inputs(where, mids | {"EURUSD": 1.1})).value[euro] == 1.1
    assert graph.rates(*inputs(where, mids | {"EURUSD": 1.2})).value[euro] == 1.2
    assert graph.rates(*inputs(where, mids | {"EURUSD": 1.2}, stale=("EURUSD",))).value[euro] == 0.8 * 1.3


CODES = ("USD", "EUR", "GBP", "JPY", "CHF", "ISK")
edges = st.lists(
    st.tuples(st.sampled_from(CODES), st.sampled_from(CODES)).filter(lambda edge: edge[0] != edge[1]).map("".join),
    min_size=1,
    max_size=9,
    unique=True,
)


@given(edges, st.data())
def test_any_web_of_pairs_gives_the_path_that_a_search_of_all_paths_gives(symbols, data):
    mids = {symbol: 1.0 + place / 7 for place, symbol in enumerate(symbols) if data.draw(st.integers(0, 4), label=symbol)}
    stale = tuple(symbol for symbol in mids if data.draw(st.booleans(), label=f"{symbol} is stale"))
    where = pairs(*symbols, "USDEUR")
    model = Model({}, {s: Spec("fx", s[:3], s[3:], Fraction(1)) for s in (*symbols, "USDEUR")}, "USD")
    model.priced_at = NOON
    for symbol, mid in mids.items():
        ts = NOON - 100 * SECOND if symbol in stale else NOON
        model.ticks.append({"instrument": symbol, "ts": ts, "bid": mid, "ask": mid})
    marks, rates = model.marks(), rates_of(where, mids, stale)
    for number, currency in enumerate(where.currencies):
        expected = model.rate(currency, marks)
        found = (Fraction(rates.value[number]), bool(rates.stale[number])) if rates.known[number] else None
        assert found == expected, currency


@pytest.mark.parametrize("reporting", ["USD", "GBP", "EUR"])
def test_any_currency_may_be_the_reporting_one(reporting):
    mids = {"EURUSD": 1.25, "GBPUSD": 1.5}
    assert rate(pairs(*mids, reporting=reporting), reporting, mids) == 1.0

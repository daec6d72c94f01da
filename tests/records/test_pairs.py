"""Which instrument quotes a pair of currencies, for spots of options and for the names of their surfaces."""

from typing import Any

from riskengine.records.option_input_checks import OptionInputCheck, VolInput
from riskengine.records.option_inputs import SurfaceRow
from riskengine.records.pairs import quoted_pairs
from riskengine.records.types import Instrument, Kind
from tests.optioned import OptionHouse, option
from tests.world import NOON


def pair(symbol: str, kind: Kind = Kind.FX, base: str = "EUR", **columns: Any) -> Instrument:
    return Instrument(instrument=symbol, kind=kind, base_currency=base, quote_currency="USD", **columns)


def test_a_spot_pair_goes_before_a_metal_or_a_coin_and_of_several_the_first_by_name() -> None:
    listed = [pair("AEUR", Kind.CRYPTO), pair("EURUSD.b"), pair("EURUSD.a"), pair("GOLD", Kind.METAL, "XAU")]
    assert quoted_pairs(listed) == {("EUR", "USD"): "EURUSD.a", ("XAU", "USD"): "GOLD"}


def test_a_price_for_more_than_one_unit_quotes_no_pair() -> None:
    assert quoted_pairs([pair("EURUSD", multiplier=10**6), pair("EURUSD.x")]) == {("EUR", "USD"): "EURUSD.x"}


def test_a_surface_that_is_sent_by_its_currencies_is_that_of_the_options_on_the_pair() -> None:
    """A coin that comes first by name does not take the surface away from the spot pair that gives the options their spot."""
    coin = {"instrument": "AEUR", "kind": "crypto", "base_currency": "EUR", "quote_currency": "GBP", "quantity_decimals": 2}
    made = OptionHouse([coin, option("C", "EUR", "GBP", "0.86")])
    check = OptionInputCheck(made.where.by_symbol, 60.0)
    row = check(VolInput(pair="EUR/GBP", expiry="2026-09-04", ts=NOON, atm=0.1), NOON)
    assert isinstance(row, SurfaceRow)
    assert (row.pair,) == made.engine.options.terms.subject == ("EURGBP",)

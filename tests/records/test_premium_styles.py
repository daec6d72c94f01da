"""The unit of an option's price, and the contract multiplier that follows from it, exact."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.records.premium_styles import PREMIUM_STYLES, pip_of, price_factor, scaled_multiplier
from riskengine.records.types import CASH_ONE, ONE, Instrument, Kind, cash_and_fill_price


def option(style: str, **columns: object) -> Instrument:
    plain = {"base_currency": "EUR", "quote_currency": "USD", "strike": "1.1", "exercise": "european"}
    return Instrument(instrument="O", kind=Kind.FX_OPTION, premium_style=style, **(plain | columns))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("style", "quote_currency", "strike", "cash"),
    [
        ("quote", "USD", "1.1", "-13200"),  # 1,000,000 x 0.0132 dollars
        ("pct_base", "USD", "1.1", "-13200"),  # 1.32 % of 1,000,000 euros
        ("pct_quote", "USD", "1.1", "-14520"),  # 1.32 % of 1,100,000 dollars
        ("pips", "USD", "1.1", "-1.32"),  # 0.0132 pips of 0.0001 dollars
        ("pips", "JPY", "160", "-132"),  # 0.0132 pips of 0.01 yen
    ],
)
def test_a_price_pays_what_its_style_says(style: str, quote_currency: str, strike: str, cash: str) -> None:
    instrument = option(style, quote_currency=quote_currency, strike=strike)
    price = int(Decimal("0.0132") * ONE)
    paid, filled = cash_and_fill_price(1, 1_000_000 * ONE, price, None, instrument.contract_multiplier)
    assert (paid, filled) == (int(Decimal(cash) * CASH_ONE), 0.0132)


def test_a_contra_amount_gives_back_the_price_in_the_unit_of_the_style() -> None:
    multiplier = option("pips").contract_multiplier
    _, filled = cash_and_fill_price(1, 2_000_000 * ONE, 0, 24_600 * ONE, multiplier)
    assert filled == pytest.approx(123.0, rel=1e-15)


def test_the_lot_size_multiplies_the_unit() -> None:
    assert option("pips", multiplier=100_000 * 10**8).contract_multiplier == 10 * 10**8


def test_an_option_of_an_older_store_counts_per_unit_whatever_its_style() -> None:
    assert option("pips", exercise="").contract_multiplier == 10**8


@given(
    st.integers(1, 10**18),
    st.sampled_from(PREMIUM_STYLES),
    st.sampled_from(["USD", "JPY", "KRW"]),
    st.decimals("0.0001", "1e9", places=6),
)
def test_the_contract_multiplier_is_exact_or_refused(k: int, style: str, quote: str, strike: Decimal) -> None:
    factor = {"pips": Decimal("0.01" if quote != "USD" else "0.0001"), "pct_quote": strike}.get(style, Decimal(1))
    exact = Fraction(k) * Fraction(factor)
    assert price_factor(style, quote, str(strike)) == Fraction(factor)
    assert scaled_multiplier(k, style, quote, str(strike)) == (exact if exact.denominator == 1 else None)


def test_a_pip_is_a_hundredth_where_dealers_quote_two_decimals() -> None:
    assert {code: pip_of(code) for code in ("USD", "CHF")} == dict.fromkeys(("USD", "CHF"), Fraction(1, 10_000))
    assert {code: pip_of(code) for code in ("JPY", "HUF")} == dict.fromkeys(("JPY", "HUF"), Fraction(1, 100))

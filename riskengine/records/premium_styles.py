"""The unit of an option's price: how much cash one unit of the price is, for one unit of the underlying (ACCOUNTING section 6).

Trade prices, marks, averages and values stay in the unit that the instrument's `premium_style` names; the linear form multiplies
them by the contract multiplier, k times the factor of the style. k alone, the lot size, multiplies deltas.

| style     | a price of 0.0132 is                          | factor                  | cash currency  |
|-----------|-----------------------------------------------|-------------------------|----------------|
| quote     | 0.0132 quote currency for one unit of base    | 1                       | quote currency |
| pips      | 0.0132 pips of the pair for one unit of base  | 0.0001 or 0.01          | quote currency |
| pct_base  | 1.32 % of the base amount                     | 1                       | base currency  |
| pct_quote | 1.32 % of the amount at the strike            | the strike              | quote currency |
"""

from fractions import Fraction
from functools import lru_cache

QUOTE, PIPS, PCT_BASE, PCT_QUOTE = PREMIUM_STYLES = ("quote", "pips", "pct_base", "pct_quote")

CENT_PIP_CURRENCIES = frozenset(
    {"CLP", "COP", "CRC", "DJF", "GNF", "HUF", "IDR", "ISK", "JPY", "KRW", "LAK", "NGN", "PYG", "RWF", "THB", "UGX", "UZS", "VND"}
)
"""Quote currencies of pairs whose pip is 0.01: dealers quote them with two decimals. The pip of all other pairs is 0.0001."""


def pip_of(quote_currency: str) -> Fraction:
    """One pip of a pair, in its quote currency."""
    return Fraction(1, 100 if quote_currency in CENT_PIP_CURRENCIES else 10_000)


def price_factor(style: str, quote_currency: str, strike: str) -> Fraction:
    """How much cash a price of 1 is for one unit of the underlying, exact. `strike` is a decimal text."""
    if style == PIPS:
        return pip_of(quote_currency)
    return Fraction(strike) if style == PCT_QUOTE else Fraction(1)


@lru_cache(maxsize=65_536)
def scaled_multiplier(multiplier: int, style: str, quote_currency: str, strike: str) -> int | None:
    """The contract multiplier of a lot size, both in units of 1e-8; None if it has more than eight decimals. 0.1 us."""
    scaled = multiplier * price_factor(style, quote_currency, strike)
    return scaled.numerator if scaled.denominator == 1 else None

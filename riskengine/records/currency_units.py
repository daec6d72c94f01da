"""Minor units: prices of London, Johannesburg and Tel Aviv in hundredths of their currency (ACCOUNTING section 5).

A minor unit stands for 1/100 of its currency wherever a currency or the unit of a price is named. A source may quote in another
unit than the instrument: `PriceUnits` says which, and its prices are converted at the door, exact.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from riskengine.errors import ConfigError
from riskengine.printable import printable

MINOR_UNITS = {"GBX": "GBP", "GBp": "GBP", "ZAc": "ZAR", "ILA": "ILS"}
"""1/100 of a currency, by its code."""

_SPELLINGS = {"GBp": "GBX"}
"""Other spellings of a unit, and the one that is kept."""

PriceUnits = Mapping[str, Mapping[str, str]]
"""The unit in which a source quotes, by source and the instrument's currency: `{"lse": {"GBP": "GBX"}}`."""

AS_THEY_ARE: PriceUnits = {}
"""Every source quotes in the instrument's own currency."""


def one_spelling(code: str) -> str:
    """The code under which a unit is kept: GBp and GBX are one."""
    return _SPELLINGS.get(code, code)


def places_between(code: str, currency: str) -> int | None:
    """By how many decimal places an amount in `code` moves to be one in `currency`: 0, -2 or 2; None for another currency.

    250 GBX are 2.50 GBP: -2.
    """
    code, currency = one_spelling(code), one_spelling(currency)
    if code == currency:
        return 0
    if MINOR_UNITS.get(code) == currency:
        return -2
    return 2 if MINOR_UNITS.get(currency) == code else None


def move_point(amount: Decimal, places: int) -> Decimal:
    """The amount times 10^`places`, exact: no context rounds it."""
    sign, digits, exponent = amount.as_tuple()
    return Decimal((sign, digits, exponent + places)) if isinstance(exponent, int) else amount


def move_quote(value: float | str | None, places: int) -> float | str | None:
    """A side of a quote times 10^`places`: the double nearest to the exact product, a text for a text. 1.5 us.

    What is no number stays as it is: the rules of quotes refuse it.
    """
    if value is None or value == "":
        return value
    try:
        moved = move_point(Decimal(value if isinstance(value, str) else repr(value)), places)
    except InvalidOperation:
        return value
    return f"{moved:f}" if isinstance(value, str) and moved.is_finite() and -400 < moved.adjusted() < 400 else float(moved)


def quoted_places(units: PriceUnits, source: str, currency: str) -> int:
    """By how many decimal places a price of `source` moves to be one in `currency`: 0 unless a setting says otherwise. 0.1 us."""
    of_source = units.get(source)
    unit = None if of_source is None else of_source.get(currency)
    return 0 if unit is None else places_between(unit, currency) or 0


def check_price_units(units: PriceUnits) -> None:
    """Raise ConfigError for a unit that is not one of its currency, and for one that changes nothing."""
    for source, of_source in units.items():
        for currency, unit in of_source.items():
            setting = f"price_units.{printable(source)}.{printable(currency)}"
            if places_between(unit, currency) is None:
                known = ", ".join(f"{minor} of {major}" for minor, major in MINOR_UNITS.items())
                raise ConfigError(f"{setting}: {unit!r} is no unit of it; hundredths are {known}")
            if one_spelling(currency) != currency:
                raise ConfigError(f"{setting}: instruments in it are kept as {one_spelling(currency)}: name that")

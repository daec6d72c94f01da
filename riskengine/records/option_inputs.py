"""What options and forwards are valued with, beside prices: vols, rates, points, Greeks from outside, spots at the cut.

Each row says when it was observed (`ts`, microseconds) and by whom (`source`). Of the rows of one subject the one with the newest
`ts` counts, of equal ones the later arrival.
"""

from typing import NamedTuple

import msgspec


class Vol(msgspec.Struct, frozen=True, gc=False):
    """The vol of one option, a fraction: 0.0825 is 8.25 %."""

    instrument: str
    ts: int
    vol: float
    source: str = ""


class SurfaceRow(msgspec.Struct, frozen=True, gc=False):
    """The vols of one pair or underlying at one expiry, fractions. A wing that is not quoted is None.

    `expiry` is a date, YYYY-MM-DD. `rr25` is the vol of the 25-delta call less that of the put; `bf25` is what `bf_style` of the
    pair says.
    """

    pair: str
    expiry: str
    ts: int
    atm: float
    rr25: float | None = None
    bf25: float | None = None
    rr10: float | None = None
    bf10: float | None = None
    source: str = ""


RATE, DISCOUNT, YIELD, POINTS = "rate", "df", "yield", "points"


class RateRow(msgspec.Struct, frozen=True, gc=False):
    """One point of the curve of a subject, to `date` (YYYY-MM-DD).

    kind     what `value` is: `rate` of a currency (continuously compounded, ACT/365, a fraction), `df` of a currency (a discount
             factor from the day of `ts` to `date`), `yield` of an underlying (as a rate), `points` of a pair (outright less spot,
             in price units)
    subject  the currency, underlying or pair
    """

    subject: str
    kind: str
    date: str
    ts: int
    value: float
    source: str = ""


class PushedGreeks(msgspec.Struct, frozen=True, gc=False):
    """Value and Greeks of one option from an outside model, as quoted, before the multiplier.

    spot, vol  what they were computed with
    value      in the cash currency, in the unit of the option's price
    delta      a fraction; gamma per 1.00 of spot; vega per vol point; theta per calendar day
    """

    instrument: str
    ts: int
    spot: float
    vol: float
    value: float
    delta: float
    gamma: float
    vega: float
    theta: float
    source: str = ""


class CutSpot(msgspec.Struct, frozen=True, gc=False):
    """What the underlying of an option was worth at its cut, in the quote currency.

    `ts` is the time of that price, at the cut or before it. The engine makes it when the cut has come (`valuation.options.cuts`).
    """

    instrument: str
    ts: int
    price: float
    source: str = ""


OptionInput = CutSpot | Vol | SurfaceRow | RateRow | PushedGreeks


class DatedInput(NamedTuple):
    """A row and the trading day (YYYY-MM-DD) that its `ts` belongs to, for the store."""

    day: str
    row: OptionInput

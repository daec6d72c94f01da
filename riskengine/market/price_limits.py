"""How far a price of an instrument may lie from another one before it is doubted: by kind, as a fraction of the other price.

Pure. The limits come from the configuration (`[marks.max_move]`, `[trades.off_market]`; ACCOUNTING section 8).
"""

import math
from functools import cache

from riskengine.config import KindLimits
from riskengine.records.types import Instrument, Kind

G10 = frozenset(("USD", "EUR", "JPY", "GBP", "CHF", "AUD", "NZD", "CAD", "SEK", "NOK"))
"""Pairs of two of these have a limit of their own, `fx_g10`."""


def limit_of(instrument: Instrument, limits: float | KindLimits) -> float:
    """The limit of an instrument, a fraction; 0: no limit. One number holds for all kinds; a forward has that of its pair."""
    if isinstance(limits, int | float):
        return float(limits)
    kind = Kind.FX if instrument.kind is Kind.FX_FORWARD else instrument.kind
    if kind is Kind.FX and limits.fx and {instrument.base_currency, instrument.quote_currency} <= G10:
        return limits.fx_g10
    limit: float = getattr(limits, kind.value)
    return limit


def is_within(price: float, around: float, limit: float) -> bool:
    """Whether a price lies within `limit`, a fraction, of another. With a limit of 0, or around 0, every price does."""
    if not limit or not around:
        return True
    near, far = around * (1.0 - limit), around * (1.0 + limit)
    return near <= price <= far if around > 0.0 else far <= price <= near


@cache
def band_of(limit: float) -> tuple[float, float]:
    """What times a price above 0 bounds the prices within `limit` of it.

    All who have that limit share one pair, which the processor then has at hand.
    """
    return (1.0 - limit, 1.0 + limit) if limit else (-math.inf, math.inf)

"""The close of a trading day as the roll strikes it: what every position was, and what it was worth, at the boundary.

A `StruckClose` is never rewritten. A later version (an official price that came late) supersedes it and stands beside it in the
store. `records.types.Close` is another thing: one official price of one instrument, as a person or a feed loads it.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from riskengine.records.types import FloatArray

CLOSE_MEASURES = (
    "total_pnl",
    "day_pnl",
    "net_day_pnl",
    "fees",
    "net_exposure",
    "gross_exposure",
    "nav",
    "month_pnl",
    "year_pnl",
)
"""The fields of an owner that a close keeps, in the reporting currency; not a number (nan) where unknown."""


NOTHING: Mapping[str, int] = {}
"""No amounts, by currency."""


class ClosePrice(NamedTuple):
    """The mark of a close: `price` in the instrument's cash currency, with its own event time `ts` (microseconds) and source.

    `official` says that it is a loaded close or settlement of that date, not a mark of the feeds.
    """

    price: float
    ts: int
    source: str = ""
    official: bool = False


class ClosedPosition(NamedTuple):
    """A leaf position at a close: `owner` is its node or dealer; units as in `positions.position` (1e-10 and 1e-28).

    `month_pnl` and `year_pnl` are to date in the reporting currency, this day included; None where unknown. `beside` are the
    amounts kept beside net cash, by currency, units of 1e-28.
    """

    owner: str
    instrument: str
    quantity: int
    cash: int
    average: float | None
    fees: Mapping[str, int]
    month_pnl: float | None = None
    year_pnl: float | None = None
    beside: Mapping[str, int] = NOTHING


class OwnerTotals(NamedTuple):
    """Amounts of several nodes or dealers: `amounts` has shape (CLOSE_MEASURES, owners)."""

    owners: tuple[str, ...]
    amounts: FloatArray


class CloseHeader(NamedTuple):
    """A struck close without its positions and totals; the fields are those of `StruckClose`."""

    date: str
    version: int
    ts: int
    struck_ts: int
    reporting_currency: str
    prices: Mapping[str, ClosePrice]
    rates: Mapping[str, float]
    openings: tuple[tuple[str, str, str], ...] = ()


class OwnerClose(NamedTuple):
    """What one node or dealer came to at one version of a close: `amounts` by CLOSE_MEASURES, None where unknown."""

    date: str
    version: int
    amounts: Mapping[str, float | None]


APPLIED, DUPLICATE, REJECTED = "applied", "duplicate", "rejected"
"""What becomes of a posted official close."""


class CloseOutcome(NamedTuple):
    """What became of a posted official close: `applied`, `duplicate` or `rejected`, with old and new price of a new version."""

    status: str
    reason: str = ""


class StruckClose(msgspec.Struct, frozen=True, kw_only=True):
    """The close of one trading day, of the whole engine.

    date       the trading day, YYYY-MM-DD
    version    1, then higher for each one that supersedes it
    ts         the boundary that ends the day, microseconds
    struck_ts  when it was struck
    prices     the mark of the close by instrument; an instrument without one is absent
    rates      the value of one unit of each currency in the reporting currency; a currency without a rate is absent
    nodes      positions of leaf nodes, sorted by (owner, instrument)
    dealers    positions of dealers, sorted by (owner, instrument)
    node_totals, dealer_totals
               amounts of all nodes, inner ones too, and of all dealers
    openings   (desk, dealer, instrument) of the opening balances that the positions contain
    """

    date: str
    version: int
    ts: int
    struck_ts: int
    reporting_currency: str
    prices: Mapping[str, ClosePrice]
    rates: Mapping[str, float]
    nodes: tuple[ClosedPosition, ...]
    dealers: tuple[ClosedPosition, ...]
    node_totals: OwnerTotals
    dealer_totals: OwnerTotals
    openings: tuple[tuple[str, str, str], ...] = ()

"""The quote of one instrument, as the quote book keeps it between two ticks."""

import math
from typing import NamedTuple

from riskengine.market.marks import Mark
from riskengine.market.price_limits import band_of, is_within
from riskengine.market.suspects import SuspectLevel
from riskengine.records.types import WORTHLESS_KINDS, Instrument, Kind

NO_BAND = (math.nan, math.nan)

NEVER = 2**63 - 1
"""Later than every event time."""


class QuoteState:
    """The quote of one instrument: its good mark, and the suspect levels beside it.

    A mark times `down` and times `up` bounds what the fast way of a tick believes. While a source is suspect they are no numbers,
    so that every tick goes by all rules; so does a tick from event time `bound` on, and one before the mark's while `is_closing`
    (see `closing_book`).
    """

    __slots__ = (
        "ask",
        "bid",
        "bound",
        "changed",
        "down",
        "is_closing",
        "kind",
        "left",
        "limit",
        "may_be_worthless",
        "may_be_zero",
        "number",
        "price",
        "source",
        "suspects",
        "ts",
        "up",
    )

    def __init__(self) -> None:
        self.number = 0
        self.may_be_zero = False
        self.may_be_worthless = False
        self.limit = 0.0
        self.price = 0.0
        self.bid: float | None = None
        self.ask: float | None = None
        self.ts = 0
        self.source = ""
        self.kind = ""
        self.left: float | None = None  # the price that the mark left for one that was held back
        self.down, self.up = NO_BAND
        self.suspects: dict[str, SuspectLevel] = {}
        self.changed = False
        self.bound = NEVER
        self.is_closing = False

    def fit(self, number: int, instrument: Instrument, limit: float) -> None:
        """Take an instrument's number, and how far a quote may move its mark (a fraction, 0: any distance)."""
        self.number = number
        self.may_be_zero = instrument.kind is Kind.FUTURE
        self.may_be_worthless = instrument.kind in WORTHLESS_KINDS
        self.limit = limit
        self.hold(self.suspects)

    def put(self, mark: Mark) -> None:
        """Make a mark the good one; the suspects stay."""
        self.price, self.ts, self.source, self.kind = mark.price, mark.ts, mark.source, mark.kind
        self.bid, self.ask = mark.bid, mark.ask
        self.left = None

    def copy(self) -> "QuoteState":
        """The same quote apart, as one that has not changed and has no cutoff."""
        other = QuoteState()
        for name in ("number", "may_be_zero", "may_be_worthless", "limit", "price", "bid", "ask", "ts", "source", "kind", "left"):
            setattr(other, name, getattr(self, name))
        other.hold(dict(self.suspects))
        return other

    def is_contradicted(self, level: SuspectLevel, since: int) -> bool:
        """Whether another source than the level's has set the mark, with a quote of `since` or later."""
        return self.source != level.source and self.ts >= since

    def repeats_left(self, source: str, price: float, since: int) -> bool:
        """Whether a source goes on saying the price that the mark has left, and the mark was quoted at `since` or later."""
        is_left = self.left is not None and source != self.source and is_within(price, self.left, self.limit)
        return is_left and self.ts >= since

    def hold(self, suspects: dict[str, SuspectLevel]) -> None:
        """Replace the suspect levels."""
        self.suspects = suspects
        self.down, self.up = NO_BAND if suspects else band_of(self.limit)

    def mark(self) -> Mark | None:
        """The good mark with its suspects; None before the first price."""
        if not self.ts and not self.suspects:
            return None
        return Mark(self.price, self.ts, self.source, self.kind, tuple(self.suspects.values()), None, self.bid, self.ask)


class Offered(NamedTuple):
    """A tick as a price: its event time and source, the kind of mark that it makes. `now` and `latest` are of its arrival.

    `bid` and `ask` are its sides, None for one that it does not have.
    """

    price: float
    ts: int
    source: str
    kind: str
    now: int
    latest: int
    bid: float | None = None
    ask: float | None = None

"""Numbers that limits bound and that no snapshot has: they are worked out beside it, a moment later.

VaR, expected shortfall, cash by value date and exposure to counterparties come from the process once a second, each with the
moment of the snapshot that it is of. One that is older than the judge takes, or was never given, is unknown: a limit on it is
never fine.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from riskengine.limits.holdings import NOTHING_KNOWN, Number
from riskengine.limits.lines import LimitLine
from riskengine.records.limits import CASH_ON_DATE, COUNTERPARTY, EXPECTED_SHORTFALL, VAR
from riskengine.records.types import Trade

FIGURES = frozenset({VAR, EXPECTED_SHORTFALL, CASH_ON_DATE, COUNTERPARTY})
"""Measures that are worked out beside the snapshot."""

LASTS_US = 15_000_000
"""How long a figure counts as that of a newer snapshot, microseconds."""


class FigureKey(NamedTuple):
    """Whose figure it is: lines of several limits may share one."""

    measure: str
    node: str
    dealer: str
    currency: str
    counterparty: str
    side: str

    @classmethod
    def of(cls, line: LimitLine) -> "FigureKey":
        """The figure that a line bounds."""
        limit = line.limit
        return cls(limit.measure, line.node, line.dealer, limit.currency, limit.counterparty, limit.side)


class IntendedTrade(NamedTuple):
    """A trade to come, in the instrument of its position, and with whom; "": nobody says."""

    trade: Trade
    counterparty: str = ""


class Figure(NamedTuple):
    """One figure.

    as_of   the moment of the snapshot that it is of, microseconds
    after   the number after trades, by the same prices
    """

    number: Number
    as_of: int
    after: Callable[[Sequence[IntendedTrade]], Number]


Figures = Mapping[FigureKey, Figure]
NO_FIGURES: Figures = {}


class FigureLines:
    """The lines among all whose numbers are figures, with their places."""

    def __init__(self, lines: Sequence[LimitLine]) -> None:
        self.keys = {at: FigureKey.of(line) for at, line in enumerate(lines) if line.owner >= 0 and line.limit.measure in FIGURES}

    def numbers(self, as_of: int, figures: Figures, lasts_us: int) -> dict[int, Number]:
        """The number of each line at a moment, by place. O(lines of figures)."""
        found = {}
        for at, key in self.keys.items():
            figure = figures.get(key)
            found[at] = NOTHING_KNOWN if figure is None or as_of - figure.as_of > lasts_us else figure.number
        return found

"""Numbers that limits bound and that no snapshot has: they are worked out beside it, a moment later.

VaR, expected shortfall, cash by value date and exposure to counterparties come from the process once a second, each with the
moment of the snapshot that it is of. One that is older than the judge takes, or was never given, is unknown: a limit on it is
never fine.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from riskengine.limits.holdings import Number
from riskengine.limits.lines import LimitLine
from riskengine.limits.readings import Readings
from riskengine.records.limits import CASH_ON_DATE, COUNTERPARTY, EXPECTED_SHORTFALL, VAR
from riskengine.records.types import IntArray, Trade

FIGURES = frozenset({VAR, EXPECTED_SHORTFALL, CASH_ON_DATE, COUNTERPARTY})
"""Measures that are worked out beside the snapshot."""

FAR = 2**62

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
    """The lines among all whose numbers are figures, with their places. One thread, with snapshots in ascending order."""

    def __init__(self, lines: Sequence[LimitLine]) -> None:
        self.keys = {at: FigureKey.of(line) for at, line in enumerate(lines) if line.owner >= 0 and line.limit.measure in FIGURES}
        self._places: IntArray = np.array([*self.keys], dtype=np.int64)
        self._seen: Figures | None = None
        self._good_until = 0
        self._found = Readings(0)

    def read(self, as_of: int, figures: Figures, lasts_us: int, into: Readings) -> None:
        """Set the numbers of the lines at a moment. O(lines) in arrays; one by one where figures came or grew too old."""
        if not self.keys:
            return
        if figures is not self._seen or as_of > self._good_until:
            self._read_anew(as_of, figures, lasts_us)
        into.value[self._places], into.whole[self._places] = self._found.value, self._found.whole
        for place, subject in self._found.subjects.items():
            into.subjects[place] = subject

    def _read_anew(self, as_of: int, figures: Figures, lasts_us: int) -> None:
        self._seen, self._good_until = figures, FAR
        self._found = Readings(len(self.keys))
        for place, (at, key) in enumerate(self.keys.items()):
            figure = figures.get(key)
            if figure is None or as_of - figure.as_of > lasts_us:
                continue  # unknown
            self._good_until = min(self._good_until, figure.as_of + lasts_us)
            self._found.value[place], self._found.whole[place] = figure.number.value, figure.number.whole
            if figure.number.subject:
                self._found.subjects[at] = figure.number.subject

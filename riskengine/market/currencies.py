"""Currency rates: the value of one unit of each currency in the reporting currency.

Currencies are the nodes of a graph, FX spot pairs its edges. A rate is the product of mids along the path with the fewest
hops among fresh pairs, else among all priced ones; of equal paths the first in alphabetical order (currency by currency from
the one to value, then pair symbols); an inverse is 1/mid. A currency without a path has no rate: not 1.0, not 0
(ACCOUNTING section 4).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from riskengine.records.reference import Reference
from riskengine.records.types import BoolArray, FloatArray, Kind, small_lot


class Pair(NamedTuple):
    """An edge: one unit of `base` costs the mid of instrument number `instrument` in `quote`."""

    symbol: str
    instrument: int
    base: int
    quote: int


class Hop(NamedTuple):
    """One step of a path towards the reporting currency."""

    instrument: int
    inverse: bool
    to: int


class Rates(NamedTuple):
    """Rates by currency number. `value` is 0 if not `known`. A rate is `stale` if a pair on its path is."""

    value: FloatArray
    known: BoolArray
    stale: BoolArray
    paths: tuple[tuple[Hop, ...] | None, ...]


class CurrencyGraph:
    """Computes the rates of a beat; searches paths only when a pair appears, disappears or ages. Writer thread only."""

    def __init__(self, reference: Reference) -> None:
        self._reporting = reference.currency_index[reference.reporting_currency]
        self._count = len(reference.currencies)
        self._pairs = tuple(
            Pair(i.instrument, n, reference.currency_index[i.base_currency], reference.currency_index[i.quote_currency])
            for n, i in enumerate(reference.instruments)
            if i.kind is Kind.FX and small_lot(i.kind, i.multiplier) is None
        )
        self._instruments = np.array([pair.instrument for pair in self._pairs], dtype=np.int64)
        self._routed_for: tuple[bytes, bytes] | None = None
        self._paths: tuple[tuple[Hop, ...] | None, ...] = ()
        self._stale = np.zeros(self._count, dtype=np.bool_)

    @property
    def instruments(self) -> npt.NDArray[np.int64]:
        """Numbers of the FX spot pairs among the instruments."""
        return self._instruments

    def rates(self, prices: FloatArray, priced: BoolArray, fresh: BoolArray) -> Rates:
        """Rates for marks `prices` by instrument number. O(currencies x hops), plus a search if usable or fresh pairs changed."""
        usable = priced[self._instruments] & (prices[self._instruments] > 0.0)
        fresh_pairs = usable & fresh[self._instruments]
        state = (usable.tobytes(), fresh_pairs.tobytes())
        if state != self._routed_for:
            self._route(usable, fresh_pairs)
            self._routed_for = state
        value = np.zeros(self._count)
        known = np.zeros(self._count, dtype=np.bool_)
        for currency, path in enumerate(self._paths):
            if path is not None:
                rate = 1.0
                for hop in path:
                    mid = float(prices[hop.instrument])
                    rate *= 1.0 / mid if hop.inverse else mid
                value[currency] = rate
                known[currency] = True
        for array in (value, known, self._stale):
            array.flags.writeable = False
        return Rates(value, known, self._stale, self._paths)

    def _route(self, usable: BoolArray, fresh: BoolArray) -> None:
        best = self._search([pair for pair, use in zip(self._pairs, fresh, strict=True) if use])
        fallback = self._search([pair for pair, use in zip(self._pairs, usable, strict=True) if use])
        stale = np.zeros(self._count, dtype=np.bool_)
        paths: list[tuple[Hop, ...] | None] = []
        for currency in range(self._count):
            stale[currency] = best[currency] is None and fallback[currency] is not None
            paths.append(fallback[currency] if best[currency] is None else best[currency])
        self._paths, self._stale = tuple(paths), stale

    def _search(self, pairs: Sequence[Pair]) -> list[tuple[Hop, ...] | None]:
        """Breadth first from the reporting currency. Currency numbers are in alphabetical order, so `min` breaks ties."""
        edges: dict[int, list[tuple[int, str, Hop]]] = {}
        for pair in pairs:
            edges.setdefault(pair.base, []).append((pair.quote, pair.symbol, Hop(pair.instrument, False, pair.quote)))
            edges.setdefault(pair.quote, []).append((pair.base, pair.symbol, Hop(pair.instrument, True, pair.base)))
        paths: list[tuple[Hop, ...] | None] = [None] * self._count
        paths[self._reporting] = ()
        frontier = {self._reporting}
        while frontier:
            reached: dict[int, Hop] = {}
            for currency in {far for near in frontier for far, _, _ in edges.get(near, ())}:
                if paths[currency] is None:
                    reached[currency] = min(edge for edge in edges[currency] if edge[0] in frontier)[2]
            for currency, hop in reached.items():
                paths[currency] = (hop, *(paths[hop.to] or ()))
            frontier = set(reached)
        return paths

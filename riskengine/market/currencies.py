"""Currency rates: the value of one unit of each currency in the reporting currency.

Currencies are the nodes of a graph, FX spot pairs its edges. A rate is the product of mids along the path with the fewest
hops among fresh pairs, else among all priced ones; of equal paths the first in alphabetical order (currency by currency from
the one to value, then pair symbols); an inverse is 1/mid. A currency without a path has no rate: not 1.0, not 0
(ACCOUNTING section 4). A minor unit (GBX) has a hundredth of the rate of its currency. A stored pair whose lot size is below 1
is no edge: its price is not the rate of one unit.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from riskengine.records.currency_units import MINOR_UNITS
from riskengine.records.reference import Reference
from riskengine.records.types import BoolArray, FloatArray, IntArray, Kind, small_lot


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
    """Rates by currency number. `value` is 0 if not `known`. A rate is `stale` if a pair on its path is.

    `fee_value` and `fee_known` are the same for fees, for which the mark of a crypto is also the rate of its base. Of the buckets
    of forwards `majors` says to which currency each exposes; `legs` are the rates of currency legs: 0 where a leg is unknown, or
    is none any more.
    """

    value: FloatArray
    known: BoolArray
    stale: BoolArray
    paths: tuple[tuple[Hop, ...] | None, ...]
    fee_value: FloatArray
    fee_known: BoolArray
    majors: IntArray
    legs: FloatArray


class Coins(NamedTuple):
    """The cryptos whose marks are rates for fees in their base, one each: numbers of instrument, base and cash currency."""

    instruments: npt.NDArray[np.int64]
    bases: npt.NDArray[np.int64]
    currencies: npt.NDArray[np.int64]


class CurrencyGraph:
    """Computes the rates of a beat; searches paths only when a pair appears, disappears or ages. Writer thread only."""

    def __init__(self, reference: Reference) -> None:
        self._reporting = reference.currency_index[reference.reporting_currency]
        self._majors = np.array(reference.majors, dtype=np.int64)
        self._count = len(reference.currencies)
        self._pairs = tuple(
            Pair(i.instrument, n, reference.currency_index[i.base_currency], reference.currency_index[i.quote_currency])
            for n, i in enumerate(reference.instruments)
            if i.kind is Kind.FX and small_lot(i.kind, i.multiplier) is None
        )
        self._instruments = np.array([pair.instrument for pair in self._pairs], dtype=np.int64)
        self._cryptos = tuple(
            Pair(i.instrument, n, reference.currency_index[i.base_currency], reference.currency_index[i.currency])
            for n, i in enumerate(reference.instruments)
            if i.kind is Kind.CRYPTO and i.base_currency
        )
        self._crypto_instruments = np.array([crypto.instrument for crypto in self._cryptos], dtype=np.int64)
        self._used = frozenset((*self._instruments.tolist(), *self._crypto_instruments.tolist()))
        numbers = reference.currency_index
        self._minor_units = tuple((numbers[code], numbers[MINOR_UNITS[code]]) for code in numbers if code in MINOR_UNITS)
        self._coins = _coins(())
        self._routed_for: tuple[bytes, ...] | None = None
        self._paths: tuple[tuple[Hop, ...] | None, ...] = ()
        self._stale = np.zeros(self._count, dtype=np.bool_)

    def grow(self, reference: Reference) -> None:
        """Know the buckets that a reference has beyond this one's; no pair leads to a bucket. The next rates search all paths."""
        self._count = len(reference.currencies)
        self._majors = np.array(reference.majors, dtype=np.int64)
        self._routed_for = None

    @property
    def instruments(self) -> npt.NDArray[np.int64]:
        """Numbers of the FX spot pairs among the instruments."""
        return self._instruments

    def uses_any(self, instruments: Collection[int]) -> bool:
        """Whether a price of one of these instruments may be in a rate. O(those)."""
        return bool(self._used) and not self._used.isdisjoint(instruments)

    def rates(self, prices: FloatArray, priced: BoolArray, fresh: BoolArray) -> Rates:
        """Rates for marks `prices` by instrument number. O(currencies x hops), plus a search if usable or fresh pairs changed."""
        usable = priced[self._instruments] & (prices[self._instruments] > 0.0)
        fresh_pairs = usable & fresh[self._instruments]
        coins = priced[self._crypto_instruments] & (prices[self._crypto_instruments] > 0.0)
        fresh_coins = coins & fresh[self._crypto_instruments]
        state = (usable.tobytes(), fresh_pairs.tobytes(), coins.tobytes(), fresh_coins.tobytes())
        if state != self._routed_for:
            self._route(usable, fresh_pairs)
            self._coins = self._choose_coins(coins, fresh_coins)
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
        for minor, major in self._minor_units:
            if known[major]:
                value[minor] = value[major] / 100.0
        fee_value, fee_known = value, known
        if len(self._coins.bases):
            fee_value, fee_known = value.copy(), known.copy()
            fee_value[self._coins.bases] = prices[self._coins.instruments] * value[self._coins.currencies]
            fee_known[self._coins.bases] = True
        for array in (value, known, self._stale, fee_value, fee_known):
            array.flags.writeable = False
        return Rates(value, known, self._stale, self._paths, fee_value, fee_known, self._majors, value)

    def _choose_coins(self, usable: BoolArray, fresh: BoolArray) -> Coins:
        """For each base of a crypto that no pair leads from, the crypto that gives its rate. O(cryptos).

        Fresh ones come before stale ones, then those with the fewest hops, then by the names of currency and instrument.
        """
        best: dict[int, tuple[tuple[bool, int, int, str], Pair]] = {}
        for crypto, is_usable, is_fresh in zip(self._cryptos, usable.tolist(), fresh.tolist(), strict=True):
            path = self._paths[crypto.quote]
            if not is_usable or path is None or self._paths[crypto.base] is not None:
                continue
            rank = (not is_fresh or bool(self._stale[crypto.quote]), len(path), crypto.quote, crypto.symbol)
            if crypto.base not in best or rank < best[crypto.base][0]:
                best[crypto.base] = (rank, crypto)
        return _coins([crypto for _, crypto in best.values()])

    def _route(self, usable: BoolArray, fresh: BoolArray) -> None:
        best = self._search([pair for pair, use in zip(self._pairs, fresh, strict=True) if use])
        fallback = self._search([pair for pair, use in zip(self._pairs, usable, strict=True) if use])
        stale = np.zeros(self._count, dtype=np.bool_)
        paths: list[tuple[Hop, ...] | None] = []
        for currency in range(self._count):
            stale[currency] = best[currency] is None and fallback[currency] is not None
            paths.append(fallback[currency] if best[currency] is None else best[currency])
        for minor, major in self._minor_units:
            if paths[major] is not None:
                paths[minor], stale[minor] = paths[major], stale[major]
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


def _coins(cryptos: Sequence[Pair]) -> Coins:
    columns = ([getattr(each, field) for each in cryptos] for field in ("instrument", "base", "quote"))
    return Coins(*(np.array(column, dtype=np.int64) for column in columns))

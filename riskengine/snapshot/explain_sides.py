"""What an owner had at one instant, as `explain` compares it: of a snapshot, or of the close that its day began with.

Pure functions of a snapshot; any thread. O(instruments of the owner).
"""

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from riskengine.positions.ledger import MASK, SHIFT, Row
from riskengine.positions.position import NO_FEES
from riskengine.snapshot.explain import HeldSide, HeldThen, OptionPoint
from riskengine.snapshot.shown_marks import valued_option
from riskengine.snapshot.snapshot import Snapshot, Table
from riskengine.valuation.day_start import ClosePrices, DayStart, StartTable

CarryOf = Mapping[str, int]
"""Carry in the cash currency by instrument, units of 1e-28."""


# -- markets -------------------------------------------------------------------------------------------------------


class SnapshotPrices:
    """The marks and rates of a snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._index = snapshot.reference.instrument_index

    def price(self, symbol: str) -> float | None:
        """See `explain.PricesThen`."""
        number, units = self._index.get(symbol), self._snapshot.units
        return None if number is None or not units.priced.item(number) else units.price.item(number)

    def rate(self, symbol: str) -> float | None:
        """See `explain.PricesThen`."""
        number, units = self._index.get(symbol), self._snapshot.units
        return None if number is None or not units.rated.item(number) else units.rate.item(number)

    def currency(self, code: str) -> float | None:
        """See `explain.PricesThen`."""
        number, rates = self._snapshot.reference.currency_index.get(code), self._snapshot.rates
        return None if number is None or not rates.fee_known.item(number) else rates.fee_value.item(number)


class CloseMarks:
    """The prices of a close, as it was first published or of its newest version, with the rates that it was published with."""

    def __init__(self, snapshot: Snapshot, prices: ClosePrices, *, newest: bool) -> None:
        self._reference = snapshot.reference
        self._rates = prices.rate
        self._prices = prices.price if newest else prices.published

    def price(self, symbol: str) -> float | None:
        """See `explain.PricesThen`."""
        number = self._reference.instrument_index.get(symbol)
        return None if number is None else _known(self._prices.item(number))

    def rate(self, symbol: str) -> float | None:
        """See `explain.PricesThen`."""
        number = self._reference.instrument_index.get(symbol)
        return None if number is None else _known(self._rates.item(self._reference.cash_currency[number]))

    def currency(self, code: str) -> float | None:
        """See `explain.PricesThen`."""
        number = self._reference.currency_index.get(code)
        return None if number is None else _known(self._rates.item(number))


def _known(amount: float) -> float | None:
    return None if math.isnan(amount) else amount


# -- what was held -------------------------------------------------------------------------------------------------


def side_now(snapshot: Snapshot, table: Table, owner: int, carry: CarryOf) -> HeldSide:
    """What an owner has in a snapshot, with the carry in it."""
    symbols = snapshot.reference.symbols
    held = {
        symbols[row.instrument]: _held_now(
            snapshot, row, carry.get(symbols[row.instrument], 0), table.is_broken(owner, row.instrument)
        )
        for row in table.state(owner).positions()
    }
    return HeldSide(held, SnapshotPrices(snapshot))


def _held_now(snapshot: Snapshot, row: Row, carry: int, broken: bool) -> HeldThen:
    """What is known of a row: of open positions without a price nothing, of positions without a rate their fees alone."""
    number, units, positions = row.instrument, snapshot.units, row.position_count
    if broken or row.quarantined >= positions:
        return HeldThen(fees=row.fees, positions=positions, aside=positions)
    beside, rates, index = row.beside or NO_FEES, snapshot.rates, snapshot.reference.currency_index
    rated = units.rated.item(number) and all(rates.fee_known.item(index[code]) for code in beside)
    if not rated:
        return HeldThen(fees=row.fees, positions=positions, unknown=positions - row.quarantined, aside=row.quarantined)
    if row.open_count and not units.priced.item(number):
        cash, kept = (row.cash - row.open_cash, NO_FEES) if beside else (row.cash - row.open_cash, beside)
        return HeldThen(0, cash, carry, kept, row.fees, positions, row.open_count, row.quarantined)
    return HeldThen(row.quantity, row.cash, carry, beside, row.fees, positions, 0, row.quarantined)


def sides_at_close(snapshot: Snapshot, table: Table, owner: int) -> tuple[HeldSide, HeldSide]:
    """What an owner had at the close that the day of a snapshot began with: as published, and as it is known in the snapshot.

    The carry of both is 0: what came since is counted from there. The snapshot must know a day.
    """
    assert snapshot.day is not None and table.day is not None, "the day of a snapshot begins with a close"
    start, symbols = table.day.start, snapshot.reference.symbols
    published: dict[str, HeldThen] = {}
    restated: dict[str, HeldThen] = {}
    for number in sorted(_instruments_of(start, owner)):
        found, symbol, fees = start.start(owner, number), symbols[number], start.fees_of(owner, number)
        if found is None:
            published[symbol] = restated[symbol] = HeldThen(fees=fees, positions=1, aside=1)
            continue
        was = HeldThen(found.published_quantity, found.published_cash, 0, found.published_beside, fees, 1)
        published[symbol] = _with_price(was, snapshot, snapshot.day, number)
        restated[symbol] = HeldThen(found.quantity, found.cash, 0, found.beside, fees, 1)
    prices = snapshot.day.prices
    return HeldSide(published, CloseMarks(snapshot, prices, newest=False)), HeldSide(
        restated, CloseMarks(snapshot, prices, newest=True)
    )


def _with_price(held: HeldThen, snapshot: Snapshot, day: DayStart, number: int) -> HeldThen:
    """What of a position at a close is known: nothing without its price or its rate."""
    prices = day.prices
    rates = [prices.rate.item(snapshot.reference.cash_currency[number])] if held.quantity or held.cash else []
    rates += [prices.rate.item(snapshot.reference.currency_index[code]) for code in held.beside]
    if any(map(math.isnan, rates)) or (held.quantity and math.isnan(prices.published.item(number))):
        return HeldThen(fees=held.fees, positions=1, unknown=1)
    return held


def _instruments_of(start: StartTable, owner: int) -> set[int]:
    """Numbers of what an owner had at the close, or had then as is known now. O(those + all that are restated)."""
    first, end = np.searchsorted(start.keys, (owner << SHIFT, (owner + 1) << SHIFT))
    found = {key & MASK for key in start.keys[first:end].tolist()}
    return found | {key & MASK for key in start.restated if key >> SHIFT == owner}


def carry_of_the_day(snapshot: Snapshot, table: Table, owner: int) -> dict[str, int]:
    """The carry since the close that the day of a snapshot began with. O(all that are restated)."""
    if table.day is None:
        return {}
    symbols, restated = snapshot.reference.symbols, table.day.start.restated
    own = ((key & MASK, held) for key, held in restated.items() if key >> SHIFT == owner)
    return {symbols[number]: held.carry for number, held in own if held is not None and held.carry}


# -- options -------------------------------------------------------------------------------------------------------


class SnapshotOptions:
    """Spots and vols of the options of a snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.ts = snapshot.as_of

    def spot_and_vol(self, symbol: str) -> tuple[float, float]:
        """See `explain.OptionsNow`."""
        number = self._snapshot.reference.instrument_index.get(symbol)
        found = None if number is None else valued_option(self._snapshot, number)
        if found is None:
            return math.nan, math.nan
        options, place = found
        return options.values.spot.item(place), options.values.vol.item(place)


def option_points(snapshot: Snapshot, symbols: Iterable[str], ts: int) -> dict[str, OptionPoint]:
    """One unit of each option among some instruments, whose Greeks a snapshot knows; it is taken to be of `ts`."""
    return dict(_points(snapshot, symbols, ts))


def _points(snapshot: Snapshot, symbols: Iterable[str], ts: int) -> Iterator[tuple[str, OptionPoint]]:
    for symbol in symbols:
        number = snapshot.reference.instrument_index.get(symbol)
        found = None if number is None or snapshot.units.no_delta.item(number) else valued_option(snapshot, number)
        if found is None:
            continue
        values, place = found[0].values, found[1]
        spot = values.spot.item(place)
        if spot > 0.0:  # nan is not
            yield (
                symbol,
                OptionPoint(
                    value=values.value.item(place),
                    delta=values.spot_delta.item(place),
                    gamma=values.gamma.item(place),
                    vega=values.vega.item(place),
                    theta=values.theta.item(place),
                    spot=spot,
                    vol=values.vol.item(place),
                    ts=ts,
                    cut_ts=values.cut_ts.item(place),
                ),
            )

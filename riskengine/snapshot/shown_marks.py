"""The mark and the Greeks of an instrument as rows show them: of an option those of its model, with its own quote beside them.

Pure functions of a snapshot; any thread.
"""

from typing import NamedTuple

import numpy as np

from riskengine.positions.ledger import Row
from riskengine.records.types import MULTIPLIER_DECIMALS, ONE
from riskengine.snapshot.snapshot import Snapshot
from riskengine.valuation.options.values import QUOTED, SOURCES, OptionValues

LOT_ONE = ONE * 10**MULTIPLIER_DECIMALS


class ShownMark(NamedTuple):
    """A price with its event time (of an option the oldest of its inputs), who says it and in which way."""

    price: float
    ts: int
    source: str
    kind: str


class Greeks(NamedTuple):
    """Of a row, in units of base and in the reporting currency (ACCOUNTING section 6)."""

    delta_base: float
    delta_cash: float
    gamma_cash: float
    vega: float
    theta: float


def option_place(values: OptionValues, number: int) -> int | None:
    """The place of an instrument among the options; None of what is none. O(log options)."""
    place = int(np.searchsorted(values.number, number))
    return place if place < len(values.number) and values.number.item(place) == number else None


def shown_mark(snapshot: Snapshot, number: int) -> ShownMark | None:
    """The mark that values an instrument; None where it has none. 1 us."""
    units = snapshot.units
    if not units.priced.item(number):
        return None
    if units.options is not None and units.netting.is_option(number):
        values = units.options.values
        place = option_place(values, number)
        source = QUOTED if place is None else values.source.item(place)
        if source != QUOTED:
            word = SOURCES[source]
            return ShownMark(units.price.item(number), units.mark_ts.item(number), word, word)
    mark = units.marks[number]
    return None if mark is None else ShownMark(mark.price, mark.ts, mark.source, mark.kind)


def option_greeks(snapshot: Snapshot, row: Row) -> Greeks | None:
    """The Greeks of a row of an option; None where they are unknown. 2 us."""
    units, number = snapshot.units, row.instrument
    if not row.open_count:
        return Greeks(0.0, 0.0, 0.0, 0.0, 0.0)
    if units.options is None or units.no_delta.item(number):
        return None
    values, greeks = units.options.values, units.options.greeks
    place = option_place(values, number)
    if place is None:
        return None
    lot = snapshot.reference.instruments[number].multiplier
    held = row.quantity / ONE
    return Greeks(
        row.quantity * lot / LOT_ONE * values.delta.item(place) + 0.0,
        held * greeks.delta.item(number) + 0.0,
        held * greeks.gamma.item(number) + 0.0,
        held * greeks.vega.item(number) + 0.0,
        held * greeks.theta.item(number) + 0.0,
    )


def unvalued_reason(snapshot: Snapshot, number: int) -> str:
    """Why value or Greeks of an option are unknown; "" where they are known, or nothing more is said."""
    options = snapshot.units.options
    place = None if options is None else option_place(options.values, number)
    return "" if options is None or place is None else str(options.values.reason[place])

"""The mark and the Greeks of an instrument as rows show them: of an option those of its model, with its own quote beside them.

Pure functions of a snapshot; any thread.
"""

from typing import NamedTuple

import numpy as np

from riskengine.positions.ledger import Row
from riskengine.records.types import MULTIPLIER_DECIMALS, ONE
from riskengine.snapshot.snapshot import Snapshot
from riskengine.valuation.options.values import QUOTED, SOURCES
from riskengine.valuation.unit_values import OptionMarks

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


def valued_option(snapshot: Snapshot, number: int) -> tuple[OptionMarks, int] | None:
    """The options of a snapshot and the place of an instrument among them; None of what is none."""
    options = snapshot.units.options
    if options is None or not snapshot.units.netting.is_option(number):
        return None
    place = int(np.searchsorted(options.values.number, number))
    return (options, place) if place < len(options.values.number) and options.values.number.item(place) == number else None


def shown_mark(snapshot: Snapshot, number: int) -> ShownMark | None:
    """The mark that values an instrument; None where it has none. 1 us."""
    units = snapshot.units
    if not units.priced.item(number):
        return None
    if (option := valued_option(snapshot, number)) is not None:
        options, place = option
        source = options.values.source.item(place)
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
    option = None if units.no_delta.item(number) else valued_option(snapshot, number)
    if option is None:
        return None
    options, place = option
    values, greeks = options.values, options.greeks
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
    option = valued_option(snapshot, number)
    return "" if option is None else str(option[0].values.reason[option[1]])

"""Measures that need more of an owner than its row: its positions, and its exposure by currency, name and sector.

Pure functions of a snapshot and what one owner holds: what it does hold, or what it would hold after a trade.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from riskengine.positions.ledger import Row
from riskengine.records.limits import ABOVE, BELOW, Limit
from riskengine.records.types import ONE
from riskengine.snapshot.exposure import exposure_of
from riskengine.snapshot.exposure_columns import ExposureColumns
from riskengine.snapshot.rows import QUANTITY_ONE, row_total
from riskengine.snapshot.snapshot import Snapshot

EXPOSURES: Mapping[str, str] = {
    "net_open_position": "currency",
    "shorthand": "currency",
    "largest_name": "instrument",
    "largest_sector": "sector",
    "sector_count": "sector",
}
"""Measures of what an owner is exposed to, and by what it is broken down."""

POSITIONS = frozenset({"quantity", "market_value", "position_pnl"})
"""Measures of positions: of one instrument, or the worst of all."""


class Number(NamedTuple):
    """The number of one owner: `value`, NaN where unknown; whether it is whole; and what decides it: an instrument, say."""

    value: float
    whole: bool
    subject: str = ""


NOTHING_KNOWN = Number(math.nan, False)


class Exposures:
    """What one owner is exposed to at one snapshot: each breakdown is made once. `held` are its columns."""

    def __init__(self, snapshot: Snapshot, held: ExposureColumns) -> None:
        self._snapshot = snapshot
        self._held = held
        self._made: dict[str, Mapping[str, Number]] = {}

    def number(self, limit: Limit) -> Number:
        """The number that a limit on one of EXPOSURES bounds. O(instruments held) in arrays for the first of a breakdown."""
        by = EXPOSURES[limit.measure]
        if by not in self._made:
            self._made[by] = self._currencies() if by == "currency" else self._shares(by)
        found = self._made[by]
        if limit.measure == "net_open_position":
            return found.get(f" {limit.currency}") or found[""]
        return found[limit.measure]

    def _currencies(self) -> Mapping[str, Number]:
        """The net of each currency behind a blank, of all others under "", and the shorthand figure."""
        made = exposure_of(self._snapshot, self._held, "currency")
        whole = not made.summary["unpriced_count"]
        found = {f" {row['currency']}": _number(row["net"], not row["unpriced_count"]) for row in made.rows}
        return found | {"": Number(0.0, whole), "shorthand": _number(made.summary["shorthand"], whole)}

    def _shares(self, by: str) -> Mapping[str, Number]:
        made = exposure_of(self._snapshot, self._held, by)
        rows = [row for row in made.rows if row["net"] is not None and (by != "sector" or row["sector"])]
        whole = not made.summary["unpriced_count"]
        largest = max(rows, key=lambda row: abs(row["percent"]), default=None)
        share = Number(0.0, whole) if largest is None else Number(abs(largest["percent"]), whole, largest[by])
        return {
            "largest_name": share,
            "largest_sector": share,
            "sector_count": Number(float(made.summary["sector_count"]), whole),
        }


def _number(value: float | None, whole: bool) -> Number:
    return NOTHING_KNOWN if value is None else Number(value, whole)


# -- positions ---------------------------------------------------------------------------------------------------


def position_number(snapshot: Snapshot, limit: Limit, row: Row | None) -> Number:
    """The number of a limit on the position in one instrument; `row` is what is held of it, None for nothing. 2 us."""
    if row is None:
        return Number(0.0, True)
    if row.quarantined >= row.position_count > 0:
        return NOTHING_KNOWN
    symbol, whole = snapshot.reference.symbols[row.instrument], not row.quarantined
    if limit.measure == "quantity":
        return Number(row.quantity / ONE, whole, symbol)
    size = row.quantity * snapshot.reference.instruments[row.instrument].contract_multiplier / QUANTITY_ONE
    if limit.measure == "position_pnl":
        total = row_total(snapshot, row, size)
        return NOTHING_KNOWN._replace(subject=symbol) if total is None else Number(total, whole, symbol)
    units, number = snapshot.units, row.instrument
    if not row.open_count:
        return Number(0.0, whole, symbol)
    if not (units.priced.item(number) and units.rated.item(number)):
        return NOTHING_KNOWN._replace(subject=symbol)
    return Number(size * units.price.item(number) * units.rate.item(number) + 0.0, whole, symbol)


_RANKS: Mapping[str, Callable[[float], float]] = {ABOVE: lambda value: value, BELOW: lambda value: -value}
"""What a number counts as towards its limit, by side; of an absolute one its size."""


def worst_position(snapshot: Snapshot, limit: Limit, rows: Iterable[Row]) -> Number:
    """The number furthest towards the limit among the positions of an owner, whole only where all are known. 2 us a row."""
    worst, whole, rank = Number(0.0, True), True, _RANKS.get(limit.side, abs)
    for row in rows:
        found = position_number(snapshot, limit, row)
        whole &= found.whole
        if not math.isnan(found.value) and rank(found.value) > rank(worst.value):
            worst = found
    return worst._replace(whole=whole)

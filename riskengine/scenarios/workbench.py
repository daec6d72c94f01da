"""What scenarios are made from, kept from one question to the next: closes, the last minutes, vectors of the newest snapshot.

One thread owns it, beside the engine's; snapshots come in, and nothing of them changes.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from riskengine.config import ScenariosConfig
from riskengine.market.split_prices import NO_SPLITS
from riskengine.positions.adjustments import Adjustments
from riskengine.records.reference import Reference
from riskengine.records.scenario_shifts import ScenarioShift
from riskengine.records.types import BoolArray, Close, FloatArray
from riskengine.scenarios.close_history import CloseHistory, Shifts, shifts_of
from riskengine.scenarios.held_lines import HeldCache
from riskengine.scenarios.shocks import Shock, ShockShifts
from riskengine.scenarios.var import INTRADAY, Scenarios, VarRule, scenarios_of
from riskengine.snapshot.snapshot import Snapshot

CLOSES_AT_ONCE = 2_000
"""Closes between two rests: two milliseconds."""


class StoredCloses(NamedTuple):
    """Closes as the store has them, and the ends of their trading days.

    ends   by date (YYYY-MM-DD), ascending: microseconds. Closes of other dates count for nothing
    loaded   the shifts of loaded scenarios by name, in their order
    shocks, shock_ends   the closes of the dates that historical shocks are made of, and the ends of their days
    """

    closes: Sequence[Close] = ()
    ends: Mapping[str, int] = {}
    shocks: Mapping[str, Sequence[Close]] = {}
    shock_ends: Mapping[str, int] = {}
    loaded: Mapping[str, Sequence[ScenarioShift]] = {}


class _Minute(NamedTuple):
    """The prices of a moment. `old`: the mark is stale, or its market shut."""

    name: str
    reference: Reference
    price: FloatArray
    priced: BoolArray
    old: BoolArray


class Workbench:
    """Answers with vectors of a snapshot. `rest` is called while a long history is made."""

    def __init__(self, config: ScenariosConfig, rest: Callable[[], None] = lambda: None) -> None:
        self.config = config
        self.holdings = HeldCache()
        self._rest = rest
        self._stored = StoredCloses()
        self._table: tuple[Reference, Adjustments | None, CloseHistory] | None = None
        self._minutes: deque[_Minute] = deque(maxlen=config.intraday_minutes + 1)
        self._made: dict[str, Scenarios] = {}

    # -- what comes in -------------------------------------------------------------------------------------------

    def take_closes(self, stored: StoredCloses) -> None:
        """Count other closes from now on. O(1); the next question makes the table of them: 1 us a close."""
        self._stored, self._table = stored, None
        self._made.clear()

    def take_minute(self, name: str, snapshot: Snapshot) -> None:
        """Keep the prices of a minute, by which the intraday scenarios are made. O(instruments)."""
        units = snapshot.units
        old = units.stale_mark | units.closed
        self._minutes.append(_Minute(name, snapshot.reference, units.price, units.priced, old))
        self._made.pop(INTRADAY, None)

    @property
    def loaded(self) -> Mapping[str, Sequence[ScenarioShift]]:
        """The shifts of loaded scenarios by name, in their order."""
        return self._stored.loaded

    @property
    def ends(self) -> Mapping[str, int]:
        """When the days end whose closes there are, microseconds, by date."""
        return self._stored.ends

    # -- what goes out -------------------------------------------------------------------------------------------

    def rule(self, method: str) -> VarRule:
        """The rule of a method by the configuration."""
        config = self.config
        if method == INTRADAY:
            return VarRule(method, config.intraday_decimal, config.intraday_minutes)
        return VarRule(method, config.level_decimal, config.min_days)

    def history(self, snapshot: Snapshot) -> CloseHistory:
        """All closes of days that have ended, by the numbers of a snapshot's instruments."""
        root, adjustments = snapshot.reference.root, snapshot.adjustments
        if self._table is None or self._table[0] is not root or self._table[1] is not adjustments:
            splits = NO_SPLITS if adjustments is None else adjustments.prices()
            ends = self._stored.ends
            table = CloseHistory.of(self._resting(), tuple(ends), root, splits, ends.__getitem__)
            self._table = root, adjustments, table
        found = self._table[2]
        if snapshot.current_day:
            found = found.before(snapshot.current_day)
        return found.widened(len(snapshot.reference.instruments))

    def shock(self, snapshot: Snapshot, shock: Shock) -> ShockShifts:
        """How a historical shock moves the instruments of a snapshot. O(instruments)."""
        splits = NO_SPLITS if snapshot.adjustments is None else snapshot.adjustments.prices()
        stored = self._stored
        return ShockShifts.of(shock, stored.shocks, stored.shock_ends, snapshot.reference, splits)

    def _resting(self) -> Iterator[Close]:
        closes = iter(self._stored.closes)
        while some := tuple(islice(closes, CLOSES_AT_ONCE)):
            yield from some
            self._rest()

    def scenarios(self, snapshot: Snapshot, method: str) -> Scenarios:
        """The vectors of one unit at a snapshot; those of the last snapshot asked about are kept, of each method."""
        kept = self._made.get(method)
        if kept is not None and kept.snapshot is snapshot:
            return kept
        made = self._made[method] = scenarios_of(snapshot, self.shifts(snapshot, method))
        return made

    def shifts(self, snapshot: Snapshot, method: str) -> Shifts:
        """The scenarios of a method as shifts of prices."""
        if method == INTRADAY:
            history = self._minute_history(snapshot.reference)
        else:
            history = self.history(snapshot).latest(self.config.days)
        return shifts_of(history, snapshot.reference, self.config.may_be_negative, snapshot.units.price)

    def _minute_history(self, reference: Reference) -> CloseHistory:
        """The last minutes as a table; of an instrument without a price in a minute there is no close."""
        price = np.full((len(self._minutes), len(reference.instruments)), np.nan)
        carried = np.zeros(price.shape, dtype=np.bool_)
        for at, minute in enumerate(self._minutes):
            known = np.flatnonzero(minute.priced)
            if minute.reference.is_kin(reference):
                known = known[known < price.shape[1]]
                places = known
            else:  # another reference data since
                index, symbols = reference.instrument_index, minute.reference.symbols
                pairs = [(number, index[symbols[number]]) for number in known.tolist() if symbols[number] in index]
                known, places = (np.array([pair[end] for pair in pairs], dtype=np.int64) for end in (0, 1))
            price[at, places] = minute.price[known]
            carried[at, places] = minute.old[known]
        return CloseHistory(tuple(minute.name for minute in self._minutes), price, carried)

"""Judges all limits on one snapshot after another: warnings, breaches and their worst, without flicker. No clock, no store.

A number beyond its limit breaches it until it has come back by the hysteresis; a warning likewise. A number that is unknown, or
of which parts are unknown, is never fine: the limit is `unknown`, unless what is known is beyond it already. A breach that was
open stays open meanwhile.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import structs

from riskengine.limits.figures import LASTS_US, NO_FIGURES, Figures
from riskengine.limits.lines import LimitLine, LineIndex, day_of, in_force, lines_of
from riskengine.limits.reading import LineReader
from riskengine.limits.readings import Readings
from riskengine.records.breaches import Breach, High, breach_id
from riskengine.records.limits import ABSOLUTE, BELOW, SEVERITIES, Limit
from riskengine.records.types import BoolArray, FloatArray, IntArray
from riskengine.snapshot.snapshot import Snapshot

OK, WARNING, BREACH, UNKNOWN, PER_TRADE = range(5)
STATES = ("ok", "warning", "breach", "unknown", "per_trade")
"""The states of a limit by number; `per_trade` bounds intended trades, and no number of a snapshot."""


NO_READINGS = Readings(0)
NO_STATES: IntArray = np.zeros(0, dtype=np.int64)


class Bounds:
    """The bounds of some limits in arrays. A number is mirrored (`side`), so that every bound is an upper one."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        sign = np.array([-1.0 if limit.side == BELOW else 1.0 for limit in limits])
        self._sign = sign
        self._absolute = np.array([limit.side == ABSOLUTE for limit in limits], dtype=np.bool_)
        self.limit: FloatArray = np.array([limit.limit for limit in limits]) * sign
        self.warn_at: FloatArray = self.limit - np.array([limit.margin for limit in limits])
        self.release: FloatArray = np.array([limit.release for limit in limits])
        self.per_trade: BoolArray = np.array([limit.terms.of_trade for limit in limits], dtype=np.bool_)

    def mirror(self, value: FloatArray) -> FloatArray:
        """The numbers on the axis on which every bound is an upper one."""
        return np.where(self._absolute, np.abs(value), value * self._sign)


class Judgement(NamedTuple):
    """How every line stands at a snapshot. Immutable. Arrays are by line.

    headroom   how much further the number may go, in its unit; below 0: how far it is beyond
    breaches   the open breach of each line that has one
    figures    those that were known, by whose they are
    by_place   the lines by the node or dealer that they bound
    """

    seq: int
    as_of: int
    lines: Sequence[LimitLine]
    readings: Readings
    state: IntArray
    headroom: FloatArray
    breaches: Mapping[int, Breach]
    by_place: LineIndex
    figures: Figures = NO_FIGURES

    def counts(self) -> dict[str, int]:
        """How many lines are in each state."""
        found = np.bincount(self.state, minlength=len(STATES)).tolist()
        return dict(zip(STATES, found, strict=True))


class Judge:
    """Judges the limits that are set, snapshot by snapshot in ascending order, on one thread.

    `breaches` are those that were open, and `highs` those of the day, as the store has them. `take_changes` gives what is to be
    stored. A figure counts for snapshots up to `figures_last_us` after its own.
    """

    def __init__(self, breaches: Iterable[Breach] = (), highs: Iterable[High] = (), figures_last_us: int = LASTS_US) -> None:
        self._limits: Sequence[Limit] = ()
        self._figures: Figures = NO_FIGURES
        self._figures_last_us = figures_last_us
        self._open: dict[str, Breach] = {_key(breach): breach for breach in breaches if breach.is_open}
        self._highs: dict[tuple[str, str], High] = {(high.node, high.dealer): high for high in highs}
        self._changed: dict[str, Breach] = {}
        self._new_highs: dict[tuple[str, str], High] = {}
        self._made_for: tuple[object, ...] | None = None
        self.began: dict[str, int] = dict.fromkeys(SEVERITIES, 0)
        """How many breaches have begun, by severity."""
        self._warned: BoolArray = np.zeros(0, dtype=np.bool_)
        self._keys: list[str] = []
        self._compile((), None)
        self.newest: Judgement | None = None

    def _compile(self, lines: Sequence[LimitLine], snapshot: Snapshot | None) -> None:
        """Go on with other lines: a breach goes on where its line does, and ends where that is no more."""
        warned = set() if snapshot is None else {self._keys[at] for at in np.flatnonzero(self._warned).tolist()}
        self._lines: Sequence[LimitLine] = lines
        self._keys = [line.key for line in lines]
        self._reader = LineReader(lines)
        self._index = LineIndex(lines)
        self._bounds = Bounds([line.limit for line in lines])
        self._breached: BoolArray = np.array([key in self._open for key in self._keys], dtype=np.bool_)
        self._warned = np.array([key in warned for key in self._keys], dtype=np.bool_)
        if snapshot is not None:
            there = set(self._keys)
            for key in [key for key in self._open if key not in there]:
                self._end(key, snapshot.as_of)
        worst = [self._open[key].worst if key in self._open else math.nan for key in self._keys]
        self._worst: FloatArray = self._bounds.mirror(np.array(worst))

    def set_limits(self, limits: Sequence[Limit]) -> None:
        """The stored versions of all limits: they are in force with the next snapshot that is judged."""
        self._limits = limits
        self._made_for = None

    @property
    def figure_lines(self) -> list[LimitLine]:
        """The lines in force whose numbers are figures."""
        return [self._lines[at] for at in self._reader.figures.keys]

    def take_figures(self, figures: Figures) -> None:
        """Count these figures from the next snapshot on, beside those known; what no line bounds any more is forgotten."""
        wanted = set(self._reader.figures.keys.values())
        self._figures = {key: figure for key, figure in {**self._figures, **figures}.items() if key in wanted}

    def take_changes(self) -> tuple[list[Breach], list[High]]:
        """Breaches and highs that have changed since the last call."""
        breaches, highs = [*self._changed.values()], [*self._new_highs.values()]
        self._changed, self._new_highs = {}, {}
        return breaches, highs

    def give_back(self, breaches: Iterable[Breach], highs: Iterable[High]) -> None:
        """What `take_changes` gave was not stored: it is among the next, unless it has changed since."""
        for breach in breaches:
            self._changed.setdefault(breach.breach_id, breach)
        for high in highs:
            self._new_highs.setdefault((high.node, high.dealer), high)

    def acknowledge(self, stored: Breach) -> None:
        """A person knows of an open breach: what the store has of him belongs to it."""
        for key, breach in self._open.items():
            if breach.breach_id == stored.breach_id:
                self._open[key] = _with_word(breach, stored)
        if self.newest is not None:
            breaches = {
                at: _with_word(each, stored) if each.breach_id == stored.breach_id else each
                for at, each in self.newest.breaches.items()
            }
            self.newest = self.newest._replace(breaches=breaches)

    @property
    def open_breaches(self) -> list[Breach]:
        """The breaches that last, as of the snapshot that was judged last."""
        return [*self._open.values()]

    # -- judging -----------------------------------------------------------------------------------------------

    def judge(self, snapshot: Snapshot) -> Judgement:
        """How all lines stand at a snapshot. O(lines) in arrays, and O(what changed) for positions and exposures."""
        made_for = (snapshot.reference, snapshot.dealer_names, day_of(snapshot))
        if self._made_for is None or not _same(made_for, self._made_for):
            self._compile(lines_of(in_force(self._limits, made_for[2]), snapshot), snapshot)
            self._made_for = made_for
        if not self._lines:  # most engines, a hundred times a second
            self.newest = Judgement(snapshot.seq, snapshot.as_of, (), NO_READINGS, NO_STATES, NO_READINGS.value, {}, self._index)
            return self.newest
        readings = self._reader.read(snapshot, self._figures, self._figures_last_us)
        self._measure_drawdowns(snapshot, readings)
        bounds, whole = self._bounds, readings.whole
        number = bounds.mirror(readings.value)
        is_known = ~np.isnan(number)
        beyond = is_known & (number > bounds.limit)
        stays = self._breached & ~(whole & (number <= bounds.limit - bounds.release))
        breached = (beyond | stays) & ~bounds.per_trade
        warned = whole & ((number >= bounds.warn_at) | (self._warned & (number > bounds.warn_at - bounds.release)))
        state = np.where(breached & (whole | beyond), BREACH, np.where(~whole, UNKNOWN, np.where(warned, WARNING, OK)))
        state[bounds.per_trade] = PER_TRADE
        self._note_breaches(snapshot.as_of, readings.value, number, breached)
        self._breached = breached
        self._warned = warned
        breaches = {at: self._open[self._keys[at]] for at in np.flatnonzero(breached).tolist()}
        headroom = bounds.limit - number
        self.newest = Judgement(
            snapshot.seq, snapshot.as_of, self._lines, readings, state, headroom, breaches, self._index, self._figures
        )
        return self.newest

    def _note_breaches(self, now: int, value: FloatArray, number: FloatArray, breached: BoolArray) -> None:
        began, ended = breached & ~self._breached, self._breached & ~breached
        for at in np.flatnonzero(ended).tolist():
            self._end(self._keys[at], now)
        for at in np.flatnonzero(began).tolist():
            self._begin(at, now, value.item(at))
            self._worst[at] = number[at]
        worse = breached & (number > self._worst)
        self._worst[worse] = number[worse]
        for at in np.flatnonzero(worse).tolist():
            key = self._keys[at]
            self._open[key] = found = structs.replace(self._open[key], worst=value.item(at), worst_ts=now, last_seen_ts=now)
            self._changed[found.breach_id] = found

    def _begin(self, at: int, now: int, value: float) -> None:
        line = self._lines[at]
        found = Breach(
            breach_id=breach_id(line.limit.limit_id, line.place, now),
            limit_id=line.limit.limit_id,
            version=line.limit.version,
            node=line.node,
            dealer=line.dealer,
            severity=line.limit.severity,
            limit=line.limit.limit,
            first_seen_ts=now,
            last_seen_ts=now,
            worst=value,
            worst_ts=now,
        )
        self._open[line.key] = self._changed[found.breach_id] = found
        self.began[found.severity] += 1

    def _end(self, key: str, now: int) -> None:
        found = structs.replace(self._open.pop(key), last_seen_ts=now, ended_ts=now)
        self._changed[found.breach_id] = found

    def _measure_drawdowns(self, snapshot: Snapshot, readings: Readings) -> None:
        """Turn the P&L of the day into the loss from its high, which begins at 0 with every trading day."""
        day = day_of(snapshot)
        for at in self._reader.drawdowns:
            value = readings.value.item(at)
            if math.isnan(value):
                continue
            line = self._lines[at]
            place = (line.node, line.dealer)
            high = self._highs.get(place)
            if high is None or high.day != day:
                start = 0 if snapshot.day is None else snapshot.day.window.start_ts
                high = High(line.node, line.dealer, day, 0.0, start)
            if value > high.high and readings.whole[at]:
                high = high._replace(high=value, ts=snapshot.as_of)
            if high is not self._highs.get(place):
                self._highs[place] = self._new_highs[place] = high
            readings.value[at] = max(high.high - value, 0.0)


def _key(breach: Breach) -> str:
    return f"{breach.limit_id}:{breach.place}"


def _with_word(breach: Breach, stored: Breach) -> Breach:
    return structs.replace(
        breach,
        acknowledged_by=stored.acknowledged_by,
        acknowledged_ts=stored.acknowledged_ts,
        reason=stored.reason,
    )


def _same(made_for: tuple[object, ...], before: tuple[object, ...]) -> bool:
    """Whether lines that were made for one reference data, list of dealers and day hold for another one."""
    return made_for[0] is before[0] and made_for[1:] == before[1:]

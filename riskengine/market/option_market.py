"""The newest vols, rates and Greeks that options and forwards are valued with, by subject.

Of the rows of one subject the one with the newest `ts` is in force, of equal ones the later arrival. An older one has no effect.
A row from ahead of the clock, which a clock that was set back leaves behind, gives way to every other one. Rows of a curve or a
surface that newer ones have overtaken are in force and take no part (`overtaken`). Owned by one thread.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from riskengine.clock import MICROS_PER_SECOND
from riskengine.market.overtaken import overtaken
from riskengine.records.option_inputs import DISCOUNT, RATE, CutSpot, OptionInput, PushedGreeks, RateRow, SurfaceRow, Vol

MAX_AHEAD_US = 3600 * MICROS_PER_SECOND
"""How far ahead of the clock a row may be at most (`[engine] future_limit_s`), and counts as newest."""

Subject = tuple[str, ...]
"""What a row is about: which kind of row, and the names that tell it from the others."""

_Row = TypeVar("_Row", CutSpot, Vol, SurfaceRow, RateRow, PushedGreeks)


class Changed(NamedTuple):
    """What rows have changed: names of options with another vol, of pairs with another surface, of options with other Greeks.

    cut_spots  names of options of which another spot of the cut is known
    rates  (kind, subject) of curves with another point; a discount factor counts as `rate`
    older  how many rows had no effect, because a newer one of their subject is in force
    """

    vols: Collection[str] = frozenset()
    surfaces: Collection[str] = frozenset()
    rates: Collection[tuple[str, str]] = frozenset()
    greeks: Collection[str] = frozenset()
    cut_spots: Collection[str] = frozenset()
    older: int = 0

    def __bool__(self) -> bool:
        return bool(self.vols or self.surfaces or self.rates or self.greeks or self.cut_spots)


def subject_of(row: OptionInput) -> Subject:
    """What a row is about. A rate and a discount factor of one currency and date are one subject. 0.3 us."""
    if type(row) is Vol:
        return ("vol", row.instrument)
    if type(row) is SurfaceRow:
        return ("surface", row.pair, row.expiry)
    if type(row) is RateRow:
        return (curve_kind(row), row.subject, row.date)
    if type(row) is CutSpot:
        return ("cut_spot", row.instrument)
    assert type(row) is PushedGreeks
    return ("greeks", row.instrument)


def curve_kind(row: RateRow) -> str:
    """The kind of the curve that a row is a point of: `rate`, `yield` or `points`."""
    return RATE if row.kind == DISCOUNT else row.kind


_Dated = TypeVar("_Dated", SurfaceRow, RateRow)


class _Parted(NamedTuple, Generic[_Dated]):
    """The rows of one subject by date: those that take part, and those that newer ones have overtaken."""

    taking_part: tuple[_Dated, ...]
    left_out: tuple[_Dated, ...]


def _parted(rows: Mapping[str, _Dated]) -> _Parted[_Dated]:
    dates = sorted(rows)
    ordered = [rows[date] for date in dates]
    is_out = overtaken(dates, [row.ts for row in ordered])
    parts = [tuple(row for row, out in zip(ordered, is_out, strict=True) if out is which) for which in (False, True)]
    return _Parted(parts[0], parts[1])


class OptionMarket:
    """The rows in force. Mappings are read-only views for readers on the owner's thread."""

    def __init__(self, rows: Iterable[OptionInput] = (), now: int = 0) -> None:
        self._vols: dict[str, Vol] = {}
        self._surfaces: dict[str, dict[str, SurfaceRow]] = {}
        self._rates: dict[tuple[str, str], dict[str, RateRow]] = {}
        self._greeks: dict[str, PushedGreeks] = {}
        self._cut_spots: dict[str, CutSpot] = {}
        self._left_out: tuple[str, ...] | None = None
        self._unrecorded: dict[Subject, OptionInput] = {}
        self._parted_surfaces: dict[str, _Parted[SurfaceRow]] = {}
        self._parted_curves: dict[tuple[str, str], _Parted[RateRow]] = {}
        self.take(rows, now)

    def take(self, rows: Iterable[OptionInput], now: int) -> Changed:
        """Put rows in force that are newest of their subject; `now` in microseconds. 0.9 us a row."""
        vols, surfaces, rates, greeks = set[str](), set[str](), set[tuple[str, str]](), set[str]()
        cut_spots = set[str]()
        older = 0
        for row in rows:
            if type(row) is Vol:
                known = _put(self._vols, row.instrument, row, now, vols, row.instrument)
            elif type(row) is SurfaceRow:
                known = _put(self._surfaces.setdefault(row.pair, {}), row.expiry, row, now, surfaces, row.pair)
            elif type(row) is RateRow:
                curve = (curve_kind(row), row.subject)
                known = _put(self._rates.setdefault(curve, {}), row.date, row, now, rates, curve)
            elif type(row) is CutSpot:
                known = _put(self._cut_spots, row.instrument, row, now, cut_spots, row.instrument)
            else:
                assert type(row) is PushedGreeks
                known = _put(self._greeks, row.instrument, row, now, greeks, row.instrument)
            older += not known
            if known:
                self._unrecorded[subject_of(row)] = row
        if surfaces or rates:
            self._left_out = None
        for pair in surfaces:
            self._parted_surfaces[pair] = _parted(self._surfaces[pair])
        for curve in rates:
            self._parted_curves[curve] = _parted(self._rates[curve])
        return Changed(vols, surfaces, rates, greeks, cut_spots, older)

    def take_unrecorded(self) -> list[OptionInput]:
        """The rows that have come into force since the last call, for the journal. O(those)."""
        came, self._unrecorded = [*self._unrecorded.values()], {}
        return came

    def in_force(self, row: OptionInput) -> OptionInput | None:
        """The row in force of the subject of another one."""
        if type(row) is Vol:
            return self._vols.get(row.instrument)
        if type(row) is SurfaceRow:
            return self._surfaces.get(row.pair, {}).get(row.expiry)
        if type(row) is RateRow:
            return self._rates.get((curve_kind(row), row.subject), {}).get(row.date)
        if type(row) is CutSpot:
            return self._cut_spots.get(row.instrument)
        assert type(row) is PushedGreeks
        return self._greeks.get(row.instrument)

    @property
    def vols(self) -> Mapping[str, Vol]:
        """The vol of each option that has its own."""
        return self._vols

    @property
    def greeks(self) -> Mapping[str, PushedGreeks]:
        """Greeks from outside by option."""
        return self._greeks

    @property
    def cut_spots(self) -> Mapping[str, CutSpot]:
        """What underlyings were worth at the cut, by option."""
        return self._cut_spots

    @property
    def pairs(self) -> Collection[str]:
        """The pairs and underlyings with a surface."""
        return self._surfaces.keys()

    def surface_rows(self, pair: str) -> list[SurfaceRow]:
        """The rows of a pair's or underlying's surface by expiry, past expiries too; none where it has no surface.

        Without those that newer ones have overtaken.
        """
        parted = self._parted_surfaces.get(pair)
        return [] if parted is None else list(parted.taking_part)

    def rate_rows(self) -> list[RateRow]:
        """The points of all curves, by kind, subject and date, without those that newer ones have overtaken."""
        return [row for _, curve in sorted(self._parted_curves.items()) for row in curve.taking_part]

    def curve_rows(self, kind: str, subject: str) -> list[RateRow]:
        """The points of one curve by date, without those that newer ones have overtaken; none where it has no rows."""
        parted = self._parted_curves.get((kind, subject))
        return [] if parted is None else list(parted.taking_part)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The rows that newer ones of their subject have overtaken, by name: what, of which, and date.

        The same object until rows change; O(rows) after a change.
        """
        if self._left_out is None:
            surfaces = (
                f"vols {pair} {row.expiry}" for pair, each in sorted(self._parted_surfaces.items()) for row in each.left_out
            )
            curves = sorted(self._parted_curves.items())
            rates = (f"{kind} {name} {row.date}" for (kind, name), each in curves for row in each.left_out)
            self._left_out = (*surfaces, *rates)
        return self._left_out

    def __iter__(self) -> Iterator[OptionInput]:
        """Every row in force."""
        yield from self._vols.values()
        for surface in self._surfaces.values():
            yield from surface.values()
        for curve in self._rates.values():
            yield from curve.values()
        yield from self._greeks.values()
        yield from self._cut_spots.values()

    def __len__(self) -> int:
        nested = sum(len(rows) for rows in self._surfaces.values()) + sum(len(rows) for rows in self._rates.values())
        return len(self._vols) + len(self._greeks) + len(self._cut_spots) + nested


_Name = TypeVar("_Name", str, tuple[str, str])


def is_newer(row: OptionInput, before: OptionInput | None, now: int) -> bool:
    """Whether a row takes the place of the one in force of its subject."""
    return before is None or row.ts >= before.ts or before.ts > now + MAX_AHEAD_US


def _put(kept: dict[str, _Row], key: str, row: _Row, now: int, changed: set[_Name], name: _Name) -> bool:
    """Keep a row unless it is older than the one in force; note in `changed` what it changes. Whether it was kept."""
    before = kept.get(key)
    if not is_newer(row, before, now):
        return False
    if row != before:
        kept[key] = row
        changed.add(name)
    return True

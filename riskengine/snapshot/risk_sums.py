"""What stands beside the rows of a risk: sums by underlying and by expiry, the expiries of the next days, rows left out.

A sum adds what is known of its rows and is null where it knows of none; `unpriced_count` counts the rows of which P&L or delta is
unknown, `unknown` those of every amount. A hedge whose pair is that of the options the other way round counts with its sign
turned, in units of their base. Pure functions; any thread.
"""

import datetime as dt
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from riskengine.market.rate_curves import day_of
from riskengine.market.vol_surfaces import FX_CUT
from riskengine.positions.ledger import Row
from riskengine.records.types import BoolArray, FloatArray, IntArray, Kind
from riskengine.snapshot.rows import RowDict, decimal_texts
from riskengine.snapshot.snapshot import Snapshot
from riskengine.valuation.options.netting import NOT
from riskengine.valuation.options.values import LIVE, PERCENT, STATES

SUMMED = ("delta_cash", "gamma_cash", "vega", "theta", "rho_quote", "rho_base", "vanna", "volga", "total_pnl")
"""The amounts that are added up, all in the reporting currency."""

BUCKETS = ("1W", "1M", "3M", "6M", "1Y", "2Y", "later")
MOST_DAYS = (7, 31, 92, 184, 366, 731)
"""The most days ahead (from today, UTC) that each bucket but the last takes."""

DAYS_AHEAD = 5
MOST_LEFT_OUT = 100
"""Names of rows left out that are listed; all are counted."""


class Line(NamedTuple):
    """A row with what its sums need.

    held         the position                 order   its place in the list
    expiry_day   ordinal, NOT where it has none (it then settles in days)
    place        among the options, NOT of a hedge
    is_turned    a hedge whose pair is that of the options the other way round
    """

    row: RowDict
    held: Row
    order: tuple[str, bool, int, float, str]
    expiry_day: int
    place: int
    is_turned: bool

    @property
    def is_hedge(self) -> bool:
        """Whether it is no option."""
        return self.place == NOT


class LineAmounts:
    """The amounts of lines in columns, as they count for the underlyings of their options; nan where unknown."""

    def __init__(self, lines: Sequence[Line]) -> None:
        rows = [line.row for line in lines]
        columns = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in ("delta_base", *SUMMED)}
        turned = np.array([line.is_turned for line in lines], dtype=np.bool_)
        if turned.any():
            marks = np.array([row["value"] for row in rows], dtype=np.float64)
            columns["delta_base"] = np.where(turned, -columns["delta_base"] * marks, columns["delta_base"])
            columns["delta_cash"] = np.where(turned, -columns["delta_cash"], columns["delta_cash"])
        self._columns: dict[str, FloatArray] = columns
        self._is_hedge = np.array([line.is_hedge for line in lines], dtype=np.bool_)
        self._is_stale = np.array([row["stale"] for row in rows], dtype=np.bool_)

    def sums(self, group: IntArray, count: int, names: Iterable[str]) -> list[RowDict]:
        """The sums of each of `count` groups, of which `group` has the number by line. O(lines) a name."""
        counts = np.bincount(group, minlength=count).tolist()
        hedges, stale = self._count(group, count, self._is_hedge), self._count(group, count, self._is_stale)
        unpriced = np.isnan(self._columns["delta_cash"]) | np.isnan(self._columns["total_pnl"])
        sums = {name: _added(self._columns[name], group, count) for name in names}
        of_hedges = _added(self._columns["delta_cash"][self._is_hedge], group[self._is_hedge], count)
        unpriced_counts = self._count(group, count, unpriced)
        return [
            {
                "option_count": counts[at] - hedges[at],
                "hedge_count": hedges[at],
                **{name: each.known[at] for name, each in sums.items()},
                "hedge_delta_cash": of_hedges.known[at],
                "unpriced_count": unpriced_counts[at],
                "stale_count": stale[at],
                "unknown": {name: each.missing[at] for name, each in sums.items() if each.missing[at]},
            }
            for at in range(count)
        ]

    @staticmethod
    def _count(group: IntArray, count: int, which: BoolArray) -> list[int]:
        found: list[int] = np.bincount(group[which], minlength=count).tolist()
        return found


class _Added(NamedTuple):
    """By group the sum of what is known, None where there is something and nothing of it is known, and how many are missing."""

    known: list[float | None]
    missing: list[int]


def _added(amounts: FloatArray, group: IntArray, count: int) -> _Added:
    is_known = ~np.isnan(amounts)
    sums = np.bincount(group[is_known], weights=amounts[is_known], minlength=count) + 0.0
    known, missing = (np.bincount(group[which], minlength=count) for which in (is_known, ~is_known))
    shown = (known > 0) | (missing == 0)
    return _Added(
        [each if is_shown else None for each, is_shown in zip(sums.tolist(), shown.tolist(), strict=True)], missing.tolist()
    )


def summary_of(snapshot: Snapshot, lines: Sequence[Line], *, exact: bool = False) -> RowDict:
    """What stands beside the rows. `exact` gives numbers as decimal texts. O(rows)."""
    marks, today = snapshot.units.options, day_of(snapshot.as_of)
    names = {name: at for at, name in enumerate(dict.fromkeys(line.row["underlying"] for line in lines))}
    by_name = np.array([names[line.row["underlying"]] for line in lines], dtype=np.int64)
    by_bucket = np.array([bucket_of(line.expiry_day, today) for line in lines], dtype=np.int64)
    amounts, spots = LineAmounts(lines), _spots(lines)
    underlyings = amounts.sums(by_name, len(names), ("delta_base", *SUMMED))
    left_out = () if marks is None else marks.left_out
    lists = {
        "by_underlying": [{"underlying": name, "spot": spots.get(name)} | underlyings[at] for name, at in names.items()],
        "by_expiry": [
            {"bucket": bucket} | sums for bucket, sums in zip(BUCKETS, amounts.sums(by_bucket, len(BUCKETS), SUMMED), strict=True)
        ],
        "expiries": list(_expiries(snapshot, lines, today)),
    }
    if exact:
        lists = {name: [decimal_texts(row) for row in rows] for name, rows in lists.items()}
    beside: RowDict = {
        "pin_band_percent": None if marks is None else marks.pin_band * PERCENT,
        "left_out_count": len(left_out),
        "left_out": list(left_out[:MOST_LEFT_OUT]),
    }
    return lists | (decimal_texts(beside) if exact else beside)


def bucket_of(expiry_day: int, today: int) -> int:
    """The number in BUCKETS of an expiry; what has none, such as a spot pair or an equity, is in the first. 0.2 us."""
    return 0 if expiry_day == NOT else bisect_left(MOST_DAYS, expiry_day - today)


def expiry_day(text: str) -> int:
    """The ordinal of a date, or of the day of a moment; NOT where there is none."""
    try:
        return dt.date.fromisoformat(text[:10]).toordinal()
    except ValueError:
        return NOT


def _spots(lines: Iterable[Line]) -> dict[str, float]:
    """The spot of each underlying, where an option on it has one."""
    return {line.row["underlying"]: line.row["spot"] for line in lines if not line.is_hedge and line.row["spot"] is not None}


def _expiries(snapshot: Snapshot, lines: Iterable[Line], today: int) -> Iterator[dict[str, Any]]:
    """The options that expire today or on one of the next days and are not past their cut, the nearest first."""
    marks = snapshot.units.options
    near = [line for line in lines if not line.is_hedge and 0 <= line.expiry_day - today <= DAYS_AHEAD]
    for line in sorted(near, key=lambda line: (line.row["expiry_ts"] or 0, line.order)):
        row = line.row
        if marks is None or row["state"] != STATES[LIVE] or row["expiry_ts"] is None:
            continue
        instrument = snapshot.reference.instruments[line.held.instrument]
        lot, spot, strike = marks.terms.exposed.lot.item(line.place), row["spot"], row["strike"]
        has_cut = bool(instrument.cut) or instrument.kind is Kind.FX_OPTION
        distance = None if spot is None or strike is None else (strike / spot - 1.0) * PERCENT
        yield {
            "instrument": row["instrument"],
            "underlying": row["underlying"],
            "option_type": row["option_type"],
            "strike": strike,
            "expiry": row["expiry"],
            "cut": (instrument.cut or FX_CUT) if has_cut else None,
            "expiry_ts": row["expiry_ts"],
            "quantity": row["quantity"],
            "size": None if row["quantity"] is None else row["quantity"] * lot,
            "spot": spot,
            "distance_percent": distance,
            "in_pin_band": None if distance is None else abs(distance) <= marks.pin_band * PERCENT,
            "delta_cash": row["delta_cash"],
            "gamma_cash": row["gamma_cash"],
        }

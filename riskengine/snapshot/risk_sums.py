"""What stands beside the rows of a risk: sums by underlying and by expiry, the expiries of the next days, rows left out.

A sum adds what is known of its rows and is null where it knows of none; `unpriced_count` counts the rows of which P&L or delta is
unknown, `unknown` those of every amount. A hedge whose pair is that of the options the other way round counts with its sign
turned, in units of their base. Pure functions; any thread.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from math import fsum
from typing import Any, NamedTuple

from riskengine.market.rate_curves import day_of
from riskengine.market.vol_surfaces import FX_CUT
from riskengine.positions.ledger import Row
from riskengine.records.types import Kind
from riskengine.snapshot.rows import RowDict, decimal_texts
from riskengine.snapshot.snapshot import Snapshot
from riskengine.valuation.option_netting import NOT
from riskengine.valuation.option_values import LIVE, PERCENT, STATES

SUMMED = ("delta_cash", "gamma_cash", "vega", "theta", "rho_quote", "rho_base", "vanna", "volga", "total_pnl")
"""The amounts that are added up, all in the reporting currency."""

BUCKETS = (("1W", 7), ("1M", 31), ("3M", 92), ("6M", 184), ("1Y", 366), ("2Y", 731))
"""Buckets by expiry and the most days ahead (from today, UTC) that each takes; LATER takes the rest."""
LATER = "later"

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

    def amount(self, name: str) -> float | None:
        """An amount as it counts for the underlying of its options."""
        amount: float | None = self.row[name]
        if not self.is_turned or amount is None or name not in ("delta_cash", "delta_base"):
            return amount
        if name == "delta_cash":
            return 0.0 - amount
        mark: float | None = self.row["value"]
        return None if mark is None else 0.0 - amount * mark


def summary_of(snapshot: Snapshot, lines: Sequence[Line], *, exact: bool = False) -> RowDict:
    """What stands beside the rows. `exact` gives numbers as decimal texts. O(rows)."""
    marks, today = snapshot.units.options, day_of(snapshot.as_of)
    by_name: dict[str, list[Line]] = {}
    by_bucket: dict[str, list[Line]] = {bucket: [] for bucket in (*(name for name, _ in BUCKETS), LATER)}
    for line in lines:
        by_name.setdefault(line.row["underlying"], []).append(line)
        by_bucket[bucket_of(line.expiry_day, today)].append(line)
    left_out = () if marks is None else marks.left_out
    lists = {
        "by_underlying": [_underlying_row(name, group) for name, group in by_name.items()],
        "by_expiry": [{"bucket": bucket} | _sums(group, SUMMED) for bucket, group in by_bucket.items()],
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


def bucket_of(expiry_day: int, today: int) -> str:
    """The bucket of an expiry; what has none, such as a spot pair or an equity, is in the first."""
    days = 0 if expiry_day == NOT else expiry_day - today
    return next((name for name, most in BUCKETS if days <= most), LATER)


def expiry_day(text: str) -> int:
    """The ordinal of a date, or of the day of a moment; NOT where there is none."""
    try:
        return dt.date.fromisoformat(text[:10]).toordinal()
    except ValueError:
        return NOT


def _underlying_row(name: str, lines: Sequence[Line]) -> RowDict:
    spots = (line.row["spot"] for line in lines if not line.is_hedge)
    spot = next((spot for spot in spots if spot is not None), None)
    return {"underlying": name, "spot": spot} | _sums(lines, ("delta_base", *SUMMED))


def _sums(lines: Sequence[Line], names: Iterable[str]) -> RowDict:
    hedges = [line for line in lines if line.is_hedge]
    unknown: dict[str, int] = {}
    sums: RowDict = {}
    for name in names:
        sums[name], missing = _sum(lines, name)
        if missing:
            unknown[name] = missing
    unpriced = sum(line.row["delta_cash"] is None or line.row["total_pnl"] is None for line in lines)
    return {
        "option_count": len(lines) - len(hedges),
        "hedge_count": len(hedges),
        **sums,
        "hedge_delta_cash": _sum(hedges, "delta_cash")[0],
        "unpriced_count": unpriced,
        "stale_count": sum(line.row["stale"] for line in lines),
        "unknown": unknown,
    }


def _sum(lines: Sequence[Line], name: str) -> tuple[float | None, int]:
    """The sum of what is known, None where nothing is, and how many are unknown."""
    known = [amount for line in lines if (amount := line.amount(name)) is not None]
    return fsum(known) + 0.0 if known or not lines else None, len(lines) - len(known)


def _expiries(snapshot: Snapshot, lines: Iterable[Line], today: int) -> Iterable[dict[str, Any]]:
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

"""History: one amount of a node over days. The minutes of samples and the closes of days as one series, and its greatest fall.

A close stands at its boundary with the amount that it was struck with, samples stand where they were taken: in the stretch that
memory reaches there are both, before it closes alone. Nothing is drawn between them, so there is no jump that was none. Pure
functions; unknown is not-a-number in a series and None in what they answer.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from riskengine.clock import MICROS_PER_SECOND
from riskengine.market.trading_day import TradingDay
from riskengine.records.types import FloatArray
from riskengine.snapshot.curves import Series

DAY_US = 86_400 * MICROS_PER_SECOND

LONGEST_BREAK = dt.timedelta(days=14)
"""How far before its beginning the close is searched that a history of days begins with: longer than any row of days off."""

CloseTotals = Iterable[tuple[str, int, Mapping[str, float | None]]]
"""Date, version and amounts (`records.closes.CLOSE_MEASURES`) of the closes of one owner."""


class Point(NamedTuple):
    """A point of a curve: one sample or close, or all of a bucket of time. Unknown amounts are None.

    ts          time of the sample, boundary of the close, or the beginning of the bucket
    value       the last value, None if that was unknown
    min, max    of the known values
    samples     how many samples and closes there are
    """

    ts: int
    value: float | None
    min: float | None
    max: float | None
    samples: int


class Drawdown(NamedTuple):
    """The greatest fall of a series below the highest value before it.

    amount      0 or more; 0 for a series that never fell, None where nothing is known
    peak_ts     when it stood highest, and `trough_ts` when lowest; both None unless it fell. Of equal falls the first
    """

    amount: float | None = None
    peak_ts: int | None = None
    trough_ts: int | None = None


def dated_closes(found: CloseTotals, measure: str, trading_day: TradingDay, before: int) -> Series:
    """An amount at the boundary of each closed day, by the newest version of its close; those whose boundary is before `before`.

    A measure that closes do not keep has none.
    """
    newest: dict[str, tuple[int, Mapping[str, float | None]]] = {}
    for date, version, amounts in found:
        if measure in amounts and version >= newest.get(date, (0, amounts))[0]:
            newest[date] = version, amounts
    times: list[int] = []
    values: list[float] = []
    for date in sorted(newest):
        ts, value = trading_day.close_of(dt.date.fromisoformat(date)), newest[date][1][measure]
        if ts < before:
            times.append(ts)
            values.append(np.nan if value is None else value)
    return Series(times, values)


def first_moment(days: int, as_of: int, closes: Series) -> int:
    """Where a history of `days` days begins: so long before `as_of`, and not after the last close, where today begins."""
    since = as_of - days * DAY_US
    return min(since, closes.times[-1]) if closes.times else since


def joined(samples: Series, closes: Series, since: int) -> Series:
    """Samples and closes from `since` on, by time. Where both are of one moment, the close counts. O(n log n)."""
    together = dict(zip(samples.times, samples.values, strict=True)) | dict(zip(closes.times, closes.values, strict=True))
    times = sorted(ts for ts in together if ts >= since)
    return Series(times, [together[ts] for ts in times])


def drawdown(series: Series) -> Drawdown:
    """The greatest fall. Unknown values are passed over. O(n)."""
    values, times = np.array(series.values, dtype=np.float64), np.array(series.times, dtype=np.int64)
    known = ~np.isnan(values)
    values, times = values[known], times[known]
    if not len(values):
        return Drawdown()
    falls = np.maximum.accumulate(values) - values
    trough = int(np.argmax(falls))
    if falls[trough] <= 0.0:
        return Drawdown(0.0)
    return Drawdown(float(falls[trough]), int(times[np.argmax(values[:trough])]), int(times[trough]))


def points(series: Series, bucket_us: int = 0) -> list[Point]:
    """The points of a series, oldest first.

    `bucket_us` joins what falls into each bucket of that length, counted from the Unix epoch; an empty bucket has no point.
    """
    if bucket_us:
        return _in_buckets(np.array(series.times, dtype=np.int64), np.array(series.values, dtype=np.float64), bucket_us)
    return [
        Point(ts, known := _none_if_nan(value), known, known, 1) for ts, value in zip(series.times, series.values, strict=True)
    ]


def _in_buckets(times: npt.NDArray[np.int64], values: FloatArray, bucket_us: int) -> list[Point]:
    if not len(times):
        return []
    starts = times - times % bucket_us
    first = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
    ends = np.append(first[1:], len(times))
    known = ~np.isnan(values)
    least = np.minimum.reduceat(np.where(known, values, np.inf), first).tolist()
    most = np.maximum.reduceat(np.where(known, values, -np.inf), first).tolist()
    some = np.logical_or.reduceat(known, first).tolist()
    return [
        Point(int(starts[at]), _none_if_nan(float(values[end - 1])), low if seen else None, high if seen else None, int(end - at))
        for at, end, low, high, seen in zip(first, ends, least, most, some, strict=True)
    ]


def _none_if_nan(value: float) -> float | None:
    return None if np.isnan(value) else value

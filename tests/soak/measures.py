"""What a soak measures, and what it must show: slopes, leftovers and latencies, without a clock or a process."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Sample(NamedTuple):
    """The server at one moment: resident memory in kB, and how many it has of each of the others."""

    at_s: float
    resident_kb: int
    descriptors: int
    threads: int
    tasks: int
    clients: int


class Latency(NamedTuple):
    """From the post of a trade to its patch on a screen, in ms; `at_s` is when it was posted."""

    at_s: float
    ms: float


class Limits(NamedTuple):
    """What a run may show at most; growth in per cent of the resident memory in an hour."""

    growth_percent: float = 1.0
    p99_percent: float = 10.0
    more_descriptors: int = 4
    more_threads: int = 2
    more_tasks: int = 4


LONG = Limits()

SHORT = Limits(growth_percent=math.inf, p99_percent=math.inf)
"""Of a run of minutes, in which memory still warms up and a p99 is that of a few trades."""


class Slope(NamedTuple):
    """A rise in an hour, and its standard error."""

    an_hour: float
    error: float


def slope_of(points: Sequence[tuple[float, float]]) -> Slope:
    """The least-squares slope of (seconds, value). The error is infinite below three points: nothing is known then."""
    count = len(points)
    if count < 3:
        return Slope(0.0, math.inf)
    middle = sum(at for at, _ in points) / count
    level = sum(value for _, value in points) / count
    spread = sum((at - middle) ** 2 for at, _ in points)
    if not spread:
        return Slope(0.0, math.inf)
    rise = sum((at - middle) * (value - level) for at, value in points) / spread
    rest = sum((value - level - rise * (at - middle)) ** 2 for at, value in points)
    return Slope(rise * 3_600, math.sqrt(rest / (count - 2) / spread) * 3_600)


def growth_percent(samples: Sequence[Sample]) -> Slope:
    """The slope of the resident memory, in per cent of its mean in an hour."""
    slope = slope_of([(each.at_s, float(each.resident_kb)) for each in samples])
    level = sum(each.resident_kb for each in samples) / max(1, len(samples))
    return Slope(slope.an_hour / level * 100, slope.error / level * 100) if level else slope


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that is not below `percent` of them; NaN of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else math.nan


def thirds(latencies: Sequence[Latency], begins_s: float, ends_s: float) -> tuple[list[float], list[float]]:
    """The latencies of the first and of the last third of a stretch of time, in ms."""
    third = (ends_s - begins_s) / 3
    first = [each.ms for each in latencies if begins_s <= each.at_s < begins_s + third]
    return first, [each.ms for each in latencies if ends_s - third <= each.at_s <= ends_s]


class Counts(NamedTuple):
    """What happened in a run."""

    connections: int = 0
    trades: int = 0
    not_stored: int = 0
    lost: int = 0
    outages: int = 0
    cut_off: int = 0
    feed_stops: int = 0
    reconciled: int = 0
    not_reconciled: int = 0
    breaks: int = 0
    errors: int = 0


def broken_limits(
    samples: Sequence[Sample],
    latencies: Sequence[Latency],
    before: Sample,
    after: Sample,
    counts: Counts,
    limits: Limits = LONG,
) -> list[str]:
    """What a run showed and must not, a sentence each. `before` and `after` are moments without clients.

    Growth counts if it is above the limit by twice its own error: that of a short run is mostly noise.
    """
    found: list[str] = []
    growth = growth_percent(samples)
    if growth.an_hour - 2 * growth.error > limits.growth_percent:
        told = f"{growth.an_hour:.2f} % an hour (error {growth.error:.2f})"
        found.append(f"resident memory grows by {told}, {limits.growth_percent} at most")
    for name, more in (("descriptors", limits.more_descriptors), ("threads", limits.more_threads), ("tasks", limits.more_tasks)):
        left = getattr(after, name) - getattr(before, name)
        if left > more:
            found.append(f"{left} {name} are left when all clients have gone, {more} at most")
    if latencies:
        first, last = thirds(latencies, latencies[0].at_s, latencies[-1].at_s)
        was, now = percentile(first, 99), percentile(last, 99)
        if not now <= was * (1 + limits.p99_percent / 100):
            found.append(f"p99 from trade to patch went from {was:.1f} to {now:.1f} ms, {limits.p99_percent:g} % more at most")
    else:
        found.append("no trade came to a screen")
    for name in ("breaks", "lost", "errors"):
        if getattr(counts, name):
            found.append(f"{getattr(counts, name)} {name}")
    if not counts.reconciled:
        found.append("never reconciled")
    return found

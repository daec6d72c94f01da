"""How the cost of beats and trades grows: with positions, instruments, depth of the tree. Fits an exponent, draws a plot.

    python -m bench.growth --write FOLDER     figures as Markdown on the screen, one plot (SVG) for each in FOLDER
    python -m bench.growth --most 3000000     up to 3 million positions; 300,000 unless said otherwise

Processor time, medians. The exponent is the slope of a line through the logarithms: 1 is linear, 0 is constant. That of the upper
half tells what a larger book would cost: in a small one, what every beat costs anyway hides it.
"""

import argparse
import gc
from collections.abc import Callable, Sequence
from math import log, log10
from pathlib import Path
from statistics import linear_regression, median
from time import process_time
from typing import NamedTuple

from bench.book import NOW, Maker, Shape, batches
from bench.latency import machine
from riskengine.engine.engine import Engine

ROUNDS, TRADES, FEW = 15, 300, 10
WORKS = ("beat, all prices new", "beat, 10 prices new", "a trade, published")
COLOURS = ("#0b62a4", "#c2410c", "#15803d")
WIDTH, HEIGHT, LEFT, LOW, TOP, RIGHT = 640, 400, 70, 50, 40, 20


class Point(NamedTuple):
    """One size, and the seconds of each of WORKS there: lowest, median, highest."""

    size: int
    seconds: tuple[tuple[float, float, float], ...]


def spread(works: Sequence[Callable[[], object]]) -> tuple[float, float, float]:
    times = []
    for work in works:
        began = process_time()
        work()
        times.append(process_time() - began)
    return min(times), median(times), max(times)


def measure(size: int, shape: Shape) -> Point:
    """The three works on one book."""
    gc.collect()
    gc.disable()
    maker = Maker(shape)
    engine = Engine(maker.reference, now=NOW)
    for batch in batches(maker.trades(maker.held)):
        engine.apply(batch, NOW)
    every = range(shape.instruments)
    engine.beat(maker.marks(every), NOW)
    engine.publish(NOW, at_once=True)

    def beat(numbers: Sequence[int]) -> Callable[[], object]:
        marks = maker.marks(numbers)
        return lambda: (engine.beat(marks, NOW), engine.publish(NOW))

    def trade() -> Callable[[], object]:
        made = maker.trades([maker.seeded.choice(maker.held)])
        return lambda: (engine.apply(made, NOW), engine.publish(NOW))

    spread([beat(every), beat(maker.seeded.sample(every, FEW)), trade()])
    found = (
        spread([beat(every) for _ in range(ROUNDS)]),
        spread([beat(maker.seeded.sample(every, FEW)) for _ in range(ROUNDS)]),
        spread([trade() for _ in range(TRADES)]),
    )
    gc.enable()
    return Point(size, found)


def shape_of(leaves: int) -> Shape:
    """A book in one currency, 15 positions an account, 100 accounts a desk, 10 desks a book."""
    desks = max(2, leaves // 100)
    return Shape(leaves=leaves, levels=(max(1, desks // 10), desks), currencies=())


def positions(most: int) -> list[tuple[int, Shape]]:
    sizes = [3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000]
    return [(size, shape_of(size // 15)) for size in sizes if size <= most]


def instruments(_most: int) -> list[tuple[int, Shape]]:
    """60,000 positions, 10 in each account, in ever more instruments."""
    same = shape_of(6_000)._replace(held=10)
    return [(size, same._replace(instruments=size)) for size in (10, 30, 100, 300, 1_000, 3_000, 10_000)]


def depth(_most: int) -> list[tuple[int, Shape]]:
    """30,000 positions of 2,000 accounts below ever more levels, of which the lowest has 200 nodes."""
    chains = ((200,), (20, 200), (5, 20, 60, 200), (2, 5, 10, 20, 60, 200), (2, 4, 8, 16, 32, 64, 128, 200))
    return [(len(chain) + 2, shape_of(2_000)._replace(levels=chain)) for chain in chains]


GROWTHS = {"positions": positions, "instruments": instruments, "levels": depth}


def exponent(points: Sequence[Point], work: int) -> float:
    return linear_regression([log(one.size) for one in points], [log(one.seconds[work][1]) for one in points]).slope


def table(name: str, points: Sequence[Point]) -> str:
    lines = [f"| {name} | {' | '.join(WORKS)} |", "|---" * (len(WORKS) + 1) + "|"]
    for one in points:
        cells = [f"{middle * 1e3:.3g} ({low * 1e3:.3g} to {high * 1e3:.3g})" for low, middle, high in one.seconds]
        lines.append(f"| {one.size:,} | {' | '.join(cells)} |")
    upper = points[len(points) // 2 :]
    for what, part in (("exponent", points), ("exponent, upper half", upper)):
        lines.append(f"| {what} | {' | '.join(f'{exponent(part, work):.2f}' for work in range(len(WORKS)))} |")
    return "\n".join(lines)


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each power of ten between two numbers; of many, the powers alone."""
    powers = range(int(log10(low)) - 2, int(log10(high)) + 2)
    found = [step * 10.0**power for power in powers for step in (1, 2, 5) if low <= step * 10.0**power <= high]
    return found if len(found) < 8 else [tick for tick in found if f"{tick:e}".startswith("1")]


def plot(name: str, points: Sequence[Point]) -> str:
    """Both axes logarithmic: a straight line is a power, one at 45 degrees of the axes' units is linear."""
    sizes = [float(one.size) for one in points]
    times = [seconds[1] * 1e3 for one in points for seconds in one.seconds]

    def x(size: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * log(size / sizes[0]) / log(sizes[-1] / sizes[0])

    def y(time: float) -> float:
        return HEIGHT - LOW - (HEIGHT - LOW - TOP) * log(time / min(times)) / log(max(times) / min(times))

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">{name}</text><text x="8" y="16">ms, processor</text>',
    ]
    for tick in _ticks(min(times), max(times)):
        drawn.append(f'<path d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        drawn.append(f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    drawn += [f'<text x="{x(size):.1f}" y="{HEIGHT - LOW + 18}" text-anchor="middle">{size:,.0f}</text>' for size in sizes]
    for work, colour in enumerate(COLOURS):
        at = " ".join(f"{x(one.size):.1f},{y(one.seconds[work][1] * 1e3):.1f}" for one in points)
        drawn.append(f'<polyline points="{at}" fill="none" stroke="{colour}" stroke-width="2"/>')
        label = f"{WORKS[work]}: exponent {exponent(points, work):.2f}"
        drawn.append(f'<text x="{LEFT + 60 + work * 165}" y="16" font-size="10" fill="{colour}">{label}</text>')
    return "\n".join([*drawn, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=300_000, help="positions of the largest book")
    parser.add_argument("--only", choices=sorted(GROWTHS), help="one of them")
    parser.add_argument("--write", type=Path, help="folder for the plots")
    chosen = parser.parse_args()
    print(machine())
    for name, sizes in GROWTHS.items():
        if chosen.only in (None, name):
            points = [measure(size, shape) for size, shape in sizes(chosen.most)]
            print(f"\nMilliseconds, median (lowest to highest)\n\n{table(name, points)}", flush=True)
            if chosen.write:
                (chosen.write / f"growth-{name}.svg").write_text(plot(name, points), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Measures the memory of the loaded book: `python -m bench.memory`. At most 700 MB resident with 300,000 trades kept."""

import gc
import resource
import sys
from pathlib import Path

from bench.book import NOW, POSITIONS, Maker, batches
from riskengine.engine.engine import Engine
from riskengine.rebuild.rebuild import settle_memory


def resident_mb() -> float:
    """Resident memory of this process, now if the system reports it, else the peak."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6
    return highest_mb()


def highest_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def main() -> None:
    print(f"{resident_mb():7.0f} MB  interpreter and libraries")
    maker = Maker()
    gc.disable()
    trades = maker.trades(maker.held)
    print(f"{resident_mb():7.0f} MB  with the reference data and {POSITIONS:,} trades")
    engine = Engine(maker.reference, now=NOW)
    for batch in batches(trades):
        engine.apply(batch, NOW)
    engine.publish(NOW)
    del trades
    gc.enable()
    settle_memory()
    print(f"{resident_mb():7.0f} MB  with the engine that holds them, its snapshot published")
    print(f"{highest_mb():7.0f} MB  at the peak")
    for step in range(10):
        engine.beat(maker.marks(range(len(maker.instruments))), NOW + step)
        engine.publish(NOW + step)
    print(f"{resident_mb():7.0f} MB  after ten beats")


if __name__ == "__main__":
    main()

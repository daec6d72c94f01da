"""How long a roll takes at 300,000 positions, step by step: on the writer thread, beside it, on the store thread.

    .venv/bin/python -m bench.roll [STORE_URL]

The book of the benches trades on one day; its close is struck, stored and followed by the next day,
twice. Wall and processor time.
"""

import argparse
import datetime as dt
import gc
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bench.book import INSTRUMENTS, NOW, Maker, load_engine
from riskengine.config import Config
from riskengine.engine.closing import ClosingDay, make_close
from riskengine.engine.engine import Engine
from riskengine.positions.day_window import DayWindow
from riskengine.records.closes import ClosePrice
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.tables.struck_closes import CHUNKS_AT_ONCE, pack_close
from riskengine.valuation.day_start import DayStart


class Steps:
    """Runs and prints steps; adds up their time."""

    def __init__(self) -> None:
        self.wall = self.processor = 0.0

    def run(self, where: str, what: str, action: Callable[[], Any]) -> Any:
        """What `action` returns."""
        wall, processor = time.perf_counter(), time.process_time()
        result = action()
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        self.wall, self.processor = self.wall + wall, self.processor + processor
        print(f"{where:8} {what:36} {wall * 1_000:8.1f} ms, processor {processor * 1_000:8.1f} ms")
        return result


def measure(url: str) -> None:
    """Roll the book twice: the first close of an engine looks at every position for trades of the next day."""
    maker = Maker()
    engine, store = load_engine(maker), open_store(url)
    today = engine.trading_day.date_of(NOW)
    gc.freeze()
    gc.disable()  # as beside a live writer
    for _ in range(2):
        roll(engine, store, maker, today)
        today = engine.trading_day.next(today)
    store.close()


def roll(engine: Engine, store: Store, maker: Maker, today: dt.date) -> None:
    """The steps of one roll."""
    steps, config, trading_day = Steps(), Config(), engine.trading_day
    window, following = DayWindow.after(trading_day.previous(today), trading_day), DayWindow.after(today, trading_day)
    prices = {each.instrument: ClosePrice(1.0 + n / INSTRUMENTS, NOW, "feed") for n, each in enumerate(maker.instruments)}
    engine.publish(window.end_ts)
    rows = steps.run("writer", "fix the positions", partial(engine.close_rows, window, following))
    day = ClosingDay(today.isoformat(), window.end_ts, window.end_ts + 5_000_000)
    close = steps.run("beside", "make the close", partial(make_close, rows, prices, day, config))
    packed = steps.run("beside", "pack it", partial(pack_close, close))
    for first in range(0, len(packed.chunks), CHUNKS_AT_ONCE):
        part = packed.chunks[first : first + CHUNKS_AT_ONCE]
        steps.run("store", f"store {len(part)} chunks", partial(store.save_close_chunks, part))
    steps.run("store", "store the close", partial(store.save_struck_close, packed))
    print(f"{'':8} {'stored after':36} {steps.wall * 1_000:8.1f} ms, processor {steps.processor * 1_000:8.1f} ms")
    dealers = engine.number_dealers(each.owner for each in close.dealers)
    start = steps.run(
        "beside", "make the start of the day", partial(DayStart.of, engine.reference, following, close, dealers=dealers)
    )
    values = steps.run("beside", "value the lines of the day", partial(engine.day_values, start))
    steps.run("writer", "begin the day", partial(engine.begin_day, start, values))
    steps.run("writer", "publish", partial(engine.publish, window.end_ts + 1))
    print(f"{today}: {len(close.nodes):,} + {len(close.dealers):,} positions,", end=" ")
    print(f"{steps.wall:.2f} s, processor {steps.processor:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", nargs="?")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(chosen.store or f"sqlite:///{folder}/engine.db")

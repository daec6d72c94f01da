"""Measures a start that goes on from the state of a close: `python -m bench.from_close --folder DIR`.

One store holds `--before` trades of before the last close and `--after` since, on 300,000 positions; another one only the latter.
The mix is that of `bench/start.py`; `--corrections` more amend one of before the close. It makes the stores once, in `--folder`,
keeps the state of the close as the live engine does (without its rests), and starts the real server on both, several times.

With fewer than a million since, the other store holds fewer positions, and the ratio says little.

Prints one JSON object: seconds to live of both and their ratio (the target is 1.2), the ratio of their CPU seconds, the seconds
and megabytes of the state; exit status 1 above the target.
"""

import argparse
import datetime as dt
import json
import random
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench.book import Maker
from bench.latency import machine
from bench.start import start_once, trades_of
from riskengine.clock import SystemClock
from riskengine.config import Config, StoreConfig
from riskengine.market.closing_prices import closing_rules
from riskengine.market.trading_day import TradingDay
from riskengine.rebuild.close_state import make_close_state
from riskengine.rebuild.missed_days import make_up
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.types import ONE, Notice, StoredMark, Trade
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.tables.bulk_trades import read_trades

TARGET = 1.2
HOUR = 3_600_000_000


def moved(parts: Iterator[list[Trade]], begin: int, prefix: str) -> Iterator[list[Trade]]:
    """Trades dealt and received from `begin` on, a microsecond after each other, with names of their own."""
    ts = begin
    for part in parts:
        made = []
        for trade in part:
            ts += 1
            made.append(msgspec.structs.replace(trade, ts=ts, received_ts=ts, trade_id=prefix + trade.trade_id))
        yield made


def corrections(part: list[Trade], place: int, ts: int) -> list[Trade]:
    """Amends of some trades of before the close."""
    return [
        msgspec.structs.replace(one, version=2, action="amend", price=one.price + ONE // 100, received_ts=ts, booked_ts=ts)
        for one in part[:place]
        if one.version == 1
    ]


def fill(url: str, before: int, after: int, amended: int, boundary: int) -> None:
    """Make a store; leave one from an earlier call unchanged."""
    store = open_store(url)
    try:
        if store.counts().trades:
            return
        maker = Maker()
        store.save_nodes(maker.reference.hierarchy.nodes)
        store.save_instruments(maker.instruments)
        marks = maker.marks(range(len(maker.instruments)))
        quoted = boundary - HOUR  # before the close, which takes these prices
        store.save_marks([StoredMark(maker.instruments[n].instrument, quoted, mark.price) for n, mark in marks.items()])
        old: list[Trade] = []
        dice = random.Random(7)
        for part in moved(trades_of(maker, before), boundary - HOUR, "b"):
            store.append_trades(part)
            old += dice.sample(part, min(len(part), 1 + amended * len(part) // max(before, 1)))
        for part in moved(trades_of(Maker(), after), boundary + HOUR // 60, "a"):
            store.append_trades(part)
        later = [one for one in old if one.version == 1][:amended]
        if later and before:
            store.append_trades(corrections(later, amended, boundary + HOUR))
        none: list[Notice] = []
        store.save_notices(none, store.watermark())
    finally:
        store.close()


def keep(url: str, date: dt.date, *, is_whole: bool) -> dict[str, float]:
    """Strike the close and keep its state if that is asked for; seconds and megabytes."""
    store = open_store(url)
    try:
        config = Config(store=StoreConfig(url))
        strike(store, config)
        if store.close_state() is not None or not is_whole:
            return {}
        number, size, began = store.new_close_state(), 0, time.perf_counter()

        def save(part: str, place: int, content: bytes) -> None:
            nonlocal size
            size += len(content)
            store.save_close_state_chunks(number, part, place, [content])

        made = make_close_state(store, config, date.isoformat(), epoch=0, now=SystemClock().now(), rest=lambda: None, save=save)
        assert made is not None, "the store has trades of before the close"
        store.save_close_state(number, made.state)
        return {"state_s": round(time.perf_counter() - began, 1), "state_mb": round(size / 1e6, 1)}
    finally:
        store.close()


def strike(store: Store, config: Config) -> None:
    """The close of the last day at the stored prices, as a start makes it up."""
    if store.struck_close_dates():
        return
    now = SystemClock().now()
    engine = rebuild(store, read_trades(store), config, epoch=0, now=now)
    make_up(engine, store, config, closing_rules(config.engine, engine.calendars), now)


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=int, default=2_000_000)
    parser.add_argument("--after", type=int, default=1_000_000)
    parser.add_argument("--corrections", type=int, default=100)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--folder", required=True)
    options = parser.parse_args()
    day = TradingDay.of(Config().engine)
    date = day.last_closed(SystemClock().now())
    boundary = day.close_of(date)
    Path(options.folder).mkdir(parents=True, exist_ok=True)
    urls = [f"sqlite:///{options.folder}/{name}.db" for name in ("whole", "alone")]
    fill(urls[0], options.before, options.after, options.corrections, boundary)
    fill(urls[1], 0, options.after, 0, boundary)
    kept = keep(urls[0], date, is_whole=True)
    keep(urls[1], date, is_whole=False)
    found: list[list[dict[str, Any]]] = [[start_once(url) for url in urls] for _ in range(options.starts)]
    whole, alone = (statistics.median(pair[place]["s"] for pair in found) for place in (0, 1))
    cpu = [statistics.median(pair[place]["cpu_s"]["engine"] for pair in found) for place in (0, 1)]
    print(
        json.dumps(
            {
                "machine": machine(),
                "before": options.before,
                "after": options.after,
                "whole_s": whole,
                "alone_s": alone,
                "ratio": round(whole / alone, 2),
                "cpu_ratio": round(cpu[0] / cpu[1], 2),
                "target": TARGET,
                **kept,
                "starts": found,
            },
            indent=2,
        )
    )
    return int(whole > TARGET * alone)


if __name__ == "__main__":
    sys.exit(main())

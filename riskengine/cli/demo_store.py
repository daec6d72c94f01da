"""Fills the store of a demo: its house, and the past that a desk has behind it at noon. Every record goes through the checks.

A store that a demo has dealt in before goes on as it is. A kill on the way leaves one without trades: the next demo fills it.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from riskengine.clock import MICROS_PER_SECOND, utc_text
from riskengine.config import Config
from riskengine.errors import InputError
from riskengine.feeds.simulation.market import MarketSimulator
from riskengine.feeds.simulation.morning import MorningSimulator, Times, times_of
from riskengine.market.marks import QuoteBook
from riskengine.market.trading_day import TradingDay
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.reference import Reference, trade_check
from riskengine.records.reference_input import check_close, check_opening
from riskengine.records.types import Instrument, Node, Sample, StoredMark, Trade
from riskengine.snapshot.curves import sample
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.results import TradeFilter
from riskengine.store.tables.bulk_trades import read_trades

DEALT_BY = "demo"
"""The source of trades that name none."""

AHEAD_US = 60 * MICROS_PER_SECOND
"""How far the newest record of a store may lie ahead of the clock."""


class House(NamedTuple):
    """Who deals in the demo, and in what."""

    nodes: Sequence[Node]
    instruments: Sequence[Instrument]


def fill_store(
    config: Config, house: House, seed: int, now: int, market: MarketSimulator, *, with_morning: bool = True
) -> dict[tuple[str, str], int]:
    """Make the store ready for a demo that begins now, and let `market` go on from its prices.

    Without a morning the desks begin flat. Returns the lots that they hold, as far as this knows them. Raises StoreError, and
    InputError if the store holds anything but a demo, or records from after now.
    """
    store = open_store(config.store.url)
    try:
        _check_it_is_a_demo(store, house)
        _check_it_is_past(store, now)
        store.save_nodes(house.nodes)
        store.save_instruments(house.instruments)
        if store.watermark():
            market.start_from({mark.instrument: mark.price for mark in store.marks()})
            return {}
        if not with_morning:
            return {}
        morning = MorningSimulator(seed, house.nodes, house.instruments, market)
        _store_morning(store, config, house, morning, times_of(now, TradingDay.of(config.engine)))
        return dict(morning.lots)
    finally:
        store.close()


def _check_it_is_a_demo(store: Store, house: House) -> None:
    nodes, instruments = {node.node for node in house.nodes}, {each.instrument for each in house.instruments}
    if {node.node for node in store.nodes()} - nodes or {each.instrument for each in store.instruments()} - instruments:
        raise InputError(f"store {store.name} holds more than the demo: name an empty store, or leave --store out")


def _check_it_is_past(store: Store, now: int) -> None:
    """A demo whose clock ran fast has dealt in what is still to come."""
    newest, _ = store.select_trades(TradeFilter(versions="all"), 1)
    last = max([row.ts or 0 for row in newest] + [mark.ts for mark in store.marks()], default=0)
    if last > now + AHEAD_US:
        raise InputError(
            f"store {store.name} was in use until {utc_text(last)} by a faster clock, and this one says {utc_text(now)}:"
            f" --start-at {last} goes on from there"
        )


def _store_morning(store: Store, config: Config, house: House, morning: MorningSimulator, times: Times) -> None:
    """Store closes, balances, trades, marks and curve of a morning. Each kind is one transaction; trades come last but curves."""
    symbols = {instrument.instrument: instrument for instrument in house.instruments}
    trading_day = TradingDay.of(config.engine)
    store.save_closes([check_close(row, symbols) for row in morning.closes(times, trading_day)])
    store.save_openings([check_opening(row, symbols) for row in morning.openings(times)])
    trades, marks, samples = _live_through(store, config, house, morning, times)
    store.save_marks(marks)
    store.append_trades(trades)
    if samples:
        store.save_curve_samples(samples, samples[0].ts)


def _live_through(
    store: Store, config: Config, house: House, morning: MorningSimulator, times: Times
) -> tuple[list[Trade], list[StoredMark], list[Sample]]:
    """The checked trades of the morning, the marks at its end, and a sample a minute, of an engine that took it as it came."""
    reference = Reference(house.nodes, house.instruments, config.engine.reporting_currency)
    check = partial(trade_check(reference), default_source=DEALT_BY)
    engine = rebuild(store, read_trades(store), config, epoch=0, now=times.first)
    quotes = QuoteBook(engine.reference, config.marks, config.engine.future_limit_s)
    trades: list[Trade] = []
    samples: list[Sample] = []
    for minute in morning.minutes(times):
        quotes.offer(minute.ticks, minute.ts)
        engine.beat(quotes.take(minute.ts), minute.ts)
        came = [check(sent, received_ts) for received_ts, sent in minute.trades]
        engine.apply(came, minute.ts)
        trades += came
        engine.publish(minute.ts)
        samples.append(sample(engine.snapshot, config.curves.max_nodes))
    marks = zip(engine.reference.symbols, engine.marks.marks, strict=True)
    return (
        trades,
        [StoredMark(symbol, mark.ts, mark.price, mark.source, mark.kind) for symbol, mark in marks if mark is not None],
        samples,
    )

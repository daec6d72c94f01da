"""Fills the store of a demo: its house, and the past that a desk has behind it at noon. Every record goes through the checks.

A store that a demo has dealt in before goes on as it is, with the limits of the house that it lacks. Balances come first and
trades last: a store with balances and without trades was left by a kill, and is refused.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

from riskengine.clock import MICROS_PER_SECOND, utc_text
from riskengine.config import Config
from riskengine.errors import InputError
from riskengine.feeds.simulation.market import MarketSimulator
from riskengine.feeds.simulation.morning import Day, Minute, MorningSimulator, Times, times_of
from riskengine.feeds.simulation.option_desks import NAMES, OptionDesks, option_instruments, option_nodes
from riskengine.market.marks import CLOSE
from riskengine.market.quote_book import QuoteBook
from riskengine.market.trading_day import TradingDay
from riskengine.rebuild.day import strike_missed
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.closes import ClosePrice
from riskengine.records.decode import TradeInput
from riskengine.records.limits import LIMIT, LimitCheck, LimitInput
from riskengine.records.option_inputs import DatedInput, OptionInput
from riskengine.records.reference import Reference, trade_check
from riskengine.records.reference_input import check_close, check_opening
from riskengine.records.types import Close, Instrument, Node, Sample, StoredMark, Trade
from riskengine.snapshot.curves import sample
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.results import TradeFilter
from riskengine.store.tables.bulk_trades import read_trades

NO_PRICES: Mapping[str, float] = {}

DEALT_BY = "demo"
"""The source of trades that name none."""

AHEAD_US = 60 * MICROS_PER_SECOND
"""How far the newest record of a store may lie ahead of the clock."""


class House(NamedTuple):
    """Who deals in the demo, and in what."""

    nodes: Sequence[Node]
    instruments: Sequence[Instrument]
    has_options: bool = False
    limits: Sequence[LimitInput] = ()

    @property
    def every_node(self) -> Sequence[Node]:
        """Those of the desks that deal in options too."""
        return [*self.nodes, *(option_nodes() if self.has_options else ())]


class Filled(NamedTuple):
    """What a store was left with: the lots that desks hold, as far as they are known, and the options."""

    lots: Mapping[tuple[str, str], int]
    options: Sequence[Instrument] = ()


def fill_store(
    config: Config, house: House, seed: int, now: int, market: MarketSimulator, prices: Mapping[str, float] = NO_PRICES
) -> Filled:
    """Make the store ready for a demo that begins now, and let `market` go on from its prices.

    `prices` are those at which the past has to end, by instrument, where others than the market's come next. Raises StoreError,
    and InputError if the store holds anything but a whole demo, or records from after now.
    """
    store = open_store(config.store.url)
    try:
        _check_it_is_a_demo(store, house)
        _check_it_is_past(store, now)
        store.save_nodes(house.every_node)
        store.save_instruments(house.instruments)
        _save_limits(store, config, house, now)
        if store.watermark():
            market.start_from({mark.instrument: mark.price for mark in store.marks()})
            return Filled({}, _stored_options(store, house))
        if store.openings():
            raise InputError(f"store {store.name} was left half filled by a demo that was killed: delete it, and begin again")
        times = times_of(now, TradingDay.of(config.engine))
        if prices:
            market.start_from(_beginnings(house, seed, times, config, market.mids(), prices))
        morning = MorningSimulator(seed, house.nodes, house.instruments, market)
        _store_past(store, config, house, morning, times)
        return Filled(dict(morning.lots), _deal_in_options(store, config, house, seed, now, market))
    finally:
        store.close()


def _save_limits(store: Store, config: Config, house: House, now: int) -> None:
    """Store the limits of the house; a limit that is there stays as it is."""
    reference = Reference(house.every_node, house.instruments, config.engine.reporting_currency)
    check = LimitCheck(reference.hierarchy, reference.by_symbol, reference.currency_index)
    stored = {limit.limit_id for limit in store.risk_rules().limits}
    new = [check(sent, now, DEALT_BY) for sent in house.limits if sent.limit_id not in stored]
    if new:
        store.save_risk_rules(LIMIT, new)


def _beginnings(
    house: House, seed: int, times: Times, config: Config, mids: Mapping[str, float], prices: Mapping[str, float]
) -> dict[str, float]:
    """Where prices that begin at `mids` must begin to end at `prices`: a past moves them by a factor, wherever it begins."""
    market, trading_day = MarketSimulator(seed, house.instruments), TradingDay.of(config.engine)
    trial = MorningSimulator(seed, house.nodes, house.instruments, market)
    trial.openings(times, trading_day)
    for _ in chain(trial.days(times, trading_day), trial.minutes(times)):
        pass
    ends = market.mids()
    return {symbol: mids[symbol] * price / ends[symbol] for symbol, price in prices.items() if symbol in ends}


def _check_it_is_a_demo(store: Store, house: House) -> None:
    nodes = {node.node for node in house.every_node}
    instruments = {each.instrument for each in house.instruments} | (NAMES if house.has_options else set())
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


def _store_past(store: Store, config: Config, house: House, morning: MorningSimulator, times: Times) -> None:
    """Store balances, official and struck closes, marks, curve and trades, in this order. A struck close is one transaction."""
    symbols = {instrument.instrument: instrument for instrument in house.instruments}
    trading_day = TradingDay.of(config.engine)
    store.save_openings([check_opening(row, symbols) for row in morning.openings(times, trading_day)])
    reference = Reference(house.every_node, house.instruments, config.engine.reporting_currency)
    desk = Desk(store, config, reference)
    closes: list[Close] = []
    for day in morning.days(times, trading_day):
        official = [check_close(row, symbols) for row in day.closes]
        desk.live_through_day(day, official)
        closes += official
    for minute in morning.minutes(times):
        desk.live_through_minute(minute)
    store.save_closes(closes)
    store.save_marks(desk.marks())
    if desk.samples:
        store.save_curve_samples(desk.samples, desk.samples[0].ts)
    store.append_trades(desk.trades)


def _deal_in_options(
    store: Store, config: Config, house: House, seed: int, now: int, market: MarketSimulator
) -> Sequence[Instrument]:
    """Store the options, what they are valued with, and the trades of their desks, at the prices of now. Returns the options."""
    if not house.has_options:
        return ()
    mids, options = market.mids(), option_instruments(now, market.mids())
    desks = OptionDesks(seed, options)
    store.save_instruments(options)
    _save_inputs(store, config, desks.inputs(now))
    quotes = desks.ticks(now, mids)
    store.save_marks(
        [StoredMark(tick.instrument, now, ((tick.bid or 0.0) + (tick.ask or 0.0)) / 2.0, tick.source) for tick in quotes]
    )
    reference = Reference(house.every_node, [*house.instruments, *options], config.engine.reporting_currency)
    check = trade_check(reference)
    store.append_trades([check(sent, now, DEALT_BY) for sent in desks.trades(now, mids)])
    return options


def _stored_options(store: Store, house: House) -> Sequence[Instrument]:
    """The options of a store that a demo has dealt in before, as they are there; none where it knew none."""
    stored = [each for each in store.instruments() if each.instrument in NAMES]
    return stored if house.has_options else ()


def _save_inputs(store: Store, config: Config, rows: Sequence[OptionInput]) -> None:
    day_of = TradingDay.of(config.engine).date_of
    store.save_option_inputs([DatedInput(day_of(row.ts).isoformat(), row) for row in rows])


class Desk:
    """An engine that takes the past as it came: the checked `trades`, and a sample of each minute."""

    def __init__(self, store: Store, config: Config, reference: Reference) -> None:
        self._store = store
        self._config = config
        self._openings = store.openings()
        self._check = partial(trade_check(reference), default_source=DEALT_BY)
        self._engine = rebuild(store, read_trades(store), config, epoch=0, now=min(each.ts for each in self._openings))
        self._quotes = QuoteBook(self._engine.reference, config.marks, config.engine.future_limit_s)
        self.trades: list[Trade] = []
        self.samples: list[Sample] = []

    def live_through_day(self, day: Day, official: Sequence[Close]) -> None:
        """Take the trades of a day, strike its close with the official prices, and store that."""
        self._take(day.trades, day.end_ts)
        prices = {close.instrument: ClosePrice(close.price, day.end_ts, CLOSE, True) for close in official}
        struck_ts = day.end_ts + int(self._config.engine.tolerance_s * MICROS_PER_SECOND)
        close = strike_missed(self._engine, day.date, prices, self._config, struck_ts, self._openings)
        self._store.save_struck_close(close)

    def live_through_minute(self, minute: Minute) -> None:
        """Take the prices and trades of a minute, and a sample at its end."""
        self._quotes.offer(minute.ticks, minute.ts)
        self._engine.beat(self._quotes.take(minute.ts), minute.ts)
        self._take(minute.trades, minute.ts)
        self._engine.publish(minute.ts)
        self.samples.append(sample(self._engine.snapshot, self._config.curves.max_nodes))

    def _take(self, sent: Sequence[tuple[int, TradeInput]], now: int) -> None:
        came = [self._check(trade, received_ts) for received_ts, trade in sent]
        self._engine.apply(came, now)
        self.trades += came

    def marks(self) -> list[StoredMark]:
        """The marks that are in force now."""
        known = zip(self._engine.reference.symbols, self._engine.marks.marks, strict=True)
        return [StoredMark(symbol, mark.ts, mark.price, mark.source, mark.kind) for symbol, mark in known if mark is not None]

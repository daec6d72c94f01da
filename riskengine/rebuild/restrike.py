"""A struck close once more, with other prices: what a later version of it comes to."""

import datetime as dt
from collections.abc import Iterable, Mapping

import numpy as np
from msgspec import structs

from riskengine.config import Config
from riskengine.engine.closing import ClosingDay, ClosingRows, Overrides, make_close
from riskengine.engine.closing_options import ClosingOptions
from riskengine.engine.engine import Engine
from riskengine.market.closing_prices import ClosingRules
from riskengine.positions.day_window import DayWindow, Held
from riskengine.positions.ledger import SHIFT
from riskengine.records.closes import CLOSE_MEASURES, ClosedPosition, ClosePrice, OwnerTotals, StruckClose
from riskengine.records.forwards import pair_symbol
from riskengine.records.reference import Reference
from riskengine.records.types import Kind
from riskengine.store.protocol import Store
from riskengine.valuation.day_start import DayStart
from riskengine.valuation.forward_values import FIXING

_TOTAL, _NAV = CLOSE_MEASURES.index("total_pnl"), CLOSE_MEASURES.index("nav")


def restrike(
    store: Store, config: Config, rules: ClosingRules, reference: Reference, close: StruckClose, prices: Mapping[str, ClosePrice]
) -> StruckClose:
    """A close with the same positions and other prices, valued against the close before it as published.

    By the reference data in force; date, version and times are those of `close`. Rates are those of the marks of the close. 10 us
    a position; any thread. Raises StoreError.
    """
    reference = reference.with_forwards(sorted({each.instrument for each in close.nodes} | prices.keys()))
    prices = _with_outrights(prices, close, reference)
    engine = Engine(reference, config, epoch=0, now=close.ts)
    before = max((date for date in store.struck_close_dates() if date < close.date), default=None)
    previous = None if before is None else store.struck_close(before)
    if previous is not None:
        published = [each for version in range(1, previous.version) if (each := store.struck_close(previous.date, version))]
        window = DayWindow.after(dt.date.fromisoformat(previous.date), rules.trading_day)
        known = engine.number_dealers(each.owner for each in (published[0] if published else previous).dealers)
        engine.take_actions(store.action_rows(), close.ts, close.date)
        changes = engine.close_changes(window)
        start = DayStart.of(reference, window, previous, published, dealers=known, changes=changes)
        engine.begin_day(start, engine.day_values(start))
    dealers = engine.number_dealers(each.owner for each in close.dealers)
    engine.publish(close.ts)
    rows = ClosingRows(
        engine.snapshot,
        _overrides(close.nodes, reference.hierarchy.index, reference),
        _overrides(close.dealers, dealers, reference),
        dealers,
        close.openings,
        options=_options(store, engine, close, prices),
    )
    day = ClosingDay(close.date, close.ts, close.struck_ts, close.version)
    made = make_close(rows, prices, day, config, before=close)
    return structs.replace(made, node_totals=_with_nav(made.node_totals, close.node_totals))


def _with_outrights(prices: Mapping[str, ClosePrice], close: StruckClose, reference: Reference) -> dict[str, ClosePrice]:
    """The prices with the outrights of forwards moved by what their pairs have moved: the points are those of the close."""
    found = dict(prices)
    for symbol, price in prices.items():
        forward = reference.by_symbol.get(symbol)
        pair = pair_symbol(forward, reference.root.by_symbol) if forward is not None and forward.kind is Kind.FX_FORWARD else ""
        if pair and pair in prices and pair in close.prices and not price.official and price.source != FIXING:
            found[symbol] = price._replace(price=price.price + (prices[pair].price - close.prices[pair].price))
    return found


def _options(store: Store, engine: Engine, close: StruckClose, prices: Mapping[str, ClosePrice]) -> ClosingOptions:
    """What options on moved prices are valued with: the rows of before the boundary that the store has. Others stay as struck."""
    inputs = tuple(row for row in store.option_inputs() if row.ts < close.ts)
    before = close.prices
    moved = frozenset(symbol for symbol, each in prices.items() if symbol not in before or before[symbol].price != each.price)
    return ClosingOptions(inputs, engine.calendars, engine.ledger.adjustments, moved)


def _with_nav(made: OwnerTotals, before: OwnerTotals) -> OwnerTotals:
    """The totals with the NAV of before, moved by what the total has moved: the external cash is the same."""
    place = {owner: at for at, owner in enumerate(before.owners)}
    amounts = made.amounts.copy()
    for at, owner in enumerate(made.owners):
        was = place.get(owner)
        moved = np.nan if was is None else amounts[_TOTAL, at] - before.amounts[_TOTAL, was]
        amounts[_NAV, at] = np.nan if was is None else before.amounts[_NAV, was] + moved
    return OwnerTotals(made.owners, amounts)


def _overrides(positions: Iterable[ClosedPosition], owners: Mapping[str, int], reference: Reference) -> Overrides:
    """The positions of a close by leaf key, without those whose node or instrument exists no more."""
    known = reference.instrument_index
    return {
        owners[each.owner] << SHIFT | known[each.instrument]: Held(
            each.quantity, each.cash, each.average, dict(each.fees), dict(each.beside)
        )
        for each in positions
        if each.owner in owners and each.instrument in known
    }

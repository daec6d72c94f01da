"""Answers what would become of trades, from what the store holds of their deals and the rules of the live engine."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from riskengine.engine.preview import Preview, Previewer, Version
from riskengine.process.verdicts import OnWriter
from riskengine.records.decode import TradeCheck
from riskengine.records.types import Identity, Trade
from riskengine.store.trade_rows import RefusedRow, TradeRow, trade_from_row

TRADES_AT_ONCE = 200
"""Trades that the writer judges in one go: 3 ms."""

ReadDeals = Callable[[Sequence[tuple[str, str]]], list[TradeRow]]


async def preview(trades: Sequence[Trade], check: TradeCheck, read_deals: ReadDeals, on_writer: OnWriter) -> list[Preview]:
    """What would become of checked trades if they were sent now, in order. Raises StoreError, EngineNotLive."""
    rows = await asyncio.to_thread(read_deals, list({(trade.source, trade.trade_id): None for trade in trades}))
    previewer = _previewer(sorted(rows, key=lambda row: row.store_seq), check)
    found: list[Preview] = []
    for first in range(0, len(trades), TRADES_AT_ONCE):
        found += await on_writer(partial(previewer.judge, trades=trades[first : first + TRADES_AT_ONCE]))
    return found


def _previewer(rows: Iterable[TradeRow], check: TradeCheck) -> Previewer:
    """The one that knows the trades of these rows."""
    stored: list[Trade] = []
    unreadable: dict[Version, str] = {}
    for row in rows:
        trade = trade_from_row(row, check)
        if isinstance(trade, RefusedRow):
            version = Identity(row.source, row.trade_id, row.leg), row.version
            unreadable[version] = f"the stored row cannot be read, {trade.field_and_reason}"
        else:
            stored.append(trade)
    return Previewer(stored, unreadable)

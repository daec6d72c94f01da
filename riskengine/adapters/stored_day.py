"""The stored day in the form that the morning reads: trades, conflicts and what is no trade yet."""

from collections.abc import Callable, Iterator

from riskengine.adapters.bulk_trades import stored_trades
from riskengine.adapters.store_protocol import Store
from riskengine.adapters.trade_rows import RefusedRow, trade_from_row
from riskengine.decode import TradeCheck
from riskengine.messages import Trade
from riskengine.start_of_day import Unreadable
from riskengine.worklist import MAX_NOTICES


def read_trades(store: Store) -> Callable[[TradeCheck], Iterator[tuple[int, Trade | Unreadable]]]:
    """The stored trades in the form that the morning reads."""

    def read(check: TradeCheck) -> Iterator[tuple[int, Trade | Unreadable]]:
        for store_seq, trade in stored_trades(store, check):
            if isinstance(trade, RefusedRow):
                yield store_seq, Unreadable(store_seq, trade.row.received_ts, f"{trade.field}: {trade.reason}")
            else:
                yield store_seq, trade

    return read


def read_conflicts(store: Store) -> Callable[[TradeCheck], Iterator[Trade]]:
    """What the store kept apart, in the form that the morning reads; what no longer fits the reference data is left out."""

    def read(check: TradeCheck) -> Iterator[Trade]:
        for conflict in reversed(store.conflicts(MAX_NOTICES)):
            trade = trade_from_row(conflict.row, check)
            if not isinstance(trade, RefusedRow):
                yield trade

    return read

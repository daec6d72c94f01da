"""The stored day in the form that the morning reads: trades, conflicts and what is no trade yet."""

from collections.abc import Callable, Iterator

from riskengine.adapters.bulk_trades import stored_trades
from riskengine.adapters.store_protocol import Store
from riskengine.adapters.trade_rows import RefusedRow, trade_from_row
from riskengine.records.decode import TradeCheck
from riskengine.records.types import Trade


def read_trades(store: Store) -> Callable[[TradeCheck], Iterator[tuple[int, Trade | RefusedRow]]]:
    """The stored trades in the form that the morning reads."""
    return lambda check: stored_trades(store, check)


def read_conflicts(store: Store, limit: int) -> Callable[[TradeCheck], Iterator[Trade]]:
    """The newest `limit` trades that the store kept apart, oldest first; those that no longer fit the reference data are left out."""

    def read(check: TradeCheck) -> Iterator[Trade]:
        for conflict in reversed(store.conflicts(limit)):
            trade = trade_from_row(conflict.row, check)
            if not isinstance(trade, RefusedRow):
                yield trade

    return read

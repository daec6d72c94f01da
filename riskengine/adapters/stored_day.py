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

    def unreadable(refused: RefusedRow) -> Unreadable:
        return Unreadable(refused.row.store_seq, refused.row.received_ts, f"{refused.field}: {refused.reason}")

    return lambda check: stored_trades(store, check, unreadable)


def read_conflicts(store: Store) -> Callable[[TradeCheck], Iterator[Trade]]:
    """What the store kept apart, in the form that the morning reads; what no longer fits the reference data is left out."""

    def read(check: TradeCheck) -> Iterator[Trade]:
        for conflict in reversed(store.conflicts(MAX_NOTICES)):
            trade = trade_from_row(conflict.row, check)
            if not isinstance(trade, RefusedRow):
                yield trade

    return read

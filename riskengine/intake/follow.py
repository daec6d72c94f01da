"""From stored rows to an engine: the one place that tells trades from refused rows and applies them.

A `StoreFollower` is an engine without a writer that follows the store: in the morning, and while it is built beside a live one.
The store thread hands rows to the writer of the live engine instead (`delivery`); it shares `split_rows`.
"""

import threading
from collections.abc import Callable, Iterable, Sequence

from riskengine.clock import MICROS_PER_SECOND
from riskengine.engine.engine import Engine
from riskengine.intake.recall import Recall, Unseen, nothing_unseen
from riskengine.observe import get_logger
from riskengine.records.decode import TradeCheck
from riskengine.records.reference import trade_check
from riskengine.records.types import Trade
from riskengine.store.protocol import Store
from riskengine.store.results import Bookmark
from riskengine.store.trade_rows import RefusedRow, TradeRow, trade_from_row

CATCH_UP_ROWS = 5_000
"""Rows of others read in one go, so that a bulk load cannot hold back trades of our own."""

MAX_LOGGED_ROWS = 20
"""Rows that the log names one by one of those that arrive together: a load that does not fit must not flood it."""

MAX_REMEMBERED_ROWS = 10_000

log = get_logger("riskengine.quarantine")


def split_rows(rows: Iterable[TradeRow], check: TradeCheck) -> tuple[list[Trade], list[RefusedRow]]:
    """The rows that are trades by `check`, and those that are not (yet), each in the order of the rows."""
    trades: list[Trade] = []
    refused: list[RefusedRow] = []
    for row in rows:
        read = trade_from_row(row, check)
        if isinstance(read, RefusedRow):
            refused.append(read)
        else:
            trades.append(read)
    return trades, refused


def quarantine_rows(engine: Engine, rows: Iterable[RefusedRow]) -> None:
    """List refused rows as quarantined. On the writer thread, or before it runs."""
    for refused in rows:
        engine.quarantine_row(refused.store_seq, refused.received_ts, refused.field_and_reason)


class StoreFollower:
    """An engine without a writer, and how far it has read the store. One thread at a time.

    `bookmark` and `revision` (of the reference data) are the store's from before the engine was read from it.
    """

    def __init__(self, store: Store, engine: Engine, bookmark: Bookmark, revision: int) -> None:
        self.engine = engine
        self.bookmark = bookmark
        self.revision = revision
        self.check = trade_check(engine.reference)
        self.recall = Recall(store, self.check, engine)
        self.watermark = engine.snapshot.watermark
        self._store = store
        self._built_since = engine.snapshot.as_of - MICROS_PER_SECOND

    def catch_up(
        self, now: Callable[[], int], *, few_rows: int = CATCH_UP_ROWS, go_on: Callable[[], None] = lambda: None
    ) -> None:
        """Read on until fewer than `few_rows` rows come at once, then publish. Raises StoreError, and what `go_on` raises.

        `go_on` is called between two reads.
        """
        while True:
            rows, bookmark = self._store.trades_beyond(self.bookmark, CATCH_UP_ROWS)
            self.apply_rows(rows, bookmark, now())
            if len(rows) < few_rows:
                break
            go_on()
        self.engine.publish(now())

    def apply_rows(self, rows: Sequence[TradeRow], bookmark: Bookmark, now: int) -> None:
        """Apply stored rows up to `bookmark`; rows that the engine already holds change nothing. Raises StoreError."""
        trades, refused = split_rows(rows, self.check)
        quarantine_rows(self.engine, refused)
        self.watermark = max(self.watermark, *(row.store_seq for row in rows), 0)
        self._thaw_for(trades, {row.store_seq for row in rows}.__contains__)
        self.engine.apply(trades, now, self.watermark, notice=True)
        self.bookmark = bookmark

    def thaw_questioned(self) -> None:
        """Take back what conflicts and verdicts since the build are about: the writer decides it anew. Raises StoreError."""
        self._thaw_for(self.recall.questioned_trades(self._built_since), moving=True)

    def _thaw_for(self, trades: Sequence[Trade], unseen: Unseen = nothing_unseen, *, moving: bool = False) -> None:
        recalled = self.recall.for_trades(trades, unseen, moving=moving)
        if recalled is not None:
            self.engine.thaw(recalled)


class QuarantineLog:
    """Logs rows that were quarantined, each once. Any thread."""

    def __init__(self) -> None:
        self._logged: dict[int, None] = {}
        self._lock = threading.Lock()

    def warn(self, rows: Iterable[tuple[int, str]]) -> None:
        """Name new rows by store_seq and reason; of many at once the first ones and their number."""
        with self._lock:
            new = [(store_seq, reason) for store_seq, reason in rows if store_seq not in self._logged]
            self._logged.update((store_seq, None) for store_seq, _ in new)
            for store_seq in list(self._logged)[: max(0, len(self._logged) - MAX_REMEMBERED_ROWS)]:
                del self._logged[store_seq]
        for store_seq, reason in new[:MAX_LOGGED_ROWS]:
            log.warning("row_quarantined", store_seq=store_seq, reason=reason)
        if len(new) > MAX_LOGGED_ROWS:
            log.warning("rows_quarantined", rows=len(new), first=new[0][0], last=new[-1][0])

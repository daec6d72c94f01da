"""Stored rows that are no trades (yet): listed by the engine, and said aloud, each once."""

import threading
from collections.abc import Iterable

from riskengine.engine.engine import Engine
from riskengine.observe import get_logger
from riskengine.store.trade_rows import RefusedRow

LINES_AT_ONCE = 20
"""Rows that are named of those that come together; a load that fits nothing must not flood the log."""

REMEMBERED = 10_000

log = get_logger("riskengine.quarantine")


def quarantine_rows(engine: Engine, rows: Iterable[RefusedRow]) -> None:
    """List stored rows that are no trades (yet) as quarantined. On the writer thread, or before it runs."""
    for refused in rows:
        engine.quarantine_row(refused.store_seq, refused.received_ts, refused.field_and_reason)


class Alarm:
    """Warns of rows that were quarantined. Any thread."""

    def __init__(self) -> None:
        self._told: dict[int, None] = {}
        self._lock = threading.Lock()

    def tell(self, rows: Iterable[tuple[int, str]]) -> None:
        """Name rows, by store_seq and reason, that were not named before; of many at once the first, and how many there are."""
        with self._lock:
            new = [(store_seq, reason) for store_seq, reason in rows if store_seq not in self._told]
            self._told.update((store_seq, None) for store_seq, _ in new)
            for store_seq in list(self._told)[: max(0, len(self._told) - REMEMBERED)]:
                del self._told[store_seq]
        for store_seq, reason in new[:LINES_AT_ONCE]:
            log.warning("row_quarantined", store_seq=store_seq, reason=reason)
        if len(new) > LINES_AT_ONCE:
            log.warning("rows_quarantined", rows=len(new), first=new[0][0], last=new[-1][0])

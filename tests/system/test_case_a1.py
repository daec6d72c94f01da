"""Case A1: a verdict stores the record that it accepts, and live, reconciliation, repair and restart judge that one."""

import time
from pathlib import Path
from typing import Any

from riskengine.store.open_store import open_store
from tests.running import Server, command, running
from tests.store_book import Outside, new_store
from tests.waiting import wait_until

SECOND = 1_000_000


def position(engine: Server) -> Any:
    return [
        (row["instrument"], row["quantity"], row["net_cash"]) for row in engine.get("/v1/positions?node=FX1")["rows"]
    ], engine.get("/v1/digest")["digest"]


def test_an_accepted_conflict_counts_alike_live_reconciled_repaired_and_restarted(store_url: str, tmp_path: Path) -> None:
    new_store(store_url).close()
    now = time.time_ns() // 1_000
    outside = Outside(store_url)
    row = {"source": "bk", "trade_id": "A", "ts": now - 601 * SECOND, "received_ts": now - 600 * SECOND}
    outside.book(**row, quantity="1000000", price="1.1")
    words = ("serve", "--port", "0", "--store", store_url)
    with running(*words, log=tmp_path / "log") as engine:
        other = {"source": "bk", "trade_id": "A", "ts": now - 300 * SECOND, "instrument": "EURUSD", "desk": "FX1"}
        answer = engine.post("/v1/trades", [other | {"side": "buy", "quantity": "1000000", "price": "1.2"}])
        assert answer["results"][0]["status"] == "conflict"
        [item] = engine.get("/v1/exceptions?kind=conflict")["rows"]
        engine.post(f"/v1/exceptions/{item['id']}", {"action": "accept"})
        wait_until(lambda: position(engine)[0] == [("EURUSD", 1_000_000, -1_200_000)])
        live = position(engine)
        report = engine.post("/v1/reconcile", {"repair": True})
        assert (report["clean"], position(engine)) == (True, live)
        assert command("audit", "verify", "--store", store_url).returncode == 0
        assert engine.stop() == 0
    store = open_store(store_url, read_only=True)
    [stored] = store.trades_after(0)
    store.close()
    assert (stored.ts, stored.price) == (now - 300 * SECOND, "1.2")
    assert stored.received_ts >= now, "the record that was accepted was received later"
    with running(*words, log=tmp_path / "log") as engine:
        assert position(engine) == live
    outside.close()

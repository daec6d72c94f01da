"""An engine of its own with a small book of options and hedges, limits on it, and closes of some weeks: for the views of risk."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from riskengine.store.open_store import open_store
from tests.optioned import SPOTS
from tests.running import Server, running
from tests.scenarios_data import walks
from tests.web.option_desk import DECIMALS, load, options
from tests.world import INSTRUMENTS, SECOND, instruments, nodes, trade

DAYS = 70
"""Trading days with closes, up to yesterday; the engine strikes them at its start, with what was held from the first on."""

RULE = "[scenarios]\nmin_days = 20\nlevel = 0.9\n"
"""So few scenarios make figures, and so many of those days say something of them."""

BREACHED, UNKNOWN_LIMIT, WARNED, FINE, PER_TRADE = "loss-eq", "vega-all", "gross-eq", "net-eq", "size-eurusd"

LIMITS: tuple[dict[str, Any], ...] = (
    {"limit_id": BREACHED, "measure": "total_pnl", "node": "EQ1", "limit": -3_000, "owner": "risk"},
    {"limit_id": UNKNOWN_LIMIT, "measure": "vega", "node": "ALL", "limit": 5_000_000, "severity": "soft"},
    {"limit_id": WARNED, "measure": "gross_exposure", "node": "EQ1", "limit": 2_000_000, "warning": 80},
    {"limit_id": FINE, "measure": "net_exposure", "node": "EQ1", "limit": 50_000_000},
    {"limit_id": "nop-eur", "measure": "net_open_position", "node": "ALL", "currency": "EUR", "limit": 6_000_000},
    {"limit_id": "nop-jpy", "measure": "net_open_position", "node": "ALL", "currency": "JPY", "limit": 9_000_000},
    {"limit_id": "shorthand", "measure": "shorthand", "node": "ALL", "limit": 20_000_000},
    {"limit_id": "ann", "measure": "gross_exposure", "dealer": "ann", "limit": 900_000_000},
    {"limit_id": PER_TRADE, "measure": "trade_quantity", "instrument": "EURUSD", "node": "FX1", "limit": 3_000_000},
)
"""One breach, one that cannot be judged, one that warns, those that are fine, and one on the size of a trade."""

HELD_SINCE: tuple[dict[str, Any], ...] = (
    {"instrument": "EURUSD", "desk": "FX2", "dealer": "bob", "quantity": "2000000", "price": "1.1"},
    {"instrument": "ACME", "desk": "EQ1", "quantity": "4000", "price": "91"},
    {"instrument": "USDJPY", "desk": "EM1", "quantity": "1000000", "price": "149", "side": "sell"},
)
"""What was dealt on the first of those days."""


@contextmanager
def risk_desk(folder: Path, days: int = DAYS) -> Iterator[Server]:
    """The engine, with everything loaded, and the closes of so many days: each takes its start some 40 ms."""
    url, held = f"sqlite:///{folder}/risk.db", options()
    store = open_store(url)
    store.save_nodes(nodes())
    listed = [{**each, "price_decimals": DECIMALS.get(each["instrument"], 5)} for each in INSTRUMENTS]
    store.save_instruments(instruments([*listed, *held]))
    today = dt.datetime.now(dt.UTC).date().isoformat()
    store.save_closes(closes := walks(SPOTS | {"ESZ6": 6_912.25}, days, before=today))
    first = int(dt.datetime.fromisoformat(f"{closes[0].date}T12:00+00:00").timestamp()) * SECOND
    store.append_trades([trade(f"old{at}", ts=first, received_ts=first, **columns) for at, columns in enumerate(HELD_SINCE)])
    store.close()
    (config := folder / "config.toml").write_text(RULE)
    with running("serve", "--config", config, "--store", url, "--port", "0", log=folder / "log") as server:
        load(server, held)
        counts = server.post("/v1/limits", list(LIMITS))["counts"]
        assert counts["applied"] == len(LIMITS), counts
        yield server


def limit_lines(server: Server) -> dict[str, dict[str, Any]]:
    """How the limits stand, by their names."""
    return {row["limit_id"]: row for row in server.get("/v1/limits")["rows"]}

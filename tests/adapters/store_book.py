"""A small book for the tests of the store: three instruments, two desks, and trades as they come through the door."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from riskengine.adapters.store import Store, open_store
from riskengine.decode import TradeCheck, TradeInput
from riskengine.messages import Instrument, Kind, Node, Trade

TS = 1_790_000_000_000_000
NODES = [Node("Total", "total"), Node("FX1", "desk", "Total"), Node("FX2", "desk", "Total")]
INSTRUMENTS = [
    Instrument(instrument="EURUSD", kind=Kind.FX, base_currency="EUR", quote_currency="USD"),
    Instrument(instrument="BTCUSD", kind=Kind.CRYPTO, quote_currency="USD", quantity_decimals=10),
    Instrument(
        instrument="ESZ6",
        kind=Kind.FUTURE,
        quote_currency="USD",
        multiplier=5_000_000_000,
        expiry="2026-12-18",
        underlying="SPX",
    ),
]
CHECK = TradeCheck({each.instrument: each for each in INSTRUMENTS}, {"FX1", "FX2"}, {each.node for each in NODES})


def sent(trade_id: str = "T1", **columns: Any) -> TradeInput:
    """A trade as a sender sends it; `columns` replaces what is usual."""
    usual: dict[str, Any] = {
        "source": "api", "ts": TS, "instrument": "EURUSD", "desk": "FX1", "side": "buy", "quantity": Decimal("1000000"),
        "price": Decimal("1.0842"),
    }  # fmt: skip
    return TradeInput(trade_id=trade_id, **(usual | columns))


def trade(trade_id: str = "T1", **columns: Any) -> Trade:
    """A trade as the door lets it in."""
    return CHECK(sent(trade_id, **columns), TS + 5, "api")


def cancel(trade_id: str = "T1", version: int = 2) -> Trade:
    """A cancel that says no more than it must."""
    return CHECK(TradeInput(trade_id=trade_id, source="api", version=version, action="cancel"), TS + 9, "api")


def new_store(path: Path) -> Store:
    """A store with the book's nodes and instruments."""
    store = open_store(f"sqlite:///{path}")
    store.save_nodes(NODES)
    store.save_instruments(INSTRUMENTS)
    return store

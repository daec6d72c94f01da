"""The house that is simulated: desks, dealers, instruments, and a store that holds only them.

The terms stand here twice: as reference data for the engine, and as plain integers for the oracle, which shares no code with it.
"""

import sqlite3
from functools import cache
from pathlib import Path
from typing import NamedTuple

from riskengine.records.decode import convert
from riskengine.records.reference_input import InstrumentInput, NodeInput, check_instrument, check_node
from riskengine.records.types import Instrument, Node
from riskengine.store.open_store import open_store

PARENTS = {"ALL": "", "FX": "ALL", "G10": "FX", "FX1": "G10", "FX2": "G10", "EQ": "ALL", "EQ1": "EQ"}
DESKS = ("FX1", "FX2", "EQ1")
LATER_DESK = "FX3"
"""A desk that somebody loads while the engine runs."""
DEALERS = ("ann", "bob", "")


class Terms(NamedTuple):
    """An instrument, as the oracle knows it. `start` is the price at the beginning, in units of 10^-`decimals`."""

    kind: str
    currency: str
    multiplier: int
    start: int
    decimals: int
    desks: tuple[str, ...]


TERMS = {
    "EURUSD": Terms("fx", "USD", 1, 108_432, 5, ("FX1", "FX2")),
    "GBPUSD": Terms("fx", "USD", 1, 126_010, 5, ("FX1", "FX2")),
    "EURGBP": Terms("fx", "GBP", 1, 86_050, 5, ("FX1",)),
    "USDJPY": Terms("fx", "JPY", 1, 149_520, 3, ("FX1", "FX2")),
    "ACME": Terms("equity", "USD", 1, 25_525, 2, ("EQ1",)),
    "ESH9": Terms("future", "USD", 50, 600_025, 2, ("EQ1",)),
}
RATE_PAIRS = {"GBP": ("GBPUSD", 1), "EUR": ("EURUSD", 1), "JPY": ("USDJPY", -1)}
"""How a currency comes to dollars: by which pair, and whether its price is to be inverted."""


def node_inputs(parents: dict[str, str] = PARENTS) -> list[Node]:
    return [check_node(NodeInput(node=node, parent=parent)) for node, parent in parents.items()]


def instrument_inputs() -> list[Instrument]:
    rows = []
    for name, terms in TERMS.items():
        row = {"instrument": name, "kind": terms.kind, "quote_currency": terms.currency}
        if terms.kind == "fx":
            row["base_currency"] = name[:3]
        if terms.kind == "future":
            row |= {"multiplier": str(terms.multiplier), "expiry": "2039-03-18"}
        rows.append(check_instrument(convert(row, InstrumentInput)))
    return rows


@cache
def empty_store() -> bytes:
    """The file of a store with the house and nothing else. Its rules judge from the beginning, whatever today is."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "house.db"
        store = open_store(f"sqlite:///{path}", create=True)
        store.save_nodes(node_inputs())
        store.save_instruments(instrument_inputs())
        store.close()
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("UPDATE rules SET ts = 0")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return path.read_bytes()


def load_desk(path: str) -> None:
    """Load one more desk, as `riskengine load nodes` does beside a running engine. Raises StoreError."""
    store = open_store(f"sqlite:///{path}", create=False)
    try:
        store.save_nodes(node_inputs(PARENTS | {LATER_DESK: "G10"}))
    finally:
        store.close()

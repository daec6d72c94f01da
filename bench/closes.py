"""How long it takes to pack, store and read a struck close, and how much room a year of them takes.

    .venv/bin/python -m bench.closes [STORE_URL] [--positions 300000] [--owners 20000]

Numbers are random, as desks have them: quantities in lots of 100, prices of four decimals, fees, averages and P&L to date.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from riskengine.store.open_store import open_store
from riskengine.store.tables.struck_closes import CHUNKS_AT_ONCE, pack_close
from tests.struck import a_large_close

DAYS = 252


def timed(what: str, action: Callable[[], Any]) -> Any:
    """What `action` returns; prints how long it took."""
    began = time.perf_counter()
    result = action()
    print(f"{what:34} {(time.perf_counter() - began) * 1_000:9.1f} ms")
    return result


def measure(url: str, positions: int, owners: int) -> None:
    """Pack, store and read one close."""
    close = a_large_close("2026-12-01", positions, owners)
    gc.freeze()
    packed = timed("pack", lambda: pack_close(close))
    size = sum(len(each.content) for each in (*packed.chunks, *packed.totals)) + len(packed.content)
    store = open_store(url)
    parts = [packed.chunks[at : at + CHUNKS_AT_ONCE] for at in range(0, len(packed.chunks), CHUNKS_AT_ONCE)]
    for number, part in enumerate(parts):
        timed(f"store {len(part)} chunks ({number + 1} of {len(parts)})", partial(store.save_close_chunks, part))
    timed("store the close", lambda: store.save_struck_close(packed))
    timed("read it whole", lambda: store.struck_close("2026-12-01"))
    timed("read the positions of one node", lambda: store.closed_positions("2026-12-01", 1, "node", ["ACC00100"]))
    timed("read the totals of one node", lambda: store.close_totals("node", "ACC00100", "2026-01-01"))
    store.close()
    each = size / packed.positions
    print(
        f"{packed.positions:,} positions, {owners:,} nodes: {size / 1e6:.1f} MB a close ({each:.0f} bytes a position),", end=" "
    )
    print(f"{size * DAYS / 1e9:.1f} GB a year of {DAYS}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", nargs="?")
    parser.add_argument("--positions", type=int, default=300_000)
    parser.add_argument("--owners", type=int, default=20_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(chosen.store or f"sqlite:///{folder}/engine.db", chosen.positions, chosen.owners)

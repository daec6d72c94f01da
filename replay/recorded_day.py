"""A drill: the four TrueFX recordings and 22,000 seeded trades through a running engine, at any speed, checked to the cent.

    python replay/recorded_day.py ../shared/data --speed 60        # 20 minutes; --speed max takes half a minute

Starts `riskengine serve` on a new SQLite store, plays the day into it, and compares the final tree with a recomputation from
the raw files in `decimal` that shares no code with the engine. Then it restarts the engine and compares the digest. Exit
status 0 if all agree. `tests/system/test_replay_day.py` runs the same at full speed.
"""

import argparse
import json
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.recompute import effective_trades, newest_mids, tree
from tests.running import command, running
from tests.truefx import MAPPING, PARENTS, tick_files, write_reference, write_trades

CENT = Decimal("0.005")


def main() -> int:
    """Run the drill; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds truefx-plotly/")
    parser.add_argument("--speed", default="60")
    parser.add_argument("--trades", type=int, default=22_000)
    options = parser.parse_args()
    ticks = tick_files(options.data)
    with tempfile.TemporaryDirectory(prefix="riskengine-day-") as name:
        folder = Path(name)
        store, trades = f"sqlite:///{folder}/day.db", folder / "trades.csv"
        write_trades(trades, ticks, options.trades)
        expected = tree(effective_trades(trades), newest_mids(ticks), PARENTS)
        for kind, path in zip(("nodes", "instruments"), write_reference(folder), strict=True):
            command("load", kind, path, "--store", store)
        started = time.monotonic()
        with running("serve", "--port", "0", "--store", store, log=folder / "log") as server:
            words = [word for path in ticks for word in ("--ticks", str(path))]
            played = command(
                "replay",
                *words,
                "--trades",
                trades,
                "--to",
                server.url,
                "--speed",
                options.speed,
                "--json",
                *MAPPING,
                timeout=48 * 3600,
            )
            print(played.stdout.strip() or played.stderr, f"{time.monotonic() - started:.1f} s")
            rows, digest = server.get("/v1/nodes")["rows"], server.get("/v1/digest")["digest"]
            server.stop()
        with running("serve", "--port", "0", "--store", store, log=folder / "log") as server:
            again = server.get("/v1/digest")["digest"]
    worst = max(
        abs(Decimal(repr(row[field])) - expected[row["node"]][measure])
        for row in rows
        for field, measure in (("total_pnl", "total"), ("realised_pnl", "realised"), ("unrealised_pnl", "unrealised"))
    )
    print(json.dumps({"digest": digest, "same_after_restart": again == digest, "worst_difference": float(worst)}))
    return 0 if again == digest and worst < CENT and played.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())

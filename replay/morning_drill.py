"""A drill: a morning start, and a reconciliation with a repair, on a copy of a recorded day.

    python replay/morning_drill.py ../shared/data            # two minutes the first time, half of that to make the day

Makes a store from the four TrueFX recordings and seeded trades (--day keeps it for the next drill), works on a copy, and runs the
real commands as a person would: start, reconcile, damage the store by hand in every way, reconcile, verify the audit trail,
repair, reconcile again, kill, start. Prints each step; exit status 0 if every check passed.
"""

import argparse
import json
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.running import Server, command, running
from tests.truefx import MAPPING, tick_files, write_reference, write_trades

SOLO = (
    "source,trade_id,ts,instrument,desk,dealer,side,quantity,price\n"
    "booking,SOLO-1,1451936400000000,EURUSD,FX1,solo,buy,1000000,1.0842\n"
)
"""A dealer with one trade, which the drill deletes by hand."""


class Drill:
    """One copy of the day, and the number of failed checks."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "day.db"
        self.store = f"sqlite:///{self.path}"
        self.log = folder / "log"
        self.failed = 0

    def step(self, text: str) -> None:
        print(f"\n== {text}")

    def check(self, holds: bool, text: str) -> None:
        print(f"   {'ok    ' if holds else 'FAILED'} {text}")
        self.failed += not holds

    def command(self, *words: str | Path, expected: int) -> str:
        """Run a command, print its output, check its exit status."""
        done = command(*words, timeout=600)
        shown = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("{")][:14]
        print(f"   $ riskengine {' '.join(map(str, words)).replace(self.store, 'sqlite:///day.db')}")
        print("".join(f"     {line[:150]}\n" for line in shown), end="")
        self.check(done.returncode == expected, f"exit status {done.returncode}, expected {expected}")
        return done.stdout

    def by_hand(self, *statements: str) -> None:
        """Change the store with SQL, as an administrator (or an accident) does."""
        connection = sqlite3.connect(self.path, timeout=10)
        for statement in statements:
            print(f"   sql> {' '.join(statement.split())[:150]}")
            with connection:
                connection.execute(statement)
        connection.close()

    def reconcile(self, server: Server, *more: str, expected: int) -> dict[str, Any]:
        out = self.command("reconcile", "--engine", server.url, "--store", self.store, *more, expected=expected)
        del out
        done = command("reconcile", "--engine", server.url, "--store", self.store, "--json")
        told: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
        return told

    def rebuild_digest(self) -> str:
        return str(json.loads(command("rebuild", "--store", self.store, "--json").stdout)["digest"])


def make_day(data: Path, folder: Path, trades: int) -> Path:
    """Play the recorded day into a real engine; return the path of its store."""
    store, rows, solo = f"sqlite:///{folder}/day.db", folder / "trades.csv", folder / "solo.csv"
    ticks = tick_files(data)
    write_trades(rows, ticks, trades)
    solo.write_text(SOLO)
    for kind, path in zip(("nodes", "instruments"), write_reference(folder), strict=True):
        command("load", kind, path, "--store", store)
    command("load", "trades", solo, "--store", store)
    with running("serve", "--port", "0", "--store", store, log=folder / "log") as server:
        words = [word for path in ticks for word in ("--ticks", str(path))]
        played = command("replay", *words, "--trades", rows, "--to", server.url, "--json", *MAPPING, timeout=600)
        assert played.returncode == 0, played.stderr
        assert server.stop() == 0
    return folder / "day.db"


def morning(drill: Drill) -> str:
    """Start the engine and check its start report; return the digest."""
    drill.step("The morning: start the engine on the copy")
    with running("serve", "--port", "0", "--store", drill.store, log=drill.log) as server:
        start = server.get("/v1/status")["start"]
        print(f"   {json.dumps({key: value for key, value in start.items() if not isinstance(value, list)})[:400]}")
        drill.check(start["trades_loaded"] > 0, "the report says how many trades it loaded")
        digest = str(server.get("/v1/digest")["digest"])
        drill.check(digest == drill.rebuild_digest(), f"digest {digest[:16]}... equals that of `riskengine rebuild`")
        drill.step("Engine and store agree")
        drill.check(drill.reconcile(server, expected=0)["clean"], "reconcile finds nothing")
        server.stop()
    return digest


def plant_breaks(drill: Drill, server: Server) -> None:
    """Plant every kind of break at once; check that all are found and repaired."""
    drill.step("An administrator changes the store by hand; the engine does not know")
    drill.by_hand(
        "UPDATE trades SET quantity = '7000000' WHERE store_seq = (SELECT min(store_seq) FROM trades WHERE desk = 'EM1'"
        " AND dealer = 'ada' AND action = 'new')",
        "UPDATE trades SET price = '1.5' WHERE store_seq = (SELECT min(store_seq) FROM trades WHERE desk = 'EM2'"
        " AND dealer = 'ben' AND instrument = 'EURUSD' AND action = 'new')",
        "UPDATE trades SET trade_id = 'RENAMED' WHERE store_seq = (SELECT max(store_seq) FROM trades AS t WHERE desk = 'EM3'"
        " AND dealer = 'cleo' AND instrument = 'GBPUSD' AND action = 'new' AND NOT EXISTS (SELECT 1 FROM trades AS o"
        " WHERE o.trade_id = t.trade_id AND o.store_seq <> t.store_seq))",
        "DELETE FROM trades WHERE trade_id = 'SOLO-1'",
        "INSERT INTO trades (store_seq, source, trade_id, ts, instrument, desk, dealer, side, quantity, price)"
        " SELECT 1, 'booking', 'UNSEEN-1', 1451936400000000, 'EURUSD', 'FX1', 'unseen', 'buy', '5', '1.08'",
    )
    drill.step("Reconciliation finds and names every break")
    found = drill.reconcile(server, expected=1)
    kinds = {each["kind"] for each in found["breaks"]}
    for kind in ("quantity", "cash", "identity", "missing_here", "missing_there"):
        drill.check(kind in kinds, f"a break of kind {kind}")
    drill.command("audit", "verify", "--store", drill.store, expected=1)
    drill.step("The repair takes the store's values")
    drill.command("reconcile", "--engine", server.url, "--store", drill.store, "--repair", expected=0)
    drill.check(drill.reconcile(server, expected=0)["clean"], "the second run is clean")
    drill.check(
        server.get("/v1/digest")["digest"] == drill.rebuild_digest(), "the digest equals that of a rebuild from the store"
    )
    rows = server.get("/v1/breaks?status=all&limit=1000")["rows"]
    print("".join(f"     {row['kind']:<14}{row.get('node') or row.get('dealer')} {row['status']}\n" for row in rows[:6]), end="")
    drill.check(bool(rows) and all(row["status"] != "open" for row in rows), "the breaks are listed, none is open")
    drill.command("audit", "verify", "--store", drill.store, expected=0)
    drill.command("audit", "show", "--store", drill.store, "--limit", "4", expected=0)


def move_desk(drill: Drill, server: Server) -> None:
    """Move a desk in the tree; check that the engine follows by itself."""
    drill.step("A desk is moved in the tree")
    drill.by_hand("UPDATE nodes SET parent = 'EM' WHERE node = 'FX3'")
    drill.command("reconcile", "--engine", server.url, "--store", drill.store, "--repair", expected=0)
    row = next(row for row in server.get("/v1/nodes")["rows"] if row["node"] == "FX3")
    drill.check(row["parent"] == "EM", "the engine's tree equals the store's")
    drill.check(drill.reconcile(server, expected=0)["clean"], "the second run is clean")


def main() -> int:
    """Run the drill; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds truefx-plotly/")
    parser.add_argument("--day", type=Path, help="folder that keeps the prepared day for the next drill")
    parser.add_argument("--trades", type=int, default=22_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="riskengine-drill-") as name:
        day = options.day or Path(name) / "day"
        day.mkdir(parents=True, exist_ok=True)
        made = day / "day.db"
        if not made.exists():
            print(f"making the day: {options.trades:,} trades and 400,314 ticks into a real engine")
            make_day(options.data, day, options.trades)
        folder = Path(name) / "copy"
        folder.mkdir()
        shutil.copy(made, folder / "day.db")
        drill = Drill(folder)
        morning(drill)
        with running("serve", "--port", "0", "--store", drill.store, log=drill.log) as server:
            plant_breaks(drill, server)
            move_desk(drill, server)
            before = server.get("/v1/digest")["digest"]
            drill.step("Kill the engine and start it again")
            server.kill()
        with running("serve", "--port", "0", "--store", drill.store, log=drill.log) as server:
            drill.check(server.get("/v1/digest")["digest"] == before, "the same digest")
            drill.check(drill.reconcile(server, expected=0)["clean"], "and nothing to reconcile")
            server.stop()
    print(f"\n{'all checks passed' if not drill.failed else f'{drill.failed} checks FAILED'}")
    return 1 if drill.failed else 0


if __name__ == "__main__":
    sys.exit(main())

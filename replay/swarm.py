"""A drill: a thousand clients keep their own copies under prices and trades; every copy must be right on every frame.

    python replay/swarm.py                      # 1,000 clients, a minute, 100,000 ticks/s, 500 trades/s

The real engine runs as a process; so do the clients (each with the tree and a ladder, at 2 Hz), a publisher of ticks over
`/v1/ingest`, and dealers that post over HTTP. The drill checks every frame of every client: the update continues from the
client's seq, all clients hold the same rows at the same seq, every parent is the sum of its children, and the ladder's rows add
up to its node's row in the tree. Random copies are compared with `?seq=` over HTTP, field by field, and checksums are computed
again. When no more input arrives, all copies must equal the server's rows.

Prints one JSON object; exit status 0 if nothing was wrong.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.fanout import NICE, WARM_UP_S, Server, crew
from bench.fanout_house import DESKS, engine, raise_limit


def drill(clients: int, seconds: float, ticks: int, trades: int, hz: float = 2.0, ladders: int = 10) -> dict[str, Any]:
    """Run the drill; return the reports of the clients and of the server."""
    raise_limit()
    nodes = [*DESKS[: ladders - 2], "BOOK1", "ALL"]
    with engine() as served, crew() as working:
        working.add("swarm", "replay.swarm_clients", url=served.url, clients=clients, max_hz=hz, nodes=nodes)
        working.add("feed", url=served.url, ticks_per_s=ticks, frame=100, nice=NICE // 2)
        working.add("dealers", url=served.url, trades_per_s=trades, over="http", nice=NICE // 2)
        server = Server(served)
        swarm, feed, dealers = working.measure(seconds, lambda: server.watch(seconds))
    return {"swarm": swarm, "server": server.found, "feed": feed, "dealers": dealers, "seconds": seconds + WARM_UP_S}


def verdict(found: dict[str, Any]) -> list[str]:
    """The faults, in words; empty if there are none."""
    swarm = found["swarm"]
    faults = [f"{swarm['wrong_count']} wrong, such as {swarm['wrong'][:2]}"] if swarm["wrong_count"] else []
    faults += [f"{swarm['closed']} connections ended"] if swarm["closed"] else []
    faults += [f"{swarm['behind_at_the_end']} copies differ from the server at the end"] if swarm["behind_at_the_end"] else []
    if not swarm["sampled"] or swarm["frames"] < swarm["clients"]:
        faults.append("almost nothing was checked")
    return faults


def main() -> int:
    """Run the drill; return the exit status."""
    parser = argparse.ArgumentParser(description="Clients that keep their own copies, under load.")
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--ticks", type=int, default=100_000, help="a second")
    parser.add_argument("--trades", type=int, default=500, help="a second")
    parser.add_argument("--hz", type=float, default=2.0)
    asked = parser.parse_args()
    found = drill(asked.clients, asked.seconds, asked.ticks, asked.trades, asked.hz)
    faults = verdict(found)
    print(json.dumps({"drill": "swarm", **found, "faults": faults}, indent=1))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

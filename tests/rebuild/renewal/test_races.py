"""Trades that are posted all the while reference data changes; the whole program with `riskengine load` beside it."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from riskengine.process.process import EngineProcess
from riskengine.records.decode import TradeCheck, TradeInput, convert
from riskengine.records.fields import Rejected
from riskengine.records.types import Trade
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from tests.live_process import sent
from tests.rebuild.renewal.renewing import assert_as_fresh, live, newest
from tests.running import command, running
from tests.store_book import Outside
from tests.waiting import until, wait_until
from tests.world import DESKS, SECOND, instruments, nodes, row


class Senders:
    """Post trades, some of them twice with the same economics or others, and note what they are told."""

    def __init__(self, process: EngineProcess, seed: int) -> None:
        self.process = process
        self.dice = random.Random(seed)
        self.answered: dict[tuple[str, int], str] = {}
        self.stopping = False

    async def post(self, sender: int) -> None:
        """Until told to stop."""
        process, dice, number = self.process, self.dice, 0
        while not self.stopping:
            number += 1
            check = process.check
            trades = self.made(check, (f"{sender}-{number}", f"{sender}-{max(1, number - dice.randint(0, 3))}"))
            if dice.random() < 0.3:
                await asyncio.sleep(0.002)  # as a large request does between check and submission
            receipt = await process.submit(trades, check)
            counts = process.history.at(receipt.seq).counts
            assert counts.applied + counts.superseded + counts.quarantined >= len(self.answered)
            for one, outcome in zip(trades, receipt.outcomes, strict=True):
                if outcome.status != "rejected":
                    self.answered.setdefault((one.trade_id, one.version), outcome.status)

    def made(self, check: TradeCheck, names: Iterable[str]) -> list[Trade]:
        dice, trades = self.dice, []
        columns: dict[str, Any] = {
            "instrument": dice.choice(("EURUSD", "ACME", "ESZ6", "GBPUSD")),
            "side": dice.choice(("buy", "sell")),
            "desk": dice.choice(DESKS),
            "dealer": dice.choice(("ann", "bob", "")),
            "quantity": str(dice.randint(1, 9)),
        }
        for name in names:
            now = self.process.clock.now()
            columns["ts"] = now - dice.randint(0, 9) * SECOND
            with contextlib.suppress(Rejected):
                trades.append(check(convert(row(name, **columns), TradeInput), now, "test"))
        return trades


async def change_again_and_again(process: EngineProcess, outside: Outside, loader: Store) -> None:
    for step in range(6):
        symbol = f"NEW{step}"
        outside.book(trade_id=f"B{step}", instrument=symbol, desk="EQ1")
        outside.execute("UPDATE instruments SET multiplier = ? WHERE instrument = 'ESZ6'", (str(step + 2),))
        outside.execute("UPDATE nodes SET parent = ? WHERE node = 'FX1'", ("CASH" if step % 2 else "FX",))
        if step == 3:
            outside.execute("DELETE FROM instruments WHERE instrument = 'ACME'")
        loader.save_instruments(instruments([{"instrument": symbol, "kind": "equity", "quote_currency": "USD"}]))
        await until(partial(is_known, process, symbol), 20.0)


def is_known(process: EngineProcess, symbol: str) -> bool:
    return symbol in newest(process).reference.instrument_index


@pytest.mark.parametrize("seed", [1, 2])
def test_trades_posted_while_reference_data_changes_are_neither_lost_nor_doubled_nor_answered_wrongly(
    store_url: str, loader: Store, outside: Outside, seed: int
) -> None:
    async def test(process: EngineProcess) -> None:
        senders = Senders(process, seed)
        posting = [asyncio.create_task(senders.post(sender)) for sender in range(4)]
        await change_again_and_again(process, outside, loader)
        senders.stopping = True
        await asyncio.gather(*posting)
        await process.submit([sent("last", process)])
        assert_as_fresh(process)
        rows = [(one.trade_id, one.version) for one in loader.trades_after(0)]
        assert len(rows) == len(set(rows))
        assert set(senders.answered) <= set(rows)
        assert len(senders.answered) > 20

    live(store_url, test)


class Watcher:
    """A client of the stream that keeps its views by the updates."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.views: dict[str, dict[str, dict[str, Any]]] = {}
        self.seq = json.loads(socket.recv(5))["seq"]

    def subscribe(self, name: str, view: str, **of: str) -> None:
        self.socket.send(json.dumps({"op": "subscribe", "id": name, "view": view, **of}))
        while name not in self.views:
            self.hear()

    def hear(self) -> None:
        message = json.loads(self.socket.recv(5))
        if message["type"] == "snapshot":
            [key], self.seq = message["key"], message["seq"]
            self.views[message["id"]] = {row[key]: row for row in message["rows"]}
        elif message["type"] == "update":
            self.seq = message["seq"]
            for name, change in message["views"].items():
                for row in change["rows"]:
                    self.views[name].setdefault(row[KEYS[name]], {}).update(row)
                for [key] in change["removed"]:
                    del self.views[name][key]


KEYS = {"nodes": "node", "dealers": "dealer", "ladder": "instrument", "gone": "instrument"}


def test_a_running_engine_takes_what_is_loaded_beside_it_and_screens_follow(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'engine.db'}"
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()
    (tmp_path / "new.csv").write_text("instrument,kind,quote_currency\nAARDVARK,equity,USD\nNEWCO,equity,USD\n")
    (tmp_path / "moved.csv").write_text("node,level,parent\nEQ2,desk,CASH\nFX2,desk,CASH\n")
    with running("serve", "--store", url, "--port", "0", log=tmp_path / "log") as server:
        now = time.time_ns() // 1_000
        posted = [row("1", ts=now, dealer="ann"), row("2", ts=now, instrument="NEWCO", desk="EQ1")]
        results = server.post("/v1/trades", posted)["results"]
        assert [one["status"] for one in results] == ["applied", "rejected"]
        outside = Outside(url)
        outside.book(trade_id="B1", instrument="NEWCO", desk="EQ2", dealer="bob")
        wait_until(lambda: server.get("/v1/status")["counts"]["quarantined"] == 1, 2.0)
        [listed] = server.get("/v1/exceptions?kind=quarantined")["rows"]
        assert listed["reason"] == "instrument: unknown instrument 'NEWCO'"
        assert "riskengine_quarantined 1.0" in server.get("/metrics", raw=True).decode()
        with connect(server.url.replace("http", "ws") + "/v1/stream", proxy=None, compression=None) as socket:
            watcher = Watcher(socket)
            watcher.subscribe("nodes", "nodes")
            watcher.subscribe("dealers", "dealers")
            watcher.subscribe("ladder", "ladder", node="CASH")
            watcher.subscribe("gone", "ladder", node="FX1")
            outside.execute("DELETE FROM nodes WHERE node = 'FX1'")
            outside.close()
            for kind, file in (("nodes", "moved.csv"), ("instruments", "new.csv")):
                assert command("load", kind, tmp_path / file, "--store", url).returncode == 0
            loaded = time.monotonic()
            while not {"EQ2", "bob", "NEWCO"} <= {key for view in watcher.views.values() for key in view}:
                watcher.hear()
            assert time.monotonic() - loaded < 2.0
            asked = {"nodes": "nodes?", "dealers": "dealers?", "ladder": "ladder?node=CASH&"}
            for name, path in asked.items():
                rows = server.get(f"/v1/{path}seq={watcher.seq}")["rows"]
                assert watcher.views[name] == {row[KEYS[name]]: row for row in rows}, name
            assert watcher.views["gone"] == {}
        [listed] = server.get("/v1/exceptions?kind=quarantined")["rows"]
        assert listed["reason"] == "desk: unknown desk 'FX1'"
        assert server.post("/v1/ticks", [{"instrument": "NEWCO", "ts": now, "mid": 5}])["accepted"] == 1
        before = server.get("/v1/digest")["digest"]
        assert server.stop() == 0
    with running("serve", "--store", url, "--port", "0", log=tmp_path / "log") as server:
        assert server.get("/v1/digest")["digest"] == before

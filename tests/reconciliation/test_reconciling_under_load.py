"""Trades on their way are no breaks, however many and however late their transactions commit; a break among them is one."""

import asyncio
import random
import threading
import time
from typing import Any

from riskengine.config import Config, ReconcileConfig, StoreConfig
from riskengine.process.process import EngineProcess
from riskengine.snapshot.compare import side_of
from riskengine.store.open_store import open_store
from tests.live_process import Test, run_live
from tests.store_book import TS, Outside
from tests.world import instruments, nodes, trade

PROGRAMS = 3
"""Others that write beside the engine."""


class Load:
    """Trades of few positions without end: our own in batches, and others' in transactions that take long to commit."""

    def __init__(self, process: EngineProcess, url: str) -> None:
        self._process = process
        self._stopping = threading.Event()
        self.sent = 0
        self.booked = 0
        self._threads = [
            threading.Thread(target=self._book, args=(url, number)) for number in range(PROGRAMS if "postgres" in url else 1)
        ]
        for thread in self._threads:
            thread.start()
        self._task = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while not self._stopping.is_set():
            batch = [trade(f"s{self.sent + n}", ts=TS, received_ts=TS, dealer="ann") for n in range(50)]
            await self._process.submit(batch)
            self.sent += len(batch)
            await asyncio.sleep(0.005)

    def _book(self, url: str, number: int) -> None:
        outside, dice, written = Outside(url), random.Random(number), 0
        while not self._stopping.is_set():
            outside.execute("BEGIN" if outside.is_postgres else "BEGIN IMMEDIATE")
            for _ in range(dice.randrange(1, 20)):
                written += 1
                self.booked += 1
                outside.book(source=f"o{number}", trade_id=f"b{written}", dealer="ann", received_ts=TS)
            time.sleep(dice.random() * (0.2 if outside.is_postgres else 0.005))
            outside.execute("COMMIT")
            time.sleep(dice.random() * 0.02)
        outside.close()

    async def stop(self) -> None:
        self._stopping.set()
        await self._task
        for thread in self._threads:
            await asyncio.to_thread(thread.join)


def live(url: str, test: Test) -> Any:
    return run_live(Config(store=StoreConfig(url), reconcile=ReconcileConfig(0.0)), test, patience_s=120)


def test_a_trade_on_its_way_is_no_break_and_a_break_among_them_is_found_and_repaired(store_url: str) -> None:
    made = open_store(store_url)
    made.save_nodes(nodes())
    made.save_instruments(instruments())
    made.close()

    async def test(process: EngineProcess) -> None:
        await process.submit([trade("spoiled", ts=TS, received_ts=TS, dealer="ann")])
        load = Load(process, store_url)
        try:
            for _ in range(2):
                assert (await process.reconcile(repair=False, actor="me"))["breaks"] == []
            outside = Outside(store_url)
            outside.execute("UPDATE trades SET quantity = '99' WHERE trade_id = 'spoiled'")
            outside.close()
            found = await process.reconcile(repair=True, actor="me")
            assert {(each["kind"], each["rollup"], each["repaired"]) for each in found["breaks"]} == {
                ("quantity", "node", True),
                ("quantity", "dealer", True),
            }
            assert {one["trade_id"] for each in found["breaks"] for one in each["trades"]} >= {"spoiled"}
            assert (await process.reconcile(repair=False, actor="me"))["breaks"] == []
        finally:
            await load.stop()
        assert load.sent > 500
        assert load.booked > 50
        assert (await process.reconcile(repair=False, actor="me"))["clean"]
        while side_of(process.history.newest)["node", "FX1", "EURUSD"].trades != 1 + load.sent + load.booked:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    live(store_url, test)

"""Whatever is decided about whatever record: live, reconciliation, repair and restart judge the same one, on both databases."""

import random
from typing import Any

import pytest

from riskengine.config import Config, StoreConfig
from riskengine.process.process import EngineProcess
from riskengine.records.types import ONE, Opening, Trade, Verdict
from riskengine.snapshot.digest import digest
from riskengine.store.open_store import open_store
from tests.live_process import run_live
from tests.store_book import Outside
from tests.waiting import until
from tests.world import SECOND, trade

STEPS = 90


class Day:
    """A random day: trades that are posted, rows that others write, and decisions about what is listed."""

    def __init__(self, url: str, process: EngineProcess, seed: int) -> None:
        self.process = process
        self.outside = Outside(url)
        self.random = random.Random(seed)
        self.now = process.clock.now()
        self.decided = 0

    def columns(self) -> dict[str, Any]:
        """One version of one of a few trades: half of them repeat an identity and version with other economics."""
        pick = self.random.choice
        columns: dict[str, Any] = {
            "trade_id": f"t{self.random.randrange(8)}",
            "version": pick((1, 1, 1, 2)),
            "leg": pick((0, 0, 0, 1)),
            "ts": self.now + pick((-700, -601, -300, -100, 30, 90, 700)) * SECOND,
            "instrument": "EURUSD",
            "desk": pick(("FX1", "FX1", "FX2")),
            "dealer": pick(("ann", "")),
            "side": pick(("buy", "sell")),
            "quantity": pick(("100", "7")),
            "price": pick(("1.1", "1.2")),
            "value_date": pick(("", "", "", "2031-01-03")),
        }
        columns["action"] = pick(("new", "cancel")) if columns["version"] == 1 else pick(("amend", "cancel"))
        return columns | ({"legs": 2} if pick((0, 0, 1)) else {})

    def book(self) -> None:
        """Another program writes a row, if its identity and version are free; some rows are no trades."""
        columns = self.columns() | {"source": "test", "received_ts": self.now + self.random.choice((-690, -600, 0)) * SECOND}
        columns["desk"] = self.random.choice((columns["desk"], "NOWHERE"))
        known = self.outside.execute(
            "SELECT 1 FROM trades WHERE source = 'test' AND trade_id = ? AND leg = ? AND version = ?",
            [columns["trade_id"], columns["leg"], columns["version"]],
        )
        if not known:
            self.outside.book(**columns)

    async def post(self) -> None:
        columns = self.columns()
        name = columns.pop("trade_id")
        sent: Trade = trade(name, received_ts=self.process.clock.now(), **columns)
        await self.process.submit([sent])

    async def decide(self) -> None:
        listed = self.process.history.newest.exceptions
        items = [item for kind in ("conflict", "quarantined") for item in listed.get(kind, ()) if item.trade is not None]
        if items:
            item, word = self.random.choice(items), self.random.choice(("accept", "accept", "reject", ""))
            await self.process.decide(item, Verdict(item.id, word, "because", "ann", self.process.clock.now()))
            self.decided += 1

    async def go_by(self) -> None:
        for _ in range(STEPS):
            what = self.random.random()
            if what < 0.2:
                self.book()
            elif what < 0.6:
                await self.post()
            else:
                await self.decide()
        self.outside.close()


async def seen(process: EngineProcess) -> Any:
    newest = process.history.newest
    kinds = ("conflict", "quarantined", "parked", "unmatched")
    listed: dict[str, Any] = {kind: sorted((item.id, item.trade) for item in newest.exceptions[kind]) for kind in kinds[:3]}
    listed["unmatched"] = sorted(item.id for item in newest.exceptions["unmatched"])
    stands = {item.id: item.detail["stands"] for item in newest.exceptions["conflict"]}
    said = {item_id: (verdict.verdict, verdict.ts) for item_id, verdict in newest.verdicts.items()}
    return digest(newest), newest.counts.quarantined, listed, stands, said


@pytest.mark.parametrize("seed", range(6))
def test_any_verdict_on_any_record_is_the_same_live_reconciled_repaired_and_after_a_restart(url: str, seed: int) -> None:
    opened = open_store(url)
    opened.save_openings([Opening(desk="FX1", dealer="ann", instrument="EURUSD", ts=1, quantity=ONE)])
    opened.close()

    async def day(process: EngineProcess) -> Any:
        day = Day(url, process, seed)
        await day.go_by()
        assert day.decided > 10
        store = process._store
        assert store is not None
        await until(lambda: process.history.newest.watermark >= store.watermark())
        live = await seen(process)
        report = await process.reconcile(repair=True, actor="test")
        assert report["clean"], report["breaks"]
        return live, await seen(process)

    config = Config(store=StoreConfig(url))
    live, repaired = run_live(config, day)
    assert live == repaired
    assert run_live(config, seen) == live


@pytest.mark.parametrize("word", ["accept", "reject"])
def test_two_who_decide_at_once_leave_what_the_store_keeps(url: str, word: str) -> None:
    """The second decides about an item that the first has taken off the list: what is stored last is in force."""

    async def decide(process: EngineProcess) -> Any:
        now = process.clock.now()
        await process.submit([trade("early", ts=now + 600 * SECOND, received_ts=now)])
        [item] = process.history.newest.exceptions["quarantined"]
        first = "reject" if word == "accept" else "accept"
        for at, each in enumerate((first, word, "")):
            await process.decide(item, Verdict(item.id, each, "", f"person {at}", now + at))
        return await seen(process)

    config = Config(store=StoreConfig(url))
    live = run_live(config, decide)
    assert run_live(config, seen) == live
    assert live[1] == (word == "reject")

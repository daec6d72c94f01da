"""Whatever happens in a day: every cell at every recorded instant is told afterwards as it was shown, to the last bit."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import pytest

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import Config, EngineConfig, JournalConfig, StoreConfig
from riskengine.process.process import EngineProcess
from riskengine.records.cash import CashMovement
from riskengine.records.manual_marks import ManualMark
from riskengine.records.option_inputs import OptionInput, RateRow, SurfaceRow, Vol
from riskengine.records.types import ONE, Trade
from riskengine.snapshot.exposure import BY, exposure
from riskengine.snapshot.risk import risk
from riskengine.snapshot.rows import RowDict, dealer_rows, ladder_rows, node_rows, position_rows
from riskengine.snapshot.snapshot import Snapshot
from riskengine.store.open_store import open_store
from tests.live_process import run_live
from tests.optioned import OPTIONS, share_option
from tests.world import INSTRUMENTS, PARENTS, instruments, mark_settings, nodes, quote, reference, trade

SEEDS = range(10 if os.environ.get("RISKENGINE_DRILLS") == "1" else 1)
STEPS = 40
ROWS = (*INSTRUMENTS, *(dict(each, expiry="2099-09-04") for each in (*OPTIONS, share_option("ACME C90", "90"))))
HOUSE = reference(PARENTS, ROWS)
SPOTS = {"EURUSD": 1.1, "GBPUSD": 1.28, "USDJPY": 150.0, "EURGBP": 0.86, "ACME": 90.0, "ESZ6": 5_000.0, "BTCEUR": 50_000.0}
DEALT = (
    *(
        ("EURUSD", "FX1"),
        ("GBPUSD", "FX2"),
        ("USDJPY", "EM1"),
        ("ACME", "EQ1"),
        ("ESZ6", "EQ1"),
        ("BTCEUR", "FX2"),
        ("MAREL", "EQ1"),
    ),
    *(("EURUSD C1.10", "FX1"), ("USDJPY C150", "EM1"), ("ACME C90", "EQ1")),
)


def seen(snapshot: Snapshot) -> list[RowDict]:
    """Every cell that a screen may show."""
    rows = [*node_rows(snapshot), *dealer_rows(snapshot), *position_rows(snapshot), *ladder_rows(snapshot, exact=True)]
    options = risk(snapshot)
    rows += [*options.rows, options.summary]
    for by in BY:
        exposed = exposure(snapshot, by)
        rows += [*exposed.rows, exposed.summary]
    return rows


class RandomDay:
    """What happens to one engine."""

    def __init__(self, process: EngineProcess, seed: int) -> None:
        self._process = process
        self._random = Random(seed)
        self._names: list[str] = []

    async def step(self) -> None:
        steps: list[Callable[[], Coroutine[Any, Any, None]]] = [
            self._tick,
            self._deal,
            self._correct,
            self._pay,
            self._mark,
            self._input,
        ]
        [chosen] = self._random.choices(steps, (35, 30, 10, 5, 5, 15))
        await chosen()

    async def _tick(self) -> None:
        symbol, spot = self._random.choice([*SPOTS.items()])
        bid = round(spot * self._random.uniform(0.998, 1.002), self._random.choice([3, 5, 7]))
        self._process.offer_ticks([quote(symbol, bid, round(bid * 1.0001, 6), self._process.clock.now())])
        await asyncio.sleep(0.03)

    def _sent(self, name: str, **columns: Any) -> Trade:
        now = self._process.clock.now()
        return trade(name, where=HOUSE, **{"received_ts": now, "ts": now - MICROS_PER_SECOND, **columns})

    async def _deal(self) -> None:
        random, name = self._random, f"t{len(self._names)}"
        self._names.append(name)
        symbol, desk = random.choice(DEALT)
        columns: dict[str, Any] = {"instrument": symbol, "desk": desk, "side": random.choice(["buy", "sell"])}
        columns |= {"quantity": str(random.randint(1, 9)), "price": str(random.randint(1, 3)), "fees": str(random.randint(0, 1))}
        if random.random() < 0.1:
            columns["value_date"] = "2099-02-28"  # quarantined: a Saturday
        if random.random() < 0.15:
            columns["ts"] = self._process.clock.now() - 3 * 86_400 * MICROS_PER_SECOND
        await self._process.submit([self._sent(name, dealer=random.choice(["ann", "bob", ""]), **columns)])

    async def _correct(self) -> None:
        name = self._random.choice(self._names or ["never"])
        how: dict[str, Any] = {"action": "cancel"} if self._random.random() < 0.5 else {"action": "amend", "price": "1.5"}
        await self._process.submit([self._sent(name, version=2, **how)])

    async def _pay(self) -> None:
        now, node = self._process.clock.now(), self._random.choice(["FX1", "EQ1"])
        amount = self._random.randint(-9, 9) * ONE
        await self._process.take_cash("cash", [CashMovement(f"c{now}", 1, node, "EUR", now, amount, received_ts=now)], "ann")

    async def _mark(self) -> None:
        now, price = self._process.clock.now(), self._random.uniform(80, 100)
        until = self._random.choice([None, now + MICROS_PER_SECOND])
        said = ManualMark(instrument="ACME", ts=now, price=price, author="ann", reason="x", expires_ts=until, entered_ts=now)
        await self._process.set_marks([said], "ann")

    async def _input(self) -> None:
        now, size = self._process.clock.now(), self._random.uniform(0.05, 0.2)
        rows: list[OptionInput] = [RateRow(code, "rate", "2099-12-31", now, size / 5) for code in ("USD", "EUR", "GBP", "JPY")]
        rows += [Vol("EURUSD C1.10", now, size), SurfaceRow("USDJPY", "2099-09-04", now, size), Vol("ACME C90", now, 0.3)]
        self._process.offer_option_inputs(self._random.sample(rows, 3))
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_recorded_instant_is_told_as_it_was_shown(tmp_path: Path, seed: int) -> None:
    url = f"sqlite:///{tmp_path}/engine.db"
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments(ROWS))
    store.close()

    async def day(process: EngineProcess) -> None:
        assert process.live is not None
        happens, shown = RandomDay(process, seed), dict[int, tuple[Snapshot, list[RowDict]]]()
        for place in range(STEPS):
            await happens.step()
            if place % 2:
                await process.live.journal.record()
                snapshot = process.live.journal.newest
                assert snapshot is not None
                shown[snapshot.seq] = snapshot, seen(snapshot)
        for snapshot, rows in shown.values():
            moment = await process.moment(snapshot.as_of, "then")
            assert (moment.exact_at, moment.engine.snapshot.seq) == (snapshot.as_of, snapshot.seq)
            assert seen(moment.engine.snapshot) == rows
        assert len(shown) > STEPS // 4

    settings = Config(
        engine=EngineConfig(beat_ms=20), store=StoreConfig(url), marks=mark_settings(), journal=JournalConfig(every_s=3_600.0)
    )
    run_live(settings, day)

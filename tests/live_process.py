"""A live engine without its sockets, in the loop of a test, and trades of now for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from riskengine.config import Config
from riskengine.process.process import EngineProcess
from riskengine.records.types import Trade
from tests.world import SECOND, trade

Test = Callable[[EngineProcess], Awaitable[Any]]


def run_live(config: Config, test: Test, *, accept_mismatch: bool = False, reason: str = "", patience_s: float = 60) -> Any:
    """What `test` returns of a live process, which is stopped after it."""

    async def life() -> Any:
        process = EngineProcess(config, accept_mismatch=accept_mismatch, reason=reason)
        process.open()
        try:
            await process.start()
            return await asyncio.wait_for(test(process), patience_s)
        finally:
            await process.stop()

    return asyncio.run(life())


def sent(name: str, process: EngineProcess, **columns: Any) -> Trade:
    """A trade of a second ago that the process receives now."""
    now = process.clock.now()
    return trade(name, **{"received_ts": now, "ts": now - SECOND, **columns})

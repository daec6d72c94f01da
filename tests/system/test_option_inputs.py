"""Vols, rates and Greeks in a live engine on both databases: sent, loaded beside it, over a renewal and a restart."""

import asyncio
from typing import Any

from riskengine.clock import SystemClock
from riskengine.config import Config, StoreConfig
from riskengine.market.option_market import OptionMarket
from riskengine.process.process import EngineProcess
from riskengine.records.option_inputs import DatedInput, OptionInput, RateRow, Vol
from riskengine.records.types import Instrument, Kind
from riskengine.store.open_store import open_store
from tests.live_process import run_live
from tests.waiting import until

SECOND = 1_000_000
RATE_TO = "2099-12-18"


def now() -> int:
    return SystemClock().now()


async def in_force(process: EngineProcess) -> list[OptionInput]:
    """The rows of the engine, by text: the writer's own, not what waits for it."""

    def rows(market: OptionMarket) -> list[OptionInput]:
        return sorted(market, key=repr)

    found: list[OptionInput] = await process.on_writer(lambda engine: rows(engine.option_market))
    return found


async def shows(process: EngineProcess, *rows: OptionInput) -> None:
    async def there() -> bool:
        found = await in_force(process)
        return all(row in found for row in rows)

    async with asyncio.timeout(20):
        while not await there():  # noqa: ASYNC110 - the writer tells nobody what it has taken
            await asyncio.sleep(0.02)


def test_what_is_sent_is_in_force_with_a_beat_and_after_a_restart(url: str) -> None:
    config = Config(store=StoreConfig(url))
    vol, newer = Vol("EURUSD", now() - SECOND, 0.1, "desk"), Vol("EURUSD", now(), 0.2, "desk")

    async def first(process: EngineProcess) -> None:
        assert process.offer_option_inputs([vol, newer, vol]) == [2]
        await shows(process, newer)
        assert await in_force(process) == [newer]

    async def again(process: EngineProcess) -> None:
        assert await in_force(process) == [newer]
        assert process.offer_option_inputs([vol]) == [0], "what was stored is known"

    run_live(config, first)
    run_live(config, again)


def test_what_a_command_loads_beside_the_engine_is_in_force_and_never_goes_back(url: str) -> None:
    loaded = RateRow("USD", "rate", RATE_TO, now() - SECOND, 0.04)
    live = RateRow("USD", "rate", RATE_TO, now(), 0.05)

    async def scenario(process: EngineProcess) -> None:
        save(url, loaded)
        await shows(process, loaded)
        process.offer_option_inputs([live])
        await shows(process, live)
        save(url, loaded)
        await asyncio.sleep(0.7)
        assert await in_force(process) == [live]

    run_live(Config(store=StoreConfig(url)), scenario)


def test_a_renewal_hands_over_what_the_store_does_not_hold_yet(url: str) -> None:
    row = Vol("EURUSD", now(), 0.2)

    async def scenario(process: EngineProcess) -> Any:
        process.offer_option_inputs([row])
        await shows(process, row)
        other = open_store(url)
        other.save_instruments([Instrument(instrument="NEW", kind=Kind.EQUITY, quote_currency="USD")])
        other.close()
        await until(lambda: "NEW" in process.history.newest.reference.by_symbol)
        assert await in_force(process) == [row]
        assert "NEW" in process.option_input_check().names_of("pair")

    run_live(Config(store=StoreConfig(url)), scenario)


def save(url: str, row: OptionInput) -> None:
    other = open_store(url)
    other.save_option_inputs([DatedInput("2026-03-04", row)])
    other.close()

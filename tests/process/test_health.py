"""The gauges that `/metrics` sets when it is asked: the state, what waits for a person, what has no price."""

import re

from riskengine.clock import SystemClock
from riskengine.config import Config, EngineConfig, StoreConfig
from riskengine.process.process import EngineProcess
from riskengine.records.types import Verdict
from tests.live_process import run_live, sent
from tests.waiting import until


def gauges(process: EngineProcess, name: str) -> dict[str, float]:
    """The series of one metric, by their labels."""
    text = process.metrics.render().decode()
    return {labels: float(value) for labels, value in re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)}


def test_a_conflict_is_counted_until_a_person_decides_and_a_comment_is_no_decision(house_url: str) -> None:
    async def test(process: EngineProcess) -> None:
        await process.submit([sent("a", process)])
        await process.submit([sent("a", process, quantity="7")])
        assert gauges(process, "riskengine_exceptions")['kind="conflict"'] == 1
        [item] = process.history.newest.exceptions["conflict"]
        now = SystemClock().now()
        await process.decide(item, Verdict(item.id, "", "asked the desk", "ops", now))
        assert gauges(process, "riskengine_exceptions")['kind="conflict"'] == 1
        await process.decide(item, Verdict(item.id, "reject", "", "ops", now))
        await until(lambda: gauges(process, "riskengine_exceptions")['kind="conflict"'] == 0)

    run_live(Config(engine=EngineConfig(beat_ms=20), store=StoreConfig(house_url)), test)


def test_positions_without_a_price_and_room_for_trades_are_gauges(house_url: str) -> None:
    async def test(process: EngineProcess) -> None:
        assert gauges(process, "riskengine_unpriced")[""] == 0
        await process.submit([sent("a", process)])
        assert gauges(process, "riskengine_unpriced")[""] == 1
        assert gauges(process, "riskengine_inbox_limit")[""] == 100_000
        assert gauges(process, "riskengine_state")['state="live"'] == 1

    run_live(Config(engine=EngineConfig(beat_ms=20), store=StoreConfig(house_url)), test)


def test_before_the_engine_is_live_there_is_a_state_and_no_exception(house_url: str) -> None:
    process = EngineProcess(Config(store=StoreConfig(house_url)))
    assert gauges(process, "riskengine_state")['state="starting"'] == 1
    assert gauges(process, "riskengine_exceptions") == {}

"""The start as a state machine: which phase, how far, how long, and what it came to."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from riskengine.clock import ManualClock
from riskengine.config import Config, LogConfig
from riskengine.errors import EngineNotLive
from riskengine.rebuild.phases import MAX_NODES, PHASES, Morning, summarise, summary_nodes
from riskengine.snapshot.mismatch import Mismatch
from tests.world import NOON, House, reference, trade


class Stopwatch:
    """`time.perf_counter`, told what it is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("time.perf_counter", lambda: self.now)


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    return Stopwatch(monkeypatch)


def through(morning: Morning, last: str) -> None:
    for phase in PHASES[: PHASES.index(last) + 1]:
        morning.enter(phase)


# -- phases ------------------------------------------------------------------------------------------------------


def test_each_phase_has_a_name_a_beginning_and_a_duration(stopwatch: Stopwatch) -> None:
    clock = ManualClock(NOON)
    morning = Morning(clock)
    for phase in PHASES:
        morning.enter(phase)
        stopwatch.now += 0.5
        clock.advance(500_000)
    phases = morning.account()["phases"]
    assert [each["phase"] for each in phases] == list(PHASES)
    assert [each["started_ts"] for each in phases] == [NOON + 500_000 * number for number in range(len(PHASES))]
    assert [each["seconds"] for each in phases] == [0.5] * (len(PHASES) - 1) + [None]
    assert morning.seconds == 0.5 * (len(PHASES) - 1), "being live takes no time of the start"


@pytest.mark.parametrize("phase", ["schema", "lease", "live"])
def test_a_phase_is_neither_left_out_nor_repeated(phase: str) -> None:
    morning = Morning(ManualClock())
    if phase != "schema":
        morning.enter("lease")
    with pytest.raises(AssertionError, match=f"{phase} is not the next"):
        morning.enter(phase)


def test_progress_never_falls_and_the_replay_is_most_of_it(stopwatch: Stopwatch) -> None:
    morning = Morning(ManualClock())
    seen = [morning.progress]
    for phase in PHASES:
        morning.enter(phase)
        seen.append(morning.progress)
        if phase == "replay":
            for loaded in range(0, 1_001, 100):
                morning.advance(loaded / 1_000, loaded)
                seen.append(morning.progress)
    assert seen == sorted(seen) and (seen[0], seen[-1]) == (0.0, 1.0)
    morning = Morning(ManualClock())
    through(morning, "replay")
    before = morning.progress
    morning.advance(1.0, 1_000)
    assert morning.progress - before > 0.7


def test_the_rest_is_estimated_from_the_replay_once_that_says_something(stopwatch: Stopwatch) -> None:
    morning = Morning(ManualClock())
    assert morning.view()["remaining_s"] is None
    through(morning, "replay")
    morning.note(trades_total=1_000)
    morning.advance(0.5, 500)
    stopwatch.now += 0.1
    assert morning.view()["remaining_s"] is None, "a tenth of a second says nothing"
    stopwatch.now += 1.9
    view = morning.view()
    assert (view["phase"], view["trades_loaded"], view["trades_total"], view["seconds"]) == ("replay", 500, 1_000, 2.0)
    assert 2.0 <= view["remaining_s"] <= 3.0, "as much again, and what comes after"
    for phase in PHASES[PHASES.index("integrity") :]:
        morning.enter(phase)
    assert morning.view()["remaining_s"] == 0.0


def test_one_line_of_the_log_for_each_phase_but_none_before_the_store_is_open(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "riskengine")
    morning = Morning(ManualClock())
    through(morning, "schema")
    assert caplog.records == []
    for phase in PHASES[2:]:
        morning.enter(phase)
    told = [cast(Any, record.msg) for record in caplog.records]
    assert [each["phase"] for each in told if each["event"] == "start_phase"] == list(PHASES[:-1])
    assert [each["event"] for each in told][-1] == "live"


@pytest.mark.parametrize("step", [lambda morning: morning.advance(0.1, 1), lambda morning: morning.enter("integrity")])
def test_an_abandoned_start_ends_at_its_next_step(step: Callable[[Morning], None]) -> None:
    morning = Morning(ManualClock())
    through(morning, "replay")
    morning.abandon()
    with pytest.raises(EngineNotLive, match="stopped during"):
        step(morning)


# -- the summary -------------------------------------------------------------------------------------------------


def test_the_summary_is_complete_when_the_digest_is_known(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "riskengine")
    house = House()
    house.deal(trade("1"), trade("2", desk="EQ1", instrument="ACME", quantity="7"))
    morning = Morning(ManualClock(NOON))
    through(morning, "live")
    assert morning.account()["digest"] is None and not morning.complete.is_set()
    asyncio.run(
        summarise(morning, house.engine.snapshot, Config(), [Mismatch("restored", "it went back")], lambda: {"breaks": 3})
    )
    account = morning.account()
    assert account is morning.account(), "worked out once"
    assert account["counts"]["applied"] == 2 and len(account["digest"]) == 64 and account["unreadable"] == 0
    assert account["needs_a_person"] == {"breaks": 3}
    assert (account["nodes"][0]["position_count"], account["nodes"][0]["day_pnl"]) == (2, None)
    assert account["mismatches"] == [{"kind": "restored", "text": "it went back"}]
    assert [(row["node"], row["trade_count"]) for row in account["nodes"]][:3] == [("ALL", 2), ("CASH", 1), ("FX", 1)]
    assert account["nodes_below"] == 0
    [told] = [cast(Any, record.msg) for record in caplog.records if cast(Any, record.msg)["event"] == "started"]
    assert told["digest"] == account["digest"] and told["phases"] == account["phases"]


def test_a_log_for_people_gets_no_line_of_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "riskengine")
    morning = Morning(ManualClock(NOON))
    asyncio.run(summarise(morning, House().engine.snapshot, Config(log=LogConfig(format="console")), [], dict))
    assert caplog.records == []


def test_a_fact_without_a_place_in_the_summary_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError):
        Morning(ManualClock()).note(biscuits=3)


def test_of_a_large_tree_whole_levels_from_the_top_are_shown() -> None:
    parents = {"ALL": ""} | {f"B{n}": "ALL" for n in range(10)} | {f"D{n:02}": f"B{n % 10}" for n in range(60)}
    shown = summary_nodes(House(reference(parents)).engine.snapshot)
    assert [row["node"] for row in shown] == ["ALL", *(f"B{n}" for n in range(10))]
    wide = {"ALL": ""} | {f"B{n:02}": "ALL" for n in range(MAX_NODES + 1)}
    assert [row["node"] for row in summary_nodes(House(reference(wide)).engine.snapshot)] == ["ALL"]
    assert summary_nodes(House(reference({})).engine.snapshot) == []

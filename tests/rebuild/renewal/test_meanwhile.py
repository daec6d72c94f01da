"""What happens while an engine is built beside the live one: trades, decisions, other renewals, failures, the end."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from riskengine.errors import EngineNotLive, ReferenceDataError, StoreError, StoreUnavailable
from riskengine.process.process import EngineProcess
from riskengine.records.decode import TradeCheck
from riskengine.records.types import Verdict
from riskengine.snapshot.digest import digest
from riskengine.store.protocol import Store
from riskengine.store.tables.bulk_trades import read_conflicts
from tests.live_process import sent
from tests.rebuild.renewal.renewing import LATER, assert_as_fresh, fresh, live, newest, settings
from tests.store_book import Outside
from tests.waiting import until
from tests.world import SECOND, instruments


class Pause:
    """Holds a renewal up when nearly everything has been read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.built = 0

        def held_up(store: Store, limit: int) -> Callable[[TradeCheck], Any]:
            def reading(check: TradeCheck) -> Any:
                found = list(read_conflicts(store, limit)(check))
                self.built += 1
                self.reached.set()
                assert self.go_on.wait(10)
                return found

            return reading

        monkeypatch.setattr("riskengine.rebuild.renewal.read_conflicts", held_up)


@pytest.fixture
def pause(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pause]:
    made = Pause(monkeypatch)
    yield made
    made.go_on.set()


def test_whatever_happens_while_an_engine_is_built_is_in_it(
    store_url: str, loader: Store, outside: Outside, pause: Pause
) -> None:
    async def test(process: EngineProcess) -> None:
        held = sent("held", process, ts=process.clock.now() + 3_600 * SECOND)
        await process.submit([sent("1", process), sent("2", process, quantity="5"), held])
        await process.submit([sent("1", process, quantity="9")])
        [apart] = newest(process).exceptions["conflict"]
        done = process.renew("test")
        await asyncio.to_thread(pause.reached.wait, 10)
        outside.book(trade_id="B1")
        outside.book(trade_id="B2", desk="FX8")
        await process.submit([sent("3", process, desk="EM1"), sent("1", process, quantity="8"), sent("3", process, desk="EM1")])
        await process.submit([sent("2", process, version=2, action="amend", quantity="6")])
        await process.decide(apart, Verdict(apart.id, "accept", "it is 9", "ops", 1))
        [late] = [item for item in newest(process).exceptions["quarantined"] if item.trade is not None]
        await process.decide(late, Verdict(late.id, "accept", "as agreed", "ops", 2))
        await until(lambda: newest(process).counts.applied >= 5 and newest(process).counts.quarantined == 1)
        before = newest(process)
        assert before.nodes.state(0).trade_count == 5
        pause.go_on.set()
        await done
        after = newest(process)
        assert after.reference is not before.reference
        assert digest(after) == digest(before)
        shown = [[(item.id, item.ts, item.trade) for item in one.exceptions["conflict"]] for one in (before, after)]
        assert shown[0] == shown[1] != []
        assert (after.verdicts, after.counts.duplicates) == (before.verdicts, before.counts.duplicates)
        assert digest(fresh(process)) == digest(after)

    live(store_url, test)


def renewals(process: EngineProcess) -> list[float | None]:
    """How many came about, and how many did not."""
    value = process.metrics.registry.get_sample_value
    return [value("riskengine_renewals_total", {"result": result}) for result in ("done", "refused")]


def test_who_asks_while_one_is_under_way_gets_the_next_together_with_all_others(
    store_url: str, loader: Store, pause: Pause
) -> None:
    async def test(process: EngineProcess) -> None:
        first = process.renew("first")
        await asyncio.to_thread(pause.reached.wait, 10)
        others = [process.renew(reason) for reason in ("second", "third", "second")]
        loader.save_instruments(instruments(LATER))
        pause.go_on.set()
        await first
        assert "NEWCO" not in newest(process).reference.instrument_index
        assert not any(other.done() for other in others)
        await asyncio.gather(*others)
        assert "NEWCO" in newest(process).reference.instrument_index
        assert pause.built == 2
        await asyncio.sleep(0.2)
        assert pause.built == 2, "what was loaded meanwhile is in the second"
        assert renewals(process) == [2.0, 0.0]

    live(store_url, test)


def test_a_stop_does_not_wait_for_a_renewal_and_tells_whoever_does(store_url: str, loader: Store, pause: Pause) -> None:
    async def test(process: EngineProcess) -> "list[asyncio.Future[None]]":
        waiting = [process.renew("first")]
        await asyncio.to_thread(pause.reached.wait, 10)
        return [*waiting, process.renew("second")]

    async def life() -> None:
        process = EngineProcess(settings(store_url))
        process.open()
        await process.start()
        waiting = await test(process)
        await asyncio.wait_for(process.stop(), 5)
        for done in waiting:
            with pytest.raises(EngineNotLive):
                await done
        with pytest.raises(EngineNotLive):
            process.renew("third")

    asyncio.run(life())


# -- what goes wrong ---------------------------------------------------------------------------------------------


def test_reference_data_that_does_not_hold_together_is_said_and_the_engine_stays_as_it_was_until_it_is_mended(
    store_url: str, loader: Store, outside: Outside
) -> None:
    async def test(process: EngineProcess) -> None:
        await process.submit([sent("1", process)])
        before = newest(process)
        outside.execute("INSERT INTO nodes (node, level, parent) VALUES ('OTHER', 'total', '')")
        await until(lambda: "reference" in process.warnings)
        assert "exactly one node must have no parent; found 'ALL', 'OTHER'" in process.warnings["reference"]
        with pytest.raises(ReferenceDataError):
            await process.renew("again")
        assert renewals(process) == [0.0, 2.0]
        await process.submit([sent("2", process)])
        assert newest(process).reference is before.reference
        assert newest(process).nodes.state(0).trade_count == 2
        outside.execute("UPDATE nodes SET parent = 'ALL' WHERE node = 'OTHER'")
        await until(lambda: newest(process).reference is not before.reference)
        await until(lambda: not process.warnings)
        assert_as_fresh(process)

    live(store_url, test)


@pytest.mark.parametrize("error", [StoreUnavailable("the store is away"), StoreError("the store says no")])
def test_what_the_store_refuses_delays_a_renewal(
    store_url: str, loader: Store, monkeypatch: pytest.MonkeyPatch, error: StoreError
) -> None:
    async def test(process: EngineProcess) -> None:
        store, broken = process._store, [3]
        assert store is not None

        def away(*arguments: Any) -> Any:
            if broken[0]:
                broken[0] -= 1
                raise error
            return type(store).instruments(store)

        monkeypatch.setattr(store, "instruments", away)
        loader.save_instruments(instruments(LATER))
        await until(lambda: "NEWCO" in newest(process).reference.instrument_index)
        assert broken == [0]
        await until(lambda: not process.warnings)
        assert_as_fresh(process)

    live(store_url, test)


def test_a_mistake_of_ours_in_a_renewal_does_not_end_the_engine(
    store_url: str, loader: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(process: EngineProcess) -> None:
        monkeypatch.setattr("riskengine.rebuild.renewal.rebuild", lambda *arguments, **named: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            await process.renew("test")
        assert "reference" in process.warnings
        assert (await process.submit([sent("1", process)])).outcomes[0].status == "applied"
        monkeypatch.undo()
        await process.renew("test")
        assert not process.warnings

    live(store_url, test)


def test_the_engine_before_is_let_go(store_url: str, loader: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskengine.rebuild.renewal.LINGER_S", -1.95)  # of the two seconds that snapshots are kept

    async def test(process: EngineProcess) -> None:
        await process.submit([sent(str(number), process) for number in range(300)])
        assert process.live is not None
        before = weakref.ref(process.live.writer._engine)
        position = weakref.ref(process.live.writer._engine.ledger.organisation)
        gc.disable()
        try:
            await process.renew("test")
            await until(lambda: before() is None and position() is None)
        finally:
            gc.enable()

    live(store_url, test)

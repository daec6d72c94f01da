"""A live engine and its store compared and repaired: every kind of break, planted in memory and in the store, on both stores."""

import asyncio
import time
from typing import Any

import pytest

from riskengine.config import Config, ReconcileConfig, StoreConfig
from riskengine.engine.engine import Engine
from riskengine.errors import StoreUnavailable
from riskengine.market.trading_day import TradingDay
from riskengine.positions.ledger import Row
from riskengine.process.process import EngineProcess
from riskengine.snapshot.digest import digest
from riskengine.store.audit_chain import AuditFilter
from tests.live_process import Test, run_live
from tests.store_book import TS, Outside
from tests.world import trade


def sold(name: str, dealer: str, **columns: Any) -> Any:
    return trade(name, received_ts=TS, ts=TS, dealer=dealer, **columns)


BOOK = [
    sold("1", "ann"),
    sold("2", "ann", side="sell", quantity="30"),
    sold("3", "bea"),
    sold("4", "cat"),
    sold("5", "dan"),
    sold("6", "eve", instrument="GBPUSD", desk="FX2"),
    sold("7", "fay", instrument="ACME", desk="EQ1", price="40"),
    sold("8", "gil", instrument="USDJPY", desk="FX2"),
    sold("9", "hal", instrument="USDCAD", desk="FX2"),
]
"""A dealer and, where it counts, a desk and an instrument of its own for every kind of break."""


def live(url: str, test: Test, every_s: float = 0.0) -> Any:
    async def booked(process: EngineProcess) -> Any:
        await process.submit(BOOK)
        return await test(process)

    return run_live(Config(store=StoreConfig(url), reconcile=ReconcileConfig(every_s)), booked)


def keys(report: dict[str, Any]) -> set[tuple[str, str, str, str | None]]:
    return {(each["kind"], each["rollup"], each.get("node", each.get("dealer")), each["instrument"]) for each in report["breaks"]}


async def found_and_repaired(process: EngineProcess, expected: set[tuple[str, str, str, str | None]]) -> None:
    """The breaks are those, are only told at first, then repaired; the second run is clean and the state is the store's."""
    first = await process.reconcile(repair=False, actor="ann")
    assert (keys(first), first["clean"], first["open"]) == (expected, False, len(expected))
    assert "breaks" in process.warnings
    repaired = await process.reconcile(repair=True, actor="ann")
    assert (keys(repaired), repaired["clean"], repaired["open"]) == (expected, False, 0)
    assert all(each["repaired"] for each in repaired["breaks"])
    again = await process.reconcile(repair=False, actor="ann")
    assert (again["clean"], again["breaks"]) == (True, [])
    assert "breaks" not in process.warnings
    rows, last = await process.breaks(status=None)
    assert {row["status"] for row in rows} == {"repaired"}
    assert {(row["resolved_by"], row["times_seen"]) for row in rows} == {("ann", 2)}
    assert last == again
    here = digest(process.history.newest)
    await process.on_writer(Engine.check)
    await process.renew("compare with a rebuild")
    assert digest(process.history.newest) == here


# -- planted in the store ----------------------------------------------------------------------------------------

BY_HAND = (
    "UPDATE trades SET quantity = '99' WHERE trade_id = '3'",
    "UPDATE trades SET price = '9' WHERE trade_id = '4'",
    "UPDATE trades SET trade_id = '77' WHERE trade_id = '5'",
    "DELETE FROM trades WHERE trade_id = '6'",
    "UPDATE trades SET desk = 'EM1' WHERE trade_id = '7'",
    "UPDATE trades SET dealer = 'zoe' WHERE trade_id = '8'",
    "UPDATE trades SET quantity = '-5' WHERE trade_id = '9'",
)


def test_what_was_changed_in_the_store_is_found_classified_and_taken_over(url: str) -> None:
    async def test(process: EngineProcess) -> None:
        program = Outside(url)
        for statement in BY_HAND:
            program.execute(statement)
        program.close()
        await found_and_repaired(
            process,
            {
                ("quantity", "node", "FX1", "EURUSD"),
                ("quantity", "dealer", "bea", "EURUSD"),
                ("cash", "dealer", "cat", "EURUSD"),
                ("identity", "dealer", "dan", "EURUSD"),
                ("missing_there", "node", "FX2", "GBPUSD"),
                ("missing_there", "dealer", "eve", "GBPUSD"),
                ("missing_there", "node", "EQ1", "ACME"),
                ("order", "dealer", "fay", "ACME"),
                ("missing_here", "node", "EM1", "ACME"),
                ("missing_there", "dealer", "gil", "USDJPY"),
                ("order", "node", "FX2", "USDJPY"),
                ("missing_here", "dealer", "zoe", "USDJPY"),
                ("missing_there", "node", "FX2", "USDCAD"),
                ("missing_there", "dealer", "hal", "USDCAD"),
            },
        )

    live(url, test)


# -- planted in memory -------------------------------------------------------------------------------------------


def position(engine: Engine, desk: str = "FX1", symbol: str = "EURUSD") -> Any:
    reference = engine.reference
    return engine.ledger.organisation.books[reference.hierarchy.index[desk]].positions[reference.instrument_index[symbol]]


def touch(engine: Engine, held: Any) -> None:
    engine.ledger.organisation.touched[held] = None


def wrong_quantity(engine: Engine) -> None:
    held = position(engine)
    held.quantity += 1
    touch(engine, held)


def wrong_cash(engine: Engine) -> None:
    held = position(engine, "FX2", "USDJPY")
    held.cash += 1
    touch(engine, held)


def lost_trade(engine: Engine) -> None:
    held = position(engine, "FX2", "GBPUSD")
    held.remove(held.trades[0])
    touch(engine, held)


def wrong_ancestor(engine: Engine) -> None:
    book = engine.ledger.organisation.books[engine.reference.hierarchy.index["FX"]]
    at = next(at for at, row in enumerate(book.rows) if row is not None)
    values = {field: getattr(book.rows[at], field) for field in Row.__struct_fields__}
    book.rows[at] = Row(**values | {"cash": values["cash"] + 1})
    held = position(engine)
    held.quantity += 1  # so that what is above it is published anew
    touch(engine, held)


def test_what_went_wrong_in_memory_is_found_classified_and_mended(url: str) -> None:
    async def test(process: EngineProcess) -> None:
        for plant in (wrong_quantity, wrong_cash, lost_trade):
            await process.on_writer(plant)
        await found_and_repaired(
            process,
            {
                ("quantity", "node", "FX1", "EURUSD"),
                ("cash", "node", "FX2", "USDJPY"),
                ("missing_here", "node", "FX2", "GBPUSD"),
            },
        )

    live(url, test)


def test_a_node_that_is_not_the_sum_of_its_children_is_found_and_summed_anew(url: str) -> None:
    async def test(process: EngineProcess) -> None:
        await process.on_writer(wrong_ancestor)
        report = await process.reconcile(repair=True, actor="ann")
        assert {each["kind"] for each in report["breaks"]} == {"hierarchy", "quantity"}
        assert report["open"] == 0
        assert (await process.reconcile(repair=False, actor="ann"))["clean"]
        await process.on_writer(Engine.check)

    live(url, test)


# -- whatever else goes wrong ------------------------------------------------------------------------------------


def test_reference_data_that_cannot_be_followed_hides_no_break(url: str) -> None:
    async def test(process: EngineProcess) -> None:
        program = Outside(url)
        program.execute("UPDATE nodes SET parent = '' WHERE node = 'CASH'")  # a second root
        program.execute("UPDATE trades SET quantity = '99' WHERE trade_id = '3'")
        program.close()
        report = await process.reconcile(repair=False, actor="ann")
        assert ("quantity", "dealer", "bea", "EURUSD") in keys(report)
        assert "breaks" in process.warnings

    live(url, test)


def test_a_repair_that_the_trail_could_not_take_at_once_is_recorded_later(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskengine.reconciliation.reconciler.RETRY_S", 0.05)

    async def test(process: EngineProcess) -> None:
        store = process._store
        assert store is not None
        record, failures = store.record, [1, 2]

        def failing(events: Any) -> None:
            if failures and any(event.kind == "repair" for event in events):
                failures.pop()
                raise StoreUnavailable("away")
            record(events)

        monkeypatch.setattr(store, "record", failing)
        await process.on_writer(wrong_quantity)
        await process.reconcile(repair=True, actor="ann")
        deadline = time.monotonic() + 10
        while not store.audit_entries(AuditFilter(kind="repair")):
            assert time.monotonic() < deadline, "never recorded"
            await asyncio.sleep(0.05)
        assert not failures

    live(url, test)


def test_breaks_that_were_open_are_settled_by_the_next_start(url: str) -> None:
    async def leave(process: EngineProcess) -> None:
        await process.on_writer(wrong_quantity)
        assert (await process.reconcile(repair=False, actor="ann"))["open"] == 1

    async def come_back(process: EngineProcess) -> None:
        deadline = time.monotonic() + 10
        while process.health()["last_reconciliation"] is None:
            assert time.monotonic() < deadline, "never compared"
            await asyncio.sleep(0.02)
        rows, _ = await process.breaks(status=None)
        assert [row["status"] for row in rows] == ["gone"]

    live(url, leave)
    live(url, come_back)


# -- what is no break --------------------------------------------------------------------------------------------


def test_trades_on_their_way_are_no_breaks(url: str) -> None:
    async def test(process: EngineProcess) -> None:
        stopping = asyncio.Event()

        async def dealing() -> int:
            number = 10
            while not stopping.is_set():
                await process.submit([trade(str(number + n), received_ts=TS, ts=TS + number + n) for n in range(20)])
                number += 20
            return number

        busy = asyncio.create_task(dealing())
        reports = [await process.reconcile(repair=False, actor="ann") for _ in range(2)]
        stopping.set()
        assert await busy > 100
        assert [report["breaks"] for report in reports] == [[], []]

    live(url, test)


def test_the_timer_compares_by_itself(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TradingDay, "is_open", lambda self, ts: True)

    async def test(process: EngineProcess) -> None:
        for _ in range(400):
            if process.health()["last_reconciliation"] is not None:
                return
            await asyncio.sleep(0.025)
        raise AssertionError("no reconciliation in 10 s")

    live(url, test, every_s=1.0)

"""What other programs write beside a live engine is taken over by the rules of a start, once, whatever comes between."""

import asyncio
from typing import Any

import pytest

from riskengine.config import Config, StoreConfig
from riskengine.errors import StoreUnavailable
from riskengine.process.process import EngineProcess
from riskengine.records.option_inputs import DatedInput, RateRow
from riskengine.records.types import Close, StoredMark, Tick, Verdict
from riskengine.snapshot.digest import digest
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from tests.live_process import Test, run_live, sent
from tests.store_book import Outside
from tests.waiting import until
from tests.world import SECOND, trade


def live(url: str, test: Test) -> Any:
    return run_live(Config(store=StoreConfig(url)), test)


def price(process: EngineProcess, symbol: str) -> float | None:
    newest = process.history.newest
    mark = newest.units.marks[newest.reference.instrument_index[symbol]]
    return None if mark is None else mark.price


def conflicts(process: EngineProcess) -> tuple[int, int]:
    newest = process.history.newest
    return newest.counts.conflicts, len(newest.exceptions.get("conflict", ()))


async def seen(process: EngineProcess) -> Any:
    newest = process.history.newest
    return digest(newest), newest.counts.conflicts, sorted(item.id for item in newest.exceptions["conflict"]), newest.verdicts


def beside(url: str) -> Store:
    return open_store(url)


def test_conflicts_of_another_program_and_of_ours_are_counted_once_and_a_restart_says_the_same(url: str) -> None:
    async def test(process: EngineProcess) -> Any:
        await process.submit([sent("ours", process), sent("ours", process, quantity="7")])
        loader = beside(url)
        now = process.clock.now()
        for quantity in ("1", "2", "3", "3"):
            loader.append_trades([trade("theirs", ts=now - SECOND, received_ts=now, quantity=quantity)])
        loader.append_trades([trade("theirs", action="cancel", version=1, received_ts=now)])
        loader.append_trades([trade("theirs", action="cancel", version=1, received_ts=now, ts=now - 5)])
        loader.close()
        await until(lambda: conflicts(process) == (4, 4))
        await asyncio.sleep(0.6)
        assert conflicts(process) == (4, 4)
        return await seen(process)

    assert live(url, test) == live(url, seen)


def test_a_conflict_waits_for_the_row_that_it_is_with(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than are handed over at once come between."""
    monkeypatch.setattr("riskengine.intake.delivery.CATCH_UP_ROWS", 20)

    async def test(process: EngineProcess) -> None:
        now = process.clock.now()
        loader = beside(url)
        rows = [trade(f"t{number}", ts=now - SECOND, received_ts=now) for number in range(200)]
        loader.append_trades([*rows, trade("t199", ts=now - SECOND, received_ts=now, quantity="9")])
        loader.close()
        await until(lambda: conflicts(process) == (1, 1))
        [item] = process.history.newest.exceptions["conflict"]
        assert item.detail["stands"] is not None

    live(url, test)


def test_a_close_gives_way_to_any_newer_price_and_is_no_news_twice(url: str) -> None:
    async def test(process: EngineProcess) -> None:
        now = process.clock.now()
        loader = beside(url)
        loader.save_closes([Close("2026-03-04", "ACME", 50.0), Close("2026-03-04", "GHOST", 70.0)])
        await until(lambda: (price(process, "ACME"), price(process, "GHOST")) == (50.0, 70.0))
        process.offer_ticks([Tick("ACME", now, 55.0, 55.0)])
        await until(lambda: price(process, "ACME") == 55.0)
        loader.save_closes([Close("2026-03-05", "GHOST", 71.0)])
        await until(lambda: price(process, "GHOST") == 71.0)
        assert price(process, "ACME") == 55.0
        loader.close()

    live(url, test)


def test_a_quote_of_the_same_time_that_came_later_stays(url: str) -> None:
    async def test(process: EngineProcess) -> None:
        now = process.clock.now()
        loader = beside(url)
        loader.save_marks([StoredMark("ACME", now, 50.0)])
        await until(lambda: price(process, "ACME") == 50.0)
        process.offer_ticks([Tick("ACME", now, 51.0, 51.0)])
        await until(lambda: price(process, "ACME") == 51.0)
        loader.save_marks([StoredMark("GHOST", now, 3.0)])  # all are read again
        await until(lambda: price(process, "GHOST") == 3.0)
        await asyncio.sleep(0.3)
        assert price(process, "ACME") == 51.0
        loader.close()

    live(url, test)


@pytest.mark.parametrize("word", ["accept", "reject"])
def test_a_verdict_of_another_program_is_followed_and_a_restart_says_the_same(url: str, word: str) -> None:
    async def test(process: EngineProcess) -> Any:
        first, other = sent("1", process), sent("1", process, quantity="7")
        early = trade("2", ts=process.clock.now() + 900 * SECOND, received_ts=process.clock.now())
        await process.submit([first, other, early])
        listed = process.history.newest.exceptions
        decider, now = beside(url), process.clock.now()
        for item in (*listed["conflict"], *listed["quarantined"]):
            conflict = item.trade if item.kind == "conflict" and word == "accept" else None
            decider.save_verdict(Verdict(item.id, word, "by another", "bob", now), conflict)
        decider.save_verdict(Verdict("late:nothing", "accept", "", "bob", now))
        decider.close()
        await until(lambda: len(process.history.newest.verdicts) == 3)
        report = await process.reconcile(repair=False, actor="test")
        assert report["clean"], report["breaks"]
        newest = process.history.newest
        assert newest.counts.quarantined == (word == "reject")
        assert {row.quantity // 10**10 for row in newest.nodes.state(0).positions()} == ({107} if word == "accept" else {100})
        return (await seen(process))[0::2]

    assert live(url, test) == live(url, seen)[0::2]


def test_what_the_store_did_not_answer_is_asked_again(url: str) -> None:
    async def test(process: EngineProcess) -> None:
        store = process._store
        assert store is not None
        asked: list[int] = []

        def away(*_: Any) -> Any:
            asked.append(1)
            raise StoreUnavailable("away")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "marks_of_others", away)
            loader = beside(url)
            loader.save_marks([StoredMark("ACME", process.clock.now(), 50.0)])
            loader.close()
            await until(lambda: len(asked) > 2)
        await until(lambda: price(process, "ACME") == 50.0)

    live(url, test)


def waiting(process: EngineProcess) -> list[str]:
    return [item.id for item in process.history.newest.exceptions["waiting"]]


def test_a_close_that_waits_for_its_day_is_listed_with_its_date_live_and_after_a_restart(url: str) -> None:
    async def test(process: EngineProcess) -> Any:
        loader = beside(url)
        loader.save_closes(
            [Close("2026-03-04", "ACME", 50.0), Close("2031-01-02", "ACME", 51.0), Close("2031-01-01", "GHOST", 7.0)]
        )
        await until(lambda: len(waiting(process)) == 2, 1.0)
        outside(url, "DELETE FROM closes WHERE date = '2031-01-02'")
        await until(lambda: len(waiting(process)) == 1, 1.0)
        loader.save_closes([Close("2031-01-02", "ACME", 51.0)])
        loader.close()
        await until(lambda: len(waiting(process)) == 2, 1.0)
        assert price(process, "ACME") == 50.0
        return process.history.newest.exceptions["waiting"]

    async def listed(process: EngineProcess) -> Any:
        return process.history.newest.exceptions["waiting"]

    found = live(url, test)
    assert [item.id for item in found] == ["waiting:close:GHOST:2031-01-01", "waiting:close:ACME:2031-01-02"]
    assert found[0].detail == {"instrument": "GHOST", "date": "2031-01-01", "price": 7.0}
    assert found[0].reason == "the close 7 of 2031-01-01 takes effect when that day ends"
    assert live(url, listed) == found


def test_closes_are_followed_while_a_trade_waits_for_its_day(url: str) -> None:
    async def test(process: EngineProcess) -> None:
        await process.submit([sent("later", process, trade_date="2031-01-06")])
        loader = beside(url)
        loader.save_closes([Close("2026-03-04", "ACME", 50.0), Close("2031-01-02", "ACME", 51.0)])
        await until(lambda: len(waiting(process)) == 2, 1.0)
        loader.save_closes([Close("2026-03-05", "ACME", 52.0)])
        loader.close()
        await until(lambda: price(process, "ACME") == 52.0, 1.0)
        assert not process.warnings

    live(url, test)


def test_a_close_on_a_date_that_does_not_exist_is_told_and_corrected_while_the_engine_runs(url: str) -> None:
    async def test(process: EngineProcess) -> None:
        outside(url, "INSERT INTO closes (date, instrument, price) VALUES ('2026-02-30', 'ACME', 50.0)")
        await until(lambda: "ACME on 2026-02-30, which is no date" in process.warnings.get("not_followed", ""), 2.0)
        outside(url, "UPDATE closes SET date = '2026-02-27'")
        await until(lambda: price(process, "ACME") == 50.0 and not process.warnings, 2.0)

    live(url, test)


# -- what others delete ------------------------------------------------------------------------------------------


def outside(url: str, statement: str) -> None:
    other = Outside(url)
    other.execute(statement)
    other.close()


def test_a_conflict_that_another_program_deletes_is_listed_no_more(url: str) -> None:
    async def test(process: EngineProcess) -> Any:
        await process.submit([sent("a", process), sent("a", process, quantity="7"), sent("b", process)])
        await process.submit([sent("b", process, quantity="7")])
        await until(lambda: conflicts(process)[1] == 2 and len(process.live.neighbours._conflicts) == 2)  # type: ignore[union-attr]
        outside(url, "DELETE FROM conflicts WHERE trade_id = 'a'")
        await until(lambda: conflicts(process)[1] == 1, 1.0)
        [item] = process.history.newest.exceptions["conflict"]
        assert item.trade is not None and item.trade.trade_id == "b"
        return (await seen(process))[2]

    assert live(url, test) == live(url, seen)[2]


@pytest.mark.parametrize("word", ["accept", "reject"])
def test_a_verdict_that_another_program_deletes_is_undone_as_a_restart_would(url: str, word: str) -> None:
    async def test(process: EngineProcess) -> Any:
        now = process.clock.now()
        await process.submit([sent("a", process), sent("a", process, quantity="7")])
        await process.submit([trade("early", ts=now + 900 * SECOND, received_ts=now)])
        listed = process.history.newest.exceptions
        for item in (*listed["quarantined"], *(listed["conflict"] if word == "reject" else ())):
            await process.decide(item, Verdict(item.id, word, "", "ann", now))
        before = process.history.newest
        assert before.counts.quarantined == (word == "reject")
        outside(url, "DELETE FROM verdicts")
        await until(lambda: not process.history.newest.verdicts, 1.0)
        assert process.history.newest.counts.quarantined == 1
        report = await process.reconcile(repair=False, actor="test")
        assert report["clean"], report["breaks"]
        await process.renew("test")
        return await seen(process)

    found = live(url, test)
    assert found == live(url, seen)


def told(process: EngineProcess) -> str:
    return process.warnings.get("set_back", "")


@pytest.mark.parametrize("of_others", [True, False])
@pytest.mark.parametrize("statement", ["DELETE FROM marks", "UPDATE marks SET ts = ts - 5000000"])
def test_a_mark_that_is_deleted_or_set_back_is_told_until_the_store_holds_the_price_in_force(
    url: str, statement: str, of_others: bool
) -> None:
    async def test(process: EngineProcess) -> None:
        now = process.clock.now()
        if of_others:
            loader = beside(url)
            loader.save_marks([StoredMark("ACME", now, 50.0), StoredMark("GHOST", now, 7.0)])
            loader.close()
        else:
            process.offer_ticks([Tick("ACME", now, 50.0, 50.0), Tick("GHOST", now, 7.0, 7.0)])
        await until(lambda: (price(process, "ACME"), price(process, "GHOST")) == (50.0, 7.0))
        store = process._store
        assert store is not None
        await until(lambda: len(store.marks()) == 2)
        await asyncio.sleep(1.5)  # until the engine has stored what it has: it would put a mark back that it still has to store
        assert told(process) == ""
        outside(url, f"{statement} WHERE instrument = 'ACME'")
        await until(lambda: told(process), 1.0)
        assert "the price in force of 1 instruments any more (ACME)" in told(process)
        assert price(process, "ACME") == 50.0
        process.offer_ticks([Tick("ACME", now + 1, 51.0, 51.0)])
        await until(lambda: not told(process), 4.0)

    live(url, test)


def test_the_price_of_a_forward_is_worked_out_and_nobody_misses_it_in_the_store(url: str) -> None:
    rows: dict[str, Any] = {"value_date": "2030-06-17", "quantity": "100"}

    async def test(process: EngineProcess) -> None:
        now = process.clock.now()
        process.offer_ticks([Tick("EURUSD", now, 1.1, 1.1), Tick("ACME", now, 50.0, 50.0)])
        loader = beside(url)
        curves = [RateRow(code, "rate", "2030-06-17", now, 0.02) for code in ("EUR", "USD")]
        loader.save_option_inputs([DatedInput("2026-03-04", each) for each in curves])
        loader.close()
        await until(lambda: price(process, "EURUSD") == 1.1)
        await process.submit([sent("f", process, **rows)])
        await until(lambda: "EURUSD@2030-06-17" in process.history.newest.reference.instrument_index)
        await until(lambda: price(process, "EURUSD@2030-06-17"))
        await asyncio.sleep(1.5)  # until the engine has stored what it has
        process.offer_ticks([Tick("EURUSD", now + 1, 1.2, 1.2)])
        await until(lambda: price(process, "EURUSD") == 1.2)

    live(url, test)

    async def after(process: EngineProcess) -> None:
        await until(lambda: price(process, "EURUSD@2030-06-17"))
        outside(url, "UPDATE marks SET ts = ts WHERE instrument = 'ACME'")
        await asyncio.sleep(1.5)  # until the neighbours have looked
        assert told(process) == ""

    live(url, after)


def test_a_close_that_is_deleted_is_told(url: str) -> None:
    async def test(process: EngineProcess) -> None:
        loader = beside(url)
        loader.save_closes([Close("2026-03-03", "ACME", 49.0), Close("2026-03-04", "ACME", 50.0)])
        await until(lambda: price(process, "ACME") == 50.0)
        outside(url, "DELETE FROM closes WHERE date = '2026-03-04'")
        await until(lambda: told(process), 1.0)
        loader.save_closes([Close("2026-03-04", "ACME", 50.0)])
        loader.close()
        await until(lambda: not told(process), 4.0)

    live(url, test)

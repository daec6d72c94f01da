"""The engine notices a store that was restored from an old backup, at the start and while it runs, on both databases."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from riskengine.config import Config, EngineConfig, StoreConfig
from riskengine.errors import StartRefused, StoreWentBack
from riskengine.process.process import EngineProcess
from riskengine.store.open_store import open_store
from riskengine.store.witness import Witness
from tests.backups import Backup
from tests.live_process import Test, run_live
from tests.store_book import Outside
from tests.waiting import until
from tests.world import SECOND, instruments, mark_settings, nodes, trade


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits ten seconds here, and the process of the tests does not settle its memory for good."""
    monkeypatch.setattr("riskengine.process.store_watch.NOTE_EVERY_S", 0.05)
    monkeypatch.setattr("riskengine.process.store_watch.LOOK_EVERY_S", 0.05)


@pytest.fixture
def house(store_url: str) -> str:
    """A store with nodes and instruments; its URL."""
    store = open_store(store_url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()
    return store_url


def settings(url: str) -> Config:
    return Config(engine=EngineConfig(beat_ms=20), store=StoreConfig(url), marks=mark_settings(store_every_s=0.05))


def life(url: str, test: Test, *, accept: bool = False) -> Any:
    """Run a test against a live engine, from the opening of its store to the end."""
    return run_live(settings(url), test, accept_mismatch=accept, reason="the newer one is lost" if accept else "")


def dealing(*names: str) -> Test:
    """Run an engine, send these trades, stop it; returns its epoch."""

    async def deal(process: EngineProcess) -> int:
        now = process.clock.now()
        for name in names:
            await process.submit([trade(name, ts=now - SECOND, received_ts=now)])
        return process.history.newest.epoch

    return deal


async def look(process: EngineProcess) -> tuple[int, list[str]]:
    """The epoch, and the kinds of active warnings."""
    return process.history.newest.epoch, list(process.warnings)


# -- backups -----------------------------------------------------------------------------------------------------


@pytest.fixture
def back_up(house: str, tmp_path: Path) -> Iterator[Callable[[], Backup]]:
    made: list[Backup] = []

    def make() -> Backup:
        made.append(Backup(house, tmp_path))
        return made[-1]

    yield make
    for each in made:
        each.drop()


# -- at the start ------------------------------------------------------------------------------------------------


def test_a_store_restored_from_an_older_backup_is_refused_and_nothing_is_changed(
    house: str, back_up: Callable[[], Backup]
) -> None:
    assert life(house, dealing("1", "2")) == 1
    backup = back_up()
    assert life(house, dealing("3", "4")) == 2
    backup.restore()
    for _ in range(2):  # a supervisor that starts it again and again must not wear the refusal out
        process = EngineProcess(settings(house))
        with pytest.raises(StartRefused, match=r"restored from an older state: it ends at trade 2 of 20.*, epoch 1; this "):
            process.open()
    store = open_store(house, read_only=True)
    assert (store.state().epoch, store.state().watermark) == (1, 2)
    store.close()


def test_accepted_it_goes_live_says_so_everywhere_and_is_believed_from_then_on(house: str, back_up: Callable[[], Backup]) -> None:
    life(house, dealing("1"))
    backup = back_up()
    life(house, dealing("2"))
    backup.restore()

    async def shown(process: EngineProcess) -> Any:
        await process.morning.complete.wait()
        return process.history.newest.epoch, process.warnings.rows(), process.health()["start"]["mismatches"]

    epoch, [warning], [mismatch] = life(house, shown, accept=True)
    assert epoch == 3, "above every epoch that was ever seen here"
    assert warning["kind"] == "mismatch" and warning["text"].startswith("the store was restored from an older state")
    assert mismatch["kind"] == "restored"
    assert life(house, look) == (4, [])


def test_that_it_was_accepted_is_in_the_audit_trail(house: str, back_up: Callable[[], Backup]) -> None:
    life(house, dealing("1"))
    backup = back_up()
    life(house, dealing("2"))
    backup.restore()
    life(house, look, accept=True)
    outside = Outside(house)
    [(actor, detail)] = outside.execute("SELECT actor, detail FROM audit WHERE kind = 'mismatch_accepted'")
    outside.close()
    assert actor and "restored from an older state" in detail and "the newer one is lost" in detail


def test_a_backup_of_the_same_epoch_that_others_filled_up_again_is_told_by_its_audit_trail(
    house: str, back_up: Callable[[], Backup]
) -> None:
    async def morning(process: EngineProcess) -> Backup:
        await dealing("1")(process)
        backup = back_up()
        await dealing("2", "3")(process)
        return backup

    life(house, morning).restore()
    outside = Outside(house)
    for name in ("x", "y", "z"):
        outside.book(trade_id=name)
    outside.close()
    with pytest.raises(StartRefused, match=r"of its audit trail is (missing|another one); it ends at trade 4"):
        EngineProcess(settings(house)).open()


def test_a_store_that_went_on_as_it_was_left_starts_without_a_word(house: str, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("1", "2", "3"):
        life(house, dealing(name))
    assert life(house, look) == (4, [])
    assert not [record for record in caplog.records if "witness" in str(record.msg)]


def test_a_copy_at_another_place_is_a_store_of_its_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/desk.db"
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()
    life(url, dealing("1"))
    shutil.copyfile(tmp_path / "desk.db", tmp_path / "copy.db")
    life(url, dealing("2"))
    assert life(f"sqlite:///{tmp_path}/copy.db", look) == (2, [])


def test_a_witness_that_cannot_be_read_or_written_stops_nothing(house: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    async def run() -> Any:
        config = settings(house)
        config = Config(store=StoreConfig(house, witness=str(tmp_path / "file")), marks=config.marks)
        process = EngineProcess(config)
        process.open()
        await process.start()
        answer = await look(process)
        await process.stop()
        return answer

    assert asyncio.run(run()) == (1, [])


# -- while it runs -----------------------------------------------------------------------------------------------


def test_rows_that_were_deleted_are_said_and_are_no_store_that_went_back(house: str) -> None:
    async def test(process: EngineProcess) -> None:
        watch = process._store_watch
        assert watch is not None
        await dealing("1", "2", "3")(process)
        await until(lambda: watch.witness._seen is not None and watch.witness._seen.watermark == 3)
        outside = Outside(house)
        outside.execute("DELETE FROM trades WHERE store_seq > 1")
        outside.close()
        await until(lambda: "gone" in process.warnings)
        assert "it ends at trade 1 and had come to 3" in process.warnings["gone"]
        await dealing("4")(process)
        report = await process.reconcile(repair=False, actor="test")
        assert [each["kind"] for each in report["breaks"]], "a deleted row is a break"
        assert "restored" not in process.warnings and process.live is not None and process.live.store_thread.trouble is None

    life(house, test)

    async def said(process: EngineProcess) -> Any:
        return dict(process.warnings)

    assert life(house, said)["gone"].startswith("2 trades are missing that the store held")


async def refused(process: EngineProcess, said: str) -> None:
    """No trade is taken, the reason says why and how service resumes, and every screen says so."""
    await until(lambda: "restored" in process.warnings, 2)
    with pytest.raises(StoreWentBack, match=said) as error:
        await dealing("later")(process)
    assert "--accept-mismatch --reason" in str(error.value)
    assert process.warnings["restored"] == str(error.value)
    await until(lambda: process.state == "degraded" and process.is_live, 2)
    assert process.metrics.value(process.metrics.store_went_back) == 1


def test_a_store_that_goes_back_under_the_engine_is_said_takes_no_trade_and_is_refused_later(
    house: str, back_up: Callable[[], Backup]
) -> None:
    async def test(process: EngineProcess) -> None:
        await dealing("b1")(process)
        backup = back_up()
        await dealing("b2", "b3")(process)
        backup.restore_in_place()
        outside = Outside(house)
        outside.book(trade_id="q1")
        outside.close()
        await refused(process, r"restored from an older state while this engine wrote it: ")
        assert process.history.newest.nodes.state(0).trade_count == 3, "what it acknowledged stays on the screens"

    life(house, test)
    opened = open_store(house, read_only=True)
    assert [row.trade_id for row in opened.trades_after(0)] == ["b1", "q1"], "nothing was written into the older store"
    opened.close()
    with pytest.raises(
        StartRefused, match=r"restored from an older state: .*put the newer store back .* --accept-mismatch --reason"
    ):
        EngineProcess(settings(house)).open()
    with pytest.raises(StartRefused, match="--accept-mismatch needs a --reason here"):
        EngineProcess(settings(house), accept_mismatch=True).open()


def test_a_commit_into_a_store_that_went_back_is_refused_before_any_poll(
    house: str, back_up: Callable[[], Backup], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("riskengine.intake.store_thread.COMPARE_S", 1_000.0)

    async def test(process: EngineProcess) -> None:
        await dealing("b1")(process)
        backup = back_up()
        await dealing("b2")(process)
        backup.restore_in_place()
        with pytest.raises(StoreWentBack, match="of its audit trail is missing"):
            await dealing("b3")(process)
        await refused(process, "of its audit trail is missing")

    life(house, test)
    opened = open_store(house, read_only=True)
    assert opened.watermark() == 1
    opened.close()


def test_a_store_that_went_back_and_was_filled_up_by_others_is_told_by_its_audit_trail(
    house: str, back_up: Callable[[], Backup], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("riskengine.intake.store_thread.POLL_S", 0.6)
    monkeypatch.setattr("riskengine.intake.store_thread.COMPARE_S", 0.6)

    async def test(process: EngineProcess) -> None:
        await dealing("b1")(process)
        backup = back_up()
        await dealing("b2")(process)
        backup.restore_in_place()
        loader = open_store(house)
        loader.append_trades([trade(f"q{number}") for number in range(3)])
        loader.close()
        await refused(process, "restored from an older state")  # by whichever of the three is compared first

    life(house, test)


def test_a_store_whose_epoch_goes_back_takes_no_trade_with_the_reason(house: str) -> None:
    async def test(process: EngineProcess) -> None:
        outside = Outside(house)
        outside.execute("UPDATE meta SET value = '0' WHERE key = 'writer_epoch'")
        outside.close()
        await refused(process, "it is at epoch 0 and was at 1")

    life(house, test)


def test_a_trail_that_others_extend_a_note_that_is_gone_and_rows_corrected_in_place_are_no_step_back(house: str) -> None:
    async def test(process: EngineProcess) -> None:
        await dealing("1", "2")(process)
        loader = open_store(house)
        loader.append_trades([trade("loaded")])
        loader.close()
        outside = Outside(house)
        outside.execute("UPDATE trades SET price = '7' WHERE trade_id = '1'")
        await dealing("3")(process)
        outside.execute("DELETE FROM meta WHERE key = 'audit_head'")
        await asyncio.sleep(0.6)
        await dealing("4")(process)
        outside.close()
        assert process.state == "live" and "restored" not in process.warnings

    life(house, test)


def test_what_was_seen_last_is_noted_at_the_end(house: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskengine.process.store_watch.NOTE_EVERY_S", 1_000.0)
    life(house, dealing("1", "2"))
    store = open_store(house, read_only=True)
    witness = Witness(StoreConfig(house), store, EngineProcess(settings(house)).clock)
    assert witness.check() is None and witness._seen is not None
    assert (witness._seen.watermark, witness._seen.trades, witness._seen.epoch) == (2, 2, 1)
    assert witness._seen.audit_seq == store.state().audit_seq
    store.close()

"""The witness: the state of a store, remembered outside it."""

import json
import os
from pathlib import Path
from typing import Any, cast

import pytest

from riskengine.clock import ManualClock
from riskengine.config import StoreConfig
from riskengine.errors import StoreUnavailable
from riskengine.store.audit_chain import Head
from riskengine.store.protocol import Store
from riskengine.store.results import StoreState
from riskengine.store.standing import Acknowledged
from riskengine.store.witness import Witness, state_folder, witness_path, write_durably
from tests.store_book import TS, trade

NOW = TS + 1_000_000


class Shelf:
    """The methods of a store that a witness calls."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.now = StoreState("one", 1, 0, None, 0, 0, "")
        self.hashes: dict[int, str] = {}
        self.away = False

    def state(self, watermark: int = 0, trades: int = 0) -> StoreState:
        if self.away:
            raise StoreUnavailable("away")
        return self.now

    def audit_hash(self, audit_seq: int) -> str | None:
        return self.hashes.get(audit_seq)

    def come_to(self, epoch: int, watermark: int, audit_hash: str = "") -> None:
        """Set the state of the store; its audit trail has as many entries as it has trades."""
        self.now = StoreState("one", epoch, watermark, TS, watermark, watermark if audit_hash else 0, audit_hash)
        self.hashes[watermark] = audit_hash


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(str(tmp_path / "desk.db"))


def witness(shelf: Shelf, **settings: Any) -> Witness:
    """A witness as a start makes it."""
    return Witness(StoreConfig(f"sqlite:///{shelf.name}", **settings), cast(Store, shelf), ManualClock(NOW))


def seen(shelf: Shelf) -> Any:
    return json.loads(Path(f"{shelf.name}.witness").read_text())


# -- what it says ------------------------------------------------------------------------------------------------


def test_a_store_never_seen_and_one_that_went_on_are_believed(shelf: Shelf) -> None:
    shelf.come_to(1, 10, "ten")
    first = witness(shelf)
    assert first.check() is None and first.note() is None
    shelf.come_to(2, 12, "twelve")
    assert witness(shelf).check() is None


@pytest.mark.parametrize(("epoch", "watermark", "trail"), [(1, 12, "twelve"), (2, 9, "nine"), (1, 0, "")])
def test_a_store_with_a_lower_epoch_or_fewer_trades_went_back(shelf: Shelf, epoch: int, watermark: int, trail: str) -> None:
    shelf.come_to(2, 12, "twelve")
    witness(shelf).note()
    shelf.come_to(epoch, watermark, trail)
    said = witness(shelf).check()
    assert said is not None and said.startswith("the store was restored from an older state: it ends at trade ")
    assert f"epoch {epoch}; this machine had seen trade 12, epoch 2, at 2026-09-21 14:13:21 UTC" in said


@pytest.mark.parametrize(("there", "what"), [(None, "is missing"), ("other", "is another one")])
def test_an_older_store_that_was_filled_up_again_is_told_by_its_audit_trail(shelf: Shelf, there: str | None, what: str) -> None:
    shelf.come_to(2, 12, "twelve")
    witness(shelf).note()
    shelf.come_to(2, 20, "twenty")
    shelf.hashes = {20: "twenty"} | ({12: there} if there else {})
    said = witness(shelf).check()
    assert said is not None and f"entry 12 of its audit trail {what}" in said


def test_while_it_runs_a_store_that_went_back_is_told_and_what_was_seen_is_kept(shelf: Shelf) -> None:
    shelf.come_to(1, 10, "ten")
    ours = witness(shelf)
    assert ours.note() is None
    shelf.come_to(1, 7, "seven")
    assert "it ends at trade 7 of 2026-09-21 14:13:20 UTC" in str(ours.note())
    assert seen(shelf)["watermark"] == 10
    shelf.come_to(1, 11, "eleven")
    shelf.hashes[10] = "ten"
    assert ours.note() is None and seen(shelf)["watermark"] == 11


def test_what_was_acknowledged_is_kept_and_never_goes_back_by_itself(shelf: Shelf) -> None:
    shelf.come_to(3, 10, "ten")
    ours = witness(shelf)
    ours.note()
    ours.keep(Acknowledged("one", 3, 12, Head(14, "fourteen")))
    assert (seen(shelf)["epoch"], seen(shelf)["watermark"], seen(shelf)["audit_seq"]) == (3, 12, 14)
    ours.keep(Acknowledged("one", 2, 5, Head(6, "six")))
    assert (seen(shelf)["epoch"], seen(shelf)["watermark"], seen(shelf)["audit_hash"]) == (3, 12, "fourteen")
    assert "this machine had seen trade 12, epoch 3" in str(witness(shelf).check())


def test_rows_that_were_deleted_are_no_step_back_and_are_said(shelf: Shelf) -> None:
    shelf.come_to(1, 10, "ten")
    ours = witness(shelf)
    ours.note()
    shelf.now = shelf.now._replace(watermark=7, issued=10)
    assert ours.note() is None and "it ends at trade 7 and had come to 10" in str(ours.cut)
    assert seen(shelf)["watermark"] == 10
    shelf.now = shelf.now._replace(watermark=11, issued=11)
    assert ours.note() is None and ours.cut is None
    shelf.now = shelf.now._replace(trades=3)
    again = witness(shelf)
    assert again.check() is None and again.gone == 7


def test_an_accepted_store_is_believed_from_then_on(shelf: Shelf) -> None:
    shelf.come_to(5, 12, "twelve")
    witness(shelf).note()
    shelf.come_to(2, 7, "seven")
    ours = witness(shelf)
    assert ours.check() is not None and ours.epoch == 5
    ours.adopt()
    assert ours.note() is None and seen(shelf)["epoch"] == 2
    assert witness(shelf).check() is None


# -- the file ----------------------------------------------------------------------------------------------------


def test_it_is_written_when_something_changed_and_says_what(shelf: Shelf) -> None:
    shelf.come_to(1, 10, "ten")
    ours = witness(shelf)
    ours.note()
    assert seen(shelf) == {
        "store_id": "one",
        "store": f"sqlite:///{shelf.name}",
        "epoch": 1,
        "watermark": 10,
        "trades": 10,
        "audit_seq": 10,
        "audit_hash": "ten",
        "ts": NOW,
    }
    os.unlink(f"{shelf.name}.witness")
    ours.note()
    assert not Path(f"{shelf.name}.witness").exists()
    shelf.come_to(1, 11, "eleven")
    shelf.hashes[10] = "ten"
    ours.note()
    assert seen(shelf)["watermark"] == 11
    assert os.listdir(Path(shelf.name).parent) == ["desk.db.witness"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"epoch": 1}', b"\xff\xfe", b'{"store_id": 3}'])
def test_a_damaged_one_is_said_and_not_believed(shelf: Shelf, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    Path(f"{shelf.name}.witness").write_bytes(content)
    ours = witness(shelf)
    assert ours.check() is None
    assert [cast(Any, record.msg)["event"] for record in caplog.records] == ["witness_unreadable"]
    ours.note()
    assert witness(shelf).check() is None and seen(shelf)["store_id"] == "one"


def test_that_of_another_store_is_said_and_not_believed(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    shelf.come_to(9, 99, "x")
    witness(shelf).note()
    shelf.now = StoreState("two", 1, 0, None, 0, 0, "")
    ours = witness(shelf)
    assert ours.check() is None
    assert [cast(Any, record.msg)["event"] for record in caplog.records] == ["witness_of_another_store"]
    assert ours.note() is None and seen(shelf)["store_id"] == "two"


def test_one_that_cannot_be_written_is_said_once_and_stops_nothing(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    blocked = Path(f"{shelf.name}.d")
    blocked.write_text("a file, not a folder")
    ours = witness(shelf, witness=str(blocked / "w"))
    for watermark in (1, 2):
        shelf.come_to(1, watermark)
        assert ours.note() is None
    error: str | None = ours.error
    assert error == "Not a directory"
    assert [cast(Any, record.msg)["event"] for record in caplog.records] == ["witness_not_written"]
    blocked.unlink()
    ours.note()
    assert not ours.error and len(os.listdir(blocked / "w")) == 1


def test_a_store_that_is_away_is_the_store_s_own_error(shelf: Shelf) -> None:
    ours = witness(shelf)
    shelf.away = True
    with pytest.raises(StoreUnavailable):
        ours.note()


def test_half_a_file_is_never_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "w"
    write_durably(path, b"before")

    def broken(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match="No space"):
        write_durably(path, b"after")
    assert path.read_bytes() == b"before" and os.listdir(path.parent) == ["w"]


# -- where it lies -----------------------------------------------------------------------------------------------


def test_it_lies_beside_a_file_and_in_the_user_s_state_for_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert witness_path(StoreConfig("sqlite:///a/desk.db"), "/x/a/desk.db", "one") == Path("/x/a/desk.db.witness")
    path = witness_path(StoreConfig("postgresql://me:secret@host/db"), "ignored", "one")
    assert path.parent == tmp_path / "riskengine" and path.suffix == ".witness"
    assert witness_path(StoreConfig("postgresql://me:other@host/db"), "ignored", "one") == path, "the password is no part of it"
    assert witness_path(StoreConfig("postgresql://me:secret@host/copy"), "ignored", "one") != path
    assert witness_path(StoreConfig("postgresql://me:secret@host/db"), "ignored", "two") != path


def test_a_folder_of_one_s_own_is_for_both(tmp_path: Path) -> None:
    paths = {
        witness_path(StoreConfig(url, witness=str(tmp_path)), name, "one")
        for url, name in (("sqlite:///desk.db", "/x/desk.db"), ("sqlite:///desk.db", "/y/desk.db"), ("postgresql://h/d", "d"))
    }
    assert len(paths) == 3 and {path.parent for path in paths} == {tmp_path}


def test_a_relative_state_home_is_ignored_and_no_home_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_folder() == tmp_path / ".local" / "state" / "riskengine"

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(OSError, match="home directory"):
        state_folder()


# -- the store's side --------------------------------------------------------------------------------------------


def test_a_store_tells_how_far_it_has_come(store: Store) -> None:
    empty = store.state()
    assert (empty.epoch, empty.watermark, empty.last_received_ts, empty.trades) == (0, 0, None, 0)
    store.append_trades([trade("T1"), trade("T2"), trade("T3")])
    store.acquire_writer("engine")
    epoch = store.next_epoch(above=6)
    now = store.state()
    assert (epoch, now.epoch, now.watermark, now.last_received_ts, now.trades) == (7, 7, 3, TS + 5, 3)
    assert len(now.store_id) == 32 and now.store_id == empty.store_id
    assert store.state(2, 50).trades == 51, "only the new ones are counted"
    assert store.audit_hash(10**9) is None
    assert now.audit_seq > 0 and store.audit_hash(now.audit_seq) == now.audit_hash


def test_trades_that_are_gone_from_the_middle_are_counted(shelf: Shelf) -> None:
    shelf.come_to(1, 10)
    before = witness(shelf)
    assert before.check() is None
    before.note()
    shelf.now = shelf.now._replace(trades=7)
    after = witness(shelf)
    assert (after.check(), after.gone) == (None, 3)
    after.note(count=True)
    again = witness(shelf)
    assert (again.check(), again.gone) == (None, 0)

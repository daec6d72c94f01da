"""Case A2: a store that goes back under the running engine is said in 2 s, takes no trade, and is refused at the next start."""

import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from riskengine.store.open_store import open_store
from tests.backups import Backup
from tests.posting import deal, post, trade_count
from tests.running import Server, command, running
from tests.store_book import Outside, new_store

WITHIN_S = 2.0


def kinds(answer: Any) -> list[str]:
    return [each["kind"] for each in answer["warnings"]]


def wait_for_warning(engine: Server) -> float:
    """How long until every screen says that the store went back."""
    began = time.monotonic()
    while not all("restored" in kinds(engine.get(path)) for path in ("/v1/status", "/readyz")):
        assert time.monotonic() - began < 5 * WITHIN_S, "nobody said so"
        time.sleep(0.02)
    return time.monotonic() - began


def goes_back(url: str, folder: Path, copy: Callable[[], Any], put_back: Callable[[], Any]) -> None:
    with running("serve", "--port", "0", "--store", url, log=folder / "log") as engine:
        assert post(engine, deal("b1"))[0] == 200
        copy()
        for name in ("b2", "b3"):
            assert post(engine, deal(name))[0] == 200
        put_back()
        outside = Outside(url)
        outside.book(trade_id="q1", quantity="100")
        outside.close()
        assert wait_for_warning(engine) < WITHIN_S
        status, headers, answer = post(engine, deal("b4"))
        assert status == 503 and headers["Retry-After"]
        assert "while" in answer["detail"] and "--accept-mismatch --reason" in answer["detail"]
        assert "riskengine_store_went_back 1.0" in engine.get("/metrics", raw=True).decode()
        assert engine.get("/v1/status")["state"] == "degraded"
        assert trade_count(engine) == 3, "the screens keep what was acknowledged"
        assert engine.stop() == 0
    done = command("serve", "--port", "0", "--store", url)
    assert done.returncode == 1 and "restored from an older state" in done.stderr
    assert "put the newer store back and start again" in done.stderr
    assert command("serve", "--accept-mismatch", "--port", "0", "--store", url).returncode == 1, "not without a reason"
    store = open_store(url, read_only=True)
    assert [row.trade_id for row in store.trades_after(0)] == ["b1-0", "q1"], "the engine wrote nothing into it"
    store.close()
    words = ("serve", "--accept-mismatch", "--reason", "the newer copy is lost", "--port", "0", "--store", url)
    with running(*words, log=folder / "log") as engine:
        assert kinds(engine.get("/v1/status")) == ["mismatch"]
        assert post(engine, deal("b2"))[0] == 200
        assert trade_count(engine) == 3
        assert engine.stop() == 0
    shown = command("audit", "show", "--store", url, "--kind", "mismatch_accepted")
    assert "the newer copy is lost" in shown.stdout


def test_on_a_database_that_is_restored_in_place(store_url: str, tmp_path: Path) -> None:
    new_store(store_url).close()
    made: list[Backup] = []
    goes_back(store_url, tmp_path, lambda: made.append(Backup(store_url, tmp_path)), lambda: made[0].restore_in_place())
    made[0].drop()


@pytest.mark.parametrize("how", ["renamed over it", "copied over it, its log removed"])
def test_on_a_file_that_another_is_put_in_place_of(how: str, tmp_path: Path) -> None:
    path, kept = tmp_path / "engine.db", tmp_path / "kept.db"
    new_store(path).close()

    def copy() -> None:
        with sqlite3.connect(path) as source, sqlite3.connect(kept) as target:
            source.backup(target)
        source.close()
        target.close()

    def put_back() -> None:
        if how == "renamed over it":
            kept.rename(path)
        else:
            shutil.copyfile(kept, path)
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)

    goes_back(f"sqlite:///{path}", tmp_path, copy, put_back)


def test_a_newer_copy_that_is_put_back_goes_on_where_the_engine_stopped(tmp_path: Path) -> None:
    path = tmp_path / "engine.db"
    url = f"sqlite:///{path}"
    new_store(path).close()
    words = ("serve", "--port", "0", "--store", url)
    with running(*words, log=tmp_path / "log") as engine:
        post(engine, deal("b1"))
        older = Backup(url, tmp_path)
        post(engine, deal("b2"))
        (tmp_path / "newer").mkdir()
        newer = Backup(url, tmp_path / "newer")
        older.restore_in_place()
        wait_for_warning(engine)
        assert engine.stop() == 0
    newer.restore()
    with running(*words, log=tmp_path / "log") as engine:
        assert (kinds(engine.get("/v1/status")), trade_count(engine)) == ([], 2)


def test_publishers_hear_the_reason_too(tmp_path: Path) -> None:
    path = tmp_path / "engine.db"
    url = f"sqlite:///{path}"
    new_store(path).close()
    with running("serve", "--port", "0", "--store", url, log=tmp_path / "log") as engine:
        post(engine, deal("b1"))
        older = Backup(url, tmp_path)
        post(engine, deal("b2"))
        older.restore_in_place()
        wait_for_warning(engine)
        for path_of in ("/v1/reconcile", "/v1/trades"):
            with pytest.raises(AssertionError, match=r"503 .*restored from an older state"):
                engine.post(path_of, {"repair": True} if path_of == "/v1/reconcile" else deal("b3"))

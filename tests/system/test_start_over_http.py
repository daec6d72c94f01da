"""The morning of the real program: what it answers while it loads, what it says at the end, when it refuses."""

import asyncio
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from riskengine.config import Config, StoreConfig
from riskengine.engine.engine import Engine
from riskengine.process.lifetime import bind, run_server
from riskengine.process.process import EngineProcess
from riskengine.rebuild.phases import PHASES
from riskengine.store.open_store import open_store
from tests.running import ENVIRONMENT, Server, begin, command, running
from tests.world import NOON, instruments, nodes, trade

MANY = 20_000


def new_store(url: str, count: int) -> None:
    """A store with so many trades."""
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    for first in range(0, count, 2_000):
        store.append_trades([trade(f"{number:06}", ts=NOON + number) for number in range(first, min(count, first + 2_000))])
    store.close()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with enough trades that loading them can be watched; tests take copies."""
    path = tmp_path_factory.mktemp("full") / "desk.db"
    new_store(f"sqlite:///{path}", MANY)
    return path


@pytest.fixture
def url(full: Path, tmp_path: Path) -> str:
    shutil.copyfile(full, tmp_path / "desk.db")
    return f"sqlite:///{tmp_path}/desk.db"


def readiness(url: str) -> tuple[int, dict[str, Any]]:
    """Status and body of /readyz, whatever they are."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/readyz", timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def log_lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def wait_for(log: Path, event: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = [line for line in log_lines(log) if line.get("event") == event]
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"no {event} in {log.read_text()[-2_000:]}")


# -- while it loads ----------------------------------------------------------------------------------------------


def test_until_it_is_live_it_says_how_far_it_is_and_then_what_it_came_to(url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = begin("serve", "--store", url, "--port", "0", log=log)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().decode().split()[-1]
        seen: list[dict[str, Any]] = []
        while (answer := readiness(address))[0] != 200:
            seen.append(answer[1])
            assert process.poll() is None
        started = wait_for(log, "started")
        kept, digest = (Server(process, address).get(path) for path in ("/v1/status", "/v1/digest"))
    finally:
        process.kill()
        process.communicate()
    replaying = [each for each in seen if each["phase"] == "replay"]
    assert replaying, f"only {[each['phase'] for each in seen]} was seen"
    assert {each["state"] for each in seen} <= {"starting", "loading"}
    assert [each["progress"] for each in seen] == sorted(each["progress"] for each in seen)
    assert any(0 < each["trades_loaded"] < MANY and each["trades_total"] == MANY for each in replaying)
    assert answer[1] == {"state": "live", "progress": 1.0, "warnings": []}
    assert [line["phase"] for line in log_lines(log) if line["event"] == "start_phase"] == list(PHASES[:-1])
    assert [phase["phase"] for phase in started["phases"]] == list(PHASES)
    assert (started["trades_loaded"], started["counts"]["applied"], started["watermark"]) == (MANY, MANY, MANY)
    assert started["nodes"][0]["node"] == "ALL" and started["digest"] == digest["digest"]
    assert kept["start"].items() <= started.items()


# -- on a terminal -----------------------------------------------------------------------------------------------


def on_a_terminal(*words: str, until: str) -> tuple[str, str]:
    """What a serving command wrote to a terminal that is its stderr, up to `until`; and its stdout."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "riskengine.cli", *words],
        stdout=subprocess.PIPE,
        stderr=slave,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    os.close(slave)
    shown, deadline = b"", time.monotonic() + 30
    try:
        while until.encode() not in shown and time.monotonic() < deadline and process.poll() is None:
            if select.select([master], [], [], 0.1)[0]:
                shown += os.read(master, 65_536)
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
        os.close(master)
    return shown.decode(), stdout.decode()


def test_on_a_terminal_there_is_one_line_that_moves_and_then_one_page(url: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[log]\nformat = "console"\nlevel = "warning"\n')
    shown, stdout = on_a_terminal(
        "serve", "--store", url, "--port", "0", "--config", str(tmp_path / "c.toml"), until="compare 0."
    )
    *bars, page = shown.split("\r\x1b[K")
    assert bars[0] == "" and all(re.match(r"loading \[#*-*\] \d+ %  ", bar) for bar in bars[1:] if bar)
    assert any(f"of {MANY:,} trades" in bar for bar in bars), bars
    assert not any("\n" in bar for bar in bars), "one line, redrawn"
    lines = page.replace("\r", "").splitlines()
    assert lines[0].startswith("live  epoch 1, watermark 20,000, sqlite:///")
    assert lines[1].startswith("trades loaded 20,000: applied 20,000, duplicates 0, conflicts 0, superseded 0, ")
    assert any(re.match(r"    G10 .* 20000 ", line) for line in lines)
    assert re.fullmatch(r"digest [0-9a-f]{64}", lines[-2])
    assert re.fullmatch(r"\d+\.\d\d s: " + ", ".join(rf"{phase} \d+\.\d\d" for phase in PHASES[:-1]), lines[-1])
    assert stdout.count("\n") == 1 and "http://127.0.0.1:" in stdout


# -- when it refuses ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store that an engine has used, put back to how it was before."""
    folder = tmp_path_factory.mktemp("restored")
    url = f"sqlite:///{folder}/desk.db"
    new_store(url, 3)
    shutil.copyfile(folder / "desk.db", folder / "backup.db")
    deal = {"trade_id": "new", "ts": NOON, "instrument": "EURUSD", "desk": "FX1", "side": "buy", "quantity": "5", "price": "1.1"}
    with running("serve", "--store", url, "--port", "0", log=folder / "log") as server:
        server.post("/v1/trades", deal)
        assert server.stop() == 0
    for suffix in ("-wal", "-shm"):
        Path(f"{folder}/desk.db{suffix}").unlink(missing_ok=True)
    shutil.copyfile(folder / "backup.db", folder / "desk.db")
    return url


def test_a_restored_store_is_refused_in_one_line(restored: str) -> None:
    done = command("serve", "--store", restored, "--port", "0")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("riskengine: the store was restored from an older state: it ends at trade 3 of ")
    assert "had seen trade 4, epoch 1" in line and "--accept-mismatch" in line


def test_accepted_it_is_live_and_every_screen_says_so(restored: str, tmp_path: Path) -> None:
    words = ("serve", "--accept-mismatch", "--reason", "the newer one is lost")
    with running(*words, "--store", restored, "--port", "0", log=tmp_path / "log") as server:
        for path in ("/readyz", "/v1/status"):
            [warning] = server.get(path)["warnings"]
            assert warning["kind"] == "mismatch" and "restored from an older state" in warning["text"]


# -- an engine that differs from its store -------------------------------------------------------------------------


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines of this process lose a trade: a mistake of ours that the child process does not share."""
    apply = Engine.apply
    monkeypatch.setattr(
        Engine,
        "apply",
        lambda self, trades, *more, **named: apply(self, [each for each in trades if each.trade_id != "000001"], *more, **named),
    )
    monkeypatch.setattr("riskengine.rebuild.load.LOOK_AGAIN_S", 0.01)
    monkeypatch.setattr("riskengine.rebuild.load.SMALL", 0)


class Lives:
    """A server of this process on real sockets, in a thread, until it ends or is stopped."""

    def __init__(self, url: str, *, accept: bool) -> None:
        self.process = EngineProcess(Config(store=StoreConfig(url)), accept_mismatch=accept)
        self.process.open()
        self.process._store.hand_over()  # type: ignore[union-attr]
        self.status: int | None = None
        self.url = ""
        self._answers = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._answers.wait(10)

    def _run(self) -> None:
        with bind("127.0.0.1", 0) as listener:
            self.status = asyncio.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> int:
        self._loop = asyncio.get_running_loop()
        return await run_server(self.process, self.process.config, listener, announce=self._announce)

    def _announce(self, url: str) -> None:
        self.url = url
        self._answers.set()

    def end(self) -> int | None:
        self._loop.call_soon_threadsafe(self.process.ended.set)
        return self.wait()

    def wait(self) -> int | None:
        self._thread.join(20)
        return self.status


@pytest.mark.usefixtures("forgetful")
def test_an_engine_that_differs_from_its_store_does_not_go_live(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = f"sqlite:///{tmp_path}/desk.db"
    new_store(url, 3)
    assert Lives(url, accept=False).wait() == 1
    refused: Any
    [refused] = [record.msg for record in caplog.records if "start_refused" in str(record.msg)]
    assert refused["kind"] == "quantity"
    assert refused["reason"] == ("2 positions with different quantities in engine and store: dealer ann EURUSD, node FX1 EURUSD")


@pytest.mark.usefixtures("forgetful")
def test_told_to_it_goes_live_and_every_screen_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/desk.db"
    new_store(url, 3)
    server = Lives(url, accept=True)
    while (answer := readiness(server.url))[0] != 200:
        time.sleep(0.01)
    [warning] = answer[1]["warnings"]
    assert warning["kind"] == "mismatch" and "with different quantities" in warning["text"]
    assert server.end() == 0

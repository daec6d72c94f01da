"""`riskengine watch` as a user sees it: in a terminal, in a pipe, once."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from riskengine.cli import watch as cli_watch
from riskengine.cli.main import main
from riskengine.cli.watch_lines import TREE, status_line
from riskengine.client import LOADING, Client
from riskengine.store.open_store import open_store
from tests.running import ENVIRONMENT, Server, command, running
from tests.serve.wired import run, wired

WATCH = [sys.executable, "-m", "riskengine.cli", "watch"]
ALTERNATE, BACK = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


def deal(server: Server, name: str, quantity: int = 100, instrument: str = "EURUSD") -> None:
    now = time.time_ns() // 1_000
    server.post("/v1/ticks", [{"instrument": instrument, "ts": now, "mid": 1.25}])
    answer = server.post(
        "/v1/trades",
        {
            "trade_id": name,
            "ts": now,
            "instrument": instrument,
            "desk": "FX1",
            "dealer": "ann",
            "side": "buy",
            "quantity": quantity,
            "price": "1.25",
        },
    )
    assert answer["counts"]["applied"] == 1


class Terminal:
    """A terminal of a size with a program in it; `seen` is everything that was written to it."""

    def __init__(self, *words: str, width: int = 70, height: int = 12) -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        environment = {key: value for key, value in ENVIRONMENT.items() if key not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [*WATCH, *words], stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self._master = master
        self.seen = ""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._master, 65_536)
            except OSError:  # the other end is closed
                return
            if not part:
                return
            self.seen += part.decode(errors="replace")

    def picture(self) -> list[str]:
        """The last whole picture, line by line, without its looks."""
        pictures = re.findall(r"\x1b\[H(.*?)\x1b\[J", self.seen, re.DOTALL)
        return [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line) for line in pictures[-1].splitlines()] if pictures else []

    def until(self, *parts: str, seconds: float = 30.0) -> list[str]:
        deadline = time.monotonic() + seconds
        while not all(part in "\n".join(self.picture()) for part in parts):
            assert time.monotonic() < deadline and self.process.poll() is None, (parts, self.picture(), self.seen[-500:])
            time.sleep(0.02)
        return self.picture()

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._thread.join(10)
        os.close(self._master)


@contextmanager
def terminal(*words: str, **size: int) -> Iterator[Terminal]:
    shown = Terminal(*words, **size)
    try:
        yield shown
    finally:
        shown.end()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_ladder_in_a_terminal_follows_the_engine_says_when_it_is_gone_and_leaves_it_clean(ending, house_url, tmp_path):
    log = tmp_path / "log"
    with running("serve", "--port", "0", "--store", house_url, log=log) as server:
        port = server.url.rpartition(":")[2]
        deal(server, "t1")
        with terminal("--node", "G10", "--url", server.url) as shown:
            picture = shown.until("G10  live", "EURUSD", "100")
            assert all(len(line) <= 70 for line in picture) and len(picture) <= 12
            deal(server, "t2", 23)
            shown.until("G10  live", "123")
            server.kill()
            picture = shown.until("G10  DISCONNECTED  figures as of ", "EURUSD")
            with running("serve", "--port", port, "--store", house_url, log=log) as again:
                shown.until("G10  live", "epoch 2")
                deal(again, "t3", 1_000)
                shown.until("1,123")
                shown.process.send_signal(ending)
                assert shown.process.wait(10) == 0
            time.sleep(0.1)
            assert shown.seen.startswith(ALTERNATE) and shown.seen.endswith(BACK)
            assert "Traceback" not in shown.seen


def test_the_tree_and_a_dealer_once_and_what_changes_in_a_pipe(house_url, tmp_path):
    with running("serve", "--port", "0", "--store", house_url, log=tmp_path / "log") as server:
        deal(server, "t1")
        tree = command("watch", "--tree", "--once", "--url", server.url)
        assert (tree.returncode, tree.stderr) == (0, "")
        assert tree.stdout.startswith("tree  live  as of ") and re.search(r"\n {6}FX1 .* 0\.00", tree.stdout)
        dealer = command("watch", "--dealer", "ann", "--once", "--url", server.url)
        assert [line.split()[:2] for line in dealer.stdout.splitlines()[1:]] == [["instrument", "quantity"], ["EURUSD", "100"]]
        piped = subprocess.Popen([*WATCH, "--url", server.url], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        try:
            assert piped.stdout is not None
            line = ""
            while "EURUSD" not in line:
                line = piped.stdout.readline()
            deal(server, "g1", 7, "GBPUSD")
            while "GBPUSD" not in line:
                line = piped.stdout.readline()
            assert re.match(r"\d\d:\d\d:\d\d UTC  GBPUSD +7 ", line)
            piped.send_signal(signal.SIGINT)
            assert piped.wait(10) == 0
        finally:
            piped.kill()
            piped.wait(10)
            assert piped.stdout is not None
            piped.stdout.close()


def test_warnings_stand_above_the_table_printed_once_and_in_a_pipe(tmp_path):
    """Into a pipe or a mail goes what the screen says: figures that are not whole say so there too."""
    store = f"sqlite:///{tmp_path}/empty.db"
    open_store(store).close()
    with running("serve", "--port", "0", "--store", store, log=tmp_path / "log") as server:
        piped = subprocess.Popen([*WATCH, "--tree", "--url", server.url], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        timer = threading.Timer(20, piped.kill)  # the pipe ends with it, and so does the reading
        try:
            assert piped.stdout is not None
            timer.start()
            assert any(re.match("warning: store .* has no nodes", line) for line in piped.stdout)
        finally:
            timer.cancel()
            piped.kill()
            piped.wait(10)
            assert piped.stdout is not None
            piped.stdout.close()
        once = command("watch", "--tree", "--once", "--url", server.url).stdout.splitlines()
    assert once[0].startswith("tree  live") and once[1].startswith("warning: store ")


def test_what_cannot_be_watched_is_one_clear_line(house_url, tmp_path):
    with running("serve", "--port", "0", "--store", house_url, log=tmp_path / "log") as server:
        unknown = command("watch", "--node", "NOWHERE", "--once", "--url", server.url)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr == "riskengine: unknown name: unknown node 'NOWHERE'\n"
    for words, status, said in (
        (["--url", "localhost"], 1, "url: must be http://host:port"),
        (["--node", "A", "--tree"], 2, "give one of --node, --dealer and --tree"),
        (["--token-file", str(tmp_path / "none")], 2, "does not exist"),
    ):
        wrong = command("watch", "--once", *words)
        assert (wrong.returncode, wrong.stdout, len(wrong.stderr.splitlines())) == (status, "", 1) and said in wrong.stderr


def test_an_engine_that_is_away_is_said_at_once():
    done = CliRunner().invoke(main, ["watch", "--once", "--url", "http://127.0.0.1:1"])
    assert done.exit_code == 1 and done.stdout == ""
    assert done.stderr.startswith("riskengine: no connection to http://127.0.0.1:1")


def test_progress_a_start_is_stands_in_the_first_line():
    def look(port: int) -> str:
        with Client(f"http://127.0.0.1:{port}") as client:
            view = client.subscribe("nodes")
            watched = cli_watch.Watched(client, "tree", TREE, view)
            while (state := view.next(10)).status != LOADING:
                pass
            return status_line("tree", state, watched._progress(state)).text

    async def scenario() -> None:
        async with wired() as engine:
            engine.state, engine.progress = "loading", 0.73
            assert await asyncio.to_thread(look, engine.port) == "tree  LOADING: loading 73 %"

    run(scenario())

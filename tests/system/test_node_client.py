"""A client in another language, written from the page of the stream alone, through restarts of the real engine."""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.dealing import Dealing
from tests.running import Server, running

SCRIPT = Path(__file__).parent / "ladder.mjs"


def node_command() -> list[str]:
    """Node with a WebSocket of its own: 22 has it, 20 has it behind a flag."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("the client in JavaScript is NOT tested: there is no node here (Debian, Ubuntu: apt-get install nodejs)")
    version = int(subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout[1:].split(".")[0])
    if version < 20:
        pytest.skip(f"the client in JavaScript is NOT tested: node {version} has no WebSocket, 20 or newer is needed")
    return [node, *(["--experimental-websocket"] if version < 22 else []), str(SCRIPT)]


class Follower:
    """The script at work; `last` is what it said last."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.last: dict[str, Any] = {}
        self.said: list[str] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.last = json.loads(line)
            if self.said[-1:] != [self.last["status"]]:
                self.said.append(self.last["status"])

    def until(self, holds: Callable[[dict[str, Any]], bool], seconds: float = 30.0) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            last = self.last
            if last and holds(last):
                return last
            assert time.monotonic() < deadline, {**last, "rows": len(last.get("rows", ()))}
            time.sleep(0.01)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._thread.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def following(url: str, node: str) -> Iterator[Follower]:
    words = [*node_command(), url, node]
    follower = Follower(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
    try:
        yield follower
    finally:
        follower.end()


def assert_equal_at_its_seq(follower: Follower, server: Server) -> None:
    """What the client holds is what the engine answers about the same snapshot."""
    for _ in range(50):
        held = follower.last
        try:
            told = server.get(f"/v1/ladder?node=G10&seq={held['seq']}")
        except AssertionError:  # gone by now: the client has a newer one
            time.sleep(0.1)
            continue
        if held["status"] == "live" and told["epoch"] == held["epoch"]:
            key = {row["instrument"]: row for row in held["rows"]}
            assert key == {row["instrument"]: row for row in told["rows"]}
            return
    raise AssertionError(held)


def test_a_ladder_in_node_stays_the_engine_s_through_kills_and_a_shutdown(house_url: str, tmp_path: Path) -> None:
    node_command()
    log = tmp_path / "engine.log"
    with running("serve", "--port", "0", "--store", house_url, log=log) as server:
        port = server.url.rpartition(":")[2]
        dealing = Dealing(server.url)
        try:
            with following(server.url, "G10") as follower:
                first = follower.until(lambda last: last["status"] == "live" and len(last["rows"]) == 3)
                assert_equal_at_its_seq(follower, server)
                server.kill()
                follower.until(lambda last: last["status"] == "disconnected")
                with running("serve", "--port", port, "--store", house_url, log=log) as second:
                    back = follower.until(lambda last: last["status"] == "live" and last["epoch"] > first["epoch"])
                    taken = dealing.taken
                    follower.until(lambda last: dealing.taken > taken + 10 and last["verified"] > back["verified"])
                    assert_equal_at_its_seq(follower, second)
                    assert second.stop() == 0  # in order this time: with a bye
                with running("serve", "--port", port, "--store", house_url, log=log) as third:
                    follower.until(lambda last: last["status"] == "live" and last["epoch"] > back["epoch"])
                    dealing.end()
                    counts = third.get("/v1/nodes/FX1")["rows"][0]["trade_count"]
                    assert counts == dealing.taken > 20
                    held = follower.until(lambda last: sum(row["trade_count"] for row in last["rows"]) == counts)
                    assert_equal_at_its_seq(follower, third)
                assert (held["resyncs"], held["connections"]) == (0, 3)
                assert follower.said[:5] == ["live", "disconnected", "live", "disconnected", "live"]
        finally:
            dealing.end()

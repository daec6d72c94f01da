"""The wall clock of a running engine steps by an hour, forward and back: nothing is lost and nothing stands still."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.running import Server, command, running
from tests.stepped_clock import SteppedClock
from tests.store_book import never_shut, new_store
from tests.waiting import wait_until

HOUR_S = 3_600
SECOND_US = 1_000_000


class Desk:
    """A server whose clock is in our hands, and a market and a dealer whose clock is right or wrong as told."""

    def __init__(self, server: Server, clock: SteppedClock) -> None:
        self.server = server
        self.clock = clock
        self.sent = 0

    def now(self, ahead_s: int = 0) -> int:
        return time.time_ns() // 1_000 + ahead_s * SECOND_US

    def tick(self, mid: float, ahead_s: int = 0) -> Any:
        return self.server.post("/v1/ticks", [{"instrument": "EURUSD", "ts": self.now(ahead_s), "mid": mid}])

    def deal(self, ahead_s: int = 0) -> Any:
        """One trade of a million; what became of it."""
        self.sent += 1
        trade = {
            "trade_id": f"T{self.sent}",
            "ts": self.now(ahead_s) - SECOND_US,
            "instrument": "EURUSD",
            "desk": "FX1",
            "side": "buy",
            "quantity": "1000000",
            "price": "1.1",
        }
        [result] = self.server.post("/v1/trades", [trade])["results"]
        return result

    def position(self) -> Any:
        [row] = self.server.get("/v1/positions?node=FX1")["rows"]
        return row

    def assert_marked(self, mid: float, stale: bool = False) -> None:
        """The position is valued at this price within two beats and a bit."""
        wait_until(lambda: (self.position()["mark"], self.position()["stale"]) == (mid, stale), 2)

    def assert_beating(self, ahead_s: int) -> None:
        """New snapshots come, of the time that the clock says."""
        first = self.server.get("/v1/status")
        wait_until(lambda: self.server.get("/v1/status")["seq"] > first["seq"], 3)
        header = self.server.get("/v1/nodes")
        assert abs(header["as_of"] - self.now(ahead_s)) < 3 * SECOND_US
        assert self.server.get("/readyz")["state"] == "live"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    store = new_store(tmp_path / "engine.db")
    never_shut(store)
    store.close()
    clock = SteppedClock(tmp_path)
    settings = tmp_path / "settings.toml"
    settings.write_text("[server]\nsnapshot_history_s = 0.5\nheartbeat_ms = 100\n")
    words = ("serve", "--port", "0", "--config", settings, "--store", f"sqlite:///{tmp_path}/engine.db")
    with running(*words, log=tmp_path / "log", environment=clock.environment) as server:
        desk = Desk(server, clock)
        desk.tick(1.1)
        assert desk.deal()["status"] == "applied"
        desk.assert_marked(1.1)
        yield desk
    clock.close()


@contextmanager
def heartbeats(server: Server) -> Iterator[Any]:
    """The stream's messages of one client, each within 3 s."""
    with connect(server.url.replace("http:", "ws:") + "/v1/stream", proxy=None, close_timeout=0.5) as socket:
        yield lambda: json.loads(socket.recv(timeout=3))


def test_an_hour_forward_and_back(desk: Desk) -> None:
    """The machine's clock jumps, and everybody on it with it; then it is put right."""
    desk.clock.set(HOUR_S)
    desk.assert_beating(HOUR_S)
    desk.assert_marked(1.1, stale=True)
    assert desk.tick(1.103, HOUR_S)["refused"] == 0
    desk.assert_marked(1.103)
    assert desk.deal(HOUR_S) | {"trade_id": ""} == {
        "source": "api",
        "trade_id": "",
        "leg": 0,
        "version": 1,
        "status": "applied",
        "late": False,
        "reason": "",
    }

    desk.clock.set(0)
    desk.assert_beating(0)
    desk.assert_marked(1.103, stale=True)  # dated an hour ahead: not to be believed, and not to be waited for
    assert desk.tick(1.106)["refused"] == 0
    desk.assert_marked(1.106)
    result = desk.deal()
    assert (result["status"], result["late"]) == ("applied", True), "its time is before that of the trade of the wrong hour"
    assert desk.position()["quantity"] == 3_000_000 and desk.position()["trade_count"] == 3


def test_an_hour_back_and_forward(desk: Desk) -> None:
    """Only the engine's machine is wrong: what the others send is an hour ahead of it, and is said to be so, not believed."""
    desk.clock.set(-HOUR_S)
    desk.assert_beating(-HOUR_S)
    desk.assert_marked(1.1, stale=True)
    answer = desk.tick(1.103)
    assert answer["refused"] == 1 and "ahead of the clock" in answer["errors"][0]["reason"]
    assert desk.deal()["status"] == "quarantined"
    assert desk.position()["trade_count"] == 1
    assert desk.server.get("/v1/exceptions?kind=quarantined")["total"] == 1
    assert desk.tick(1.104, -HOUR_S)["refused"] == 0
    desk.assert_marked(1.104)

    desk.clock.set(0)
    desk.assert_beating(0)
    desk.assert_marked(1.104, stale=True)
    assert desk.tick(1.106)["refused"] == 0
    desk.assert_marked(1.106)
    assert desk.deal()["status"] == "applied"
    assert desk.position()["trade_count"] == 2
    assert desk.server.get("/v1/exceptions?kind=quarantined")["total"] == 1, "judged from stored facts: a person lets it in"


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
def test_streams_and_the_history_of_snapshots_go_on(desk: Desk, step_s: int) -> None:
    with heartbeats(desk.server) as heard:
        assert heard()["type"] == "hello"
        for ahead_s in (step_s, 0):
            desk.clock.set(ahead_s)
            beat = next(message for message in iter(heard, None) if message["type"] == "heartbeat")
            assert beat["seq"] > 0
            wait_until(partial(is_dated, heard, desk, ahead_s))
            seq = desk.server.get("/v1/status")["seq"]
            desk.server.get(f"/v1/nodes?seq={seq}")
            wait_until(partial(gone_from, desk.server, seq))


def is_dated(heard: Any, desk: Desk, ahead_s: int) -> bool:
    """Whether the next message carries the time that the clock says."""
    return abs(heard()["ts"] - desk.now(ahead_s)) < 2 * SECOND_US


def gone_from(server: Server, seq: int) -> bool:
    """Whether a snapshot is kept no longer, and its successors are: the history neither grows nor is emptied."""
    newest = server.get("/v1/status")["seq"]
    server.get(f"/v1/nodes?seq={newest}")
    try:
        server.get(f"/v1/nodes?seq={seq}", status=410)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
def test_a_start_after_a_step_holds_the_same_trades(desk: Desk, tmp_path: Path, step_s: int) -> None:
    desk.clock.set(step_s)
    assert desk.deal(step_s)["status"] == "applied"
    desk.tick(1.103, step_s)
    digest = desk.server.get("/v1/digest")["digest"]
    desk.server.kill()
    desk.clock.set(0)
    words = ("serve", "--port", "0", "--store", f"sqlite:///{tmp_path}/engine.db")
    with running(*words, log=tmp_path / "log", environment=desk.clock.environment) as server:
        assert server.get("/v1/digest")["digest"] == digest
        again = Desk(server, desk.clock)
        again.sent = desk.sent
        again.tick(1.104)
        again.assert_marked(1.104)
        assert again.deal()["status"] == "applied" and again.position()["trade_count"] == 3
    rebuilt = command("rebuild", "--store", f"sqlite:///{tmp_path}/engine.db", "--json")
    assert rebuilt.returncode == 0

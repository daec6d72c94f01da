"""A feed that stops, against the real program: what hangs on it is stale within two beats of its limit, and nothing else is."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from riskengine.store.open_store import open_store
from tests.running import running
from tests.store_book import never_shut

STALE_AFTER_S = 1.0
BEAT_S = 0.1
SLACK_S = 0.15
"""What a busy test machine may take beside the beats."""

PRICES = {"EURUSD": 1.1, "GBPUSD": 1.3, "BTCEUR": 50_000.0, "ACME": 10.0, "USDJPY": 150.0}
HOLDINGS = (("FX1", "EURUSD"), ("FX1", "GBPUSD"), ("FX2", "GBPUSD"), ("EM1", "USDJPY"), ("EQ1", "ACME"), ("EQ1", "BTCEUR"))
STALE_ROWS = {("FX1", "EURUSD"), ("EQ1", "BTCEUR")}
"""The pair that stopped, and what is worth euros, whose rate it gives."""
STALE_NODES = {"ALL", "FX", "G10", "FX1", "CASH", "EQ1"}


class Quotes:
    """A publisher: every price twenty times a second, but for those that are silent. `last` is each one's newest time."""

    def __init__(self, socket: ClientConnection) -> None:
        self.silent: set[str] = set()
        self.last: dict[str, int] = {}
        self._ended = threading.Event()
        self._socket = socket
        self._thread = threading.Thread(target=self._quote)
        self._thread.start()

    def _quote(self) -> None:
        number = 0
        while not self._ended.wait(0.05):
            number += 1
            now = time.time_ns() // 1_000
            ticks: list[dict[str, Any]] = [
                {"instrument": symbol, "ts": now, "mid": round(price * (1 + number % 10 / 10_000), 6)}
                for symbol, price in PRICES.items()
                if symbol not in self.silent
            ]
            self._socket.send(json.dumps({"ticks": ticks}))
            self.last |= {tick["instrument"]: now for tick in ticks}

    def end(self) -> None:
        self._ended.set()
        self._thread.join(10)


class Screen:
    """The tree and four ladders on one connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.rows: dict[str, dict[str, dict[str, Any]]] = {}
        self.keys: dict[str, str] = {}
        for request in (
            {"op": "configure", "max_hz": 10},
            {"op": "subscribe", "id": "nodes", "view": "nodes"},
            *({"op": "subscribe", "id": desk, "view": "ladder", "node": desk} for desk in ("FX1", "FX2", "EM1", "EQ1")),
        ):
            socket.send(json.dumps(request))

    def hear(self) -> dict[str, Any]:
        message = json.loads(self.socket.recv(timeout=10))
        if message["type"] == "snapshot":
            name, [key] = message["id"], message["key"]
            self.keys[name] = key
            self.rows[name] = {row[key]: row for row in message["rows"]}
        if message["type"] == "update":
            for name, change in message["views"].items():
                for row in change["rows"]:
                    self.rows[name].setdefault(row[self.keys[name]], {}).update(row)
        return message

    def stale_rows(self) -> set[tuple[str, str]]:
        return {
            (name, symbol) for name, rows in self.rows.items() if name != "nodes" for symbol, row in rows.items() if row["stale"]
        }

    def stale_nodes(self) -> set[str]:
        return {node for node, row in self.rows["nodes"].items() if row["stale_count"]}


@contextmanager
def quoted(store: str, tmp_path: Any) -> Iterator[tuple[Quotes, Screen]]:
    opened = open_store(store)
    never_shut(opened)
    opened.close()
    config = tmp_path / "config.toml"
    config.write_text(f"[marks]\nstale_after_s = {STALE_AFTER_S}\n")
    words = ("serve", "--port", "0", "--store", store, "--config", config)
    with running(*words, log=tmp_path / "log") as server:
        socket = server.url.replace("http", "ws")
        with connect(f"{socket}/v1/ingest", proxy=None) as feed, connect(f"{socket}/v1/stream", proxy=None) as screen:
            quotes = Quotes(feed)
            try:
                trades = [
                    {
                        "trade_id": f"t{number}",
                        "ts": time.time_ns() // 1_000,
                        "instrument": symbol,
                        "desk": desk,
                        "side": "buy",
                        "quantity": "10",
                        "price": str(PRICES[symbol]),
                    }
                    for number, (desk, symbol) in enumerate(HOLDINGS)
                ]
                assert server.post("/v1/trades", trades)["counts"]["applied"] == len(trades)
                yield quotes, Screen(screen)
            finally:
                quotes.end()


def test_a_feed_that_stops_makes_just_its_rows_and_their_parents_stale_within_two_beats(house_url, tmp_path):
    with quoted(house_url, tmp_path) as (quotes, screen):
        calm_until = time.monotonic() + 2 * STALE_AFTER_S
        while time.monotonic() < calm_until:
            screen.hear()
        assert (screen.stale_rows(), screen.stale_nodes()) == (set(), set())
        quotes.silent = {"EURUSD"}
        time.sleep(0.06)  # one frame may have been on its way
        limit = quotes.last["EURUSD"] / 1e6 + STALE_AFTER_S
        while not screen.stale_rows():
            message = screen.hear()
            assert time.time() < limit + 2 * BEAT_S + SLACK_S, "nothing is stale yet"
        seen = time.time()
        assert message["as_of"] / 1e6 >= limit
        assert seen <= limit + 2 * BEAT_S + SLACK_S
        assert (screen.stale_rows(), screen.stale_nodes()) == (STALE_ROWS, STALE_NODES)
        watched_until = time.monotonic() + STALE_AFTER_S
        while time.monotonic() < watched_until:
            screen.hear()
            assert (screen.stale_rows(), screen.stale_nodes()) == (STALE_ROWS, STALE_NODES)
        quotes.silent = set()
        while screen.stale_rows() or screen.stale_nodes():
            screen.hear()
            assert time.monotonic() < watched_until + 3 * BEAT_S + SLACK_S

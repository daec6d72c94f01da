"""An engine at 06:30: with tokens of every role, a close behind it, and one of everything that needs a person."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request

from websockets.sync.client import connect

from riskengine.clock import SystemClock
from riskengine.config import EngineConfig
from riskengine.market.trading_day import TradingDay
from riskengine.records.types import Close
from riskengine.serve.access.tokens import StoredToken, editing, hash_of, new_token
from riskengine.store.open_store import open_store
from tests.running import Server, running
from tests.world import SECOND, instruments, nodes, row

ROLES: Mapping[str, Mapping[str, Any]] = {
    "boss": {"role": "ops"},
    "wall": {"role": "viewer", "nodes": ("*",), "dealers": ("*",)},
    "ann": {"role": "dealer", "nodes": ("EQ1",)},
    "prices": {"role": "feed"},
}
"""Tokens by name."""

CONFLICT, KEPT_OUT, PARKED = "conflict", "quarantined", "parked"
GAPPED = "booking"
"""A source with a gap."""


class MorningDesk:
    """The running engine, asked with one of its tokens."""

    def __init__(self, server: Server, tokens: Mapping[str, str]) -> None:
        self.server = server
        self.tokens = tokens

    @property
    def url(self) -> str:
        return self.server.url

    def ask(self, path: str, body: Any = None, *, name: str = "boss", status: int = 200) -> Any:
        """The answer to a GET, or with a body to a POST."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.tokens[name]}", "Content-Type": "application/json"}
        return self.server.ask(Request(self.server.url + path, data, headers), status=status)

    def exception(self, kind: str) -> dict[str, Any]:
        """The only exception of a kind."""
        [found] = self.ask(f"/v1/exceptions?kind={kind}")["rows"]
        return dict(found)


def next_saturday() -> str:
    day = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=7)
    return (day + dt.timedelta(days=5 - day.weekday())).isoformat()


@contextmanager
def morning_desk(folder: Path) -> Iterator[MorningDesk]:
    """The engine, with everything loaded and sent."""
    tokens = {name: new_token() for name in ROLES}
    with editing(folder / "tokens.toml") as kept:
        kept.update({name: StoredToken(name, sha256=hash_of(tokens[name]), **more) for name, more in ROLES.items()})
    store = open_store(url := f"sqlite:///{folder}/desk.db")
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    closed = TradingDay.of(EngineConfig()).last_closed(SystemClock().now()).isoformat()
    store.save_closes([Close(closed, "EURUSD", 1.1), Close(closed, "GBPUSD", 1.3)])
    store.close()
    words = ("serve", "--store", url, "--tokens", folder / "tokens.toml", "--port", "0")
    with running(*words, log=folder / "log") as server:
        desk = MorningDesk(server, tokens)
        send(desk)
        yield desk


def send(desk: MorningDesk) -> None:
    """Trades, prices and heartbeats; what is wrong with some of them is said by their names."""
    now = SystemClock().now()
    prices = {"EURUSD": 1.1, "GBPUSD": 1.31}
    ticks = [{"instrument": symbol, "ts": now, "mid": mid, "source": "feed"} for symbol, mid in prices.items()]
    assert desk.ask("/v1/ticks", ticks, name="prices")["accepted"] == 2
    deals = [
        row("plain", ts=now - 5 * SECOND, source=GAPPED, source_seq=1),
        row("twice", ts=now - 4 * SECOND, source=GAPPED, source_seq=2, quantity="300", price="1.1"),
        row("twice", ts=now - 4 * SECOND, source=GAPPED, source_seq=2, quantity="300", price="1.2"),
        row("never came", action="cancel", source=GAPPED),
        row("saturday", ts=now - 3 * SECOND, source=GAPPED, value_date=next_saturday(), instrument="GBPUSD"),
        row("one leg", ts=now - 2 * SECOND, source=GAPPED, legs=2, leg=0, desk="FX2"),
        row("ghost", ts=now - SECOND, source=GAPPED, instrument="GHOST", desk="EQ1"),
    ]
    counts = desk.ask("/v1/trades", deals, name="prices")["counts"]
    assert [counts[kind] for kind in (CONFLICT, PARKED, KEPT_OUT)] == [1, 1, 1]
    headers = {"Authorization": f"Bearer {desk.tokens['prices']}"}
    with connect(desk.url.replace("http", "ws") + "/v1/ingest", additional_headers=headers, proxy=None) as publisher:
        publisher.send(json.dumps({"heartbeat": {"source": GAPPED, "last_seq": 7}}))
        publisher.send(json.dumps({"trades": []}))
        assert json.loads(publisher.recv(timeout=10))["type"] == "trades"

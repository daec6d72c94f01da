"""An engine with tokens and two desks, for the ticket: a dealer who books, a viewer, and the feed of another program."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request

from riskengine.clock import SystemClock
from riskengine.serve.access.tokens import StoredToken, editing, hash_of, new_token
from riskengine.store.open_store import open_store
from tests.running import Server, running
from tests.web.browsing import PATIENCE_MS
from tests.world import INSTRUMENTS, SECOND, instruments, nodes, row

TOKENS: dict[str, dict[str, Any]] = {
    "ann": {"role": "dealer", "nodes": ("FX1", "FX2"), "dealers": ("ann",), "book": True},
    "looker": {"role": "viewer", "nodes": ("FX1",), "dealers": ("ann",)},
    "feed": {"role": "feed"},
    "boss": {"role": "ops"},
}
MANY = 260
"""Trades of another program, more than a screen reads at first; the oldest is of its own counterparty."""


class Desk:
    """The engine, asked with a token."""

    def __init__(self, server: Server, tokens: dict[str, str]) -> None:
        self.url = server.url
        self.tokens = tokens
        self._server = server

    def ask(self, name: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        return self._server.ask(Request(self.url + path, data, {"Authorization": f"Bearer {self.tokens[name]}"}))

    def trade(self, trade_id: str) -> dict[str, Any]:
        """The newest version of a trade of the source manual, exact."""
        [found] = self.ask("boss", f"/v1/trades?source=manual&trade_id={trade_id}&exact=true")["rows"]
        return dict(found)

    def price(self, mid: float = 1.1) -> None:
        """A price of EURUSD of now: trades are compared with marks of their time alone."""
        tick = {"instrument": "EURUSD", "ts": SystemClock().now(), "mid": mid, "source": "market"}
        assert self.ask("feed", "/v1/ticks", [tick])["accepted"] == 1

    def log_in(self, page: Any, name: str) -> None:
        """Log in as a person does."""
        page.goto(f"{self.url}/login")
        page.locator("input[name=token]").fill(self.tokens[name])
        page.keyboard.press("Enter")
        page.wait_for_selector(".ag-row", timeout=PATIENCE_MS)


@contextmanager
def booking_desk(folder: Path) -> Iterator[Desk]:
    """The engine, with prices and the trades of another program."""
    url, tokens = f"sqlite:///{folder}/desk.db", {name: new_token() for name in TOKENS}
    store = open_store(url)
    store.save_nodes(nodes())
    store.save_instruments(instruments(INSTRUMENTS))
    store.close()
    with editing(folder / "tokens.toml") as file:
        file.update({name: StoredToken(name, sha256=hash_of(tokens[name]), **more) for name, more in TOKENS.items()})
    words = ("serve", "--store", url, "--tokens", folder / "tokens.toml", "--port", "0")
    with running(*words, log=folder / "log") as server:
        desk, now = Desk(server, tokens), SystemClock().now()
        desk.price()
        trades = [
            row(f"b{number}", source="booking", ts=now - (MANY - number) * SECOND, desk="FX1", price="1.1")
            | ({"counterparty": "OLDBANK"} if number == 0 else {"dealer": "bob"})
            for number in range(MANY)
        ]
        counts = desk.ask("feed", "/v1/trades", trades)["counts"]
        assert counts["applied"] == MANY, counts
        yield desk

"""Trades posted to a running server over a connection of their own."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from tests.running import Server
from tests.store_book import TS


def deal(name: str, count: int = 1) -> list[dict[str, Any]]:
    return [
        {
            "source": "t",
            "trade_id": f"{name}-{number}",
            "ts": TS,
            "instrument": "EURUSD",
            "desk": "FX1",
            "side": "buy",
            "quantity": "100",
            "price": "1.1",
        }
        for number in range(count)
    ]


def post(server: Server, trades: list[dict[str, Any]]) -> tuple[int, Any, Any]:
    """Status, headers and answer."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        connection.request("POST", "/v1/trades", json.dumps(trades).encode(), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())
    finally:
        connection.close()


def trade_count(server: Server) -> int:
    return int(server.get("/v1/nodes")["rows"][0]["trade_count"])

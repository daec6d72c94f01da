"""A board over a real engine, and clients that keep the rows they receive and hold the server to the protocol."""

import json
from functools import partial
from typing import Any

import msgspec

from riskengine.config import ServerConfig
from riskengine.engine.engine import Engine
from riskengine.rebuild.handover import hand_over
from riskengine.rebuild.renewal import refit_trade
from riskengine.records.reference import Reference, trade_check
from riskengine.snapshot.snapshot import Snapshot
from riskengine.views.board import JSON, Board, Encoding
from riskengine.views.grants import EVERYTHING, Grants
from riskengine.views.subscription import Subscriptions
from tests import world


def status(snapshot: Snapshot, grants: Grants = EVERYTHING) -> dict[str, Any]:
    return {"state": "live", "seq": snapshot.seq, "counts": snapshot.counts._asdict()}


class Client:
    """A client of one connection that keeps its views as the interface says, and asserts the server's rules."""

    def __init__(self, board: Board, encoding: Encoding = JSON, grants: Grants = EVERYTHING) -> None:
        self.text = encoding is JSON
        self.subscriptions = Subscriptions(board, encoding, ServerConfig(), grants)
        self.keys: dict[str, list[str]] = {}
        self.views: dict[str, dict[tuple, dict[str, Any]]] = {}
        self.summaries: dict[str, dict[str, Any]] = {}
        self.log: list[dict[str, Any]] = []
        self.hear(self.subscriptions.hello())
        self.seq = self.log[-1]["seq"]

    def hear(self, frame: bytes) -> dict[str, Any]:
        message = json.loads(frame) if self.text else msgspec.msgpack.decode(frame)
        self.log.append(message)
        if message["type"] == "snapshot":
            assert message["seq"] >= self.seq
            self.seq = message["seq"]
            self.keys[message["id"]] = message["key"]
            self.views[message["id"]] = {self.key(message["id"], row): row for row in message["rows"]}
            self.summaries[message["id"]] = message.get("summary", {})
        elif message["type"] == "update":
            assert message["prev_seq"] == self.seq
            assert message["seq"] > self.seq
            assert message["conflated"] == message["seq"] - self.seq - 1
            self.seq = message["seq"]
            for name, change in message["views"].items():
                assert change["rows"] or change["removed"] or "summary" in change, "a view without changes is absent"
                self.patch(name, change)
        return message

    def key(self, name: str, row: dict[str, Any]) -> tuple:
        return tuple(row[field] for field in self.keys[name])

    def patch(self, name: str, change: dict[str, Any]) -> None:
        self.summaries[name] = change.get("summary", self.summaries[name])
        rows = self.views[name]
        for row in change["rows"]:
            rows.setdefault(self.key(name, row), {}).update(row)
        for key in change["removed"]:
            rows.pop(tuple(key), None)

    def ask(self, **request: Any) -> list[dict[str, Any]]:
        message = json.dumps(request) if self.text else msgspec.msgpack.encode(request)
        return [self.hear(frame) for frame in self.subscriptions.handle(message)]

    def subscribe(self, name: str, view: str, **parameters: Any) -> list[dict[str, Any]]:
        return self.ask(op="subscribe", id=name, view=view, **parameters)

    def update(self) -> dict[str, Any] | None:
        frame = self.subscriptions.update()
        return None if frame is None else self.hear(frame)

    def rows(self, name: str) -> list[dict[str, Any]]:
        return sorted(self.views[name].values(), key=lambda row: self.key(name, row))


class Desk:
    """An engine whose board follows it."""

    def __init__(self) -> None:
        self.house = world.House()
        self.dealt: list[Any] = []
        self.board = Board(self.snapshot, status)

    @property
    def snapshot(self) -> Snapshot:
        return self.house.engine.snapshot

    def deal(self, *trades: Any) -> None:
        self.dealt += trades
        self.house.deal(*trades)
        self.board.take(self.snapshot)

    def renew(self, where: Reference) -> None:
        """A rebuilt engine takes over, with the same trades and other reference data: other numbers, and perhaps other names."""
        house = self.house
        engine, judge = Engine(where, now=house.now), partial(refit_trade, check=trade_check(where))
        engine.apply([trade for sent in self.dealt if (trade := judge(sent)) is not None], house.now)
        engine.publish(house.now)
        hand_over(engine, house.engine, judge, house.now)
        house.engine, house.where = engine, where
        house.quotes.renew(where, {})
        engine.publish(house.now)
        self.board.take(self.snapshot)

    def marks(self, **prices: float) -> None:
        self.house.now += 100_000
        self.house.marks(**prices)
        self.board.take(self.snapshot)

    def client(self, encoding: Encoding = JSON, grants: Grants = EVERYTHING) -> Client:
        return Client(self.board, encoding, grants)


def dealt_desk() -> Desk:
    """A desk with marks and two trades."""
    desk = Desk()
    desk.marks(EURUSD=1.1, GBPUSD=1.3, USDJPY=150.0)
    desk.deal(world.trade("t1"), world.trade("t2", instrument="GBPUSD", price="1.3"))
    return desk

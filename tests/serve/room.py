"""A room of clients in front of a sender: stepped by hand, with a clock of its own, and paper in place of sockets."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from riskengine.config import Config, ServerConfig
from riskengine.engine.engine import Engine
from riskengine.rebuild.handover import hand_over
from riskengine.rebuild.renewal import refit_trade
from riskengine.records.reference import Reference, trade_check
from riskengine.records.types import Trade
from riskengine.serve.stream.outlet import Outlet
from riskengine.serve.stream.sender import Sender, StreamConnection
from riskengine.views.board import JSON, Board
from riskengine.views.grants import EVERYTHING, Grants
from riskengine.views.subscription import Subscriptions
from tests.serve.wired import Wired
from tests.stream_client import status
from tests.world import trade


class Paper:
    """What would be written to a client. `is_behind` where it has not taken the last."""

    def __init__(self, book: list[tuple["Paper", bytes]]) -> None:
        self.book = book
        self.frames: list[bytes] = []
        self.is_behind = False
        self.on_caught_up: Callable[[], None] | None = None

    def catch_up(self) -> None:
        """It has read what it was sent."""
        self.is_behind = False
        if self.on_caught_up is not None:
            self.on_caught_up()

    def write_frame(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.book.append((self, frame))

    @property
    def updates(self) -> list[dict[str, Any]]:
        return [message for frame in self.frames if (message := json.loads(frame))["type"] == "update"]


class Room:
    """An engine, a sender, and clients."""

    def __init__(self, **server: Any) -> None:
        self.engine = Wired(Config(server=ServerConfig(**server)))
        self.engine.publish = super(Wired, self.engine).publish  # type: ignore[method-assign] # nobody is woken: there is no loop
        self.time = 1_000.0
        self.board = Board(self.engine.history.newest, status)
        self.sender = Sender(self.engine, self.board, lambda: self.time)
        self.book: list[tuple[Paper, bytes]] = []
        self.prices = 0
        self.trades = 0
        self.deal("first", desk="FX1")
        self.deal("second", desk="EQ1", instrument="ACME", price="10", quantity="10")

    def client(self, *views: dict[str, str], max_hz: float = 10.0, grants: Grants = EVERYTHING) -> Paper:
        paper = Paper(self.book)
        subscriptions = Subscriptions(self.board, JSON, self.engine.config.server, grants)
        number = len(self.sender.connections)
        connection = StreamConnection(subscriptions, cast(Outlet, paper), JSON, number)
        self.sender.add(connection)
        paper.connection = connection  # type: ignore[attr-defined]
        self.ask(paper, op="configure", max_hz=max_hz)
        for place, view in enumerate(views):
            self.ask(paper, op="subscribe", id=str(place), **view)
        return paper

    def ask(self, paper: Paper, **request: Any) -> None:
        connection = paper.connection  # type: ignore[attr-defined]
        self.sender.catch_up()
        for frame in connection.subscriptions.handle(json.dumps(request)):
            paper.write_frame(frame)
        self.sender.after_request(connection)

    def deal(self, name: str = "", **fields: Any) -> int:
        self.trades += 1
        return self.engine.deal(trade(name or f"t{self.trades}", **fields)).seq

    def move_prices(self) -> int:
        self.prices += 1
        return self.engine.marks(EURUSD=round(1.1 + self.prices / 1_000, 4), ACME=10.0 + self.prices).seq

    def work(self) -> int:
        """Turns until nothing is due; how many."""
        turns = 1
        while self.sender.run_turn():
            turns += 1
        return turns

    def beat(self) -> None:
        """A tenth of a second later: new prices, and all that is due."""
        self.time += 0.1
        self.move_prices()
        self.work()


FX1 = {"view": "ladder", "node": "FX1"}


EQ1 = {"view": "ladder", "node": "EQ1"}


NODES = {"view": "nodes"}


def renew(room: Room, where: Reference, *trades: Trade) -> int:
    """Other reference data takes over, with trades in the same snapshot."""
    before, now = room.engine.engine, room.engine.clock.now()
    after = Engine(where, room.engine.config, epoch=7, now=now)
    room.engine.stored += trades
    judge = partial(refit_trade, check=trade_check(where))
    after.apply([found for sent in room.engine.stored if (found := judge(sent)) is not None], now, len(room.engine.stored))
    after.publish(now)
    hand_over(after, before, judge, now)
    room.engine.engine = after
    return room.engine.publish().seq

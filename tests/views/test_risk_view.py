"""The view of options and hedges: what changed, applied to what was sent, is the risk of that snapshot."""

import random
from typing import Any

import pytest

from riskengine.snapshot.risk import Risk, risk
from riskengine.snapshot.snapshot import Snapshot
from riskengine.views.board import JSON, MSGPACK, Board
from tests import world
from tests.risky import CALL, PUT, SHARE, WEEK, YEN, RiskyHouse
from tests.stream_client import Client, status

OWNERS: tuple[dict[str, str], ...] = ({}, {"node": "FX1"}, {"dealer": "ann"})


class Watched:
    """A house with options, and a board that follows it."""

    def __init__(self) -> None:
        self.house = RiskyHouse(CALL)
        self.board = Board(self.snapshot, status)

    @property
    def snapshot(self) -> Snapshot:
        return self.house.engine.snapshot

    def client(self, encoding: Any = JSON) -> Client:
        return Client(self.board, encoding)

    def follow(self) -> None:
        self.board.take(self.snapshot)


def test_a_client_that_applies_updates_holds_the_risk_of_their_snapshot():
    chance, watched = random.Random(13), Watched()
    clients = [watched.client(), watched.client(MSGPACK)]
    for client in clients:
        for number, owner in enumerate(OWNERS):
            client.subscribe(str(number), "risk", **owner)
    seen = {watched.snapshot.seq: watched.snapshot}
    for _ in range(60):
        event = chance.choice(("spot", "vol", "trade", "idle"))
        if event == "spot":
            watched.house.spots(EURUSD=chance.uniform(1.05, 1.15), USDJPY=chance.uniform(145, 155))
        elif event == "vol":
            watched.house.vols(chance.choice((0.08, 0.12)), chance.choice((CALL, PUT, YEN)))
            watched.house.beat()
        elif event == "trade":
            symbol = chance.choice((CALL, PUT, YEN, WEEK, SHARE, "EURUSD", "6EM6", "GBPUSD"))
            side, dealer = chance.choice(("buy", "sell")), chance.choice(("ann", "bob"))
            watched.house.buy(symbol, "2", price="1", side=side, dealer=dealer)
        else:
            watched.house.now += world.SECOND
            watched.house.beat()
        watched.follow()
        seen[watched.snapshot.seq] = watched.snapshot
        for client in clients:
            if chance.random() < 0.6:
                client.update()
            check(client, seen[client.seq])


def check(client: Client, snapshot: Snapshot) -> None:
    """Every subscription holds rows and sums of the snapshot that the connection stands at."""
    for number, owner in enumerate(OWNERS):
        fresh: Risk = risk(snapshot, node=owner.get("node"), dealer=owner.get("dealer"))
        assert client.views[str(number)] == {(row["instrument"],): row for row in fresh.rows}
        assert client.summaries[str(number)] == fresh.summary


def test_a_spot_that_moves_sends_the_options_on_it_and_nothing_else():
    watched = Watched()
    watched.house.buy(YEN, "100")
    watched.follow()
    client = watched.client()
    client.subscribe("a", "risk")
    watched.house.spots(EURUSD=1.12)
    watched.follow()
    update = client.update()
    assert update is not None
    [row] = update["views"]["a"]["rows"]
    assert row["instrument"] == CALL
    assert not {"kind", "strike", "vol", "years", "expiry", "state"} & row.keys()


def test_all_that_follow_one_owner_share_its_rows(monkeypatch: pytest.MonkeyPatch):
    made = []

    def counted(*arguments: Any, **named: Any) -> Risk:
        made.append(named)
        return risk(*arguments, **named)

    monkeypatch.setattr("riskengine.views.sources.risk", counted)
    watched = Watched()
    clients = [watched.client() for _ in range(4)]
    for client in clients:
        client.subscribe("a", "risk", node="FX1")
    watched.house.spots(EURUSD=1.13)
    watched.follow()
    assert len({client.subscriptions.update() for client in clients}) == 1
    assert len(made) == 2

"""Who is sent what, and when: the sender in steps, with a clock of its own and clients that only take down what they get."""

import json
from typing import Any, cast

import pytest

from riskengine.config import Config, ServerConfig
from riskengine.serve.stream.outlet import Outlet
from riskengine.serve.stream.pacing import PushPause, Rhythm
from riskengine.serve.stream.sender import CHECKSUM_S, SENDS_A_TURN, Sender, StreamConnection
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
        self.sender.look()
        for frame in connection.subscriptions.handle(json.dumps(request)):
            paper.write_frame(frame)
        self.sender.asked(connection)

    def deal(self, name: str = "", **fields: Any) -> int:
        self.trades += 1
        return self.engine.deal(trade(name or f"t{self.trades}", **fields)).seq

    def move_prices(self) -> int:
        self.prices += 1
        return self.engine.marks(EURUSD=round(1.1 + self.prices / 1_000, 4), ACME=10.0 + self.prices).seq

    def work(self) -> int:
        """Turns until nothing is due; how many."""
        turns = 1
        while self.sender.turn():
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


@pytest.fixture
def room() -> Room:
    return Room()


# Trades


def test_a_trade_goes_out_at_once_to_those_who_watch_it_and_to_nobody_else(room):
    fx, equities = room.client(FX1), room.client(EQ1)
    room.work()
    seq = room.deal(desk="FX1")
    room.work()
    assert [update["seq"] for update in fx.updates] == [seq]
    assert equities.updates == []


def test_a_second_trade_waits_for_the_pause_and_both_are_then_one_update(room):
    client = room.client(FX1)
    first = room.deal(desk="FX1")
    room.work()
    room.time += 0.005
    room.deal(desk="FX1")
    second = room.deal(desk="FX1")
    room.work()
    assert [update["seq"] for update in client.updates] == [first]
    room.time += 0.016
    room.work()
    assert [(update["prev_seq"], update["seq"]) for update in client.updates[1:]] == [(first, second)]


def test_a_fresh_trade_overtakes_a_broadcast_of_prices(room):
    for _ in range(3 * SENDS_A_TURN):
        room.client(EQ1)
    probe = room.client(FX1)
    room.beat()
    room.book.clear()
    room.time += 0.1
    room.move_prices()
    assert room.sender.turn(), "a broadcast takes several turns"
    seq = room.deal(desk="FX1")
    before = len(room.book)
    room.sender.turn()
    assert room.book[before][0] is probe
    assert probe.updates[-1]["seq"] == seq


def test_a_trade_that_came_during_a_broadcast_is_not_taken_for_sent(room):
    """The broadcast is of an older snapshot; who is served by it still waits for the trade."""
    others = [room.client(EQ1) for _ in range(2 * SENDS_A_TURN)]
    client = room.client(FX1)
    room.deal(desk="FX1")
    room.work()
    room.time += 0.015
    room.move_prices()
    room.sender.turn()
    seq = room.deal(desk="FX1")
    room.work()
    assert client.updates[-1]["seq"] < seq
    room.time += 0.02
    room.work()
    assert client.updates[-1]["seq"] == seq
    assert all(other.updates for other in others)


def test_a_ping_does_not_make_a_waiting_trade_forgotten(room):
    client = room.client(FX1)
    room.deal(desk="FX1")
    room.work()
    seq = room.deal(desk="FX1")
    room.work()
    room.ask(client, op="ping", id=1)
    room.time += 0.03
    room.work()
    assert client.updates[-1]["seq"] == seq


def test_where_pushes_take_too_much_of_the_time_they_are_left_to_the_beats(room):
    many = [room.client(NODES, max_hz=5.0) for _ in range(50)]
    few = room.client(FX1)
    room.work()
    room.sender._pace.pause_s = 1.0
    room.deal(desk="EQ1", instrument="ACME", price="10")
    room.work()
    sent = len(many[0].updates)
    for _ in range(5):
        room.time += 0.02
        room.deal(desk="FX1")
        room.work()
    assert len(many[0].updates) == sent
    assert len(few.updates) == 5
    room.beat()
    assert len(many[0].updates) == sent + 1


# Prices


@pytest.mark.parametrize(("max_hz", "expected"), [(10.0, 20), (5.0, 10), (2.0, 4), (1.0, 2), (3.0, 5)])
def test_prices_come_as_often_as_was_asked_for(room, max_hz, expected):
    client = room.client(FX1, max_hz=max_hz)
    for _ in range(20):
        room.beat()
    assert expected <= len(client.updates) <= expected + 1


def test_different_screens_have_their_turns_at_different_beats(room):
    clients = [room.client(view, max_hz=2.0) for view in (FX1, EQ1, NODES, {"view": "ladder"}, {"view": "dealers"})]
    for _ in range(5):
        room.beat()  # the first beat serves whoever has come since the last
    room.book.clear()
    served = []
    for _ in range(5):
        before = len(room.book)
        room.beat()
        served.append(len(room.book) - before)
    assert served == [1, 1, 1, 1, 1]
    assert all(client.updates for client in clients)


def test_the_same_screens_are_sent_the_very_same_bytes(room):
    clients = [room.client(NODES, FX1, max_hz=2.0) for _ in range(5)]
    for step in range(12):
        room.beat()
        if step % 3 == 0:
            room.deal(desk="FX1")
            room.work()
    for frames in zip(*([frame for frame in client.frames if b'"update"' in frame] for client in clients), strict=True):
        assert len({id(frame) for frame in frames}) == 1


def test_a_view_that_stands_still_is_sent_nothing_and_not_worked_out(room, monkeypatch):
    client = room.client(EQ1)
    room.beat()
    room.client(FX1)
    before = len(client.updates)
    monkeypatch.setattr("riskengine.views.sources.ladder_rows", lambda *a, **k: pytest.fail("worked out rows"))
    for _ in range(5):
        room.time += 0.02
        room.deal(desk="FX2", instrument="GBPUSD", price="1.3")
        room.work()
    assert len(client.updates) == before


def test_what_is_no_price_and_no_trade_comes_as_often_as_prices_would(room):
    client = room.client({"view": "status"})
    room.time += 0.5
    seq = room.deal(desk="FX1")
    room.work()
    assert client.updates[-1]["seq"] == seq


# Clients that do not take it


def test_a_client_that_has_not_taken_the_last_is_passed_over_and_finds_newer_news(room):
    client = room.client(FX1)
    client.is_behind = True
    first = room.deal(desk="FX1")
    room.work()
    room.beat()
    assert client.updates == []
    client.is_behind = False
    room.time += 0.2
    room.work()
    [update] = client.updates
    assert update["seq"] > first
    assert update["conflated"] == update["seq"] - update["prev_seq"] - 1 > 0


def test_a_client_that_is_gone_is_sent_nothing_more_and_its_views_are_forgotten(room):
    client = room.client(FX1)
    room.deal(desk="FX1")
    connection = client.connection
    connection.subscriptions.close()
    room.sender.remove(connection)
    room.work()
    room.beat()
    assert client.updates == []
    assert room.sender._calm == {}
    assert room.board._views == {}


# Checksums


def test_checksums_come_every_few_seconds_with_prices(room):
    client = room.client(FX1, max_hz=5.0)
    for _ in range(int(CHECKSUM_S * 3 * 10)):
        room.beat()
    assert 3 <= sum("checksums" in update for update in client.updates) <= 4


# Rhythm


def test_beats_are_counted_through_pauses_and_jitter():
    beats = Rhythm(0.1)
    moments = [10.0, 10.104, 10.197, 10.5, 10.603, 11.1]
    assert [beats.number(moment) for moment in moments] == [0, 1, 2, 5, 6, 11]


def test_beats_never_count_back():
    beats, last = Rhythm(0.1), 0
    for step in range(1_000):
        number = beats.number(5.0 + step * 0.013)
        assert number >= last
        last = number


def test_the_pause_grows_while_pushes_take_too_much_and_shrinks_when_they_do_not():
    pace, now = PushPause(0.02), 100.0
    pace.spent(0.0, now)
    for _ in range(4):
        now += 0.25
        pace.spent(0.2, now)
    assert pace.pause_s == pytest.approx(0.02 * 16)
    for _ in range(2):
        now += 0.25
        pace.spent(0.001, now)
    assert pace.pause_s == pytest.approx(0.02 * 4)
    pace.spent(0.0, now + 10.0)
    assert pace.pause_s == 0.02


# Metrics


def test_what_was_sent_is_counted_with_what_it_skipped(room):
    client = room.client(FX1, max_hz=2.0)
    value = room.engine.metrics.registry.get_sample_value
    for _ in range(10):
        room.beat()
    updates = [frame for frame in client.frames if b'"update"' in frame]
    assert value("riskengine_sent_messages_total") == len(updates)
    assert value("riskengine_sent_bytes_total") == sum(map(len, updates))
    assert value("riskengine_conflated_snapshots_total") == sum(update["conflated"] for update in client.updates) > 0
    assert 0 < value("riskengine_publish_to_send_seconds_count") <= len(updates)


# What is large


def test_what_takes_long_to_work_out_is_told_less_often(room):
    heavy, light = room.client(NODES), room.client(FX1)
    room.work()
    heavy.connection.subscriptions.standing.layout.cost_s = 0.05
    counts = []
    for _ in range(10):
        heavy.connection.subscriptions.standing.layout.cost_s = 0.05
        room.beat()
        counts.append((len(heavy.updates), len(light.updates)))
    assert counts[-1][1] == 10
    assert 2 <= counts[-1][0] <= 3


# Requests


def test_only_requests_for_rows_move_the_board(room):
    client = room.client(FX1)
    connection = client.connection
    connection.subscriptions.refresh = room.sender.look
    room.deal(desk="EQ1", instrument="ACME", price="10")
    stands = room.board.snapshot.seq
    for message in ("{no sense", '{"op":"ping"}', '{"op":"configure","max_hz":5}', '{"op":"subscribe","id":"x","view":"none"}'):
        connection.subscriptions.handle(message)
        assert room.board.snapshot.seq == stands, message
    connection.subscriptions.handle('{"op":"resync"}')
    assert room.board.snapshot.seq == room.engine.history.newest.seq

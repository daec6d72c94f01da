"""The protocol of the stream: requests in, frames out, without a socket."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.board import JSON, MAX_VERSIONS, MSGPACK, Board, Encoding
from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import ServerConfig
from riskengine.snapshot import Snapshot
from riskengine.subscription import MAX_MESSAGE, MAX_SUBSCRIPTIONS, Subscriptions
from riskengine.views import dealer_rows, ladder_rows, node_rows
from tests import world


def status(snapshot: Snapshot) -> dict[str, Any]:
    return {"state": "live", "seq": snapshot.seq, "counts": snapshot.counts._asdict()}


class Client:
    """A client of one connection that keeps its views as the interface says, and holds the server to the rules."""

    def __init__(self, board: Board, encoding: Encoding = JSON) -> None:
        self.text = encoding is JSON
        self.subscriptions = Subscriptions(board, encoding, ServerConfig())
        self.keys: dict[str, list[str]] = {}
        self.views: dict[str, dict[tuple, dict[str, Any]]] = {}
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
        elif message["type"] == "update":
            assert message["prev_seq"] == self.seq
            assert message["seq"] > self.seq
            assert message["conflated"] == message["seq"] - self.seq - 1
            self.seq = message["seq"]
            for name, change in message["views"].items():
                assert change["rows"] or change["removed"], "a view without changes is absent"
                self.patch(name, change)
        return message

    def key(self, name: str, row: dict[str, Any]) -> tuple:
        return tuple(row[field] for field in self.keys[name])

    def patch(self, name: str, change: dict[str, Any]) -> None:
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
    """A house whose board follows it."""

    def __init__(self) -> None:
        self.house = world.House()
        self.board = Board(self.snapshot, status)

    @property
    def snapshot(self) -> Snapshot:
        return self.house.engine.snapshot

    def deal(self, *trades: Any) -> None:
        self.house.deal(*trades)
        self.board.take(self.snapshot)

    def marks(self, **prices: float) -> None:
        self.house.now += 100_000
        self.house.marks(**prices)
        self.board.take(self.snapshot)

    def client(self, encoding: Encoding = JSON) -> Client:
        return Client(self.board, encoding)


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.marks(EURUSD=1.1, GBPUSD=1.3, USDJPY=150.0)
    desk.deal(world.trade("t1"), world.trade("t2", instrument="GBPUSD", price="1.3"))
    return desk


def one(messages: list[dict[str, Any]]) -> dict[str, Any]:
    [message] = messages
    return message


# The protocol, message by message


def test_the_hello_says_what_a_client_needs_to_begin(desk):
    assert desk.client().log == [{
        "type": "hello", "protocol": 1, "epoch": 0, "seq": desk.snapshot.seq, "reporting_currency": "USD",
        "heartbeat_ms": 1000, "max_hz": 5.0,
    }]  # fmt: skip


def test_a_subscription_is_answered_by_a_snapshot(desk):
    message = one(desk.client().subscribe("a", "ladder", node="FX1"))
    rows = message.pop("rows")
    snapshot = desk.snapshot
    assert message == {
        "type": "snapshot", "id": "a", "epoch": 0, "seq": snapshot.seq, "as_of": snapshot.as_of, "key": ["instrument"],
    }  # fmt: skip
    assert rows == ladder_rows(snapshot, node="FX1")


@pytest.mark.parametrize(
    ("view", "parameters", "key", "rows"),
    [
        ("nodes", {}, ["node"], node_rows),
        ("dealers", {}, ["dealer"], dealer_rows),
        ("ladder", {}, ["instrument"], ladder_rows),
        ("ladder", {"node": "ALL"}, ["instrument"], ladder_rows),
        ("ladder", {"dealer": "ann"}, ["instrument"], lambda snapshot: ladder_rows(snapshot, dealer="ann")),
        ("status", {}, [], lambda snapshot: [status(snapshot)]),
    ],
)
def test_every_view_has_its_rows_and_its_key(desk, view, parameters, key, rows):
    message = one(desk.client().subscribe("a", view, **parameters))
    assert (message["key"], message["rows"]) == (key, rows(desk.snapshot))


def test_an_update_carries_the_key_and_the_fields_that_changed(desk):
    client = desk.client()
    client.subscribe("a", "ladder", node="FX1")
    prev_seq = desk.snapshot.seq
    desk.marks(EURUSD=1.2)
    update = client.update()
    change = update["views"]["a"]
    assert update == {
        "type": "update", "epoch": 0, "seq": desk.snapshot.seq, "prev_seq": prev_seq, "as_of": desk.snapshot.as_of,
        "conflated": 0, "views": {"a": change},
    }  # fmt: skip
    [row] = change["rows"]
    assert (change["removed"], row["instrument"], row["mark"]) == ([], "EURUSD", 1.2)
    assert {"unrealised_pnl", "total_pnl", "mark_ts"} < row.keys()
    assert {"quantity", "net_cash", "average_price", "currency"}.isdisjoint(row)


def test_snapshots_that_were_skipped_are_counted(desk):
    client = desk.client()
    client.subscribe("a", "nodes")
    for price in (1.2, 1.3, 1.4):
        desk.marks(EURUSD=price)
    assert client.update()["conflated"] == 2


def test_a_row_that_is_new_to_the_client_comes_with_all_its_fields(desk):
    client = desk.client()
    client.subscribe("a", "ladder", node="FX1")
    desk.deal(world.trade("t3", instrument="USDJPY", price="150"))
    [row] = client.update()["views"]["a"]["rows"]
    [fresh] = [row for row in ladder_rows(desk.snapshot, node="FX1") if row["instrument"] == "USDJPY"]
    assert row == fresh


def test_a_row_that_is_gone_is_listed_by_its_key(desk):
    client = desk.client()
    client.subscribe("a", "ladder", node="FX1")
    client.subscribe("b", "dealers")
    desk.deal(world.trade("t1", version=2, action="amend", desk="EQ1", dealer="bob"))
    desk.deal(world.cancel("t2"))
    views = client.update()["views"]
    assert ["EURUSD"] in views["a"]["removed"]
    assert client.rows("b") == dealer_rows(desk.snapshot)


def test_one_update_moves_all_views_to_one_seq(desk):
    client = desk.client()
    client.subscribe("nodes", "nodes")
    client.subscribe("ladder", "ladder", node="ALL")
    desk.deal(world.trade("t4", quantity="5", price="1.05"))
    assert set(client.update()["views"]) == {"nodes", "ladder"}
    [top] = [row for row in client.rows("nodes") if row["node"] == "ALL"]
    assert top["total_pnl"] == pytest.approx(sum(row["total_pnl"] for row in client.rows("ladder")))


def test_a_view_without_changes_is_absent(desk):
    client = desk.client()
    client.subscribe("fx", "ladder", node="FX1")
    client.subscribe("eq", "ladder", node="EQ1")
    desk.marks(EURUSD=1.25)
    assert set(client.update()["views"]) == {"fx"}


def test_nothing_is_said_twice(desk):
    client = desk.client()
    client.subscribe("a", "nodes")
    assert client.update() is None
    desk.marks(EURUSD=1.2)
    assert client.update() is not None
    assert client.update() is None


def test_a_connection_whose_views_stand_still_is_told_once_a_second(desk):
    client = desk.client()
    client.subscribe("eq", "ladder", node="EQ1")
    prev_seq = client.seq
    desk.marks(EURUSD=1.2)
    assert client.update() is None
    assert client.seq == prev_seq
    desk.house.now += MICROS_PER_SECOND
    desk.marks(EURUSD=1.3)
    update = client.update()
    assert (update["views"], update["prev_seq"], update["as_of"]) == ({}, prev_seq, desk.snapshot.as_of)


def test_without_subscriptions_nothing_is_sent_and_the_seq_stays_that_of_the_hello(desk):
    client = desk.client()
    desk.marks(EURUSD=1.2)
    assert client.update() is None
    assert one(client.subscribe("a", "nodes"))["seq"] == desk.snapshot.seq


def test_a_snapshot_is_preceded_by_an_update_of_the_other_subscriptions(desk):
    client = desk.client()
    client.subscribe("a", "nodes")
    desk.marks(EURUSD=1.2)
    update, snapshot = client.subscribe("b", "dealers")
    assert (update["type"], snapshot["type"]) == ("update", "snapshot")
    assert update["seq"] == snapshot["seq"] == desk.snapshot.seq
    assert client.rows("a") == sorted(node_rows(desk.snapshot), key=lambda row: row["node"])


def test_no_update_precedes_a_snapshot_of_equal_seq(desk):
    client = desk.client()
    client.subscribe("a", "nodes")
    assert [message["type"] for message in client.subscribe("b", "dealers")] == ["snapshot"]


def test_an_id_that_is_used_again_replaces_its_subscription(desk):
    client = desk.client()
    client.subscribe("a", "nodes")
    desk.marks(EURUSD=1.2)
    assert one(client.subscribe("a", "dealers"))["key"] == ["dealer"]
    desk.marks(EURUSD=1.3)
    [change] = client.update()["views"].values()
    assert "dealer" in change["rows"][0]


def test_a_subscription_that_fails_leaves_the_one_it_would_have_replaced(desk):
    client = desk.client()
    client.subscribe("a", "nodes")
    assert one(client.subscribe("a", "ladder", node="NOWHERE"))["type"] == "error"
    desk.marks(EURUSD=1.2)
    assert set(client.update()["views"]) == {"a"}


def test_unsubscribe_is_not_answered_and_ends_the_updates(desk):
    client = desk.client()
    client.subscribe("a", "nodes")
    assert client.ask(op="unsubscribe", id="a") == []
    desk.marks(EURUSD=1.2)
    assert client.update() is None


def test_resync_gives_a_fresh_snapshot_and_moves_the_others(desk):
    client = desk.client()
    client.subscribe("a", "nodes")
    client.subscribe("b", "dealers")
    desk.marks(EURUSD=1.2)
    update, snapshot = client.ask(op="resync", id="a")
    assert (set(update["views"]), snapshot["id"]) == ({"b"}, "a")
    assert snapshot["rows"] == node_rows(desk.snapshot)
    desk.marks(EURUSD=1.3)
    assert set(client.update()["views"]) == {"a", "b"}


def test_resync_without_an_id_is_of_all(desk):
    client = desk.client()
    client.subscribe("a", "nodes")
    client.subscribe("b", "dealers")
    desk.marks(EURUSD=1.2)
    assert [(message["type"], message["id"]) for message in client.ask(op="resync")] == [("snapshot", "a"), ("snapshot", "b")]


def test_ping_is_answered_with_its_id(desk):
    client = desk.client()
    assert client.ask(op="ping", id="p") == [{"type": "pong", "id": "p"}]
    assert client.ask(op="ping", id=7) == [{"type": "pong", "id": 7}]
    assert client.ask(op="ping") == [{"type": "pong", "id": None}]


@pytest.mark.parametrize("asked", [0.2, 10, 3.5])
def test_configure_sets_the_rate_and_is_not_answered(desk, asked):
    client = desk.client()
    assert client.ask(op="configure", max_hz=asked) == []
    assert client.subscriptions.max_hz == asked


def test_msgpack_says_the_same(desk):
    text, packed = desk.client(), desk.client(MSGPACK)
    for client in (text, packed):
        client.subscribe("a", "ladder", node="FX1")
    desk.marks(EURUSD=1.2)
    for client in (text, packed):
        client.update()
    assert text.log == packed.log


# What is refused


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("{", "truncated"),
        ("", "truncated"),
        ("[1]", "object"),
        ("[" * 50_000, "nested"),
        ('"' + "x" * MAX_MESSAGE + '"', str(MAX_MESSAGE)),
        ("{}", "None"),
        ('{"op":"dance","id":"a"}', "dance"),
        ('{"op":["subscribe"]}', "subscribe"),
        ('{"op":"subscribe"}', "id"),
        ('{"op":"subscribe","id":5,"view":"nodes"}', "id"),
        ('{"op":"subscribe","id":"","view":"nodes"}', "id"),
        ('{"op":"subscribe","id":"%s","view":"nodes"}' % ("x" * 129), "128"),
        ('{"op":"subscribe","id":"a"}', "None"),
        ('{"op":"subscribe","id":"a","view":"risk"}', "nodes, dealers, ladder and status"),
        ('{"op":"subscribe","id":"a","view":"exposure"}', "nodes, dealers, ladder and status"),
        ('{"op":"subscribe","id":"a","view":"ladder","node":"NOWHERE"}', "'NOWHERE'"),
        ('{"op":"subscribe","id":"a","view":"ladder","dealer":"nobody"}', "'nobody'"),
        ('{"op":"subscribe","id":"a","view":"ladder","node":1}', "node"),
        ('{"op":"subscribe","id":"a","view":"ladder","node":"FX1","dealer":"ann"}', "dealer"),
        ('{"op":"subscribe","id":"a","view":"nodes","node":"FX1"}', "node"),
        ('{"op":"unsubscribe","id":"z"}', "'z'"),
        ('{"op":"resync","id":"z"}', "'z'"),
        ('{"op":"configure"}', "max_hz"),
        ('{"op":"configure","max_hz":0.1}', "0.2 to 10"),
        ('{"op":"configure","max_hz":11}', "0.2 to 10"),
        ('{"op":"configure","max_hz":true}', "max_hz"),
        ('{"op":"configure","max_hz":"5"}', "max_hz"),
    ],
)
def test_a_request_that_is_wrong_is_answered_and_harms_nothing(desk, message, named):
    client = desk.client()
    client.subscribe("ok", "nodes")
    answer = one([client.hear(frame) for frame in client.subscriptions.handle(message)])
    assert answer["type"] == "error"
    assert answer["title"]
    assert named in answer["detail"]
    desk.marks(EURUSD=1.2)
    assert set(client.update()["views"]) == {"ok"}


def test_an_error_carries_the_id_of_its_request(desk):
    client = desk.client()
    assert one(client.subscribe("a", "risk"))["id"] == "a"
    assert one(client.ask(op="configure", id=3))["id"] == 3
    assert one(client.ask(op="configure", id={"deep": []}))["id"] is None
    assert one(client.ask(op="configure", id=10**30))["id"] is None


@pytest.mark.parametrize("message", [b"\xc1", b"\x81\x80\x01", b"\x81\x81\x01\x02\x03", b"\x81\xa2id\xa1\xff"])
def test_bytes_that_are_not_msgpack_are_refused(desk, message):
    client = desk.client(MSGPACK)
    assert one([client.hear(frame) for frame in client.subscriptions.handle(message)])["title"] == "malformed message"


def test_a_connection_has_at_most_a_hundred_subscriptions(desk):
    client = desk.client()
    for number in range(MAX_SUBSCRIPTIONS):
        one(client.subscribe(str(number), "nodes"))
    assert one(client.subscribe("one more", "nodes"))["title"] == "too many subscriptions"
    assert one(client.subscribe("0", "dealers"))["type"] == "snapshot"
    client.ask(op="unsubscribe", id="0")
    assert one(client.subscribe("one more", "nodes"))["type"] == "snapshot"


# Work that is shared


def test_rows_and_changes_are_worked_out_once_for_all(desk, monkeypatch):
    asked = []
    monkeypatch.setattr("riskengine.board.ladder_rows", lambda *a, **k: asked.append(1) or ladder_rows(*a, **k))
    clients = [desk.client() for _ in range(5)]
    for client in clients:
        client.subscribe("a", "ladder", node="FX1")
    assert len(asked) == 1
    desk.marks(EURUSD=1.2)
    assert len({id(client.subscriptions._changes()["a"]) for client in clients}) == 1
    assert len(asked) == 2


def test_a_snapshot_without_new_prices_or_trades_costs_no_rows(desk, monkeypatch):
    client = desk.client()
    client.subscribe("a", "ladder", node="FX1")
    monkeypatch.setattr("riskengine.board.ladder_rows", lambda *a, **k: pytest.fail("worked out rows"))
    desk.house.engine.publish(desk.house.now + 2 * MICROS_PER_SECOND)
    desk.board.take(desk.snapshot)
    assert client.update()["views"] == {}


def test_after_a_trade_only_the_nodes_that_it_moved_are_worked_out(desk, monkeypatch):
    client = desk.client()
    client.subscribe("a", "nodes")
    asked = []
    real = __import__("riskengine.board").board.node_row
    monkeypatch.setattr("riskengine.board.node_row", lambda s, n: asked.append(n) or real(s, n))
    desk.deal(world.trade("t9", desk="FX1"))
    hierarchy = world.REFERENCE.hierarchy
    number = hierarchy.index["FX1"]
    client.update()
    assert sorted(asked) == sorted((number, *hierarchy.ancestors[number]))


def test_only_a_trade_in_its_own_views_makes_a_connection_wait_for_a_push(desk):
    fx, equities = desk.client(), desk.client()
    fx.subscribe("a", "ladder", node="FX1")
    equities.subscribe("a", "ladder", node="EQ1")
    desk.marks(EURUSD=1.2)
    assert not fx.subscriptions.trade_waits
    desk.deal(world.trade("t9", desk="FX1"))
    assert fx.subscriptions.trade_waits
    assert not equities.subscriptions.trade_waits
    fx.update()
    assert not fx.subscriptions.trade_waits


def test_who_stands_at_a_version_that_is_gone_gets_all_rows(desk):
    slow, quick = desk.client(), desk.client()
    for client in (slow, quick):
        client.subscribe("a", "ladder", node="FX1")
    desk.deal(world.trade("t2", version=2, action="amend", instrument="GBPUSD", price="1.3", desk="EQ1"))
    for step in range(MAX_VERSIONS + 2):
        quick.update()
        desk.marks(EURUSD=1.2 + step / 100)
    change = slow.update()["views"]["a"]
    assert change["removed"] == [["GBPUSD"]]
    assert slow.rows("a") == ladder_rows(desk.snapshot, node="FX1")


def test_a_view_that_nobody_watches_any_more_is_forgotten(desk):
    clients = [desk.client(), desk.client()]
    for client in clients:
        client.subscribe("a", "nodes")
        client.subscribe("b", "nodes")
    clients[0].subscriptions.close()
    assert len(desk.board._views) == 1
    clients[1].ask(op="unsubscribe", id="a")
    clients[1].subscribe("b", "status")
    assert [key[0] for key in desk.board._views] == ["status"]


# The chain

PLACES = (("nodes", {}), ("dealers", {}), ("ladder", {"node": "ALL"}), ("ladder", {"node": "FX1"}),
          ("ladder", {"dealer": "ann"}), ("status", {}))  # fmt: skip
SYMBOLS = ("EURUSD", "GBPUSD", "ACME", "BTCEUR")

trades = st.builds(
    lambda number, version, symbol, desk, dealer, side, quantity, cancels: (
        world.cancel(f"h{number}", version + 1)
        if cancels
        else world.trade(
            f"h{number}", version=version, action="new" if version == 1 else "amend", instrument=symbol, desk=desk,
            dealer=dealer, side=side, quantity=str(quantity), price="1.25",
        )
    ),
    st.integers(1, 6), st.integers(1, 4), st.sampled_from(SYMBOLS), st.sampled_from(sorted(world.REFERENCE.hierarchy.leaves)),
    st.sampled_from(("ann", "bob", "")), st.sampled_from(("buy", "sell")), st.integers(1, 5), st.booleans(),
)  # fmt: skip
prices = st.dictionaries(st.sampled_from(SYMBOLS), st.integers(1, 400).map(lambda n: n / 100), max_size=3)
events = st.one_of(
    trades.map(lambda trade: ("trade", trade)),
    prices.map(lambda marks: ("marks", marks)),
    st.just(("idle", None)),
    st.tuples(st.just("update"), st.integers(0, 2)),
    st.tuples(st.just("subscribe"), st.tuples(st.integers(0, 2), st.sampled_from("ab"), st.sampled_from(PLACES))),
    st.tuples(st.just("resync"), st.tuples(st.integers(0, 2), st.sampled_from("ab"))),
    st.tuples(st.just("unsubscribe"), st.tuples(st.integers(0, 2), st.sampled_from("ab"))),
)


def expected(snapshot: Snapshot, view: str, parameters: dict[str, str]) -> list[dict[str, Any]]:
    if view == "ladder":
        return ladder_rows(snapshot, **parameters)
    return {"nodes": node_rows, "dealers": dealer_rows, "status": lambda s: [status(s)]}[view](snapshot)


def play(desk: Desk, clients: list[Client], held: list[dict[str, Any]], event: str, argument: Any) -> None:
    if event == "trade":
        desk.deal(argument)
    elif event == "marks":
        desk.marks(**argument)
    elif event == "idle":
        desk.house.now += MICROS_PER_SECOND
        desk.house.engine.publish(desk.house.now)
        desk.board.take(desk.snapshot)
    elif event == "update":
        clients[argument].update()
    elif event == "subscribe":
        number, name, place = argument
        if clients[number].subscribe(name, place[0], **place[1])[-1]["type"] == "snapshot":
            held[number][name] = place
    else:
        number, name = argument
        clients[number].ask(op=event, id=name)
        if event == "unsubscribe":
            held[number].pop(name, None)
            clients[number].views.pop(name, None)


@settings(deadline=None)
@given(st.lists(events, max_size=60))
def test_patches_applied_to_the_first_snapshot_give_a_fresh_snapshot_at_that_seq(script):
    desk = Desk()
    clients = [desk.client(), desk.client(MSGPACK), desk.client()]
    held: list[dict[str, Any]] = [{}, {}, {}]
    seen = {desk.snapshot.seq: desk.snapshot}
    for event, argument in script:
        play(desk, clients, held, event, argument)
        seen[desk.snapshot.seq] = desk.snapshot
        for client, places in zip(clients, held, strict=True):
            for name, (view, parameters) in places.items():
                fresh = expected(seen[client.seq], view, parameters)
                assert client.rows(name) == sorted(fresh, key=lambda row, c=client, n=name: c.key(n, row))

"""The protocol of the stream: requests in, frames out, without a socket."""

from typing import Any

import pytest

from riskengine.clock import MICROS_PER_SECOND
from riskengine.snapshot.rows import dealer_rows, ladder_rows, node_rows
from riskengine.views.board import MSGPACK
from riskengine.views.checksum import view_checksum
from riskengine.views.grants import Grants
from riskengine.views.subscription import MAX_MESSAGE_BYTES, MAX_SUBSCRIPTIONS
from tests import world
from tests.stream_client import Desk, dealt_desk, status


@pytest.fixture
def desk() -> Desk:
    return dealt_desk()


def one(messages: list[dict[str, Any]]) -> dict[str, Any]:
    [message] = messages
    return message


# The protocol, message by message


def test_the_hello_says_what_a_client_needs_to_begin(desk):
    assert desk.client().log == [
        {
            "type": "hello",
            "protocol": 1,
            "epoch": 0,
            "seq": desk.snapshot.seq,
            "reporting_currency": "USD",
            "heartbeat_ms": 1000,
            "max_hz": 5.0,
        }
    ]


def test_a_subscription_is_answered_by_a_snapshot(desk):
    message = one(desk.client().subscribe("a", "ladder", node="FX1"))
    rows = message.pop("rows")
    snapshot = desk.snapshot
    assert message == {
        "type": "snapshot",
        "id": "a",
        "epoch": 0,
        "seq": snapshot.seq,
        "as_of": snapshot.as_of,
        "key": ["instrument"],
    }
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
        "type": "update",
        "epoch": 0,
        "seq": desk.snapshot.seq,
        "prev_seq": prev_seq,
        "as_of": desk.snapshot.as_of,
        "conflated": 0,
        "views": {"a": change},
    }
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


def test_no_update_is_sent_twice(desk):
    client = desk.client()
    client.subscribe("a", "nodes")
    assert client.update() is None
    desk.marks(EURUSD=1.2)
    assert client.update() is not None
    assert client.update() is None


def test_a_connection_whose_views_do_not_change_gets_an_empty_update_once_a_second(desk):
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
    ("message", "reason"),
    [
        (
            {"op": "subscribe", "id": "a", "view": "ladder", "nodes": "FX1"},
            "'nodes': is not a field of subscribe: did you mean node?",
        ),
        ({"op": "configure", "maxhz": 3}, "'maxhz': is not a field of configure: did you mean max_hz?"),
        ({"op": "ping", "colour": 1}, "'colour': is not a field of ping; there are op, id"),
    ],
)
def test_a_field_that_nobody_knows_is_refused_with_the_nearest_one(desk, message, reason):
    [answer] = desk.client().ask(**message)
    assert (answer["type"], answer["title"], answer["detail"]) == ("error", "bad parameter", reason)


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("{", "truncated"),
        ("", "truncated"),
        ("[1]", "object"),
        ("[" * 50_000, "nested"),
        ('"' + "x" * MAX_MESSAGE_BYTES + '"', str(MAX_MESSAGE_BYTES)),
        ("{}", "None"),
        ('{"op":"dance","id":"a"}', "dance"),
        ('{"op":["subscribe"]}', "subscribe"),
        ('{"op":"subscribe"}', "id"),
        ('{"op":"subscribe","id":5,"view":"nodes"}', "id"),
        ('{"op":"subscribe","id":"","view":"nodes"}', "id"),
        ('{"op":"subscribe","id":"%s","view":"nodes"}' % ("x" * 129), "128"),
        ('{"op":"subscribe","id":"a"}', "None"),
        ('{"op":"subscribe","id":"a","view":"risks"}', "nodes, dealers, ladder, risk, exposure, limits and status"),
        ('{"op":"subscribe","id":"a","view":"exposure","by":"desk"}', "currency, sector, instrument and kind"),
        ('{"op":"subscribe","id":"a","view":"exposure","node":"FX1","dealer":"ann"}', "dealer: an exposure is of"),
        ('{"op":"subscribe","id":"a","view":"exposure","node":"NOWHERE"}', "'NOWHERE'"),
        ('{"op":"subscribe","id":"a","view":"ladder","by":"kind"}', "by: the view 'ladder' takes none"),
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
    assert one(client.subscribe("a", "greeks"))["id"] == "a"
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


# Access


def test_a_ladder_that_is_not_granted_is_refused_in_the_same_words_whether_or_not_it_exists(desk):
    client = desk.client(grants=Grants(nodes=frozenset({"FX1"}), dealers=frozenset({"ann"})))
    hidden, unknown = one(client.subscribe("a", "ladder", node="EQ1")), one(client.subscribe("a", "ladder", node="nowhere"))
    assert (hidden["type"], hidden["title"], hidden["id"]) == ("error", "not allowed", "a")
    assert hidden["detail"].replace("EQ1", "nowhere") == unknown["detail"]
    assert one(client.subscribe("a", "ladder", dealer="bob"))["title"] == "not allowed"
    assert one(client.subscribe("a", "risk", node="FX2"))["title"] == one(client.subscribe("a", "risk"))["title"] == "not allowed"
    assert one(client.subscribe("a", "ladder"))["title"] == "not allowed"
    assert one(client.subscribe("a", "ladder", node="FX1"))["rows"] == ladder_rows(desk.snapshot, node="FX1")
    assert one(client.subscribe("b", "ladder", dealer="ann"))["rows"] == ladder_rows(desk.snapshot, dealer="ann")


def test_a_total_is_a_row_and_no_ladder(desk):
    client = desk.client(grants=Grants(nodes=frozenset({"FX1"}), totals=frozenset({"FX"})))
    assert [row["node"] for row in one(client.subscribe("a", "nodes"))["rows"]] == ["FX", "FX1"]
    assert one(client.subscribe("b", "ladder", node="FX"))["title"] == "not allowed"


def test_a_ladder_that_is_no_longer_granted_ends_with_the_reference_data_that_moved_it(desk):
    client = desk.client(grants=Grants(nodes=frozenset({"FX"})))
    client.subscribe("a", "ladder", node="FX1")
    client.subscribe("b", "ladder", node="FX2")
    desk.renew(world.reference(world.PARENTS | {"FX1": "ALL"}))
    ended = [client.hear(frame) for frame in client.subscriptions.review()]
    assert [(message["type"], message["id"], message["title"]) for message in ended] == [("error", "a", "not allowed")]
    desk.deal(world.trade("in both", desk="FX1"), world.trade("and here", desk="FX2"))
    assert client.update()["views"].keys() == {"b"}


# A drifted copy


def test_a_checksum_shows_a_copy_that_has_drifted_and_a_resync_mends_it(desk):
    client = desk.client()
    client.subscribe("a", "ladder", node="FX1")
    client.views["a"][("EURUSD",)]["quantity"] += 1
    desk.marks(EURUSD=1.2)
    update = client.hear(client.subscriptions.update(checked=True))
    assert update["checksums"]["a"] != view_checksum(client.rows("a"))
    client.ask(op="resync", id="a")
    desk.marks(EURUSD=1.21)
    update = client.hear(client.subscriptions.update(checked=True))
    assert update["checksums"]["a"] == view_checksum(client.rows("a"))


def test_a_client_that_may_not_see_the_root_does_not_learn_its_name(desk):
    client = desk.client(grants=Grants(nodes=frozenset({"FX1"})))
    [refused] = client.subscribe("a", "ladder")
    assert refused["title"] == "not allowed"
    assert "ALL" not in refused["detail"]


def test_many_subscriptions_have_a_bound_of_rows_together_and_one_alone_has_none(desk, monkeypatch):
    monkeypatch.setattr("riskengine.views.subscription.MAX_ROWS", 10)
    client = desk.client()
    assert len(one(client.subscribe("a", "nodes"))["rows"]) == 8
    assert one(client.subscribe("b", "nodes"))["title"] == "too many rows"
    assert one(client.subscribe("a", "nodes"))["type"] == "snapshot"
    assert one(client.subscribe("c", "ladder", node="FX1"))["type"] == "snapshot"
    monkeypatch.setattr("riskengine.views.subscription.MAX_ROWS", 5)
    assert one(desk.client().subscribe("a", "nodes"))["type"] == "snapshot"

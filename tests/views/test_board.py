"""What connections share: rows are made once, changes are encoded once, and the chain of patches never breaks."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.clock import MICROS_PER_SECOND
from riskengine.rebuild.renewal import refit_trade
from riskengine.records.reference import trade_check
from riskengine.snapshot.exposure import Exposure, exposure
from riskengine.snapshot.rows import dealer_rows, ladder_rows, node_row, node_rows
from riskengine.snapshot.snapshot import Snapshot, UnknownName
from riskengine.views import board
from riskengine.views.board import MSGPACK
from riskengine.views.checksum import view_checksum
from riskengine.views.grants import Grants
from tests import world
from tests.stream_client import Client, Desk, dealt_desk, status


@pytest.fixture
def desk() -> Desk:
    return dealt_desk()


# Work that is shared


def test_rows_and_changes_are_worked_out_once_for_all(desk, monkeypatch):
    calls = []

    def count_call(*arguments, **named):
        calls.append(named)
        return ladder_rows(*arguments, **named)

    monkeypatch.setattr("riskengine.views.sources.ladder_rows", count_call)
    clients = [desk.client() for _ in range(5)]
    for client in clients:
        client.subscribe("a", "ladder", node="FX1")
    assert len(calls) == 1
    desk.marks(EURUSD=1.2)
    assert len({id(client.subscriptions.update()) for client in clients}) == 1
    assert len(calls) == 2


def test_clients_that_ask_for_the_same_rows_get_the_same_bytes(desk):
    request = json.dumps({"op": "subscribe", "id": "a", "view": "nodes"})
    first, second = ([*client.subscriptions.handle(request)] for client in (desk.client(), desk.client()))
    assert first[0] is second[0]


def test_under_other_names_only_the_message_is_made_anew_not_the_change(desk, monkeypatch):
    one, other = desk.client(), desk.client()
    one.subscribe("a", "nodes")
    other.subscribe("b", "nodes")
    desk.marks(EURUSD=1.2)
    one.update()
    monkeypatch.setattr(board.SharedView, "_change", lambda *a: pytest.fail("worked out a change again"))
    assert other.update()["views"]["b"]["rows"]


def test_a_snapshot_without_new_prices_or_trades_costs_no_rows(desk, monkeypatch):
    client = desk.client()
    client.subscribe("a", "ladder", node="FX1")
    monkeypatch.setattr("riskengine.views.sources.ladder_rows", lambda *a, **k: pytest.fail("worked out rows"))
    desk.house.engine.publish(desk.house.now + 2 * MICROS_PER_SECOND)
    desk.board.take(desk.snapshot)
    assert client.update()["views"] == {}


def test_after_a_trade_only_the_nodes_that_it_moved_are_worked_out(desk, monkeypatch):
    client = desk.client()
    client.subscribe("a", "nodes")
    calls = []

    def count_call(snapshot, number):
        calls.append(number)
        return node_row(snapshot, number)

    monkeypatch.setattr("riskengine.views.sources.node_row", count_call)
    desk.deal(world.trade("t9", desk="FX1"))
    hierarchy = world.REFERENCE.hierarchy
    number = hierarchy.index["FX1"]
    client.update()
    assert sorted(calls) == sorted((number, *hierarchy.ancestors[number]))


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


def test_a_client_at_a_version_whose_rows_were_dropped_gets_all_rows(desk, monkeypatch):
    monkeypatch.setattr(board, "MAX_KEPT_ROWS", 3)
    slow, quick = desk.client(), desk.client()
    for client in (slow, quick):
        client.subscribe("a", "ladder", node="FX1")
    desk.deal(world.trade("t2", version=2, action="amend", instrument="GBPUSD", price="1.3", desk="EQ1"))
    holders = [desk.client() for _ in range(3)]
    for step, holder in enumerate(holders):
        holder.subscribe("a", "ladder", node="FX1")
        quick.update()
        desk.marks(EURUSD=1.2 + step / 100)
    change = slow.update()["views"]["a"]
    assert change["removed"] == [["GBPUSD"]]
    assert slow.rows("a") == ladder_rows(desk.snapshot, node="FX1")


def test_a_version_at_which_nobody_stands_is_forgotten(desk):
    client = desk.client()
    client.subscribe("a", "nodes")
    [view] = desk.board._views.values()
    for step in range(20):
        desk.marks(EURUSD=round(1.2 + step / 100, 2))
        client.update()
        assert len(view._older) <= 2


def test_a_client_that_takes_nothing_keeps_no_later_version_alive(desk):
    """A chain from each standing to the next would grow for as long as it stands still."""
    stuck, quick = desk.client(), desk.client()
    for client in (stuck, quick):
        client.subscribe("a", "nodes")
    [view] = desk.board._views.values()
    for step in range(20):
        desk.marks(EURUSD=round(1.2 + step / 100, 2))
        quick.update()
    assert len(view._older) <= 3


# Checksums


def test_a_checked_update_carries_the_checksum_of_each_view_but_the_status(desk):
    client = desk.client()
    client.subscribe("a", "nodes")
    client.subscribe("b", "ladder", node="FX1")
    client.subscribe("s", "status")
    desk.marks(EURUSD=1.2)
    update = client.hear(client.subscriptions.update(checked=True))
    assert update["checksums"] == {name: view_checksum(client.rows(name)) for name in ("a", "b")}


def test_connections_at_one_standing_get_checksums_only_when_they_are_due(desk):
    checked, plain = desk.client(), desk.client()
    for client in (checked, plain):
        client.subscribe("a", "nodes")
    desk.marks(EURUSD=1.2)
    assert "checksums" in checked.hear(checked.subscriptions.update(checked=True))
    assert "checksums" not in plain.update()


# Access classes


def test_an_access_class_sees_its_nodes_and_no_name_of_a_parent_that_it_may_not_see(desk):
    client = desk.client(grants=Grants(nodes=frozenset({"FX1"})))
    client.subscribe("a", "nodes")
    [row] = client.rows("a")
    assert row == node_row(desk.snapshot, world.REFERENCE.hierarchy.index["FX1"]) | {"parent": None}
    desk.deal(world.trade("t9", desk="FX1"))
    [change] = client.update()["views"]["a"]["rows"]
    assert change["node"] == "FX1"


def test_an_access_class_sees_its_dealers(desk):
    client = desk.client(grants=Grants(dealers=frozenset({"bob"})))
    client.subscribe("a", "dealers")
    assert client.rows("a") == []
    desk.deal(world.trade("t9", dealer="bob"), world.trade("t10", dealer="ann"))
    client.update()
    assert [row["dealer"] for row in client.rows("a")] == ["bob"]


def test_a_trade_that_an_access_class_may_not_see_does_not_change_its_views(desk):
    client = desk.client(grants=Grants(nodes=frozenset({"EQ1"}), dealers=frozenset({"bob"})))
    client.subscribe("a", "nodes")
    client.subscribe("b", "dealers")
    desk.deal(world.trade("t9", desk="FX1", dealer="ann"))
    assert not client.subscriptions.trade_waits
    desk.deal(world.trade("t10", desk="FX1", dealer="bob"))
    assert client.subscriptions.trade_waits


def test_one_access_class_shares_its_rows_and_another_has_its_own(desk):
    for nodes in (["FX1"], ["FX1"], ["EQ1"]):
        desk.client(grants=Grants(nodes=frozenset(nodes))).subscribe("a", "nodes")
    assert sorted(view.users for view in desk.board._views.values()) == [1, 2]


def test_a_ladder_is_the_same_for_all_that_may_see_it(desk):
    desk.client().subscribe("a", "ladder", node="FX1")
    desk.client(grants=Grants(nodes=frozenset({"FX1"}))).subscribe("a", "ladder", node="FX1")
    assert len(desk.board._views) == 1


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


# Other reference data

SMALLER = world.reference({node: parent for node, parent in world.PARENTS.items() if node != "FX1"})
"""One desk less, so the nodes behind it have other numbers."""
LARGER = world.reference(
    world.PARENTS | {"AA1": "FX", "FX1a": "FX1"},
    ({"instrument": "AARDVARK", "kind": "equity", "quote_currency": "USD"}, *world.INSTRUMENTS),
)
"""A desk and an instrument more, before all others, and a desk below one that has trades."""


def test_rows_of_what_is_gone_are_removed_and_those_of_what_is_new_come_whole(desk):
    client = desk.client()
    client.subscribe("a", "nodes")
    client.subscribe("b", "ladder", node="FX1")
    client.subscribe("c", "dealers")
    desk.renew(SMALLER)
    views = client.update()["views"]
    assert views["a"]["removed"] == [["FX1"]]
    assert views["b"]["removed"] == [["EURUSD"], ["GBPUSD"]]
    assert views["c"]["removed"] == [["ann"]]
    desk.renew(LARGER)
    whole = {row["node"]: row for row in client.update()["views"]["a"]["rows"]}
    assert whole["AA1"].keys() == whole["FX1a"].keys() == whole["FX1"].keys() == node_row(desk.snapshot, 0).keys()


def test_a_ladder_of_what_is_gone_holds_nothing_until_it_comes_back_and_cannot_be_asked_for_meanwhile(desk):
    client, other = desk.client(), desk.client()
    client.subscribe("a", "ladder", node="FX1")
    client.subscribe("b", "ladder", dealer="ann")
    desk.renew(SMALLER)
    client.update()
    assert client.views == {"a": {}, "b": {}}
    desk.marks(EURUSD=1.3)
    assert client.update() is None
    assert other.subscribe("a", "ladder", node="FX1")[-1]["title"] == "unknown name"
    assert client.ask(op="resync", id="a")[-1]["rows"] == []
    desk.renew(world.REFERENCE)
    client.update()
    assert client.rows("a") == ladder_rows(desk.snapshot, node="FX1")
    assert client.rows("b") == ladder_rows(desk.snapshot, dealer="ann")


def test_an_exposure_of_what_is_gone_has_no_rows_and_no_figures_until_it_comes_back(desk):
    client = desk.client()
    client.subscribe("a", "exposure", node="FX1")
    assert client.summaries["a"] == exposure(desk.snapshot, "currency", node="FX1").summary
    desk.renew(SMALLER)
    client.update()
    assert (client.rows("a"), client.summaries["a"]) == ([], {})
    desk.renew(world.REFERENCE)
    client.update()
    assert client.rows("a") == exposure(desk.snapshot, "currency", node="FX1").rows
    assert client.summaries["a"] == exposure(desk.snapshot, "currency", node="FX1").summary


def test_an_exposure_is_worked_out_once_a_snapshot_for_all_and_never_for_nobody(desk, monkeypatch):
    calls = []

    def count_call(*arguments, **named):
        calls.append(named)
        return exposure(*arguments, **named)

    monkeypatch.setattr("riskengine.views.sources.exposure", count_call)
    desk.marks(EURUSD=1.2)
    assert calls == []
    clients = [desk.client() for _ in range(5)]
    for client in clients:
        client.subscribe("a", "exposure", node="FX1")
    desk.marks(EURUSD=1.3)
    assert len({id(client.subscriptions.update()) for client in clients}) == 1
    assert len(calls) == 2


def test_figures_that_did_not_change_are_not_sent_again(desk):
    client = desk.client()
    client.subscribe("a", "exposure", by="sector")
    desk.marks(EURUSD=1.2)
    assert "summary" in client.update()["views"]["a"]
    desk.marks(USDJPY=151.0)
    assert client.update() is None


# The chain

PLACES: tuple[tuple[str, dict[str, str]], ...] = (
    ("nodes", {}),
    ("dealers", {}),
    ("ladder", {"node": "ALL"}),
    ("ladder", {"node": "FX1"}),
    ("ladder", {"dealer": "ann"}),
    ("exposure", {}),
    ("exposure", {"node": "FX1", "by": "instrument"}),
    ("exposure", {"dealer": "ann", "by": "kind"}),
    ("status", {}),
)
SYMBOLS = ("EURUSD", "GBPUSD", "ACME", "BTCEUR")

trades = st.builds(
    lambda number, version, symbol, desk, dealer, side, quantity, cancels: (
        world.cancel(f"h{number}", version + 1)
        if cancels
        else world.trade(
            f"h{number}",
            version=version,
            action="new" if version == 1 else "amend",
            instrument=symbol,
            desk=desk,
            dealer=dealer,
            side=side,
            quantity=str(quantity),
            price="1.25",
        )
    ),
    st.integers(1, 6),
    st.integers(1, 4),
    st.sampled_from(SYMBOLS),
    st.sampled_from(sorted(world.REFERENCE.hierarchy.leaves)),
    st.sampled_from(("ann", "bob", "")),
    st.sampled_from(("buy", "sell")),
    st.integers(1, 5),
    st.booleans(),
)
prices = st.dictionaries(st.sampled_from(SYMBOLS), st.integers(1, 400).map(lambda n: n / 100), max_size=3)
events = st.one_of(
    trades.map(lambda trade: ("trade", trade)),
    prices.map(lambda marks: ("marks", marks)),
    st.just(("idle", None)),
    st.sampled_from((world.REFERENCE, SMALLER, LARGER)).map(lambda where: ("renew", where)),
    st.tuples(st.just("update"), st.integers(0, 2)),
    st.tuples(st.just("subscribe"), st.tuples(st.integers(0, 2), st.sampled_from("ab"), st.sampled_from(PLACES))),
    st.tuples(st.just("resync"), st.tuples(st.integers(0, 2), st.sampled_from("ab"))),
    st.tuples(st.just("unsubscribe"), st.tuples(st.integers(0, 2), st.sampled_from("ab"))),
)


def expected(snapshot: Snapshot, view: str, parameters: dict[str, str]) -> list[dict[str, Any]]:
    if view == "ladder":
        try:
            return ladder_rows(snapshot, node=parameters.get("node"), dealer=parameters.get("dealer"))
        except UnknownName:
            return []
    if view == "exposure":
        return fresh_exposure(snapshot, parameters).rows
    if view == "status":
        return [status(snapshot)]
    return node_rows(snapshot) if view == "nodes" else dealer_rows(snapshot)


def fresh_exposure(snapshot: Snapshot, parameters: dict[str, str]) -> Exposure:
    try:
        by = parameters.get("by", "currency")
        return exposure(snapshot, by, node=parameters.get("node"), dealer=parameters.get("dealer"))
    except UnknownName:
        return Exposure([], {})


def play(desk: Desk, clients: list[Client], held: list[dict[str, Any]], event: str, argument: Any) -> None:
    if event == "trade":
        trade = refit_trade(argument, trade_check(desk.house.where))
        if trade is not None:
            desk.deal(trade)
    elif event == "marks":
        desk.marks(**argument)
    elif event == "renew":
        desk.renew(argument)
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
                assert client.views[name] == {client.key(name, row): row for row in fresh}
                if view == "exposure":
                    assert client.summaries[name] == fresh_exposure(seen[client.seq], parameters).summary


def test_rows_that_changed_and_changed_back_are_no_change(desk):
    slow, quick = desk.client(), desk.client()
    slow.subscribe("a", "nodes")
    quick.subscribe("b", "nodes")
    for where in (LARGER, world.REFERENCE):
        desk.renew(where)
        quick.update()
    assert slow.update()["views"] == {}


def test_snapshots_under_many_names_are_not_kept(desk):
    client = desk.client()
    client.subscribe("kept", "nodes")
    for number in range(1_000):
        client.subscribe(f"name {number}", "nodes")
        client.ask(op="unsubscribe", id=f"name {number}")
    [version] = client.subscriptions.standing.versions
    assert len(version._messages[1]) <= 100


def test_a_trade_costs_no_walk_through_the_tree_however_many_access_classes_there_are(desk, monkeypatch):
    classes = [Grants(nodes=frozenset({"FX1"}), totals=frozenset({f"other {number}"})) for number in range(300)]
    for grants in classes:
        desk.client(grants=grants).subscribe("a", "nodes")
    monkeypatch.setattr(Grants, "sees_row", lambda *_: pytest.fail("walked through the tree"))
    desk.deal(world.trade("t3"))
    assert len([view for view in desk.board._views.values() if view.trade_seq == desk.snapshot.seq]) == 300


def test_clients_that_see_the_same_nodes_share_them_whatever_dealers_they_see(desk):
    for dealer in ("ann", "bob"):
        desk.client(grants=Grants(nodes=frozenset({"FX1"}), dealers=frozenset({dealer}))).subscribe("a", "nodes")
    assert len(desk.board._views) == 1

"""Unequal clients under trades, prices, renewals and stalls: every copy is right, and no trade is late."""

import json
from typing import Any, cast
from unittest import mock

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.serve.stream import sender
from riskengine.serve.stream.outlet import Outlet
from riskengine.serve.stream.pacing import PushPause
from riskengine.serve.stream.sender import StreamConnection
from riskengine.snapshot.rows import dealer_rows, ladder_rows, node_rows
from riskengine.snapshot.snapshot import Snapshot, UnknownName
from riskengine.views.board import JSON, MSGPACK, Encoding
from riskengine.views.grants import EVERYTHING, Grants
from tests import world
from tests.serve.room import Room, renew
from tests.stream_client import Client

HOUSES = (
    world.REFERENCE,
    world.reference({node: parent for node, parent in world.PARENTS.items() if node != "EM1"}),
    world.reference({**world.PARENTS, "FX1": "CASH", "AA1": "ALL"}),
)
CLASSES = (
    EVERYTHING,
    Grants(nodes=frozenset({"G10"}), totals=frozenset({"ALL"}), dealers=frozenset({"ann"})),
    Grants(nodes=frozenset({"EM1", "CASH"}), dealers=frozenset({"bob", "cyd"})),
    Grants(nodes=None, dealers=frozenset()),
)
VIEWS: tuple[dict[str, str], ...] = (
    {"view": "nodes"},
    {"view": "dealers"},
    {"view": "ladder"},
    {"view": "ladder", "node": "FX1"},
    {"view": "ladder", "node": "EM1"},
    {"view": "ladder", "dealer": "bob"},
)


class Screen(Client):
    """A client at a sender: it processes each message as it is written."""

    def __init__(self, room: Room, encoding: Encoding, grants: Grants) -> None:
        super().__init__(room.board, encoding, grants)
        self.room = room
        self.grants = grants
        self.held: dict[str, dict[str, str]] = {}
        self.is_behind = False
        self.connection = StreamConnection(self.subscriptions, cast(Outlet, self), encoding, len(room.sender.connections))
        room.sender.add(self.connection)

    def write_frame(self, frame: bytes) -> None:
        message = self.hear(frame)
        if message["type"] == "error" and message["title"] == "not allowed" and message["id"] in self.held:
            self.forget(message["id"])

    def forget(self, name: str) -> None:
        self.held.pop(name, None)
        self.views.pop(name, None)

    def request(self, **request: Any) -> None:
        self.room.sender.catch_up()
        message = json.dumps(request) if self.text else msgspec.msgpack.encode(request)
        for frame in self.subscriptions.handle(message):
            self.hear(frame)
        if request["op"] == "unsubscribe":
            self.forget(request["id"])
        elif request["op"] == "subscribe" and self.log[-1]["type"] == "snapshot":
            self.held[request["id"]] = {name: value for name, value in request.items() if name not in ("op", "id")}
        self.room.sender.after_request(self.connection)

    def check(self, seen: dict[int, Snapshot]) -> None:
        for name, asked in self.held.items():
            wanted = shown(seen[self.seq], self.grants, **asked)
            assert self.rows(name) == sorted(wanted, key=lambda row: self.key(name, row)), (name, asked)


def shown(
    snapshot: Snapshot, grants: Grants, view: str, node: str | None = None, dealer: str | None = None
) -> list[dict[str, Any]]:
    hierarchy = snapshot.reference.hierarchy
    if view == "nodes":
        names = {name for name in hierarchy.names if grants.sees_row(hierarchy, name)}
        rows = [row for row in node_rows(snapshot) if row["node"] in names]
        return [row | {"parent": row["parent"] if row["parent"] in names else None} for row in rows]
    if view == "dealers":
        return [row for row in dealer_rows(snapshot) if grants.sees_dealer(row["dealer"])]
    try:
        return ladder_rows(snapshot, node=node, dealer=dealer)
    except UnknownName:
        return []


who = st.integers(0, 4)
names = st.sampled_from("ab")
steps = st.one_of(
    st.tuples(st.just("deal"), st.sampled_from(("FX1", "FX2", "EM1", "EQ1")), st.sampled_from(("ann", "bob", "cyd"))),
    st.tuples(st.just("prices"), st.integers(1, 400)),
    st.tuples(st.just("pass"), st.sampled_from((0.001, 0.011, 0.021, 0.1, 0.35, 2.0))),
    st.tuples(st.just("turn")),
    st.tuples(st.just("renew"), st.integers(0, len(HOUSES) - 1)),
    st.tuples(st.just("subscribe"), who, names, st.sampled_from(VIEWS)),
    st.tuples(st.sampled_from(("unsubscribe", "resync", "ping")), who, names),
    st.tuples(st.just("configure"), who, st.sampled_from((0.2, 1.0, 3.0, 10.0))),
    st.tuples(st.just("stall"), who, st.booleans()),
)


def play(room: Room, screens: list[Screen], step: tuple[Any, ...]) -> None:
    kind, *given_ = step
    if kind == "deal" and given_[0] in room.engine.engine.reference.hierarchy.leaves:
        room.deal(desk=given_[0], dealer=given_[1])
    elif kind == "prices":
        room.engine.clock.advance(100_000)  # type: ignore[attr-defined]
        if room.engine.quotes.reference is room.engine.engine.reference:
            room.engine.marks(EURUSD=given_[0] / 100)
        else:
            room.engine.publish()
    elif kind == "pass":
        room.time += given_[0]
    elif kind == "turn":
        room.sender.run_turn()
    elif kind == "renew":
        renew(room, HOUSES[given_[0]])
        room.engine.quotes.renew(HOUSES[given_[0]], {})
    elif kind == "subscribe":
        screens[given_[0]].request(op="subscribe", id=given_[1], **given_[2])
    elif kind == "configure":
        screens[given_[0]].request(op="configure", max_hz=given_[1])
    elif kind == "stall":
        screens[given_[0]].is_behind = given_[1]
    elif kind in ("unsubscribe", "resync", "ping") and (kind == "ping" or given_[1] in screens[given_[0]].held):
        screens[given_[0]].request(op=kind, id=given_[1])


@settings(deadline=None)
@given(st.lists(steps, max_size=60), st.sampled_from((-1.0, 1.0)))
def test_every_copy_is_right_after_every_message_and_every_trade_arrives_within_its_bound(script, turn_s):
    """With turns that end after one message, and with turns that end when nothing is due."""
    with mock.patch.object(sender, "TURN_S", turn_s):
        follow(script)


def follow(script: list[tuple[Any, ...]]) -> None:
    room = Room()
    room.sender._push_pause = Steady(0.02)
    encodings = (JSON, MSGPACK)
    screens = [Screen(room, encodings[number % 2], CLASSES[number % len(CLASSES)]) for number in range(5)]
    for screen in screens:
        screen.request(op="subscribe", id="a", view="nodes")
    seen = {room.engine.history.newest.seq: room.engine.history.newest}
    publish = room.engine.publish
    room.engine.publish = lambda: seen.setdefault((done := publish()).seq, done)  # type: ignore[method-assign]
    for step in script:
        play(room, screens, step)
        for screen in screens:
            screen.check(seen)
    for screen in screens:
        screen.is_behind = False
    room.work()
    room.time += 5.1  # stalled clients are visited after 1 / max_hz
    room.work()
    traded = {desk: room.deal(desk=desk) for desk in ("FX1", "FX2", "EQ1")}
    room.work()
    room.time += 0.021
    room.work()
    for screen in screens:
        screen.check(seen)
        newest = room.engine.history.newest
        for name, asked in screen.held.items():
            wanted = {
                row.get("node", "") + row.get("instrument", row.get("dealer", "")): row["trade_count"]
                for row in shown(newest, screen.grants, **asked)
            }
            got = {
                row.get("node", "") + row.get("instrument", row.get("dealer", "")): row["trade_count"]
                for row in screen.views[name].values()
            }
            assert got == wanted, (asked, traded)


class Steady(PushPause):
    """The engine's own work takes no time."""

    def spent(self, seconds: float, now: float) -> None:
        pass

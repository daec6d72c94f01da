"""Where a push could be lost or late: what is published meanwhile, pauses that end together, views named twice."""

from functools import partial

import pytest

from riskengine.engine.engine import Engine
from riskengine.rebuild.handover import hand_over
from riskengine.rebuild.renewal import refit_trade
from riskengine.records.reference import Reference, trade_check
from riskengine.records.types import Trade
from riskengine.serve.stream.sender import CHECKSUM_S, SENDS_A_TURN
from riskengine.snapshot.snapshot import Snapshot, SnapshotHistory
from tests import world
from tests.serve.test_sender import EQ1, FX1, Room
from tests.world import trade


@pytest.fixture
def room() -> Room:
    return Room()


class Racing(SnapshotHistory):
    """A history whose writer publishes right after the next look at the newest."""

    _newest: Snapshot

    def __init__(self, first: Snapshot) -> None:
        super().__init__(first, 0)
        self.then: list[Snapshot] = []

    @property
    def newest(self) -> Snapshot:
        shown = self._newest
        if self.then:
            self._newest = self.then.pop(0)
        return shown

    @newest.setter
    def newest(self, snapshot: Snapshot) -> None:
        self._newest = snapshot


def race(room: Room) -> None:
    """Have the writer publish a trade between two looks of the loop at what is newest."""
    history = Racing(room.engine.history.newest)
    room.engine.recent = history
    room.deal(desk="FX1")
    traded = history._newest
    history._newest = room.board.snapshot
    history.then = [traded]


def test_a_trade_that_is_published_during_a_turn_is_pushed_at_once(room):
    client, other = room.client(FX1), room.client(EQ1)
    room.work()
    room.deal(desk="EQ1", instrument="ACME", price="10")  # the turn is somebody else's
    room.sender.look()
    race(room)
    room.work()
    room.work()
    assert other.updates
    assert [update["seq"] for update in client.updates] == [room.engine.history.newest.seq]


def test_a_trade_that_is_published_while_a_request_is_answered_is_pushed_at_once(room):
    client, other = room.client(FX1), room.client(EQ1)
    room.work()
    race(room)
    room.ask(other, op="ping", id=1)
    room.work()
    assert [update["seq"] for update in client.updates] == [room.engine.history.newest.seq]


def test_pauses_that_end_together_over_several_turns_lose_no_trade_that_comes_meanwhile(room):
    clients = [room.client(FX1, max_hz=0.2) for _ in range(3 * SENDS_A_TURN)]
    room.beat()  # a beat that all are served at: the next is seconds away
    room.time += 0.1
    room.sender._pace.pause_s = 0.5  # pushes take much of the time: pauses are long, and end together
    room.deal(desk="FX1")
    room.work()
    room.deal(desk="FX1")
    room.work()
    room.time += 1.0
    room.sender.turn()
    last = room.deal(desk="FX1")
    room.work()
    room.sender._pace.pause_s = 0.02
    for _ in range(20):
        room.time += 0.1
        room.work()
    assert {client.updates[-1]["seq"] for client in clients} == {last}


def test_a_view_that_is_subscribed_to_several_times_is_pushed_as_often_as_any(room):
    client = room.client(FX1, FX1, FX1, FX1)
    room.work()
    for _ in range(10):
        room.time += 0.021
        room.deal(desk="FX1")
        room.work()
    assert len(client.updates) == 10


def test_checksums_come_also_while_trades_never_cease(room):
    client = room.client(FX1)
    for _ in range(int(CHECKSUM_S * 3 * 10)):
        room.sender._pace.pause_s = 60.0  # pushes are left to the beats
        room.deal(desk="FX1")
        room.beat()
    assert 2 <= sum("checksums" in update for update in client.updates) <= 4


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


def test_a_trade_in_the_snapshot_that_brings_other_reference_data_is_pushed_at_once(room):
    client = room.client(FX1, max_hz=0.2)
    room.beat()
    room.time += 0.1
    room.work()
    seq = renew(room, world.reference(), trade("with it"))
    room.work()
    assert client.updates[-1]["seq"] == seq


def test_a_dealer_who_comes_back_during_a_broadcast_does_not_end_it(room):
    """The broadcast is of a snapshot in which the dealer is gone, while the trade that brings him back is noted already."""
    room.deal("bob's", desk="EM1", dealer="bob")
    for _ in range(SENDS_A_TURN):
        room.client(EQ1)
    client = room.client(FX1, {"view": "ladder", "dealer": "bob"})
    renew(room, world.reference({node: parent for node, parent in world.PARENTS.items() if node != "EM1"}))
    room.beat()
    room.time += 0.095
    room.deal(desk="FX1")
    room.work()
    room.time += 0.015
    room.move_prices()
    assert room.sender.turn(), "a broadcast has begun, and the client is still in its pause"
    seq = room.deal(desk="FX1", dealer="bob")
    room.work()
    room.time += 0.05
    room.work()
    assert client.updates[-1]["seq"] == seq

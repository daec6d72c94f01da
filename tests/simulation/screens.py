"""Clients of the stream: each keeps its own copy, patched as the interface says, by code of its own."""

import json
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, cast

from riskengine.serve.stream.frames import FRAMED
from riskengine.serve.stream.outlet import Outlet
from riskengine.serve.stream.sender import StreamConnection
from riskengine.snapshot.rows import dealer_rows, ladder_rows, node_rows
from riskengine.snapshot.snapshot import SeqGone, Snapshot
from riskengine.views.grants import EVERYTHING
from tests.simulation.fibers import MICROS

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.world import World

VIEWS: dict[str, dict[str, str]] = {
    "nodes": {"view": "nodes"},
    "dealers": {"view": "dealers"},
    "fx1": {"view": "ladder", "node": "FX1"},
    "fx2": {"view": "ladder", "node": "FX2"},
    "eq1": {"view": "ladder", "node": "EQ1"},
    "all": {"view": "ladder", "node": "ALL"},
}
WHOLE_CHECKS = 0.05
"""Share of updates after which the whole copy is compared with the server's snapshot of that seq."""


class Paper:
    """What stands in for the socket of one connection. `is_behind` while the client reads nothing."""

    def __init__(self, screen: "Screen") -> None:
        self.screen = screen
        self.waiting: list[bytes] = []
        self.is_behind = False
        self.counts_messages = False
        self.dropped_because: str | None = None
        self.is_open = True

    @property
    def unsent_bytes(self) -> int:
        return sum(map(len, self.waiting))

    def write_frame(self, frame: bytes) -> None:
        if not self.is_open:
            return
        if self.screen.reads:
            self.screen.hear(self, frame)
        else:
            self.waiting.append(frame)
            self.is_behind = True

    def read_on(self) -> None:
        waiting, self.waiting, self.is_behind = self.waiting, [], False
        for frame in waiting:
            self.screen.hear(self, frame)

    def abort(self, why: str) -> None:
        self.dropped_because = why
        self.is_open = False

    def shutdown(self) -> None:
        self.is_open = False

    def close(self, *_: object) -> None:
        self.is_open = False


def payload_of(frame: bytes) -> Any:
    """The message in a websocket frame of the server."""
    size = frame[1] & 0x7F
    return json.loads(frame[2 if size < 126 else 4 if size == 126 else 10 :])


class Screen:
    """One client, over all its connections. Its copy outlives them, until a snapshot replaces it."""

    def __init__(self, world: "World", number: int, random: Random) -> None:
        self.world = world
        self.number = number
        self.random = random
        self.reads = True
        self.machine: Machine | None = None
        self.paper: Paper | None = None
        self.connection: StreamConnection | None = None
        self.epoch = self.seq = 0
        self.keys: dict[str, list[str]] = {}
        self.rows: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
        self.names = random.sample(sorted(VIEWS), 3)
        self.updates = 0
        self.awaits_whole: str | None = None
        """The view that it has asked for anew: it is left out of the updates until it comes."""

    # -- connections -------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect if it is not connected: to whichever engine answers."""
        machine = self.world.machine
        if (
            self.paper is not None
            and self.paper.is_open
            and machine is self.machine
            and machine is not None
            and not machine.is_over
        ):
            return
        self.leave()
        if machine is None or machine.is_over or machine.hub is None or machine.state != "live":
            return
        self.machine, self.paper = machine, Paper(self)
        machine.on_loop(partial(self._join, machine, self.paper))

    def _join(self, machine: "Machine", paper: Paper) -> None:
        assert machine.hub is not None
        if not paper.is_open or not machine.process.is_live:  # type: ignore[union-attr]
            paper.is_open = False
            return
        self.connection = machine.hub.join(cast(Outlet, paper), FRAMED["json"], EVERYTHING)
        for name in self.names:
            request = json.dumps({"op": "subscribe", "id": name, **VIEWS[name]})
            machine.hub.answer(self.connection, request)

    def leave(self) -> None:
        """Go without a word."""
        machine, connection, paper = self.machine, self.connection, self.paper
        self.machine = self.connection = self.paper = None
        if paper is not None:
            paper.is_open = False
        if machine is not None and connection is not None and not machine.is_over and machine.hub is not None:
            machine.on_loop(partial(machine.hub.leave, connection))

    def stall(self, us: int) -> None:
        """Read nothing for a while."""
        self.world.note("client_stalls")
        self.reads = False
        self.world.scheduler.after(us, self._read_on)

    def _read_on(self) -> None:
        self.reads = True
        if self.paper is not None and self.paper.is_open:
            self.paper.read_on()

    def ask_again(self) -> None:
        """Ask for a view anew, in the middle of everything."""
        machine, connection = self.machine, self.connection
        if machine is not None and connection is not None and not machine.is_over and machine.hub is not None:
            self.awaits_whole = self.names[0]
            request = json.dumps({"op": "resync", "id": self.names[0]})
            machine.on_loop(partial(self._request, machine, connection, request))

    def _request(self, machine: "Machine", connection: StreamConnection, request: str) -> None:
        if self.connection is connection and machine.hub is not None:
            machine.hub.answer(connection, request)

    # -- the copy ----------------------------------------------------------------------------------------------

    def hear(self, paper: Paper, frame: bytes) -> None:
        """Take a message, and hold the server to what it promises."""
        if paper is not self.paper:
            return
        message = payload_of(frame)
        kind = message["type"]
        fail = self.world.fail
        if kind == "hello":
            if message["epoch"] < self.epoch:
                fail("stream", f"epoch {message['epoch']} after {self.epoch}")
            self.epoch, self.seq, self.awaits_whole = message["epoch"], message["seq"], None
        elif kind == "snapshot":
            if message["seq"] < self.seq or message["epoch"] != self.epoch:
                fail("stream", f"a snapshot of {message['epoch']}/{message['seq']} behind {self.epoch}/{self.seq}")
            self.seq, name = message["seq"], message["id"]
            self.keys[name] = message["key"]
            if name == self.awaits_whole:
                self.awaits_whole = None
            self.rows[name] = {self._key(name, row): row for row in message["rows"]}
        elif kind == "update":
            self._update(message)
        elif kind == "error":
            fail("stream", f"error {message}")

    def _update(self, message: dict[str, Any]) -> None:
        fail = self.world.fail
        if message["prev_seq"] != self.seq or message["epoch"] != self.epoch or message["seq"] <= self.seq:
            fail("stream", f"update {message['prev_seq']} -> {message['seq']} at {self.seq}")
        if message["conflated"] != message["seq"] - self.seq - 1:
            fail("stream", f"conflated {message['conflated']} from {self.seq} to {message['seq']}")
        self.seq = message["seq"]
        self.updates += 1
        self.world.count("updates")
        for name, change in message["views"].items():
            rows = self.rows[name]
            for row in change["rows"]:
                rows.setdefault(self._key(name, row), {}).update(row)
            for key in change["removed"]:
                rows.pop(tuple(key), None)
        if self.random.random() < WHOLE_CHECKS:
            self._compare_whole()

    def _key(self, name: str, row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(row[field] for field in self.keys[name])

    def _compare_whole(self) -> None:
        """The copy is, field by field, what the engine shows at that seq."""
        machine = self.machine
        if machine is None or machine.process is None or machine.process.live is None:
            return
        try:
            snapshot = machine.process.live.history.at(self.seq)
        except SeqGone:
            return
        self.world.count("copies_compared")
        for name in self.names:
            if name in self.rows and name != self.awaits_whole:
                wanted = {self._key(name, row): row for row in _shown(snapshot, **VIEWS[name])}
                if json.loads(json.dumps(sorted(wanted.items()))) != json.loads(json.dumps(sorted(self.rows[name].items()))):
                    self.world.fail(
                        "copy", f"view {name} at {self.seq} is not the snapshot's: {_difference(self.rows[name], wanted)}"
                    )


def _difference(rows: dict[Any, dict[str, Any]], wanted: dict[Any, dict[str, Any]]) -> str:
    for key in sorted(rows.keys() | wanted.keys()):
        held, shown = rows.get(key), wanted.get(key)
        if held is None or shown is None:
            return f"{key} is {'missing' if held is None else 'there, and should not be'}"
        fields = [name for name in held.keys() | shown.keys() if held.get(name) != shown.get(name)]
        if fields:
            name = min(fields)
            return f"{key} has {name} {held.get(name)}; should be {shown.get(name)}"
    return "the order of fields"


def _shown(snapshot: Snapshot, view: str, node: str = "") -> list[dict[str, Any]]:
    if view == "nodes":
        return node_rows(snapshot)
    return dealer_rows(snapshot) if view == "dealers" else ladder_rows(snapshot, node=node)


STALL_US = 12 * MICROS

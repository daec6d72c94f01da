"""Clients that keep their own copies under load (`replay/swarm.py`), and that the drill finds what is wrong."""

import copy
import json
from typing import Any

import pytest

from replay.swarm import drill, verdict
from replay.swarm_copies import Copies, Copy, Wrong
from riskengine.views.checksum import view_checksum

Row = dict[str, Any]


def test_two_hundred_clients_hold_what_the_server_shows_on_every_frame():
    found = drill(clients=200, seconds=6.0, ticks=20_000, trades=100)
    assert verdict(found) == []
    assert found["swarm"]["frames"] > 200 * 10
    assert found["swarm"]["sampled"] > 10
    assert found["swarm"]["checksums"] > 0
    assert found["server"]["ticks_per_s"] > 10_000
    assert found["server"]["trades_per_s"] > 50


# The drill finds it


def node(name: str, parent: str | None, pnl: float) -> Row:
    return {
        "node": name,
        "parent": parent,
        "total_pnl": pnl,
        "realised_pnl": 0.0,
        "unrealised_pnl": pnl,
        "fees": 0.0,
        "trade_count": 1,
    }


def rung(instrument: str, pnl: float, trades: int = 1) -> Row:
    return node("A", None, pnl) | {"instrument": instrument, "trade_count": trades}


class Server:
    """What a server would send to a client of two leaves, A and B, under ALL."""

    def __init__(self) -> None:
        self.nodes = [node("ALL", None, 3.0) | {"trade_count": 2}, node("A", "ALL", 1.0), node("B", "ALL", 2.0)]
        self.ladder = [rung("EURUSD", 1.0)]

    def greeting(self) -> list[Row]:
        return [
            {"type": "hello", "epoch": 1, "seq": 1},
            {"type": "snapshot", "id": "nodes", "epoch": 1, "seq": 1, "as_of": 0, "key": ["node"], "rows": self.nodes},
            {"type": "snapshot", "id": "ladder", "epoch": 1, "seq": 1, "as_of": 0, "key": ["instrument"], "rows": self.ladder},
        ]

    def update(self, **fields: Any) -> Row:
        """A's total goes up by one, by the ladder's only row."""
        up = {"total_pnl": 2.0, "unrealised_pnl": 2.0}
        return {
            "type": "update",
            "epoch": 1,
            "seq": 3,
            "prev_seq": 1,
            "as_of": 0,
            "conflated": 1,
            "views": {
                "nodes": {"rows": [{"node": "A", **up}, {"node": "ALL", "total_pnl": 4.0, "unrealised_pnl": 4.0}], "removed": []},
                "ladder": {"rows": [{"instrument": "EURUSD", **up}], "removed": []},
            },
        } | fields


def told(copies: Copies, *messages: Row) -> Copy:
    held = None
    for message in messages:
        held = copies.step(held, json.dumps(message, separators=(",", ":")).encode())
    assert held is not None
    return held


def test_a_client_that_is_told_the_truth_is_right():
    server, copies = Server(), Copies()
    held = told(copies, *server.greeting(), {"type": "heartbeat"}, server.update())
    assert held.seq == 3
    assert held.views["nodes"].rows["A",]["total_pnl"] == 2.0
    sums = {name: view_checksum(view.rows.values()) for name, view in held.views.items()}
    told(copies, *server.greeting(), server.update(checksums=sums))
    assert copies.checksums == 2


def changed(message: Row, path: tuple[Any, ...], value: Any) -> Row:
    """A message with another value at a place."""
    message = copy.deepcopy(message)
    place = message
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return message


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("prev_seq",), 2, "an update from 2"),
        (("seq",), 1, "an update from 1 to 1"),
        (("conflated",), 0, "an update from 1"),
        (("epoch",), 2, "an update"),
        (("views", "nodes", "rows", 0, "total_pnl"), 2.01, "node ALL at 3: total_pnl"),
        (("views", "nodes", "rows", 1, "trade_count"), 3, "node ALL at 3: trade_count"),
        (("views", "nodes", "rows", 1, "total_pnl"), None, "is unknown"),
        (("views", "ladder", "rows", 0, "unrealised_pnl"), 1.99, "ladder of {'A'} at 3"),
        (("views", "ladder", "rows"), [], "a change that changes nothing"),
        (("checksums",), {"nodes": 7}, "the checksum differs"),
    ],
)
def test_each_kind_of_mistake_in_an_update_is_found(path, value, said):
    server = Server()
    with pytest.raises(Wrong, match=said.replace("{", "\\{")):
        told(Copies(), *server.greeting(), changed(server.update(), path, value))


def test_a_view_that_was_left_out_of_an_update_is_found():
    server, update = Server(), Server().update()
    del update["views"]["ladder"]
    with pytest.raises(Wrong, match="ladder of"):
        told(Copies(), *server.greeting(), update)


def test_two_clients_that_hold_different_rows_at_the_same_seq_are_found():
    server, copies = Server(), Copies()
    told(copies, *server.greeting(), server.update())
    other = changed(server.update(), ("views", "ladder", "rows", 0, "quantity"), 5.0)
    with pytest.raises(Wrong, match="ladder A at 3: two clients"):
        told(copies, *server.greeting(), other)


def test_a_frame_of_no_known_kind_is_found():
    with pytest.raises(Wrong, match="the first message is"):
        told(Copies(), {"type": "heartbeat"})
    with pytest.raises(Wrong, match="error"):
        told(Copies(), Server().greeting()[0], {"type": "error"})

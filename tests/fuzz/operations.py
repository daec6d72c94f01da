"""What screens send: operations of `/v1/stream`, JSON and msgpack, several on one connection, with beats between them."""

import json
from typing import Any

import msgspec

from riskengine.config import ServerConfig
from riskengine.views.board import JSON, MSGPACK, Board, Encoding
from riskengine.views.grants import EVERYTHING, Grants
from riskengine.views.subscription import FIELDS, VIEWS, Subscriptions
from tests.fuzz.house import house, sound_rows
from tests.fuzz.mutation import Draw
from tests.fuzz.rules import Violation, reasoned
from tests.serve.stand_in import StandIn
from tests.serve.wired import Wired
from tests.stream_client import status
from tests.world import NOON, trade

NODES = ("ALL", "Currencies", "FX1", "EQ1", "NOWHERE", "")
IDS = ("a", "b", "c", "d")
FEW = Grants(nodes=frozenset({"FX1"}), dealers=frozenset({"ann"}))
"""Of a screen that sees one desk and one dealer: its inputs begin with a small letter."""

BOARD_LASTS = 500
"""Connections that one board serves before it is made anew."""

END_OF_MESSAGE = b"\0\n\0"


class Screens:
    """One connection: a few messages, and what comes back."""

    name = "operations"

    def __init__(self) -> None:
        self._left = 0
        self._engine: Wired
        self._board: Board

    def draw(self, draw: Draw) -> bytes:
        """A letter for encoding and grants, then the messages of one connection; an empty one is a beat."""
        packed = draw.chance(0.4)
        said = [b"" if draw.chance(0.2) else self._message(draw, packed) for _ in range(1 + draw.few(8))]
        letter = b"B" if packed else b"T"
        return (letter.lower() if draw.chance(0.3) else letter) + END_OF_MESSAGE.join(said)

    def _message(self, draw: Draw, packed: bool) -> bytes:
        operation = draw.pick((*FIELDS, "subscribe", "subscribe", "subscribe"))
        asked: Any = {"op": operation, "id": draw.pick(IDS)}
        if operation == "subscribe":
            asked["view"] = draw.pick(VIEWS)
            if asked["view"] in ("ladder", "risk", "exposure") and draw.chance(0.7):
                asked["node" if draw.chance(0.7) else "dealer"] = draw.pick(NODES)
            if asked["view"] == "exposure" and draw.chance(0.5):
                asked["by"] = draw.pick(("currency", "instrument", "sector", "underlying", "what"))
        elif operation == "configure":
            asked["max_hz"] = draw.pick((0.2, 1, 10, 10.1, 0, -1, True, "5", None))
        if draw.chance(0.35):
            asked = draw.record(asked, ("node", "dealer", "by", "view", "max_hz", "seq"))
        if draw.chance(0.03):
            asked = draw.value(asked)
        return draw.packed(asked) if packed else draw.written(asked)

    def check(self, data: bytes) -> str:
        """Have one connection say all of it."""
        if not self._left:
            self._engine, self._left = _dealt(), BOARD_LASTS
            self._board = Board(self._engine.recent.newest, status)
        self._left -= 1
        is_text = data[:1].upper() != b"B"
        encoding = JSON if is_text else MSGPACK
        grants = FEW if data[:1].islower() else EVERYTHING
        connection = Subscriptions(self._board, encoding, ServerConfig(), grants)
        seq = _heard(encoding, connection.hello())["seq"]
        ways = []
        try:
            for said in data[1:].split(END_OF_MESSAGE):
                if not said:
                    self._beat()
                    update = connection.update(checked=True)
                    if update is not None:
                        seq = _moved(seq, _heard(encoding, update))
                    continue
                message = said.decode("utf-8", "replace") if is_text else said
                for frame in connection.handle(message):
                    told = _heard(encoding, frame)
                    ways.append(_way(told, refused=connection.refused))
                    if "seq" in told:
                        seq = told["seq"]
                if connection.refused and not ways:
                    raise Violation("refused in silence")
        finally:
            connection.close()
        return ways[-1] if ways else "silent"

    def _beat(self) -> None:
        engine = self._engine
        StandIn.publish(engine)
        self._board.note(engine.recent.newest)
        self._board.take(engine.recent.newest)


def _dealt() -> Wired:
    """An engine with a few positions."""
    engine = Wired(reference=house())
    rows = [row | {"ts": NOON, "source": "x", "received_ts": NOON} for row in sound_rows("trades") if row["action"] == "new"]
    engine.engine.apply([trade(where=house(), **row) for row in rows], NOON, len(rows))
    StandIn.publish(engine)
    return engine


def _heard(encoding: Encoding, frame: bytes) -> Any:
    """What a client reads in a frame."""
    return json.loads(frame) if encoding is JSON else msgspec.msgpack.decode(frame)


def _moved(seq: int, update: Any) -> int:
    """The seq after an update, which must begin where the connection stands."""
    if update["type"] != "update" or update["prev_seq"] != seq:
        raise Violation(f"an update from {update.get('prev_seq')} where the client stands at {seq}")
    return int(update["seq"])


def _way(told: Any, *, refused: bool) -> str:
    if told["type"] == "error":
        return f"{reasoned(told['title'])}: {reasoned(told['detail'])}"
    if refused:
        raise Violation(f"refused, and told {told!r:.200}")
    return str(told["type"])

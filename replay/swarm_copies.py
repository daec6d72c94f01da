"""What a client of the stream holds, kept from snapshots and patches by the interface alone, and whether it adds up.

Nothing of the engine is imported. What is held is never changed: a change makes a new view of it. Clients that hold the same view
and are sent the same bytes hold the same view afterwards, which is worked out, and checked, once; and whichever way they came to
a seq, they must hold the same rows there. So a thousand are looked after by one process, and every frame is still held against
the rules.
"""

import math
import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

Row = dict[str, Any]
Rows = Mapping[tuple[Any, ...], Row]

ADDED = ("total_pnl", "realised_pnl", "unrealised_pnl", "fees", "trade_count")
"""What a parent's row has as the sum of its children's, and a node's as that of its ladder."""

KEPT = 4_096
"""Steps from view to view that are remembered."""


class Held(NamedTuple):
    """One view as clients have it. `number` names it within this process, `of` says of what it is, for all clients."""

    number: int
    of: str
    key: tuple[str, ...]
    rows: Rows


class Copy(NamedTuple):
    """All that one client holds."""

    epoch: int
    seq: int
    views: Mapping[str, Held]


class Update(msgspec.Struct):
    """An update whose changes are still encoded: those that were sent before need no second look."""

    epoch: int
    seq: int
    prev_seq: int
    as_of: int
    conflated: int
    views: dict[str, msgspec.Raw]
    checksums: dict[str, int] = {}


class Wrong(Exception):
    """A frame that the interface does not allow, or after which a copy does not add up."""


_decode_update = msgspec.json.Decoder(Update).decode


def same(a: float, b: float, size: float) -> bool:
    """Equal but for the rounding of a sum of numbers that come to `size` without their signs."""
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9 * size + 1e-6)


class Copies:
    """The steps from copy to copy. Counts `frames`, `steps` (views worked out) and `checksums` compared.

    The view `nodes` is the tree, every other one the ladder of a node, whose rows say which.
    """

    def __init__(self) -> None:
        self.frames = self.steps = self.checksums = 0
        self._steps: OrderedDict[tuple[int, bytes], Held] = OrderedDict()
        self._sound: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._sums: dict[int, int] = {}
        self._at: OrderedDict[tuple[str, int], Held] = OrderedDict()

    def step(self, copy: Copy | None, message: bytes) -> Copy:
        """What a client holds that held `copy` and was sent `message`. Raises Wrong."""
        self.frames += 1
        if copy is not None and message.startswith(b'{"type":"update"'):
            return self._update(copy, _decode_update(message))
        said = msgspec.json.decode(message)
        kind = said["type"]
        if copy is None:
            if kind != "hello":
                raise Wrong(f"first comes {kind}")
            return Copy(said["epoch"], said["seq"], {})
        if kind == "snapshot":
            return self._snapshot(copy, said)
        if kind not in ("heartbeat", "pong"):
            raise Wrong(f"{said}")
        return copy

    def _snapshot(self, copy: Copy, message: dict[str, Any]) -> Copy:
        seq = message["seq"]
        if seq < copy.seq or (seq > copy.seq and copy.views):
            raise Wrong(f"a snapshot of {seq} for a client that stands at {copy.seq}")
        key = tuple(message["key"])
        held = self._held(message["id"], key, {tuple(row[field] for field in key): row for row in message["rows"]})
        return self._checked(Copy(copy.epoch, seq, {**copy.views, message["id"]: held}))

    def _update(self, copy: Copy, update: Update) -> Copy:
        seq, before = update.seq, update.prev_seq
        if before != copy.seq or seq <= before or update.conflated != seq - before - 1 or update.epoch != copy.epoch:
            raise Wrong(f"an update from {before} to {seq} for a client that stands at {copy.seq}")
        views = dict(copy.views)
        for name, change in update.views.items():
            views[name] = self._changed(name, views[name], bytes(change))
        after = self._checked(Copy(copy.epoch, seq, views))
        for name, expected in update.checksums.items():
            self.checksums += 1
            if self._checksum(views[name]) != expected:
                raise Wrong(f"{name} at {seq}: the checksum is another one")
        return after

    def _changed(self, name: str, held: Held, encoded: bytes) -> Held:
        found = self._steps.get((held.number, encoded))
        if found is not None:
            return found
        change = msgspec.json.decode(encoded)
        if not change["rows"] and not change["removed"]:
            raise Wrong(f"{name}: a change that changes nothing")
        rows = dict(held.rows)
        for row in change["rows"]:
            place = tuple(row[field] for field in held.key)
            rows[place] = rows[place] | row if place in rows else row
        for place in change["removed"]:
            del rows[tuple(place)]
        after = self._steps[held.number, encoded] = self._held(name, held.key, rows)
        if len(self._steps) > KEPT:
            self._steps.popitem(last=False)
        return after

    def _held(self, name: str, key: tuple[str, ...], rows: Rows) -> Held:
        self.steps += 1
        owner = "" if name == "nodes" else next(iter(rows.values()))["node"]
        return Held(self.steps, f"{name} {owner}", key, rows)

    def _agreed(self, held: Held, seq: int) -> Held:
        """What every client holds of this at a seq. Raises Wrong where this one holds something else."""
        first = self._at.setdefault((held.of, seq), held)
        if len(self._at) > KEPT:
            self._at.popitem(last=False)
        if first is not held and first.rows != held.rows:
            raise Wrong(f"{held.of} at {seq}: two clients hold different rows")
        return first

    def _checksum(self, held: Held) -> int:
        if held.number not in self._sums:
            if len(self._sums) > KEPT:
                self._sums.clear()
            self._sums[held.number] = checksum(held.rows.values())
        return self._sums[held.number]

    def _checked(self, copy: Copy) -> Copy:
        """Raise Wrong unless totals equal the sum of their rows."""
        nodes = copy.views.get("nodes")
        if nodes is None:
            return copy
        copy = copy._replace(views={name: self._agreed(held, copy.seq) for name, held in copy.views.items()})
        nodes = copy.views["nodes"]
        for name, held in copy.views.items():
            place = nodes.number, held.number
            if place in self._sound:
                continue
            if name == "nodes":
                check_tree(f"at {copy.seq}", nodes.rows.values())
            else:
                check_ladder(f"at {copy.seq}", nodes.rows, held.rows.values())
            self._sound[place] = None
            if len(self._sound) > KEPT:
                self._sound.popitem(last=False)
        return copy


def check_tree(when: str, rows: Iterable[Row]) -> None:
    """Raise Wrong unless every parent is the sum of its children."""
    by_name = {row["node"]: row for row in rows}
    children: dict[str, list[Row]] = {}
    for row in by_name.values():
        if row["parent"] is not None:
            children.setdefault(row["parent"], []).append(row)
    for parent, below in children.items():
        _adds_up(f"node {parent} {when}", by_name[parent], below)


def check_ladder(when: str, nodes: Rows, ladder: Iterable[Row]) -> None:
    """Raise Wrong unless a ladder's rows come to the row of its node."""
    rows = list(ladder)
    owners = {row["node"] for row in rows}
    if len(owners) != 1:
        raise Wrong(f"a ladder of {owners} {when}")
    _adds_up(f"ladder of {owners} {when}", nodes[(owners.pop(),)], rows)


def _adds_up(what: str, total: Row, parts: Iterable[Row]) -> None:
    rows = list(parts)
    for field in ADDED:
        values = [row[field] for row in rows if row[field] is not None]
        if total[field] is None:
            if values:
                raise Wrong(f"{what}: {field} is unknown, and {len(values)} of its parts are not")
        elif not same(total[field], math.fsum(values), math.fsum(map(abs, values))):
            raise Wrong(f"{what}: {field} is {total[field]}, its parts come to {math.fsum(values)}")


def checksum(rows: Iterable[Row]) -> int:
    """As the interface defines it."""
    whole = 0
    for row in rows:
        parts = []
        for name in sorted(row):
            value = row[name]
            if isinstance(value, bool):
                parts += [name.encode(), b"t" if value else b"f"]
            elif isinstance(value, int | float):
                parts += [name.encode(), b"n", struct.pack(">d", float(value) + 0.0)]
            elif isinstance(value, str):
                parts += [name.encode(), b"s", value.encode()]
        whole += zlib.crc32(b"".join(parts))
    return whole & 0xFFFF_FFFF

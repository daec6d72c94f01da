"""Keeps clients' copies from the snapshots and patches of the stream, and checks that they add up.

It follows the interface alone and imports nothing of the engine. Views are immutable: a change makes a new view. Clients that
hold the same view and receive the same bytes hold the same view afterwards; it is computed and checked once. All clients must
hold the same rows at the same seq, whatever path led there. One process can thus follow a thousand clients and check every frame.
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
"""Fields in which a parent's row is the sum of its children's, and a node's row the sum of its ladder's."""

KEPT = 4_096
"""Number of steps from view to view kept in the cache."""


class View(NamedTuple):
    """One view as clients hold it. `number` identifies it within this process, `of` names its subject for all clients."""

    number: int
    of: str
    key: tuple[str, ...]
    rows: Rows


class Copy(NamedTuple):
    """The views of one client."""

    epoch: int
    seq: int
    views: Mapping[str, View]


class Update(msgspec.Struct):
    """An update whose changes are still encoded: changes seen before need no decoding."""

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
    """Whether two sums are equal up to rounding, for numbers whose absolute values sum to `size`."""
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9 * size + 1e-6)


class Copies:
    """The steps from copy to copy. Counts `frames`, `steps` (views computed) and `checksums` compared.

    The view `nodes` is the tree; every other view is the ladder of the node that its rows name.
    """

    def __init__(self) -> None:
        self.frames = self.steps = self.checksums = 0
        self._steps: OrderedDict[tuple[int, bytes], View] = OrderedDict()
        self._sound: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._sums: dict[int, int] = {}
        self._at: OrderedDict[tuple[str, int], View] = OrderedDict()

    def step(self, copy: Copy | None, message: bytes) -> Copy:
        """The next copy of a client that holds `copy` and receives `message`. Raises Wrong."""
        self.frames += 1
        if copy is not None and message.startswith(b'{"type":"update"'):
            return self._update(copy, _decode_update(message))
        decoded = msgspec.json.decode(message)
        kind = decoded["type"]
        if copy is None:
            if kind != "hello":
                raise Wrong(f"the first message is {kind}")
            return Copy(decoded["epoch"], decoded["seq"], {})
        if kind == "snapshot":
            return self._snapshot(copy, decoded)
        if kind not in ("heartbeat", "pong"):
            raise Wrong(f"{decoded}")
        return copy

    def _snapshot(self, copy: Copy, message: dict[str, Any]) -> Copy:
        seq = message["seq"]
        if seq < copy.seq or (seq > copy.seq and copy.views):
            raise Wrong(f"a snapshot of {seq} for a client at {copy.seq}")
        key = tuple(message["key"])
        view = self._make_view(message["id"], key, {tuple(row[field] for field in key): row for row in message["rows"]})
        return self._check_totals(Copy(copy.epoch, seq, {**copy.views, message["id"]: view}))

    def _update(self, copy: Copy, update: Update) -> Copy:
        seq, before = update.seq, update.prev_seq
        if before != copy.seq or seq <= before or update.conflated != seq - before - 1 or update.epoch != copy.epoch:
            raise Wrong(f"an update from {before} to {seq} for a client at {copy.seq}")
        views = dict(copy.views)
        for name, change in update.views.items():
            views[name] = self._apply_change(name, views[name], bytes(change))
        after = self._check_totals(Copy(copy.epoch, seq, views))
        for name, expected in update.checksums.items():
            self.checksums += 1
            if self._checksum(views[name]) != expected:
                raise Wrong(f"{name} at {seq}: the checksum differs")
        return after

    def _apply_change(self, name: str, view: View, encoded: bytes) -> View:
        found = self._steps.get((view.number, encoded))
        if found is not None:
            return found
        change = msgspec.json.decode(encoded)
        if not change["rows"] and not change["removed"]:
            raise Wrong(f"{name}: a change that changes nothing")
        rows = dict(view.rows)
        for row in change["rows"]:
            place = tuple(row[field] for field in view.key)
            rows[place] = rows[place] | row if place in rows else row
        for place in change["removed"]:
            del rows[tuple(place)]
        after = self._steps[view.number, encoded] = self._make_view(name, view.key, rows)
        if len(self._steps) > KEPT:
            self._steps.popitem(last=False)
        return after

    def _make_view(self, name: str, key: tuple[str, ...], rows: Rows) -> View:
        self.steps += 1
        owner = "" if name == "nodes" else next(iter(rows.values()))["node"]
        return View(self.steps, f"{name} {owner}", key, rows)

    def _shared_view(self, view: View, seq: int) -> View:
        """The view that every client holds of this subject at a seq. Raises Wrong if this client's differs."""
        first = self._at.setdefault((view.of, seq), view)
        if len(self._at) > KEPT:
            self._at.popitem(last=False)
        if first is not view and first.rows != view.rows:
            raise Wrong(f"{view.of} at {seq}: two clients hold different rows")
        return first

    def _checksum(self, view: View) -> int:
        if view.number not in self._sums:
            if len(self._sums) > KEPT:
                self._sums.clear()
            self._sums[view.number] = checksum(view.rows.values())
        return self._sums[view.number]

    def _check_totals(self, copy: Copy) -> Copy:
        """Raise Wrong unless totals equal the sum of their rows."""
        nodes = copy.views.get("nodes")
        if nodes is None:
            return copy
        copy = copy._replace(views={name: self._shared_view(view, copy.seq) for name, view in copy.views.items()})
        nodes = copy.views["nodes"]
        for name, view in copy.views.items():
            place = nodes.number, view.number
            if place in self._sound:
                continue
            if name == "nodes":
                check_tree(f"at {copy.seq}", nodes.rows.values())
            else:
                check_ladder(f"at {copy.seq}", nodes.rows, view.rows.values())
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
        _check_sum(f"node {parent} {when}", by_name[parent], below)


def check_ladder(when: str, nodes: Rows, ladder: Iterable[Row]) -> None:
    """Raise Wrong unless a ladder's rows add up to the row of its node."""
    rows = list(ladder)
    owners = {row["node"] for row in rows}
    if len(owners) != 1:
        raise Wrong(f"a ladder of {owners} {when}")
    _check_sum(f"ladder of {owners} {when}", nodes[(owners.pop(),)], rows)


def _check_sum(what: str, total: Row, parts: Iterable[Row]) -> None:
    rows = list(parts)
    for field in ADDED:
        values = [row[field] for row in rows if row[field] is not None]
        if total[field] is None:
            if values:
                raise Wrong(f"{what}: {field} is unknown, but {len(values)} of its parts are known")
        elif not same(total[field], math.fsum(values), math.fsum(map(abs, values))):
            raise Wrong(f"{what}: {field} is {total[field]}, its parts add up to {math.fsum(values)}")


def checksum(rows: Iterable[Row]) -> int:
    """The checksum as the interface defines it."""
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

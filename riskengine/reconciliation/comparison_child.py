"""The process that compares: `python -m riskengine.reconciliation.comparison_child`, started by `comparison` only.

It reads messages from standard input and answers one on standard output. It ends when its input does: with its parent.
"""

import gc
import os
import sys
import threading
from collections.abc import Mapping
from queue import SimpleQueue
from typing import Any, BinaryIO

import msgspec

from riskengine.config import Config
from riskengine.errors import RiskEngineError
from riskengine.reconciliation.comparison import decode_body, frame, read_body
from riskengine.reconciliation.store_sums import Owned, StoreSide, store_side
from riskengine.snapshot.compare import DEALER, MISSING_HERE, NODE, Break, Holding, Totals, kind_of, tree_breaks
from riskengine.store.open_store import open_store

NICE = 10
"""Nice value: the engine comes first when both want the processor."""


class Comparing:
    """Compares the parent's snapshot, as it arrives, with the store's side; keeps as little of it as possible."""

    def __init__(self, there: StoreSide) -> None:
        self.compared = 0
        self._left = {NODE: there.nodes, DEALER: there.dealers}
        self._their_parents = there.parents
        self._parents: dict[str, str] = {}
        self._totals: dict[str, Totals] = {}
        self._inner: Owned = {}
        self._breaks: list[Break] = []

    def take(self, message: Mapping[str, Any]) -> None:
        """Take the next message. All of the tree comes before the first row. 1 us a row."""
        for node, parent in message.get("parents", ()):
            self._parents[node] = parent
            if parent:
                self._totals.setdefault(parent, Totals())
        for node, part in message.get(NODE, ()):
            if node in self._totals:
                self._inner.setdefault(node, {}).update(part)
            else:
                self._compare(NODE, node, part)
            if parent := self._parents[node]:
                self._totals[parent].add(part)
        for dealer, part in message.get(DEALER, ()):
            self._compare(DEALER, dealer, part)

    def breaks(self) -> list[Break]:
        """Where the two sides differ, once everything has arrived."""
        missing = [
            Break(MISSING_HERE, (rollup, owner, instrument), None, holding)
            for rollup, owners in self._left.items()
            for owner, held in owners.items()
            for instrument, holding in held.items()
        ]
        self.compared += len(missing)
        positions = sorted(self._breaks + missing, key=lambda each: each.key)
        sums = [each for node in sorted(self._totals) for each in self._totals[node].breaks(node, self._inner.get(node, {}))]
        return positions + sums + tree_breaks(self._parents, self._their_parents)

    def _compare(self, rollup: str, owner: str, part: dict[str, Holding]) -> None:
        theirs = self._left[rollup].get(owner, {})
        self.compared += len(part)
        if part == theirs:
            theirs.clear()
            return
        for instrument, figures in part.items():
            other = theirs.pop(instrument, None)
            if figures != other:
                here = Holding(*figures)
                self._breaks.append(Break(kind_of(here, other), (rollup, owner, instrument), here, other))


def main() -> None:
    """Answer one comparison."""
    gc.disable()  # hardly anything here becomes garbage before the end
    os.nice(NICE)
    messages: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, messages), daemon=True).start()
    try:
        answer = _answer(messages)
    except RiskEngineError as error:
        answer = {"error": (type(error).__name__, str(error))}
    except Exception as error:
        answer = {"error": ("", f"{type(error).__name__}: {error}")}
    sys.stdout.buffer.write(frame(answer))
    sys.stdout.buffer.flush()


def _listen(stream: BinaryIO, messages: "SimpleQueue[bytes]") -> None:
    """Take messages while the store is read. The end of input means that the parent has ended or given up: exit."""
    try:
        while True:
            messages.put(read_body(stream))
    except EOFError:
        os._exit(0)


def _answer(messages: "SimpleQueue[bytes]") -> dict[str, Any]:
    asked = decode_body(messages.get())
    config = msgspec.json.decode(asked["config"], type=Config)
    store = open_store(asked["url"], create=False, read_only=True, examine=False)
    try:
        there = store_side(store, config, asked["watermark"], asked["day"], asked["actions_day"])
        wanted = decode_body(messages.get())
        other = (wanted["watermark"], wanted["day"]) != (there.watermark, asked["day"])
        if other or (there.has_actions and wanted["actions_day"] != asked["actions_day"]):
            there = store_side(store, config, wanted["watermark"], wanted["day"], wanted["actions_day"])
    finally:
        store.close()
    comparing = Comparing(there)
    while message := decode_body(messages.get()):
        comparing.take(message)
    breaks = comparing.breaks()
    return {
        "breaks": [(each.kind, each.key, _plain(each.here), _plain(each.there)) for each in breaks],
        "compared": comparing.compared,
        "watermark": there.watermark,
        "revision": there.revision,
    }


def _plain(holding: Holding | None) -> tuple[Any, ...] | None:
    return None if holding is None else tuple(holding)


if __name__ == "__main__":
    main()

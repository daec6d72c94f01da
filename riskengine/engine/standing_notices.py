"""Notices about versions of trades, each listed while its version stands.

A notice is kept when its version no longer stands, because that may stand again (a later version is quarantined or rejected). The
lists are brought up to date by what has changed: with 10,000 notices listed, one more trade must not wait for all of them. Owned
by the writer thread, as the work list is.
"""

from collections.abc import Collection, Iterator
from itertools import count

from riskengine.positions.processed import Processed
from riskengine.records.types import Identity, Trade
from riskengine.snapshot.snapshot import ExceptionItem


class StandingNotices:
    """Notices by kind and id. `kinds` are those that there may be; `limit` of each are kept, and the oldest make room."""

    def __init__(self, kinds: Collection[str], limit: int) -> None:
        self._limit = limit
        self._kept: dict[str, dict[str, ExceptionItem]] = {kind: {} for kind in kinds}
        self._listed: dict[str, dict[str, ExceptionItem]] = {kind: {} for kind in kinds}
        self._of_identity: dict[Identity, set[tuple[str, str]]] = {}
        self._places: dict[str, int] = {}  # rise with every notice that is kept; ids name their kind, so all share them
        self._numbers = count()
        self._to_judge: dict[tuple[str, str], None] = {}
        self._changed = set(kinds)

    def of_kinds(self, kinds: Collection[str]) -> dict[str, ExceptionItem]:
        """Every notice of these kinds, whether its version stands or not, by id. O(notices)."""
        return {item_id: item for kind in kinds for item_id, item in self._kept[kind].items()}

    def add(self, item: ExceptionItem) -> bool:
        """Keep a notice. Returns False if one of the same id was kept before; that one stays. O(1)."""
        kept = self._kept[item.kind]
        if item.id in kept:
            return False
        if len(kept) >= self._limit:
            self.discard(item.kind, next(iter(kept)))
        kept[item.id] = item
        self._places[item.id] = next(self._numbers)
        if item.trade is not None:
            self._of_identity.setdefault(item.trade.identity, set()).add((item.kind, item.id))
        self._to_judge[item.kind, item.id] = None
        return True

    def discard(self, kind: str, item_id: str) -> None:
        """Forget a notice, if it is kept. O(1)."""
        item = self._kept[kind].pop(item_id, None)
        if item is None:
            return
        del self._places[item_id]
        if item.trade is not None:
            others = self._of_identity[item.trade.identity]
            others.discard((kind, item_id))
            if not others:
                del self._of_identity[item.trade.identity]
        self._to_judge.pop((kind, item_id), None)
        if self._listed[kind].pop(item_id, None) is not None:
            self._changed.add(kind)

    def note_standing(self, identity: Identity) -> None:
        """Another version of a trade may stand now. O(notices of that trade)."""
        for place in self._of_identity.get(identity, ()):
            self._to_judge[place] = None

    def changed(self, processed: Processed) -> Iterator[tuple[str, tuple[ExceptionItem, ...]]]:
        """The lists that are not as at the last call, each as (kind, notices, oldest first). O(changes + their lists)."""
        out_of_order = set()
        for kind, item_id in self._to_judge:
            item, listed = self._kept[kind][item_id], self._listed[kind]
            if _stands(item.trade, processed) == (item_id in listed):
                continue
            self._changed.add(kind)
            if item_id in listed:
                del listed[item_id]
                continue
            if listed and self._places[item_id] < self._places[next(reversed(listed))]:
                out_of_order.add(kind)
            listed[item_id] = item
        self._to_judge.clear()
        for kind in out_of_order:
            listed = self._listed[kind]
            self._listed[kind] = {item_id: item for item_id, item in self._kept[kind].items() if item_id in listed}
        for kind in self._changed:
            yield kind, tuple(self._listed[kind].values())
        self._changed.clear()


def _stands(trade: Trade | None, processed: Processed) -> bool:
    """Whether this version takes part, frozen or not; what is about no trade always does."""
    if trade is None:
        return True
    effective = processed.effective(trade.identity)
    return effective.version == trade.version if effective is not None else processed.stands(trade)

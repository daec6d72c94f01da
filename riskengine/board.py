"""What all connections of the stream share: the snapshot that they are brought to, and the rows of the views they watch.

The rows of a view are worked out once per snapshot, and only where something moved; the change between a version of a view
and the newest is worked out and encoded once, as a fragment that every update from that version joins in. A few versions are
kept; whoever stands at an older one gets all rows, which is as correct and costs more.

No clock, thread, task or socket in here. One thread uses a board and everything that stands at it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import msgspec

from riskengine.hierarchy import Reference
from riskengine.snapshot import Snapshot, Table
from riskengine.unit_values import Units
from riskengine.valuation import PAGE
from riskengine.views import RowDict, UnknownName, dealer_number, dealer_row, ladder_rows, node_number, node_row

MAX_VERSIONS = 8
MAX_KEPT_ROWS = 20_000
"""Rows kept beyond the newest two versions of a view."""


class Encoding:
    """How messages are written. Encoded parts are joined into later messages as `msgspec.Raw`. Compared by identity."""

    def __init__(self, name: str, encode: Callable[[Any], bytes], is_text: bool) -> None:
        self.name = name
        self.encode = encode
        self.is_text = is_text


JSON = Encoding("json", msgspec.json.Encoder().encode, True)
MSGPACK = Encoding("msgpack", msgspec.msgpack.Encoder().encode, False)
ENCODINGS = {encoding.name: encoding for encoding in (JSON, MSGPACK)}


# -- where the rows of a view come from --------------------------------------------------------------------------


class Source(Protocol):
    """The rows of one view. `key` names the field that tells rows apart; empty where there is only one row."""

    key: tuple[str, ...]

    def trade_mark(self, snapshot: Snapshot) -> object:
        """Another object after every trade that this view shows. O(1)."""
        ...

    def price_mark(self, snapshot: Snapshot) -> object:
        """Another object after everything else that moves rows. O(1)."""
        ...

    def rows(self, snapshot: Snapshot) -> Iterable[RowDict]:
        """The rows of a snapshot not older than the one before."""
        ...


class Owners:
    """Rows of nodes or dealers. After trades alone, only the owners that they moved are worked out anew."""

    key: tuple[str, ...]

    def __init__(self) -> None:
        self._rows: list[RowDict] = []
        self._seen: tuple[Reference, Units, Table] | None = None

    def table(self, snapshot: Snapshot) -> Table:
        """The roll-up that is shown."""
        raise AssertionError("a roll-up is of nodes or of dealers")

    def row(self, snapshot: Snapshot, owner: int) -> RowDict:
        """The row of one owner."""
        raise AssertionError("a roll-up is of nodes or of dealers")

    def trade_mark(self, snapshot: Snapshot) -> object:
        """See `Source`."""
        return self.table(snapshot).states

    def price_mark(self, snapshot: Snapshot) -> object:
        """See `Source`."""
        return snapshot.units

    def rows(self, snapshot: Snapshot) -> Iterable[RowDict]:
        """See `Source`. O(owners) after prices, O(owners on touched pages) after trades alone."""
        table, rows = self.table(snapshot), self._rows
        owners: Iterable[int] = range(table.size)
        if self._seen is not None:
            reference, units, before = self._seen
            if reference is not snapshot.reference:
                rows.clear()
            elif units is snapshot.units:
                owners = moved_owners(before, table)
        for owner in owners:
            if owner < len(rows):
                rows[owner] = self.row(snapshot, owner)
            else:
                rows.append(self.row(snapshot, owner))
        self._seen = (snapshot.reference, snapshot.units, table)
        return rows


class Nodes(Owners):
    """Every node of the organisation, parents first."""

    key: tuple[str, ...] = ("node",)

    def table(self, snapshot: Snapshot) -> Table:
        """See `Owners`."""
        return snapshot.nodes

    def row(self, snapshot: Snapshot, owner: int) -> RowDict:
        """See `Owners`."""
        return node_row(snapshot, owner)


class Dealers(Owners):
    """Every dealer that holds or has held a position, by name: the rows of `views.dealer_rows`."""

    key: tuple[str, ...] = ("dealer",)

    def table(self, snapshot: Snapshot) -> Table:
        """See `Owners`."""
        return snapshot.dealers

    def row(self, snapshot: Snapshot, owner: int) -> RowDict:
        """See `Owners`."""
        return dealer_row(snapshot, owner)

    def rows(self, snapshot: Snapshot) -> Iterable[RowDict]:
        """See `Source`."""
        shown = [row for row in super().rows(snapshot) if row["position_count"]]
        return sorted(shown, key=lambda row: str(row["dealer"]))


class Ladder:
    """What a node (the root where neither is given) or a dealer holds, by instrument. Raises UnknownName when made.

    One that is gone later, with other reference data, holds nothing until it comes back.
    """

    key: tuple[str, ...] = ("instrument",)

    def __init__(self, snapshot: Snapshot, node: str | None, dealer: str | None) -> None:
        self._node, self._dealer = node, dealer
        self._reference = snapshot.reference
        self._owner: int | None = self._number(snapshot)

    def _number(self, snapshot: Snapshot) -> int:
        if self._dealer is not None:
            return dealer_number(snapshot, self._dealer)
        root = next(iter(snapshot.reference.hierarchy.names), "")
        return node_number(snapshot, root if self._node is None else self._node)

    def trade_mark(self, snapshot: Snapshot) -> object:
        """See `Source`. O(dealers) while a dealer is gone, and once with other reference data."""
        if snapshot.reference is not self._reference or self._owner is None:
            self._reference = snapshot.reference
            try:
                self._owner = self._number(snapshot)
            except UnknownName:
                self._owner = None
                return None
        return (snapshot.nodes if self._dealer is None else snapshot.dealers).state(self._owner)

    def price_mark(self, snapshot: Snapshot) -> object:
        """See `Source`."""
        return snapshot.units

    def rows(self, snapshot: Snapshot) -> Iterable[RowDict]:
        """See `Source`. O(instruments there)."""
        if self.trade_mark(snapshot) is None:
            return ()
        return ladder_rows(snapshot, node=self._node, dealer=self._dealer)


class Status:
    """One row about the engine itself; it says something new with every snapshot, and no trade alone is worth a push."""

    key: tuple[str, ...] = ()

    def __init__(self, status: Callable[[Snapshot], RowDict]) -> None:
        self._status = status

    def trade_mark(self, snapshot: Snapshot) -> object:
        """See `Source`."""
        return None

    def price_mark(self, snapshot: Snapshot) -> object:
        """See `Source`."""
        return snapshot

    def rows(self, snapshot: Snapshot) -> Iterable[RowDict]:
        """See `Source`."""
        return (self._status(snapshot),)


def moved_owners(before: Table, now: Table) -> Iterator[int]:
    """Owners whose state or numbers are not those of `before`, and new ones. O(pages + owners on touched pages)."""
    for page, (states, numbers) in enumerate(zip(now.states, now.numbers, strict=True)):
        old_states = before.states[page] if page < len(before.states) else ()
        if states is old_states and numbers is before.numbers[page]:
            continue
        known = len(old_states)
        moved = (before.numbers[page] != numbers[:, :known]).any(axis=0) if known else ()
        for column, state in enumerate(states):
            if column >= known or moved[column] or state is not old_states[column]:
                yield page * PAGE + column


# -- versions of a view ------------------------------------------------------------------------------------------


class Version:
    """The rows of a view from one snapshot until something in them moves. `number` rises from version to version."""

    __slots__ = ("_changes", "_whole", "number", "rows")

    def __init__(self, number: int, rows: dict[str, RowDict]) -> None:
        self.number = number
        self.rows = rows
        self._whole: dict[Encoding, msgspec.Raw] = {}
        self._changes: dict[tuple[int, Encoding], msgspec.Raw] = {}

    def whole(self, encoding: Encoding) -> msgspec.Raw:
        """All rows as a list, encoded once."""
        found = self._whole.get(encoding)
        if found is None:
            found = self._whole[encoding] = msgspec.Raw(encoding.encode(list(self.rows.values())))
        return found

    def change(self, since: int, encoding: Encoding, build: Callable[[], RowDict]) -> msgspec.Raw:
        """The change from version `since` to this one, encoded once."""
        found = self._changes.get((since, encoding))
        if found is None:
            found = self._changes[since, encoding] = msgspec.Raw(encoding.encode(build()))
        return found


class SharedView:
    """One view, for everybody who watches it. `users` counts the subscriptions.

    `trade_seq` is that of the newest snapshot, among those noted, that came after a trade which this view shows.
    """

    def __init__(self, source: Source, snapshot: Snapshot) -> None:
        self.key = source.key
        self.users = 0
        self.trade_seq = 0
        self._source = source
        self._seq = snapshot.seq
        self._trade_mark = source.trade_mark(snapshot)
        self._marks = (self._trade_mark, source.price_mark(snapshot))
        self._versions: deque[Version] = deque((Version(1, self._rows(snapshot)),))
        self._removed: dict[str, int] = {}
        """Keys that were there once, with the number of the version that lacked them first."""

    def note(self, snapshot: Snapshot) -> None:
        """See whether a trade has moved this view. O(1): no row is worked out."""
        mark = self._source.trade_mark(snapshot)
        if mark is not self._trade_mark:
            self._trade_mark, self.trade_seq = mark, snapshot.seq

    def version(self, snapshot: Snapshot) -> Version:
        """The version that a snapshot shows. Asked about snapshots in their order only."""
        if snapshot.seq != self._seq:
            assert snapshot.seq > self._seq, "a board does not move back"
            trade_mark, price_mark = self._source.trade_mark(snapshot), self._source.price_mark(snapshot)
            if trade_mark is not self._marks[0] or price_mark is not self._marks[1]:
                self._advance(self._rows(snapshot))
                self._marks = (trade_mark, price_mark)
            self._seq = snapshot.seq
        return self._versions[-1]

    def change(self, since: int, encoding: Encoding) -> msgspec.Raw:
        """What brings a client from version `since` to the newest: `{rows, removed}`, encoded."""
        return self._versions[-1].change(since, encoding, lambda: self._change(since))

    def _rows(self, snapshot: Snapshot) -> dict[str, RowDict]:
        field = self.key[0] if self.key else None
        return {row[field] if field is not None else "": row for row in self._source.rows(snapshot)}

    def _advance(self, rows: dict[str, RowDict]) -> None:
        """Make `rows` the newest version, unless they say what the newest says already."""
        newest = self._versions[-1]
        before = newest.rows
        moved = len(rows) != len(before)
        for key, row in rows.items():
            if before.get(key) == row:
                rows[key] = before[key]
            else:
                moved = True
        if not moved:
            return
        number = newest.number + 1
        for key in before.keys() - rows.keys():
            self._removed[key] = number
        for key in self._removed.keys() & rows.keys():
            del self._removed[key]
        versions = self._versions
        versions.append(Version(number, rows))
        spare = sum(len(version.rows) for version in versions) - len(rows) - len(before)
        while len(versions) > 2 and (spare > MAX_KEPT_ROWS or len(versions) > MAX_VERSIONS):
            spare -= len(versions.popleft().rows)

    def _change(self, since: int) -> RowDict:
        newest = self._versions[-1]
        first = self._versions[0].number
        if since < first:
            removed = [[key] for key, number in self._removed.items() if number > since]
            return {"rows": list(newest.rows.values()), "removed": removed}
        before = self._versions[since - first].rows
        changed = []
        for key, row in newest.rows.items():
            old = before.get(key)
            if old is None:
                changed.append(row)
            elif old is not row:
                fields = dict.fromkeys(self.key, key) | {f: value for f, value in row.items() if old.get(f) != value}
                fields |= dict.fromkeys(old.keys() - row.keys())
                if len(fields) > len(self.key):
                    changed.append(fields)
        return {"rows": changed, "removed": [[key] for key in before if key not in newest.rows]}


# -- the board ---------------------------------------------------------------------------------------------------


class Board:
    """The snapshot that connections are brought to, and the views that any of them has subscribed to.

    `status` makes the one row of the view of that name.
    """

    def __init__(self, snapshot: Snapshot, status: Callable[[Snapshot], RowDict]) -> None:
        self.snapshot = snapshot
        self._status = status
        self._views: dict[tuple[str, str | None, str | None], SharedView] = {}

    def take(self, snapshot: Snapshot) -> None:
        """Have everybody's next message be about `snapshot`; one older than before is ignored. O(views)."""
        if snapshot.seq <= self.snapshot.seq:
            return
        self.snapshot = snapshot
        for view in self._views.values():
            view.note(snapshot)

    def open(self, view: str, node: str | None, dealer: str | None) -> SharedView:
        """A view for one more subscription; `close` it when that ends. Raises UnknownName."""
        key = (view, node, dealer)
        source = self._source(view, node, dealer)  # also for one that is open: its owner may be gone by now
        shared = self._views.get(key)
        if shared is None:
            shared = self._views[key] = SharedView(source, self.snapshot)
        shared.users += 1
        return shared

    def close(self, shared: SharedView) -> None:
        """One subscription less; what nobody watches is not worked out."""
        shared.users -= 1
        if not shared.users:
            self._views = {key: view for key, view in self._views.items() if view is not shared}

    def _source(self, view: str, node: str | None, dealer: str | None) -> Source:
        if view == "nodes":
            return Nodes()
        if view == "dealers":
            return Dealers()
        if view == "status":
            return Status(self._status)
        return Ladder(self.snapshot, node, dealer)

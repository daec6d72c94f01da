"""What all connections of the stream share: each view's rows, worked out once a snapshot, and what changed, encoded once.

A `SharedView` keeps the rows of one view as numbered versions. The change from one version to the newest is worked out and
encoded when the first client needs it: a fragment. A `Layout` is a set of subscriptions under their names; connections that
have the same ones stand alike, in one `Standing`, and the update that moves it on is joined from fragments once and is the same
bytes for all of them. A version lives while somebody stands at it, within a bound; beyond it, whoever stood there gets all rows,
which is as correct and costs more.

No clock, thread, task or socket in here. One thread uses a board and everything that stands at it.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakValueDictionary, ref

import msgspec

from riskengine.clock import MICROS_PER_SECOND
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import Snapshot
from riskengine.views.checksum import view_checksum
from riskengine.views.grants import EVERYTHING, Grants
from riskengine.views.sources import AllDealers, AllNodes, Dealers, Ladder, Nodes, Source, Status

MAX_KEPT_ROWS = 20_000
"""Rows kept in versions of a view beyond the newest."""

MAX_KEPT_MESSAGES = 32
"""Snapshots of a view that are kept for the next who asks: names are the clients' own, and a copy can be a megabyte."""

QUIET_US = MICROS_PER_SECOND
"""A connection whose views do not change is told so this often, by an update without views."""


class Encoding:
    """How messages are written. Encoded parts are joined into later messages as `msgspec.Raw`. Compared by identity.

    `encode` writes a value, `finish` makes of a whole message what is sent; by default they are the same bytes. Encodings of
    one name share their parts.
    """

    def __init__(
        self, name: str, encode: Callable[[Any], bytes], is_text: bool, finish: Callable[[bytes], bytes] | None = None
    ) -> None:
        self.name = name
        self.encode = encode
        self.is_text = is_text
        self.message: Callable[[Any], bytes] = encode if finish is None else lambda value: finish(encode(value))


JSON = Encoding("json", msgspec.json.Encoder().encode, True)
MSGPACK = Encoding("msgpack", msgspec.msgpack.Encoder().encode, False)
ENCODINGS = {encoding.name: encoding for encoding in (JSON, MSGPACK)}


# -- versions of a view ------------------------------------------------------------------------------------------


class Version:
    """The rows of a view from one snapshot until something in them moves. `number` rises from version to version."""

    __slots__ = ("__weakref__", "_changes", "_checksum", "_messages", "_whole", "number", "rows")

    def __init__(self, number: int, rows: dict[str, RowDict]) -> None:
        self.number = number
        self.rows: dict[str, RowDict] | None = rows
        """By key; None where they were given up."""
        self._whole: dict[str, msgspec.Raw] = {}
        self._changes: dict[tuple[int, str], msgspec.Raw | None] = {}
        self._messages: tuple[int, dict[object, bytes]] = (-1, {})
        self._checksum: int | None = None

    def all_rows(self, encoding: Encoding) -> msgspec.Raw:
        """All rows as a list, encoded once. Of the newest version."""
        found = self._whole.get(encoding.name)
        if found is None:
            assert self.rows is not None, "the newest version has its rows"
            found = self._whole[encoding.name] = msgspec.Raw(encoding.encode(list(self.rows.values())))
        return found

    def change(self, since: int, encoding: Encoding, build: Callable[[], RowDict]) -> msgspec.Raw | None:
        """The change from version `since` to this one, encoded once; None where all that moved has come back."""
        key = since, encoding.name
        if key not in self._changes:
            change = build()
            self._changes[key] = msgspec.Raw(encoding.encode(change)) if any(change.values()) else None
        return self._changes[key]

    def message(self, seq: int, key: object, build: Callable[[], bytes]) -> bytes:
        """A whole message about this version at one snapshot, made once."""
        if self._messages[0] != seq or len(self._messages[1]) >= MAX_KEPT_MESSAGES:
            self._messages = (seq, {})
        found = self._messages[1].get(key)
        if found is None:
            found = self._messages[1][key] = build()
        return found

    def checksum(self) -> int:
        """See `view_checksum`. O(rows) once. Of the newest version."""
        if self._checksum is None:
            assert self.rows is not None, "the newest version has its rows"
            self._checksum = view_checksum(self.rows.values())
        return self._checksum

    def drop_rows(self) -> None:
        """Give up rows and encodings: who stands here will get all rows."""
        self.rows = None
        self.drop_encodings()

    def drop_encodings(self) -> None:
        """Give up what only the newest version is asked for."""
        self._whole, self._changes, self._messages = {}, {}, (-1, {})


class SharedView:
    """One view, for everybody of an access class who watches it. `users` counts the subscriptions.

    `trade_seq` is that of the newest snapshot, among those noted, that came after a trade which this view shows.
    """

    def __init__(
        self, source: Source, snapshot: Snapshot, *, checked: bool = True, ladder_of: tuple[str | None, str | None] | None = None
    ) -> None:
        self.key = source.key
        self.checked = checked
        """Whether its rows have a checksum."""
        self.ladder_of = ladder_of
        """The node or the dealer, where it is a ladder."""
        self.users = 0
        self.trade_seq = 0
        self._source = source
        self._seq = snapshot.seq
        self._trade_token = source.trade_token(snapshot)
        self._marks = (self._trade_token, source.price_token(snapshot))
        self._newest = Version(1, self._rows(snapshot))
        self._older: deque[ref[Version]] = deque()
        """Versions before the newest at which somebody may still stand."""
        self._removed: dict[str, int] = {}
        """Keys that were there once, with the number of the version that lacked them first."""

    @property
    def size(self) -> int:
        """Rows of the newest version. O(1)."""
        return len(self._newest.rows or ())

    def note(self, snapshot: Snapshot) -> bool:
        """See whether a trade has moved this view. O(1): no row is worked out."""
        mark = self._source.trade_token(snapshot)
        if mark is self._trade_token:
            return False
        self._trade_token, self.trade_seq = mark, snapshot.seq
        return True

    def version(self, snapshot: Snapshot) -> Version:
        """The version that a snapshot shows. Asked about snapshots in their order only."""
        if snapshot.seq != self._seq:
            assert snapshot.seq > self._seq, "a board does not move back"
            trade_token, price_token = self._source.trade_token(snapshot), self._source.price_token(snapshot)
            if trade_token is not self._marks[0] or price_token is not self._marks[1]:
                self._advance(self._rows(snapshot))
                self._marks = (trade_token, price_token)
            self._seq = snapshot.seq
        return self._newest

    def change(self, since: Version, encoding: Encoding) -> msgspec.Raw | None:
        """What brings a client from a version to the newest: `{rows, removed}`, encoded; None where that is nothing."""
        return self._newest.change(since.number, encoding, lambda: self._change(since))

    def _rows(self, snapshot: Snapshot) -> dict[str, RowDict]:
        field = self.key[0] if self.key else None
        return {row[field] if field is not None else "": row for row in self._source.rows(snapshot)}

    def _advance(self, rows: dict[str, RowDict]) -> None:
        """Make `rows` the newest version, unless they say what the newest says already."""
        newest = self._newest
        before = newest.rows
        assert before is not None, "the newest version has its rows"
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
        newest.drop_encodings()
        self._older.append(ref(newest))
        self._newest = Version(number, rows)
        del newest
        self._drop_old_rows()

    def _drop_old_rows(self) -> None:
        """Forget versions at which nobody stands, and the rows of the oldest others beyond the bound."""
        kept: list[Version] = [version for at in self._older if (version := at()) is not None and version.rows is not None]
        self._older = deque(map(ref, kept))
        spare = sum(len(version.rows) for version in kept if version.rows is not None)
        for version in kept:
            if spare <= MAX_KEPT_ROWS:
                break
            spare -= len(version.rows or ())
            version.drop_rows()

    def _change(self, since: Version) -> RowDict:
        rows, before = self._newest.rows, since.rows
        assert rows is not None, "the newest version has its rows"
        if before is None:
            removed = [[key] for key, number in self._removed.items() if number > since.number]
            return {"rows": list(rows.values()), "removed": removed}
        changed = []
        for key, row in rows.items():
            old = before.get(key)
            if old is None:
                changed.append(row)
            elif old is not row:
                fields = dict.fromkeys(self.key, key) | {f: value for f, value in row.items() if old.get(f) != value}
                fields |= dict.fromkeys(old.keys() - row.keys())
                if len(fields) > len(self.key):
                    changed.append(fields)
        return {"rows": changed, "removed": [[key] for key in before if key not in rows]}


# -- where connections stand -------------------------------------------------------------------------------------


Items = tuple[tuple[str, SharedView], ...]
"""Subscriptions: their names, and what they show."""


class Layout:
    """The subscriptions of a connection, shared by all that have the same under the same names in one encoding.

    `number` tells layouts apart: those of different numbers may be sent at different beats.
    """

    def __init__(self, board: "Board", encoding: Encoding, items: Items, number: int) -> None:
        self.board = board
        self.encoding = encoding
        self.items = items
        self.number = number
        self.cost_s = 0.0  # for who sends: what working out a move takes
        self._standing: Standing | None = None
        self._moves: tuple[int, dict[tuple[int, bool], Move]] = (-1, {})

    @property
    def trade_seq(self) -> int:
        """The newest snapshot that a trade moved one of the views with. O(subscriptions)."""
        return max([view.trade_seq for _, view in self.items], default=0)

    def standing(self) -> "Standing":
        """Where a connection stands that has just been brought to the board's snapshot."""
        snapshot = self.board.snapshot
        if self._standing is None or self._standing.seq != snapshot.seq:
            versions = tuple([view.version(snapshot) for _, view in self.items])
            self._standing = Standing(self, snapshot, versions)
        return self._standing

    def moves(self) -> dict[tuple[int, bool], "Move"]:
        """The moves to the board's snapshot that were worked out, by the seq that they lead from and whether they are checked."""
        seq = self.board.snapshot.seq
        if self._moves[0] != seq:
            self._moves = (seq, {})
        return self._moves[1]


class Standing:
    """A layout, the seq sent last, and the version of each view that goes with it. Connections that stand alike share it."""

    __slots__ = ("as_of", "layout", "seq", "versions")

    def __init__(self, layout: Layout, snapshot: Snapshot, versions: tuple[Version, ...]) -> None:
        self.layout = layout
        self.seq = snapshot.seq
        self.as_of = snapshot.as_of
        self.versions = versions

    def move(self, *, checked: bool = False, quietly: bool = True) -> "Move | None":
        """To the board's snapshot; None where that is no news: `quietly`, a move without changes is none within a second.

        `checked` has the message carry checksums. O(subscriptions) for the first that stands here, O(1) for the others.
        """
        layout = self.layout
        snapshot = layout.board.snapshot
        if snapshot.seq <= self.seq:
            return None
        moves = layout.moves()
        known = moves.get((self.seq, checked))
        if known is not None:
            return known
        there = layout.standing()
        if quietly and there.versions == self.versions and snapshot.as_of - self.as_of < QUIET_US:
            return None
        moved = moves[self.seq, checked] = Move(there, self._update(there, snapshot, checked))
        return moved

    def without(self, layout: Layout, versions: tuple[Version, ...]) -> "Standing":
        """The same seq in a layout of fewer views."""
        left = Standing(layout, layout.board.snapshot, versions)
        left.seq, left.as_of = self.seq, self.as_of
        return left

    def _update(self, there: "Standing", snapshot: Snapshot, checked: bool) -> bytes:
        layout = self.layout
        encoding = layout.encoding
        views = {
            name: change
            for (name, view), old, new in zip(layout.items, self.versions, there.versions, strict=True)
            if old is not new and (change := view.change(old, encoding)) is not None
        }
        update: dict[str, Any] = {
            "type": "update",
            "epoch": snapshot.epoch,
            "seq": snapshot.seq,
            "prev_seq": self.seq,
            "as_of": snapshot.as_of,
            "conflated": snapshot.seq - self.seq - 1,
            "views": views,
        }
        if checked:
            versions = zip(layout.items, there.versions, strict=True)
            update["checksums"] = {name: version.checksum() for (name, view), version in versions if view.checked}
        return encoding.message(update)


class Move(NamedTuple):
    """From one standing to the next: where it leads, and the message that brings a client there."""

    standing: Standing
    message: bytes


# -- the board ---------------------------------------------------------------------------------------------------


class Board:
    """The snapshot that connections are brought to, and the views that any of them has subscribed to.

    `status` makes the one row of the view of that name, for an access class.
    """

    def __init__(self, snapshot: Snapshot, status: Callable[[Snapshot, Grants], RowDict]) -> None:
        self.snapshot = snapshot
        self._noted = snapshot
        self._status = status
        self._nodes = AllNodes()
        self._dealers = AllDealers()
        self._views: dict[tuple[str, str | None, str | None, Grants | None], SharedView] = {}
        self._layouts: WeakValueDictionary[tuple[Encoding, Items], Layout] = WeakValueDictionary()
        self._layout_number = 0

    def note(self, snapshot: Snapshot) -> list[SharedView]:
        """The views that trades have moved since the snapshot noted before. O(views). The board stays where it is."""
        if snapshot.seq <= self._noted.seq:
            return []
        self._noted = snapshot
        return [view for view in self._views.values() if view.note(snapshot)]

    def take(self, snapshot: Snapshot) -> None:
        """Have everybody's next message be about `snapshot`; one older than before is ignored. O(views) where it is not noted."""
        if snapshot.seq > self.snapshot.seq:
            self.note(snapshot)
            self.snapshot = snapshot

    def open(self, view: str, node: str | None, dealer: str | None, grants: Grants = EVERYTHING) -> SharedView:
        """A view for one more subscription; `close` it when that ends. Raises UnknownName.

        Whether a ladder may be shown is asked before; its rows are the same for everybody who may.
        """
        grants = grants.of_view(view)
        key = (view, node, dealer, None if view == "ladder" else grants)
        source = self._source(view, node, dealer, grants)  # also for one that is open: its owner may be gone by now
        shared = self._views.get(key)
        if shared is None:
            ladder_of = (node, dealer) if view == "ladder" else None
            shared = self._views[key] = SharedView(source, self.snapshot, checked=view != "status", ladder_of=ladder_of)
        shared.users += 1
        return shared

    def close(self, shared: SharedView) -> None:
        """One subscription less; what nobody watches is not worked out."""
        shared.users -= 1
        if not shared.users:
            self._views = {key: view for key, view in self._views.items() if view is not shared}

    def layout(self, encoding: Encoding, items: Items) -> Layout:
        """The layout of these subscriptions: the same for everybody who has them."""
        found = self._layouts.get((encoding, items))
        if found is None:
            self._layout_number += bool(items)  # connections that have nothing yet take no number from those that have
            found = self._layouts[encoding, items] = Layout(self, encoding, items, self._layout_number)
        return found

    def _source(self, view: str, node: str | None, dealer: str | None, grants: Grants) -> Source:
        if view == "nodes":
            return Nodes(self._nodes, grants)
        if view == "dealers":
            return Dealers(self._dealers, grants)
        if view == "status":
            return Status(lambda snapshot: self._status(snapshot, grants))
        return Ladder(self.snapshot, node, dealer)

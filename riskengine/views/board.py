"""The board: what all connections of the stream share. It makes the rows of a view once a snapshot and encodes each change once.

A `SharedView` keeps the rows of one view as numbered versions. When the first client needs the change from an older version to
the newest, the view makes and encodes it: a fragment. A `Layout` is a set of subscriptions under their names. Connections with
the same layout and the same last seq share one `Standing`, and one update for all of them, joined from fragments once.

A version lives while a connection stands at it, within a bound on rows. Beyond the bound a version loses its rows, and a
connection that stands there gets all rows with its next update: equally correct, only longer.

No clock, thread, task or socket. One thread uses a board and everything that stands at it.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from weakref import WeakValueDictionary, ref

import msgspec

from riskengine.clock import MICROS_PER_SECOND
from riskengine.snapshot.exposure import CURRENCY
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import Snapshot
from riskengine.views.checksum import view_checksum
from riskengine.views.grants import EVERYTHING, Grants
from riskengine.views.sources import (
    AllDealers,
    AllNodes,
    Dealers,
    Ladder,
    LimitLines,
    Nodes,
    OwnerExposure,
    OwnerRisk,
    Source,
    Status,
)

MAX_KEPT_ROWS = 20_000
"""Rows kept in all versions of a view but the newest."""

MAX_KEPT_MESSAGES = 32
"""Snapshot messages kept for a version: clients choose the names in them, so there may be many, and one can be a megabyte."""

OWNER_VIEWS = ("ladder", "exposure", "risk")
"""Views of one node or dealer."""

SUMMARY = "summary"
"""The field beside the rows of a view that has a summary; a change has it where the summary changed."""

DEALS_AT_ONCE = 1_000
"""Deals of the day that are added up with each snapshot (1.5 ms): the first screen after a busy hour waits little."""

QUIET_US = MICROS_PER_SECOND
"""A connection whose views do not change gets an update without views this often."""


class Encoding:
    """How messages are written. Encoded parts go into later messages as `msgspec.Raw`. Compared by identity.

    `encode` writes a value. `finish` turns the bytes of a whole message into those that are sent, by default the same. Encodings
    of one name share encoded parts.
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
    """The rows of a view from one snapshot until something in them changes. `number` rises from version to version.

    `summary` are the figures beside the rows, empty for most views.
    """

    __slots__ = ("__weakref__", "_changes", "_checksum", "_messages", "_whole", "number", "rows", "summary")

    def __init__(self, number: int, rows: dict[str, RowDict], summary: RowDict) -> None:
        self.number = number
        self.summary = summary
        self.rows: dict[str, RowDict] | None = rows
        """By key; None after `drop_rows`."""
        self._whole: dict[str, msgspec.Raw] = {}
        self._changes: dict[tuple[int, str], msgspec.Raw | None] = {}
        self._messages: tuple[int, dict[object, bytes]] = (-1, {})
        self._checksum: int | None = None

    def all_rows(self, encoding: Encoding) -> msgspec.Raw:
        """All rows as a list, encoded once. Newest version only."""
        found = self._whole.get(encoding.name)
        if found is None:
            assert self.rows is not None, "the newest version has its rows"
            found = self._whole[encoding.name] = msgspec.Raw(encoding.encode(list(self.rows.values())))
        return found

    def change(self, since: int, encoding: Encoding, build: Callable[[], RowDict]) -> msgspec.Raw | None:
        """The change from version `since` to this one, encoded once; None if everything is again as it was."""
        key = since, encoding.name
        if key not in self._changes:
            change = build()
            has_news = any(change.values()) or SUMMARY in change
            self._changes[key] = msgspec.Raw(encoding.encode(change)) if has_news else None
        return self._changes[key]

    def message(self, seq: int, key: object, build: Callable[[], bytes]) -> bytes:
        """A whole message about this version at the snapshot `seq`, made once for each `key`."""
        if self._messages[0] != seq or len(self._messages[1]) >= MAX_KEPT_MESSAGES:
            self._messages = (seq, {})
        found = self._messages[1].get(key)
        if found is None:
            found = self._messages[1][key] = build()
        return found

    def checksum(self) -> int:
        """See `view_checksum`. O(rows) at the first call. Newest version only."""
        if self._checksum is None:
            assert self.rows is not None, "the newest version has its rows"
            self._checksum = view_checksum(self.rows.values())
        return self._checksum

    def drop_rows(self) -> None:
        """Drop rows and encodings: a connection that stands here gets all rows next."""
        self.rows = None
        self.drop_encodings()

    def drop_encodings(self) -> None:
        """Drop the encodings, which only the newest version needs."""
        self._whole, self._changes, self._messages = {}, {}, (-1, {})


class SharedView:
    """One view, for all connections of an access class. `users` counts the subscriptions.

    `trade_seq` is the seq of the newest noted snapshot in which a trade changed this view.
    """

    def __init__(
        self, source: Source, snapshot: Snapshot, *, checked: bool = True, owner: tuple[str | None, str | None] | None = None
    ) -> None:
        self.key = source.key
        self.checked = checked
        """Whether its rows have a checksum."""
        self.owner = owner
        """The node or the dealer that all its rows are about (neither: the root); None for a view of many."""
        self.users = 0
        self.trade_seq = 0
        self._source = source
        self._seq = snapshot.seq
        self._trade_token = source.trade_token(snapshot)
        self._tokens = (self._trade_token, source.price_token(snapshot))
        self._newest = Version(1, self._rows(snapshot), source.summary(snapshot))
        self._older: deque[ref[Version]] = deque()
        """Versions before the newest at which a connection may still stand."""
        self._removed: dict[str, int] = {}
        """Keys that are gone, each with the number of the first version without it."""

    @property
    def size(self) -> int:
        """Rows of the newest version. O(1)."""
        return len(self._newest.rows or ())

    def note(self, snapshot: Snapshot) -> bool:
        """Note a snapshot. Returns whether a trade has changed this view since the last. Makes no row: see `trade_token`."""
        token = self._source.trade_token(snapshot)
        if token is self._trade_token:
            return False
        self._trade_token, self.trade_seq = token, snapshot.seq
        return True

    def version(self, snapshot: Snapshot) -> Version:
        """The version of a snapshot, which must not be older than that of the last call."""
        if snapshot.seq != self._seq:
            assert snapshot.seq > self._seq, "a board does not move back"
            trade_token, price_token = self._source.trade_token(snapshot), self._source.price_token(snapshot)
            if trade_token is not self._tokens[0] or price_token is not self._tokens[1]:
                self._advance(self._rows(snapshot), self._source.summary(snapshot))
                self._tokens = (trade_token, price_token)
            self._seq = snapshot.seq
        return self._newest

    def change(self, since: Version, encoding: Encoding) -> msgspec.Raw | None:
        """The change from a version to the newest: rows, removed keys, a summary that changed; encoded. None if there is none."""
        return self._newest.change(since.number, encoding, lambda: self._change(since))

    def _rows(self, snapshot: Snapshot) -> dict[str, RowDict]:
        field = self.key[0] if self.key else None
        return {row[field] if field is not None else "": row for row in self._source.rows(snapshot)}

    def _advance(self, rows: dict[str, RowDict], summary: RowDict) -> None:
        """Make these the newest version, unless they equal those of the newest."""
        newest = self._newest
        before = newest.rows
        assert before is not None, "the newest version has its rows"
        changed = len(rows) != len(before) or summary != newest.summary
        for key, row in rows.items():
            if before.get(key) == row:
                rows[key] = before[key]
            else:
                changed = True
        if not changed:
            return
        number = newest.number + 1
        for key in before.keys() - rows.keys():
            self._removed[key] = number
        for key in self._removed.keys() & rows.keys():
            del self._removed[key]
        newest.drop_encodings()
        self._older.append(ref(newest))
        self._newest = Version(number, rows, summary)
        del newest
        self._drop_old_rows()

    def _drop_old_rows(self) -> None:
        """Forget versions at which no connection stands, and drop the rows of the oldest others beyond the bound."""
        kept: list[Version] = [version for at in self._older if (version := at()) is not None and version.rows is not None]
        self._older = deque(map(ref, kept))
        spare = sum(len(version.rows) for version in kept if version.rows is not None)
        for version in kept:
            if spare <= MAX_KEPT_ROWS:
                break
            spare -= len(version.rows or ())
            version.drop_rows()

    def _change(self, since: Version) -> RowDict:
        rows, before, summary = self._newest.rows, since.rows, self._newest.summary
        assert rows is not None, "the newest version has its rows"
        more = {SUMMARY: summary} if summary != since.summary else {}
        if before is None:
            removed = [[key] for key, number in self._removed.items() if number > since.number]
            return {"rows": list(rows.values()), "removed": removed} | more
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
        return {"rows": changed, "removed": [[key] for key in before if key not in rows]} | more


# -- where connections stand -------------------------------------------------------------------------------------


Items = tuple[tuple[str, SharedView], ...]
"""Subscriptions: their names and their views."""


class Layout:
    """The subscriptions of a connection, shared by all that have the same views under the same names in one encoding.

    The sender may serve layouts of different `number` at different beats. `users` are the connections that stand in it.
    """

    def __init__(self, board: "Board", encoding: Encoding, items: Items, number: int) -> None:
        self.board = board
        self.encoding = encoding
        self.items = items
        self.number = number
        self.users = 0
        self.cost_s = 0.0  # the sender's: how long a move takes to make
        self._standing: Standing | None = None
        self._moves: tuple[int, dict[tuple[int, bool], Move]] = (-1, {})

    @property
    def trade_seq(self) -> int:
        """The seq of the newest snapshot in which a trade changed one of the views. O(subscriptions)."""
        return max([view.trade_seq for _, view in self.items], default=0)

    def standing(self) -> "Standing":
        """The standing at the board's snapshot."""
        snapshot = self.board.snapshot
        if self._standing is None or self._standing.seq != snapshot.seq:
            versions = tuple([view.version(snapshot) for _, view in self.items])
            self._standing = Standing(self, snapshot, versions)
        return self._standing

    def leave(self) -> None:
        """End the stay of one connection. After the last, forget all: standings and moves, rows and messages refer back here.

        The garbage collector, which is rare in an engine, would find them late.
        """
        self.users -= 1
        if not self.users:
            self._standing, self._moves = None, (-1, {})

    def moves(self) -> dict[tuple[int, bool], "Move"]:
        """The moves to the board's snapshot made so far, by the seq that they lead from and whether they carry checksums."""
        seq = self.board.snapshot.seq
        if self._moves[0] != seq:
            self._moves = (seq, {})
        return self._moves[1]


class Standing:
    """Where connections stand: a layout, the seq sent last, and the version of each view at that seq. Immutable and shared."""

    __slots__ = ("as_of", "layout", "seq", "versions")

    def __init__(self, layout: Layout, snapshot: Snapshot, versions: tuple[Version, ...]) -> None:
        self.layout = layout
        self.seq = snapshot.seq
        self.as_of = snapshot.as_of
        self.versions = versions

    def move(self, *, checked: bool = False, quietly: bool = True) -> "Move | None":
        """The move to the board's snapshot; None if that is not newer, or (`quietly`) if it changes nothing within QUIET_US.

        `checked` adds checksums to the message. O(subscriptions) for the first connection that stands here, O(1) for the others.
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
        made = moves[self.seq, checked] = Move(there, self._update(there, snapshot, checked))
        return made

    def without(self, layout: Layout, versions: tuple[Version, ...]) -> "Standing":
        """The standing at the same seq in a layout of fewer views."""
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
    """The way from one standing to the next: the next standing, and the message that brings a client there."""

    standing: Standing
    message: bytes


# -- the board ---------------------------------------------------------------------------------------------------


def no_limits(snapshot: Snapshot, grants: Grants) -> Iterable[RowDict]:
    """The rows of the view `limits` where nobody judges any."""
    return ()


class Board:
    """The snapshot to which connections are brought, and all views that any of them has subscribed to.

    `status` makes the one row of the view `status`, for an access class, and `limits` the rows of the view `limits`.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        status: Callable[[Snapshot, Grants], RowDict],
        limits: Callable[[Snapshot, Grants], Iterable[RowDict]] = no_limits,
    ) -> None:
        self.snapshot = snapshot
        self._noted = snapshot
        self._status = status
        self._limits = limits
        self._nodes = AllNodes()
        self._dealers = AllDealers()
        self._views: dict[tuple[str, str | None, str | None, str | None, Grants | None], SharedView] = {}
        self._layouts: WeakValueDictionary[tuple[Encoding, Items], Layout] = WeakValueDictionary()
        self._layout_number = 0

    def note(self, snapshot: Snapshot) -> list[SharedView]:
        """The views that trades have changed since the snapshot noted before. O(views). The board's snapshot stays."""
        if snapshot.seq <= self._noted.seq:
            return []
        self._noted = snapshot
        return [view for view in self._views.values() if view.note(snapshot)]

    def take(self, snapshot: Snapshot) -> None:
        """Make `snapshot` the board's, unless it is older: the next messages are about it. O(views) if it was not noted."""
        if snapshot.seq > self.snapshot.seq:
            self.note(snapshot)
            if snapshot.deals is not None:
                snapshot.deals.keep_up(DEALS_AT_ONCE)
            self.snapshot = snapshot

    def open(
        self, view: str, node: str | None, dealer: str | None, grants: Grants = EVERYTHING, by: str | None = None
    ) -> SharedView:
        """A view for one more subscription; `close` it when that ends. Raises UnknownName.

        The caller has checked that the grants allow a view of one owner; its rows are the same for all that may see it.
        """
        grants = grants.of_view(view)
        key = (view, node, dealer, by, None if view in OWNER_VIEWS else grants)
        source = self._source(view, node, dealer, by, grants)  # also for a view that is open: its owner may be gone since
        shared = self._views.get(key)
        if shared is None:
            owner = (node, dealer) if view in OWNER_VIEWS else None
            shared = self._views[key] = SharedView(source, self.snapshot, checked=view != "status", owner=owner)
        shared.users += 1
        return shared

    def close(self, shared: SharedView) -> None:
        """End one subscription of a view. The board forgets a view without subscriptions."""
        shared.users -= 1
        if not shared.users:
            self._views = {key: view for key, view in self._views.items() if view is not shared}

    def layout(self, encoding: Encoding, items: Items) -> Layout:
        """The layout of these subscriptions: one object for all connections that have them."""
        found = self._layouts.get((encoding, items))
        if found is None:
            self._layout_number += bool(items)  # layouts without subscriptions use up no number
            found = self._layouts[encoding, items] = Layout(self, encoding, items, self._layout_number)
        return found

    def _source(self, view: str, node: str | None, dealer: str | None, by: str | None, grants: Grants) -> Source:
        if view == "nodes":
            return Nodes(self._nodes, grants)
        if view == "dealers":
            return Dealers(self._dealers, grants)
        if view == "status":
            return Status(lambda snapshot: self._status(snapshot, grants))
        if view == "limits":
            return LimitLines(lambda snapshot: self._limits(snapshot, grants))
        if view == "exposure":
            return OwnerExposure(self.snapshot, node, dealer, by or CURRENCY)
        if view == "risk":
            return OwnerRisk(self.snapshot, node, dealer)
        return Ladder(self.snapshot, node, dealer)

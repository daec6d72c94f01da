"""What needs a person: late trades, conflicts, rows that are no trades, broken keys, and what people said about them.

The engine's memory of notices; parked cancels, missing legs and quarantined versions are `processed`'s own. Owned by the writer
thread; what it lists for a snapshot is immutable.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b

from msgspec import structs

from riskengine.clock import MICROS_PER_SECOND
from riskengine.positions.position import LateFold
from riskengine.positions.processed import Processed, escape_name, exception_id
from riskengine.records.types import ANOTHER_STANDS, Identity, Trade, Verdict, economics
from riskengine.snapshot.snapshot import ExceptionItem

MAX_NOTICES = 10_000
"""Late trades and conflicts kept for the work list; older notices make room (the counts stay right)."""


UNREADABLE_STANDS = "a row of the same identity and version was stored first, and it is no trade; it stands"


class WorkList:
    """`exceptions` and `verdicts` are as of the last `listed`; both are replaced, never changed."""

    def __init__(self) -> None:
        self._late: deque[ExceptionItem] = deque(maxlen=MAX_NOTICES)
        self._conflicts: dict[str, ExceptionItem] = {}
        self._unreadable: dict[int, ExceptionItem] = {}
        self._broken: dict[tuple[str, str, str], ExceptionItem] = {}
        self._kept_out: dict[tuple[Identity, int], ExceptionItem] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._changed = False
        self._revision = 0
        self.exceptions: Mapping[str, tuple[ExceptionItem, ...]] = {}
        self.verdicts: Mapping[str, Verdict] = {}

    @property
    def quarantined_count(self) -> int:
        """Stored rows that are no trades, and keys that broke an invariant."""
        return len(self._unreadable) + len(self._broken)

    @property
    def conflicts(self) -> Mapping[str, ExceptionItem]:
        """What was kept apart and is undecided or rejected, by id, oldest first."""
        return self._conflicts

    def verdict(self, item_id: str) -> Verdict | None:
        """The newest word on an exception."""
        return self._verdicts.get(item_id)

    def date_as(self, before: "WorkList") -> None:
        """Have what an earlier list has noticed too say when that was, and late trades what they did then. O(list)."""
        late = {item.id: item for item in before._late}
        for at, item in enumerate(self._late):
            if item.id in late:
                self._late[at] = structs.replace(late[item.id], trade=item.trade)
        for item_id, item in self._conflicts.items():
            if item_id in before._conflicts:
                self._conflicts[item_id] = structs.replace(item, ts=before._conflicts[item_id].ts)
        self._changed = True

    def note_late(self, trade: Trade, fold: LateFold, price: float | None, now: int) -> str:
        """List a trade that was refolded behind newer ones; the reason. `price` is the mark of its instrument."""
        reason = f"{fold.late_by / MICROS_PER_SECOND:.3f} s older than the newest trade of its position"
        detail: dict[str, object] = {
            "late_by_s": fold.late_by / MICROS_PER_SECOND,
            "before": fold.before.split(price),
            "after": fold.after.split(price),
        }
        self._late.append(ExceptionItem(exception_id("late", trade), "late", now, reason, trade, detail))
        self._changed = True
        return reason

    def note_conflict(self, trade: Trade, other: Trade | None, now: int) -> None:
        """List what was kept apart from `other` (None: a row that is no trade), once however often it comes."""
        item_id = conflict_id(trade)
        if item_id in self._conflicts:
            return
        if len(self._conflicts) >= MAX_NOTICES:
            del self._conflicts[next(iter(self._conflicts))]
        self._conflicts[item_id] = ExceptionItem(
            item_id, "conflict", now, UNREADABLE_STANDS if other is None else ANOTHER_STANDS, trade, {"stands": other}
        )
        self._changed = True

    def note_unreadable(self, store_seq: int, received_ts: int, reason: str) -> None:
        """List a stored row that could not be read as a trade."""
        item = ExceptionItem(f"quarantined:row:{store_seq}", "quarantined", received_ts, reason, None, {"store_seq": store_seq})
        self._unreadable[store_seq] = item
        self._changed = True

    def note_quarantined(self, key: tuple[str, str, str], reason: str, now: int) -> bool:
        """List a key that broke an invariant; False where it is listed already."""
        if key in self._broken:
            return False
        rollup, owner, instrument = key
        detail: dict[str, object] = {"rollup": rollup, "owner": owner, "instrument": instrument}
        item_id = f"quarantined:{rollup}:{escape_name(owner)}:{escape_name(instrument)}"
        self._broken[key] = ExceptionItem(item_id, "quarantined", now, reason, None, detail)
        self._changed = True
        return True

    def note_repaired(
        self,
        processed: Processed,
        keys: Iterable[tuple[str, str, str]],
        identities: Collection[Identity],
        store_seqs: Iterable[int],
    ) -> None:
        """Take off the list what a repair has settled.

        `identities` have other versions now: a conflict with one that says the same by now, or is gone, is none any more.
        `store_seqs` are rows that can be read now.
        """
        for key in keys:
            self._broken.pop(key, None)
        for store_seq in store_seqs:
            self._unreadable.pop(store_seq, None)
        for item_id, item in tuple(self._conflicts.items()) if identities else ():
            apart = item.trade
            if apart is None or apart.identity not in identities:
                continue
            stands = [version for version in processed.versions(apart.identity) if version.version == apart.version]
            if not stands or stands[0].same_economics(apart):
                del self._conflicts[item_id]
            else:
                self._conflicts[item_id] = structs.replace(item, detail={"stands": stands[0]})
        self._changed = True

    def note_verdict(self, verdict: Verdict, *, settles: bool = False) -> None:
        """What a person decided. `settles`: the conflict that it is about is none any more."""
        self._verdicts[verdict.id] = verdict
        if settles:
            self._conflicts.pop(verdict.id, None)
        self._changed = True

    def listed(self, processed: Processed, now: int) -> None:
        """Bring `exceptions` and `verdicts` up to date. O(1) where nothing has changed, else O(list)."""
        if not self._changed and self._revision == processed.revision:
            return
        self._changed = False
        self._revision = processed.revision
        self.exceptions = self._list(processed, now)
        self.verdicts = dict(self._verdicts)

    def _list(self, processed: Processed, now: int) -> Mapping[str, tuple[ExceptionItem, ...]]:
        return {
            "conflict": tuple(item for item in self._conflicts.values() if not self._rejected(item.id)),
            "late": tuple(self._late),
            "parked": _items("parked", ((t, "a cancel whose trade has not come") for t in processed.parked.values())),
            "quarantined": (*self._broken.values(), *self._quarantined(processed), *self._unreadable.values()),
            "unmatched": tuple(
                ExceptionItem(
                    f"unmatched:{escape_name(source)}:{escape_name(trade_id)}",
                    "unmatched",
                    now,
                    f"{present} of {legs} legs have come",
                    None,
                    {"source": source, "trade_id": trade_id},
                )
                for (source, trade_id), (present, legs) in processed.unmatched.items()
            ),
        }

    def _quarantined(self, processed: Processed) -> Iterable[ExceptionItem]:
        """There may be many: each is made once."""
        known, self._kept_out = self._kept_out, {}
        for key, (trade, reason) in processed.quarantined.items():
            item = known.get(key)
            if item is None or item.trade is not trade or item.reason != reason:
                item = ExceptionItem(exception_id("quarantined", trade), "quarantined", trade.received_ts, reason, trade)
            self._kept_out[key] = item
        return self._kept_out.values()

    def _rejected(self, item_id: str) -> bool:
        verdict = self.verdict(item_id)
        return verdict is not None and verdict.verdict == "reject"


def _items(kind: str, trades: Iterable[tuple[Trade, str]]) -> tuple[ExceptionItem, ...]:
    return tuple(ExceptionItem(exception_id(kind, trade), kind, trade.received_ts, reason, trade) for trade, reason in trades)


def conflict_id(trade: Trade) -> str:
    """Names what was kept apart by what it says: a version may have several others beside it."""
    return f"{exception_id('conflict', trade)}:{blake2b(repr(economics(trade)).encode(), digest_size=4).hexdigest()}"

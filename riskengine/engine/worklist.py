"""The work list: exceptions that need a person, and the verdicts of people about them.

It keeps late trades, trades that were noticed for another reason (`off_market`, `possible_duplicate`), conflicts, stored rows
that are no trades, and keys that broke an invariant. It lists parked cancels, missing legs and quarantined versions from
`processed`. The writer thread owns it; the lists that go into a snapshot are immutable.

What is noticed of a trade is to be stored then (`take_unsaved`): a start has no mark of that moment, and lists what is stored.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple

from msgspec import structs

from riskengine.clock import MICROS_PER_SECOND
from riskengine.engine.cash_book import KeptOutRecord
from riskengine.engine.standing_notices import StandingNotices
from riskengine.positions.position import LateFold
from riskengine.positions.processed import Processed, escape_name, exception_id
from riskengine.positions.quarantine import is_waiting
from riskengine.records.forwards import unplaced
from riskengine.records.types import CONFLICT_REASON, Close, Identity, Trade, Verdict, economics
from riskengine.snapshot.snapshot import ExceptionItem

MAX_NOTICES = 10_000
"""Late trades and conflicts on the list, of each; the oldest make room for new ones. The counts go on counting all."""

OLDER_RULE = "older_rule"
"""The kind of what counts by a rule that has been replaced by a stricter one since (`records.rules`)."""

UNREADABLE_STANDS = "a row of the same identity and version was stored first, and it is no trade; it stands"


LATE = "late"
OFF_MARKET = "off_market"
POSSIBLE_DUPLICATE = "possible_duplicate"
NOTICED_KINDS = (OFF_MARKET, POSSIBLE_DUPLICATE)
"""Kinds of notices that end once their version of the trade does not stand any more, and that are stored."""

WAITING = "waiting"
"""The kind of closes that wait for the end of their day, and of trades and corporate actions that wait for theirs."""

KINDS = ("conflict", LATE, OLDER_RULE, *NOTICED_KINDS, "parked", "quarantined", "unmatched", WAITING)
"""The kinds of exceptions of a work list, in the order of `exceptions`."""

VERDICTS = "verdicts"
"""What has changed, where it is not the list of a kind."""


class Notices(NamedTuple):
    """Late trades, trades noticed for another reason and conflicts of a work list, each by id, oldest first."""

    late: Mapping[str, ExceptionItem]
    conflicts: Mapping[str, ExceptionItem]
    noticed: Mapping[str, ExceptionItem]


class WorkList:
    """`exceptions` and `verdicts` are as of the last `refresh`, which replaces them and never changes them."""

    def __init__(self) -> None:
        self._late: deque[ExceptionItem] = deque(maxlen=MAX_NOTICES)
        self._noticed = StandingNotices((*NOTICED_KINDS, OLDER_RULE), MAX_NOTICES)
        self._unsaved: deque[ExceptionItem] = deque(maxlen=3 * MAX_NOTICES)  # of a first start there may be millions
        self._conflicts: dict[str, ExceptionItem] = {}
        self._cancels: dict[str, str] = {}  # the conflict that is listed for cancels of a version
        self._unreadable: dict[int, ExceptionItem] = {}
        self._broken: dict[tuple[str, str, str], ExceptionItem] = {}
        self._waiting: tuple[ExceptionItem, ...] = ()
        self._outside = 0
        self.waiting_count = 0
        """How many trades wait for their day, as of the last `refresh`."""
        self._cash_kept_out: tuple[ExceptionItem, ...] = ()
        self._actions: tuple[ExceptionItem, ...] = ()
        self._kept_out: dict[tuple[Identity, int], ExceptionItem] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._changed = {"conflict", LATE, "quarantined", VERDICTS}
        self._revision = -1
        self.exceptions: Mapping[str, tuple[ExceptionItem, ...]] = dict.fromkeys(KINDS, ())
        self.verdicts: Mapping[str, Verdict] = {}

    @property
    def quarantined_count(self) -> int:
        """Trades and records of cash kept out for a person to decide, stored rows that are no trades, and broken keys.

        Of trades as of the last `refresh`.
        """
        return self._outside + len(self._unreadable) + len(self._broken) + len(self._cash_kept_out)

    @property
    def late_count(self) -> int:
        """How many late trades are listed."""
        return len(self._late)

    def notices(self) -> Notices:
        """The trades listed as late or noticed, and the conflicts that nobody has accepted. O(list)."""
        return Notices({item.id: item for item in self._late}, dict(self._conflicts), self._noticed.of_kinds(NOTICED_KINDS))

    def count_conflicts_beyond(self, earlier: Notices) -> int:
        """How many conflicts are listed that an earlier list did not have. O(list)."""
        return len(self._conflicts.keys() - earlier.conflicts.keys())

    def verdict(self, item_id: str) -> Verdict | None:
        """The newest verdict on an exception, or None."""
        return self._verdicts.get(item_id)

    def keep_times_of(self, earlier: Notices) -> None:
        """Give notices that an earlier list already had the time they had there; late trades keep their detail too. O(list)."""
        for at, item in enumerate(self._late):
            if item.id in earlier.late:
                self._late[at] = structs.replace(earlier.late[item.id], trade=item.trade)
        for item_id, item in self._conflicts.items():
            if item_id in earlier.conflicts:
                self._conflicts[item_id] = structs.replace(item, ts=earlier.conflicts[item_id].ts)
        self._changed |= {LATE, "conflict"}

    def take_unsaved(self) -> list[ExceptionItem]:
        """What was noticed since the last call and is to be stored."""
        unsaved = [*self._unsaved]
        self._unsaved.clear()
        return unsaved

    def note_standing(self, identity: Identity) -> None:
        """Another version of this trade may stand now: a notice ends, or is listed again. O(notices of the trade)."""
        self._noticed.note_standing(identity)

    def note_trade(self, kind: str, trade: Trade, reason: str, detail: dict[str, object], now: int) -> None:
        """List a trade that counts as `off_market` or `possible_duplicate`, once, and keep it to be stored."""
        item = ExceptionItem(exception_id(kind, trade), kind, now, reason, trade, detail)
        if self._noticed.add(item):
            self._unsaved.append(item)

    def recall_notices(self, stored: Iterable[ExceptionItem]) -> int:
        """List what was noticed and stored before, as it was then, late trades before those that are listed.

        Returns how many of the late trades were listed already. O(list).
        """
        late: dict[str, ExceptionItem] = {}
        for item in stored:
            if item.kind in NOTICED_KINDS:
                self._noticed.add(item)
            else:
                late[item.id] = item
        listed = [item for item in self._late if item.id not in late]
        known = len(self._late) - len(listed)
        self._late = deque([*late.values(), *listed], maxlen=MAX_NOTICES)
        self._changed.add(LATE)
        return known

    def note_late(self, trade: Trade, fold: LateFold, price: float | None, now: int) -> str:
        """List a trade that was folded in behind newer ones, and keep it to be stored. Returns the reason.

        `price` is the mark of its instrument.
        """
        reason = f"{fold.late_by / MICROS_PER_SECOND:.3f} s older than the newest trade of its position"
        detail: dict[str, object] = {
            "late_by_s": fold.late_by / MICROS_PER_SECOND,
            "before": fold.before.split(price),
            "after": fold.after.split(price),
        }
        item = ExceptionItem(exception_id(LATE, trade), LATE, now, reason, trade, detail)
        self._late.append(item)
        self._unsaved.append(item)
        self._changed.add(LATE)
        return reason

    def lists_conflict(self, trade: Trade) -> bool:
        """Whether this conflict is on the list, rejected or not. O(1)."""
        same = self._cancels.get(exception_id("conflict", trade)) if trade.action == "cancel" else conflict_id(trade)
        return same in self._conflicts

    def forget_conflicts(self, item_ids: Iterable[str]) -> None:
        """Take conflicts off the list that the store does not hold any more. O(those)."""
        for item_id in item_ids:
            self._conflicts.pop(item_id, None)
            if self._cancels.get(of_version := item_id.rpartition(":")[0]) == item_id:
                del self._cancels[of_version]
        self._changed.add("conflict")

    def note_conflict(self, trade: Trade, other: Trade | None, now: int) -> None:
        """List a trade that conflicts with `other` (None: with a row that is no trade), once however often it comes.

        Both are listed as their rows say it: where a forward stands depends on verdicts, which may come later.
        """
        trade, other = unplaced(trade), None if other is None else unplaced(other)
        item_id = conflict_id(trade)
        if trade.action == "cancel":  # two cancels of one version say the same, whatever else they carry
            item_id = self._cancels.setdefault(exception_id("conflict", trade), item_id)
        if item_id in self._conflicts:
            return
        if len(self._conflicts) >= MAX_NOTICES:
            oldest = next(iter(self._conflicts))
            del self._conflicts[oldest]
            self._cancels.pop(oldest.rpartition(":")[0], None)
        self._conflicts[item_id] = ExceptionItem(
            item_id, "conflict", now, UNREADABLE_STANDS if other is None else CONFLICT_REASON, trade, {"stands": other}
        )
        self._changed.add("conflict")

    def note_unreadable(self, store_seq: int, received_ts: int, reason: str) -> None:
        """List a stored row that cannot be read as a trade."""
        item = ExceptionItem(f"quarantined:row:{store_seq}", "quarantined", received_ts, reason, None, {"store_seq": store_seq})
        self._unreadable[store_seq] = item
        self._changed.add("quarantined")

    def note_older_rule(self, trade: Trade, field: str, reason: str) -> None:
        """List a trade that a rule would refuse now and that counts, because its row is older. It is listed while it counts."""
        item_id = exception_id(OLDER_RULE, trade)
        detail: dict[str, object] = {"field": field}
        self._noticed.discard(OLDER_RULE, item_id)
        self._noticed.add(ExceptionItem(item_id, OLDER_RULE, trade.received_ts, f"{field}: {reason}", trade, detail))

    def note_older_instrument(self, instrument: str, field: str, reason: str) -> None:
        """List a stored instrument that `load instruments` would refuse now, and that goes on."""
        item_id = f"{OLDER_RULE}:instrument:{escape_name(instrument)}"
        detail: dict[str, object] = {"instrument": instrument, "field": field}
        self._noticed.add(ExceptionItem(item_id, OLDER_RULE, 0, f"{field}: {reason}", None, detail))

    def note_waiting(self, closes: Iterable[Close]) -> None:
        """List the closes that wait for the end of their day, in place of those listed before."""
        self._waiting = tuple(
            ExceptionItem(
                f"{WAITING}:close:{escape_name(close.instrument)}:{close.date}",
                WAITING,
                0,
                f"the close {close.price:.12g} of {close.date} takes effect when that day ends",
                None,
                {"instrument": close.instrument, "date": close.date, "price": close.price},
            )
            for close in closes
        )
        self._changed.add(WAITING)

    def note_cash_kept_out(self, records: Iterable[KeptOutRecord]) -> None:
        """List the records of cash and carry that take no part, in place of those listed before."""
        found = sorted(records, key=lambda each: (each.received_ts, each.kind, each.record_id, each.version))
        self._cash_kept_out = tuple(
            ExceptionItem(
                f"quarantined:{each.kind}:{escape_name(each.record_id)}:{each.version}",
                "quarantined",
                each.received_ts,
                each.reason,
                None,
                {"record": each.kind, "id": each.record_id, "version": each.version},
            )
            for each in found[-MAX_NOTICES:]
        )
        self._changed.add("quarantined")

    def note_actions(self, items: tuple[ExceptionItem, ...]) -> None:
        """List what waits of corporate actions (`action_notices`), in place of what was listed before."""
        if items != self._actions:
            self._actions = items
            self._changed.add(WAITING)

    def forget_older(self, trades: Iterable[Trade]) -> None:
        """Take trades off the list of older rules: their rows have been read again, and may hold something else."""
        for trade in trades:
            self._noticed.discard(OLDER_RULE, exception_id(OLDER_RULE, trade))

    def note_quarantined(self, key: tuple[str, str, str], reason: str, now: int) -> bool:
        """List a key that broke an invariant. Returns False if it was listed before."""
        if key in self._broken:
            return False
        rollup, owner, instrument = key
        detail: dict[str, object] = {"rollup": rollup, "owner": owner, "instrument": instrument}
        item_id = f"quarantined:{rollup}:{escape_name(owner)}:{escape_name(instrument)}"
        self._broken[key] = ExceptionItem(item_id, "quarantined", now, reason, None, detail)
        self._changed.add("quarantined")
        return True

    def note_repaired(
        self,
        processed: Processed,
        keys: Iterable[tuple[str, str, str]],
        identities: Collection[Identity],
        store_seqs: Iterable[int],
    ) -> None:
        """Take off the list what a repair has settled: its `keys`, and the rows `store_seqs`, which can be read now.

        `identities` have other versions now. A conflict with a version that is gone, or has the same economics now, is settled.
        """
        for key in keys:
            self._broken.pop(key, None)
        for store_seq in store_seqs:
            self._unreadable.pop(store_seq, None)
        for item_id, item in tuple(self._conflicts.items()) if identities else ():
            trade = item.trade
            if trade is None or trade.identity not in identities:
                continue
            stands = [version for version in processed.versions(trade.identity) if version.version == trade.version]
            if not stands or stands[0].same_economics(trade):
                del self._conflicts[item_id]
            else:
                self._conflicts[item_id] = structs.replace(item, detail={"stands": stands[0]})
        for identity in identities:
            self._noticed.note_standing(identity)
        self._changed |= {"conflict", "quarantined"}

    def note_replaced(self, trade: Trade, store_seq: object) -> None:
        """Take off the list what an accepted conflict settles; the others of its version conflict with `trade` now.

        `store_seq` is the number of the row that the trade replaced, if it is known.
        """
        listed = self._cancels.pop(exception_id("conflict", trade), "") if trade.action == "cancel" else ""
        self._conflicts.pop(listed or conflict_id(trade), None)
        if isinstance(store_seq, int):
            self._unreadable.pop(store_seq, None)
        for item_id, item in self._conflicts.items():
            other = item.trade
            if other is not None and (other.identity, other.version) == (trade.identity, trade.version):
                self._conflicts[item_id] = structs.replace(item, reason=CONFLICT_REASON, detail={"stands": trade})
        self._changed |= {"conflict", "quarantined"}

    def note_verdict(self, verdict: Verdict) -> None:
        """Keep what a person decided. A comment leaves a decision as it was, as in the store."""
        known = self._verdicts.get(verdict.id)
        if known is not None and not verdict.verdict:
            verdict = structs.replace(verdict, verdict=known.verdict)
        self._verdicts[verdict.id] = verdict
        self._changed |= {"conflict", VERDICTS}

    def forget_verdict(self, item_id: str) -> None:
        """Nobody has decided on this exception: the store does not hold the decision any more."""
        self._verdicts.pop(item_id, None)
        self._changed |= {"conflict", VERDICTS}

    def refresh(self, processed: Processed, now: int) -> None:
        """Bring `exceptions` and `verdicts` up to date. O(1) if nothing has changed, else O(the lists that have)."""
        changed, self._changed = self._changed, set()
        lists = dict(self._noticed.changed(processed))
        if self._revision != processed.revision:
            self._revision = processed.revision
            changed.add("quarantined")
            lists["parked"] = _items("parked", ((t, "a cancel whose trade has not come") for t in processed.parked.values()))
            lists["unmatched"] = tuple(self._unmatched_items(processed, now))
        if "quarantined" in changed:
            outside, waiting = self._kept_out_items(processed)
            self._outside, self.waiting_count = len(outside), len(waiting)
            rows = (*self._unreadable.values(), *self._cash_kept_out)
            lists["quarantined"] = (*self._broken.values(), *outside, *rows)
            lists[WAITING] = (*self._waiting, *waiting)
        if "conflict" in changed:
            lists["conflict"] = tuple(item for item in self._conflicts.values() if not self._is_rejected(item.id))
        if LATE in changed:
            lists[LATE] = tuple(self._late)
        if WAITING in changed and WAITING not in lists:
            dealt = (item for item in self.exceptions[WAITING] if item.trade is not None)
            lists[WAITING] = (*self._waiting, *self._actions, *dealt)
        if lists:
            self.exceptions = {**self.exceptions, **lists}
        if VERDICTS in changed:
            self.verdicts = dict(self._verdicts)

    def _unmatched_items(self, processed: Processed, now: int) -> Iterable[ExceptionItem]:
        for (source, trade_id), (present, legs) in processed.unmatched.items():
            yield ExceptionItem(
                f"unmatched:{escape_name(source)}:{escape_name(trade_id)}",
                "unmatched",
                processed.first_leg_ts(source, trade_id, legs) or now,
                f"{present} of {legs} legs have come",
                None,
                {"source": source, "trade_id": trade_id},
            )

    def _kept_out_items(self, processed: Processed) -> tuple[list[ExceptionItem], list[ExceptionItem]]:
        """The quarantined versions, and those that wait for their day. There may be many, so each item is made once and kept."""
        known, self._kept_out = self._kept_out, {}
        outside: list[ExceptionItem] = []
        waiting: list[ExceptionItem] = []
        for key, (trade, reason) in processed.quarantined.items():
            item = known.get(key)
            if item is None or item.trade is not trade or item.reason != reason:
                kind = WAITING if is_waiting(reason) else "quarantined"
                detail: dict[str, object] = {"trade_date": trade.trade_date} if kind == WAITING else {}
                item = ExceptionItem(exception_id(kind, trade), kind, trade.received_ts, reason, trade, detail)
            self._kept_out[key] = item
            if item.kind != WAITING:
                outside.append(item)
            elif not processed.is_superseded(trade):
                waiting.append(item)
        return outside, waiting

    def _is_rejected(self, item_id: str) -> bool:
        verdict = self.verdict(item_id)
        return verdict is not None and verdict.verdict == "reject"


def _items(kind: str, trades: Iterable[tuple[Trade, str]]) -> tuple[ExceptionItem, ...]:
    return tuple(ExceptionItem(exception_id(kind, trade), kind, trade.received_ts, reason, trade) for trade, reason in trades)


def conflict_id(trade: Trade) -> str:
    """The id of a conflict. It includes a hash of the economics, because several trades may conflict with one version."""
    return f"{exception_id('conflict', trade)}:{blake2b(repr(economics(trade)).encode(), digest_size=4).hexdigest()}"

"""Decides which trades count: identity, versions, duplicates, conflicts, cancels that came first, missing legs.

The rules of ACCOUNTING section 2. Processed trades are remembered here, not in positions: the memory outlives a flat position and
a restart, which replays the store through it. Every decision follows from stored facts alone, so a replay decides the same.
Pure. Owned by the writer thread.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from typing import NamedTuple

from riskengine.positions.frozen_ids import MAX_VERSIONS, FrozenIds, identity_fingerprint
from riskengine.records.types import Identity, Trade

APPLIED = "applied"
DUPLICATE = "duplicate"
CONFLICT = "conflict"
SUPERSEDED = "superseded"
PARKED = "parked"
QUARANTINED = "quarantined"

TRADES_PER_REST = 256
"""Trades between two rests in long work."""


def exception_id(kind: str, trade: Trade) -> str:
    """The lasting id of an exception about one version of a trade. Two trades never share one, whatever their names."""
    return f"{kind}:{escape_name(trade.source)}:{escape_name(trade.trade_id)}:{trade.leg}:{trade.version}"


def escape_name(text: str) -> str:
    """A name as one part of an id whose parts are joined by colons."""
    return text.replace("%", "%25").replace(":", "%3A")


def unescape_name(text: str) -> str:
    """The name in such a part of an id."""
    return text.replace("%3A", ":").replace("%25", "%")


class Decision(NamedTuple):
    """What becomes of a trade: its status, the trade that leaves the positions because of it, the trade that enters them.

    other  the version already there, if this one is a conflict
    """

    status: str
    removed: Trade | None = None
    added: Trade | None = None
    other: Trade | None = None


DUPLICATE_DECISION = Decision(DUPLICATE)


class Processed:
    """Every identity ever seen: with its versions in memory, or frozen, as a fingerprint in `frozen_ids`.

    Before admitting a version of a frozen identity, call `thaw` with its earlier versions.

    parked        cancels whose trade has not come, by identity
    quarantined   versions that take no part, with the reason, by (identity, version)
    unmatched     deals with missing legs, by (source, trade_id): (legs present, legs expected)
    inert         identities of which no version takes part: cancelled, parked, quarantined
    revision      rises with every change of the first three
    frozen_count  identities that are frozen and take part; `frozen_cancelled` are cancelled
    frozen_to     every frozen identity was traded before this, microseconds
    """

    def __init__(self) -> None:
        self.frozen_ids = FrozenIds()
        self.frozen_count = 0
        self.frozen_cancelled = 0
        self.frozen_to = 0
        self._thawed: set[tuple[str, str, int]] = set()
        # By source, then by trade_id alone for leg 0: nearly all trades are leg 0, and so need no key of their own.
        self._versions: defaultdict[str, dict[str | tuple[str, int], Trade | list[Trade]]] = defaultdict(dict)
        self._legs: dict[tuple[str, str], set[int]] = {}
        self.parked: dict[Identity, Trade] = {}
        self.quarantined: dict[tuple[Identity, int], tuple[Trade, str]] = {}
        self.unmatched: dict[tuple[str, str], tuple[int, int]] = {}
        self.inert: set[Identity] = set()
        self.revision = 0

    def __len__(self) -> int:
        return self.in_memory + self.frozen_count + self.frozen_cancelled

    @property
    def standing_count(self) -> int:
        """The number of identities that take part. O(sources)."""
        return self.in_memory - len(self.inert) + self.frozen_count

    @property
    def in_memory(self) -> int:
        """The number of identities with their versions in memory. O(sources)."""
        return sum(map(len, self._versions.values()))

    def enter(self, trade: Trade) -> bool:
        """Remember an ordinary trade, which takes part: the first version of its identity, of a deal in one leg. O(1).

        Returns False and remembers nothing for any other: then `admit` it. Not for trades to quarantine.
        """
        leg = trade.leg
        key = (trade.trade_id, leg) if leg else trade.trade_id
        known = self._versions[trade.source]
        if key in known or trade.action == "cancel" or trade.legs is not None or (self._legs and self._counts_legs(trade)):
            return False
        known[key] = trade
        return True

    def enter_all(self, trades: Sequence[Trade], quarantined: Collection[int]) -> list[int] | None:
        """`enter` for a large batch. Returns the places of the trades to `admit`, in order. 0.4 us a trade.

        `quarantined` are the places of trades to keep out; they are among those returned. Returns None and remembers nothing
        where legs of deals must be counted: then enter them one by one.
        """
        if self._legs or any(trade.legs is not None for trade in trades):
            return None
        to_admit = {trade.trade_id for trade in trades if trade.action == "cancel"}
        to_admit.update(trades[place].trade_id for place in quarantined)  # with all their versions, which go in order
        remember = {source: self._versions[source].setdefault for source in {trade.source for trade in trades}}
        return [
            place
            for place, trade in enumerate(trades)
            if trade.trade_id in to_admit
            or remember[trade.source]((trade.trade_id, trade.leg) if trade.leg else trade.trade_id, trade) is not trade
        ]

    def admit(self, trade: Trade, quarantine: str = "") -> Decision:
        """Decide about one version of a trade and remember it. `quarantine` is the reason to keep it out, or "". O(versions)."""
        known = self._versions_of(trade)
        if known:
            return self._admit_another(known, trade, quarantine)
        self._remember(trade, trade)
        if self._counts_legs(trade):
            self._note_leg(trade)
        if quarantine:
            self.inert.add(trade.identity)
            self.quarantined[trade.identity, trade.version] = (trade, quarantine)
            self.revision += 1
            return Decision(QUARANTINED)
        if trade.action == "cancel":
            self.inert.add(trade.identity)
            self.parked[trade.identity] = trade
            self.revision += 1
            return Decision(PARKED)
        return Decision(APPLIED, None, trade)

    def judge_again(self, identity: Identity, judged: Sequence[tuple[Trade, str]]) -> Decision:
        """Make `judged` the versions of an identity (`restore`). Returns what leaves and enters the positions. O(versions).

        One version may have other economics than before, or be judged otherwise.
        """
        before = self.effective(identity)
        self.restore(identity, judged)
        after = self.effective(identity)
        return Decision(APPLIED) if after is before else Decision(APPLIED, before, after)

    def restore(self, identity: Identity, judged: Sequence[tuple[Trade, str]]) -> None:
        """Replace what is remembered of an identity. O(versions + legs).

        `judged` are the versions that the store holds, each with the reason to keep it out, or ""; none: the identity is
        forgotten.
        """
        for version in (*self._versions_of(identity), *(trade for trade, _ in judged)):
            self.quarantined.pop((identity, version.version), None)
        self.parked.pop(identity, None)
        self.inert.discard(identity)
        versions = sorted((trade for trade, _ in judged), key=lambda version: version.version)
        if versions:
            self._remember(versions[0], versions if len(versions) > 1 else versions[0])
            self.quarantined.update(((identity, trade.version), (trade, reason)) for trade, reason in judged if reason)
            self._note_inert(identity, versions)
            if len(versions) > 1 or not judged[0][1]:
                self._note_parked(identity, versions)
        else:
            self._versions[identity.source].pop((identity.trade_id, identity.leg) if identity.leg else identity.trade_id, None)
        self._recount_legs(identity)
        self.revision += 1

    def stands(self, trade: Trade) -> bool:
        """Whether this very record takes part; for a frozen identity, whether this version does. O(versions)."""
        leg = trade.leg
        known = self._versions[trade.source].get((trade.trade_id, leg) if leg else trade.trade_id)
        if known is None:
            return self.frozen_count > 0 and self.frozen_ids.version_count(trade.source, trade.trade_id, leg) == trade.version
        if isinstance(known, list):
            return self._effective(known) is trade
        return known is trade and not (self.quarantined and (trade.identity, trade.version) in self.quarantined)

    def is_superseded(self, trade: Trade) -> bool:
        """Whether a higher version takes part, or a cancel, so that this one will not. O(versions)."""
        higher = (one for one in self._versions_of(trade) if one.version > trade.version)
        return any((one.identity, one.version) not in self.quarantined for one in higher)

    def standing_trades(self) -> Iterator[Trade]:
        """Every version in memory that takes part; those that come meanwhile may be missing. O(identities)."""
        for known in tuple(self._versions.values()):
            for versions in tuple(known.values()):
                trade = self._effective(versions if isinstance(versions, list) else [versions])
                if trade is not None:
                    yield trade

    def freeze(
        self,
        before: int,
        traded_before: int,
        open_deals: Container[tuple[str, str]],
        rest: Callable[[], None],
        dated_to: str = "",
        *,
        cancelled: bool = False,
    ) -> int:
        """Keep only the fingerprints of the identities that are done. Returns their number. O(identities in memory), 1 us each.

        An identity is done if every version was received before `before` (microseconds), the newest version was traded before
        `traded_before` and is dated `dated_to` or earlier, and nothing more is expected: versions 1, 2, .. are all here, the
        highest takes part (or is a cancel, if `cancelled`), no leg says how many legs there are, and the deal (source, trade_id)
        is not in `open_deals`. Calls `rest` often.
        """
        count_before, self.frozen_to = self._frozen_in_all, max(self.frozen_to, traded_before)
        for source, known in self._versions.items():
            keys: list[str | tuple[str, int]] = []
            tops: list[Trade] = []
            for seen, (key, versions) in enumerate(known.items()):
                if not seen % TRADES_PER_REST:
                    rest()
                one = versions if not isinstance(versions, list) else versions[-1]
                if one.received_ts >= before or one.ts >= traded_before or (source, one.trade_id) in open_deals:
                    continue
                if one.trade_date and dated_to and one.trade_date > dated_to:
                    continue
                if self._is_done(versions, before, traded_before, cancelled):
                    keys.append(key)
                    tops.append(one)
            if keys:
                for key, top, is_taken in zip(keys, tops, self._take_ids(tops), strict=True):
                    if is_taken:
                        del known[key]
                        self._count_frozen(top, 1)
                self._versions[source] = dict(known)  # frees the memory of the removed entries
        return self._frozen_in_all - count_before

    def forget_thawed(self) -> None:
        """Take the fingerprints of identities out that were thawed and are in memory still. O(all), if there are any."""
        if self._thawed:
            self.frozen_ids.remove([identity_fingerprint(*identity) for identity in self._thawed])
            self._thawed = set()

    @property
    def _frozen_in_all(self) -> int:
        return self.frozen_count + self.frozen_cancelled

    def _count_frozen(self, top: Trade, change: int) -> None:
        """Count one identity more or less as frozen; `top` is its highest version."""
        if top.action != "cancel":
            self.frozen_count += change
            return
        self.frozen_cancelled += change
        (self.inert.discard if change > 0 else self.inert.add)(top.identity)

    def _take_ids(self, tops: Sequence[Trade]) -> list[bool]:
        """Note the fingerprints of identities by their highest versions. Returns which are noted.

        An identity that shares its fingerprint with another stays in memory; one that was frozen before has its own.
        """
        prints = [identity_fingerprint(top.source, top.trade_id, top.leg) for top in tops]
        taken: list[bool] = self.frozen_ids.add(prints, [top.version for top in tops]).tolist()
        if self._thawed:
            for place, top in enumerate(tops):
                if not taken[place] and (identity := (top.source, top.trade_id, top.leg)) in self._thawed:
                    self._thawed.discard(identity)
                    self.frozen_ids.set_count(prints[place], top.version)
                    taken[place] = True
        return taken

    def _is_done(self, versions: Trade | list[Trade], before: int, traded_before: int, cancelled: bool) -> bool:
        """Whether an identity may be frozen, by its versions."""
        all_versions = versions if isinstance(versions, list) else [versions]
        top = all_versions[-1]
        if top.version != len(all_versions) or top.version > MAX_VERSIONS:
            return False
        if top.action == "cancel" and not (cancelled and all(one.ts < traded_before for one in all_versions[:-1])):
            return False
        if all(one.action == "cancel" for one in all_versions):
            return False  # parked
        if self._legs and (top.source, top.trade_id) in self._legs:
            return False
        if self.quarantined and any((one.identity, one.version) in self.quarantined for one in all_versions):
            return False
        return all(one.received_ts < before and one.legs is None for one in all_versions)

    def identities_in_memory(self) -> Iterator[Identity]:
        """Every identity whose versions are in memory, in the order in which they came, source by source. O(those)."""
        for source, known in self._versions.items():
            for key in known:
                yield Identity(source, *key) if isinstance(key, tuple) else Identity(source, key, 0)

    def thaw(self, versions: Sequence[Trade]) -> bool:
        """Put back all versions of a frozen identity, lowest first. Returns False if they are in memory already. O(versions)."""
        if self._versions_of(versions[0]):
            return False
        self._remember(versions[0], list(versions) if len(versions) > 1 else versions[0])
        self._count_frozen(versions[-1], -1)
        self._thawed.add(versions[0].identity)
        return True

    def count_frozen(self, trades: Iterable[Trade]) -> int:
        """The number of trades before the first one that is not frozen. O(those), 0.3 us each."""
        known, count = self._versions, 0
        for trade in trades:
            leg = trade.leg
            if ((trade.trade_id, leg) if leg else trade.trade_id) in known[trade.source]:
                break
            count += 1
        return count

    def is_in_memory(self, trade: Trade) -> bool:
        """Whether the versions of this trade's identity are in memory, rather than frozen. O(1)."""
        return ((trade.trade_id, trade.leg) if trade.leg else trade.trade_id) in self._versions[trade.source]

    def _recount_legs(self, identity: Identity) -> None:
        """Count the legs of a deal again after the versions of one leg were replaced."""
        deal = (identity.source, identity.trade_id)
        counting = {
            leg
            for leg in self._legs.get(deal, set()) | {identity.leg}
            if any(version.legs is not None for version in self._versions_of(Identity(*deal, leg)))
        }
        self.unmatched.pop(deal, None)
        if not counting:
            self._legs.pop(deal, None)
            return
        self._legs[deal] = counting
        self._note_leg(self._versions_of(Identity(*deal, min(counting)))[-1])

    def _counts_legs(self, trade: Trade) -> bool:
        """Whether this leg, or another of its deal, says how many legs the deal has."""
        return trade.legs is not None or (trade.source, trade.trade_id) in self._legs

    def _versions_of(self, identity: Identity | Trade) -> list[Trade]:
        """The versions of an identity in memory, lowest first: perhaps the list itself."""
        leg = identity.leg
        known = self._versions[identity.source].get((identity.trade_id, leg) if leg else identity.trade_id)
        return [] if known is None else known if isinstance(known, list) else [known]

    def _remember(self, trade: Trade, versions: Trade | list[Trade]) -> None:
        self._versions[trade.source][(trade.trade_id, trade.leg) if trade.leg else trade.trade_id] = versions

    def versions(self, identity: tuple[str, str, int]) -> list[Trade]:
        """All versions of a trade, lowest first; empty if it was never seen, or is frozen. O(versions)."""
        return list(self._versions_of(Identity(*identity)))

    def effective(self, identity: tuple[str, str, int]) -> Trade | None:
        """The version that stands in the positions; None if the trade is cancelled, parked or quarantined. O(versions)."""
        return self._effective(self.versions(identity))

    def _admit_another(self, versions: list[Trade], trade: Trade, quarantine: str) -> Decision:
        """`admit` for an identity of which `versions` are known."""
        for other in versions:
            if other.version == trade.version:
                return DUPLICATE_DECISION if other.same_economics(trade) else Decision(CONFLICT, other=other)
        before = self._effective(versions)
        versions = sorted((*versions, trade), key=lambda version: version.version)
        self._remember(trade, versions)
        if self._counts_legs(trade):
            self._note_leg(trade)
        if quarantine:
            self.quarantined[trade.identity, trade.version] = (trade, quarantine)
            self.revision += 1
        self._note_parked(trade.identity, versions)
        after = self._note_inert(trade.identity, versions)
        if quarantine:
            return Decision(QUARANTINED)
        removed, added = (None, None) if after is before else (before, after)
        if self._top(versions) is not trade:
            return Decision(SUPERSEDED, removed, added)
        return Decision(PARKED if trade.identity in self.parked else APPLIED, removed, added)

    def _top(self, versions: list[Trade]) -> Trade | None:
        if not self.quarantined:
            return versions[-1] if versions else None
        for trade in reversed(versions):
            if (trade.identity, trade.version) not in self.quarantined:
                return trade
        return None

    def _effective(self, versions: list[Trade]) -> Trade | None:
        top = self._top(versions)
        return None if top is None or top.action == "cancel" else top

    def _note_inert(self, identity: Identity, versions: list[Trade]) -> Trade | None:
        """Update `inert`. Returns the version that takes part."""
        effective = self._effective(versions)
        if effective is None:
            self.inert.add(identity)
        else:
            self.inert.discard(identity)
        return effective

    def _note_parked(self, identity: Identity, versions: list[Trade]) -> None:
        if all(version.action == "cancel" for version in versions):
            self.parked[identity] = versions[-1]
            self.revision += 1
        elif self.parked.pop(identity, None) is not None:
            self.revision += 1

    def _note_leg(self, trade: Trade) -> None:
        """Count the legs of a deal again. O(legs).

        The number expected is the largest `legs` of its legs, each by its highest version that has one. A leg without `legs`
        counts as present if its own number is not above that.
        """
        deal = (trade.source, trade.trade_id)
        counting = self._legs.setdefault(deal, set())
        if trade.legs is not None:
            counting.add(trade.leg)
        expected = max(map(self._expected_legs, ((*deal, leg) for leg in counting)))
        present = len(counting.union(leg for leg in range(expected + 1) if self.versions((*deal, leg))))
        missing = (present, expected) if present < expected else None
        if self.unmatched.get(deal) == missing:
            return
        if missing is not None:
            self.unmatched[deal] = missing
        else:
            del self.unmatched[deal]
        self.revision += 1

    def first_leg_ts(self, source: str, trade_id: str, legs: int) -> int:
        """When the first leg of a deal was received, microseconds; 0 if none is in memory. O(legs)."""
        received = (version.received_ts for leg in range(legs + 1) for version in self.versions((source, trade_id, leg)))
        return min(received, default=0)

    def _expected_legs(self, identity: tuple[str, str, int]) -> int:
        newest_first = (version.legs for version in reversed(self.versions(identity)))
        return next((legs for legs in newest_first if legs is not None), 0)

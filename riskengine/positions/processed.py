"""Which trades count: identity, versions, duplicates, conflicts, cancels that came first, missing legs.

The rules of ACCOUNTING section 2. The memory of what was processed belongs here, not to positions: it outlives a flat position
and a restart (which replays the store through it). Owned by the writer thread; pure: every judgement follows from stored facts
alone, so that a replay judges alike.
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
"""Trades looked at between two rests in long work."""


def exception_id(kind: str, trade: Trade) -> str:
    """Names an exception about one version of a trade, for good: two trades never share a name, colons or not."""
    return f"{kind}:{escape_name(trade.source)}:{escape_name(trade.trade_id)}:{trade.leg}:{trade.version}"


def escape_name(text: str) -> str:
    """A name as a part between colons."""
    return text.replace("%", "%25").replace(":", "%3A")


def unescape_name(text: str) -> str:
    """The name that is such a part."""
    return text.replace("%3A", ":").replace("%25", "%")


class Decision(NamedTuple):
    """What becomes of a trade: its status, and which trades leave and enter the positions because of it."""

    status: str
    removed: Trade | None = None
    added: Trade | None = None
    other: Trade | None = None
    """The version that stands, where this one is a conflict."""


DUPLICATE_DECISION = Decision(DUPLICATE)


class Processed:
    """Every identity ever seen: with its versions, or, where it is long done, as a fingerprint in `history`.

    Whoever gives it a version of an identity in `history` puts those from before back first (`thaw`).

    parked       cancels whose trade has not come, by identity
    quarantined  versions that take no part, with the reason, by (identity, version)
    unmatched    legs that are missing, by (source, trade_id): (legs present, legs expected)
    inert        identities of which no version takes part: cancelled, parked, quarantined
    revision     rises with every change of the first three
    frozen       how many identities are in `history` alone
    frozen_to    what was frozen was traded before this, microseconds
    """

    def __init__(self) -> None:
        self.history = FrozenIds()
        self.frozen = 0
        self.frozen_to = 0
        # By source, then by trade_id alone for leg 0, which nearly all are: no key has to be made and kept for those.
        self._versions: defaultdict[str, dict[str | tuple[str, int], Trade | list[Trade]]] = defaultdict(dict)
        self._legs: dict[tuple[str, str], set[int]] = {}
        self.parked: dict[Identity, Trade] = {}
        self.quarantined: dict[tuple[Identity, int], tuple[Trade, str]] = {}
        self.unmatched: dict[tuple[str, str], tuple[int, int]] = {}
        self.inert: set[Identity] = set()
        self.revision = 0

    def __len__(self) -> int:
        return self.in_memory + self.frozen

    @property
    def in_memory(self) -> int:
        """How many identities are here with their versions. O(sources)."""
        return sum(map(len, self._versions.values()))

    def enter(self, trade: Trade) -> bool:
        """Remember what nearly every trade is: the first version of its identity, a deal in one leg that simply counts.

        False, and nothing remembered, for everything else: `admit` decides about it. For trades not to be quarantined. O(1).
        """
        leg = trade.leg
        key = (trade.trade_id, leg) if leg else trade.trade_id
        known = self._versions[trade.source]
        if key in known or trade.action == "cancel" or trade.legs is not None or (self._legs and self._counts_legs(trade)):
            return False
        known[key] = trade
        return True

    def enter_all(self, trades: Sequence[Trade], quarantined: Collection[int]) -> list[int] | None:
        """`enter` for a large batch at once; the places of those that `admit` is to decide about, in order.

        `quarantined` are the places of trades to be kept out, which are among them. None, and nothing remembered, where legs of
        deals are to be counted: that goes one by one. 0.4 us a trade.
        """
        if self._legs or any(trade.legs is not None for trade in trades):
            return None
        odd = {trade.trade_id for trade in trades if trade.action == "cancel"}
        odd.update(trades[place].trade_id for place in quarantined)  # with all of their versions: those go in order
        remember = {source: self._versions[source].setdefault for source in {trade.source for trade in trades}}
        return [
            place
            for place, trade in enumerate(trades)
            if trade.trade_id in odd
            or remember[trade.source]((trade.trade_id, trade.leg) if trade.leg else trade.trade_id, trade) is not trade
        ]

    def admit(self, trade: Trade, quarantine: str = "") -> Decision:
        """Decide about one version of a trade and remember it. `quarantine` is the reason to keep it out, or empty.

        O(versions).
        """
        known = self._known(trade)
        if known:
            return self._another(known, trade, quarantine)
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

    def release(self, trade: Trade) -> Decision:
        """Let a quarantined version take part from now on. O(versions)."""
        versions = self._known(trade)
        before = self._effective(versions)
        del self.quarantined[trade.identity, trade.version]
        return self._changed(trade, before, versions)

    def replace(self, trade: Trade, quarantine: str = "") -> Decision:
        """Give a version that is known other economics, in place. `quarantine` as for `admit`. O(versions)."""
        known = self._known(trade)
        before = self._effective(known)
        versions = [trade if version.version == trade.version else version for version in known]
        self._remember(trade, versions if len(versions) > 1 else trade)
        self.quarantined.pop((trade.identity, trade.version), None)
        if quarantine:
            self.quarantined[trade.identity, trade.version] = (trade, quarantine)
        return self._changed(trade, before, versions)

    def _changed(self, trade: Trade, before: Trade | None, versions: list[Trade]) -> Decision:
        """What leaves and enters the positions after something about `versions` was changed."""
        if self._counts_legs(trade):
            self._note_leg(trade)
        self._note_parked(trade.identity, versions)
        self.revision += 1
        after = self._note_inert(trade.identity, versions)
        return Decision(APPLIED) if after is before else Decision(APPLIED, before, after)

    def restore(self, identity: Identity, judged: Sequence[tuple[Trade, str]]) -> None:
        """Make the versions of a trade these, each with the reason to keep it out or empty; without any it was never seen.

        What a repair does with what the store holds. O(versions + legs).
        """
        for version in (*self._known(identity), *(trade for trade, _ in judged)):
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
        """Whether it is this very record that takes part; of one in `history`, whether it is this version. O(versions)."""
        leg = trade.leg
        known = self._versions[trade.source].get((trade.trade_id, leg) if leg else trade.trade_id)
        if known is None:
            return self.frozen > 0 and self.history.version_count(trade.source, trade.trade_id, leg) == trade.version
        if isinstance(known, list):
            return self._effective(known) is trade
        return known is trade and not (self.quarantined and (trade.identity, trade.version) in self.quarantined)

    def standing(self) -> Iterator[Trade]:
        """Every version in memory that takes part, perhaps without those that come meanwhile. O(identities)."""
        for known in tuple(self._versions.values()):
            for versions in tuple(known.values()):
                trade = self._effective(versions if isinstance(versions, list) else [versions])
                if trade is not None:
                    yield trade

    def freeze(self, before: int, traded_before: int, open_deals: Container[tuple[str, str]], rest: Callable[[], None]) -> int:
        """Forget identities that are done, but for their fingerprints; how many.

        Done is one of which every version was received before `before` (microseconds), the version that stands was traded before
        `traded_before`, and nothing is to be expected: versions 1, 2, .. are here, the highest takes part, no leg counts
        others, and the deal (source, trade_id) is not one of `open_deals`. `rest` is called often. O(identities in memory), 1 us
        each.
        """
        before_now, self.frozen_to = self.frozen, max(self.frozen_to, traded_before)
        for source, known in self._versions.items():
            keys: list[str | tuple[str, int]] = []
            prints: list[int] = []
            counts: list[int] = []
            for seen, (key, versions) in enumerate(known.items()):
                if not seen % TRADES_PER_REST:
                    rest()
                one = versions if not isinstance(versions, list) else versions[-1]
                if one.received_ts >= before or one.ts >= traded_before or (source, one.trade_id) in open_deals:
                    continue
                count = self._done(versions, before)
                if count:
                    keys.append(key)
                    prints.append(identity_fingerprint(source, one.trade_id, one.leg))
                    counts.append(count)
            if keys:
                taken = self.history.add(prints, counts)  # one that shares its fingerprint with another stays
                for key, is_taken in zip(keys, taken.tolist(), strict=True):
                    if is_taken:
                        del known[key]
                self._versions[source] = dict(known)  # gives back what the removed ones took
                self.frozen += int(taken.sum())
        return self.frozen - before_now

    def _done(self, versions: Trade | list[Trade], before: int) -> int:
        """How many versions an identity has that may be frozen; 0 where it may not."""
        all_versions = versions if isinstance(versions, list) else [versions]
        top = all_versions[-1]
        if top.version != len(all_versions) or top.version > MAX_VERSIONS or top.action == "cancel":
            return 0
        if self._legs and (top.source, top.trade_id) in self._legs:
            return 0
        if self.quarantined and any((one.identity, one.version) in self.quarantined for one in all_versions):
            return 0
        return top.version if all(one.received_ts < before and one.legs is None for one in all_versions) else 0

    def thaw(self, versions: Sequence[Trade]) -> bool:
        """Put back all versions of an identity that was frozen, lowest first; False where they are here. O(versions)."""
        if self._known(versions[0]):
            return False
        self._remember(versions[0], list(versions) if len(versions) > 1 else versions[0])
        self.frozen -= 1
        return True

    def count_frozen(self, trades: Iterable[Trade]) -> int:
        """How many trades there are before the first whose versions are in memory. O(those), 0.3 us each."""
        known, count = self._versions, 0
        for trade in trades:
            leg = trade.leg
            if ((trade.trade_id, leg) if leg else trade.trade_id) in known[trade.source]:
                break
            count += 1
        return count

    def is_in_memory(self, trade: Trade) -> bool:
        """Whether the versions of this trade's identity are here, rather than frozen. O(1)."""
        return ((trade.trade_id, trade.leg) if trade.leg else trade.trade_id) in self._versions[trade.source]

    def _recount_legs(self, identity: Identity) -> None:
        """Count the legs of a deal again after a leg was given other versions, or none."""
        deal = (identity.source, identity.trade_id)
        telling = {
            leg
            for leg in self._legs.get(deal, set()) | {identity.leg}
            if any(version.legs is not None for version in self._known(Identity(*deal, leg)))
        }
        self.unmatched.pop(deal, None)
        if not telling:
            self._legs.pop(deal, None)
            return
        self._legs[deal] = telling
        self._note_leg(self._known(Identity(*deal, min(telling)))[-1])

    def _counts_legs(self, trade: Trade) -> bool:
        """Whether this leg, or another of its deal, says how many there should be."""
        return trade.legs is not None or (trade.source, trade.trade_id) in self._legs

    def _known(self, identity: Identity | Trade) -> list[Trade]:
        """Its versions, lowest first."""
        leg = identity.leg
        known = self._versions[identity.source].get((identity.trade_id, leg) if leg else identity.trade_id)
        return [] if known is None else known if isinstance(known, list) else [known]

    def _remember(self, trade: Trade, versions: Trade | list[Trade]) -> None:
        self._versions[trade.source][(trade.trade_id, trade.leg) if trade.leg else trade.trade_id] = versions

    def versions(self, identity: tuple[str, str, int]) -> list[Trade]:
        """All versions of a trade, lowest first; empty if it was never seen, or is frozen."""
        return list(self._known(Identity(*identity)))

    def effective(self, identity: tuple[str, str, int]) -> Trade | None:
        """The version that stands in the positions; None where it is cancelled, parked or quarantined."""
        return self._effective(self.versions(identity))

    def _another(self, versions: list[Trade], trade: Trade, quarantine: str) -> Decision:
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
        """Keep `inert` true; the version that takes part."""
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

        How many there should be is what the highest version of each leg that says so says. A leg need not say it: one that does
        not counts by its number, up to that many.
        """
        deal = (trade.source, trade.trade_id)
        telling = self._legs.setdefault(deal, set())
        if trade.legs is not None:
            telling.add(trade.leg)
        expected = max(map(self._expected_legs, ((*deal, leg) for leg in telling)))
        present = len(telling.union(leg for leg in range(expected + 1) if self.versions((*deal, leg))))
        missing = (present, expected) if present < expected else None
        if self.unmatched.get(deal) == missing:
            return
        if missing is not None:
            self.unmatched[deal] = missing
        else:
            del self.unmatched[deal]
        self.revision += 1

    def _expected_legs(self, identity: tuple[str, str, int]) -> int:
        said = (version.legs for version in reversed(self.versions(identity)))
        return next((legs for legs in said if legs is not None), 0)

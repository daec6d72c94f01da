"""Which trades count: identity, versions, duplicates, conflicts, and what is kept out until a person or time decides.

The rules of ACCOUNTING section 2. The memory of what was processed belongs here, not to positions: it outlives a flat position
and a restart (which replays the store through it). Owned by the writer thread; pure: every judgement follows from stored facts
alone, so that a replay judges alike.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import EngineConfig
from riskengine.messages import Identity, Instrument, Kind, Opening, Trade

APPLIED = "applied"
DUPLICATE = "duplicate"
CONFLICT = "conflict"
SUPERSEDED = "superseded"
PARKED = "parked"
QUARANTINED = "quarantined"


def exception_id(kind: str, trade: Trade) -> str:
    """Names an exception about one version of a trade, for good: two trades never share a name, colons or not."""
    return f"{kind}:{name_part(trade.source)}:{name_part(trade.trade_id)}:{trade.leg}:{trade.version}"


def name_part(text: str) -> str:
    """A name as a part between colons."""
    return text.replace("%", "%25").replace(":", "%3A")


class Decision(NamedTuple):
    """What becomes of a trade: its status, and which trades leave and enter the positions because of it."""

    status: str
    removed: Trade | None = None
    added: Trade | None = None
    other: Trade | None = None
    """The version that stands, where this one is a conflict."""


DUPLICATE_DECISION = Decision(DUPLICATE)


class Processed:
    """Every identity ever seen, with its versions.

    parked       cancels whose trade has not come, by identity
    quarantined  versions that take no part, with the reason, by (identity, version)
    unmatched    legs that are missing, by (source, trade_id): (legs present, legs expected)
    inert        identities of which no version takes part: cancelled, parked, quarantined
    revision     rises with every change of the first three
    """

    def __init__(self) -> None:
        # By source, then by trade_id alone for leg 0, which nearly all are: no key has to be made and kept for those.
        self._versions: defaultdict[str, dict[str | tuple[str, int], Trade | list[Trade]]] = defaultdict(dict)
        self._legs: dict[tuple[str, str], set[int]] = {}
        self.parked: dict[Identity, Trade] = {}
        self.quarantined: dict[tuple[Identity, int], tuple[Trade, str]] = {}
        self.unmatched: dict[tuple[str, str], tuple[int, int]] = {}
        self.inert: set[Identity] = set()
        self.revision = 0

    def __len__(self) -> int:
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
            place for place, trade in enumerate(trades)
            if trade.trade_id in odd
            or remember[trade.source]((trade.trade_id, trade.leg) if trade.leg else trade.trade_id, trade) is not trade
        ]  # fmt: skip

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
        """Whether it is this very record that takes part. O(versions)."""
        leg = trade.leg
        known = self._versions[trade.source].get((trade.trade_id, leg) if leg else trade.trade_id)
        if isinstance(known, list):
            return self._effective(known) is trade
        return known is trade and not (self.quarantined and (trade.identity, trade.version) in self.quarantined)

    def standing(self) -> Iterator[Trade]:
        """Every version that takes part; those that come meanwhile may be left out. O(identities), a list of each source."""
        for known in tuple(self._versions.values()):
            for versions in tuple(known.values()):
                trade = self._effective(versions if isinstance(versions, list) else [versions])
                if trade is not None:
                    yield trade

    def _recount_legs(self, identity: Identity) -> None:
        """Count the legs of a deal again after a leg was given other versions, or none."""
        deal = (identity.source, identity.trade_id)
        telling = {
            leg for leg in self._legs.get(deal, set()) | {identity.leg}
            if any(version.legs is not None for version in self._known(Identity(*deal, leg)))
        }  # fmt: skip
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
        """All versions of a trade, lowest first; empty if it was never seen."""
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


class Quarantine:
    """Why a trade is kept out of the positions, from stored facts alone.

    `openings` gives the time of the opening balance by (desk, dealer, instrument); `accepted` the exceptions (`exception_id`)
    that a person let in all the same.
    """

    def __init__(self, instruments: Mapping[str, Instrument], config: EngineConfig) -> None:
        self._instruments = instruments
        self._future_limit = int(config.future_limit_s * MICROS_PER_SECOND)
        hour, minute = config.day_boundary.split(":")
        self._boundary = dt.time(int(hour), int(minute))
        self._zone = ZoneInfo(config.day_zone)
        self.openings: dict[tuple[str, str, str], int] = {}
        self.accepted: set[str] = set()

    def open_with(self, opening: Opening) -> None:
        """Trades of this key from before the balance are part of it already."""
        key = (opening.desk, opening.dealer, opening.instrument)
        self.openings[key] = max(opening.ts, self.openings.get(key, 0))

    def reason(self, trade: Trade) -> str:
        """Empty where the trade may take part. 0.1 us for an ordinary one."""
        if trade.ts - trade.received_ts > self._future_limit:
            reason = f"ts is more than {self._future_limit // MICROS_PER_SECOND} s after it was received"
            return self._unless_accepted(trade, reason)
        if self.openings:
            opened = self.openings.get((trade.desk, trade.dealer, trade.instrument))
            if opened is not None and trade.ts < opened and trade.action != "cancel":
                return self._unless_accepted(trade, "ts is before the opening balance of its position")
        if trade.value_date and trade.action != "cancel":
            reason = self._not_spot(trade)
            return self._unless_accepted(trade, reason) if reason else ""
        return ""

    def reasons(self, trades: Sequence[Trade]) -> dict[int, str]:
        """The reasons of those that may not take part, by place. 0.1 us an ordinary one."""
        limit = self._future_limit
        if self.openings:
            asked: Iterable[int] = range(len(trades))
        else:
            asked = [place for place, one in enumerate(trades) if one.value_date or one.ts - one.received_ts > limit]
        found = ((place, self.reason(trades[place])) for place in asked)
        return {place: reason for place, reason in found if reason}

    def _unless_accepted(self, trade: Trade, reason: str) -> str:
        return "" if self.accepted and exception_id("quarantined", trade) in self.accepted else reason

    def _not_spot(self, trade: Trade) -> str:
        """A spot pair settles on its spot date; later ones are forwards, whose points would show as phantom P&L.

        Holidays can push a spot date by up to four days beyond the weekday rule: those pass.
        """
        instrument = self._instruments.get(trade.instrument)
        if instrument is None or instrument.kind is not Kind.FX:
            return ""
        traded = dt.date.fromisoformat(trade.trade_date) if trade.trade_date else self.trading_day(trade.ts)
        spot = spot_date(traded, instrument.base_currency, instrument.quote_currency)
        value = dt.date.fromisoformat(trade.value_date)
        if spot <= value <= spot + dt.timedelta(days=4):
            return ""
        return f"value_date {trade.value_date} is not spot ({spot.isoformat()}); forwards are not valued"

    def trading_day(self, ts: int) -> dt.date:
        """The trading day that a moment belongs to: from the boundary on it is the next weekday's."""
        local = dt.datetime.fromtimestamp(ts // MICROS_PER_SECOND, tz=self._zone)
        day = local.date() + dt.timedelta(days=1 if local.time() >= self._boundary else 0)
        while day.weekday() >= 5:
            day += dt.timedelta(days=1)
        return day


NEXT_DAY_PAIRS = frozenset({("USD", "CAD"), ("USD", "TRY"), ("USD", "PHP"), ("USD", "RUB")})
"""Pairs that settle one business day after the trade; all others settle after two."""


def spot_date(traded: dt.date, base: str, quote: str) -> dt.date:
    """The spot date by weekdays alone (holiday calendars are not known here)."""
    left = 1 if (base, quote) in NEXT_DAY_PAIRS else 2
    day = traded
    while left:
        day += dt.timedelta(days=1)
        left -= day.weekday() < 5
    return day

"""What is noticed of a trade that counts when it comes: that it lies far from the mark, or equals one of another source.

The mark at a trade's ts is taken to be the one in force when the trade comes, where its event time lies within `stale_after_s` of
that ts, before or after. A trade that comes later than that, or without such a mark, is not judged: no mark of its time is known.
Pure. Writer thread only.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import Config
from riskengine.engine.worklist import OFF_MARKET, POSSIBLE_DUPLICATE, WorkList
from riskengine.market.marks import Mark
from riskengine.market.price_limits import band_of, is_within, limit_of
from riskengine.positions.ledger import Ledger
from riskengine.records.fields import excerpt
from riskengine.records.reference import Reference
from riskengine.records.types import EXERCISE_SOURCE, Trade

MAX_COMPARED = 64
"""Trades of one position and one microsecond that a new one is compared with, the last in order first."""


class Sight(NamedTuple):
    """A trade of a batch, by its place, that lies far from a mark, or equals another trade. It is noticed if it counts."""

    place: int
    against: Mark | Trade


class Noticing:
    """Looks at the trades of a batch before they are applied, and puts on the work list what there is about those that count."""

    def __init__(self, reference: Reference, config: Config, ledger: Ledger, work: WorkList) -> None:
        self._index = reference.instrument_index
        self._off_market = config.trades.off_market
        self._limits = [limit_of(instrument, self._off_market) for instrument in reference.instruments]
        self._bands = [band_of(limit) for limit in self._limits]
        self._stale_after = int(config.marks.stale_after_s * MICROS_PER_SECOND)
        self._ledger = ledger
        self._work = work

    def grow(self, reference: Reference) -> None:
        """Know the forwards that a reference has beyond this one's. O(new ones)."""
        new = [limit_of(each, self._off_market) for each in reference.instruments[len(self._limits) :]]
        self._limits += new
        self._bands += map(band_of, new)
        self._index = reference.instrument_index

    def look_at(self, trades: Sequence[Trade], marks: Sequence[Mark | None]) -> list[Sight]:
        """What there is about trades that come now, by the marks in force and the trades before them. 0.5 us a trade."""
        sights: list[Sight] = []
        index, bands, of_desks = self._ledger.numbers, self._bands, self._ledger.of_desks
        adjustments = self._ledger.adjustments or None
        earlier: dict[tuple[int, str, str], list[Trade]] | None = {} if len({trade.source for trade in trades}) > 1 else None
        for place, trade in enumerate(trades):
            if not trade.signed_quantity or trade.source == EXERCISE_SOURCE:
                continue  # a cancel, or dealt by contract: at the strike
            number, ts = index[trade.instrument], trade.ts
            mark = marks[number]
            if adjustments is not None and adjustments.is_adjusted(trade):
                mark = None  # it is in units of today
            if mark is not None:
                last, band = mark[0], bands[number]
                if not last * band[0] <= trade.fill_price <= last * band[1] and self._is_off_market(trade, mark, number):
                    sights.append(Sight(place, mark))
            position = of_desks[trade.desk].get(number)
            if position is not None and (there := position.trades) and there[-1].ts >= ts:
                sights += (
                    Sight(place, other) for other in islice(position.at_time(ts), MAX_COMPARED) if _are_equal(trade, other)
                )
            if earlier is not None:
                same = earlier.setdefault((ts, trade.instrument, trade.desk), [])
                sights += (Sight(place, other) for other in same[-MAX_COMPARED:] if _are_equal(trade, other))
                same.append(trade)
        return sights

    def without_a_mark(self, trades: Iterable[Trade], marks: Sequence[Mark | None]) -> list[Trade]:
        """The trades that were dealt when they came, so that a mark of then would judge them, and have none. 0.3 us each."""
        found = []
        for trade in trades:
            if (
                not trade.signed_quantity
                or trade.source == EXERCISE_SOURCE
                or abs(trade.received_ts - trade.ts) > self._stale_after
            ):
                continue  # a cancel, or one that no engine compares with its mark
            number = self._index[trade.instrument]
            mark = marks[number]
            if self._limits[number] and (mark is None or not mark.ts or abs(trade.ts - mark.ts) > self._stale_after):
                found.append(trade)
        return found

    def note(self, trade: Trade, sight: Sight, now: int) -> None:
        """List a trade that counts for what was seen of it, once for each kind."""
        if isinstance(sight.against, Mark):
            self._note_off_market(trade, sight.against, now)
        else:
            self._note_possible_duplicate(trade, sight.against, now)

    def told(self, trade: Trade, sight: Sight) -> tuple[str, str]:
        """The kind and the sentence of what was seen."""
        if isinstance(sight.against, Mark):
            return OFF_MARKET, self._off_market_reason(trade, sight.against)
        return POSSIBLE_DUPLICATE, _duplicate_reason(sight.against)

    def _off_market_reason(self, trade: Trade, mark: Mark) -> str:
        move, limit = _move(trade, mark), self._limits[self._index[trade.instrument]]
        return f"{trade.fill_price:.12g} is {move:+.2%} from the mark {mark.price:.12g} of its time; {limit:.2%} is the limit"

    def _is_off_market(self, trade: Trade, mark: Mark, number: int) -> bool:
        is_of_its_time = mark.ts and abs(trade.ts - mark.ts) <= self._stale_after
        return bool(is_of_its_time) and not is_within(trade.fill_price, mark.price, self._limits[number])

    def _note_off_market(self, trade: Trade, mark: Mark, now: int) -> None:
        detail: dict[str, object] = {
            "price": trade.fill_price,
            "mark": mark.price,
            "mark_ts": mark.ts,
            "mark_source": mark.source,
            "move": _move(trade, mark),
            "limit": self._limits[self._index[trade.instrument]],
        }
        self._work.note_trade(OFF_MARKET, trade, self._off_market_reason(trade, mark), detail, now)

    def _note_possible_duplicate(self, trade: Trade, other: Trade, now: int) -> None:
        detail: dict[str, object] = {
            "other": {"source": other.source, "trade_id": other.trade_id, "leg": other.leg, "version": other.version}
        }
        self._work.note_trade(POSSIBLE_DUPLICATE, trade, _duplicate_reason(other), detail, now)


def _move(trade: Trade, mark: Mark) -> float:
    """How far a price lies from a mark, as a fraction of it."""
    return (trade.fill_price - mark.price) / abs(mark.price)


def _duplicate_reason(other: Trade) -> str:
    return f"source {excerpt(other.source)} has sent an equal trade, {excerpt(other.trade_id)}; both count"


def _are_equal(trade: Trade, other: Trade) -> bool:
    """Whether trades of two sources at one desk have equal economics but for what each source numbers."""
    return trade.source != other.source and _deal(trade) == _deal(other)


def _deal(trade: Trade) -> tuple[object, ...]:
    """The economics of a trade at a desk without what its source numbers: source_seq, legs, new or amend."""
    return (
        trade.ts,
        trade.dealer,
        trade.side,
        trade.quantity,
        trade.price,
        trade.fees,
        trade.fees_currency,
        trade.value_date,
        trade.trade_date,
        trade.contra_amount,
    )

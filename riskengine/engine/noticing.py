"""What is noticed of a trade that counts when it comes: that it lies far from the mark, or equals one of another source.

The mark at a trade's ts is taken to be the one in force when the trade comes, where its event time lies within `stale_after_s` of
that ts, before or after. A trade that comes later than that, or without such a mark, is not judged: no mark of its time is known.
Pure. Writer thread only.
"""

from collections.abc import Container, Sequence
from itertools import islice

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import Config
from riskengine.engine.worklist import OFF_MARKET, POSSIBLE_DUPLICATE, WorkList
from riskengine.market.marks import Mark
from riskengine.market.price_limits import is_within, limit_of
from riskengine.positions.ledger import Ledger
from riskengine.records.fields import excerpt
from riskengine.records.reference import Reference
from riskengine.records.types import Trade

MAX_COMPARED = 64
"""Trades of one position and one microsecond that a new one is compared with, the last in order first."""


class Noticing:
    """Looks at trades that have just been applied, and puts what it notices on the work list."""

    def __init__(self, reference: Reference, config: Config, ledger: Ledger, work: WorkList) -> None:
        self._index = reference.instrument_index
        self._limits = [limit_of(instrument, config.trades.off_market) for instrument in reference.instruments]
        self._stale_after = int(config.marks.stale_after_s * MICROS_PER_SECOND)
        self._ledger = ledger
        self._work = work

    def look_at(self, trade: Trade, marks: Sequence[Mark | None], now: int, to_come: Container[int]) -> None:
        """Notice what there is about a trade that counts, by the marks in force. 1 us.

        `to_come` has the `id` of trades that came after it and are applied already: they are compared with it, not it with them.
        """
        number = self._index[trade.instrument]
        mark, limit = marks[number], self._limits[number]
        if mark is not None and limit and mark.ts and abs(trade.ts - mark.ts) <= self._stale_after:
            price = trade.fill_price
            if not is_within(price, mark.price, limit):
                self._note_off_market(trade, mark, limit, now)
        desk, _ = self._ledger.positions_of(trade)
        for other in islice(desk.at_time(trade.ts), MAX_COMPARED):
            if other.source != trade.source and id(other) not in to_come and _deal(other) == _deal(trade):
                self._note_possible_duplicate(trade, other, now)
                break

    def _note_off_market(self, trade: Trade, mark: Mark, limit: float, now: int) -> None:
        move = (trade.fill_price - mark.price) / abs(mark.price)
        reason = f"{trade.fill_price:.12g} is {move:+.2%} from the mark {mark.price:.12g} of its time; {limit:.2%} is the limit"
        detail: dict[str, object] = {
            "price": trade.fill_price,
            "mark": mark.price,
            "mark_ts": mark.ts,
            "mark_source": mark.source,
            "move": move,
            "limit": limit,
        }
        self._work.note_trade(OFF_MARKET, trade, reason, detail, now)

    def _note_possible_duplicate(self, trade: Trade, other: Trade, now: int) -> None:
        reason = f"source {excerpt(other.source)} has sent an equal trade, {excerpt(other.trade_id)}; both count"
        detail: dict[str, object] = {
            "other": {"source": other.source, "trade_id": other.trade_id, "leg": other.leg, "version": other.version}
        }
        self._work.note_trade(POSSIBLE_DUPLICATE, trade, reason, detail, now)


def _deal(trade: Trade) -> tuple[object, ...]:
    """The economics of a trade without what its source numbers: source_seq, legs, new or amend."""
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

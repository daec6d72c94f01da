"""What stands in the place of a position that broke an invariant, until a repair."""

from bisect import insort
from collections.abc import Sequence
from typing import ClassVar

from riskengine.position import Position
from riskengine.records.types import Opening, Trade, order_key


class QuarantinedPosition(Position):
    """Stands in the place of a position that broke an invariant, until a repair: it keeps trades and claims nothing.

    Quantity, cash, fees and identities are 0, so that sums leave it out; nothing is folded, so that nothing that is broken in it
    can stop the writer. A repair folds a new position from what the store holds.
    """

    __slots__ = ()

    quarantined: ClassVar[int] = 1

    def __init__(self, broken: Position) -> None:
        super().__init__(broken.owner, broken.instrument, broken.slot)
        self.openings, self.base = broken.openings, broken.base
        self.trades = sorted({trade.identity: trade for trade in broken.trades}.values(), key=order_key)

    def open_with(self, opening: Opening, multiplier: int, currency: str) -> None:
        """Keep a balance brought forward."""
        self.openings = (*self.openings, opening)

    def add(self, trade: Trade, fingerprint: int | None = None) -> int:
        """Keep a trade. Returns 0: nothing moved. O(log n), O(n) for one that is not the newest."""
        insort(self.trades, trade, key=order_key)
        return 0

    def extend(self, trades: Sequence[Trade], fingerprints: Sequence[int]) -> bool:
        """Returns False: they are kept one by one."""
        return False

    def remove(self, trade: Trade) -> None:
        """Drop a trade where it is there. O(n)."""
        self.trades = [other for other in self.trades if other.identity != trade.identity]

    def check(self, multiplier: int) -> None:
        """Assert that it claims nothing. O(1)."""
        claims = (self.quantity, self.cash, self.average, self.fees, self.identities)
        assert claims == (0, 0, None, None, 0), "a quarantined position claims nothing"

"""The mark of an instrument: the price that values positions (ACCOUNTING section 8), and what a person said of it."""

from collections.abc import Callable
from typing import NamedTuple

from riskengine.market.suspects import SuspectLevel

ONE_SIDED = "one_sided"
TWO_SIDED = "quote"
CLOSE = "close"
"""The kinds of a mark: two from a feed, and the last official close."""


class SetByHand(NamedTuple):
    """What a person said of a mark: who set it and why, and until when it holds against the feeds (None: it does not).

    `beneath` is the mark that counts once it holds no more, None where there is none.
    """

    author: str
    reason: str
    expires_ts: int | None = None
    beneath: "Mark | None" = None


class Mark(NamedTuple):
    """The price that values an instrument. `kind` is `quote`, `one_sided` or `close`. Event times, microseconds.

    `suspects` are the levels that the mark policy holds back, one a source; `by_hand` is None unless a person set the mark. `bid`
    and `ask` are those of the quote that the mark came from, None where it had none and where the mark comes from the store.
    """

    price: float
    ts: int
    source: str
    kind: str
    suspects: tuple[SuspectLevel, ...] = ()
    by_hand: SetByHand | None = None
    bid: float | None = None
    ask: float | None = None

    @property
    def is_held(self) -> bool:
        """Whether a person's mark holds against the feeds."""
        return self.by_hand is not None and self.by_hand.expires_ts is not None

    @property
    def lasting(self) -> "Mark | None":
        """The mark without what a person holds over it, which ends: the one to store."""
        return self.by_hand.beneath if self.is_held and self.by_hand is not None else self

    def repriced(self, symbol: str, price_of: Callable[[str, float, int, str], float]) -> "Mark":
        """It, and the mark beneath it, with what `price_of` makes of symbol, price, time and kind."""
        by_hand = self.by_hand
        if by_hand is not None and by_hand.beneath is not None:
            by_hand = by_hand._replace(beneath=by_hand.beneath.repriced(symbol, price_of))
        price = price_of(symbol, self.price, self.ts, self.kind)
        sides = (self.bid, self.ask) if price == self.price else (None, None)
        return self._replace(price=price, by_hand=by_hand, bid=sides[0], ask=sides[1])

    @property
    def suspect(self) -> float | None:
        """The suspect level that was quoted last, or None."""
        return max(self.suspects, key=lambda level: level.ts).price if self.suspects else None

    @property
    def suspect_ts(self) -> int:
        """Since when that level is held back, or 0."""
        return max(self.suspects, key=lambda level: level.ts).since if self.suspects else 0


NO_MARK = Mark(0.0, 0, "", "")
"""In place of the mark of an instrument that has none any more: what a person held over it has ended."""

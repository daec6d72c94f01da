"""A book of options and their hedges for tests: two pairs, a share, a future, a pair that is quoted the other way round."""

from typing import Any

from riskengine.snapshot.risk import risk
from tests.optioned import OptionHouse, option, share_option
from tests.world import NOON

CALL, PUT, YEN, SHARE = "EURUSD C1.10", "EURUSD P1.08", "USDJPY C150", "ACME C90"
WEEK, LATER = "EURUSD W", "EURUSD 2Y"

OPTIONS = (
    option(CALL, "EUR", "USD", "1.1"),
    option(PUT, "EUR", "USD", "1.08", option_type="put"),
    option(YEN, "USD", "JPY", "150", expiry="2026-05-29"),
    share_option(SHARE, "90", expiry="2026-06-22", exercise="european"),
    option(WEEK, "EUR", "USD", "1.102", expiry="2026-03-06", cut="15:00 Asia/Tokyo"),
    option(LATER, "EUR", "USD", "1.3", expiry="2028-03-03"),
)

HEDGES: tuple[dict[str, Any], ...] = (
    {"instrument": "USDEUR", "kind": "fx", "base_currency": "USD", "quote_currency": "EUR"},
    {
        "instrument": "6EM6",
        "kind": "future",
        "quote_currency": "USD",
        "underlying": "EURUSD",
        "expiry": "2026-06-15",
        "multiplier": "125000",
    },
)


class RiskyHouse(OptionHouse):
    """The book with a long position of one in each option of `held`, and vols and spots for all."""

    def __init__(self, *held: str, quantity: str = "1000000", **more: Any) -> None:
        super().__init__((*OPTIONS, *HEDGES), now=NOON, **more)
        self.symbols = [row["instrument"] for row in OPTIONS]
        self.vols()
        self.spots(**{"6EM6": 1.105, "USDEUR": 1 / 1.1})
        for symbol in held:
            self.buy(symbol, "5" if symbol == SHARE else quantity, desk="EQ1" if symbol == SHARE else "FX1")
        self.beat()

    def rows(self, **owner: Any) -> dict[str, dict[str, Any]]:
        return {row["instrument"]: row for row in risk(self.engine.snapshot, **owner).rows}

    def beside(self, **owner: Any) -> dict[str, Any]:
        return risk(self.engine.snapshot, **owner).summary

    def by(self, name: str, **owner: Any) -> dict[str, dict[str, Any]]:
        """The sums by underlying or by expiry, by their names."""
        key = {"by_underlying": "underlying", "by_expiry": "bucket"}[name]
        return {row[key]: row for row in self.beside(**owner)[name]}

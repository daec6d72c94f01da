"""A house with options for tests: pairs, options on them and on a share, rates, vols, and a clock that a test moves."""

from collections.abc import Iterable, Mapping
from typing import Any

from riskengine.config import Config
from riskengine.records.option_inputs import OptionInput, PushedGreeks, RateRow, Vol
from riskengine.records.reference import Reference
from riskengine.snapshot.snapshot import Snapshot
from tests.world import INSTRUMENTS, NOON, House, config, quote, reference, trade

EXPIRY = "2026-09-04"
RATES = {"USD": 0.04, "EUR": 0.025, "GBP": 0.045, "JPY": 0.01}


def option(symbol: str, base: str, quote_currency: str, strike: str, **columns: Any) -> dict[str, Any]:
    plain = {
        "instrument": symbol,
        "kind": "fx_option",
        "base_currency": base,
        "quote_currency": quote_currency,
        "option_type": "call",
        "strike": strike,
        "expiry": EXPIRY,
    }
    return plain | columns


def share_option(symbol: str, strike: str, **columns: Any) -> dict[str, Any]:
    plain = {
        "instrument": symbol,
        "kind": "equity_option",
        "quote_currency": "USD",
        "underlying": "ACME",
        "option_type": "call",
        "strike": strike,
        "expiry": EXPIRY,
        "multiplier": "100",
        "quantity_decimals": 0,
    }
    return plain | columns


OPTIONS: tuple[dict[str, Any], ...] = (
    option("EURUSD C1.10", "EUR", "USD", "1.1"),
    option("EURUSD P1.08", "EUR", "USD", "1.08", option_type="put"),
    option("USDJPY C150", "USD", "JPY", "150"),
    option("EURGBP C0.86", "EUR", "GBP", "0.86"),
    option("GBPJPY C190", "GBP", "JPY", "190"),
)
"""GBPJPY is quoted nowhere: its spot is the cross of the rates of both currencies."""

SPOTS = {"EURUSD": 1.1, "GBPUSD": 1.28, "USDJPY": 150.0, "EURGBP": 0.86, "ACME": 90.0}


def rates(values: Mapping[str, float] = RATES, ts: int = NOON) -> list[RateRow]:
    return [RateRow(code, "rate", "2027-12-31", ts, rate) for code, rate in values.items()]


class OptionHouse(House):
    """A house whose options are valued: call `vols`, `spots` and `beat`."""

    def __init__(
        self,
        options: Iterable[Mapping[str, Any]] = OPTIONS,
        reporting_currency: str = "USD",
        settings: Config | None = None,
        now: int = NOON,
        rated: Mapping[str, float] = RATES,
    ) -> None:
        where: Reference = reference(rows=(*INSTRUMENTS, *options), reporting_currency=reporting_currency)
        settings = settings or config(engine={"reporting_currency": reporting_currency})
        super().__init__(where, settings, now)
        self.symbols = [row["instrument"] for row in options]
        self.take(rates(rated, now))

    def take(self, inputs: Iterable[OptionInput]) -> None:
        """Put vols, rates and Greeks in force, as the beat gets them."""
        self.engine.beat({}, self.now, tuple(inputs))

    def vols(self, vol: float = 0.1, *symbols: str, ts: int | None = None) -> None:
        moment = self.now if ts is None else ts
        self.take(Vol(symbol, moment, vol) for symbol in symbols or self.symbols)

    def push(self, symbol: str, **columns: Any) -> None:
        self.take([PushedGreeks(symbol, columns.pop("ts", self.now), **columns)])

    def spots(self, **moved: float) -> Snapshot:
        return self.marks(**(SPOTS | moved))

    def buy(self, symbol: str, quantity: str, price: str = "0.01", desk: str = "FX1", **columns: Any) -> None:
        number = len(self.engine.processed.quarantined) + self.engine.snapshot.counts.applied
        one = trade(f"o{number}", where=self.where, instrument=symbol, quantity=quantity, price=price, desk=desk, **columns)
        assert self.deal(one) == ["applied"]

    def quote(self, symbol: str, mid: float) -> None:
        assert self.quotes.offer([quote(symbol, mid, mid, self.now)], self.now) == []

    def values(self, symbol: str) -> dict[str, Any]:
        """What the option book says of one option."""
        found = self.engine.options.values
        assert found is not None
        place = self.engine.options.terms.place[symbol]
        return {name: getattr(found, name)[place] for name in found._fields}

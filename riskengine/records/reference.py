"""The reference data of one moment: the tree of nodes and the instruments, numbered."""

from collections.abc import Iterable, Sequence

import numpy as np

from riskengine.records.currency_units import AS_THEY_ARE, MINOR_UNITS, PriceUnits, check_price_units
from riskengine.records.decode import TradeCheck
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.rules import NO_STARTS, RuleStarts
from riskengine.records.types import OPTION_KINDS, Instrument, Node


class Reference:
    """Nodes and instruments of one moment, and their numbers, which index positions, marks and rates. Immutable.

    Instruments and currencies are numbered by name, so that sums over them add in the order of names. `rule_starts` says which
    stored rows the stricter rules judge (`records.rules`), `price_units` in which units sources quote.
    """

    def __init__(
        self,
        nodes: Iterable[Node],
        instruments: Iterable[Instrument],
        reporting_currency: str,
        rule_starts: RuleStarts = NO_STARTS,
        price_units: PriceUnits = AS_THEY_ARE,
    ) -> None:
        """Raises ReferenceDataError for nodes that form no tree, ConfigError for price units that are none."""
        check_price_units(price_units)
        self.hierarchy = Hierarchy(nodes)
        by_symbol = {instrument.instrument: instrument for instrument in instruments}
        self.instruments: tuple[Instrument, ...] = tuple(by_symbol[symbol] for symbol in sorted(by_symbol))
        self.symbols: tuple[str, ...] = tuple(instrument.instrument for instrument in self.instruments)
        self.instrument_index: dict[str, int] = {symbol: number for number, symbol in enumerate(self.symbols)}
        self.by_symbol: dict[str, Instrument] = {instrument.instrument: instrument for instrument in self.instruments}
        self.reporting_currency = reporting_currency
        self.rule_starts = rule_starts
        self.price_units = price_units
        self.currencies: tuple[str, ...] = tuple(sorted(_currencies(self.instruments) | {reporting_currency}))
        self.currency_index: dict[str, int] = {code: number for number, code in enumerate(self.currencies)}
        self.cash_currency: tuple[int, ...] = tuple(self.currency_index[i.currency] for i in self.instruments)
        self.products = np.array([not i.posts_legs for i in self.instruments], dtype=np.bool_)
        """True for instruments with exposure by product, False for those with exposure by currency leg."""
        self.options = np.flatnonzero([i.kind in OPTION_KINDS for i in self.instruments])
        """Numbers of the options."""
        self.base_currency: tuple[int, ...] = tuple(
            self.currency_index[i.base_currency] if i.posts_legs else -1 for i in self.instruments
        )


def _currencies(instruments: Sequence[Instrument]) -> set[str]:
    codes = {instrument.currency for instrument in instruments} | {i.quote_currency for i in instruments}
    codes |= {instrument.base_currency for instrument in instruments if instrument.base_currency}
    return codes | {MINOR_UNITS[code] for code in codes if code in MINOR_UNITS}


def trade_check(reference: Reference) -> TradeCheck:
    """The check of incoming trades against this reference data."""
    hierarchy = reference.hierarchy
    more = (reference.reporting_currency,)
    starts, units = reference.rule_starts, reference.price_units
    return TradeCheck(reference.by_symbol, hierarchy.leaves, hierarchy.index, more, starts, units)

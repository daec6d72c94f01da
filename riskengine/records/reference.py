"""The reference data of one moment: the tree of nodes and the instruments, numbered."""

from collections.abc import Iterable, Sequence
from copy import copy

import numpy as np

from riskengine.records.currency_units import AS_THEY_ARE, MINOR_UNITS, PriceUnits, check_price_units
from riskengine.records.decode import TradeCheck
from riskengine.records.forwards import base_bucket, cash_bucket, forward_of, value_date_of
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.rules import NO_STARTS, RuleStarts
from riskengine.records.types import OPTION_KINDS, Instrument, Kind, Node


class Reference:
    """Nodes and instruments of one moment, and their numbers, which index positions, marks and rates. Immutable.

    What was loaded is numbered by name. Forwards that trades have made come behind it, numbered as they came (`grown`), so that
    no number ever changes. `ranks` and `currency_ranks` say in which order sums add: what was loaded by name, then made forwards
    by name; currencies by name, then buckets by name. That order does not depend on which forward came first.

    A currency is also a bucket: where the cash of a forward stands, `USD@2026-12-16`, and what it delivers (`records.forwards`).
    `majors` gives the currency of each. `rule_starts` says which stored rows the stricter rules judge (`records.rules`),
    `price_units` in which units sources quote.
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
        self.root = self
        """The reference as it was loaded, without what trades have made: the same object in everything grown from it."""
        self.instruments: tuple[Instrument, ...] = tuple(by_symbol[symbol] for symbol in sorted(by_symbol))
        self.symbols: tuple[str, ...] = tuple(instrument.instrument for instrument in self.instruments)
        self.instrument_index: dict[str, int] = {symbol: number for number, symbol in enumerate(self.symbols)}
        self.by_symbol: dict[str, Instrument] = {instrument.instrument: instrument for instrument in self.instruments}
        self.reporting_currency = reporting_currency
        self.rule_starts = rule_starts
        self.price_units = price_units
        self.loaded = len(self.instruments)
        """How many instruments were loaded: the first ones."""
        codes = sorted(_currencies(self.instruments) | {reporting_currency})
        buckets = sorted({code for each in self.instruments if _has_buckets(each) for code in _buckets(each)})
        self.currencies: tuple[str, ...] = (*codes, *buckets)
        self.currency_index: dict[str, int] = {code: number for number, code in enumerate(self.currencies)}
        self.majors: tuple[int, ...] = tuple(self.currency_index[_major(code)] for code in self.currencies)
        """By currency number that of the currency whose bucket it is; of a currency itself."""
        self.plain_currencies = len(codes)
        """How many currencies are no buckets: the first ones."""
        self.cash_currency: tuple[int, ...] = tuple(self.currency_index[_cash_code(i)] for i in self.instruments)
        self.products = np.array([not i.posts_legs for i in self.instruments], dtype=np.bool_)
        """True for instruments with exposure by product, False for those with exposure by currency leg."""
        self.options = np.flatnonzero([i.kind in OPTION_KINDS for i in self.instruments])
        """Numbers of the options."""
        self.base_currency: tuple[int, ...] = tuple(
            self.currency_index[_base_code(i)] if i.posts_legs else -1 for i in self.instruments
        )
        self.ranks: tuple[int, ...] = tuple(range(self.loaded))
        """By instrument number, the place at which sums over instruments add it."""
        self.currency_ranks: tuple[int, ...] = tuple(range(len(self.currencies)))
        """The same by currency number."""

    def grown(self, made: Iterable[Instrument]) -> "Reference":
        """This and forwards that trades have made, those that are not known yet behind all others. O(instruments)."""
        new = [each for each in {each.instrument: each for each in made}.values() if each.instrument not in self.instrument_index]
        if not new:
            return self
        other = copy(self)
        other.instruments = (*self.instruments, *new)
        other.symbols = (*self.symbols, *(each.instrument for each in new))
        first = len(self.instruments)
        other.instrument_index = self.instrument_index | {each.instrument: first + at for at, each in enumerate(new)}
        other.by_symbol = self.by_symbol | {each.instrument: each for each in new}
        fresh = dict.fromkeys(code for each in new for code in _buckets(each) if code not in self.currency_index)
        other.currencies = (*self.currencies, *fresh)
        count = len(self.currencies)
        index = other.currency_index = self.currency_index | {code: count + at for at, code in enumerate(fresh)}
        other.majors = (*self.majors, *(index[_major(code)] for code in fresh))
        other.cash_currency = (*self.cash_currency, *(index[_cash_code(each)] for each in new))
        other.base_currency = (*self.base_currency, *(index[_base_code(each)] for each in new))
        other.products = np.concatenate((self.products, np.zeros(len(new), dtype=np.bool_)))
        other.ranks = _ranks(other.symbols, self.loaded)
        other.currency_ranks = _ranks(other.currencies, self.plain_currencies)
        return other

    def with_forwards(self, symbols: Iterable[str]) -> "Reference":
        """This and the forwards among some names that are not known yet. O(names), O(instruments) if there are such."""
        known = self.instrument_index
        made = (forward_of(symbol, self.root.by_symbol) for symbol in symbols if symbol not in known)
        return self.grown([each for each in made if each is not None])

    def is_kin(self, other: "Reference") -> bool:
        """Whether both were grown from the same: numbers that both have mean the same instruments. O(1)."""
        return self.root is other.root


def _ranks(names: Sequence[str], fixed: int) -> tuple[int, ...]:
    """The places of names in order: the first `fixed` as they are, the others by name behind them."""
    others = sorted(range(fixed, len(names)), key=names.__getitem__)
    ranks = [*range(fixed), *([0] * len(others))]
    for at, number in enumerate(others):
        ranks[number] = fixed + at
    return tuple(ranks)


def _has_buckets(instrument: Instrument) -> bool:
    return instrument.kind is Kind.FX_FORWARD and bool(value_date_of(instrument))


def _buckets(forward: Instrument) -> tuple[str, str]:
    return base_bucket(forward), cash_bucket(forward)


def _cash_code(instrument: Instrument) -> str:
    return cash_bucket(instrument) if _has_buckets(instrument) else instrument.currency


def _base_code(instrument: Instrument) -> str:
    return base_bucket(instrument) if _has_buckets(instrument) else instrument.base_currency


def _major(code: str) -> str:
    """The currency whose bucket a code is."""
    return code.partition("@")[0]


def _currencies(instruments: Sequence[Instrument]) -> set[str]:
    codes = {instrument.currency for instrument in instruments} | {i.quote_currency for i in instruments}
    codes |= {instrument.base_currency for instrument in instruments if instrument.base_currency}
    codes |= {instrument.settlement_currency for instrument in instruments if instrument.settlement_currency}
    return codes | {MINOR_UNITS[code] for code in codes if code in MINOR_UNITS}


def trade_check(reference: Reference) -> TradeCheck:
    """The check of incoming trades against this reference data, as it was loaded: no trade names a forward that trades made."""
    hierarchy = reference.hierarchy
    more = (reference.reporting_currency,)
    starts, units = reference.rule_starts, reference.price_units
    return TradeCheck(reference.root.by_symbol, hierarchy.leaves, hierarchy.index, more, starts, units)

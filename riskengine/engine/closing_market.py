"""The marks of a close, and the unit values that they give. Pure; any thread."""

from collections.abc import Mapping
from typing import NamedTuple

from riskengine.config import Config
from riskengine.engine.closing_options import ClosingOptions, ValuedOptions, value_options_at
from riskengine.market.currencies import CurrencyGraph, Rates
from riskengine.market.mark_table import MarkTable
from riskengine.market.marks import CLOSE, Mark
from riskengine.records.closes import ClosePrice, StruckClose
from riskengine.records.reference import Reference
from riskengine.valuation.forward_values import FORWARD_MARK, ForwardMarket, as_closed
from riskengine.valuation.unit_values import ContractTerms, Factors, Units


class ClosingMarket(NamedTuple):
    """What one unit of each instrument is worth at the close; `prices` are its marks, those of valued options among them."""

    terms: ContractTerms
    units: Units
    rates: Rates
    factors: Factors
    prices: Mapping[str, ClosePrice]

    @classmethod
    def of(
        cls,
        reference: Reference,
        prices: Mapping[str, ClosePrice],
        ts: int,
        config: Config,
        options: ClosingOptions | None = None,
        forwards: ForwardMarket | None = None,
        before: StruckClose | None = None,
    ) -> "ClosingMarket":
        """The market at `ts` with these marks, options and forwards valued by them. O(instruments).

        Forwards have the terms of `forwards`; where a close is struck anew, the marks and the rates of its version `before`.
        """
        marks = MarkTable(reference, config.marks, config.engine.future_limit_s)
        index = reference.instrument_index
        marks.take(
            {index[symbol]: Mark(each.price, each.ts, each.source, CLOSE) for symbol, each in prices.items() if symbol in index}
        )
        fresh, outrights = marks.fresh(ts), None
        if before is None and forwards is not None and len(forwards):
            outrights = forwards.values(marks.price, marks.priced, marks.ts, fresh, ts)
            forwards.put_marks(marks, outrights)
        priced = marks.priced.copy()
        rates, terms = CurrencyGraph(reference).rates(marks.price, priced, fresh), ContractTerms.of(reference)
        if outrights is not None and forwards is not None:
            rates = forwards.with_buckets(rates, outrights, marks.price, priced)
            prices = {**prices, **_outrights(marks, reference)}
        elif before is not None:
            rates = as_closed(rates, reference, before.rates)
        valued = ValuedOptions(None, prices)
        if options is not None and len(reference.options):
            valued = value_options_at(options, reference, marks, rates, prices, ts, config)
        units = Units.of(terms, marks, priced, fresh, rates, marks.shut(ts), valued.marks)
        return cls(terms, units, rates, Factors(units, rates), valued.prices)

    def known_rates(self, reference: Reference) -> dict[str, float]:
        """The rates by currency, those that crypto give among them."""
        value, known = self.rates.fee_value, self.rates.fee_known
        return {code: value.item(number) for code, number in reference.currency_index.items() if known.item(number)}


def _outrights(marks: MarkTable, reference: Reference) -> dict[str, ClosePrice]:
    """The marks of forwards that the close makes itself."""
    held = ((reference.symbols[number], mark) for number, mark in enumerate(marks.marks) if mark is not None)
    return {symbol: ClosePrice(mark.price, mark.ts, mark.source) for symbol, mark in held if mark.kind == FORWARD_MARK}

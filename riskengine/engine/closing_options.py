"""The options of a close: valued at the boundary, with the spots of the close and the vols and rates of before it. Any thread."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from riskengine.config import Config
from riskengine.market.calendars import Calendars
from riskengine.market.currencies import Rates
from riskengine.market.mark_table import MarkTable
from riskengine.market.option_market import OptionMarket
from riskengine.positions.adjustments import Adjustments
from riskengine.records.closes import ClosePrice
from riskengine.records.option_inputs import OptionInput
from riskengine.records.reference import Reference
from riskengine.records.types import BoolArray, Kind
from riskengine.valuation.options.book import OptionBook, SpotPrices
from riskengine.valuation.options.terms import OptionTerms
from riskengine.valuation.options.values import QUOTED, SOURCES
from riskengine.valuation.unit_values import OptionMarks

VALUED = frozenset(SOURCES[QUOTED + 1 :])
"""Sources of a close price that is a value already: the close is made once more, of another version."""


class ClosingOptions(NamedTuple):
    """What options are valued with at a close: vols, rates and Greeks of before its boundary.

    moved  instruments of which a later version of a close has another price: options on them are valued by it
    """

    inputs: tuple[OptionInput, ...]
    calendars: Calendars
    adjustments: Adjustments | None = None
    moved: frozenset[str] = frozenset()


class ValuedOptions(NamedTuple):
    """The options at a close: their marks with Greeks, and the prices of the close with theirs among them."""

    marks: OptionMarks | None
    prices: Mapping[str, ClosePrice]


def value_options_at(
    of: ClosingOptions,
    reference: Reference,
    marks: MarkTable,
    rates: Rates,
    prices: Mapping[str, ClosePrice],
    ts: int,
    config: Config,
) -> ValuedOptions:
    """Value all options at the boundary `ts`: 50 us each.

    An official price stays, and one that was struck before, unless the spot has moved since and the option has a value by it.
    """
    book = OptionBook(reference, OptionMarket(of.inputs, ts), config.options, config.engine, of.calendars)
    if of.adjustments is not None:
        book.take_actions(of.adjustments)
    spots = SpotPrices.of(marks, marks.priced, marks.fresh(ts), rates, ts)
    book.revalue(spots, ts)
    found = book.marks(rates)
    if found is None:
        return ValuedOptions(None, prices)
    values, valued = found.values, dict(prices)
    price, priced = values.price.copy(), values.priced.copy()
    revalued = _on_moved(book.terms, reference, of.moved) & priced & (values.source != QUOTED)
    for place, number in enumerate(values.number.tolist()):
        symbol = reference.symbols[number]
        known = prices.get(symbol)
        if known is not None and (known.official or (known.source in VALUED and not revalued[place])):
            price[place], priced[place] = known.price, True
        elif priced[place] and values.source[place] != QUOTED:
            source = SOURCES[values.source.item(place)]
            valued[symbol] = ClosePrice(price.item(place), min(values.ts.item(place), ts), source)
    return ValuedOptions(found._replace(values=values._replace(price=price, priced=priced)), valued)


def _on_moved(terms: OptionTerms, reference: Reference, moved: frozenset[str]) -> BoolArray:
    """The options whose spot is the price of one of these instruments; of a cross of rates, of any pair among them."""
    numbers = [number for symbol in moved if (number := reference.instrument_index.get(symbol)) is not None]
    any_pair = any(reference.instruments[number].kind is Kind.FX for number in numbers)
    return np.asarray(np.isin(terms.spot, np.array(numbers, dtype=np.int64)) | (terms.crossed & any_pair))

"""What one unit of each instrument is worth at one moment. A beat computes it; quantities are multiplied by it.

Immutable: snapshots share it.
"""

from copy import copy
from typing import NamedTuple

import numpy as np

from riskengine.market.currencies import Rates
from riskengine.market.mark_table import MarkTable
from riskengine.market.marks import Mark
from riskengine.records.reference import Reference
from riskengine.records.types import MULTIPLIER_DECIMALS, BoolArray, FloatArray, IntArray
from riskengine.valuation.options.netting import LEGS, PREMIUM, NettingTerms, OptionFactors
from riskengine.valuation.options.terms import OptionTerms
from riskengine.valuation.options.values import OptionValues, UnitGreeks


class ContractTerms(NamedTuple):
    """What the reference data says of one unit of each instrument, by instrument number.

    multiplier     k, a double
    cash_currency  number of the currency of its cash
    is_option      its exposure is by delta
    netting        where the delta of each option counts
    """

    multiplier: FloatArray
    cash_currency: IntArray
    is_option: BoolArray
    netting: NettingTerms

    @classmethod
    def of(cls, reference: Reference) -> "ContractTerms":
        """The terms of all instruments. O(instruments)."""
        multiplier = np.array([instrument.contract_multiplier / 10**MULTIPLIER_DECIMALS for instrument in reference.instruments])
        is_option = np.zeros(len(reference.instruments), dtype=np.bool_)
        is_option[reference.options] = True
        is_option.flags.writeable = False
        netting = NettingTerms.of(reference)
        return cls(multiplier, np.array(reference.cash_currency, dtype=np.int64), is_option, netting)

    def grown(self, reference: Reference) -> "ContractTerms":
        """The same and those of the forwards that a reference has beyond this one's. O(instruments)."""
        new = reference.instruments[len(self.multiplier) :]
        multiplier = np.append(self.multiplier, [each.contract_multiplier / 10**MULTIPLIER_DECIMALS for each in new])
        is_option = np.append(self.is_option, np.zeros(len(new), dtype=np.bool_))
        is_option.flags.writeable = False
        cash_currency = np.array(reference.cash_currency, dtype=np.int64)
        return ContractTerms(multiplier, cash_currency, is_option, self.netting.grown(len(reference.instruments)))


class OptionMarks(NamedTuple):
    """The options of a moment.

    values     what they are worth            greeks   one unit of each in the reporting currency
    terms      what reference data and calendars say of them
    left_out   rows of surfaces and curves that newer ones of their subject have overtaken, by name
    pin_band   how near to its strike a spot pins an option that expires, as a fraction of the spot
    """

    values: OptionValues
    greeks: UnitGreeks
    terms: OptionTerms
    left_out: tuple[str, ...] = ()
    pin_band: float = 0.0


class Units(NamedTuple):
    """What one unit of each instrument is worth, by instrument number, and the marks behind it. Read-only arrays.

    price        mark, in the instrument's currency; 0 where not `priced`. Of an option that `options` value it is theirs
    value        k m X, in the reporting currency per unit of quantity; 0 where price or rate is unknown
    rate         X of the cash currency; 0 where not `rated`
    mark_ts      event time of the mark, microseconds, 0 where there is none
    stale_mark   the mark is older than the limit
    stale_rate   the mark of a pair on the path of the rate is older than the limit
    closed       the market of the instrument is shut
    no_delta     an option without Greeks: its delta and its exposure are unknown, whatever its mark
    netting      where the delta of each option counts
    marks        as they were quoted
    options      None where options have no more than their quotes
    """

    price: FloatArray
    priced: BoolArray
    value: FloatArray
    rate: FloatArray
    rated: BoolArray
    mark_ts: IntArray
    stale_mark: BoolArray
    stale_rate: BoolArray
    closed: BoolArray
    no_delta: BoolArray
    netting: NettingTerms
    marks: tuple[Mark | None, ...]
    options: OptionMarks | None = None

    @classmethod
    def of(
        cls,
        terms: ContractTerms,
        marks: MarkTable,
        priced: BoolArray,
        fresh: BoolArray,
        rates: Rates,
        closed: BoolArray,
        options: OptionMarks | None = None,
    ) -> "Units":
        """Unit values from the marks and rates in force. O(instruments).

        `priced` and `fresh` are those that the rates were made with; `priced` becomes read-only, and is kept, as is `closed`.
        """
        currency = terms.cash_currency
        price, mark_ts, rate, rated = marks.price.copy(), marks.ts.copy(), rates.value[currency], rates.known[currency]
        stale_mark, stale_rate, no_delta = ~fresh & priced, rates.stale[currency], terms.is_option
        if options is not None:
            values = options.values
            priced = priced.copy()
            price[values.number], priced[values.number], mark_ts[values.number] = values.price, values.priced, values.ts
            stale_mark[values.number] = values.stale & values.priced
            no_delta = ~options.greeks.has_delta
        value = terms.multiplier * price * rate
        for array in (price, priced, value, rate, rated, mark_ts, stale_mark, stale_rate, no_delta):
            array.flags.writeable = False
        return cls(
            price,
            priced,
            value,
            rate,
            rated,
            mark_ts,
            stale_mark,
            stale_rate,
            closed,
            no_delta,
            terms.netting,
            tuple(marks.marks),
            options,
        )

    def with_prices(self, terms: ContractTerms, marks: MarkTable, options: OptionMarks | None = None) -> "Units":
        """The same with the prices in force, where no rate and no flag has changed. O(instruments)."""
        price, mark_ts = marks.price.copy(), marks.ts.copy()
        if options is not None:
            price[options.values.number], mark_ts[options.values.number] = options.values.price, options.values.ts
        value = terms.multiplier * price * self.rate
        for array in (price, value, mark_ts):
            array.flags.writeable = False
        return self._replace(price=price, value=value, mark_ts=mark_ts, marks=tuple(marks.marks), options=options)


class Factors:
    """The unit values of one moment in the shapes that the products need. O(instruments), once a beat."""

    def __init__(self, units: Units, rates: Rates) -> None:
        self.currency = rates.value
        self.legs = rates.legs
        self.leg_size = np.abs(rates.legs)
        self.majors = rates.majors
        self.fees = rates.fee_value
        self.fees_known = rates.fee_known
        unmarked = units.rated & ~units.priced
        self.unmarked_rate = np.where(unmarked, units.rate, 0.0)
        self.unmarked = unmarked.astype(np.float64)
        self.unrated = (~units.rated).astype(np.float64)
        self.undelta = (units.no_delta & units.priced & units.rated).astype(np.float64)
        """1.0 for options that have a value and no delta."""
        self.any_undelta = bool(self.undelta.any())
        self.any_unmarked = bool(unmarked.any())
        self.any_unrated = not bool(units.rated.all())
        stale_rate = units.stale_rate & units.rated
        self.stale_open = (units.stale_mark & units.priced & units.rated & ~stale_rate).astype(np.float64)
        self.stale_held = stale_rate.astype(np.float64)
        self.any_stale = bool(self.stale_open.any() or self.stale_held.any())
        self.unknown_premium = np.where(units.no_delta & units.netting.foreign_cash, -units.rate, 0.0)
        """By instrument: takes the open cash of an option out of the legs, whose delta is as unknown."""
        self.any_unknown_delta = bool(self.unknown_premium.any())
        self._set_value(units)

    def with_prices(self, units: Units, rates: Rates) -> "Factors":
        """The same with other prices and rates of fees, where no other rate and no flag has changed. O(instruments)."""
        factors = copy(self)
        factors.fees = rates.fee_value
        factors._set_value(units)
        return factors

    def _set_value(self, units: Units) -> None:
        self.value = units.value
        self.size = np.abs(units.value)
        greeks = units.options.greeks if units.options is not None else UnitGreeks.none(len(units.value))
        self.delta, self.gamma, self.vega, self.theta = greeks.delta, greeks.gamma, greeks.vega, greeks.theta
        """Cash Greeks of one unit of each option, 0 of all others."""
        self.option_net = greeks.net
        legs = greeks.legs
        if self.any_unknown_delta:
            legs = legs.copy()
            legs[PREMIUM::LEGS] = self.unknown_premium
        self.options = OptionFactors(legs, self.currency, self.value, self.legs, self.majors)

"""What the options among the lines of an owner post: legs of a hedge at spot delta, or so much of their underlying. Pure.

An option on a pair (or on a metal) posts k q delta of its base and k q (V - delta S) of its quote currency; with its cash they
sum to its T. Any other nets with its underlying, and by currency counts as what it came to.
"""

import numpy as np

from riskengine.records.types import BoolArray, FloatArray, IntArray
from riskengine.snapshot.exposure_columns import ExposureColumns
from riskengine.snapshot.snapshot import Snapshot
from riskengine.valuation.options.netting import NOT
from riskengine.valuation.options.values import OptionValues


class OptionLegs:
    """The legs of options, an entry for each that is open, has two currencies and a known delta.

    line      of the owner                       unknown   lines of open options without a delta
    base, quote         numbers of the currencies
    base_local, quote_local   amounts in them    base_value, quote_value   the same in the reporting currency
    """

    def __init__(self, snapshot: Snapshot, held: ExposureColumns) -> None:
        units = snapshot.units
        options = held.is_option & (held.open_count > 0)
        known = options & ~units.no_delta[held.number]
        self.unknown: BoolArray = options & ~known
        self.known: BoolArray = known
        self.line: IntArray = np.flatnonzero(known & held.is_fx_option)
        none = np.zeros(0)
        self.base = self.quote = np.zeros(0, dtype=np.int64)
        self.base_local: FloatArray = none
        self.quote_local: FloatArray = none
        self.base_value: FloatArray = none
        self.quote_value: FloatArray = none
        if len(self.line) and units.options is not None:
            self._fill(snapshot, held, units.options.values)

    def _fill(self, snapshot: Snapshot, held: ExposureColumns, values: OptionValues) -> None:
        rates, number = snapshot.rates, held.number[self.line]
        place = np.searchsorted(values.number, number)
        spot, delta, value = values.spot[place], values.spot_delta[place], values.value[place]
        self.base, self.quote = held.option_ends[self.line].T
        size = held.lots[self.line]
        self.base_local = size * delta
        self.quote_local = size * (value - delta * spot)
        by_legs = snapshot.units.netting.base[number] != NOT
        rate = rates.value[self.quote]
        self.base_value = self.base_local * np.where(by_legs, rates.value[self.base], spot * rate)
        self.quote_value = self.quote_local * rate

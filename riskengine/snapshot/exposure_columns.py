"""What an owner holds, in the columns that its exposure is computed from: made after a trade, multiplied after a price.

Amounts of currencies are added up as exact integers, so that what nets out is exactly flat; what prices decide stays a double an
instrument. Immutable.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from riskengine.positions.ledger import Row
from riskengine.records.currency_units import MINOR_UNITS
from riskengine.records.reference import Reference
from riskengine.records.types import (
    CASH_ONE,
    CASH_PER_ONE,
    MULTIPLIER_DECIMALS,
    ONE,
    OPTION_KINDS,
    BoolArray,
    FloatArray,
    Instrument,
    IntArray,
    Kind,
)
from riskengine.snapshot.rows import QUANTITY_ONE
from riskengine.valuation.cash_values import NO_BALANCES, Balances
from riskengine.valuation.options.netting import NettingTerms

ASSET_KINDS = frozenset({Kind.METAL, Kind.CRYPTO})
"""Their base currency, where they name one, is an asset that is held against cash."""

LEG_SCALE = CASH_ONE // (ONE * 10**MULTIPLIER_DECIMALS)
"""Turns k q in units of 1e-18 into units of 1e-28, those of cash."""

GROUPINGS: Mapping[str, Callable[[Instrument], str]] = {
    "sector": lambda instrument: instrument.sector,
    "instrument": lambda instrument: instrument.instrument,
    "kind": lambda instrument: instrument.kind.value,
}
"""Where an instrument belongs, by the name of the breakdown."""


class Part(NamedTuple):
    """What a line posts in one currency. `line` and `currency` are numbers.

    leg    an exact amount that is known where the currency has a rate
    worth  an amount that the instrument's price decides
    fees   an exact amount that is known where fees in the currency have a rate: also what is kept beside cash
    delta  a leg of the hedge of an option, which is known where its delta is
    nothing   it is flat there
    bucket    of a leg, the number under which it has its rate: that of the currency, or of a forward's bucket in it
    """

    line: int
    currency: int
    role: str
    bucket: int = -1


LEG, WORTH, FEES, DELTA, NOTHING = "leg", "worth", "fees", "delta", "nothing"


class Groups(NamedTuple):
    """The lines put together by sector, instrument or kind.

    of_line          the group of each line, an index of `names`
    leg_group, leg_currency, leg_amount   net currency legs of the groups by currency and bucket, without the reporting currency
    """

    names: tuple[str, ...]
    of_line: IntArray
    leg_group: IntArray
    leg_currency: IntArray
    leg_amount: FloatArray


class ExposureColumns:
    """The lines of an owner, one an instrument held, in the order of instruments; and exact sums by currency.

    Made of the owner's rows; those of instruments in `broken` were found wrong, and nothing in them is known. 4 us a row. `cash`
    is the external cash of a node, exact, by currency.

    number       of the instrument
    quantity     q of the positions whose amounts are known
    size         k q of the positions whose amounts are known; `lots` the same by the lot size alone
    known        how many positions those are; `quarantined` ones come on top
    open_count   how many of them are not flat
    is_pair, is_option, is_priced   whether it posts two legs; is an option; is worth k q m in one currency (`worth_in`)
    is_fx_option, option_ends   whether it is an option on two currencies, and by (line, 2) which: base and quote
    posts_premium   whether the net exposure counts those two, and the cash of its premium
    ends         by (line, 2): the currencies of base and cash of a pair, of a forward their buckets, of such an option those of
                 its cash
    has_foreign_leg   by (line, 2): whether those are amounts, in another than the reporting currency
    worth_in     the currency, or the asset (`is_asset`), of what `is_priced`
    in_hundredths   whether its prices and cash are in a minor unit, such as pence: they are posted in its currency
    sectors      of which an open position is held
    legs, fees   by currency number, of forwards by bucket, exact, units of 1e-28. What has the rates of fees is among those:
                 amounts beside cash and external cash as negative fees
    cash_in      the currencies of external cash, by number
    """

    def __init__(
        self,
        reference: Reference,
        netting: NettingTerms,
        rows: Iterable[Row],
        broken: Collection[int] = (),
        cash: Balances = NO_BALANCES,
    ) -> None:
        self.reference = reference
        self.rows: list[Row] = [
            _without_amounts(row) if row.instrument in broken else row
            for row in sorted(rows, key=lambda row: reference.ranks[row.instrument])
        ]
        self.instruments: list[Instrument] = [reference.instruments[row.instrument] for row in self.rows]
        self.legs: dict[int, int] = {}
        self.fees: dict[int, int] = {}
        self.number = np.array([row.instrument for row in self.rows], dtype=np.int64)
        multipliers = [instrument.contract_multiplier for instrument in self.instruments]
        self.size = _doubles(row.quantity * k / QUANTITY_ONE for row, k in zip(self.rows, multipliers, strict=True))
        lots = (instrument.multiplier for instrument in self.instruments)
        self.lots = _doubles(row.quantity * k / QUANTITY_ONE for row, k in zip(self.rows, lots, strict=True))
        self.quantity = _doubles(row.quantity / ONE for row in self.rows)
        self.known = _counts(row.position_count - row.quarantined for row in self.rows)
        self.quarantined = _counts(row.quarantined for row in self.rows)
        self.open_count = _counts(row.open_count for row in self.rows)
        self.is_pair = _flags(instrument.posts_legs for instrument in self.instruments)
        self.is_option = _flags(instrument.kind in OPTION_KINDS for instrument in self.instruments)
        self.posts_premium: BoolArray = netting.posts_legs[self.number]
        self.is_fx_option = _flags(instrument.kind is Kind.FX_OPTION for instrument in self.instruments)
        self.option_ends = np.zeros((len(self.rows), 2), dtype=np.int64)
        self.ends = np.zeros((len(self.rows), 2), dtype=np.int64)
        self.has_foreign_leg: BoolArray = np.zeros((len(self.rows), 2), dtype=np.bool_)
        self.worth_in = np.zeros(len(self.rows), dtype=np.int64)
        self.is_asset = np.zeros(len(self.rows), dtype=np.bool_)
        self.is_priced = np.zeros(len(self.rows), dtype=np.bool_)
        self.in_hundredths = _flags(instrument.currency in MINOR_UNITS for instrument in self.instruments)
        parts: list[Part] = []
        for line in range(len(self.rows)):
            self._post(line, parts)
        self._keep_parts(parts)
        self.cash_in = [reference.currency_index[code] for code in cash]
        for code, units in cash.items():
            self._add_fees(code, -units)
        self.sectors = {each.sector for each, row in zip(self.instruments, self.rows, strict=True) if row.open_count} - {""}
        self._groups: dict[str, Groups] = {}

    def _post(self, line: int, parts: list[Part]) -> None:
        """Add what a line posts to the exact sums, and note its parts."""
        row, instrument, index = self.rows[line], self.instruments[line], self.reference.currency_index
        code, cash = index[_whole(instrument.currency)], row.cash
        bucket = code
        if instrument.posts_legs:
            base, code = index[instrument.base_currency], index[instrument.currency]
            delivery, bucket = self.reference.base_currency[row.instrument], self.reference.cash_currency[row.instrument]
            self.ends[line] = delivery, bucket
            size = row.quantity * instrument.multiplier * LEG_SCALE
            self.legs[delivery] = self.legs.get(delivery, 0) + size
            parts.append(Part(line, base, LEG if size else NOTHING, delivery))
            own = index[self.reference.reporting_currency]
            self.has_foreign_leg[line] = (base != own and size != 0, code != own and cash != 0)
        elif instrument.kind is Kind.FX_OPTION:
            both = index[instrument.base_currency], index[instrument.quote_currency]
            self.option_ends[line], self.ends[line] = both, code
            self.has_foreign_leg[line, 1] = code != index[self.reference.reporting_currency] and cash != 0
            if row.open_count:
                parts.extend(Part(line, currency, DELTA) for currency in (*both, code))
        else:
            asset = instrument.base_currency if instrument.kind in ASSET_KINDS else ""
            self.is_priced[line], self.is_asset[line] = True, bool(asset)
            self.worth_in[line] = index[asset] if asset else code
            parts.append(Part(line, int(self.worth_in[line]), WORTH))
        self.legs[bucket] = self.legs.get(bucket, 0) + self.in_whole_units(line, cash)
        parts.append(Part(line, code, LEG if cash else NOTHING, bucket))
        for fees_code, units in row.fees.items():
            self._add_fees(fees_code, units * CASH_PER_ONE)
            parts.append(Part(line, index[_whole(fees_code)], FEES))
        for beside_code, units in (row.beside or NO_BALANCES).items():
            self._add_fees(beside_code, -units)
            parts.append(Part(line, index[_whole(beside_code)], FEES))

    def _add_fees(self, code: str, amount: int) -> None:
        currency = self.reference.currency_index[_whole(code)]
        self.fees[currency] = self.fees.get(currency, 0) + (_hundredth(amount) if code in MINOR_UNITS else amount)

    def in_whole_units(self, line: int, cash: int) -> int:
        """Cash of a line in its currency, where the instrument has it in hundredths."""
        return _hundredth(cash) if self.in_hundredths[line] else cash

    def _keep_parts(self, parts: list[Part]) -> None:
        """The parts in columns, those of one line in one currency under one place."""
        places: dict[tuple[int, int], int] = {}
        self.part_place = _counts(places.setdefault((part.line, part.currency), len(places)) for part in parts)
        self.part_line = _counts(part.line for part in parts)
        self.part_currency = _counts(part.currency for part in parts)
        self.part_bucket = _counts(part.bucket for part in parts)
        self.part_is = {role: _flags(part.role == role for part in parts) for role in (LEG, WORTH, FEES, DELTA)}
        self.place_line = _counts(line for line, _ in places)
        self.place_currency = _counts(currency for _, currency in places)

    def groups(self, by: str) -> Groups:
        """The lines by sector, instrument or kind. O(lines) at the first call, then kept."""
        if by not in self._groups:
            self._groups[by] = self._grouped(GROUPINGS[by])
        return self._groups[by]

    def as_one_group(self) -> Groups:
        """All lines together. O(lines) at the first call, then kept."""
        if "" not in self._groups:
            self._groups[""] = self._grouped(lambda instrument: "")
        return self._groups[""]

    def keep_groups(self, by: str, groups: Groups) -> None:
        """Take the lines to be grouped so, and not as those that this is a copy of."""
        self._groups = {by: groups}

    def _grouped(self, group_of: Callable[[Instrument], str]) -> Groups:
        labels = [group_of(instrument) for instrument in self.instruments]
        names = sorted(set(labels))
        place = {name: number for number, name in enumerate(names)}
        index, legs = self.reference.currency_index, dict[tuple[int, int], int]()
        own = index[self.reference.reporting_currency]
        for line in np.flatnonzero(self.is_pair | self.posts_premium).tolist():
            row, instrument, group = self.rows[line], self.instruments[line], place[labels[line]]
            size = row.quantity * instrument.multiplier * LEG_SCALE if self.is_pair[line] else 0
            is_pair = bool(self.is_pair[line])
            base = self.reference.base_currency[row.instrument] if is_pair else index[instrument.base_currency]
            ends = base, self.reference.cash_currency[row.instrument]
            for currency, units in zip(ends, (size, row.cash), strict=True):
                if self.reference.majors[currency] != own and (units or is_pair):
                    legs[group, currency] = legs.get((group, currency), 0) + units
        return Groups(
            tuple(names),
            _counts(place[label] for label in labels),
            _counts(group for group, _ in legs),
            _counts(currency for _, currency in legs),
            _doubles(units / CASH_ONE for units in legs.values()),
        )


def _whole(code: str) -> str:
    """The currency of a code, which may be one of a minor unit."""
    return MINOR_UNITS.get(code, code)


def _hundredth(units: int) -> int:
    """The hundredth of an amount, to the nearest unit: exact but for products of more than 26 decimals."""
    return (2 * units + 100) // 200


def _without_amounts(row: Row) -> Row:
    """The row of a sum that was found wrong: nothing in it is known."""
    return Row(row.instrument, 0, 0, 0, 0, 0, row.position_count, 0, 0, {}, 0, quarantined=row.position_count)


def _counts(values: Iterable[int]) -> IntArray:
    return np.array([*values], dtype=np.int64)


def _doubles(values: Iterable[float]) -> FloatArray:
    return np.array([*values], dtype=np.float64)


def _flags(values: Iterable[bool]) -> BoolArray:
    return np.array([*values], dtype=np.bool_)

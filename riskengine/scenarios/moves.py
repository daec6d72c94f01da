"""Shifts of spots, vols and rates as somebody asks for them, and what they make of the prices of a snapshot. Pure; any thread.

Shifts apply in their order, each to what the ones before it have left: two of 10 % make 21 %. They are free of correlation: what
is not named stands still. A shift that would make a price, or a vol, what it cannot be is refused with its place and field.
"""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from riskengine.records.fields import Rejected, excerpt
from riskengine.records.reference import Reference
from riskengine.records.types import BoolArray, FloatArray, IntArray, Kind
from riskengine.snapshot.snapshot import Snapshot

SPOT, VOL, RATE = "spot", "vol", "rate"

MAX_VOL = 5.0
"""As of vols that are posted."""

MAX_RATE_SHIFT = 1.0
"""100 % in absolute terms: more was meant as per cent."""

DERIVED = frozenset({Kind.FX_FORWARD, Kind.FX_OPTION, Kind.EQUITY_OPTION})
"""Kinds whose price follows from others."""


class ShiftInput(msgspec.Struct, forbid_unknown_fields=True):
    """One shift as it is sent: one scope (`instrument`, `currency`, `sector` or `all`), and `relative` or `absolute`."""

    factor: Literal["spot", "vol", "rate"] = "spot"
    instrument: str = ""
    currency: str = ""
    sector: str | None = None
    all: bool = False
    relative: float | None = None
    absolute: float | None = None


class Moves(NamedTuple):
    """What shifts make of a snapshot: prices by instrument number, vols by place among the options, rates by currency number.

    price     in price units, as `Units.price`; those of forwards and options are the old ones
    vol       of each option, 0 where unknown
    rate      by how much each currency's rates are moved, continuously compounded
    standing  (place of the shift, instruments) that a wide shift would have moved and that have no price
    """

    price: FloatArray
    vol: FloatArray
    rate: FloatArray
    standing: tuple[tuple[int, int], ...] = ()

    @classmethod
    def none(cls, snapshot: Snapshot) -> "Moves":
        """Nothing moves."""
        options = snapshot.units.options
        vol = np.zeros(0) if options is None else np.nan_to_num(options.values.vol)
        return cls(snapshot.units.price, vol, np.zeros(len(snapshot.reference.currencies)))


class ShiftError(Exception):
    """A shift that cannot be: `index` is its place, `field` the field that is wrong, `list_name` the list that it stands in."""

    list_name = "shifts"

    def __init__(self, index: int | None, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.index = index
        self.field = field
        self.reason = reason


def moves_of(
    snapshot: Snapshot,
    shifts: Sequence[ShiftInput],
    may_be_negative: Collection[str] = (),
    start: Moves | None = None,
) -> Moves:
    """What shifts make of a snapshot, or of what `start` has made of it, one after the other. O(shifts x instruments).

    Raises ShiftError for the first that cannot be.
    """
    start = Moves.none(snapshot) if start is None else start
    work = _Work(snapshot, start.price.copy(), start.vol.copy(), start.rate.copy(), may_be_negative)
    standing = []
    for index, shift in enumerate(shifts):
        try:
            _check(shift)
            left = {SPOT: work.move_spot, VOL: work.move_vol, RATE: work.move_rate}[shift.factor](shift)
        except Rejected as error:
            raise ShiftError(index, error.field, error.reason) from None
        if left:
            standing.append((index, left))
    return Moves(work.price, work.vol, work.rate, tuple(standing))


def _check(shift: ShiftInput) -> None:
    scopes = [bool(shift.instrument), bool(shift.currency), shift.sector is not None, shift.all]
    if sum(scopes) != 1:
        raise Rejected("instrument", "one of instrument, currency, sector and all says what is shifted")
    if (shift.relative is None) == (shift.absolute is None):
        raise Rejected("relative", "one of relative and absolute says how far")
    size = shift.relative if shift.relative is not None else shift.absolute
    if size is None or not np.isfinite(size) or abs(size) > 1e15:
        raise Rejected("relative" if shift.relative is not None else "absolute", "must be a number of at most 1e15")


class _Work:
    """Prices, vols and rates while they are shifted."""

    def __init__(
        self, snapshot: Snapshot, price: FloatArray, vol: FloatArray, rate: FloatArray, may_be_negative: Collection[str]
    ) -> None:
        self.snapshot = snapshot
        self.price, self.vol, self.rate = price, vol, rate
        self._may_be_negative = may_be_negative

    @property
    def reference(self) -> Reference:
        """The reference data of the snapshot."""
        return self.snapshot.reference

    # -- spots -------------------------------------------------------------------------------------------------

    def move_spot(self, shift: ShiftInput) -> int:
        """Move prices; returns how many have none. Raises Rejected."""
        if shift.currency:
            return self._move_currency(shift)
        numbers = self._named(shift)
        priced = self.snapshot.units.priced[numbers]
        if shift.instrument and not priced.all():
            raise Rejected("instrument", f"has no price to be shifted: {shift.instrument!r}")
        moved = numbers[priced]
        if shift.relative is not None:
            after = self.price[moved] * (1.0 + shift.relative)
        else:
            after = self.price[moved] + (shift.absolute or 0.0)
        self._put(moved, after, shift)
        return int((~priced).sum())

    def _move_currency(self, shift: ShiftInput) -> int:
        """Move the value of a currency against all others: every pair of it, so that crosses stay in line."""
        if shift.relative is None:
            raise Rejected("absolute", "a currency is shifted by a fraction, against all others: say relative")
        if shift.relative <= -1.0:
            raise Rejected("relative", f"takes {shift.currency} to 0 or below")
        base: list[int] = []
        quote: list[int] = []
        for number, each in enumerate(self.reference.instruments):
            if each.kind is Kind.FX and shift.currency in (each.base_currency, each.quote_currency):
                (base if each.base_currency == shift.currency else quote).append(number)
        if not base and not quote:
            raise Rejected("currency", f"is in no pair here: {excerpt(shift.currency)}")
        priced = self.snapshot.units.priced
        up, down = (np.array([n for n in side if priced[n]], dtype=np.int64) for side in (base, quote))
        self.price[up] *= 1.0 + shift.relative
        self.price[down] /= 1.0 + shift.relative
        return len(base) + len(quote) - len(up) - len(down)

    def _named(self, shift: ShiftInput) -> IntArray:
        """The instruments with a price of their own that a shift names. Raises Rejected."""
        reference = self.reference
        if shift.instrument:
            number = reference.instrument_index.get(shift.instrument)
            if number is None:
                raise Rejected("instrument", f"unknown instrument {excerpt(shift.instrument)}")
            if reference.instruments[number].kind in DERIVED:
                raise Rejected("instrument", f"{shift.instrument} follows from its underlying: shift that, vols or rates")
            return np.array([number], dtype=np.int64)
        found = [
            number
            for number, each in enumerate(reference.instruments)
            if each.kind not in DERIVED and (shift.all or each.sector == shift.sector)
        ]
        if not found:
            raise Rejected("sector", f"no instrument has the sector {excerpt(shift.sector or '')}")
        return np.array(found, dtype=np.int64)

    def _put(self, numbers: IntArray, after: FloatArray, shift: ShiftInput) -> None:
        field = "relative" if shift.relative is not None else "absolute"
        for number in numbers[after <= 0.0].tolist():
            each = self.reference.instruments[number]
            is_free = each.kind is Kind.FUTURE and (each.instrument in self._may_be_negative or self.price[number] <= 0.0)
            if not is_free:
                raise Rejected(field, f"takes the price of {each.instrument} to 0 or below")
        self.price[numbers] = after

    # -- vols and rates ----------------------------------------------------------------------------------------

    def move_vol(self, shift: ShiftInput) -> int:
        """Move the vols of options, or of all on an underlying; returns how many have none. Raises Rejected."""
        where = self._options_of(shift)
        known = where & (self.vol > 0.0)
        if shift.relative is not None:
            field, after = "relative", self.vol[known] * (1.0 + shift.relative)
        else:
            field, after = "absolute", self.vol[known] + (shift.absolute or 0.0)
        wrong = after[~((after > 0.0) & (after <= MAX_VOL))]
        if len(wrong):
            raise Rejected(field, f"takes a vol to {wrong[0]:g}: above 0, at most {MAX_VOL:g}")
        self.vol[known] = after
        return int((where & ~known).sum())

    def _options_of(self, shift: ShiftInput) -> BoolArray:
        options, reference = self.snapshot.units.options, self.reference
        if options is None:
            raise Rejected("factor", "there are no options whose vol could be shifted")
        terms = options.terms
        instruments = [reference.instruments[number] for number in terms.number.tolist()]
        if shift.currency:
            raise Rejected("currency", "vols are shifted by instrument (an option or an underlying), sector or all")
        if shift.all:
            return np.ones(len(instruments), dtype=np.bool_)
        if shift.sector is not None:
            found = np.array([each.sector == shift.sector for each in instruments], dtype=np.bool_)
            if not found.any():
                raise Rejected("sector", f"no option has the sector {excerpt(shift.sector)}")
            return found
        if shift.instrument not in reference.instrument_index:
            raise Rejected("instrument", f"unknown instrument {excerpt(shift.instrument)}")
        number = reference.instrument_index[shift.instrument]
        found = (terms.number == number) | (terms.spot == number)
        if not found.any():
            raise Rejected("instrument", f"is neither an option nor the underlying of one: {shift.instrument!r}")
        return np.asarray(found)

    def move_rate(self, shift: ShiftInput) -> int:
        """Move the rates of a currency, or of all. Raises Rejected."""
        if shift.absolute is None:
            raise Rejected("relative", "rates are shifted by an amount: 0.01 is 1 % a year; say absolute")
        if abs(shift.absolute) > MAX_RATE_SHIFT:
            raise Rejected("absolute", f"is a fraction a year of at most {MAX_RATE_SHIFT:g}: 0.01 is 1 %")
        if shift.instrument or shift.sector is not None:
            raise Rejected("instrument" if shift.instrument else "sector", "rates are shifted by currency or all")
        if shift.all:
            self.rate += shift.absolute
            return 0
        number = self.reference.currency_index.get(shift.currency)
        if number is None or number >= self.reference.plain_currencies:
            raise Rejected("currency", f"unknown currency {excerpt(shift.currency)}")
        self.rate[number] += shift.absolute
        return 0

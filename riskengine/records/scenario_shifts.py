"""Scenarios that people define: named lists of shifts of spots, vols and rates, as they are loaded."""

import math
from collections.abc import Collection, Mapping
from typing import Literal

import msgspec

from riskengine.records.fields import Rejected, excerpt, name
from riskengine.records.types import Instrument

FACTORS = ("spot", "vol", "rate")

HISTORICAL_SHOCKS = ("2008-10", "2015-01-15", "2016-06-24", "2020-03", "2022-09")
"""Names of the shocks that the engine makes of stored closes (`scenarios/shocks.toml`): no loaded scenario has one."""

MAX_SHIFT = 1e15


class ScenarioShift(msgspec.Struct, frozen=True, kw_only=True):
    """One shift of a scenario: of an instrument, a currency, a sector or (`everything`) all.

    `relative` is a fraction, `absolute` in the units of what is shifted; one of them is None. Both None: the scenario has no such
    shift any more.
    """

    scenario: str
    factor: Literal["spot", "vol", "rate"]
    instrument: str = ""
    currency: str = ""
    sector: str = ""
    everything: bool = False
    relative: float | None = None
    absolute: float | None = None
    comment: str = ""

    @property
    def key(self) -> tuple[str, str, str, str, str, bool]:
        """What another shift of the same key replaces."""
        return self.scenario, self.factor, self.instrument, self.currency, self.sector, self.everything


class ScenarioShiftInput(msgspec.Struct, kw_only=True):
    """A row of a scenarios file."""

    scenario: str
    factor: str = "spot"
    instrument: str = ""
    currency: str = ""
    sector: str = ""
    all: bool = False
    relative: float | None = None
    absolute: float | None = None
    comment: str = ""


class ScenarioShiftCheck:
    """Checks rows against the instruments of a store. `reserved` are names that no scenario may have."""

    def __init__(self, by_symbol: Mapping[str, Instrument], reserved: Collection[str] = ()) -> None:
        self._by_symbol = by_symbol
        self._reserved = frozenset(reserved)
        self._currencies = {code for each in by_symbol.values() for code in (each.base_currency, each.quote_currency)} - {""}
        self._sectors = {each.sector for each in by_symbol.values()} - {""}

    def __call__(self, sent: ScenarioShiftInput) -> ScenarioShift:
        """The checked shift. Raises Rejected for the first bad field."""
        scenario = name(sent.scenario, "scenario")
        if scenario in self._reserved:
            raise Rejected("scenario", f"is the name of a historical shock: {excerpt(scenario)}")
        if sent.factor not in FACTORS:
            raise Rejected("factor", f"must be one of {', '.join(FACTORS)}: {excerpt(sent.factor)}")
        if sum((bool(sent.instrument), bool(sent.currency), bool(sent.sector), sent.all)) != 1:
            raise Rejected("instrument", "one of instrument, currency, sector and all says what is shifted")
        if sent.instrument and sent.instrument not in self._by_symbol:
            raise Rejected("instrument", f"unknown instrument {excerpt(sent.instrument)}", sent.instrument)
        if sent.currency and sent.currency not in self._currencies:
            raise Rejected("currency", f"is of no instrument here: {excerpt(sent.currency)}", sent.currency)
        if sent.sector and sent.sector not in self._sectors:
            raise Rejected("sector", f"no instrument has the sector {excerpt(sent.sector)}")
        self._check_size(sent)
        return ScenarioShift(
            scenario=scenario,
            factor=sent.factor,  # type: ignore[arg-type]
            instrument=sent.instrument,
            currency=sent.currency,
            sector=sent.sector,
            everything=sent.all,
            relative=sent.relative,
            absolute=sent.absolute,
            comment=name(sent.comment, "comment", required=False),
        )

    def _check_size(self, sent: ScenarioShiftInput) -> None:
        if sent.relative is not None and sent.absolute is not None:
            raise Rejected("absolute", "cannot stand beside relative; without both the shift is taken out of its scenario")
        for field in ("relative", "absolute"):
            size = getattr(sent, field)
            if size is not None and not (math.isfinite(size) and abs(size) <= MAX_SHIFT):
                raise Rejected(field, "must be a number of at most 1e15")
        if sent.factor == "rate":
            if sent.relative is not None:
                raise Rejected("relative", "rates are shifted by an amount: 0.01 is 1 % a year; say absolute")
            if sent.instrument or sent.sector:
                raise Rejected("instrument" if sent.instrument else "sector", "rates are shifted by currency or all")
        if sent.factor == "vol" and sent.currency:
            raise Rejected("currency", "vols are shifted by instrument (an option or an underlying), sector or all")
        if sent.factor == "spot" and sent.currency and sent.absolute is not None:
            raise Rejected("absolute", "a currency is shifted by a fraction, against all others: say relative")

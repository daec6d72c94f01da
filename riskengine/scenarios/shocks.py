"""Historical shocks: how prices moved between two dates that are remembered. Data, in `shocks.toml` beside this file."""

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from riskengine.market.split_prices import CLOSE_KIND, SplitPrices
from riskengine.records.reference import Reference
from riskengine.records.types import BoolArray, Close, FloatArray, Kind


class Shock(NamedTuple):
    """Two dates of closes (YYYY-MM-DD), and what happened between them."""

    name: str
    begins: str
    ends: str
    text: str


@cache
def library() -> Mapping[str, Shock]:
    """The shocks by name, oldest first."""
    with Path(__file__).with_name("shocks.toml").open("rb") as file:
        entries = tomllib.load(file)
    return {name: Shock(name, each["from"], each["to"], each["text"]) for name, each in entries.items()}


def shock_dates() -> frozenset[str]:
    """The dates whose closes the shocks are made of."""
    return frozenset(date for shock in library().values() for date in (shock.begins, shock.ends))


class ShockShifts(NamedTuple):
    """What a shock does, by instrument number: a fraction, or price units where `absolute`; nan where a close is missing."""

    shift: FloatArray
    absolute: BoolArray

    @classmethod
    def of(
        cls,
        shock: Shock,
        closes: Mapping[str, Iterable[Close]],
        ends: Mapping[str, int],
        reference: Reference,
        splits: SplitPrices,
    ) -> "ShockShifts":
        """By the closes of both dates, which end at `ends`. A close of a pair of 0 or below is none."""
        both = []
        for date in (shock.begins, shock.ends):
            price = np.full(len(reference.instruments), np.nan)
            for close in closes.get(date, ()):
                number = reference.instrument_index.get(close.instrument)
                if number is not None:
                    price[number] = splits.now(close.instrument, close.price, ends[date], CLOSE_KIND)
            both.append(price)
        before, after = both
        is_pair = np.array([each.kind is Kind.FX for each in reference.instruments], dtype=np.bool_)
        with np.errstate(divide="ignore", invalid="ignore"):
            absolute = ((before <= 0.0) | (after <= 0.0)) & ~is_pair
            relative = np.where((before > 0.0) & (after > 0.0), after / before - 1.0, np.nan)
        return cls(np.where(absolute, after - before, relative), absolute)

    def prices(self, price: FloatArray) -> FloatArray:
        """These prices moved; where there is no shift as they are."""
        moved = np.where(self.absolute, price + self.shift, price * (1.0 + self.shift))
        return np.where(np.isnan(moved), price, moved)

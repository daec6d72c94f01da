"""What a smile's quotes mean, one strike at a time: for tests of smiles and surfaces. It shares no code with either."""

import csv
import datetime as dt
import math
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

NORMAL = NormalDist()
VolOf = Callable[[np.ndarray], np.ndarray]
"""A smile: vols of an array of moneyness K/F."""


class Quoting(NamedTuple):
    """What the deltas of one expiry count with."""

    years: float
    discount: float = 1.0
    adjusted: bool = False
    is_atm_forward: bool = False


def delta(sign: int, moneyness: float, vol: float, how: Quoting) -> float:
    deviation = vol * math.sqrt(how.years)
    d1 = -math.log(moneyness) / deviation + deviation / 2
    if how.adjusted:
        return sign * how.discount * moneyness * NORMAL.cdf(sign * (d1 - deviation))
    return sign * how.discount * NORMAL.cdf(sign * d1)


def strike_on(vol_of: VolOf, sign: int, wanted: float, how: Quoting, reach: float = 7.0) -> float:
    """The outermost moneyness that has a delta with the smile's own vol there."""
    edge = reach * float(vol_of(np.ones(1))[0]) * math.sqrt(how.years)
    grid = np.linspace(sign * edge, -sign * edge, 4001)
    vols = vol_of(np.exp(grid))

    def excess(log_moneyness: float, vol: float | None = None) -> float:
        moneyness = math.exp(log_moneyness)
        own = float(vol_of(np.array([moneyness]))[0]) if vol is None else vol
        return abs(delta(sign, moneyness, own, how)) - wanted

    outside = [excess(x, vol) < 0 for x, vol in zip(grid.tolist(), vols.tolist(), strict=True)]
    inner = outside.index(False)
    assert inner > 0, "the delta lies beyond the grid"
    return math.exp(brentq(excess, grid[inner - 1], grid[inner], xtol=1e-15, rtol=1e-14))


def premium(sign: int, moneyness: float, vol: float, years: float) -> float:
    """Undiscounted, over the forward."""
    deviation = vol * math.sqrt(years)
    d1 = -math.log(moneyness) / deviation + deviation / 2
    return sign * (NORMAL.cdf(sign * d1) - moneyness * NORMAL.cdf(sign * (d1 - deviation)))


def at_the_money(vol: float, how: Quoting) -> float:
    if how.is_atm_forward:
        return 1.0
    return math.exp((-1 if how.adjusted else 1) * vol**2 * how.years / 2)


def strangle_vol(vol_of: VolOf, wanted: float, vol: float, how: Quoting) -> float:
    """The one vol that gives the strangle struck at `vol` the premium that its two strikes have on the smile."""
    strikes = [(sign, strike_on(lambda x: np.full(len(x), vol), sign, wanted, how)) for sign in (-1, 1)]
    total = sum(premium(sign, k, float(vol_of(np.array([k]))[0]), how.years) for sign, k in strikes)
    root = brentq(
        lambda v: sum(premium(sign, k, v, how.years) for sign, k in strikes) - total, vol / 4, vol * 4, xtol=1e-15, rtol=1e-14
    )
    return float(root)


def misses(vol_of: VolOf, quotes: dict[str, float], how: Quoting, *, is_market: bool) -> dict[str, float]:
    """By how much vol a smile misses each of its quotes: `atm`, `rr25`, `bf25`, `rr10`, `bf10`."""
    atm = quotes["atm"]
    found = {"atm": float(vol_of(np.array([at_the_money(atm, how)]))[0]) - atm}
    for name, wanted in (("25", 0.25), ("10", 0.10)):
        if f"rr{name}" not in quotes:
            continue
        rr, bf = quotes[f"rr{name}"], quotes[f"bf{name}"]
        put, call = (float(vol_of(np.array([strike_on(vol_of, sign, wanted, how)]))[0]) for sign in (-1, 1))
        found[f"rr{name}"] = call - put - rr
        found[f"bf{name}"] = strangle_vol(vol_of, wanted, atm + bf, how) - atm - bf if is_market else (call + put) / 2 - atm - bf
    return found


class OreExpiry(NamedTuple):
    """One expiry of the recorded surfaces of 2025-02-10."""

    pair: str
    tenor: str
    date: dt.date
    quotes: dict[str, float]


TRADED = dt.date(2025, 2, 10)
_NAMES = {"ATM": "atm", "25RR": "rr25", "25BF": "bf25", "10RR": "rr10", "10BF": "bf10"}
_DAYS = {"D": 1.0, "W": 7.0, "M": 365 / 12, "Y": 365.0}


def ore_expiries(shared_data: Path) -> list[OreExpiry]:
    """Every expiry of every pair, by pair, the nearest first."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    with open(shared_data / "ore-fx-vol" / "fx_quotes_2025-02-10.csv") as file:
        for row in csv.DictReader(file):
            kind, *parts = row["quote_key"].split("/")
            if kind == "FX_OPTION":
                _, base, quote, tenor, name = parts
                found.setdefault((base + quote, tenor), {})[_NAMES[name]] = float(row["value"])
    made = [
        OreExpiry(pair, tenor, TRADED + dt.timedelta(days=round(int(tenor[:-1]) * _DAYS[tenor[-1]])), quotes)
        for (pair, tenor), quotes in found.items()
    ]
    return sorted(made, key=lambda expiry: (expiry.pair, expiry.date))

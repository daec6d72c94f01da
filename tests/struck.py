"""Struck closes for tests: a small one, and one of any size with numbers as a desk has them."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from riskengine.records.closes import CLOSE_MEASURES, ClosedPosition, ClosePrice, OwnerTotals, StruckClose
from riskengine.records.types import CASH_ONE, ONE

TS = 1_796_162_400_000_000
"""2026-12-01, 17:00 New York."""


def a_totals(*owners: str, seed: int = 1) -> OwnerTotals:
    """Amounts of some owners, one of them unknown."""
    numbers = np.random.default_rng(seed).normal(0, 1e6, (len(CLOSE_MEASURES), len(owners)))
    if owners:
        numbers[1, 0] = np.nan
    return OwnerTotals(owners, numbers)


def a_close(date: str = "2026-12-01", version: int = 1, **columns: Any) -> StruckClose:
    """A close of three positions a roll-up."""
    prices: Mapping[str, ClosePrice] = {
        "BTCUSD": ClosePrice(61_000.5, TS - 5, "coin"),
        "EURUSD": ClosePrice(1.1 + 0.2, TS - 1, "ebs"),
        "ESZ6": ClosePrice(6_800.25, TS, "close", True),
    }
    nodes = (
        ClosedPosition("FX1", "BTCUSD", -(10**30) - 7, 3 * 10**40 + 1, None, {}, None, 0.0),
        ClosedPosition("FX1", "EURUSD", 2_000_000 * ONE, -2_168_400 * CASH_ONE, 1.0842, {"EUR": -5 * ONE, "USD": 12}, 1.5, -2.5),
        ClosedPosition("FX2", "EURUSD", 0, 0, None, {"USD": 7 * ONE}),
    )
    dealers = (ClosedPosition("", "EURUSD", 5, -7, 1e-300, {}), ClosedPosition("ann ü", "EURUSD", -5, 10**60, 0.1 + 0.2, {}))
    made: dict[str, Any] = {
        "ts": TS,
        "struck_ts": TS + 5_000_123,
        "reporting_currency": "USD",
        "prices": prices,
        "rates": {"USD": 1.0, "EUR": 1.3},
        "nodes": nodes,
        "dealers": dealers,
        "node_totals": a_totals("Total", "FX1", "FX2"),
        "dealer_totals": a_totals("", "ann ü", seed=2),
        "openings": (("FX1", "", "EURUSD"),),
    }
    return StruckClose(date=date, version=version, **(made | columns))


def same_close(left: StruckClose | None, right: StruckClose | None) -> bool:
    """Whether two closes are equal to the last bit; totals in the order of their owners."""
    if left is None or right is None:
        return left is right
    plain = [name for name in StruckClose.__struct_fields__ if not name.endswith("totals")]
    return all(getattr(left, name) == getattr(right, name) for name in plain) and all(
        _amounts(getattr(left, name)) == _amounts(getattr(right, name)) for name in ("node_totals", "dealer_totals")
    )


def _amounts(totals: OwnerTotals) -> dict[str, bytes]:
    return {owner: totals.amounts[:, place].tobytes() for place, owner in enumerate(totals.owners)}


def a_large_close(date: str, positions: int, owners: int, version: int = 1) -> StruckClose:
    """A close with `positions` positions of leaf nodes, and as many of dealers divided by ten."""
    random_numbers = random.Random(date)
    symbols = [f"SYM{number:04}" for number in range(1_000)]

    def held(name: str, count: int) -> list[ClosedPosition]:
        found = []
        for symbol in sorted(random_numbers.sample(symbols, count)):
            quantity = random_numbers.randrange(-500_000, 500_000) * 100 * ONE
            price = random_numbers.randrange(10_000, 999_999)
            cash = -quantity * price * 10**14 + random_numbers.randrange(-10_000_000, 10_000_000) * 10**24
            average = price / 1e4 * random_numbers.uniform(0.99, 1.01)
            fees = {"USD": random_numbers.randrange(1, 99_999) * 10**8}
            month, year = random_numbers.gauss(0, 1e5), random_numbers.gauss(0, 1e6)
            found.append(ClosedPosition(name, symbol, quantity, cash, average, fees, month, year))
        return found

    each = positions // owners
    leaves = [f"ACC{number:05}" for number in range(owners)]
    dealers = [f"dealer {number:04}" for number in range(max(1, owners // 10))]
    return a_close(
        date,
        version,
        prices={symbol: ClosePrice(random_numbers.uniform(1, 100), TS - 1, "feed") for symbol in symbols},
        nodes=tuple(position for leaf in leaves for position in held(leaf, each)),
        dealers=tuple(position for dealer in dealers for position in held(dealer, each)),
        node_totals=a_totals(*leaves, "Total"),
        dealer_totals=a_totals(*dealers),
        openings=(),
    )

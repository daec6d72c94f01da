"""A house of more desks and dealers than a page of numbers holds, with its trades and marks."""

import random
from collections.abc import Iterable, Iterator

from riskengine.market.marks import Mark
from riskengine.records.reference import Reference
from riskengine.valuation.number_pages import PAGE
from tests import world
from tests.world import NOON, trade

DESKS = 2 * PAGE + 30


STOCKS = 40


def wide() -> Reference:
    """More leaves below one book than a page holds, and a deep branch beside it."""
    parents = {"ALL": "", "BIG": "ALL", "DEEP": "ALL", "DEEPER": "DEEP", "D1": "DEEPER", "D2": "DEEPER"}
    parents |= {f"L{number:04}": "BIG" for number in range(DESKS)}
    rows = [{"instrument": f"S{n:02}", "kind": "equity", "quote_currency": ("USD", "EUR", "GBP")[n % 3]} for n in range(STOCKS)]
    return world.reference(parents, [*rows, *(row for row in world.INSTRUMENTS if row["kind"] == "fx")])


WIDE = wide()


LEAVES = sorted(WIDE.hierarchy.leaves)


def flow(count: int, seed: int) -> Iterator:
    dice = random.Random(seed)
    for number in range(count):
        yield trade(
            f"t{seed}-{number}",
            where=WIDE,
            ts=NOON + number,
            desk=dice.choice(LEAVES),
            dealer=f"d{dice.randrange(300)}",
            instrument=dice.choice(WIDE.symbols),
            side=dice.choice(["buy", "sell"]),
            quantity=str(dice.randrange(1, 999)),
            price=f"{dice.uniform(0.5, 150):.5f}",
            fees="0.37",
            fees_currency=dice.choice(["USD", "GBP"]),
        )


def marks(seed: int, numbers: Iterable[int] | None = None) -> dict[int, Mark]:
    dice = random.Random(seed)
    chosen = range(len(WIDE.symbols)) if numbers is None else numbers
    return {number: Mark(round(dice.uniform(0.5, 150), 5), NOON, "feed", "quote") for number in chosen}

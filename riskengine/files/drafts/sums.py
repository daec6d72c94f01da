"""Finds which columns of a strange file multiply to which: quantity x price = amount, in every row. Pure.

The strongest evidence there is, in any language: a sum that comes out in every row is no chance.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import combinations, islice
from typing import NamedTuple

_ROWS = 200
_COLUMNS = 30
"""Columns that are tried, the first ones: a file of a thousand columns would have half a billion triples."""
_SCALES = (1, 100)
_LEAST_SHARE = Decimal("0.9")


class Product(NamedTuple):
    """`factors` multiply to the absolute value of `amount`: numbers of columns. `rows` agreed, of `of` that had all three.

    `scale` is 1, or 100 where the amount is a hundredth of the product: the price is in pence, the amount in pounds.
    """

    factors: tuple[int, int]
    amount: int
    rows: int
    of: int
    exact: bool
    scale: int = 1


def find_products(columns: Mapping[int, Sequence[Decimal | None]]) -> list[Product]:
    """The triples of columns where two multiply to the third, rounded as that is written; the best supported first.

    Rows with a 0 or a gap count for nothing; factors that are always 1 prove nothing. Cost O(columns^3 x rows) for 200 rows.
    """
    telling = dict(islice(((index, values) for index, values in columns.items() if _can_tell(values)), _COLUMNS))
    found = []
    for first, second in combinations(telling, 2):
        if any(all(value in (None, 1) for value in telling[index]) for index in (first, second)):
            continue
        for amount in telling:
            if amount in (first, second):
                continue
            checked = (_check(first, second, amount, telling, scale) for scale in _SCALES)
            found += [product for product in checked if product is not None]
    return sorted(found, key=lambda product: (-product.rows, product.scale, not product.exact))


class Agreement(NamedTuple):
    """How far an amount is quantity x price: it `fits` in so many rows, `of` that had all three.

    `off` are the other rows: their places, and product / amount, which is exactly 100 or 1/100 where that fits.
    """

    fits: int
    of: int
    off: tuple[tuple[int, Decimal], ...]

    @property
    def by_hundred(self) -> tuple[tuple[int, Decimal], ...]:
        """The rows in which the amount is in another unit than the price: a hundredth of the product, or 100 times."""
        return tuple(each for each in self.off if each[1] in (100, Decimal("0.01")))


def agreement(
    quantities: Sequence[Decimal | None], prices: Sequence[Decimal | None], amounts: Sequence[Decimal | None]
) -> Agreement:
    """Compare the amounts of a file with quantity x price, but for signs. Rows with a 0 or a gap count for nothing."""
    fits, off = 0, []
    for place, (quantity, price, amount) in enumerate(zip(quantities, prices, amounts, strict=False)):
        if not quantity or not price or not amount:
            continue
        product, total = abs(quantity * price), abs(amount)
        scales = (scale for scale in (1, 100, Decimal("0.01")) if abs(product / scale - total) <= _half_unit(amount))
        scale = next(scales, product / total)
        if scale == 1:
            fits += 1
        else:
            off.append((place, Decimal(scale)))
    return Agreement(fits, fits + len(off), tuple(off))


def _can_tell(values: Sequence[Decimal | None]) -> bool:
    return any(value for value in values[:_ROWS])


def _check(first: int, second: int, amount: int, columns: Mapping[int, Sequence[Decimal | None]], scale: int) -> Product | None:
    rows = of = 0
    exact = True
    for left, right, total in zip(columns[first][:_ROWS], columns[second][:_ROWS], columns[amount][:_ROWS], strict=True):
        if not left or not right or not total:
            continue
        of += 1
        difference = abs(abs(left * right) / scale - abs(total))
        if difference <= _half_unit(total):
            rows += 1
            exact = exact and difference == 0
    if not rows or rows < of * _LEAST_SHARE:
        return None
    return Product((first, second), amount, rows, of, exact, scale)


def _half_unit(total: Decimal) -> Decimal:
    """Half of the last place that is written, so that a rounded amount agrees; at least a ten-millionth of the amount."""
    places = total.as_tuple().exponent
    return max(Decimal(1).scaleb(int(places)) / 2, abs(total) / 10_000_000)

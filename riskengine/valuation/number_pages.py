"""The published numbers of all owners of a roll-up, in read-only pages.

Lines that change together stand on pages of their own: a price copies what prices move, and shares all else with the numbers
before. Pages are replaced and never changed in place.
"""

from collections.abc import Iterable, Iterator
from operator import is_

import numpy as np

from riskengine.records.types import BoolArray, FloatArray

PAGE = 256
"""Owners on one page of a table."""
CHUNK_BYTES = 120_000
"""Most that is copied at once. An allocator fetches larger blocks from the system, and returns them, every time: that would cost
more than the sums in them."""

# Lines of the table of node numbers. Amounts are in the reporting currency; the counts are whole numbers.
# DELTA, GAMMA, VEGA and THETA are the cash Greeks of what is known. UNPRICED counts the positions of which anything is unknown,
# NO_RATE those without a rate of their cash currency.
TOTAL, UNREALISED, DELTA, NET, GAMMA, VEGA, THETA, REALISED, FEES, UNPRICED, NO_RATE, STALE, GROSS = range(13)
MEASURES = 13
PRICED = 4
"""The first lines: those that a price alone moves, where there are no options. So does GROSS."""
PRICED_OPTIONS = 7
"""The same with options."""
ADDITIVE = 12
"""The first lines: those of a node are the sums of its children's. GROSS comes from each node's own netted legs."""

LINES: tuple[slice | list[int], ...] = (
    [*range(PRICED), GROSS],
    slice(PRICED, PRICED_OPTIONS),
    slice(PRICED_OPTIONS, ADDITIVE),
)
"""The lines of the arrays of a page, in the order of `NumberPages.of_page`."""

Pages = tuple[FloatArray, ...]


class NumberPages:
    """The numbers of all owners at one moment. Indexed by the number of a page it gives all MEASURES lines of its owners, a copy.

    prices   by page: TOTAL, UNREALISED, DELTA, NET and GROSS, shape (5, owners)
    greeks   by page: GAMMA, VEGA and THETA
    others   by page: what no price moves, REALISED to STALE
    """

    __slots__ = ("greeks", "others", "prices")

    def __init__(self, prices: Pages = (), greeks: Pages = (), others: Pages = ()) -> None:
        self.prices = prices
        self.greeks = greeks
        self.others = others

    def __len__(self) -> int:
        return len(self.prices)

    def __getitem__(self, page: int) -> FloatArray:
        prices = self.prices[page]
        found = np.concatenate((prices[:PRICED], self.greeks[page], self.others[page], prices[PRICED:]))
        found.flags.writeable = False
        return found

    def __iter__(self) -> Iterator[FloatArray]:
        return map(self.__getitem__, range(len(self)))

    def of_page(self, page: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The arrays that hold one page: the same objects as long as nothing on it is made anew. O(1)."""
        return self.prices[page], self.greeks[page], self.others[page]

    def shares(self, page: int, other: "NumberPages") -> bool:
        """Whether a page is the same as that of another moment, without a look at its numbers. O(1)."""
        return all(map(is_, self.of_page(page), other.of_page(page)))

    def differs(self, page: int, before: "NumberPages") -> BoolArray:
        """Which owners on a page have another number than at a moment before, of those that there were. O(owners on it)."""
        found = np.zeros(before.prices[page].shape[1], dtype=np.bool_)
        for now, old in zip(self.of_page(page), before.of_page(page), strict=True):
            if now is not old:
                found |= (old != now[:, : len(found)]).any(axis=0)
        return found

    def of_owner(self, owner: int) -> list[float]:
        """The numbers of an owner by line. 1 us."""
        page, at = divmod(owner, PAGE)
        prices = self.prices[page][:, at].tolist()
        return [*prices[:PRICED], *self.greeks[page][:, at].tolist(), *self.others[page][:, at].tolist(), prices[PRICED]]

    def arrays(self) -> Iterator[FloatArray]:
        """All pages as they are kept."""
        return (page for group in (self.prices, self.greeks, self.others) for page in group)

    def with_prices(self, numbers: FloatArray, size: int, *, greeks: bool) -> "NumberPages":
        """The same with copies of all lines that prices move, of the first `size` columns; with the Greeks or not. O(owners)."""
        new = read_only_pages(numbers[PRICED:PRICED_OPTIONS], size) if greeks else self.greeks
        return NumberPages(read_only_pages(numbers, size, with_gross=True), new, self.others)

    def with_all(self, numbers: FloatArray, size: int, *, greeks: bool) -> "NumberPages":
        """The same with copies of all lines, of the Greeks only where they may have changed. O(owners)."""
        others = read_only_pages(numbers[PRICED_OPTIONS:ADDITIVE], size)
        return NumberPages(self.prices, self.greeks, others).with_prices(numbers, size, greeks=greeks)

    def with_pages(self, numbers: FloatArray, changed: Iterable[int], *, greeks: bool) -> "NumberPages":
        """The same with copies of some pages, of the Greeks only where they may have changed; one more than there are adds it.

        O(pages).
        """
        prices, others, of_greeks = list(self.prices), list(self.others), list(self.greeks)
        for page in changed:
            columns = numbers[:, page * PAGE : (page + 1) * PAGE]
            prices[page : page + 1] = (_copy_with_gross(columns),)
            others[page : page + 1] = (_copy(columns[PRICED_OPTIONS:ADDITIVE]),)
            if greeks:
                of_greeks[page : page + 1] = (_copy(columns[PRICED:PRICED_OPTIONS]),)
        return NumberPages(tuple(prices), tuple(of_greeks) if greeks else self.greeks, tuple(others))


def _copy(columns: FloatArray) -> FloatArray:
    """A read-only copy."""
    copied = columns.copy()
    copied.flags.writeable = False
    return copied


def _copy_with_gross(columns: FloatArray) -> FloatArray:
    """A read-only copy of the lines of `NumberPages.prices`, of all lines."""
    copied = np.empty((PRICED + 1, columns.shape[1]))
    copied[:PRICED] = columns[:PRICED]
    copied[PRICED] = columns[GROSS]
    copied.flags.writeable = False
    return copied


def read_only_pages(numbers: FloatArray, size: int, *, with_gross: bool = False) -> Pages:
    """Read-only copies of the first `size` columns, in pages of PAGE owners: all lines, or those of `prices` above."""
    lines, copy = (PRICED + 1, _copy_with_gross) if with_gross else (len(numbers), _copy)
    step = max(CHUNK_BYTES // (8 * lines * PAGE), 1) * PAGE
    pages: list[FloatArray] = []
    for first in range(0, size, step):
        copied = copy(numbers[:, first : min(first + step, size)])
        pages.extend(copied[:, at : at + PAGE] for at in range(0, copied.shape[1], PAGE))
    return tuple(pages)

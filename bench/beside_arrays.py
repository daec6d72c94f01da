"""Beats of bare arrays: NumPy, SciPy's sparse product, C compiled on the spot, and a loop. Each keeps totals and gross by node.

All contenders do this, those of `beside_systems` too: with q what a node holds net of an instrument, p its price, c the cash,

    total = sum q p + c        gross = sum |q p|

for every node of the tree, each from what it holds net. Prices are above zero.
"""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from bench.book import Maker
from riskengine.records.types import CASH_ONE, ONE, Trade

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class NotHere(Exception):
    """A contender cannot run on this machine; the message says why."""


class Answer(NamedTuple):
    """Total P&L and gross exposure by node."""

    total: FloatArray
    gross: FloatArray


class Contender(Protocol):
    """A way to do beats. `full` takes all prices; `some` too, of which those of `numbers` are new. Both leave a new answer."""

    name: str
    rounds: int

    @property
    def answer(self) -> Answer: ...

    def full(self, prices: FloatArray) -> None: ...

    def some(self, numbers: IntArray, prices: FloatArray) -> None: ...


class Book(NamedTuple):
    """What every node holds, net, by node; `first_leaf` is the first account, all behind it are accounts too."""

    nodes: int
    first_leaf: int
    parents: IntArray
    cash: FloatArray
    node: IntArray
    instrument: IntArray
    quantity: FloatArray
    starts: IntArray

    @classmethod
    def of(cls, maker: Maker, trades: list[Trade]) -> "Book":
        """From the trades alone, without the engine."""
        hierarchy = maker.reference.hierarchy
        parents = np.array([hierarchy.index.get(node.parent, -1) for node in hierarchy.nodes])
        size, count = len(parents), len(maker.instruments)
        at = np.array([hierarchy.index[trade.desk] for trade in trades])
        instruments = np.array([maker.reference.instrument_index[trade.instrument] for trade in trades])
        amounts = np.array([trade.signed_quantity / ONE for trade in trades])
        cash, keys, quantities = np.zeros(size), [], []
        paid = np.array([trade.cash / CASH_ONE for trade in trades])
        first_leaf = int(at.min())
        while len(at):
            np.add.at(cash, at, paid)
            keys.append(at * count + instruments)
            quantities.append(amounts)
            up = parents[at] >= 0
            at, instruments, amounts, paid = parents[at[up]], instruments[up], amounts[up], paid[up]
        unique, inverse = np.unique(np.concatenate(keys), return_inverse=True)
        node, instrument = np.divmod(unique, count)
        summed = np.zeros(len(unique))
        np.add.at(summed, inverse, np.concatenate(quantities))
        return cls(size, first_leaf, parents, cash, node, instrument, summed, np.searchsorted(node, np.arange(size + 1)))

    def by_instrument(self) -> tuple[IntArray, IntArray, IntArray]:
        """The rows in the order of their instruments, and where each instrument's begin."""
        order = np.argsort(self.instrument, kind="stable")
        sorted_instruments = self.instrument[order]
        return order, sorted_instruments, np.searchsorted(sorted_instruments, np.arange(self.instrument.max() + 2))


class BareNumPy:
    """Gather, multiply, `reduceat` over laid-out arrays; the leaves' totals are summed up the tree, level by level."""

    name = f"bare NumPy {np.__version__}"
    rounds = 100

    def __init__(self, book: Book) -> None:
        self.book = book
        self.order, _, self.starts = book.by_instrument()
        self.nodes, self.quantities = book.node[self.order], book.quantity[self.order]
        self.prices = np.zeros(len(self.starts) - 1)
        self.answer = Answer(book.cash.copy(), np.zeros(book.nodes))

    def full(self, prices: FloatArray) -> None:
        book = self.book
        values = book.quantity * prices[book.instrument]
        total = np.add.reduceat(values, book.starts[:-1]) + book.cash
        gross = np.add.reduceat(np.abs(values), book.starts[:-1])
        self.prices, self.answer = prices, Answer(total, gross)

    def some(self, numbers: IntArray, prices: FloatArray) -> None:
        total, gross = self.answer.total.copy(), self.answer.gross.copy()
        for number in numbers:
            rows = slice(self.starts[number], self.starts[number + 1])
            moved = self.quantities[rows] * (prices[number] - self.prices[number])
            sizes = np.abs(self.quantities[rows]) * (prices[number] - self.prices[number])
            total[self.nodes[rows]] += moved  # a node holds an instrument once
            gross[self.nodes[rows]] += sizes
        self.prices, self.answer = prices, Answer(total, gross)


class SciPyProduct:
    """One sparse matrix of nodes by instruments, and one of its sizes, times the prices; for few prices, their columns alone."""

    rounds = 100

    def __init__(self, book: Book) -> None:
        try:
            import scipy
            from scipy import sparse
        except ImportError as error:
            raise NotHere("SciPy is not installed") from error
        self.name = f"SciPy {scipy.__version__} product"
        shape = (book.nodes, int(book.instrument.max()) + 1)
        self.cash = book.cash
        self.held = sparse.csr_matrix((book.quantity, book.instrument, book.starts), shape=shape)
        self.sizes = abs(self.held)
        self.columns, self.size_columns = self.held.tocsc(), self.sizes.tocsc()
        self.prices = np.zeros(shape[1])
        self.answer = Answer(book.cash.copy(), np.zeros(book.nodes))

    def full(self, prices: FloatArray) -> None:
        self.prices, self.answer = prices, Answer(self.held @ prices + self.cash, self.sizes @ prices)

    def some(self, numbers: IntArray, prices: FloatArray) -> None:
        change = prices[numbers] - self.prices[numbers]
        total = self.answer.total + self.columns[:, numbers] @ change
        gross = self.answer.gross + self.size_columns[:, numbers] @ change
        self.prices, self.answer = prices, Answer(total, gross)


class Compiled:
    """`beats.c`, compiled here and now: the limit."""

    rounds = 100

    def __init__(self, book: Book) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise NotHere("there is no C compiler (cc)")
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "beats.so"
            source = Path(__file__).with_name("beats.c")
            options = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
            subprocess.run([compiler, *options, "-o", str(library), str(source), "-lm"], check=True)
            self._library = ctypes.CDLL(str(library))
        told = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
        self.name = f"C (cc {told})"
        self.book = book
        order, _, self.column_starts = book.by_instrument()
        self.instruments = book.instrument.astype(np.int32)
        self.nodes, self.quantities = book.node[order].astype(np.int32), book.quantity[order]
        self.prices = np.zeros(len(self.column_starts) - 1)
        self.answer = Answer(book.cash.copy(), np.zeros(book.nodes))

    def _call(self, name: str, *arguments: int | npt.NDArray[np.generic]) -> None:
        passed = [ctypes.c_int64(one) if isinstance(one, int) else ctypes.c_void_p(one.ctypes.data) for one in arguments]
        getattr(self._library, name)(*passed)

    def full(self, prices: FloatArray) -> None:
        book, total, gross = self.book, np.empty(self.book.nodes), np.empty(self.book.nodes)
        rows = (book.starts, self.instruments, book.quantity, book.parents, book.cash)
        self._call("beat", book.nodes, book.first_leaf, *rows, prices, total, gross)
        self.prices, self.answer = prices, Answer(total, gross)

    def some(self, numbers: IntArray, prices: FloatArray) -> None:
        total, gross = self.answer.total.copy(), self.answer.gross.copy()
        rows = (self.column_starts, self.nodes, self.quantities)
        self._call("move", len(numbers), numbers, *rows, self.prices, prices, total, gross)
        self.prices, self.answer = prices, Answer(total, gross)


class Loop:
    """A loop over rows in Python, as one would write it first."""

    name = "a loop in Python"
    rounds = 3

    def __init__(self, book: Book) -> None:
        self.rows = list(zip(book.node.tolist(), book.instrument.tolist(), book.quantity.tolist(), strict=True))
        self.cash = book.cash.tolist()

    def full(self, prices: FloatArray) -> None:
        total, gross, price = list(self.cash), [0.0] * len(self.cash), prices.tolist()
        for node, instrument, quantity in self.rows:
            value = quantity * price[instrument]
            total[node] += value
            gross[node] += abs(value)
        self.answer = Answer(np.array(total), np.array(gross))

    def some(self, numbers: IntArray, prices: FloatArray) -> None:
        self.full(prices)

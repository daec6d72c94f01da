"""Beats of column stores and of this engine, with what `beside_arrays` says that every contender does."""

import numpy as np

from bench.beside_arrays import Answer, Book, FloatArray, IntArray, NotHere
from bench.book import NOW
from riskengine.engine.engine import Engine
from riskengine.market.marks import Mark
from riskengine.valuation.number_pages import GROSS, TOTAL


class ThisEngine:
    """The engine's own beat, and the snapshot that it publishes: 13 measures, both roll-ups, flags."""

    name = "this engine"
    rounds = 100

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def answer(self) -> Answer:
        numbers = np.concatenate(tuple(self.engine.snapshot.nodes.numbers), axis=1)
        return Answer(numbers[TOTAL], numbers[GROSS])

    def full(self, prices: FloatArray) -> None:
        self.some(np.arange(len(prices)), prices)

    def some(self, numbers: IntArray, prices: FloatArray) -> None:
        marks = {number: Mark(prices[number].item(), NOW, "bench", "quote") for number in numbers.tolist()}
        self.engine.beat(marks, NOW)
        self.engine.publish(NOW)


class Polars:
    """Gather, multiply, group by node."""

    rounds = 20

    def __init__(self, book: Book) -> None:
        try:
            import polars
        except ImportError as error:
            raise NotHere("polars is not installed") from error
        self.polars, self.cash = polars, book.cash
        self.name = f"polars {polars.__version__}"
        self.rows = polars.DataFrame({"node": book.node, "instrument": book.instrument, "quantity": book.quantity})
        self.rows = self.rows.with_columns(polars.col("node").set_sorted())

    def full(self, prices: FloatArray) -> None:
        column = self.polars.col
        price = self.polars.lit(self.polars.Series(prices)).gather(column("instrument"))
        valued = self.rows.lazy().select("node", value=column("quantity") * price)
        sums = valued.group_by("node").agg(total=column("value").sum(), gross=column("value").abs().sum()).sort("node").collect()
        self.answer = Answer(sums["total"].to_numpy() + self.cash, sums["gross"].to_numpy())

    def some(self, numbers: IntArray, prices: FloatArray) -> None:
        self.full(prices)


class DuckDb:
    """A join with the prices, grouped by node."""

    rounds = 20

    def __init__(self, book: Book) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise NotHere("duckdb is not installed") from error
        self.name = f"duckdb {duckdb.__version__}"
        self.cash = book.cash
        self.connection = duckdb.connect()
        given = {"node": book.node, "instrument": book.instrument, "quantity": book.quantity}
        self.connection.execute("create table held as select * from given")
        assert given
        self.numbers = np.arange(int(book.instrument.max()) + 1)

    def full(self, prices: FloatArray) -> None:
        new = {"instrument": self.numbers, "price": prices}
        query = """select node, sum(quantity * price) as total, sum(abs(quantity * price)) as gross
            from held join new using (instrument) group by node order by node"""
        sums = self.connection.execute(query).fetchnumpy()
        assert new
        self.answer = Answer(np.asarray(sums["total"]) + self.cash, np.asarray(sums["gross"]))

    def some(self, numbers: IntArray, prices: FloatArray) -> None:
        self.full(prices)


class Perspective:
    """A table of values that is updated in place, and a view of it grouped by node, which follows; read as Arrow."""

    rounds = 5

    def __init__(self, book: Book) -> None:
        try:
            import perspective
            import pyarrow
        except ImportError as error:
            raise NotHere("perspective-python or pyarrow is not installed") from error
        self.arrow, self.book = pyarrow, book
        self.name = f"perspective {perspective.__version__}"
        schema = {"row": "integer", "node": "integer", "value": "float", "size": "float"}
        self.table = perspective.table(schema, index="row")
        every = np.arange(len(book.node))
        self.table.update(self._frame(row=every.astype(np.int32), node=book.node.astype(np.int32)))
        self.view = self.table.view(group_by=["node"], columns=["value", "size"])
        self.order, _, self.starts = book.by_instrument()

    def _frame(self, **columns: object) -> bytes:
        table = self.arrow.table(columns)
        sink = self.arrow.BufferOutputStream()
        with self.arrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue().to_pybytes()

    def _update(self, rows: IntArray, prices: FloatArray) -> None:
        values = self.book.quantity[rows] * prices[self.book.instrument[rows]]
        self.table.update(self._frame(row=rows.astype(np.int32), value=values, size=np.abs(values)))
        sums = self.arrow.ipc.open_stream(self.view.to_arrow()).read_all().slice(1)  # the first is the grand total
        node = np.asarray(sums.column(0).to_numpy(zero_copy_only=False)).astype(np.int64)
        total, gross = np.zeros(self.book.nodes), np.zeros(self.book.nodes)
        total[node], gross[node] = sums["value"].to_numpy(), sums["size"].to_numpy()
        self.answer = Answer(total + self.book.cash, gross)

    def full(self, prices: FloatArray) -> None:
        self._update(np.arange(len(self.book.node)), prices)

    def some(self, numbers: IntArray, prices: FloatArray) -> None:
        rows = np.concatenate([self.order[self.starts[number] : self.starts[number + 1]] for number in numbers])
        self._update(rows, prices)

"""Reads all stored trades, in store order, a column at a time: a start reads a million of them.

Each row becomes the same `Trade` that `trade_rows.trade_from_row` makes, for a fifth of the cost. The database joins each column
of a page to one text while this thread decodes the page before, and each step of the decoding is one call over a whole column.
A plain row is a new trade or an amend as the engine writes it. All other rows (cancels, legs, exact cash amounts, values that
this file does not understand) are odd: they are read again, as rows, and decoded one by one. A test compares both ways.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat
from operator import mul, truediv
from typing import Any, NamedTuple

import msgspec
import numpy as np

from riskengine.records.decode import TradeCheck
from riskengine.records.fields import MAX_INTEGER, MAX_SEQUENCE, MAX_TEXT, TS_MAX, TS_MIN, Rejected, date, name
from riskengine.records.types import DECIMALS, ONE, BoolArray, IntArray, Trade
from riskengine.store.protocol import Store
from riskengine.store.queries import Transaction
from riskengine.store.tables.trade_columns import exact_numbers
from riskengine.store.trade_rows import RefusedRow, TradeRow, trade_from_row

FromRow = Callable[[TradeRow], Trade | RefusedRow]
"""`trade_from_row` with its check."""

PAGE_ROWS = 2_048
"""Rows in a page: few enough that their columns stay in the processor's cache."""

_MAX_REMEMBERED = 100_000
"""Texts remembered of one column. Dates and dealers repeat; a column of ever new texts must not grow this without end."""
_LIMITS = {"max_integer": MAX_INTEGER, "max_sequence": MAX_SEQUENCE, "ts_min": TS_MIN, "ts_end": TS_MAX}
_POWERS: IntArray = 10 ** np.arange(DECIMALS + 1, dtype=np.int64)
_ROOM: IntArray = np.iinfo(np.int64).max // _POWERS
_EXACT = 2**53
"""Every integer below is exact as a double."""
_ACTIONS = {ord("b"): "new", ord("s"): "new", ord("B"): "amend", ord("S"): "amend", ord("0"): ""}
_SIDES = {ord("b"): "buy", ord("s"): "sell", ord("B"): "buy", ord("S"): "sell", ord("0"): ""}
_BUYS = b"bB"
_decode_integers = msgspec.json.Decoder(list[int]).decode


class BulkColumns(NamedTuple):
    """The columns of the query `bulk_columns`, each one joined text of `row_count` values, each one character in `flags`.

    Line ends separate names and dates, commas separate integers, spaces separate decimals. A NULL is an empty value in
    `booked_ts`, and 0 in `ts` and amounts. A flag says action and side (`_ACTIONS`, `_SIDES`), or "0" for an odd row.
    """

    row_count: int
    store_seqs: bytes
    flags: bytes
    sources: bytes
    trade_ids: bytes
    legs: bytes
    versions: bytes
    ts: bytes
    source_seqs: bytes
    instruments: bytes
    desks: bytes
    dealers: bytes
    quantities: bytes
    prices: bytes
    fees: bytes
    fees_currencies: bytes
    value_dates: bytes
    trade_dates: bytes
    booked_ts: bytes
    received_ts: bytes


class RowPage(NamedTuple):
    """The rows with numbers above `after` and up to `up_to`, in columns."""

    after: int
    up_to: int
    columns: BulkColumns


class DecodedPage(NamedTuple):
    """The number and the trade of each row of a page. `odd` are the places of rows that are not plain: read those as rows."""

    store_seqs: list[int]
    trades: list[Any]
    odd: list[int]


class Unfit(Exception):
    """A column of this page cannot be split into one value for each row: read all its rows one by one."""


def read_trades(store: Store) -> Callable[[TradeCheck], Iterator[tuple[int, Trade | RefusedRow]]]:
    """`stored_trades` of this store, for a caller that makes the check later, from reference data that it reads first."""
    return partial(stored_trades, store)


def read_conflicts(store: Store, limit: int) -> Callable[[TradeCheck], Iterator[Trade]]:
    """`stored_conflicts` of this store, for a caller that makes the check later."""
    return partial(stored_conflicts, store, limit)


def stored_conflicts(store: Store, limit: int, check: TradeCheck) -> Iterator[Trade]:
    """The trades of the newest `limit` conflicts, oldest first, without those that `check` refuses. Raises StoreError."""
    for conflict in reversed(store.conflicts(limit)):
        trade = trade_from_row(conflict.row, check)
        if not isinstance(trade, RefusedRow):
            yield trade


def stored_trades(store: Store, check: TradeCheck, after: int = 0) -> Iterator[tuple[int, Trade | RefusedRow]]:
    """Every stored row after number `after`, in store order: its number and its trade, or the row and why `check` refuses it.

    Includes rows that are committed while it runs. Raises StoreError. Cost 2 us a plain row and 10 us any other; the database
    spends another 1.5 us a row, in parallel.
    """
    reader = TradeReader(check)
    from_row = partial(trade_from_row, check=check)
    with ThreadPoolExecutor(1, "riskengine-read-ahead") as ahead:
        page = _page_after(store, after)
        while page is not None:
            coming = ahead.submit(_page_after, store, page.up_to)
            yield from _trades_of(store, page, reader, from_row)
            page = coming.result()


def _page_after(store: Store, after: int) -> RowPage | None:
    return store.read(partial(_read_page, after=after))


def _read_page(transaction: Transaction, after: int) -> RowPage | None:
    up_to = transaction.rows("bulk_end", {"after": after, "limit": PAGE_ROWS})[0][0]
    if up_to is None:
        return None
    columns = transaction.raw_row("bulk_columns", _LIMITS | {"after": after, "up_to": up_to})
    return RowPage(after, up_to, BulkColumns._make(columns))


def _trades_of(store: Store, page: RowPage, reader: "TradeReader", from_row: FromRow) -> Iterator[tuple[int, Any]]:
    try:
        seqs, trades, odd = reader.decode(page.columns)
    except Unfit:
        rows = store.trades_after(page.after, PAGE_ROWS)
        return ((row.store_seq, from_row(row)) for row in rows if row.store_seq <= page.up_to)
    if odd:
        numbers = [seqs[at] for at in odd]
        found = {row.store_seq: row for row in store.read(partial(_rows_numbered, numbers=numbers))}
        for at, number in zip(odd, numbers, strict=True):
            trades[at] = from_row(found[number]) if number in found else None
        return ((seq, trade) for seq, trade in zip(seqs, trades, strict=True) if trade is not None)
    return zip(seqs, trades, strict=True)


def _rows_numbered(transaction: Transaction, numbers: Sequence[int]) -> list[TradeRow]:
    return [*map(TradeRow._make, transaction.rows("trades_by_store_seq", (transaction.array(numbers),)))]


# -- decoding ----------------------------------------------------------------------------------------------------


class _Names(NamedTuple):
    """The checked names, dates and currencies of a page, a value for each row: None where it is not valid."""

    sources: list[Any]
    desks: list[Any]
    dealers: list[Any]
    value_dates: list[Any]
    trade_dates: list[Any]
    fees_currencies: list[Any]


class TradeReader:
    """Makes trades of columns, by the reference data of `check`. Repeated names share memory. Used by one thread at a time."""

    def __init__(self, check: TradeCheck) -> None:
        instruments = check.instruments.values()
        self._numbers = {each.instrument: number for number, each in enumerate(instruments)}
        self._symbols = [*self._numbers]
        self._currencies = [each.currency for each in instruments]
        self._negative_multipliers = [-each.contract_multiplier for each in instruments]
        self._steps = np.array([10 ** (DECIMALS - each.quantity_decimals) for each in instruments], dtype=np.int64)
        self._codes = _Remembered(lambda code: code if code in check.currencies else None)
        self._desks = _Remembered(lambda desk: _valid_name(desk) if desk in check.leaves else None)
        self._dealers = _Remembered(lambda dealer: _valid_name(dealer) if dealer else dealer)
        self._sources = _Remembered(_valid_name)
        self._dates = _Remembered(_valid_date)

    def decode(self, columns: BulkColumns) -> DecodedPage:
        """The trades of a page. Raises Unfit. Cost 2 us a row."""
        try:
            return self._decode(columns)
        except (UnicodeDecodeError, msgspec.MsgspecError):
            raise Unfit from None

    def _decode(self, columns: BulkColumns) -> DecodedPage:
        count, flags = columns.row_count, columns.flags
        seqs = _ints(columns.store_seqs, count)
        if not self._symbols or len(flags) != count or seqs != sorted(seqs):
            raise Unfit
        numbers = [*map(self._numbers.get, _texts(columns.instruments, count), repeat(-1))]
        places = np.array(numbers)
        quantity, price, fees = (_units(column, count) for column in (columns.quantities, columns.prices, columns.fees))
        names = self._names(columns, numbers)
        trade_ids = _texts(columns.trade_ids, count)
        trades = self._trades(columns, numbers, trade_ids, names, (quantity, price, fees))
        odd = (np.frombuffer(flags, np.uint8) == ord("0")) | (places < 0) | ~(quantity.plain & price.plain & fees.plain)
        odd |= quantity.are_no_multiples(self._steps[places])
        for column in names:
            if None in column:
                odd |= np.fromiter((each is None for each in column), np.bool_, count)
        if not _are_all_valid(trade_ids):
            odd |= np.fromiter((_valid_name(each) is None for each in trade_ids), np.bool_, count)
        return DecodedPage(seqs, trades, np.flatnonzero(odd).tolist())

    def _names(self, columns: BulkColumns, numbers: Sequence[int]) -> _Names:
        count = columns.row_count
        return _Names(
            self._sources.all(columns.sources, count),
            self._desks.all(columns.desks, count),
            self._dealers.all(columns.dealers, count),
            self._dates.all(columns.value_dates, count),
            self._dates.all(columns.trade_dates, count),
            self._fees_currencies(_texts(columns.fees_currencies, count), numbers),
        )

    def _fees_currencies(self, codes: list[str], numbers: Sequence[int]) -> list[Any]:
        if "" not in codes:
            return [*map(self._codes.__getitem__, codes)]
        return [self._codes[code] if code else self._currencies[number] for code, number in zip(codes, numbers, strict=True)]

    def _trades(
        self,
        columns: BulkColumns,
        numbers: Sequence[int],
        trade_ids: list[str],
        names: _Names,
        amounts: "tuple[_Units, _Units, _Units]",
    ) -> list[Any]:
        """One trade for each row, in the order of the fields of `Trade`; that of an odd row means nothing."""
        count, flags = columns.row_count, columns.flags
        quantity, price, fees = amounts
        buys = np.isin(np.frombuffer(flags, np.uint8), np.frombuffer(_BUYS, np.uint8)).tolist()
        signed = [units if buy else -units for buy, units in zip(buys, quantity.exact, strict=True)]
        return [
            *map(
                Trade,
                names.sources,
                trade_ids,
                _ints(columns.legs, count),
                _ints(columns.versions, count),
                map(_ACTIONS.__getitem__, flags),
                _ints(columns.ts, count),
                _ints(columns.source_seqs, count),
                map(self._symbols.__getitem__, numbers),
                names.desks,
                names.dealers,
                map(_SIDES.__getitem__, flags),
                quantity.exact,
                price.exact,
                fees.exact,
                names.fees_currencies,
                names.value_dates,
                names.trade_dates,
                _optional_ints(columns.booked_ts, count),
                repeat(None),
                repeat(None),
                _ints(columns.received_ts, count),
                signed,
                map(mul, map(mul, signed, price.exact), map(self._negative_multipliers.__getitem__, numbers)),
                price.doubles(),
            )
        ]


# -- columns -----------------------------------------------------------------------------------------------------


class _Remembered(dict[str, Any]):
    """The checked value of each text of a column, None where the text is not valid. `check` is called once for each text."""

    def __init__(self, check: Callable[[str], str | None]) -> None:
        super().__init__()
        self._check = check

    def __missing__(self, text: str) -> str | None:
        if len(self) >= _MAX_REMEMBERED:
            self.clear()
        found = self[text] = self._check(text)
        return found

    def all(self, column: bytes, count: int) -> list[Any]:
        """The value of each text of a column."""
        one = _only_value(column, count, b"\n")
        return [*map(self.__getitem__, _texts(column, count))] if one is None else [self[one.decode()]] * count


class _Units(NamedTuple):
    """A column of numbers in units of 1e-10. `small` holds the same numbers if all fit 64 bits.

    `plain` says which rows held a plain decimal; the number of any other row is 0.
    """

    exact: list[int]
    small: IntArray | None
    plain: BoolArray

    def doubles(self) -> Iterable[float]:
        """The nearest double of each number, in whole units rather than 1e-10."""
        if self.small is not None and (not len(self.small) or self.small.max() < _EXACT):
            doubles: list[float] = (self.small / ONE).tolist()
            return doubles
        return map(truediv, self.exact, repeat(ONE))

    def are_no_multiples(self, steps: IntArray) -> BoolArray:
        """Which rows are 0 or no multiple of their step. Shape (rows,)."""
        if self.small is not None:
            rests: BoolArray = (self.small <= 0) | (self.small % steps != 0)
            return rests
        return np.array([not one or one % step for one, step in zip(self.exact, steps.tolist(), strict=True)], dtype=np.bool_)


def _units(column: bytes, count: int) -> _Units:
    """The numbers of a column of plain decimals."""
    if _only_value(column, count, b" ") == b"0":
        return _Units([0] * count, np.zeros(count, dtype=np.int64), np.ones(count, dtype=np.bool_))
    digits, decimals, plain = exact_numbers(column, count)
    lift = DECIMALS - decimals
    plain = plain & (lift >= 0)
    digits, lift = np.where(plain, digits, 0), np.where(plain, lift, 0)
    if (digits <= _ROOM[lift]).all():
        units = digits * _POWERS[lift]
        return _Units(units.tolist(), units, plain)
    return _Units([*map(mul, digits.tolist(), _POWERS[lift].tolist())], None, plain)


def _only_value(column: bytes, count: int, between: bytes) -> bytes | None:
    """The value that all rows of a column share, None where they differ. Cost 1 ns a row."""
    size, rest = divmod(len(column) + 1, count)
    one = column[: size - 1]
    return None if rest or (one + between) * count != column + between else one


def _texts(column: bytes, count: int) -> list[str]:
    texts = column.decode().split("\n")
    if len(texts) != count:
        raise Unfit  # a name with a line end in it
    return texts


def _ints(column: bytes, count: int) -> list[int]:
    one = _only_value(column, count, b",")
    found = _decode_integers(b"[%b]" % column) if one is None else _decode_integers(b"[%b]" % one) * count
    if len(found) != count:
        raise Unfit
    return found


def _optional_ints(column: bytes, count: int) -> Iterable[int | None]:
    if _only_value(column, count, b",") == b"":
        return repeat(None)
    return [int(value) if value else None for value in column.split(b",")]


def _are_all_valid(names: list[str]) -> bool:
    """Whether all are valid names without spaces, as nearly all pages are. False: look at each."""
    together = "".join(names)
    return together.isprintable() and " " not in together and min(map(len, names)) > 0 and max(map(len, names)) <= MAX_TEXT


def _valid_name(text: str) -> str | None:
    try:
        return name(text, "")
    except Rejected:
        return None


def _valid_date(text: str) -> str | None:
    try:
        return date(text, "")
    except Rejected:
        return None

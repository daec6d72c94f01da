"""A million stored rows as trades: read and decoded a column at a time, in store order.

The same `Trade` for each row as `trade_rows.trade_from_row` gives, for a fifth of the cost: the database joins each column of a
page to one text, beside the interpreter, while the page before is decoded here, and every step of that is one call over a whole
column. Rows that are not plainly trades as the engine writes them (cancels, legs, exact cash amounts, anything that is not
understood here) are read again as rows and go the other way one by one. A test holds both ways to each other.
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
from riskengine.records.fields import MAX_INTEGER, MAX_TEXT, TS_MAX, TS_MIN, Rejected, date, name
from riskengine.records.types import DECIMALS, ONE, BoolArray, IntArray, Trade
from riskengine.store.protocol import Store
from riskengine.store.queries import Transaction
from riskengine.store.tables.trade_columns import exact_numbers
from riskengine.store.trade_rows import RefusedRow, TradeRow, trade_from_row

Judge = Callable[[TradeRow], Trade | RefusedRow]
"""A row as a trade, or what says why it is none."""

PAGE_ROWS = 2_048
"""Rows read and decoded at a stretch: their columns stay in the processor's cache."""

_MAX_KNOWN = 100_000
"""Texts remembered of one column: a date or a dealer comes again and again, an odd one need not be kept for ever."""
_LIMITS = {"max_integer": MAX_INTEGER, "ts_min": TS_MIN, "ts_end": TS_MAX}
_POWERS: IntArray = 10 ** np.arange(DECIMALS + 1, dtype=np.int64)
_ROOM: IntArray = np.iinfo(np.int64).max // _POWERS
_EXACT = 2**53
"""Integers below are doubles."""
_ACTIONS = {ord("b"): "new", ord("s"): "new", ord("B"): "amend", ord("S"): "amend", ord("0"): ""}
_SIDES = {ord("b"): "buy", ord("s"): "sell", ord("B"): "buy", ord("S"): "sell", ord("0"): ""}
_BUYS = b"bB"
_integers = msgspec.json.Decoder(list[int]).decode


class RowPage(NamedTuple):
    """Rows after number `after`, up to `up_to`, in columns as `bulk_columns` has them."""

    after: int
    up_to: int
    columns: tuple[Any, ...]


class Unfit(Exception):
    """Something in a column makes all of the page unfit for columns: its rows are read one by one."""


def stored_trades(store: Store, check: TradeCheck) -> Iterator[tuple[int, Trade | RefusedRow]]:
    """Every stored row with its number, in store order: its trade, or the row with the reason why it is none.

    Rows that are committed while it runs are included. Raises StoreError. Cost 2 us a plain row, 10 us any other, and 1.5 us
    beside the interpreter.
    """
    reader = TradeReader(check)

    judge = partial(trade_from_row, check=check)
    with ThreadPoolExecutor(1, "riskengine-read-ahead") as ahead:
        page = _page_after(store, 0)
        while page is not None:
            coming = ahead.submit(_page_after, store, page.up_to)
            yield from _trades_of(store, page, reader, judge)
            page = coming.result()


def _page_after(store: Store, after: int) -> RowPage | None:
    return store.read(partial(_read_page, after=after))


def _read_page(transaction: Transaction, after: int) -> RowPage | None:
    up_to = transaction.rows("bulk_end", {"after": after, "limit": PAGE_ROWS})[0][0]
    if up_to is None:
        return None
    return RowPage(after, up_to, transaction.raw_row("bulk_columns", _LIMITS | {"after": after, "up_to": up_to}))


def _trades_of(store: Store, page: RowPage, reader: "TradeReader", judge: Judge) -> Iterator[tuple[int, Any]]:
    try:
        seqs, trades, odd = reader(page.columns)
    except Unfit:
        rows = store.trades_after(page.after, PAGE_ROWS)
        return ((row.store_seq, judge(row)) for row in rows if row.store_seq <= page.up_to)
    if odd:
        numbers = [seqs[at] for at in odd]
        found = {row.store_seq: row for row in store.read(partial(_rows, numbers=numbers))}
        for at, number in zip(odd, numbers, strict=True):
            trades[at] = judge(found[number]) if number in found else None
        return ((seq, trade) for seq, trade in zip(seqs, trades, strict=True) if trade is not None)
    return zip(seqs, trades, strict=True)


def _rows(transaction: Transaction, numbers: Sequence[int]) -> list[TradeRow]:
    return [*map(TradeRow._make, transaction.rows("trades_by_store_seq", (transaction.array(numbers),)))]


class TradeReader:
    """Makes trades of columns, by the reference data of `check`. Repeated names share memory. Used by one thread at a time."""

    def __init__(self, check: TradeCheck) -> None:
        instruments = check.instruments.values()
        self._numbers = {each.instrument: number for number, each in enumerate(instruments)}
        self._symbols = [*self._numbers]
        self._currencies = [each.currency for each in instruments]
        self._negative_multipliers = [-each.multiplier for each in instruments]
        self._steps = np.array([10 ** (DECIMALS - each.quantity_decimals) for each in instruments], dtype=np.int64)
        self._codes = _Known(lambda code: code if code in check.currencies else None)
        self._desks = _Known(lambda desk: _sound(desk) if desk in check.leaves else None)
        self._dealers = _Known(lambda dealer: _sound(dealer) if dealer else dealer)
        self._sources = _Known(_sound)
        self._dates = _Known(_sound_date)

    def __call__(self, columns: Sequence[Any]) -> tuple[list[int], list[Any], list[int]]:
        """Numbers of the rows, what each is, and the places of those that need to be read as rows. Cost 2 us a row.

        Raises Unfit.
        """
        try:
            return self._read(*columns)
        except (UnicodeDecodeError, msgspec.MsgspecError):
            raise Unfit from None

    def _read(
        self,
        count: int,
        seqs_text: bytes,
        flags: bytes,
        sources_text: bytes,
        ids_text: bytes,
        legs: bytes,
        versions: bytes,
        ts: bytes,
        source_seqs: bytes,
        symbols: bytes,
        desks_text: bytes,
        dealers_text: bytes,
        quantities: bytes,
        prices: bytes,
        fees_text: bytes,
        codes: bytes,
        value_dates_text: bytes,
        trade_dates_text: bytes,
        booked: bytes,
        received: bytes,
    ) -> tuple[list[int], list[Any], list[int]]:
        seqs = _ints(seqs_text, count)
        if not self._symbols or len(flags) != count or seqs != sorted(seqs):
            raise Unfit
        numbers = [*map(self._numbers.get, _texts(symbols, count), repeat(-1))]
        places = np.array(numbers)
        quantity, of_quantity = _units(quantities, count)
        price, of_price = _units(prices, count)
        fees, of_fees = _units(fees_text, count)
        buys = np.isin(np.frombuffer(flags, np.uint8), np.frombuffer(_BUYS, np.uint8)).tolist()
        signed = [units if buy else -units for buy, units in zip(buys, quantity.exact, strict=True)]
        known = [
            self._sources.all(sources_text, count),
            self._desks.all(desks_text, count),
            self._dealers.all(dealers_text, count),
            self._dates.all(value_dates_text, count),
            self._dates.all(trade_dates_text, count),
            self._fees_currencies(_texts(codes, count), numbers),
        ]
        sources, desks, dealers, value_dates, trade_dates, fees_currencies = known
        trade_ids = _texts(ids_text, count)
        trades: list[Any] = [
            *map(
                Trade,
                sources,
                trade_ids,
                _ints(legs, count),
                _ints(versions, count),
                map(_ACTIONS.__getitem__, flags),
                _ints(ts, count),
                _ints(source_seqs, count),
                map(self._symbols.__getitem__, numbers),
                desks,
                dealers,
                map(_SIDES.__getitem__, flags),
                quantity.exact,
                price.exact,
                fees.exact,
                fees_currencies,
                value_dates,
                trade_dates,
                _booked(booked, count),
                repeat(None),
                repeat(None),
                _ints(received, count),
                signed,
                map(mul, map(mul, signed, price.exact), map(self._negative_multipliers.__getitem__, numbers)),
                price.doubles(),
            )
        ]
        odd = (np.frombuffer(flags, np.uint8) == ord("0")) | (places < 0) | ~(of_quantity & of_price & of_fees)
        odd |= quantity.are_no_multiples(self._steps[places])
        for column in known:
            if None in column:
                odd |= np.fromiter((each is None for each in column), np.bool_, count)
        if not _are_sound(trade_ids):
            odd |= np.fromiter((_sound(each) is None for each in trade_ids), np.bool_, count)
        return seqs, trades, np.flatnonzero(odd).tolist()

    def _fees_currencies(self, codes: list[str], numbers: Sequence[int]) -> list[Any]:
        if "" not in codes:
            return [*map(self._codes.__getitem__, codes)]
        return [self._codes[code] if code else self._currencies[number] for code, number in zip(codes, numbers, strict=True)]


# -- columns -----------------------------------------------------------------------------------------------------


class _Known(dict[str, Any]):
    """What a text stands for, worked out when it first comes; None where it is not sound."""

    def __init__(self, work_out: Callable[[str], str | None]) -> None:
        super().__init__()
        self._work_out = work_out

    def __missing__(self, text: str) -> str | None:
        if len(self) >= _MAX_KNOWN:
            self.clear()
        found = self[text] = self._work_out(text)
        return found

    def all(self, column: bytes, count: int) -> list[Any]:
        """What each text of a column stands for."""
        one = _only(column, count, b"\n")
        return [*map(self.__getitem__, _texts(column, count))] if one is None else [self[one.decode()]] * count


class _Units(NamedTuple):
    """Exact numbers in units of 1e-10; `small` are the same where all fit 64 bits."""

    exact: list[int]
    small: IntArray | None

    def doubles(self) -> Iterable[float]:
        """The nearest doubles of the numbers that they are the units of."""
        if self.small is not None and (not len(self.small) or self.small.max() < _EXACT):
            doubles: list[float] = (self.small / ONE).tolist()
            return doubles
        return map(truediv, self.exact, repeat(ONE))

    def are_no_multiples(self, steps: IntArray) -> BoolArray:
        """Which are 0, or no whole number of steps."""
        if self.small is not None:
            rests: BoolArray = (self.small <= 0) | (self.small % steps != 0)
            return rests
        return np.array([not one or one % step for one, step in zip(self.exact, steps.tolist(), strict=True)], dtype=np.bool_)


def _units(column: bytes, count: int) -> tuple[_Units, BoolArray]:
    """The numbers of a column of plain decimals, and which are such; the others are 0."""
    if _only(column, count, b" ") == b"0":
        return _Units([0] * count, np.zeros(count, dtype=np.int64)), np.ones(count, dtype=np.bool_)
    digits, decimals, fine = exact_numbers(column, count)
    lift = DECIMALS - decimals
    fine = fine & (lift >= 0)
    digits, lift = np.where(fine, digits, 0), np.where(fine, lift, 0)
    if (digits <= _ROOM[lift]).all():
        units = digits * _POWERS[lift]
        return _Units(units.tolist(), units), fine
    return _Units([*map(mul, digits.tolist(), _POWERS[lift].tolist())], None), fine


def _only(column: bytes, count: int, between: bytes) -> bytes | None:
    """The one value that a column has in every row, None where it has several. 1 ns a row."""
    size, rest = divmod(len(column) + 1, count)
    one = column[: size - 1]
    return None if rest or (one + between) * count != column + between else one


def _texts(column: bytes, count: int) -> list[str]:
    texts = column.decode().split("\n")
    if len(texts) != count:
        raise Unfit  # a name with a line end in it
    return texts


def _ints(column: bytes, count: int) -> list[int]:
    one = _only(column, count, b",")
    found = _integers(b"[%b]" % column) if one is None else _integers(b"[%b]" % one) * count
    if len(found) != count:
        raise Unfit
    return found


def _booked(column: bytes, count: int) -> Iterable[int | None]:
    if _only(column, count, b",") == b"":
        return repeat(None)
    return [int(ts) if ts else None for ts in column.split(b",")]


def _are_sound(names: list[str]) -> bool:
    """Whether all are sound names without blanks, as nearly all are."""
    together = "".join(names)
    return together.isprintable() and " " not in together and min(map(len, names)) > 0 and max(map(len, names)) <= MAX_TEXT


def _sound(text: str) -> str | None:
    try:
        return name(text, "")
    except Rejected:
        return None


def _sound_date(text: str) -> str | None:
    try:
        return date(text, "")
    except Rejected:
        return None


def read_trades(store: Store) -> Callable[[TradeCheck], Iterator[tuple[int, Trade | RefusedRow]]]:
    """The stored trades in the form that the morning reads."""
    return lambda check: stored_trades(store, check)


def read_conflicts(store: Store, limit: int) -> Callable[[TradeCheck], Iterator[Trade]]:
    """The newest `limit` trades that the store kept apart, oldest first; those that no longer fit the reference data are left out."""

    def read(check: TradeCheck) -> Iterator[Trade]:
        for conflict in reversed(store.conflicts(limit)):
            trade = trade_from_row(conflict.row, check)
            if not isinstance(trade, RefusedRow):
                yield trade

    return read

"""Adds up the stored trades by key, exactly, thousands of rows at a time: the store's side of a reconciliation.

A row is plain if its sums are all that counts: `sums.sql` checks what the database can check, this file the names, numbers and
dates. Quantity, price and fees of a plain row are integers of at most 62 bits in fixed units. Products and sums are kept in limbs
of 31 bits: no sum of fewer than 2**29 rows can overflow 64 bits. All other rows are odd: this file returns their numbers, and the
caller reads them row by row.
"""

from binascii import crc_hqx
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import repeat
from operator import mul
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from riskengine.records.fields import Rejected, name
from riskengine.records.fingerprints import ORDINARY_TERMS, hash_columns, terms_code, text_code
from riskengine.records.types import DECIMALS, BoolArray, Instrument, IntArray
from riskengine.store.queries import Transaction

PAGE_ROWS = 8_192
"""Rows in a page."""

BEFORE_ALL = -(2**63)
"""A store_seq below that of every row."""

FOLD_ROWS = 1 << 18
"""Rows that `KeySums` collects before it adds them up."""

MAX_DIGITS = 15
"""Digits of a plain number, at most: it then fits 50 bits."""

LIMB = 31
"""Bits in a limb."""
_MASK = (1 << LIMB) - 1
_MAX_REMEMBERED = 100_000
"""Terms remembered: dates repeat, and ever new ones must not grow this without end."""
_POWERS: IntArray = 10 ** np.arange(19, dtype=np.int64)
_ROOM: IntArray = (1 << 62) // _POWERS
"""For each power of ten the largest number whose product with it has at most 62 bits."""

QUANTITY, NOTIONAL, COUNT = slice(0, 2), slice(2, 6), 12
PRINTS = slice(6, 8), slice(8, 10), slice(10, 12)
WIDTH = 13
"""Rows of an array of sums: 2 limbs of the quantity, 4 of quantity x price, 2 of 32 bits of each part of the fingerprints, the
count."""
FEES_WIDTH = 2
"""Rows of an array of sums of fees: 2 limbs."""


class Names(dict[bytes, int]):
    """Numbers of names; -1 for a text that is none. With `known` only these are names, else any valid name gets a number."""

    def __init__(self, known: Iterable[str] | None = None) -> None:
        super().__init__()
        self.names: list[str] = []
        self._codes: IntArray = np.zeros(1, dtype=np.int64)
        for text in () if known is None else known:
            self._add(text)
        self._closed = known is not None

    def _add(self, text: str) -> int:
        number = self[text.encode()] = len(self.names)
        self.names.append(text)
        return number

    def __missing__(self, text: bytes) -> int:
        if self._closed:
            return -1
        try:
            return self._add(name(text.decode(), "", required=False))
        except (Rejected, UnicodeDecodeError):
            self[text] = -1
            return -1

    def numbers(self, column: bytes, count: int) -> IntArray | None:
        """The number of each name of a column, shape (count,); None if the column does not hold `count` names."""
        names = column.split(b"\n")
        return np.fromiter(map(self.__getitem__, names), np.int64, count) if len(names) == count else None

    def codes(self, numbers: IntArray) -> IntArray:
        """The `text_code` of each number's name; 0 for -1."""
        known = len(self._codes) - 1
        if known < len(self.names):
            new = [text_code(text.encode()) for text in self.names[known:]]
            self._codes = np.array([*self._codes[:known].tolist(), *new, 0], dtype=np.int64)
        return self._codes[numbers]


class SumsPage(NamedTuple):
    """The plain rows of a page: numbers of desk, dealer and instrument, shape (rows,), and `sums`, shape (WIDTH, rows).

    `fees` in units of 1e-10, each in the currency of that number. `odd` are the store_seqs of the other rows.
    """

    desks: IntArray
    dealers: IntArray
    instruments: IntArray
    sums: IntArray
    fees: IntArray
    currencies: IntArray
    odd: list[int]


class TradePage(NamedTuple):
    """The columns of the query `trade_columns`, each one joined text of `row_count` values."""

    row_count: int
    up_to: int
    max_leg: int
    texts: bytes
    desks: bytes
    dealers: bytes
    instruments: bytes
    quantities: bytes
    prices: bytes
    ts: bytes
    source_seqs: bytes
    fees: bytes
    currencies: bytes
    terms: bytes
    signs: bytes


NumbersAndLegs = Callable[[], tuple[IntArray, IntArray]]


class SumsReader:
    """Makes sums of columns, page by page, with one set of names.

    `is_dated` says whether a row of an instrument, traded at a time in microseconds, may be plain with its value and trade date.
    `last_dealt` is the moment of each instrument after which its rows are never plain.
    The rows with `odd_texts` (source, a zero byte, trade_id) or `odd_numbers` are never plain.
    """

    def __init__(
        self,
        desks: Iterable[str],
        instruments: Sequence[Instrument],
        currencies: Iterable[str],
        is_dated: Callable[[bytes, int, bytes, bytes], bool],
        odd_texts: frozenset[bytes],
        odd_numbers: Sequence[int],
        last_dealt: Sequence[int],
    ) -> None:
        self.desks = Names(desks)
        self.dealers = Names()
        self.instruments = Names(each.instrument for each in instruments)
        self.currencies = Names([*currencies, ""])
        own = [self.currencies[each.currency.encode()] for each in instruments]
        self._own_currency = np.array([*own, -1], dtype=np.int64)
        """Of each instrument: the currency of fees that name none."""
        self._decimals = np.array([*(each.quantity_decimals for each in instruments), 0], dtype=np.int64)
        self._last_dealt = np.array([*last_dealt, 0], dtype=np.int64)
        self._is_dated = is_dated
        self._terms = _KnownTerms()
        self._odd_texts = odd_texts
        self._odd_numbers = np.array(sorted(odd_numbers), dtype=np.int64)

    def page(self, columns: TradePage, numbers_and_legs: NumbersAndLegs) -> SumsPage:
        """The sums of one page. Calls `numbers_and_legs` only if it needs them. Cost 2 us a row."""
        count = columns.row_count
        names = (self.desks, self.dealers, self.instruments, self.currencies)
        joined = (columns.desks, columns.dealers, columns.instruments, columns.currencies)
        places = [each.numbers(column, count) for each, column in zip(names, joined, strict=True)]
        texts = _texts(columns.texts, count)
        ts, source_seqs = _integers(columns.ts, count), _integers(columns.source_seqs, count)
        terms = columns.terms.split(b"\n")
        if texts is None or len(terms) != count or ts is None or source_seqs is None or any(place is None for place in places):
            return _nothing_plain(numbers_and_legs()[0])  # a name holds a line end: all rows are odd
        desk, dealer, instrument, currency = (place for place in places if place is not None)
        currency = np.where(currency == len(self.currencies.names) - 1, self._own_currency[instrument], currency)
        signs = np.frombuffer(columns.signs, np.int8)
        plain = (signs != ord("0")) & (desk >= 0) & (dealer >= 0) & (instrument >= 0) & (currency >= 0)
        plain &= self._may_be_plain(columns, texts, numbers_and_legs)
        plain &= ts <= self._last_dealt[instrument]
        decimals = self._decimals[instrument]
        quantity, of_quantity = _scaled(columns.quantities, count, decimals)
        price, of_price = _scaled(columns.prices, count, np.full(count, DECIMALS))
        fees, of_fees = _scaled(columns.fees, count, np.full(count, DECIMALS))
        plain &= of_quantity & of_price & of_fees & (quantity > 0)
        codes, dated = self._codes_of_terms(columns, terms, ts)
        plain &= dated
        legs = numbers_and_legs()[1] if columns.max_leg else np.zeros(count, dtype=np.int64)
        sign = np.where(signs == ord("+"), 1, -1)
        versions = fingerprints(texts, legs)
        of_desk, of_dealer, of_instrument, of_currency = (
            each.codes(place).tolist() for each, place in zip(names, (desk, dealer, instrument, currency), strict=True)
        )
        signed = _in_units(sign * quantity, DECIMALS - decimals)
        names_and_amounts = (of_instrument, of_desk, of_dealer, of_currency, signed, price.tolist(), codes)
        prints = _parts(versions, [ts.tolist(), source_seqs.tolist(), *names_and_amounts], fees)
        sums = _sums(sign, quantity, price, prints)
        odd = [] if plain.all() else numbers_and_legs()[0][~plain].tolist()
        return SumsPage(desk[plain], dealer[plain], instrument[plain], sums[:, plain], fees[plain], currency[plain], odd)

    def _may_be_plain(self, columns: TradePage, texts: Sequence[bytes], numbers_and_legs: NumbersAndLegs) -> BoolArray:
        """Which rows have a valid identity, and no versions or numbers that make them odd. Shape (rows,)."""
        plain = np.ones(columns.row_count, dtype=np.bool_)
        if len(self._odd_numbers):
            plain &= ~np.isin(numbers_and_legs()[0], self._odd_numbers)
        if not self._odd_texts.isdisjoint(texts):
            plain &= ~np.fromiter(map(self._odd_texts.__contains__, texts), np.bool_, columns.row_count)
        if not _are_all_valid(columns.texts):
            plain &= np.fromiter(map(_is_valid, texts), np.bool_, columns.row_count)
        return plain

    def _codes_of_terms(self, columns: TradePage, terms: Sequence[bytes], ts: IntArray) -> tuple[Iterable[int], BoolArray]:
        """The `terms_code` of each row, and which rows may be plain with their dates. Shape (rows,)."""
        count = columns.row_count
        plain = np.ones(count, dtype=np.bool_)
        if len(columns.terms) < count:
            return repeat(ORDINARY_TERMS, count), plain
        known = {each: self._terms[each] for each in set(terms)}
        if any(dates for _, dates in known.values()):
            symbols = columns.instruments.split(b"\n")
            for at, each in enumerate(terms):
                dates = known[each][1] if each else None
                if dates is not None:
                    plain[at] = self._is_dated(symbols[at], ts.item(at), *dates)
        codes = {each: code for each, (code, _) in known.items()}
        return map(codes.__getitem__, terms), plain


class _KnownTerms(dict[bytes, tuple[int, tuple[bytes, bytes] | None]]):
    """Of the terms of a row in columns: their `terms_code`, and value_date and trade_date where one of them is given."""

    def __missing__(self, terms: bytes) -> tuple[int, tuple[bytes, bytes] | None]:
        if len(self) >= _MAX_REMEMBERED:
            self.clear()
        parts = terms.split(b" ") if terms else [b"new", b"", b"", b""]
        dates = (parts[1], parts[2]) if len(parts) == 4 else _NO_DATES
        found = self[terms] = terms_code(b" ".join(parts) + b" "), dates if any(dates) else None
        return found


_NO_DATES = (b"?", b"?")
"""In place of dates that cannot be read."""


def _nothing_plain(numbers: IntArray) -> SumsPage:
    none = np.zeros(0, dtype=np.int64)
    return SumsPage(none, none, none, np.zeros((WIDTH, 0), dtype=np.int64), none, none, numbers.tolist())


def pages(transaction: Transaction, values: dict[str, Any]) -> Iterator[tuple[TradePage, NumbersAndLegs]]:
    """The pages of `trade_columns` up to `values["watermark"]`, each with a function that reads its numbers and legs.

    The database reads the next page while the caller works on this one.
    """
    with ThreadPoolExecutor(1, "riskengine-read-ahead") as ahead:  # does all reading: a transaction belongs to one thread

        def read(after: int) -> Future[tuple[Any, ...]]:
            return ahead.submit(transaction.raw_row, "trade_columns", values | {"after": after, "rows": PAGE_ROWS})

        def numbers_and_legs(after: int, up_to: int) -> tuple[IntArray, IntArray]:
            numbers, legs = ahead.submit(transaction.raw_row, "numbers_and_legs", {"after": after, "up_to": up_to}).result()
            return np.fromstring(numbers.decode(), np.int64, sep=" "), np.fromstring(legs.decode(), np.int64, sep=" ")

        after, coming = BEFORE_ALL, read(BEFORE_ALL)
        while (columns := coming.result())[0]:
            up_to = columns[1]
            coming = read(up_to)
            yield TradePage._make(columns), partial(numbers_and_legs, after, up_to)
            after = up_to


def _texts(joined: bytes, count: int) -> list[bytes] | None:
    """Source, a zero byte and trade_id of each row; None if there are not `count` of them."""
    joined = joined.replace(b"\1", b"\0")
    texts = joined.split(b"\n")
    return texts if len(texts) == count and joined.count(b"\0") == count else None


def _are_all_valid(joined: bytes) -> bool:
    """Whether all are valid names: printable characters, no spaces at the ends."""
    try:
        text = joined.decode()
    except UnicodeDecodeError:
        return False
    parts = text.replace("\0", "\n").replace("\1", "\n")
    return parts.replace("\n", "").isprintable() and not (
        "\n " in parts or " \n" in parts or parts.startswith(" ") or parts.endswith(" ")
    )


def _is_valid(text: bytes) -> bool:
    try:
        for part in text.decode().split("\0"):
            name(part, "")
    except (Rejected, UnicodeDecodeError):
        return False
    return True


def fingerprints(texts: Sequence[bytes], legs: IntArray) -> IntArray:
    """`version_fingerprint` of first versions, of source, a zero byte and trade_id. Cost 0.3 us each."""
    hashed = map(hash, zip(map(crc32, texts), map(crc_hqx, texts, repeat(0)), legs.tolist(), repeat(1)))
    return np.fromiter(hashed, np.int64, len(texts))


def _parts(versions: IntArray, economics: Sequence[Iterable[int]], fees: IntArray) -> list[IntArray]:
    """The parts of the fingerprints of rows, from the columns of their economics and their fees."""
    said = np.array(hash_columns(versions.tolist(), economics), dtype=np.int64)
    charged, charges = np.flatnonzero(fees), np.zeros_like(fees)
    charges[charged] = hash_columns(versions[charged].tolist(), [fees[charged].tolist()])
    return [versions, said, charges]


# -- numbers -----------------------------------------------------------------------------------------------------


def _scaled(column: bytes, count: int, decimals: IntArray) -> tuple[IntArray, BoolArray]:
    """The numbers of a column in units of 10**-decimals, and which of them are plain and fit 62 bits. Shapes (count,)."""
    digits, given, fine = exact_numbers(column, count)
    lift = decimals - given
    fine = fine & (lift >= 0)
    lift[~fine] = 0
    fine &= digits <= _ROOM[lift]
    return np.where(fine, digits * _POWERS[lift], 0), fine


def _in_units(digits: IntArray, lift: IntArray) -> list[int]:
    """Each number times 10**lift: integers of any size."""
    powers = _POWERS[lift]
    if (np.abs(digits) <= _ROOM[lift]).all():
        small: list[int] = (digits * powers).tolist()
        return small
    return [*map(mul, digits.tolist(), powers.tolist())]


def _integers(column: bytes, count: int) -> IntArray | None:
    """The integers of a column with spaces between them, shape (count,); None if the column does not hold `count` of them."""
    found = np.fromstring(column.decode(), np.int64, sep=" ")
    return found if len(found) == count else None


def exact_numbers(column: bytes, count: int) -> tuple[IntArray, IntArray, BoolArray]:
    """Digits and decimals of `count` numbers with spaces between them (1.50 is 150 and 2), and which are plain.

    A plain number has digits, at most MAX_DIGITS, and at most one point. Shapes (count,). Cost 0.1 us each.
    """
    found = _numbers(column, count)
    if found is not None:
        return found
    fields = column.split(b" ")
    if len(fields) != count:
        nothing = np.zeros(count, dtype=np.int64)
        return nothing, nothing, np.zeros(count, dtype=np.bool_)
    fine = [_is_plain(field) for field in fields]
    cleaned = b" ".join(field if plain else b"0" for field, plain in zip(fields, fine, strict=True))
    found = _numbers(cleaned, count)
    assert found is not None, "all are plain numbers now"
    return found[0], found[1], np.array(fine, dtype=np.bool_)


def _is_plain(field: bytes) -> bool:
    digits = field.replace(b".", b"", 1)
    return digits.isdigit() and len(digits) <= MAX_DIGITS


def _numbers(column: bytes, count: int) -> tuple[IntArray, IntArray, BoolArray] | None:
    """`exact_numbers` if all are plain, else None."""
    if column.strip(b"0123456789. "):
        return None
    characters = np.frombuffer(column, np.uint8)
    ends = np.append(np.flatnonzero(characters == ord(" ")), len(column))
    points = np.flatnonzero(characters == ord("."))
    if len(ends) != count:
        return None
    lengths = np.diff(ends, prepend=-1) - 1
    field = np.searchsorted(ends, points)
    digits = lengths - np.bincount(field, minlength=count)
    if digits.min() < 1 or digits.max() > MAX_DIGITS or (lengths - digits).max() > 1:
        return None
    decimals = np.zeros(count, dtype=np.int64)
    decimals[field] = ends[field] - points - 1
    return np.fromstring(column.replace(b".", b"").decode(), np.int64, sep=" "), decimals, np.ones(count, dtype=np.bool_)


# -- sums --------------------------------------------------------------------------------------------------------


def _sums(signs: IntArray, quantity: IntArray, price: IntArray, prints: Sequence[IntArray]) -> IntArray:
    """The summands of each row, in limbs: shape (WIDTH, rows)."""
    q0, q1, p0, p1 = quantity & _MASK, quantity >> LIMB, price & _MASK, price >> LIMB
    low, cross, high = q0 * p0, q0 * p1 + q1 * p0, q1 * p1
    limbs = (low & _MASK, (cross & _MASK) + (low >> LIMB), (cross >> LIMB) + (high & _MASK), high >> LIMB)
    return np.stack(
        [
            signs * q0,
            signs * q1,
            *(signs * limb for limb in limbs),
            *(limb for part in prints for limb in (part & 0xFFFF_FFFF, part >> 32)),
            np.ones_like(signs),
        ]
    )


def fees_limbs(fees: IntArray) -> IntArray:
    """The summands of fees, in limbs: shape (FEES_WIDTH, rows)."""
    return np.stack([fees & _MASK, fees >> LIMB])


class KeySums:
    """Sums by key, an integer >= 0. Takes rows in any order and number. `width`: how many sums of a key."""

    def __init__(self, width: int = WIDTH) -> None:
        self._width = width
        self._waiting: list[tuple[IntArray, IntArray]] = []
        self._rows = 0

    def add(self, keys: IntArray, sums: IntArray) -> None:
        """Add rows: keys of shape (rows,), `sums` of shape (width, rows)."""
        self._waiting.append((keys, sums))
        self._rows += len(keys)
        if self._rows >= FOLD_ROWS:
            self._waiting, self._rows = [self.totals()], 0

    def totals(self) -> tuple[IntArray, IntArray]:
        """The keys, ascending, shape (keys,), and their sums, shape (width, keys)."""
        if not self._waiting:
            return np.zeros(0, dtype=np.int64), np.zeros((self._width, 0), dtype=np.int64)
        keys = np.concatenate([keys for keys, _ in self._waiting])
        sums = np.concatenate([sums for _, sums in self._waiting], axis=1)
        if not len(keys):
            return keys, sums
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        return ordered[starts], np.add.reduceat(sums[:, order], starts, axis=1)


def join_limbs(limbs: IntArray, bits: int) -> list[int]:
    """The integers of any size that limbs of `bits` bits stand for; shape (limbs, keys), lowest limb first."""
    *lower, total = [limb.tolist() for limb in limbs]
    for limb in reversed(lower):
        total = [(high << bits) + low for high, low in zip(total, limb, strict=True)]
    found: list[int] = total
    return found

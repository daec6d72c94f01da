"""How the positions and totals of a struck close are packed: columns of a few thousand rows, exact, in zlib over MessagePack.

Quantities and cash are unbounded integers. A column of them is divided by its greatest common divisor; what is left mostly fits
into a few bytes each (1,250,000.00 EUR in units of 1e-10 is 125 times 1e14). All first bytes of numbers are stored together, then
all second ones: those are alike, and zlib makes little of them. A pure module; any thread.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby, repeat
from math import gcd, isnan, nan
from operator import lt

import msgspec
import numpy as np

from riskengine.records.closes import CLOSE_MEASURES, ClosedPosition, OwnerTotals
from riskengine.records.types import FloatArray, IntArray
from riskengine.store.results import PackedChunk, PackedTotals

CHUNK_ROWS = 4_096
"""Positions in a chunk; an owner with more has several."""

CHUNK_OWNERS = 256
"""Owners in a row of totals: what one node came to in a year is read from 250 of them."""

_FASTEST = 1
_DOUBLE = np.dtype("<f8")
_WIDTHS = ("<i1", "<i2", "<i4", "<i8")
_LOWEST = -(2**63)


class _Exact(msgspec.Struct):
    """Integers: `divisor` times the numbers in `content`, which are of the type `width`; of no type: decimal texts in lines."""

    divisor: str
    width: str
    content: bytes


class _Fees(msgspec.Struct):
    """Fees, or amounts beside net cash, in one currency: of the rows `places`, `amounts`."""

    places: bytes
    amounts: _Exact


class _Chunk(msgspec.Struct):
    """The columns of a chunk. `counts` are the rows of each owner, `instrument` a number in `instruments` for each row."""

    owners: list[str]
    counts: list[int]
    instruments: list[str]
    instrument: bytes
    quantity: _Exact
    cash: _Exact
    average: bytes
    fees: dict[str, _Fees]
    month_pnl: bytes
    year_pnl: bytes
    beside: dict[str, _Fees]


class _Totals(msgspec.Struct):
    """Amounts by measure, all owners of a measure together."""

    owners: list[str]
    measures: list[str]
    amounts: bytes


_chunk_of = msgspec.msgpack.Decoder(_Chunk).decode
_totals_of = msgspec.msgpack.Decoder(_Totals).decode


# -- positions -----------------------------------------------------------------------------------------------------


def pack_positions(rollup: str, positions: Sequence[ClosedPosition]) -> Iterator[PackedChunk]:
    """Positions, sorted by (owner, instrument), in chunks. 2 us a position."""
    for first in range(0, len(positions), CHUNK_ROWS):
        some = positions[first : first + CHUNK_ROWS]
        content = zlib.compress(msgspec.msgpack.encode(_columns(some)), _FASTEST)
        digest = hashlib.sha256(content).hexdigest()
        yield PackedChunk(rollup, some[0].owner, some[-1].owner, len(some), digest, content)


def _columns(positions: Sequence[ClosedPosition]) -> _Chunk:
    owner, instrument, quantity, cash, average, fees, month, year, beside = zip(*positions, strict=True)
    runs = [(name, len(list(rows))) for name, rows in groupby(owner)]
    numbers = {symbol: number for number, symbol in enumerate(dict.fromkeys(instrument))}
    places = [*map(numbers.__getitem__, instrument)]
    return _Chunk(
        owners=[name for name, _ in runs],
        counts=[count for _, count in runs],
        instruments=list(numbers),
        instrument=_spread(np.array(places, dtype="<u2")),
        quantity=_pack_exact(quantity),
        cash=_pack_exact(cash),
        average=_pack_doubles(average),
        fees=_pack_amounts(fees),
        month_pnl=_pack_doubles(month),
        year_pnl=_pack_doubles(year),
        beside=_pack_amounts(beside),
    )


def _pack_amounts(amounts: Iterable[Mapping[str, int]]) -> dict[str, _Fees]:
    """Amounts by currency of each row."""
    charged: dict[str, tuple[list[int], list[int]]] = {}
    for place, of_row in enumerate(amounts):
        if not of_row:
            continue
        for currency, amount in of_row.items():
            rows, listed = charged.setdefault(currency, ([], []))
            rows.append(place)
            listed.append(amount)
    return {
        currency: _Fees(_spread(np.array(rows, dtype="<u2")), _pack_exact(listed))
        for currency, (rows, listed) in sorted(charged.items())
    }


def unpack_positions(content: bytes, owners: frozenset[str] | None = None) -> list[ClosedPosition]:
    """The positions of a chunk, those of `owners` alone if they are given. Raises ValueError if it cannot be read."""
    try:
        chunk = _chunk_of(zlib.decompress(content))
        size = sum(chunk.counts)
        symbols = [*map(chunk.instruments.__getitem__, _gather(chunk.instrument, "<u2", size).tolist())]
        quantity, cash = _unpack_exact(chunk.quantity, size), _unpack_exact(chunk.cash, size)
        average, month, year = (_unpack_doubles(each, size) for each in (chunk.average, chunk.month_pnl, chunk.year_pnl))
        fees, beside = _unpack_fees(chunk.fees, size), _unpack_fees(chunk.beside, size)
    except (zlib.error, msgspec.MsgspecError, IndexError, ValueError) as error:
        raise ValueError(f"a chunk of positions cannot be read: {error}") from None
    names = chain.from_iterable(map(repeat, chunk.owners, chunk.counts))
    rows = zip(names, symbols, quantity, cash, average, fees, month, year, beside, strict=True)
    found = [*map(ClosedPosition._make, rows)]
    return found if owners is None else [each for each in found if each.owner in owners]


_NO_FEES: Mapping[str, int] = {}


def _unpack_fees(packed: Mapping[str, _Fees], size: int) -> list[Mapping[str, int]]:
    """Fees of each row. Raises IndexError for one that is not there."""
    fees: list[Mapping[str, int]] = [_NO_FEES] * size
    for currency, charged in packed.items():
        rows = _gather(charged.places, "<u2", len(charged.places) // 2).tolist()
        for place, amount in zip(rows, _unpack_exact(charged.amounts, len(rows)), strict=True):
            known = fees[place]
            fees[place] = {**known, currency: amount} if known else {currency: amount}
    return fees


# -- totals --------------------------------------------------------------------------------------------------------


def pack_totals(rollup: str, totals: OwnerTotals) -> Iterator[PackedTotals]:
    """The amounts of owners, by name, in rows of CHUNK_OWNERS."""
    order = sorted(range(len(totals.owners)), key=totals.owners.__getitem__)
    for first in range(0, len(order), CHUNK_OWNERS):
        places = order[first : first + CHUNK_OWNERS]
        owners = [totals.owners[place] for place in places]
        amounts = _spread(np.ascontiguousarray(totals.amounts[:, places], dtype=_DOUBLE))
        packed = _Totals(owners, list(CLOSE_MEASURES), amounts)
        yield PackedTotals(rollup, owners[0], owners[-1], zlib.compress(msgspec.msgpack.encode(packed), _FASTEST))


def unpack_totals(contents: Iterable[bytes]) -> OwnerTotals:
    """The amounts of the owners of some rows, in their order; a measure that they do not hold is nan. Raises ValueError."""
    owners: list[str] = []
    parts: list[FloatArray] = [np.empty((len(CLOSE_MEASURES), 0))]
    for content in contents:
        try:
            packed = _totals_of(zlib.decompress(content))
            stored = _gather(packed.amounts, "<f8", len(packed.measures) * len(packed.owners))
        except (zlib.error, msgspec.MsgspecError, ValueError) as error:
            raise ValueError(f"totals of a close cannot be read: {error}") from None
        table = stored.reshape(len(packed.measures), len(packed.owners))
        part = np.full((len(CLOSE_MEASURES), len(packed.owners)), nan)
        for place, measure in enumerate(CLOSE_MEASURES):
            if measure in packed.measures:
                part[place] = table[packed.measures.index(measure)]
        owners += packed.owners
        parts.append(part)
    return OwnerTotals(tuple(owners), np.concatenate(parts, axis=1))


def amounts_of(totals: OwnerTotals, owner: str) -> dict[str, float | None] | None:
    """The amounts of one owner by measure, None where unknown; None if the owner is not among them."""
    if owner not in totals.owners:
        return None
    column = totals.amounts[:, totals.owners.index(owner)].tolist()
    return {measure: None if isnan(amount) else amount for measure, amount in zip(CLOSE_MEASURES, column, strict=True)}


# -- columns -------------------------------------------------------------------------------------------------------


def _pack_exact(values: Sequence[int]) -> _Exact:
    """The integers over their greatest common divisor: in arrays where they fit into 64 bits, else one by one."""
    narrow = _narrow(values)
    divisor = (gcd(*values) if narrow is None else int(np.gcd.reduce(narrow))) or 1
    quotients = [value // divisor for value in values] if narrow is None else (narrow // divisor).tolist()
    low, high = min(quotients, default=0), max(quotients, default=0)
    for width in _WIDTHS:
        bounds = np.iinfo(width)
        if bounds.min <= low and high <= bounds.max:
            return _Exact(str(divisor), width, _spread(np.array(quotients, dtype=width)))
    return _Exact(str(divisor), "", "\n".join(map(str, quotients)).encode())


def _narrow(values: Sequence[int]) -> "IntArray | None":
    """The integers in an array; None where one of them does not fit, or is the lowest of 64 bits, which has no absolute value."""
    try:
        found = np.array(values, dtype=np.int64)
    except OverflowError:
        return None
    return None if len(found) and int(found.min()) == _LOWEST else found


def _unpack_exact(packed: _Exact, size: int) -> list[int]:
    divisor = int(packed.divisor)
    if not packed.width:
        values = [int(text) for text in packed.content.decode().split("\n")] if size else []
        if len(values) != size:
            raise ValueError(f"{len(values)} numbers where {size} are due")
    elif packed.width in _WIDTHS:
        values = _gather(packed.content, packed.width, size).tolist()
    else:
        raise ValueError(f"unknown width {packed.width!r}")
    return [value * divisor for value in values]


def _pack_doubles(values: Sequence[float | None]) -> bytes:
    return _spread(np.array(values, dtype=_DOUBLE))  # None becomes nan


def _unpack_doubles(content: bytes, size: int) -> list[float | None]:
    stored = _gather(content, "<f8", size)
    values: list[float | None] = stored.tolist()
    for place in np.flatnonzero(np.isnan(stored)).tolist():
        values[place] = None
    return values


def _spread(values: "np.typing.NDArray[np.generic]") -> bytes:
    """The bytes of an array: all first bytes, then all second ones."""
    return values.reshape(-1).view(np.uint8).reshape(values.size, values.itemsize).T.tobytes()


def _gather(content: bytes, width: str, size: int) -> "np.typing.NDArray[np.generic]":
    """The array of which `_spread` made the bytes. Raises ValueError."""
    kind = np.dtype(width)
    found = np.frombuffer(content, np.uint8).reshape(kind.itemsize, size)
    return np.ascontiguousarray(found.T).view(kind).reshape(size)


def is_sorted(positions: Sequence[ClosedPosition]) -> bool:
    """Whether positions are in the order of owner and instrument, each once."""
    for first in range(0, len(positions), CHUNK_ROWS):
        keys = [each[:2] for each in positions[first : first + CHUNK_ROWS + 1]]
        if not all(map(lt, keys, keys[1:])):
            return False
    return True

"""How the state of a close is packed: columns of a few thousand rows, exact, in zlib over MessagePack.

Integers that fit 64 bits are stored as such, wider ones in as many bytes as the widest needs; names that repeat are numbered. The
fingerprints are stored as the differences of ascending numbers, which take five bytes of eight. A pure module; any thread.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from riskengine.records.close_state import CloseState, FrozenPosition
from riskengine.records.closes import NOTHING
from riskengine.records.types import IntArray, Trade

CHUNK_POSITIONS = 4_096
CHUNK_IDS = 131_072

_FASTEST = 1
_INTEGER = np.dtype("<i8")
_DOUBLE = np.dtype("<f8")
_TRADE_FIELDS = Trade.__struct_fields__
_NAMES_FROM = 2
"""A column of names is numbered if names repeat so often on average."""


class _Column(msgspec.Struct, omit_defaults=True):
    """One column: 64-bit `integers`, or integers of `width` bytes in `wide`, or `doubles`, or texts.

    Texts are `texts` themselves, or places in `texts` by `places`. `absent` are the places of None, in whose stead a zero stands.
    """

    integers: bytes = b""
    width: int = 0
    wide: bytes = b""
    doubles: bytes = b""
    texts: list[str] | None = None
    places: bytes = b""
    absent: bytes = b""


class _Chunk(msgspec.Struct):
    rows: int
    columns: list[_Column]


class _Ids(msgspec.Struct):
    first: int
    steps: bytes
    counts: bytes


_chunk_of = msgspec.msgpack.Decoder(_Chunk).decode
_ids_of = msgspec.msgpack.Decoder(_Ids).decode
_state_of = msgspec.msgpack.Decoder(CloseState).decode


# -- positions -----------------------------------------------------------------------------------------------------


def pack_frozen(positions: Sequence[FrozenPosition]) -> bytes:
    """A chunk of positions. 8 us a position."""
    owner, instrument, quantity, cash, average, identities, fees, newest, count, since, stood = zip(*positions, strict=True)
    trades = [msgspec.structs.astuple(trade) for trade in newest]
    charged = [" ".join(f"{currency} {amount}" for currency, amount in each.items()) for each in fees]
    before = ["" if not each else " ".join(map(_stood_text, each)) for each in stood]
    whole = (owner, instrument, quantity, cash, average, identities, charged, count, since, before)
    columns = [_pack(column) for column in (*whole, *zip(*trades, strict=True))]
    return _compress(_Chunk(len(positions), columns))


def unpack_frozen(content: bytes) -> list[FrozenPosition]:
    """The positions of a chunk. Raises ValueError if it cannot be read. 4 us a position."""
    try:
        chunk = _chunk_of(zlib.decompress(content))
        columns = [_unpack(column, chunk.rows) for column in chunk.columns]
        owner, instrument, quantity, cash, average, identities, charged, count, since, before, *fields = columns
        if len(fields) != len(_TRADE_FIELDS):
            raise ValueError("a trade has other fields")
        fees = [_fees_of(each) if each else NOTHING for each in charged]
        newest = map(Trade, *fields)
        stood = [_stood_of(each) if each else () for each in before]
        rows = zip(owner, instrument, quantity, cash, average, identities, fees, newest, count, since, stood, strict=True)
        return [*map(FrozenPosition._make, rows)]
    except (zlib.error, msgspec.MsgspecError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"a chunk of positions cannot be read: {error}") from None


def _stood_text(stood: tuple[int, int, int, float | None]) -> str:
    ts, quantity, cash, average = stood
    return f"{ts} {quantity} {cash} {'' if average is None else average.hex()}"


def _stood_of(text: str) -> list[tuple[int, int, int, float | None]]:
    words = text.split(" ")
    return [
        (int(ts), int(quantity), int(cash), float.fromhex(average) if average else None)
        for ts, quantity, cash, average in zip(words[::4], words[1::4], words[2::4], words[3::4], strict=True)
    ]


def _fees_of(charged: str) -> dict[str, int]:
    words = charged.split(" ")
    if len(words) == 2:  # nearly always one currency
        return {words[0]: int(words[1])}
    return {currency: int(amount) for currency, amount in zip(words[::2], words[1::2], strict=True)}


# -- fingerprints --------------------------------------------------------------------------------------------------


def pack_ids(prints: IntArray, counts: npt.NDArray[np.uint8]) -> bytes:
    """A chunk of ascending fingerprints with their numbers of versions. 0.1 us each."""
    steps = np.diff(prints.astype(np.int64)).astype("<u8")
    return _compress(_Ids(int(prints[0]), _spread(steps), counts.tobytes()))


def unpack_ids(content: bytes) -> tuple[IntArray, npt.NDArray[np.uint8]]:
    """The fingerprints of a chunk and their numbers of versions. Raises ValueError if it cannot be read."""
    try:
        ids = _ids_of(zlib.decompress(content))
        counts = np.frombuffer(ids.counts, np.uint8)
        prints = np.empty(len(counts), np.int64)
        prints[0] = ids.first
        prints[1:] = _gather(ids.steps, np.dtype("<u8"), len(counts) - 1).astype(np.int64)
        return np.cumsum(prints, out=prints), counts
    except (zlib.error, msgspec.MsgspecError, IndexError, ValueError) as error:
        raise ValueError(f"a chunk of fingerprints cannot be read: {error}") from None


# -- the rest ------------------------------------------------------------------------------------------------------


def pack_state(state: CloseState) -> bytes:
    """All of a state but its chunks."""
    return _compress(state)


def unpack_state(content: bytes) -> CloseState:
    """What `pack_state` packed. Raises ValueError if it cannot be read."""
    try:
        return _state_of(zlib.decompress(content))
    except (zlib.error, msgspec.MsgspecError) as error:
        raise ValueError(f"the state of a close cannot be read: {error}") from None


def _compress(value: object) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(value), _FASTEST)


# -- columns -------------------------------------------------------------------------------------------------------


def _pack(values: Sequence[Any]) -> _Column:
    """A column of texts, of integers or of doubles, each or None."""
    kinds = {type(value) for value in values}
    column = _Column()
    if type(None) in kinds:
        kinds.discard(type(None))
        column.absent = np.array([at for at, value in enumerate(values) if value is None], "<u4").tobytes()
        values = [0 if value is None else value for value in values]
    if str in kinds:
        _pack_texts(column, values)
    elif float in kinds:
        column.doubles = _spread(np.array(values, _DOUBLE))
    else:
        low, high = min(values), max(values)
        if -(2**63) <= low and high < 2**63:
            column.integers = _spread(np.array(values, _INTEGER))
        else:
            column.width = max(low.bit_length(), high.bit_length()) // 8 + 1
            wide = b"".join(value.to_bytes(column.width, "little", signed=True) for value in values)
            column.wide = _spread(np.frombuffer(wide, f"V{column.width}"))
    return column


def _pack_texts(column: _Column, values: Sequence[str]) -> None:
    numbers: dict[str, int] = {}
    places = [numbers.setdefault(text, len(numbers)) for text in values]
    if len(numbers) * _NAMES_FROM > len(values):
        column.texts = list(values)
    else:
        column.texts, column.places = list(numbers), _spread(np.array(places, "<u4"))


def _unpack(column: _Column, rows: int) -> list[Any]:
    values: list[Any]
    if column.texts is not None:
        texts: list[Any] = column.texts
        values = texts if not column.places else [*map(texts.__getitem__, _gather(column.places, np.dtype("<u4"), rows).tolist())]
    elif column.doubles:
        values = _gather(column.doubles, _DOUBLE, rows).tolist()
    elif column.width:
        from_bytes = int.from_bytes
        wide = _gather(column.wide, np.dtype(f"V{column.width}"), rows).tolist()
        values = [from_bytes(each, "little", signed=True) for each in wide]
    else:
        values = _gather(column.integers, _INTEGER, rows).tolist()
    for at in np.frombuffer(column.absent, "<u4").tolist():
        values[at] = None
    if len(values) != rows:
        raise ValueError(f"{len(values)} values where {rows} are due")
    return values


def _spread(values: npt.NDArray[Any]) -> bytes:
    """The bytes of an array: all first bytes, then all second ones, which zlib makes less of."""
    return values.reshape(-1).view(np.uint8).reshape(values.size, values.itemsize).T.tobytes()


def _gather(content: bytes, kind: np.dtype[Any], size: int) -> npt.NDArray[Any]:
    """The array of which `_spread` made the bytes. Raises ValueError."""
    found = np.frombuffer(content, np.uint8).reshape(kind.itemsize, size)
    return np.ascontiguousarray(found.T).view(kind).reshape(size)

"""What the journal keeps of a snapshot: the marks that changed since the instant before, and the vols, rates and Greeks.

An instant is packed against the one before it, a whole one against nothing; `read_chain` reads a whole one and all that follow.
Prices are differences of whole numbers, each instrument's in its own decimals, which compress; one that is no such number stands
beside as a double, so that what is read is what was in force, to the last bit. One object writes, on one thread.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from riskengine.market.marks import Mark, SetByHand
from riskengine.market.option_market import Subject, subject_of
from riskengine.market.split_prices import NO_SPLITS
from riskengine.records.journal import Instant
from riskengine.records.option_inputs import CutSpot, OptionInput, PushedGreeks, RateRow, SurfaceRow, Vol
from riskengine.records.reference import Reference
from riskengine.records.types import BoolArray, FloatArray, IntArray
from riskengine.snapshot.snapshot import Snapshot
from riskengine.valuation.forward_values import FORWARD_MARK

MOST_DIGITS = 9
LARGEST = 2.0**53

LEVEL_ONLY = 1 << 40
"""In place of the distance of the ask from the bid: the level is the mark, and it has neither."""

_LEVEL = 6
_INPUTS: tuple[type[Any], ...] = (CutSpot, Vol, SurfaceRow, RateRow, PushedGreeks)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_NONE: IntArray = np.zeros(0, dtype=np.int64)


class Recorded(NamedTuple):
    """What the journal says of one instant: the marks as they were quoted, by symbol, and the vols, rates and Greeks in force.

    `closed` is the newest close that the day followed, `current_day` the trading day that ran ("": none was known). `dealt_after`
    is the close after which deals counted as bought and sold: while one is struck, it is ahead of `closed`.
    """

    instant: Instant
    marks: Mapping[str, Mark]
    inputs: Sequence[OptionInput]
    closed: str
    current_day: str
    dealt_after: str


# -- numbers as bytes that compress ------------------------------------------------------------------------------


def _packed(numbers: IntArray) -> bytes:
    """Whole numbers, small ones of either sign as small ones, all first bytes before all second bytes."""
    zigzag = (numbers << 1) ^ (numbers >> 63)
    return zigzag.astype("<i8").view(np.uint8).reshape(-1, 8).T.tobytes()


def _unpacked(content: bytes) -> IntArray:
    zigzag = np.frombuffer(content, np.uint8).reshape(8, -1).T.copy().view("<i8").ravel().astype(np.int64)
    return ((zigzag.view(np.uint64) >> np.uint64(1)).view(np.int64)) ^ -(zigzag & 1)


def _as_whole(numbers: FloatArray, digits: IntArray) -> tuple[IntArray, BoolArray]:
    """Numbers in units of 10^-digits, and which of them are exactly that."""
    unit = 10.0**digits
    scaled = np.rint(numbers * unit)
    fits = (np.abs(scaled) < LARGEST) & (scaled / unit == numbers)
    return np.where(fits, scaled, 0.0).astype(np.int64), fits


def _digits_of(numbers: FloatArray) -> IntArray:
    """The fewest digits after the point that each number needs; MOST_DIGITS where no fewer do."""
    found = np.full(len(numbers), MOST_DIGITS, dtype=np.int64)
    for digits in range(MOST_DIGITS - 1, -1, -1):
        found[_as_whole(numbers, np.full(len(numbers), digits))[1]] = digits
    return found


def _longer(column: IntArray, size: int) -> IntArray:
    return np.append(column, np.zeros(size - len(column), dtype=np.int64)) if size > len(column) else column


class _Levels:
    """By place the level of a quote in units of its own: the bid of a mark that is the middle of two, else the mark itself."""

    def __init__(self) -> None:
        self.level, self.digits = _NONE, _NONE

    def grow(self, size: int) -> None:
        self.level, self.digits = _longer(self.level, size), _longer(self.digits, size)

    def take_digits(self, places: IntArray, digits: IntArray) -> None:
        """Count in smaller units from now on."""
        self.level[places] *= 10 ** (digits - self.digits[places])
        self.digits[places] = digits


# -- writing -----------------------------------------------------------------------------------------------------


class MarkJournal:
    """Packs one snapshot after the other. One thread; O(instruments) a snapshot, 20 us for 1,000, and 1 us for each new mark."""

    def __init__(self) -> None:
        self._inputs: dict[Subject, OptionInput] = {}
        self._forget()

    def _forget(self) -> None:
        self._reference: Reference | None = None
        self._marks: Sequence[Mark | None] = ()
        self._places: dict[str, int] = {}
        self._labels: dict[tuple[str, str], int] = {}
        self._levels = _Levels()
        self._whole: Instant | None = None

    def pack(self, snapshot: Snapshot, inputs: Iterable[OptionInput], revision: int, *, whole: bool) -> Instant:
        """The instant of a snapshot; `inputs` have come into force since the last one. `whole`: let it say everything.

        It does at the first, and where numbers of instruments mean others than before.
        """
        came = [*inputs]
        self._inputs.update((subject_of(row), row) for row in came)
        before, reference = self._whole, snapshot.reference
        if before is None or whole or before.epoch != snapshot.epoch or not self._is_kin(reference):
            self._forget()
            came = [*self._inputs.values()]
        content = self._content(snapshot, self._changed(snapshot), came)
        self._reference, self._marks = reference, snapshot.units.marks
        whole_seq = snapshot.seq if self._whole is None else self._whole.seq
        made = Instant(snapshot.epoch, snapshot.seq, snapshot.as_of, whole_seq, snapshot.watermark, revision, content)
        self._whole = self._whole or made
        return made

    def _is_kin(self, reference: Reference) -> bool:
        return self._reference is not None and reference.is_kin(self._reference)

    def _changed(self, snapshot: Snapshot) -> dict[str, Mark | None]:
        """The marks that are others than at the last instant, by symbol, but for those that are made of others."""
        symbols, marks, known = snapshot.reference.symbols, snapshot.units.marks, self._marks
        if marks is known:
            return {}
        padded = (*known, *([None] * (len(marks) - len(known))))
        return {
            symbols[number]: mark if mark is not None and mark.ts else None
            for number, (before, mark) in enumerate(zip(padded, marks, strict=True))
            if before is not mark and not (mark is not None and mark.kind == FORWARD_MARK)
        }

    def _content(self, snapshot: Snapshot, changed: Mapping[str, Mark | None], inputs: Sequence[OptionInput]) -> bytes:
        splits = NO_SPLITS if snapshot.adjustments is None else snapshot.adjustments.prices()
        quoted = {symbol: mark.repriced(symbol, splits.then) for symbol, mark in changed.items() if mark is not None}
        names = [symbol for symbol in changed if symbol not in self._places]
        for symbol in names:
            self._places[symbol] = len(self._places)
        places = np.fromiter((self._places[symbol] for symbol in quoted), dtype=np.int64, count=len(quoted))
        ages = np.fromiter((snapshot.as_of - mark.ts for mark in quoted.values()), dtype=np.int64, count=len(quoted))
        labels, new_labels = self._labelled(quoted.values())
        said: dict[str, Any] = {
            "closed": "" if snapshot.day is None else snapshot.day.window.closed,
            "day": snapshot.current_day,
            "dealt_after": "" if snapshot.deals is None else snapshot.deals.log.window.closed,
            "names": names,
            "labels": new_labels,
            "places": _packed(np.diff(places, prepend=0)),
            "ages": _packed(ages),
            "label": _packed(labels),
            "held": [[self._places[symbol], *_of_hand(mark.by_hand)] for symbol, mark in quoted.items() if mark.by_hand],
            "gone": [self._places[symbol] for symbol, mark in changed.items() if mark is None],
            "inputs": [[_INPUTS.index(type(row)), *msgspec.structs.astuple(row)] for row in inputs],
        }
        said |= self._prices(places, [(mark.price, mark.bid, mark.ask) for mark in quoted.values()])
        return zlib.compress(_encode(said), _LEVEL)

    def _labelled(self, marks: Iterable[Mark]) -> tuple[IntArray, list[tuple[str, str]]]:
        """The number of source and kind of each mark, and those that are new."""
        known = len(self._labels)
        numbers = [self._labels.setdefault((mark.source, mark.kind), len(self._labels)) for mark in marks]
        return np.array(numbers, dtype=np.int64), [*self._labels][known:]

    def _prices(self, places: IntArray, quoted: Sequence[tuple[float, float | None, float | None]]) -> dict[str, Any]:
        """By how much levels differ from those before, how far asks lie above bids, and the prices that are no such numbers."""
        self._levels.grow(len(self._places))
        given = np.array([(price, bid or 0.0, ask or 0.0) for price, bid, ask in quoted]).reshape(-1, 3)
        price, bid, ask = given.T
        alone = np.fromiter((bid is None and ask is None for _, bid, ask in quoted), dtype=np.bool_, count=len(quoted))
        has_both = np.fromiter((bid is not None and ask is not None for _, bid, ask in quoted), dtype=np.bool_, count=len(quoted))
        is_middle = has_both & ((bid + ask) / 2 == price)
        low, high = np.where(is_middle, bid, price), np.where(is_middle, ask, price)
        more = self._more_digits(places, low, high)
        digits = self._levels.digits[places]
        (level, low_fits), (above, high_fits) = _as_whole(low, digits), _as_whole(high, digits)
        plain = (is_middle | alone) & low_fits & high_fits
        steps = np.where(plain, level - self._levels.level[places], 0)
        self._levels.level[places] += steps
        return {
            "digits": more,
            "steps": _packed(steps),
            "spreads": _packed(np.where(plain & is_middle, above - level, LEVEL_ONLY)),
            "others": [(int(places[at]), *quoted[at]) for at in np.flatnonzero(~plain).tolist()],
        }

    def _more_digits(self, places: IntArray, low: FloatArray, high: FloatArray) -> tuple[list[int], list[int]]:
        """Count in smaller units where prices need it: places, and digits from now on."""
        digits = self._levels.digits[places]
        short = np.flatnonzero(~(_as_whole(low, digits)[1] & _as_whole(high, digits)[1]))
        needed = np.maximum(_digits_of(low[short]), _digits_of(high[short]))
        helps = (needed < MOST_DIGITS) & (needed > digits[short])
        short, needed = short[helps], needed[helps]
        self._levels.take_digits(places[short], needed)
        return places[short].tolist(), needed.tolist()


def _of_hand(said: SetByHand | None) -> tuple[Any, ...]:
    assert said is not None, "a person set it"
    beneath = None if said.beneath is None else (*said.beneath[:4], said.beneath.by_hand and _of_hand(said.beneath.by_hand))
    return said.author, said.reason, said.expires_ts, beneath


# -- reading -----------------------------------------------------------------------------------------------------


class _Reader:
    """Everything that a chain of instants says, up to the last one that was taken."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._labels: list[tuple[str, str]] = []
        self._levels = _Levels()
        self._spread, self._ts, self._label = _NONE, _NONE, _NONE
        self._others: dict[int, tuple[float, float | None, float | None]] = {}
        self._held: dict[int, SetByHand] = {}
        self._gone: set[int] = set()
        self.inputs: dict[Subject, OptionInput] = {}
        self.closed = self.current_day = self.dealt_after = ""

    def take(self, instant: Instant) -> None:
        """Raises ValueError where the content cannot be read."""
        try:
            said = _decode(zlib.decompress(instant.content))
            self._take(said, instant.ts)
        except (zlib.error, msgspec.DecodeError, KeyError, TypeError, IndexError) as error:
            raise ValueError(f"the instant {instant.epoch}-{instant.seq} cannot be read: {error}") from None

    def _take(self, said: Mapping[str, Any], ts: int) -> None:
        self.closed, self.current_day, self.dealt_after = said["closed"], said["day"], said.get("dealt_after", "")
        self._names += said["names"]
        self._labels += map(tuple, said["labels"])
        size = len(self._names)
        self._levels.grow(size)
        self._spread, self._ts, self._label = (_longer(column, size) for column in (self._spread, self._ts, self._label))
        self._levels.take_digits(*(np.array(column, dtype=np.int64) for column in said["digits"]))
        places = np.cumsum(_unpacked(said["places"]))
        self._levels.level[places] += _unpacked(said["steps"])
        self._spread[places], self._label[places] = _unpacked(said["spreads"]), _unpacked(said["label"])
        self._ts[places] = ts - _unpacked(said["ages"])
        for place in places.tolist():
            self._others.pop(place, None)
            self._held.pop(place, None)
        self._gone.difference_update(places.tolist())
        self._gone.update(said["gone"])
        self._others.update((place, (price, bid, ask)) for place, price, bid, ask in said["others"])
        self._held.update((place, _by_hand(rest)) for place, *rest in said["held"])
        for which, *fields in said["inputs"]:
            row = _INPUTS[which](*fields)
            self.inputs[subject_of(row)] = row

    def marks(self) -> dict[str, Mark]:
        """The marks in force, by symbol."""
        unit, found = 10.0**self._levels.digits, dict[str, Mark]()
        low, high = self._levels.level / unit, (self._levels.level + self._spread) / unit
        middle = (self._spread != LEVEL_ONLY).tolist()
        columns = (self._names, low.tolist(), high.tolist(), middle, self._ts.tolist(), self._label.tolist())
        for place, (name, level, above, is_middle, ts, label) in enumerate(zip(*columns, strict=True)):
            if place in self._gone:
                continue
            sides = ((level + above) / 2, level, above) if is_middle else (level, None, None)
            price, bid, ask = self._others.get(place, sides)
            source, kind = self._labels[label]
            found[name] = Mark(price, ts, source, kind, (), self._held.get(place), bid, ask)
        return found


def _by_hand(said: Sequence[Any]) -> SetByHand:
    author, reason, expires_ts, beneath = said
    if beneath is None:
        return SetByHand(author, reason, expires_ts)
    price, ts, source, kind, said_of_it = beneath
    return SetByHand(author, reason, expires_ts, Mark(price, ts, source, kind, (), said_of_it and _by_hand(said_of_it)))


def read_chain(chain: Sequence[Instant], rest: Callable[[], None] = lambda: None) -> Recorded:
    """What the last of some instants says: a whole one comes first, then all that follow it. 1 us a mark. Calls `rest` often.

    Raises ValueError where one cannot be read, or the first is not whole.
    """
    if not chain or not chain[0].is_whole or any(each.whole_seq != chain[0].seq for each in chain):
        raise ValueError("the journal lacks the whole instant that these stand on")
    reader = _Reader()
    for instant in chain:
        reader.take(instant)
        rest()
    return Recorded(chain[-1], reader.marks(), [*reader.inputs.values()], reader.closed, reader.current_day, reader.dealt_after)

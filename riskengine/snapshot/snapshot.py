"""The snapshot: one immutable moment of the whole engine, and the only contract between the writer and its readers.

The writer builds a Snapshot and publishes it by assigning one reference. A reader takes that reference and has a consistent cut
for as long as it keeps it. Arrays are read-only, rows and records are frozen, tables are tuples of pages. A snapshot shares with
the one before it whatever did not change: a trade replaces the pages that it touched, a beat the numbers of all nodes.
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import structs

from riskengine.market.currencies import Rates
from riskengine.positions.adjustments import Adjustments
from riskengine.positions.day_deals import DealsSoFar
from riskengine.positions.ledger import ALL_ROWS, SHIFT, Row
from riskengine.records.fields import MAX_TEXT
from riskengine.records.reference import Reference
from riskengine.records.types import FloatArray, IntArray, Trade, Verdict
from riskengine.valuation.cash_values import CashValues
from riskengine.valuation.day_start import DayStart
from riskengine.valuation.day_values import DayTable
from riskengine.valuation.forward_values import ForwardMarket
from riskengine.valuation.number_pages import PAGE, NumberPages
from riskengine.valuation.unit_values import Units

ROWS_PAGE = 32
"""Rows on one page: a trade replaces one page of an owner's rows, not all of them."""


# -- what nodes and dealers hold ---------------------------------------------------------------------------------


class OwnerState(msgspec.Struct, eq=False, gc=False):
    """What a node or dealer holds: a row per instrument ever traded there (None: the position is gone), and counts. Immutable.

    They are numerous and in no cycle, so they stay out of garbage collection, and so do the pages that hold them.
    """

    pages: tuple[tuple[Row | None, ...], ...] = ()
    position_count: int = 0
    trade_count: int = 0
    last_trade_ts: int = 0
    quarantined_count: int = 0
    _open: IntArray | None = None

    @property
    def rows(self) -> tuple[Row | None, ...]:
        """All rows and gaps, in the order in which instruments first came. O(rows)."""
        return tuple(chain.from_iterable(self.pages))

    def positions(self) -> Iterator[Row]:
        """The rows without the gaps, in the same order. O(rows)."""
        return (row for page in self.pages for row in page if row is not None)

    def open_instruments(self) -> IntArray:
        """Numbers of the instruments with an open position here or below. O(rows) at the first call, then cached.

        The cache is the one thing that readers write here. Every reader would write the same value, so it needs no lock.
        """
        if self._open is None:
            self._open = np.array([row.instrument for row in self.positions() if row.open_count], dtype=np.int64)
        return self._open


EMPTY_STATE = OwnerState()


class Table:
    """One roll-up at one moment: `states` by owner number and the numbers of `MEASURES`, in pages of `PAGE` owners.

    `broken` are the sums that were found wrong and have not been compared with the store since: keys as in the ledger. `cash` is
    that of nodes; the dealers have none. `day` is where the trading day began, and its lines; None while the engine knows no day.
    """

    __slots__ = ("broken", "cash", "day", "numbers", "size", "states")

    def __init__(
        self,
        size: int,
        states: tuple[tuple[OwnerState, ...], ...],
        numbers: NumberPages,
        broken: Collection[int] = (),
        cash: CashValues | None = None,
        day: DayTable | None = None,
    ) -> None:
        self.size = size
        self.states = states
        self.numbers = numbers
        self.broken = broken
        self.cash = cash
        self.day = day

    def state(self, owner: int) -> OwnerState:
        """What an owner holds. O(1)."""
        return self.states[owner // PAGE][owner % PAGE]

    def measures(self, owner: int) -> FloatArray:
        """The numbers of an owner, shape (MEASURES,). O(1)."""
        return np.array(self.numbers.of_owner(owner))

    def is_broken(self, owner: int, instrument: int = ALL_ROWS) -> bool:
        """Whether the owner's sum of an instrument, or of everything, was found wrong. O(1)."""
        return bool(self.broken) and owner << SHIFT | instrument in self.broken

    def row(self, owner: int, instrument: int) -> Row | None:
        """What an owner holds of an instrument, or None. O(rows of the owner)."""
        for row in self.state(owner).positions():
            if row.instrument == instrument:
                return row
        return None


# -- the moment --------------------------------------------------------------------------------------------------


class ExceptionItem(msgspec.Struct, frozen=True):
    """Something that needs a person: a conflict, a parked cancel, a missing leg, a quarantined or late trade.

    `id` never changes; `ts` is when the engine noticed it; `trade` is the trade that it is about; `detail` has what is known.
    """

    id: str
    kind: str
    ts: int
    reason: str
    trade: Trade | None = None
    detail: dict[str, object] = {}


def verdict_on(item: ExceptionItem, verdicts: Mapping[str, Verdict]) -> Verdict | None:
    """What a person has said of a listed exception as it stands, None where nobody has. Its verdict is empty if none is in force.

    An accepted conflict leaves the list, and so does a price that was accepted or rejected, or an expired option that was booked:
    one that is listed with such a verdict has come again since, and nobody has decided about that.
    """
    verdict = verdicts.get(item.id)
    came_again = item.kind == "suspect" or (item.kind == "expired" and "suggested" in item.detail)
    if verdict is not None and (came_again or (item.kind == "conflict" and verdict.verdict == "accept")):
        return structs.replace(verdict, verdict="")
    return verdict


class Counts(NamedTuple):
    """How many trades had each outcome since the start of the day's replay."""

    applied: int = 0
    duplicates: int = 0
    conflicts: int = 0
    superseded: int = 0
    late: int = 0
    parked: int = 0
    quarantined: int = 0
    unmatched: int = 0
    waiting: int = 0


class Snapshot:
    """One moment: `seq` rises by one with every publication, `epoch` rises with every start of a writer."""

    __slots__ = (
        "adjustments",
        "as_of",
        "counts",
        "current_day",
        "day",
        "dealer_names",
        "dealers",
        "deals",
        "epoch",
        "exceptions",
        "forwards",
        "last_trade_at",
        "nodes",
        "rates",
        "reference",
        "seq",
        "trade_seq",
        "units",
        "verdicts",
        "watermark",
    )

    def __init__(
        self,
        *,
        epoch: int,
        seq: int,
        as_of: int,
        reference: Reference,
        nodes: Table,
        dealers: Table,
        dealer_names: tuple[str, ...],
        units: Units,
        rates: Rates,
        counts: Counts,
        exceptions: Mapping[str, tuple[ExceptionItem, ...]],
        watermark: int,
        trade_seq: int,
        last_trade_at: int,
        verdicts: Mapping[str, Verdict],
        adjustments: Adjustments | None = None,
        day: DayStart | None = None,
        current_day: str = "",
        forwards: ForwardMarket | None = None,
        deals: DealsSoFar | None = None,
    ) -> None:
        """`adjustments` are the corporate actions in force; None before any were known.

        `forwards` is what curves and fixings say of forwards, those of `reference`.
        """
        self.forwards = forwards
        self.deals = deals
        """What was bought and sold in the trading day; None while the engine knows no day."""
        self.adjustments = adjustments
        self.epoch = epoch
        self.seq = seq
        self.as_of = as_of
        self.reference = reference
        self.nodes = nodes
        self.dealers = dealers
        self.dealer_names = dealer_names
        self.units = units
        self.rates = rates
        self.counts = counts
        self.exceptions = exceptions
        self.verdicts = verdicts
        """What people decided about exceptions, by id of the exception."""
        self.watermark = watermark
        """Highest `store_seq` whose trade is in this snapshot."""
        self.trade_seq = trade_seq
        """`seq` of the last snapshot that a trade changed: later ones differ from it in prices only."""
        self.last_trade_at = last_trade_at
        """When the engine last applied a trade, in microseconds; 0 before the first."""
        self.day = day
        """Where the trading day began; None while the engine knows no day."""
        self.current_day = current_day
        """The trading day that is running, YYYY-MM-DD: trades dated later wait. "": none is known."""

    @property
    def actions_day(self) -> str:
        """The trading day by which corporate actions are in force in it."""
        return self.current_day if self.adjustments is None else self.adjustments.day

    def keys_set_aside(self) -> list[tuple[str, str, str]]:
        """Keys (roll-up, owner, instrument) that broke an invariant and wait for a repair. O(quarantined).

        Two snapshots have the same `exceptions` object if none was added or removed between them.
        """
        details = (item.detail for item in self.exceptions.get("quarantined", ()) if "rollup" in item.detail)
        return [(str(detail["rollup"]), str(detail["owner"]), str(detail["instrument"])) for detail in details]


# -- names in questions ------------------------------------------------------------------------------------------


class UnknownName(LookupError):
    """A question names a node, dealer or instrument that does not exist; the message says which."""


def _shown(name: str) -> str:
    """A name as sent, in quotes; of one that is longer than any name of ours, its beginning."""
    return repr(name if len(name) <= MAX_TEXT else f"{name[:MAX_TEXT]}...")


def node_number(snapshot: Snapshot, name: str) -> int:
    """The number of a node. Raises UnknownName. O(1)."""
    number = snapshot.reference.hierarchy.index.get(name)
    if number is None:
        raise UnknownName(f"unknown node {_shown(name)}")
    return number


def dealer_number(snapshot: Snapshot, name: str) -> int:
    """The number of a dealer. Raises UnknownName. O(dealers)."""
    try:
        return snapshot.dealer_names.index(name)
    except ValueError:
        raise UnknownName(f"unknown dealer {_shown(name)}") from None


def instrument_number(snapshot: Snapshot, symbol: str) -> int:
    """The number of an instrument. Raises UnknownName. O(1)."""
    number = snapshot.reference.instrument_index.get(symbol)
    if number is None:
        raise UnknownName(f"unknown instrument {_shown(symbol)}")
    return number


# -- the newest snapshots ----------------------------------------------------------------------------------------


class SeqGone(LookupError):
    """The snapshot of this seq is older than the history kept."""


class SnapshotNotYet(LookupError):
    """The snapshot of this seq is not published yet."""


class SnapshotHistory:
    """The newest snapshot, and those of the last `keep_us`. One thread publishes, any thread reads, without a lock."""

    def __init__(self, first: Snapshot, keep_us: int) -> None:
        self._keep_us = keep_us
        self._recent: deque[Snapshot] = deque((first,))
        self.newest = first

    def publish(self, snapshot: Snapshot) -> None:
        """Make a snapshot the newest. O(1). Writer thread only."""
        recent = self._recent
        assert snapshot.seq == self.newest.seq + 1, "snapshots are published in order, none left out"
        recent.append(snapshot)
        self.newest = snapshot
        now, oldest = snapshot.as_of, snapshot.as_of - self._keep_us
        # Keep a snapshot that was the newest at any time since `oldest`; a clock that was set back drops all before this one.
        while len(recent) > 1 and not oldest < recent[1].as_of <= now:
            recent.popleft()

    def at(self, seq: int) -> Snapshot:
        """The snapshot of a seq. Raises SeqGone, SnapshotNotYet. Any thread."""
        newest = self.newest
        if seq > newest.seq:
            raise SnapshotNotYet(f"seq {seq} is not published yet; the newest is {newest.seq}")
        try:
            for _ in range(3):  # the deque may shift by one between the two reads of it
                found = self._recent[seq - self._recent[-1].seq - 1]
                if found.seq == seq:
                    return found
        except IndexError:
            pass
        raise SeqGone(f"seq {seq} is no longer kept; the newest is {newest.seq}")

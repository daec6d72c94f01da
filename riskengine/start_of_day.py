"""The morning: from what the store holds to an engine that is ready to go live, through the code that runs all day.

Reference data, balances and marks first, then every trade in the order in which it was stored, in large batches, through
`Engine.apply`. Nothing here knows which database it is.
"""

import datetime as dt
import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from riskengine.config import Config
from riskengine.decode import TradeCheck
from riskengine.engine import Engine
from riskengine.fields import micros
from riskengine.hierarchy import Reference
from riskengine.marks import Mark
from riskengine.messages import Close, Instrument, Node, Opening, StoredMark, Trade, Verdict
from riskengine.observe import get_logger

BATCH_TRADES = 1 << 20
"""Applied at once: a position is fetched from memory once for all its trades of a batch, and a new one is folded in columns."""
GENTLE_TRADES = 4_096
"""The same beside a live engine, which must not wait for long steps."""
READ_TRADES = 4_096
"""Trades between two reports of progress while they are read."""

READING, APPLYING = 0.35, 0.8
"""How much of a batch is done once it is read, and of the replay once all are applied: publishing is the rest."""

log = get_logger("riskengine.start")


class Listener(Protocol):
    """Who wants to know how the morning goes on; called on its thread. What it raises ends the morning."""

    def enter(self, phase: str) -> None:
        """A phase begins: `reference`, `marks`, `replay`."""
        ...

    def advance(self, share: float, loaded: int) -> None:
        """So much of the replay is done, 0 to 1, and so many trades are loaded."""
        ...

    def note(self, **facts: int) -> None:
        """Something to remember: `openings` taken, `openings_left_out`."""
        ...


class Deaf:
    """A `Listener` that nothing is told to."""

    def enter(self, phase: str) -> None:
        """See `Listener`."""

    def advance(self, share: float, loaded: int) -> None:
        """See `Listener`."""

    def note(self, **facts: int) -> None:
        """See `Listener`."""


class Unreadable(NamedTuple):
    """A stored row that is not a trade (yet)."""

    store_seq: int
    received_ts: int
    reason: str


class DayStore(Protocol):
    """What the morning reads."""

    def nodes(self) -> list[Node]: ...
    def instruments(self) -> list[Instrument]: ...
    def openings(self) -> list[Opening]: ...
    def marks(self) -> list[StoredMark]: ...
    def latest_closes(self) -> list[Close]: ...
    def verdicts(self) -> list[Verdict]: ...
    def watermark(self) -> int: ...


DEAF = Deaf()

ReadTrades = Callable[[TradeCheck], Iterator[tuple[int, Trade | Unreadable]]]
"""Every stored trade with its store_seq, in store order."""

ReadConflicts = Callable[[TradeCheck], Iterable[Trade]]
"""What was kept apart from stored trades, oldest first."""


def trade_check(reference: Reference) -> TradeCheck:
    """The door for trades of this reference data."""
    hierarchy = reference.hierarchy
    return TradeCheck(reference.by_symbol, hierarchy.leaves, hierarchy.index, reference.currencies)


def rebuild(
    store: DayStore, read_trades: ReadTrades, config: Config, *, epoch: int, now: int,
    read_conflicts: ReadConflicts = lambda _: (), listener: Listener = DEAF, gentle: bool = False,
) -> Engine:
    """An engine that holds everything the store does. Raises StoreError, ReferenceDataError. 9 us a trade.

    `gentle` is for who builds it beside a live one: in short steps, which take longer together.
    """
    listener.enter("reference")
    reference = Reference(store.nodes(), store.instruments(), config.engine.reporting_currency)
    engine = Engine(reference, config, epoch=epoch, now=now)
    engine.recall_verdicts(store.verdicts())
    openings = store.openings()
    placed = list(_with_a_place(openings, reference))
    engine.open_with(placed)
    listener.note(openings=len(placed), openings_left_out=len(openings) - len(placed))
    listener.enter("marks")
    engine.marks.restore(known_marks(store, config, now))
    listener.enter("replay")
    last, check = store.watermark(), trade_check(reference)
    collecting = gc.isenabled()
    gc.disable()  # nothing that a replay makes becomes garbage; looking through it all again and again is the main cost
    try:
        size = GENTLE_TRADES if gentle else BATCH_TRADES
        loaded = _replay(engine, read_trades(check), now, last, listener, size)
        for trade in read_conflicts(check):
            engine.recall_conflict(trade)
        engine.beat({}, now)
        engine.publish(now, at_once=not gentle)
    finally:
        if collecting:
            gc.enable()
    listener.advance(1.0, loaded)
    return engine


def _replay(
    engine: Engine, trades: Iterator[tuple[int, Trade | Unreadable]], now: int, last: int, listener: Listener, size: int
) -> int:
    """Apply every trade; how many there were."""
    loaded = seq = 0
    done = 0.0
    while True:
        batch: list[Trade] = []
        begun, whole = done, done
        while len(batch) < size and (rows := [*islice(trades, min(READ_TRADES, size - len(batch)))]):
            batch += [trade for _, trade in rows if type(trade) is Trade]
            for _, row in rows:
                if type(row) is Unreadable:
                    engine.quarantine_row(row.store_seq, row.received_ts, row.reason)
            seq = rows[-1][0]
            whole = APPLYING * min(1.0, seq / max(last, 1))
            listener.advance(begun + (whole - begun) * READING, loaded + len(batch))
        loaded += len(batch)
        if len(batch) < size:
            engine.apply(batch, now, max(seq, last), _telling(listener, begun, whole, loaded))
            return loaded
        engine.apply(batch, now, seq, _telling(listener, begun, whole, loaded))
        done = whole


def _telling(listener: Listener, begun: float, whole: float, loaded: int) -> Callable[[float], None]:
    """What passes on how much of a batch is applied."""
    return lambda share: listener.advance(begun + (whole - begun) * (READING + (1.0 - READING) * share), loaded)


def settle_memory() -> None:
    """Tell the garbage collector that what is loaded stays: its full collections would stop everything for a long time.

    It is not looked through first: a replay leaves no cycles behind, and looking would take as long as a second of trading. What
    garbage there is from before stays, a few kilobytes.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def known_marks(store: DayStore, config: Config, now: int) -> dict[str, Mark]:
    """Stored marks, and the last close of every instrument that has none newer.

    A close of a day whose boundary is still to come counts from `now`, and only where nothing else is known: dated ahead it would
    make every tick until then an old one.
    """
    marks = {mark.instrument: Mark(mark.price, mark.ts, mark.source, mark.kind) for mark in store.marks()}
    for close in store.latest_closes():
        ts = close_ts(close.date, config)
        known = marks.get(close.instrument)
        if known is None or known.ts < ts <= now:
            marks[close.instrument] = Mark(close.price, min(ts, now), "close", "close")
    return marks


def close_ts(date: str, config: Config) -> int:
    """The moment of a close: the day boundary of its date, in its zone."""
    hour, minute = config.engine.day_boundary.split(":")
    moment = dt.datetime.combine(dt.date.fromisoformat(date), dt.time(int(hour), int(minute)))
    return micros(moment.replace(tzinfo=ZoneInfo(config.engine.day_zone)))


def has_a_place(opening: Opening, reference: Reference) -> bool:
    """Whether the balance's desk and instrument exist."""
    return opening.instrument in reference.instrument_index and opening.desk in reference.hierarchy.leaves


def _with_a_place(openings: Sequence[Opening], reference: Reference) -> Iterator[Opening]:
    """Balances whose desk and instrument exist. The others are said aloud: whoever removed those must know what it costs."""
    for opening in openings:
        if has_a_place(opening, reference):
            yield opening
        else:
            log.error(
                "opening_left_out", desk=opening.desk, dealer=opening.dealer, instrument=opening.instrument,
                reason="unknown desk or instrument",
            )  # fmt: skip

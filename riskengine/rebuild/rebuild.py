"""From what the store holds to an engine that is ready to go live, through the code that runs all day.

Reference data, balances and marks first, then every trade in the order in which it was stored, in large batches, through
`Engine.apply`. This module does not know which database it reads.
"""

import datetime as dt
import gc
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

import msgspec

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.market.closing_prices import CloseTimes, closing_rules
from riskengine.market.fixings import fixings
from riskengine.market.marks import CLOSE, TWO_SIDED, Mark, SetByHand
from riskengine.market.spot_dates import SpotDates
from riskengine.market.trading_day import TradingDay
from riskengine.observe import get_logger
from riskengine.positions.freezing import Recalled, freeze, keys_of_identities
from riskengine.positions.quarantine import is_waiting
from riskengine.rebuild.day import actions_day, begin_stored_day
from riskengine.records.actions import ActionRows
from riskengine.records.calendars import CalendarState
from riskengine.records.closes import StruckClose
from riskengine.records.decode import TradeCheck
from riskengine.records.manual_marks import MANUAL, ManualMark
from riskengine.records.option_inputs import OptionInput
from riskengine.records.reference import Reference, trade_check
from riskengine.records.rules import RuleStarts
from riskengine.records.types import Close, Instrument, Key, Node, Opening, StoredMark, Trade, Verdict
from riskengine.snapshot.snapshot import ExceptionItem
from riskengine.store.results import CashRows, Changes, StoredNotice
from riskengine.store.trade_rows import RefusedRow, trade_from_row

BATCH_TRADES = 1 << 20
"""Trades applied at once: a position is fetched from memory once for all its trades of a batch; a new one folds in columns."""
GENTLE_TRADES = 4_096
"""The same beside a live engine, which must not wait for long steps."""
READ_TRADES = 4_096
"""Trades between two reports of progress while they are read."""

READING, APPLYING = 0.35, 0.8
"""Progress of a batch once it is read, and of the replay once all trades are applied: publishing is the rest."""

FREEZE_FROM = 500_000
"""Trades in memory from which on it is worth going through them all to freeze some."""

DAY = 86_400 * MICROS_PER_SECOND

log = get_logger("riskengine.start")


class Listener(Protocol):
    """Follows the progress of a rebuild; called on its thread. What it raises ends the rebuild."""

    def enter(self, phase: str) -> None:
        """A phase begins: `reference`, `marks`, `replay`."""
        ...

    def advance(self, share: float, loaded: int) -> None:
        """`share` of the replay is done, 0 to 1, and `loaded` trades are read."""
        ...

    def note(self, **facts: int | str | None) -> None:
        """Facts for the summary: `openings` applied, `openings_left_out`; trades that no mark judges, `unjudged`.

        `from_close`, `from_close_refused`, `rows_behind`: the close from whose state the start went on, why from none, its rows.
        """
        ...


class NoListener:
    """A `Listener` that does nothing."""

    def enter(self, phase: str) -> None:
        """See `Listener`."""

    def advance(self, share: float, loaded: int) -> None:
        """See `Listener`."""

    def note(self, **facts: int | str | None) -> None:
        """See `Listener`."""


class DayStore(Protocol):
    """What a rebuild reads."""

    def nodes(self) -> list[Node]: ...
    def instruments(self) -> list[Instrument]: ...
    def openings(self) -> list[Opening]: ...
    def marks(self) -> list[StoredMark]: ...
    def option_inputs(self) -> list[OptionInput]: ...
    def manual_marks(self) -> list[ManualMark]: ...
    def latest_closes(self, up_to: str) -> list[Close]: ...
    def closes_after(self, date: str, limit: int) -> list[Close]: ...
    def action_rows(self) -> ActionRows: ...
    def notices(self, limit: int) -> list[StoredNotice]: ...
    def late_count(self) -> int: ...
    def noticed_up_to(self) -> int | None: ...
    def verdicts(self) -> list[Verdict]: ...
    def cash_beyond(self, seen: Changes | None) -> CashRows: ...
    def rule_starts(self) -> RuleStarts: ...
    def calendar_state(self) -> CalendarState: ...
    def watermark(self) -> int: ...
    def struck_close_dates(self) -> dict[str, int]: ...
    def struck_close(self, date: str, version: int | None = None) -> StruckClose | None: ...
    def closes(self, date: str | None = None) -> list[Close]: ...


NO_LISTENER = NoListener()

ReadTrades = Callable[[TradeCheck], Iterator[tuple[int, Trade | RefusedRow]]]
"""Every stored trade with its store_seq, in store order."""


class Past(Protocol):
    """Reads again what an engine has frozen. Raises StoreError."""

    def for_trades(
        self, trades: Sequence[Trade], unseen: Callable[[int], bool], *, versions_only: bool = False
    ) -> Recalled | None:
        """What the engine must take back before these trades; rows with `unseen` numbers have not gone to it."""
        ...

    def later_versions(self) -> Mapping[tuple[str, str], int]:
        """Deals that have later versions, and the store_seq of the last one."""
        ...

    def conflicts(self) -> Iterable[Trade]:
        """Stored conflicts."""
        ...


class Resume(Protocol):
    """Goes on from the state of a close (`from_close.FromClose`). Raises StoreError."""

    @property
    def watermark(self) -> int: ...
    @property
    def rows_behind(self) -> int: ...
    def prepare(self, engine: Engine, check: TradeCheck, known: int | None) -> bool: ...
    def install(self, engine: Engine, past: Past, now: int) -> None: ...
    def read(self, check: TradeCheck) -> Iterator[tuple[int, Trade | RefusedRow]]: ...


OpenPast = Callable[[TradeCheck, Engine], Past]
"""Opens the past of an engine that is made by the reference data of a check."""

ReadConflicts = Callable[[TradeCheck], Iterable[Trade]]
"""Stored conflicts, oldest first."""


def rebuild(
    store: DayStore,
    read_trades: ReadTrades,
    config: Config,
    *,
    epoch: int,
    now: int,
    read_conflicts: ReadConflicts = lambda _: (),
    listener: Listener = NO_LISTENER,
    gentle: bool = False,
    past: OpenPast | None = None,
    rest: Callable[[], None] = lambda: None,
    noticed_up_to: int = 0,
    spot_dates: SpotDates | None = None,
    current_day: str | None = None,
    resume: Resume | None = None,
    marks: Mapping[str, Mark] | None = None,
) -> Engine:
    """An engine that holds everything the store does. Raises StoreError, ReferenceDataError. 9 us a trade.

    `gentle` builds it beside a live engine: in short steps, which take longer together. With `past`, trades older than
    `[engine] history_days` are frozen on the way, 3 us each; without it all stay in memory. `rest` is called often meanwhile.
    What a live engine noticed of trades is stored: nobody works it out again. Of rows beyond those (the last moment before a
    kill, what came while no engine ran) it is worked out now, and is among `take_noticed`; `noticed_up_to` is from which row on,
    if a live engine knows that better than the store. `spot_dates` are those of a live engine; None: as the store has them.
    `current_day` is the trading day that is running; None: that of `now`. `marks` are those in force, as quoted, not stored ones.
    With `resume` (and `past`) it goes on from the state of a close, if that can be used: reads the rows since, freezes none.
    """
    listener.enter("reference")
    known = store.noticed_up_to()
    known = known if known is None else max(known, noticed_up_to)
    engine = _without_trades(store, config, listener, epoch, now, spot_dates, current_day, marks)
    listener.enter("replay")
    last, check = store.watermark(), trade_check(engine.reference)
    collecting = gc.isenabled()
    gc.disable()  # a replay makes no garbage; scanning all of it again and again would be the main cost
    try:
        size = GENTLE_TRADES if gentle else BATCH_TRADES
        progress = _Progress(now, last, listener, size, known)
        freezer: Freezer | Thawing | None = None
        if resume is not None and past is not None and resume.prepare(engine, check, known):
            freezer, read_trades = _resume(engine, resume, past(check, engine), now), resume.read
            progress = progress._replace(first=resume.watermark, loaded=resume.rows_behind)
        elif past is not None and (days := config.engine.history_days):
            freezer = Freezer(engine, past(check, engine), now - days * DAY, last, rest)
        loaded = _replay(engine, read_trades(check), progress, freezer)
        _recall_lists(engine, store, check, list(read_conflicts(check)), freezer)
        engine.beat({}, now)
        begin_stored_day(engine, store)
        engine.publish(now, at_once=not gentle)
    finally:
        if collecting:
            gc.enable()
    listener.advance(1.0, loaded)
    return engine


def _resume(engine: Engine, resume: Resume, past: Past, now: int) -> "Thawing":
    resume.install(engine, past, now)
    return Thawing(engine, past)


def _without_trades(
    store: DayStore,
    config: Config,
    listener: Listener,
    epoch: int,
    now: int,
    spot_dates: SpotDates | None,
    current_day: str | None,
    marks: Mapping[str, Mark] | None,
) -> Engine:
    """An engine with reference data, balances, cash, verdicts and marks of the store, before its first trade."""
    reference = _reference(store, config)
    judge = spot_dates or SpotDates.of(store.calendar_state(), config.engine)
    engine = Engine(reference, config, epoch=epoch, now=now, spot_dates=judge, current_day=current_day)
    engine.take_actions(store.action_rows(), now, actions_day(engine, store))
    engine.recall_verdicts(store.verdicts())
    _take_balances(engine, store, now, listener)
    listener.enter("marks")
    times = CloseTimes(reference.instruments, closing_rules(config.engine, engine.calendars))
    engine.set_settlements(settlements(store, config, now))
    engine.take_fixings(fixings(store, reference.instruments, engine.trading_day, now))
    if marks is None:
        marks = with_manual(known_marks(store, config, times, now), store.manual_marks(), now)
    engine.marks.restore(marks)
    engine.beat({}, now, store.option_inputs())
    engine.note_waiting(waiting_closes(store, config, now))
    return engine


def _reference(store: DayStore, config: Config) -> Reference:
    currency, units = config.engine.reporting_currency, config.price_units
    return Reference(store.nodes(), store.instruments(), currency, store.rule_starts(), units)


def _take_balances(engine: Engine, store: DayStore, now: int, listener: Listener) -> None:
    """Opening balances, cash and carry: all that is known of positions and nodes before the first trade."""
    openings = store.openings()
    placed = list(_placed_openings(openings, engine.reference))
    engine.open_with(placed)
    listener.note(openings=len(placed), openings_left_out=len(openings) - len(placed))
    engine.take_cash(store.cash_beyond(None).rows, now, is_all=True)


def _recall_lists(
    engine: Engine, store: DayStore, check: TradeCheck, conflicts: Sequence[Trade], freezer: "Freezer | Thawing | None"
) -> None:
    """List stored conflicts, and what was noticed of trades before."""
    if freezer is not None:
        freezer.thaw_listed([trade for trade in conflicts if not engine.processed.is_in_memory(trade)])
    for trade in conflicts:
        engine.recall_conflict(trade)
    engine.recall_notices(_stored_items(store.notices(MAX_NOTICES), check), store.late_count())


class _Progress(NamedTuple):
    """How a replay goes: the time, the number of its last row, who listens, the trades of a batch.

    `known` is the row up to which what there is to notice is stored; None: no engine ever ran on the store. It begins after row
    `first`; up to there `loaded` rows are behind it.
    """

    now: int
    last: int
    listener: Listener
    size: int
    known: int | None
    first: int = 0
    loaded: int = 0


def _replay(
    engine: Engine, trades: Iterator[tuple[int, Trade | RefusedRow]], how: _Progress, freezer: "Freezer | Thawing | None"
) -> int:
    """Apply every trade; returns how many there were."""
    now, last, listener, size, known, begin, loaded = how
    seq, unjudged = begin, 0
    done = 0.0
    while True:
        batch: list[Trade] = []
        noticed = 0
        first = seq + 1
        begun, whole = done, done
        while len(batch) < size and (rows := [*islice(trades, min(READ_TRADES, size - len(batch)))]):
            batch += [trade for _, trade in rows if type(trade) is Trade]
            if known is not None and rows[0][0] <= known:
                beyond = rows[-1][0] > known and sum(number > known and type(trade) is Trade for number, trade in rows)
                noticed = len(batch) - beyond
            for _, row in rows:
                if type(row) is RefusedRow:
                    engine.quarantine_row(row.store_seq, row.received_ts, row.field_and_reason)
            seq = rows[-1][0]
            whole = APPLYING * min(1.0, max(0, seq - begin) / max(last - begin, 1))
            listener.advance(begun + (whole - begun) * READING, loaded + len(batch))
        loaded += len(batch)
        is_last = len(batch) < size
        if freezer is not None:
            freezer.thaw_for(batch, first)
        watermark = max(seq, last) if is_last else seq
        progress = _batch_progress(listener, begun, whole, loaded)
        if known is None or noticed == len(batch):
            engine.apply(batch, now, watermark, progress, noticed=known is not None)
        else:
            engine.apply(batch[:noticed], now, watermark, progress, noticed=True)
            unjudged += _apply_new(engine, batch[noticed:], now, watermark)
        if freezer is not None:
            freezer.freeze_after(batch, seq)
        if is_last:
            if freezer is not None:
                freezer.finish()
            listener.note(unjudged=unjudged)
            return loaded
        done = whole


def _apply_new(engine: Engine, trades: Sequence[Trade], now: int, watermark: int) -> int:
    """Apply trades that no live engine has seen for certain, as if they came now, in pieces, as the door takes them.

    Returns how many of them had to be compared with a mark of their time, and there is none any more.
    """
    unjudged = 0
    for first in range(0, len(trades), READ_TRADES):
        piece = trades[first : first + READ_TRADES]
        unjudged += len(engine.without_a_mark(piece))
        engine.apply(piece, now, watermark, notice=True)
    return unjudged


def _batch_progress(listener: Listener, begun: float, whole: float, loaded: int) -> Callable[[float], None]:
    """Reports to the listener how much of a batch is applied."""
    return lambda share: listener.advance(begun + (whole - begun) * (READING + (1.0 - READING) * share), loaded)


class Freezer:
    """Freezes old trades during a replay, so that memory holds little more than the last days at any time.

    Old are trades that were executed `history_days` before the newest trade so far, and that no later row is about. If a row is
    about one all the same, the trade is recalled first and stays in memory.
    """

    def __init__(self, engine: Engine, past: Past, before: int, last: int, rest: Callable[[], None]) -> None:
        self._engine = engine
        self._past = past
        self._before = before
        self._last = last
        self._rest = rest
        self._span = max(0, engine.snapshot.as_of - before)
        self._open = dict(past.later_versions())
        self._kept: set[tuple[str, str]] = set()
        self.keep(past.conflicts())
        self._thawed: set[Key] = set()
        self._newest = 0
        self._again_at = FREEZE_FROM

    def keep(self, trades: Iterable[Trade]) -> None:
        """Never freeze the deals of these trades."""
        self._kept.update((trade.source, trade.trade_id) for trade in trades)

    def thaw_for(self, trades: Sequence[Trade], first: int = 2**63) -> None:
        """Thaw what these trades touch; rows with numbers from `first` on have not been applied."""
        recalled = self._past.for_trades(trades, lambda store_seq: store_seq >= first)
        if recalled is not None:
            self._engine.thaw(recalled)
            self._thawed.update(key for key, _ in recalled.positions)

    def freeze_after(self, trades: Sequence[Trade], seq: int) -> None:
        """Freeze, if it is worth it, once trades up to number `seq` have been applied. Amortised O(trades)."""
        if seq > self._last:
            self.keep(trades)  # read again when the engine catches up: it must know them
        self._newest = max(self._newest, max((trade.ts for trade in trades), default=0))
        if self._engine.processed.in_memory >= self._again_at:
            waiting = {deal for deal, last in self._open.items() if last > seq}
            self._freeze(min(self._before, self._newest - self._span), waiting | self._kept)
            self._again_at = max(FREEZE_FROM, 2 * self._engine.processed.in_memory)

    def thaw_listed(self, trades: Sequence[Trade]) -> None:
        """Thaw what listing these trades needs."""
        self.thaw_for(trades)

    def finish(self) -> None:
        """Freeze all old trades now that everything has been applied."""
        self._thawed.clear()
        self._freeze(self._before, self._kept)
        processed = self._engine.processed
        processed.frozen_ids.merge_all()
        if processed.frozen_count:
            log.info("frozen", trades=processed.frozen_count, in_memory=processed.in_memory, bytes=processed.frozen_ids.nbytes)

    def _freeze(self, traded_before: int, open_deals: Container[tuple[str, str]]) -> None:
        engine = self._engine
        engine.merges.refresh()  # a spot position that takes a forward keeps its trades from there on
        waiting = (trade for trade, reason in engine.processed.quarantined.values() if is_waiting(reason))
        freeze(
            engine.ledger,
            engine.processed,
            before=self._before,
            traded_before=traded_before,
            open_deals=open_deals,
            # What changes when a day begins must be in memory: nobody reads the store then.
            except_keys={*self._thawed, *keys_of_identities(engine.processed, waiting)},
            rest=self._rest,
            dated_to=engine.trading_day.date_of(self._before).isoformat(),
        )


class Thawing:
    """In place of a `Freezer` where a replay goes on from the state of a close: thaws what the rows since touch."""

    def __init__(self, engine: Engine, past: Past) -> None:
        self._engine = engine
        self._past = past

    def thaw_for(self, trades: Sequence[Trade], first: int = 2**63) -> None:
        """Thaw what these trades touch; rows with numbers from `first` on have not been applied. 0.2 us for an ordinary one.

        An ordinary trade is the first version of one traded after the boundary: it is stored once, so no frozen one is the same.
        """
        frozen_to = self._engine.processed.frozen_to
        touching = [each for each in trades if each.ts < frozen_to or each.version > 1 or each.legs is not None]
        self._thaw(self._past.for_trades(touching, lambda store_seq: store_seq >= first))

    def thaw_listed(self, trades: Sequence[Trade]) -> None:
        """Thaw the versions of these trades, to list what conflicts with them; no position changes by that."""
        recalled = self._past.for_trades(trades, lambda _: False, versions_only=True)
        self._thaw(recalled)

    def _thaw(self, recalled: Recalled | None) -> None:
        if recalled is not None:
            self._engine.thaw(recalled)

    def freeze_after(self, trades: Sequence[Trade], seq: int) -> None:
        """See `Freezer`."""

    def finish(self) -> None:
        """See `Freezer`."""


def settle_memory() -> None:
    """Tell the garbage collector that what is loaded stays: its full collections would stop everything for a long time.

    Without a collection first: a replay leaves no cycles behind, and a collection would stop everything for a second. A few
    kilobytes of older garbage stay.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def known_marks(store: DayStore, config: Config, times: CloseTimes, now: int) -> dict[str, Mark]:
    """Stored marks, and for each instrument without a newer mark its newest close whose day has ended by `now`.

    A close is dated to the end of its own session or day, never to now, so that a quote from after the session stays. One of a
    day that has not ended waits for that.
    """
    marks = {mark.instrument: Mark(mark.price, mark.ts, mark.source, mark.kind) for mark in store.marks()}
    trading_day = TradingDay.of(config.engine)
    for close in store.latest_closes(trading_day.last_boundary(now).isoformat()):
        ts = times.of(close.instrument, close.date)
        known = marks.get(close.instrument)
        if known is None or known.ts < ts:
            marks[close.instrument] = Mark(close.price, ts, CLOSE, CLOSE)
    return marks


def settlements(store: DayStore, config: Config, now: int) -> dict[str, tuple[int, float]]:
    """The newest close of each instrument whose day has ended by `now`: the end of that day and the price."""
    trading_day = TradingDay.of(config.engine)
    closes = store.latest_closes(trading_day.last_closed(now).isoformat())
    return {close.instrument: (trading_day.close_of(dt.date.fromisoformat(close.date)), close.price) for close in closes}


def with_manual(marks: Mapping[str, Mark], by_hand: Iterable[ManualMark], now: int) -> dict[str, Mark]:
    """Marks with those that people set by hand: one that holds lies over the other, one without an expiry is told as theirs."""
    found = dict(marks)
    for one in by_hand:
        mark = found.get(one.instrument)
        if one.holds(now):
            said = SetByHand(one.author, one.reason, one.expires_ts, mark)
            found[one.instrument] = Mark(one.price, one.ts, MANUAL, TWO_SIDED, (), said)
        elif mark is not None and one.expires_ts is None and not one.cleared and (mark.source, mark.ts) == (MANUAL, one.ts):
            found[one.instrument] = mark._replace(by_hand=SetByHand(one.author, one.reason))
    return found


def waiting_closes(store: DayStore, config: Config, now: int) -> list[Close]:
    """The first MAX_NOTICES closes of days that have not ended by `now`, by date."""
    return store.closes_after(TradingDay.of(config.engine).last_boundary(now).isoformat(), MAX_NOTICES)


def _stored_items(stored: Iterable[StoredNotice], check: TradeCheck) -> Iterator[ExceptionItem]:
    """What was noticed before, with trades by the reference data of today; without those that do not fit it."""
    for notice, row in stored:
        trade = trade_from_row(row, check)
        if not isinstance(trade, RefusedRow):
            yield ExceptionItem(notice.id, notice.kind, notice.ts, notice.reason, trade, msgspec.json.decode(notice.detail))


def has_a_place(opening: Opening, reference: Reference) -> bool:
    """Whether the balance's desk and instrument exist."""
    return opening.instrument in reference.instrument_index and opening.desk in reference.hierarchy.leaves


def _placed_openings(openings: Sequence[Opening], reference: Reference) -> Iterator[Opening]:
    """Balances whose desk and instrument exist. Logs the others: somebody removed those, and the positions lack the balances."""
    for opening in openings:
        if has_a_place(opening, reference):
            yield opening
        else:
            log.error(
                "opening_left_out",
                desk=opening.desk,
                dealer=opening.dealer,
                instrument=opening.instrument,
                reason="unknown desk or instrument",
            )

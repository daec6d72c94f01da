"""An engine as it was at a moment: from the journal's marks of it and the trades that the store holds.

At a recorded instant that is exact: the journal says which trades the snapshot held, by which marks, vols, rates and Greeks it
valued, which day ran. Between two instants the answer is of the earlier one, at most `[journal] every_s` before. Where the
journal does not reach, it is what the store alone can say (`as_of`). With `known="now"` the trades, decisions, cash and corporate
actions are those that are known now, of what had happened by then; the marks are still those of then.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.engine.moment import NOW, THEN, Known, Moment
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.errors import BeforeTheStore
from riskengine.intake.recall import Recall
from riskengine.market.marks import Mark
from riskengine.positions.day_window import DayWindow
from riskengine.rebuild.as_of import PastDay
from riskengine.rebuild.from_close import FromClose
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.actions import ActionRows
from riskengine.records.decode import TradeCheck
from riskengine.records.journal import Instant
from riskengine.records.manual_marks import ManualMark
from riskengine.records.option_inputs import OptionInput
from riskengine.records.types import Identity, Trade, Verdict
from riskengine.snapshot.mark_journal import Recorded, read_chain
from riskengine.store.protocol import Store
from riskengine.store.results import CashRows, Changes, StoredNotice
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from riskengine.store.trade_rows import RefusedRow

TRADES_PER_REST = 256

IN_FORCE_WITHIN_US = MICROS_PER_SECOND
"""How long it takes at most from the store to the screens."""

REFERENCE_CHANGED = "nodes, instruments and openings have changed since: those of now stand in"
REFERENCE_OF_NOW = "nodes and instruments are those of now: the store keeps no older ones"
NO_JOURNAL = "no instant was recorded: marks are the newest stored ones of before it, else of the last close, else unknown"


class RecordedPast(PastDay):
    """The store at a recorded instant, or what is known now of then."""

    def __init__(self, store: Store, config: Config, ts: int, recorded: Recorded | None, known: Known) -> None:
        super().__init__(store, config, ts)
        self._recorded = recorded
        self._is_now = known == NOW

    @property
    def known_marks(self) -> Mapping[str, Mark] | None:
        """The marks in force then; None where nothing was recorded."""
        return None if self._recorded is None else self._recorded.marks

    @property
    def ts(self) -> int:
        """The time of the engine."""
        return self._ts

    @property
    def has_replaced(self) -> bool:
        """Whether accepted conflicts have replaced rows since."""
        return bool(self._replaced)

    def option_inputs(self) -> list[OptionInput]:
        """Vols, rates and Greeks in force then, else the store's newest of before it."""
        return super().option_inputs() if self._recorded is None else list(self._recorded.inputs)

    def manual_marks(self) -> list[ManualMark]:
        """None where the marks themselves say it."""
        return super().manual_marks() if self._recorded is None else []

    def struck_close_dates(self) -> dict[str, int]:
        """Closes that the day of then followed, in their version of then; of now, in the newest."""
        if self._is_now:
            ended = self._trading_day.last_boundary(self._ts).isoformat()
            return {date: version for date, version in self._store.struck_close_dates().items() if date <= ended}
        found = super().struck_close_dates()
        if self._recorded is None:
            return found
        return {date: version for date, version in found.items() if date <= self._recorded.closed}

    def action_rows(self) -> ActionRows:
        """Corporate actions that had been received, or all."""
        return self._store.action_rows() if self._is_now else super().action_rows()

    def notices(self, limit: int) -> list[StoredNotice]:
        """What had been noticed of trades, or all of it."""
        return self._store.notices(limit) if self._is_now else super().notices(limit)

    def verdicts(self) -> list[Verdict]:
        """What had been decided, or is."""
        return self._store.verdicts() if self._is_now else super().verdicts()

    def cash_beyond(self, seen: Changes | None) -> CashRows:
        """Versions of cash and carry that had been received, or all: the engine leaves out what is dated later."""
        return self._store.cash_beyond(None) if self._is_now else super().cash_beyond(seen)

    def read_conflicts(self, check: TradeCheck) -> Iterable[Trade]:
        """Conflicts that had been received, or all."""
        return read_conflicts(self._store, MAX_NOTICES)(check) if self._is_now else super().read_conflicts(check)

    def read_trades(self, check: TradeCheck) -> Iterator[tuple[int, Trade | RefusedRow]]:
        """The rows that the snapshot held; of now, those of trades that had been executed by then."""
        if self._is_now:
            yield from executed_by(read_trades(self._store)(check), self._ts)
        elif self._recorded is None:
            yield from super().read_trades(check)
        else:
            yield from self._held(check, self._recorded.instant.watermark)

    def _held(self, check: TradeCheck, watermark: int) -> Iterator[tuple[int, Trade | RefusedRow]]:
        for store_seq, trade in self.rows_of_then(check):
            if store_seq > watermark:
                return
            yield store_seq, trade


def executed_by(rows: Iterable[tuple[int, Trade | RefusedRow]], ts: int) -> Iterator[tuple[int, Trade | RefusedRow]]:
    """The rows of trades whose highest version was executed up to `ts`, in order; of a cancelled one, its highest but the cancel.

    O(rows) memory: which version is the highest is known at the end.
    """
    kept = [*rows]
    executed: dict[Identity, tuple[int, int]] = {}
    for _, trade in kept:
        if isinstance(trade, Trade) and trade.action != "cancel":
            version, _ = executed.get(trade.identity, (0, 0))
            if trade.version >= version:
                executed[trade.identity] = trade.version, trade.ts
    for store_seq, trade in kept:
        if isinstance(trade, RefusedRow) or executed.get(trade.identity, (0, ts))[1] <= ts:
            yield store_seq, trade


class MomentParts(NamedTuple):
    """What a moment is made from. `rest` is called often meanwhile; what it raises ends the work."""

    store: Store
    config: Config
    rest: Callable[[], None]


def recorded_at(store: Store, ts: int, rest: Callable[[], None] = lambda: None) -> tuple[Recorded | None, str]:
    """What the journal says of the newest instant up to `ts`, and why not where it cannot. Raises StoreError."""
    return recorded_of(store.instants_at(ts), rest)


def recorded_of(chain: Sequence[Instant], rest: Callable[[], None] = lambda: None) -> tuple[Recorded | None, str]:
    """What the journal says of the last of some instants (`Store.instants_at`), and why not where it cannot."""
    if not chain:
        return None, NO_JOURNAL
    try:
        return read_chain(chain, rest), ""
    except ValueError as error:
        return None, f"{error}: marks are the newest stored ones of before it, else of the last close, else unknown"


def moment_of(
    parts: MomentParts, asked: int, recorded: Recorded | None, reason: str, known: Known, *, whole: bool = False
) -> Moment:
    """The engine of a moment. 9 us a trade. Raises StoreError, ReferenceDataError, and what `rest` raises.

    `recorded` is of the newest instant up to `asked`, None for `reason`. It goes on from the state of the newest close where that
    lies before the moment, so that only the trades since are read; not where it is to be `whole` (with every trade in memory, for
    receipts), and not by what is known now.
    """
    past = RecordedPast(parts.store, parts.config, asked if recorded is None else recorded.instant.ts, recorded, known)
    engine = None if whole or known == NOW or recorded is None else _from_close(parts, past, recorded)
    if engine is None:
        engine = _rebuilt(parts, past, recorded)
    if recorded is not None and known == THEN:
        _date_deals(engine, recorded)
    engine.snapshot.seq = 0 if recorded is None else recorded.instant.seq
    exact_at = None if recorded is None else recorded.instant.ts
    return Moment(engine, asked, exact_at, known, tuple(_unknown(parts, engine, recorded, reason, known)))


def _date_deals(engine: Engine, recorded: Recorded) -> None:
    """Let deals count as of the day by which they counted then: while a close is struck, that is the day after it."""
    after, deals = recorded.dealt_after, engine.ledger.deals
    if after and (deals is None or deals.window.closed != after):
        engine.ledger.date_by(DayWindow.after(dt.date.fromisoformat(after), engine.trading_day))
        engine.publish(recorded.instant.ts)


class _Refused(Exception):
    """The state of the close cannot be used for this moment."""


def _from_close(parts: MomentParts, past: RecordedPast, recorded: Recorded) -> Engine | None:
    """The engine of a recorded instant from the state of a close before it; None where there is none that can be used."""
    stored = parts.store.close_state()
    if stored is None or stored.void or stored.state.date > recorded.closed or past.has_replaced:
        return None

    def refuse() -> None:
        raise _Refused

    resume = FromClose(parts.store, parts.config, up_to=recorded.instant.watermark, rest=parts.rest, on_refusal=refuse)
    try:
        return _rebuilt(parts, past, recorded, resume=resume, past=partial(Recall, parts.store))
    except _Refused:
        return None


def _rebuilt(parts: MomentParts, past_store: RecordedPast, recorded: Recorded | None, **more: Any) -> Engine:
    return rebuild(
        past_store,
        lambda check: _resting(past_store.read_trades(check), parts.rest),
        parts.config,
        epoch=0 if recorded is None else recorded.instant.epoch,
        now=past_store.ts,
        read_conflicts=past_store.read_conflicts,
        gentle=True,
        current_day=None if recorded is None else recorded.current_day or None,
        marks=past_store.known_marks,
        **more,
    )


def _resting(
    rows: Iterable[tuple[int, Trade | RefusedRow]], rest: Callable[[], None]
) -> Iterator[tuple[int, Trade | RefusedRow]]:
    for place, row in enumerate(rows):
        if not place % TRADES_PER_REST:
            rest()
        yield row


def _unknown(parts: MomentParts, engine: Engine, recorded: Recorded | None, reason: str, known: Known) -> Iterator[str]:
    if recorded is None:
        yield reason
        without = sum(mark is None or not mark.ts for mark in engine.marks.marks)
        if without:
            yield f"{without} of {len(engine.marks.marks)} instruments have no mark of before it"
        yield REFERENCE_OF_NOW
    elif recorded.instant.revision != parts.store.reference_revision():
        yield REFERENCE_CHANGED
    if known == THEN and recorded is not None and (late := _just_received(parts.store, recorded.instant.ts)):
        yield f"{late} received in the second before: the screens may have shown it a moment later"
    if known == THEN and recorded is None:
        yield "official closes and decisions that were changed since are as they are now"


def _just_received(store: Store, ts: int) -> str:
    """What else than trades and prices came so shortly before that the snapshot of the moment may not have held it."""
    since = ts - IN_FORCE_WITHIN_US
    came = {
        "cash or carry": (row.received_ts for row in store.cash_beyond(None).rows),
        "a decision": (verdict.ts for verdict in store.verdicts()),
    }
    return " and ".join(what for what, times in came.items() if any(since < each <= ts for each in times))


def check_reach(store: Store, asked: int) -> None:
    """Raises BeforeTheStore where the moment lies before everything that the store holds. One row of each table, mostly."""
    begins = [row.received_ts for row in store.trades_after(0, 1)]
    begins += [
        header.struck_ts for date in sorted(store.struck_close_dates())[:1] if (header := store.struck_close_header(date, 1))
    ]
    if (span := store.journal_span()) is not None:
        begins.append(span[0])
    if begins and min(begins) <= asked:
        return
    begins += [opening.ts for opening in store.openings()]
    if not begins or asked < min(begins):
        begin = f"it begins at {min(begins)}" if begins else "it holds nothing"
        raise BeforeTheStore(f"{asked} is before everything that the store holds: {begin}")

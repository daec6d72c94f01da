"""A start that goes on from the state of a close: sums in place of the trades behind them, then the rows that came after.

What it reads again of the rows up to the state's watermark: those that are not done (parked, quarantined, traded after the
boundary, ..), those that no frozen position stands for, those that were no trades, and on PostgreSQL those of transactions that
committed after the state was made. Everything else is compared with the store once the engine is live (`Reconciler`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from riskengine.config import Config
from riskengine.engine.engine import Engine
from riskengine.positions.frozen_ids import VersionCounts
from riskengine.positions.frozen_state import add_tail, adjusted_symbols, install
from riskengine.rebuild.close_terms import difference
from riskengine.rebuild.rebuild import Past
from riskengine.records.close_state import CloseState, FrozenPosition, StoredCloseState
from riskengine.records.decode import TradeCheck
from riskengine.records.types import Identity, IntArray, Trade
from riskengine.store.protocol import Store
from riskengine.store.tables.bulk_trades import stored_trades
from riskengine.store.tables.close_states import late_numbers
from riskengine.store.tables.frozen_columns import unpack_frozen, unpack_ids
from riskengine.store.trade_rows import RefusedRow, TradeRow, trade_from_row

DEALS_AT_ONCE = 2_000
ROWS_AT_ONCE = 5_000
TRADES_PER_REST = 256

NONE_YET = "there is none yet"
ALL_IN_MEMORY = "engine.history_days = 0 keeps every trade in memory"

Rest = Callable[[], None]
StoredRow = tuple[int, Trade | RefusedRow]


class FromClose:
    """One start. `refused` says why the stored state was not used, "" if it was; `state` is the state in use.

    `up_to` is the last row to read, None: all. Calls `rest` often, and `on_refusal` if the state cannot be used. One thread.
    """

    def __init__(
        self,
        store: Store,
        config: Config,
        *,
        up_to: int | None = None,
        rest: Rest = lambda: None,
        on_refusal: Rest = lambda: None,
    ) -> None:
        self._on_refusal = on_refusal
        self._store = store
        self._config = config
        self._up_to = up_to
        self._rest = rest
        self.refused = NONE_YET
        self.state: CloseState | None = None
        self._frozen: dict[str, list[FrozenPosition]] = {}
        self._ids: list[tuple[IntArray, VersionCounts]] = []
        self._again: list[StoredRow] = []
        self._tails: list[Trade] = []
        self._others: list[StoredRow] = []

    @property
    def watermark(self) -> int:
        """The number of the last row behind the state. 0 if none is in use."""
        return 0 if self.state is None else self.state.watermark

    @property
    def rows_behind(self) -> int:
        """How many rows the state stands for. 0 if none is in use."""
        return 0 if self.state is None else self.state.applied + self.state.superseded

    def prepare(self, engine: Engine, check: TradeCheck, known: int | None) -> bool:
        """Read the stored state, all of it; nothing has changed yet. False if it cannot be used (`refused`). Raises StoreError.

        `known` is the row up to which what there is to notice is stored. 5 us a position, and what is read again.
        """
        is_usable = self._prepare(engine, check, known)
        if not is_usable:
            self._on_refusal()
        return is_usable

    def _prepare(self, engine: Engine, check: TradeCheck, known: int | None) -> bool:
        try:
            stored = self._store.close_state()
            self.refused = self._refusal(engine, stored, known)
            if stored is None or self.refused:
                return False
            self._read_chunks(stored)
        except ValueError as error:
            self.refused = str(error)
            return False
        owners = {"node": engine.reference.hierarchy.leaves, "dealer": frozenset(stored.state.dealers)}
        for rollup, positions in self._frozen.items():
            gone = next((each.owner for each in positions if each.owner not in owners[rollup]), None)
            if gone is not None:
                self.refused = f"{rollup} {gone or 'of trades without one'} is gone"
                return False
        engine.processed.frozen_ids.restore(self._ids, stored.state.frozen + stored.state.cancelled, self._rest)
        self._ids = []
        self.refused = self._read_again(engine, check, stored.state)
        if self.refused:
            engine.processed.frozen_ids.restore([], 0, self._rest)
            return False
        self.state = stored.state
        return True

    def _refusal(self, engine: Engine, stored: StoredCloseState | None, known: int | None) -> str:
        """Why the stored state cannot be used, as far as its header says; "" if it can."""
        if not self._config.engine.history_days:
            return ALL_IN_MEMORY
        if stored is None:
            return NONE_YET
        if stored.void:
            return stored.void
        state = stored.state
        if state.date not in self._store.struck_close_dates():
            return f"the close of {state.date} is not stored"
        if known is None or known < state.watermark or self._store.watermark() < state.watermark:
            return f"the store ends before row {state.watermark:,}, which it holds"
        if self._up_to is not None and state.watermark > self._up_to:
            return f"it holds rows up to {state.watermark:,}"
        moments = engine.settled_moments()
        for symbol, kept in state.moments.items():
            moment = moments.get(symbol, state.frozen_to)
            if moment < state.frozen_to and moment not in kept:
                return f"nobody kept what {symbol} came to at the settlement that counts today"
        if adjusted := sorted(adjusted_symbols(engine.ledger) & state.instruments.keys()):
            return f"a corporate action of {adjusted[0]} has come since"
        return difference(state, engine.reference, self._store.openings(), self._config)

    def _read_chunks(self, stored: StoredCloseState) -> None:
        """Raises ValueError if a chunk is missing or cannot be read."""
        for rollup in ("node", "dealer"):
            found: list[FrozenPosition] = []
            for content in self._chunks(stored, rollup):
                found += unpack_frozen(content)
            self._frozen[rollup] = found
        self._ids = [unpack_ids(content) for content in self._chunks(stored, "ids")]
        if sum(len(prints) for prints, _ in self._ids) != stored.state.frozen + stored.state.cancelled:
            raise ValueError("it lacks fingerprints of trades")

    def _chunks(self, stored: StoredCloseState, part: str) -> Iterator[bytes]:
        for place in range(stored.state.parts.get(part, 0)):
            content = self._store.close_state_chunk(stored.number, part, place)
            if content is None:
                raise ValueError(f"chunk {place} of its {part} positions is gone")
            self._rest()
            yield content

    def _read_again(self, engine: Engine, check: TradeCheck, state: CloseState) -> str:
        """Read the rows that are read again. Returns why that cannot be done, or ""."""
        tails = set(map(Identity._make, state.tails))
        kept, counts = set(map(Identity._make, state.kept)), engine.processed.frozen_ids
        again = kept_rows(self._store, check, state, self._rest)
        for row in rows_of_identities(self._store, list(tails), self._rest):
            trade = trade_from_row(row, check)
            if isinstance(trade, Trade) and counts.version_count(*trade.identity) == trade.version:
                self._tails.append(trade)
        if len(self._tails) < len(tails):
            return "trades that it names are no longer in the store"
        others = {*state.unreadable, *self._store.read(partial(late_numbers, bookmark=state.bookmark, up_to=state.watermark))}
        for row in rows_numbered(self._store, sorted(others - again.keys()), self._rest):
            trade = trade_from_row(row, check)
            if isinstance(trade, Trade) and trade.identity in kept:
                again[row.store_seq] = trade
            elif isinstance(trade, Trade) and counts.version_count(*trade.identity):
                return f"row {row.store_seq} says something about a trade behind it that it did not say then"
            else:
                self._others.append((row.store_seq, trade))
        self._again = sorted(again.items())
        self._others.sort(key=lambda each: each[0])
        return ""

    def install(self, engine: Engine, past: Past, now: int) -> None:
        """Put the state into an engine that holds opening balances and verdicts, and nothing else. Raises StoreError.

        3 us a position, 10 us a row that was read again.
        """
        state, processed, ledger = self.state, engine.processed, engine.ledger
        assert state is not None, "a state that was prepared"
        for dealer in state.dealers:
            ledger.dealer_number(dealer)
        for rollup, positions in self._frozen.items():
            for first in range(0, len(positions), TRADES_PER_REST):
                install(ledger, rollup, positions[first : first + TRADES_PER_REST])
                self._rest()
        processed.frozen_count, processed.frozen_cancelled = state.frozen, state.cancelled
        processed.frozen_to = state.frozen_to
        engine.count_frozen(state.applied, state.superseded, now)
        for seen, trade in enumerate(engine.place(self._tails)):
            add_tail(ledger, trade)
            if not seen % TRADES_PER_REST:
                self._rest()
        for store_seq, row in self._again:
            if isinstance(row, RefusedRow):
                engine.quarantine_row(store_seq, row.received_ts, row.field_and_reason)
        entering = engine.admit([row for _, row in self._again if isinstance(row, Trade)], now)
        recalled = past.for_trades(entering, lambda _: False)
        if recalled is not None:
            engine.thaw(recalled)
        engine.enter(entering)
        self._frozen, self._again, self._tails = {}, [], []

    def read(self, check: TradeCheck) -> Iterator[StoredRow]:
        """The other rows to apply, in store order: those up to the watermark that were not taken then, and all later ones."""
        yield from self._others
        self._others = []
        yield from rows_up_to(stored_trades(self._store, check, after=self.watermark), self._up_to)


def kept_rows(store: Store, check: TradeCheck, state: CloseState, rest: Rest) -> dict[int, Trade | RefusedRow]:
    """The rows up to the watermark of the identities that are not done, by number. Raises StoreError. 15 us each."""
    rows = rows_of_identities(store, list(map(Identity._make, state.kept)), rest)
    return {row.store_seq: trade_from_row(row, check) for row in rows if row.store_seq <= state.watermark}


def rows_up_to(rows: Iterable[StoredRow], up_to: int | None) -> Iterator[StoredRow]:
    """The rows in store order with numbers up to one; None: all."""
    for row in rows:
        if up_to is not None and row[0] > up_to:
            return
        yield row


def rows_of_identities(store: Store, identities: Sequence[Identity], rest: Rest) -> Iterator[TradeRow]:
    """All rows of identities, in any order. Raises StoreError. 10 us each."""
    wanted, deals = set(identities), sorted({(each.source, each.trade_id) for each in identities})
    for first in range(0, len(deals), DEALS_AT_ONCE):
        for row in store.trades_of_deals(deals[first : first + DEALS_AT_ONCE]):
            if (row.source, row.trade_id, row.leg) in wanted:
                yield row
        rest()


def rows_numbered(store: Store, numbers: Sequence[int], rest: Rest) -> Iterator[TradeRow]:
    """The rows with some numbers that exist, in any order. Raises StoreError. 8 us each."""
    for first in range(0, len(numbers), ROWS_AT_ONCE):
        yield from store.trades_numbered(numbers[first : first + ROWS_AT_ONCE])
        rest()

"""Makes the state of a close, from which later starts go on: an engine of every row up to a number, most of it frozen.

The engine is built for that alone, beside the live one, from the state before and the rows since, or from all rows where there
is no such state. The live engine feels a second reader of the store, nothing else. 10 us for each row since the close before.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

from msgspec.structs import replace

from riskengine.clock import MICROS_PER_SECOND
from riskengine.config import Config
from riskengine.engine.cash_ladder import look_back
from riskengine.engine.engine import Engine
from riskengine.engine.worklist import MAX_NOTICES, OLDER_RULE
from riskengine.intake.recall import Recall
from riskengine.positions.freezing import freeze, freeze_again, keys_covering, keys_of_identities
from riskengine.positions.frozen_state import adjusted_symbols, frozen_positions, rollups_of, trades_in_tails
from riskengine.positions.processed import APPLIED, SUPERSEDED, Processed, unescape_name
from riskengine.positions.quarantine import is_waiting
from riskengine.rebuild.close_terms import end_of_day, instrument_terms, terms_of
from riskengine.rebuild.from_close import TRADES_PER_REST, FromClose, Rest, StoredRow, kept_rows, rows_up_to
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.close_state import CloseState
from riskengine.records.decode import TradeCheck
from riskengine.records.reference import trade_check
from riskengine.records.types import Identity, Key, Kind, Trade, Verdict
from riskengine.store.protocol import Store
from riskengine.store.tables.bulk_trades import read_conflicts, stored_trades
from riskengine.store.tables.close_states import last_received_before
from riskengine.store.tables.frozen_columns import CHUNK_IDS, CHUNK_POSITIONS, pack_frozen, pack_ids
from riskengine.store.trade_rows import RefusedRow

FOREVER = 2**63 - 1

STRUCK_WITHIN = 60 * MICROS_PER_SECOND
"""Rows received later than this after the boundary are read by a start as they came, however late the close was struck."""

RECENT_TRADES = 50_000
"""Trades of the last days that stay in memory if they are no more: the cash ladder looks at them. 1 s of a start."""

CLOSES_KEPT = 8
"""Trading days whose closes pairs and futures remember at most: no spot trade settles later, and no settlement comes later."""

SaveChunk = Callable[[str, int, bytes], None]
"""Stores a chunk: its part, its place there, its content. Raises StoreError."""


class Made(NamedTuple):
    """A state whose chunks are stored, and the engine that it was made of: to be released."""

    state: CloseState
    engine: Engine


def make_close_state(
    store: Store, config: Config, date: str, *, epoch: int, now: int, rest: Rest, save: SaveChunk
) -> Made | None:
    """Make the state of the struck close of a day, and `save` its chunks. Raises StoreError, ReferenceDataError, ValueError.

    Returns None if it must wait: what the live engine noticed is not stored up to there yet, or no trade has come.
    """
    close = store.struck_close_header(date)
    assert close is not None, "a state is of a struck close"
    watermark = store.read(partial(last_received_before, ts=min(close.struck_ts, close.ts + STRUCK_WITHIN)))
    known = store.noticed_up_to()
    if not watermark or known is None or known < watermark:
        return None
    bookmark = store.bookmark().snapshot  # before the first row is read

    def read_all(check: TradeCheck) -> Iterator[StoredRow]:
        return _with_rests(rows_up_to(stored_trades(store, check), watermark), rest)

    before = FromClose(store, config, up_to=watermark, rest=rest)
    engine = rebuild(
        store,
        read_all,
        config,
        epoch=epoch,
        now=now,
        read_conflicts=read_conflicts(store, MAX_NOTICES),
        gentle=True,
        past=partial(Recall, store),
        rest=rest,
        resume=before,
    )
    state = freeze_for_close(engine, store, config, date, watermark, rest)
    parts = _save_chunks(engine, rest, save)
    return Made(replace(state, bookmark=bookmark, made_ts=now, parts=parts), engine)


def _with_rests(rows: Iterator[StoredRow], rest: Rest) -> Iterator[StoredRow]:
    for seen, row in enumerate(rows):
        if not seen % 64:
            rest()
        yield row


def freeze_for_close(engine: Engine, store: Store, config: Config, date: str, watermark: int, rest: Rest) -> CloseState:
    """Freeze everything that is done by the close of a day in an engine of the rows up to `watermark`. Raises StoreError.

    Returns the state without its chunks. What is in `kept` counts again at a start, so it is counted off here.
    """
    processed, ledger = engine.processed, engine.ledger
    _, boundary = engine.trading_day.window(end_of_day(date))
    recent = look_back(engine.trading_day, boundary)
    is_small = watermark - store.read(partial(last_received_before, ts=recent)) <= RECENT_TRADES
    moments = _moments(engine, end_of_day(date))
    waiting = [trade for trade, reason in processed.quarantined.values() if is_waiting(reason)]
    freeze(
        ledger,
        processed,
        before=FOREVER,
        traded_before=recent if is_small else boundary,
        open_deals=_open_deals(engine, store.verdicts()),
        except_keys=keys_of_identities(processed, waiting) | _adjusted_keys(engine),
        rest=rest,
        dated_to=date,
        cancelled=True,
        moments=moments,
    )
    _uncover(engine, store, list(processed.identities_in_memory()), moments)
    processed.forget_thawed()
    processed.frozen_ids.merge_all()
    state = _named(engine, store, config, date, watermark, moments, rest)
    counts = _count(engine, store, state, rest)
    applied, superseded = state.applied - counts[APPLIED], state.superseded - counts[SUPERSEDED]
    return replace(state, applied=applied, superseded=superseded)


def _named(
    engine: Engine,
    store: Store,
    config: Config,
    date: str,
    watermark: int,
    moments: Mapping[str, Sequence[int]],
    rest: Rest,
) -> CloseState:
    """The state of an engine that is frozen, with the counts of all its rows."""
    processed, ledger, snapshot = engine.processed, engine.ledger, engine.snapshot
    symbols = _symbols_with_bases(engine)
    kept = list(processed.identities_in_memory())
    unreadable = (item.detail.get("store_seq") for item in snapshot.exceptions.get("quarantined", ()) if item.trade is None)
    return CloseState(
        date=date,
        made_ts=0,
        watermark=watermark,
        bookmark="",
        terms=terms_of(engine.reference, store.openings(), config),
        instruments={symbol: instrument_terms(engine.reference.by_symbol[symbol]) for symbol in symbols},
        moments={symbol: list(moments[symbol]) for symbol in symbols if symbol in moments},
        currencies=list(engine.reference.root.currencies[: engine.reference.plain_currencies]),
        dealers=list(ledger.dealer_index),
        kept=[(*identity,) for identity in kept],
        tails=[(*identity,) for identity in dict.fromkeys(trades_in_tails(ledger, processed, rest))],
        unreadable=[number for number in unreadable if isinstance(number, int)],
        applied=snapshot.counts.applied,
        superseded=snapshot.counts.superseded,
        frozen=processed.frozen_count,
        cancelled=processed.frozen_cancelled,
        frozen_to=processed.frozen_to,
        parts={},
    )


def _moments(engine: Engine, date: dt.date) -> dict[str, list[int]]:
    """The closes of days from which on trades of a pair or a future may settle later than the close of `date`, ascending."""
    trading_day, settled = engine.trading_day, engine.settled_moments()
    closes, day = list[int](), date
    for _ in range(CLOSES_KEPT):
        closes.insert(0, trading_day.close_of(day))
        day = trading_day.previous(day)
    found = {}
    for instrument in engine.reference.instruments:
        if instrument.kind in (Kind.FX, Kind.FUTURE):
            moment = settled.get(instrument.instrument, closes[0])
            found[instrument.instrument] = sorted({moment, *(close for close in closes if close >= moment)})
    return found


def _adjusted_keys(engine: Engine) -> set[Key]:
    """The positions in instruments that corporate actions touch."""
    symbols, adjusted = engine.reference.symbols, adjusted_symbols(engine.ledger)
    return {
        (name, owners[owner], symbols[number])
        for name, (rollup, owners) in (rollups_of(engine.ledger) if adjusted else {}).items()
        for owner, number, _ in rollup.positions()
        if symbols[number] in adjusted
    }


def _uncover(engine: Engine, store: Store, kept: list[Identity], moments: Mapping[str, Sequence[int]]) -> None:
    """See that no base stands for the trade of a kept identity: one that was frozen at an earlier close is thawed for this."""
    ledger, processed = engine.ledger, engine.processed
    standing = [trade for trade in map(processed.effective, kept) if trade is not None]
    keys = keys_covering(ledger, processed, standing)
    recalled = Recall(store, trade_check(engine.reference), engine).for_keys(keys)
    if recalled is not None:
        engine.thaw(recalled)
        freeze_again(ledger, processed, keys, moments)


def _open_deals(engine: Engine, verdicts: Collection[Verdict]) -> set[tuple[str, str]]:
    """Deals that later decisions may change, or that are listed as long as they count: they are read again at every start."""
    listed = (item.trade for item in engine.snapshot.exceptions.get(OLDER_RULE, ()))
    deals = {(trade.source, trade.trade_id) for trade in listed if trade is not None}
    for verdict in verdicts:
        words = verdict.id.split(":")
        if words[0] in ("quarantined", "conflict") and len(words) > 3:
            deals.add((unescape_name(words[1]), unescape_name(words[2])))
    return deals


def _count(engine: Engine, store: Store, state: CloseState, rest: Rest) -> dict[str, int]:
    """What becomes of the rows that are read again as a start takes them, counted by outcome."""
    rows = kept_rows(store, trade_check(engine.reference), state, rest)
    counts, again = dict.fromkeys((APPLIED, SUPERSEDED), 0), Processed()
    for seen, (_, trade) in enumerate(sorted(rows.items(), key=itemgetter(0))):
        if not seen % TRADES_PER_REST:
            rest()
        if not isinstance(trade, RefusedRow) and _holds(engine.processed, trade):
            status = again.admit(trade, engine.quarantine.reason(trade)).status
            counts[status] = counts.get(status, 0) + 1
    return counts


def _holds(processed: Processed, trade: Trade) -> bool:
    return any(version.version == trade.version for version in processed.versions(trade.identity))


def _symbols_with_bases(engine: Engine) -> list[str]:
    symbols = engine.reference.symbols
    return sorted({symbols[number] for _, number, one in engine.ledger.organisation.positions() if one.base is not None})


def _save_chunks(engine: Engine, rest: Rest, save: SaveChunk) -> dict[str, int]:
    """Pack and save the frozen positions and fingerprints. Returns how many chunks each part has."""
    parts = {}
    for name, (rollup, owners) in rollups_of(engine.ledger).items():
        positions, place = frozen_positions(rollup, owners, rest), 0
        while some := list(islice(positions, CHUNK_POSITIONS)):
            save(name, place, pack_frozen(some))
            place += 1
        parts[name] = place
    place = 0
    for prints, counts in engine.processed.frozen_ids.parts(CHUNK_IDS):
        save("ids", place, pack_ids(prints, counts))
        place += 1
    return parts | {"ids": place}

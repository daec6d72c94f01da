"""Reads from the store what an engine has frozen, before trades arrive that touch it.

The engine holds an identity of long ago as a fingerprint only (`FrozenIds`): before another version of it is applied, its stored
versions are read and put back. The same holds for a position whose base stands for frozen trades (`freezing`), when a trade
comes, changes or goes among those. Only what the engine has seen counts: the versions that an identity was frozen with, and no
row that is yet to be handed over. A frozen trade that the store does not confirm was never seen; if its row is gone, the position
that was built from it shows that and is set aside.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from riskengine.engine.engine import Engine
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.positions.freezing import Recalled, frozen_place, keys_covering
from riskengine.positions.frozen_ids import FrozenIds
from riskengine.positions.processed import exception_id, unescape_name
from riskengine.records.decode import TradeCheck
from riskengine.records.types import Identity, Key, Trade, order_key
from riskengine.store.protocol import Store
from riskengine.store.queries import Transaction
from riskengine.store.tables.bulk_trades import read_conflicts
from riskengine.store.trade_rows import RefusedRow, TradeRow, trade_from_row

ROWS_AT_ONCE = 5_000
"""Rows that one statement reads for a reader beside the engine."""

Unseen = Callable[[int], bool]
"""Whether the row with this store_seq has not gone to the engine yet."""


def nothing_unseen(store_seq: int) -> bool:
    """False: every row that counts has gone to the engine."""
    return False


class Recall:
    """Reads back what one engine has frozen. `check` is by the reference data of that engine. One thread at a time."""

    def __init__(self, store: Store, check: TradeCheck, engine: Engine) -> None:
        self._store = store
        self._check = check
        self._engine = engine

    def for_trades(
        self,
        trades: Sequence[Trade],
        unseen: Unseen = nothing_unseen,
        *,
        moving: bool = False,
        versions_only: bool = False,
    ) -> Recalled | None:
        """What the engine must take back (`Engine.thaw`) before these trades; None if nothing. Raises StoreError.

        A duplicate touches no position, unless `moving`: a person has decided about these trades. Nor does any trade if
        `versions_only`: it is to be compared with the versions that stand.
        2 us a trade; 20 us for each row read; for frozen positions 0.1 s for each million trades stored.
        """
        processed, ledger = self._engine.processed, self._engine.ledger
        history = processed.frozen_ids
        if not len(history) or not trades:
            return None
        counts = history.version_counts(trades)
        asked: list[Identity | Trade] = [trade for trade, count in zip(trades, counts, strict=True) if count]
        counted = [Identity(one.source, one.trade_id, leg) for one in trades if one.legs for leg in range(one.legs + 1)]
        asked += [other for other, count in zip(counted, history.version_counts(counted), strict=True) if count]
        deals = {(each.source, each.trade_id) for each in asked}
        versions = self._versions(deals, unseen) if deals else {}
        touching: list[Trade] = []
        for trade in () if versions_only else trades:
            known = versions.get(trade.identity, ()) if versions else ()
            if not moving and any(one.version == trade.version and one.same_economics(trade) for one in known):
                continue  # a duplicate: nothing moves
            touching.append(trade)
            touching.extend(known[-1:])
        keys = keys_covering(ledger, processed, touching)
        if not versions and not keys:
            return None
        return Recalled(list(versions.values()), self._positions(keys, unseen))

    def for_keys(self, keys: Collection[Key]) -> Recalled | None:
        """The trades that the bases of some positions stand for; None if there are none. Raises StoreError."""
        frozen = [key for key in keys if frozen_place(self._engine.ledger, key) is not None]
        return Recalled((), self._positions(frozen, nothing_unseen)) if frozen else None

    def for_rows(self, trades: Iterable[Trade]) -> Recalled | None:
        """All versions of those identities that are frozen, for a repair that judges them anew. Raises StoreError."""
        one_each = list({trade.identity: trade for trade in trades}.values())
        counts = self._engine.processed.frozen_ids.version_counts(one_each)
        deals = {(one.source, one.trade_id) for one, count in zip(one_each, counts, strict=True) if count}
        return Recalled(list(self._versions(deals, nothing_unseen).values()), ()) if deals else None

    def later_versions(self) -> dict[tuple[str, str], int]:
        """Deals with more than one stored version, and the store_seq of the last one. Raises StoreError. 2 us each."""
        rows = self._store.read(lambda transaction: transaction.rows("later_versions"))
        return {(source, trade_id): store_seq for source, trade_id, store_seq in rows}

    def questioned_trades(self, since: int) -> list[Trade]:
        """Trades that conflicts and accepting verdicts since then are about, while the engine was built. Raises StoreError."""
        accepted = {one.id for one in self._store.verdicts() if one.verdict == "accept" and one.ts >= since}
        kept_out = (trade for trade, _ in self._engine.processed.quarantined.values())
        apart = (trade for trade in self.conflicts() if not self._engine.processed.is_in_memory(trade))
        found = [*apart, *(trade for trade in kept_out if exception_id("quarantined", trade) in accepted)]
        parts = [name.split(":") for name in accepted if name.startswith("conflict:")]
        deals = {(unescape_name(words[1]), unescape_name(words[2])) for words in parts if len(words) > 2}
        return [*found, *self._read(self._store.trades_of_deals(sorted(deals)), nothing_unseen)] if deals else found

    def conflicts(self) -> list[Trade]:
        """Stored conflicts, as many as are remembered. Raises StoreError. 10 us each."""
        return list(read_conflicts(self._store, MAX_NOTICES)(self._check))

    def _versions(self, deals: Collection[tuple[str, str]], unseen: Unseen) -> dict[Identity, list[Trade]]:
        """The versions that frozen identities were frozen with, lowest first."""
        found: dict[Identity, dict[int, Trade]] = {}
        for trade in self._read(self._store.trades_of_deals(sorted(deals)), unseen):
            found.setdefault(trade.identity, {})[trade.version] = trade
        counts = self._engine.processed.frozen_ids.version_counts(list(found))
        return {
            identity: [versions[number] for number in range(1, count + 1)]
            for (identity, versions), count in zip(found.items(), counts, strict=True)
            if count and versions.keys() >= set(range(1, count + 1))
        }

    def _positions(self, keys: Collection[Key], unseen: Unseen) -> list[tuple[Key, list[Trade]]]:
        """The trades that the bases of some keys stand for."""
        if not keys:
            return []
        wanted: dict[Key, list[Trade]] = {key: [] for key in keys}
        rows = self._store.trades_numbered(self._store.read(partial(_numbers, ledger_ranges=self._ranges(keys))))
        trades = list(self._read(rows, unseen))
        for trade, count in zip(trades, self._engine.processed.frozen_ids.version_counts(trades), strict=True):
            if count != trade.version or trade.action == "cancel":  # another version stands, or it was never frozen
                continue
            for key in (("node", trade.desk, trade.instrument), ("dealer", trade.dealer, trade.instrument)):
                place = frozen_place(self._engine.ledger, key) if key in wanted else None
                if place is not None and place.position is not None and place.position.covers(trade):
                    wanted[key].append(trade)
        return list(wanted.items())

    def _ranges(self, keys: Collection[Key]) -> "dict[str, tuple[int, int, list[str], list[str]]]":
        """By roll-up: the times of the oldest and the newest trade, instruments, owners."""
        ranges: dict[str, tuple[int, int, list[str], list[str]]] = {}
        for rollup, owner, instrument in keys:
            place = frozen_place(self._engine.ledger, (rollup, owner, instrument))
            base = None if place is None or place.position is None else place.position.base
            if base is not None:
                since, until, instruments, owners = ranges.get(rollup, (base.since, base.newest.ts, [], []))
                ranges[rollup] = min(since, base.since), max(until, base.newest.ts), instruments, owners
                instruments.append(instrument)
                owners.append(owner)
        return ranges

    def _read(self, rows: Iterable[TradeRow], unseen: Unseen) -> Iterable[Trade]:
        for row in rows:
            trade = trade_from_row(row, self._check)
            if not isinstance(trade, RefusedRow) and not unseen(row.store_seq):
                yield self._engine.quarantine.place(trade)


def frozen_since(
    store: Store,
    check: TradeCheck,
    frozen: FrozenIds,
    behind: Mapping[Key, Trade],
    since: int,
    place: Callable[[Trade], Trade],
) -> dict[Key, list[Trade]]:
    """The frozen trades of leaf positions since a time, of each up to one, from the store. Any thread. Raises StoreError.

    `check` is by the reference data of the engine that froze them, `place` its `Quarantine.place`. 15 us for each trade since,
    0.1 s a million trades stored.
    """
    found: dict[Key, list[Trade]] = {key: [] for key in behind}
    until = max(trade.ts for trade in behind.values())
    owners, instruments = [owner for _, owner, _ in behind], [instrument for _, _, instrument in behind]
    numbers = store.read(partial(_numbers, ledger_ranges={"node": (since, until, instruments, owners)}))
    for first in range(0, len(numbers), ROWS_AT_ONCE):
        rows = store.trades_numbered(numbers[first : first + ROWS_AT_ONCE])
        read = [place(trade) for row in rows if isinstance(trade := trade_from_row(row, check), Trade)]
        for trade, count in zip(read, frozen.version_counts(read), strict=True):
            key = ("node", trade.desk, trade.instrument)
            if count == trade.version and key in behind and order_key(trade) <= order_key(behind[key]):
                found[key].append(trade)
    for trades in found.values():
        trades.sort(key=order_key)
    return found


def _numbers(transaction: Transaction, ledger_ranges: "dict[str, tuple[int, int, list[str], list[str]]]") -> list[int]:
    found: set[int] = set()
    for rollup, (since, until, instruments, owners) in ledger_ranges.items():
        query = "numbers_of_desks" if rollup == "node" else "numbers_of_dealers"
        rows = transaction.rows(query, (since, until, transaction.array(instruments), transaction.array(owners)))
        found.update(number for (number,) in rows)
    return sorted(found)

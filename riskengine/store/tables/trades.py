"""The tables `trades` and `conflicts`, read inside the caller's transaction. Each database appends in its own way."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from riskengine.records.types import Trade, attributes_of
from riskengine.store.queries import Transaction
from riskengine.store.results import Conflict, Stored, TradeFilter
from riskengine.store.trade_rows import ATTRIBUTES, COLUMNS, RowValues, TradeRow, printable_row, same_as_row

IDENTITY = slice(0, 4)
"""The places of source, trade_id, leg and version in a row."""
_ALIKE = itemgetter(*(COLUMNS.index(column) for column in ("action", "ts", "quantity", "price")))
"""Of a row what two equal records share, as far as a database compares it quickly."""
_FAR = 2**63 - 1
"""Above every store_seq."""
ROWS_AT_ONCE = 10_000
"""Rows that one statement looks up by number."""
DEALS_AT_ONCE = 500
"""Deals that one statement looks up."""


def store_repeat(transaction: Transaction, trade: Trade, values: RowValues, row: TradeRow) -> Stored:
    """The outcome of a trade whose identity and version are stored as `row`. Keeps other economics as a conflict, once."""
    found = transaction.rows("fees_currency_of", (row.instrument,))
    currency = found[0][0] if found else ""
    if same_as_row(trade, row, currency):
        return Stored(row.store_seq, "existing", other_attributes(trade, row))
    alike = (*values[IDENTITY], *_ALIKE(values))
    others = map(TradeRow._make, transaction.rows("conflicts_of_version", alike))
    if not any(same_as_row(trade, other, currency) for other in others):
        transaction.run("conflict_insert", [values])
    return Stored(row.store_seq, "conflict")


def other_attributes(trade: Trade, row: TradeRow) -> tuple[str, ...]:
    """The names of the attributes in which a trade differs from its stored row."""
    sent, stored = attributes_of(trade), row.attributes
    return tuple(name for name, ours, theirs in zip(ATTRIBUTES, sent, stored, strict=True) if ours != theirs)


def rows_after(transaction: Transaction, store_seq: int, limit: int) -> list[TradeRow]:
    """One page of rows in store order. Cost 3 us a row."""
    return list(map(TradeRow._make, transaction.rows("trades_after", (store_seq, limit))))


def rows_between(transaction: Transaction, after: int, before: int, limit: int) -> list[TradeRow]:
    """Rows with numbers above `after` and below `before`, in store order."""
    return list(map(TradeRow._make, transaction.rows("trades_between", (after, before, limit))))


def select_deals(transaction: Transaction, deals: Sequence[tuple[str, str]]) -> list[TradeRow]:
    """Every version of every leg of each (source, trade_id)."""
    rows: list[TradeRow] = []
    for first in range(0, len(deals), DEALS_AT_ONCE):
        some = deals[first : first + DEALS_AT_ONCE]
        sources, trade_ids = (
            transaction.array([source for source, _ in some]),
            transaction.array([trade_id for _, trade_id in some]),
        )
        rows += map(TradeRow._make, transaction.rows("trades_of_deals", (sources, trade_ids)))
    return rows


def select_numbered(transaction: Transaction, store_seqs: Sequence[int]) -> list[TradeRow]:
    """The rows with these numbers, without those that do not exist."""
    rows: list[TradeRow] = []
    for first in range(0, len(store_seqs), ROWS_AT_ONCE):
        numbers = transaction.array(store_seqs[first : first + ROWS_AT_ONCE])
        rows += map(TradeRow._make, transaction.rows("trades_by_store_seq", (numbers,)))
    return rows


def watermark(transaction: Transaction) -> int:
    """The highest store_seq, 0 in an empty table."""
    return int(transaction.rows("watermark")[0][0])


def conflicts(transaction: Transaction, limit: int) -> list[Conflict]:
    """The newest conflicts first."""
    return [Conflict(row[0], TradeRow._make(row[1:])) for row in transaction.rows("conflicts_newest", (limit,))]


def conflict_ids(transaction: Transaction, limit: int) -> list[int]:
    """The numbers of the newest `limit` conflicts, newest first."""
    return [number for (number,) in transaction.rows("conflict_ids", (limit,))]


def conflicts_numbered(transaction: Transaction, numbers: Sequence[int]) -> list[Conflict]:
    """The conflicts with these numbers, without those that do not exist, ascending."""
    found: list[Conflict] = []
    for first in range(0, len(numbers), ROWS_AT_ONCE):
        some = transaction.array(numbers[first : first + ROWS_AT_ONCE])
        found += [Conflict(row[0], TradeRow._make(row[1:])) for row in transaction.rows("conflicts_by_id", (some,))]
    return found


def select(transaction: Transaction, wanted: TradeFilter, limit: int) -> tuple[list[TradeRow], int]:
    """The newest `limit` rows that match, and the number of all that match.

    Cancels are few, and may take their desk, instrument or ts from an earlier version: separate queries find them, and their rows
    are merged in.
    """
    where, values = _where(transaction, wanted)
    values["limit"] = limit
    trades = list(map(TradeRow._make, transaction.rows("newest", values, where)))
    cancels = transaction.rows("cancels_newest", values, where)
    total = 0
    for found, count in ((trades, "newest_count"), (cancels, "cancels_count")):
        if len(found) < limit:
            total += len(found)
        else:
            total += transaction.rows(count, values, where)[0][0]
    if not cancels:
        return _for_readers(trades), total
    numbers = transaction.array([cancel[0] for cancel in cancels])
    by_seq = {row.store_seq: row for row in map(TradeRow._make, transaction.rows("trades_by_store_seq", (numbers,)))}
    placed = [(cancel[1:], by_seq[cancel[0]]) for cancel in cancels]
    placed += [((row.ts, row.source_seq, row.source, row.trade_id, row.leg, row.version), row) for row in trades]
    placed.sort(key=itemgetter(0), reverse=True)
    return _for_readers([row for _, row in placed[:limit]]), total


def _for_readers(rows: Sequence[TradeRow]) -> list[TradeRow]:
    """The rows with texts in place of bytes, which another program may have written into a SQLite file. 0.4 us each."""
    return [printable_row(row) if bytes in map(type, row) else row for row in rows]


def _where(transaction: Transaction, wanted: TradeFilter) -> tuple[list[str], dict[str, Any]]:
    """The names of the conditions, and the values of their placeholders."""
    values: dict[str, Any] = {"max_store_seq": _FAR if wanted.max_store_seq is None else wanted.max_store_seq}
    names = ["where_seen"]
    if wanted.desks is not None:
        names.append("where_desks")
        values["desks"] = transaction.array(list(wanted.desks))
    if wanted.shown is not None:
        names.append("where_shown")
        values["shown_desks"], values["shown_dealers"] = (transaction.array(list(part)) for part in wanted.shown)
    for field in ("instrument", "dealer", "source", "trade_id", "action", "since_ts"):
        value = getattr(wanted, field)
        if value is not None:
            names.append("where_since" if field == "since_ts" else f"where_{field}")
            values[field] = value
    for field, value in wanted.attributes:
        names.append(f"where_{field}")
        values[field] = value
    for field in ("only", "but"):
        numbers = getattr(wanted, field)
        if numbers is not None:
            names.append(f"where_{field}")
            values[field] = transaction.array(list(numbers))
    if wanted.versions == "latest":
        names.append("where_latest")
    return names, values

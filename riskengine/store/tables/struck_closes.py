"""The tables of struck closes, and the closing marks until a close is struck. Inside the caller's transaction."""

import hashlib
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

import msgspec

from riskengine.errors import StoreCorrupt, StoreError
from riskengine.records.closes import ClosedPosition, CloseHeader, ClosePrice, OwnerClose, OwnerTotals, StruckClose
from riskengine.records.types import StoredMark
from riskengine.store.audit_chain import AuditEvent
from riskengine.store.audit_trail import Trail
from riskengine.store.queries import Transaction
from riskengine.store.results import ChangedDate, PackedChunk, PackedClose
from riskengine.store.tables.closed_columns import (
    amounts_of,
    is_sorted,
    pack_positions,
    pack_totals,
    unpack_positions,
    unpack_totals,
)

NODE, DEALER = "node", "dealer"
"""The two roll-ups."""

STRUCK = "close_struck"
"""The kind of the entries of the audit trail."""

CHUNKS_AT_ONCE = 16
"""Chunks that one statement reads: a megabyte."""


class _Content(msgspec.Struct):
    """What a header holds beside its columns."""

    prices: dict[str, ClosePrice]
    rates: dict[str, float]
    openings: list[tuple[str, str, str]] = []


_content_of = msgspec.msgpack.Decoder(_Content).decode


def pack_close(close: StruckClose, rest: Callable[[], None] = lambda: None) -> PackedClose:
    """A close ready to be stored. 3 us a position, any thread; `rest` is called between chunks.

    Raises ValueError for positions that are not sorted.
    """
    chunks: list[PackedChunk] = []
    for rollup, positions in ((NODE, close.nodes), (DEALER, close.dealers)):
        if not is_sorted(positions):
            raise ValueError(f"the positions of the close of {close.date} are not sorted by {rollup} and instrument")
        for chunk in pack_positions(rollup, positions):
            chunks.append(chunk)
            rest()
    totals = (*pack_totals(NODE, close.node_totals), *pack_totals(DEALER, close.dealer_totals))
    content = zlib.compress(msgspec.msgpack.encode(_Content(dict(close.prices), dict(close.rates), list(close.openings))), 1)
    whole = hashlib.sha256(content)
    for chunk in chunks:
        whole.update(chunk.hash.encode())
    for each in totals:
        whole.update(each.content)
    header = CloseHeader(
        close.date,
        close.version,
        close.ts,
        close.struck_ts,
        close.reporting_currency,
        close.prices,
        close.rates,
        close.openings,
    )
    return PackedClose(header, content, tuple(chunks), totals, whole.hexdigest())


def save_chunks(transaction: Transaction, chunks: Sequence[PackedChunk]) -> None:
    """Store the contents of chunks, each once. They count for nothing until a close refers to them."""
    known = {row[0] for row in transaction.rows("close_chunks_known", (transaction.array([each.hash for each in chunks]),))}
    missing = {each.hash: each.content for each in chunks if each.hash not in known}
    transaction.run("close_chunk_insert", missing.items())


def save(transaction: Transaction, close: PackedClose, trail: Trail, actor: str) -> None:
    """Store a close and an entry of the trail, and forget the closing marks up to its date.

    Raises StoreError if that version of that date is stored: a close is never rewritten.
    """
    header = close.header
    date, version = header.date, header.version
    if version in versions(transaction, date):
        raise StoreError(f"version {version} of the close of {date} is stored already: a close is never rewritten")
    save_chunks(transaction, close.chunks)
    row = (date, version, header.ts, header.struck_ts, header.reporting_currency, close.positions, close.content)
    transaction.run("struck_close_insert", [row])
    transaction.run(
        "closed_positions_insert",
        [
            (date, version, chunk.rollup, number, chunk.first_owner, chunk.last_owner, chunk.positions, chunk.hash)
            for number, chunk in enumerate(close.chunks)
        ],
    )
    transaction.run(
        "close_totals_insert",
        [(each.rollup, date, version, each.first_owner, each.last_owner, each.content) for each in close.totals],
    )
    transaction.run("closing_marks_prune", [(date,)])
    official = sum(price.official for price in header.prices.values())
    detail = {
        "version": version,
        "ts": header.ts,
        "positions": close.positions,
        "prices": len(header.prices),
        "official": official,
        "content": close.hash,
    }
    trail.events([AuditEvent(STRUCK, date, detail, actor)])


def dates(transaction: Transaction) -> dict[str, int]:
    """The newest version of each date that has a close, by date."""
    return dict(transaction.rows("struck_close_dates"))


def versions(transaction: Transaction, date: str) -> list[int]:
    """The versions of the close of a date, ascending."""
    return [row[0] for row in transaction.rows("struck_close_versions", (date,))]


def header(transaction: Transaction, date: str, version: int | None) -> CloseHeader | None:
    """A close without positions and totals; None if there is none. Without a version the newest."""
    if version is None:
        stored = versions(transaction, date)
        if not stored:
            return None
        version = stored[-1]
    found = transaction.rows("struck_close_header", (date, version))
    if not found:
        return None
    _, _, ts, struck_ts, currency, packed = found[0]
    try:
        content = _content_of(zlib.decompress(packed))
    except (zlib.error, msgspec.MsgspecError) as error:
        raise _unreadable(date, version, error) from None
    return CloseHeader(date, version, ts, struck_ts, currency, content.prices, content.rates, tuple(content.openings))


def read(transaction: Transaction, date: str, version: int | None) -> StruckClose | None:
    """A whole close; None if there is none. 3 us a position."""
    found = header(transaction, date, version)
    if found is None:
        return None
    stands = (found.date, found.version)
    return StruckClose(
        date=found.date,
        version=found.version,
        ts=found.ts,
        struck_ts=found.struck_ts,
        reporting_currency=found.reporting_currency,
        prices=found.prices,
        rates=found.rates,
        nodes=tuple(positions(transaction, *stands, NODE)),
        dealers=tuple(positions(transaction, *stands, DEALER)),
        node_totals=_totals(transaction, *stands, NODE),
        dealer_totals=_totals(transaction, *stands, DEALER),
        openings=found.openings,
    )


def positions(
    transaction: Transaction, date: str, version: int, rollup: str, owners: Sequence[str] | None = None
) -> list[ClosedPosition]:
    """The positions of a close by owner and instrument; of some owners only the chunks that hold them are read."""
    wanted = None if owners is None else sorted(set(owners))
    hashes = [
        digest
        for first, last, _, digest in transaction.rows("closed_positions_of", (date, version, rollup))
        if wanted is None or _holds_any(wanted, first, last)
    ]
    among = None if wanted is None else frozenset(wanted)
    found: list[ClosedPosition] = []
    for content in _contents(transaction, hashes):
        try:
            found += unpack_positions(content, among)
        except ValueError as error:
            raise _unreadable(date, version, error) from None
    return found


def _holds_any(names: Sequence[str], first: str, last: str) -> bool:
    """Whether one of some sorted names lies between two, both included. O(log names)."""
    at = bisect_left(names, first)
    return at < len(names) and names[at] <= last


def _contents(transaction: Transaction, hashes: Sequence[str]) -> Iterator[bytes]:
    for first in range(0, len(hashes), CHUNKS_AT_ONCE):
        some = hashes[first : first + CHUNKS_AT_ONCE]
        by_hash = dict(transaction.rows("close_chunks_by_hash", (transaction.array(some),)))
        for each in some:
            if each not in by_hash:
                raise StoreCorrupt("positions of a close are gone: restore a backup")
            yield by_hash[each]


def _totals(transaction: Transaction, date: str, version: int, rollup: str) -> OwnerTotals:
    try:
        return unpack_totals(row[0] for row in transaction.rows("close_totals_of_close", (rollup, date, version)))
    except ValueError as error:
        raise _unreadable(date, version, error) from None


def totals_of(transaction: Transaction, rollup: str, owner: str, since_date: str) -> list[OwnerClose]:
    """What an owner came to at each close from a date on: its first version and its newest, by date. 0.1 ms each."""
    found = []
    for date, version, content in transaction.rows("close_totals_of_owner", (rollup, since_date, owner, owner)):
        try:
            amounts = amounts_of(unpack_totals([content]), owner)
        except ValueError as error:
            raise _unreadable(date, version, error) from None
        if amounts is not None:
            found.append(OwnerClose(date, version, amounts))
    return found


def _unreadable(date: str, version: int, error: Exception) -> StoreCorrupt:
    return StoreCorrupt(f"version {version} of the close of {date} cannot be read: restore a backup ({error})")


# -- prices until then ---------------------------------------------------------------------------------------------


def save_closing_marks(transaction: Transaction, date: str, marks: Sequence[StoredMark]) -> None:
    """Store the closing marks of a trading day in place of earlier ones of the same instruments."""
    transaction.run("closing_mark_save", [(date, mark.instrument, mark.ts, mark.price, mark.source, mark.kind) for mark in marks])


def closing_marks(transaction: Transaction, date: str) -> list[StoredMark]:
    """The closing marks that were stored for a trading day, by instrument."""
    return [StoredMark(*row) for row in transaction.rows("closing_marks", (date,))]


def first_close_date(transaction: Transaction, since: str) -> str | None:
    """The earliest date from `since` on with an official close."""
    found: str | None = transaction.rows("first_close_date", (since,))[0][0]
    return found


def closes_changed(transaction: Transaction) -> list[ChangedDate]:
    """Dates whose official closes changed and that nobody has forgotten since."""
    return [ChangedDate(*row) for row in transaction.rows("closes_changed")]


def forget_changed(transaction: Transaction, changed: Sequence[ChangedDate]) -> None:
    """Forget changes that have been dealt with; one that came since stays."""
    transaction.run("closes_changed_forget", changed)

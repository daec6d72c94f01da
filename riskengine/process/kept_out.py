"""Warns of trades that the store has and the positions leave out: quarantined, parked, in conflict, unmatched.

A trade on which a person has decided is left out on purpose: it stays on the list of exceptions and warns no more. Event loop.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from riskengine.alerts import Warnings
from riskengine.clock import utc_text
from riskengine.records.fields import TS_MAX, TS_MIN
from riskengine.records.types import Verdict
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot, verdict_on
from riskengine.store.trade_rows import TradeRow

KEPT_OUT = ("quarantined", "parked", "waiting")
"""The kinds of exceptions about stored rows that take no part."""


def kept_out_numbers(snapshot: Snapshot, read_deals: Callable[[Sequence[tuple[str, str]]], list[TradeRow]]) -> list[int]:
    """The store_seqs of the stored trades that a snapshot keeps out of the positions. O(those); reads the store, not on the loop.

    Raises StoreError.
    """
    items = [item for kind in KEPT_OUT for item in snapshot.exceptions.get(kind, ())]
    versions = {(*item.trade.identity, item.trade.version) for item in items if item.trade is not None}
    rows = read_deals(list({version[:2]: None for version in versions})) if versions else []
    unreadable = [number for item in items if item.trade is None and isinstance(number := item.detail.get("store_seq"), int)]
    return sorted({*unreadable, *(row.store_seq for row in rows if row[:4] in versions)})


class Told(NamedTuple):
    """What a warning says of one kind: how many, since when in microseconds, and the oldest of them."""

    number: int
    since: int
    oldest: ExceptionItem


WORDS: Mapping[str, tuple[str, str]] = {
    "quarantined": ("trade is quarantined", "trades are quarantined"),
    "parked": ("cancel waits for its trade", "cancels wait for their trades"),
    "conflict": ("trade is in conflict with one that is stored", "trades are in conflict with stored ones"),
    "unmatched": ("deal lacks legs", "deals lack legs"),
}
"""The kinds of exceptions that keep trades out of the positions, each a kind of warning too; for one, and for several."""

WAYS_OUT: Mapping[str, str] = {
    "quarantined": "a person accepts or rejects each",
    "parked": "send the trade, or accept that none comes",
    "conflict": "the stored one counts until a person accepts the other or rejects it",
    "unmatched": "send the missing legs, or accept that none come",
}


class KeptOut:
    """Sets one warning a kind, with the number of trades and the time of the oldest, while there are any."""

    def __init__(self, warnings: Warnings) -> None:
        self._warnings = warnings
        self._exceptions: Mapping[str, Sequence[ExceptionItem]] | None = None
        self._verdicts: Mapping[str, Verdict] | None = None

    async def warn_about(self, snapshot: Snapshot) -> None:
        """Bring the warnings up to date. O(1) if no exception and no verdict is new, else O(list) on a thread."""
        if snapshot.exceptions is self._exceptions and snapshot.verdicts is self._verdicts:
            return
        self._exceptions, self._verdicts = snapshot.exceptions, snapshot.verdicts
        found = await asyncio.to_thread(lambda: dict(kept_out(snapshot)))
        for kind in WORDS:
            if kind in found:
                self._warnings.set(kind, text_of(kind, found[kind]), found[kind].since)
            else:
                self._warnings.pop(kind, None)


def kept_out(snapshot: Snapshot) -> Iterator[tuple[str, Told]]:
    """What each kind keeps out, of those on which nobody has decided. O(exceptions)."""
    verdicts = snapshot.verdicts
    for kind in WORDS:
        count, oldest = 0, None
        for item in snapshot.exceptions.get(kind, ()):
            if item.trade is None and kind != "unmatched":
                continue  # rows that are no trades, and positions set aside, have warnings of their own
            said = verdict_on(item, verdicts)
            if said is not None and said.verdict:
                continue
            count += 1
            if oldest is None or item.ts < oldest.ts:
                oldest = item
        if oldest is not None:
            yield (
                kind,
                Told(count, min(max(oldest.ts, TS_MIN), TS_MAX - 1), oldest),
            )  # another program may have written any number


def text_of(kind: str, told: Told) -> str:
    """The sentence of a warning: how many, since when, the oldest with its reason, and the way out."""
    oldest = told.oldest
    trade = oldest.trade
    name = f"{oldest.detail.get('trade_id', '')}" if trade is None else trade.trade_id
    words = WORDS[kind][told.number > 1]
    first = f"the oldest is {name}: {oldest.reason}"
    return (
        f"{told.number:,} {words}, since {utc_text(told.since)} ({first}); {WAYS_OUT[kind]} (riskengine exceptions --kind {kind})"
    )

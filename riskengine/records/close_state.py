"""What an engine had taken by a close, so that a start need not read it again: sums in place of trades, and what they hang on.

A start that uses it reads the trades that came after, and those that are not done. Each figure is what the full replay of the
store gives, to the last bit: it is kept, not worked out another way.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from riskengine.records.types import Trade


class FrozenPosition(NamedTuple):
    """A position of a leaf node or a dealer after its balances and its oldest trades.

    quantity, cash, average, fees  as in `ClosedPosition`
    identities                     sum of the fingerprints of those trades (`records.fingerprints`)
    stood                          how it stood at earlier moments: time, quantity, cash, average
    newest                         the newest of them; `trade_count` is their number, `since` the time of the oldest, microseconds
    """

    owner: str
    instrument: str
    quantity: int
    cash: int
    average: float | None
    identities: int
    fees: Mapping[str, int]
    newest: Trade
    trade_count: int
    since: int
    stood: Sequence[tuple[int, int, int, float | None]] = ()


class CloseState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an engine that had taken every row up to `watermark` and nothing later.

    date        the day of the close, YYYY-MM-DD: no trade behind a frozen position is dated later
    made_ts     when it was made, microseconds
    bookmark    which transactions it saw (PostgreSQL), "" where numbers alone say that (SQLite)
    terms       what every figure here hangs on besides the trades, by name: hashes, to be compared with those of today
    instruments hashes of the terms of the instruments with trades here, by symbol
    moments     of pairs and futures: at which its positions say how they stood, so that what has settled can be worked out
    currencies  in which the trades may have fees
    dealers     in the order of their numbers
    kept        identities that are not done: all their rows up to `watermark` are read again
    tails       frozen identities with trades that no frozen position stands for, read again too
    unreadable  numbers of the rows that were no trades, read again too
    applied, superseded  how many rows of frozen identities had that outcome
    frozen, cancelled    how many frozen identities take part, and how many are cancelled
    frozen_to   every frozen trade was traded before this, microseconds
    parts       how many chunks each part has: positions of `node` and `dealer`, fingerprints `ids`
    """

    date: str
    made_ts: int
    watermark: int
    bookmark: str
    terms: dict[str, str]
    instruments: dict[str, str]
    moments: dict[str, list[int]]
    currencies: list[str]
    dealers: list[str]
    kept: list[tuple[str, str, int]]
    tails: list[tuple[str, str, int]]
    unreadable: list[int]
    applied: int
    superseded: int
    frozen: int
    cancelled: int
    frozen_to: int
    parts: dict[str, int]


class StoredCloseState(NamedTuple):
    """A state as it is stored, by its number. `void` says why it is not to be used any more; "" as long as it may be."""

    number: int
    state: CloseState
    void: str

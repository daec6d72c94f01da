"""What a store says of itself in figures: how much it holds, how far it has come."""

from typing import NamedTuple


class Counts(NamedTuple):
    """Rows in each table."""

    trades: int
    conflicts: int
    nodes: int
    instruments: int
    openings: int
    marks: int
    closes: int


class Standing(NamedTuple):
    """How far a store has come.

    The store, the epoch of its last writer, its highest store_seq and when that row was received (None where there is none), rows
    of `trades`, and the newest entry of the audit trail (0 and "" where there is none).
    """

    store_id: str
    epoch: int
    watermark: int
    last_received_ts: int | None
    trades: int
    audit_seq: int
    audit_hash: str

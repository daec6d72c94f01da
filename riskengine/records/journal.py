"""One instant of the journal: which snapshot it was, which trades it held, and what of its prices had changed."""

from typing import NamedTuple


class Instant(NamedTuple):
    """A snapshot that was published, as the journal keeps it.

    epoch, seq  its number; `ts` is its `as_of`, microseconds
    whole_seq   of the instant of the same epoch on which it stands, which says everything; its own where it is such a one
    watermark   highest store_seq whose trade it held
    revision    of nodes, instruments and openings then (`Store.reference_revision`)
    content     what differs from the instant before it (`snapshot.mark_journal`); of a whole one everything
    """

    epoch: int
    seq: int
    ts: int
    whole_seq: int
    watermark: int
    revision: int
    content: bytes

    @property
    def is_whole(self) -> bool:
        """Whether it says everything."""
        return self.seq == self.whole_seq

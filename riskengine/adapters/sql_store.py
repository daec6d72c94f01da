"""What both databases do alike: each call is one transaction or one committed read around a query of the neighbours.

A database adds how a transaction begins and ends (`_transaction`), where reads come from (`_read`) and who holds the lease.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Concatenate, ParamSpec, TypeVar

from riskengine.adapters import store_reference as reference
from riskengine.adapters import store_trades as trades_of
from riskengine.adapters.store_protocol import Conflict, Counts, Saved, TradeFilter
from riskengine.adapters.store_session import Session
from riskengine.adapters.trade_rows import TradeRow
from riskengine.errors import LeaseHeld, StoreError
from riskengine.messages import Close, Instrument, Node, Opening, StoredMark

EPOCH_KEY = "writer_epoch"
PROBE_KEY = "probe"

_P = ParamSpec("_P")
_T = TypeVar("_T")


class SqlStore(ABC):
    """The part of `store_protocol.Store` that does not depend on the database."""

    name: str
    _lease: object | None
    _epoch: int | None
    _write_thread: int | None

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[Session]:
        """The write connection inside a transaction that is durable when the block ends, or has changed nothing."""

    @abstractmethod
    def _read(self, query: Callable[Concatenate[Session, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """The answer of `query` from one committed state."""

    @abstractmethod
    def _check_epoch(self, session: Session) -> None:
        """Raise LeaseHeld where a newer writer has taken over."""

    # -- writing ---------------------------------------------------------------------------------------------------

    def next_epoch(self) -> int:
        assert self._lease is not None, "an epoch belongs to the holder of the lease"
        with self._transaction() as session:
            epoch = int(reference.get_meta(session, EPOCH_KEY) or 0) + 1
            reference.set_meta(session, EPOCH_KEY, str(epoch))
        self._epoch = epoch
        return epoch

    def hand_over(self) -> None:
        self._write_thread = None

    def save_nodes(self, nodes: Sequence[Node]) -> Saved:
        with self._transaction() as session:
            return reference.save_nodes(session, nodes)

    def save_instruments(self, instruments: Sequence[Instrument]) -> Saved:
        with self._transaction() as session:
            return reference.save_instruments(session, instruments)

    def save_openings(self, openings: Sequence[Opening]) -> Saved:
        with self._transaction() as session:
            return reference.save_openings(session, openings)

    def save_closes(self, closes: Sequence[Close]) -> Saved:
        with self._transaction() as session:
            return reference.save_closes(session, closes)

    def save_marks(self, marks: Sequence[StoredMark]) -> Saved:
        with self._transaction() as session:
            self._check_epoch(session)
            return reference.save_marks(session, marks)

    def is_writable(self) -> bool:
        try:
            with self._transaction() as session:
                probes = int(reference.get_meta(session, PROBE_KEY) or 0)
                reference.set_meta(session, PROBE_KEY, str(probes + 1))
        except LeaseHeld:
            raise
        except StoreError:
            return False
        return True

    # -- reading ---------------------------------------------------------------------------------------------------

    def select_trades(self, wanted: TradeFilter, limit: int) -> tuple[list[TradeRow], int]:
        return self._read(trades_of.select, wanted, limit)

    def conflicts(self, limit: int = 1_000) -> list[Conflict]:
        return self._read(trades_of.conflicts, limit)

    def nodes(self) -> list[Node]:
        return self._read(reference.nodes)

    def instruments(self) -> list[Instrument]:
        return self._read(reference.instruments)

    def openings(self) -> list[Opening]:
        return self._read(reference.openings)

    def marks(self) -> list[StoredMark]:
        return self._read(reference.marks)

    def closes(self, date: str | None = None) -> list[Close]:
        return self._read(reference.closes, date)

    def latest_closes(self) -> list[Close]:
        return self._read(reference.latest_closes)

    def watermark(self) -> int:
        return self._read(trades_of.watermark)

    def counts(self) -> Counts:
        return self._read(reference.counts)

"""`riskengine load`: puts the records of files into the store, counts every outcome and reports every refusal. Idempotent."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.errors import InputError, ReferenceDataError
from riskengine.files.lines import display_name
from riskengine.files.records import (
    ColumnOptions,
    read_closes,
    read_instruments,
    read_marks,
    read_nodes,
    read_openings,
    read_trades,
)
from riskengine.records.hierarchy import Hierarchy
from riskengine.records.reference import Reference, trade_check
from riskengine.records.types import CONFLICT_REASON, Node, Opening, Refusal, Trade
from riskengine.store.protocol import Store
from riskengine.store.results import Saved, TradeFilter

KINDS = ("nodes", "instruments", "positions", "closes", "marks", "trades")
"""Kinds of records, in an order in which each needs only those before it."""

BATCH = 5_000

_Record = TypeVar("_Record")

Numbered = Iterator[tuple[int, _Record | Refusal]]


class LoadReport:
    """Counts the outcomes of lines, over one or more files, and passes each refusal to `refuse` at once.

    `failures` are the reasons why files were not read, or not to their end; each goes to `complain` too.
    """

    def __init__(
        self, refuse: Callable[[str, Refusal], None], advance: Callable[[int], None], complain: Callable[[str], None]
    ) -> None:
        self._refuse = refuse
        self._advance = advance
        self._complain = complain
        self.failures: list[str] = []
        self.counts: dict[str, int] = {"lines": 0, "inserted": 0, "updated": 0, "duplicate": 0, "refused": 0}

    def add_refusal(self, path: str, refusal: Refusal) -> None:
        """Report a refused line."""
        self.counts["refused"] += 1
        self._refuse(path, refusal)

    def add_conflict(self, path: str, line: int) -> None:
        """Report a line that the store keeps as a conflict: listed, but not refused."""
        self.add("conflict")
        self._refuse(path, Refusal(line, "", f"conflict: {CONFLICT_REASON}"))

    def add_failure(self, reason: str) -> None:
        """Report a file that was not read, or not to its end."""
        self.failures.append(reason)
        self._complain(reason)

    def add(self, outcome: str, count: int = 1) -> None:
        """Count lines with an outcome."""
        if count:
            self.counts[outcome] = self.counts.get(outcome, 0) + count

    def count_lines(self, lines: int) -> None:
        """Count lines that were read."""
        self.counts["lines"] += lines
        self._advance(lines)


def load(
    kind: str, paths: Sequence[str], store: Store, options: ColumnOptions, config: Config, clock: Clock, report: LoadReport
) -> None:
    """Load files of one kind, in order. Raises StoreError; batches committed before stay.

    Of a damaged file the good lines before the damage are loaded (of nodes: none); the other files load as usual.
    """
    for path in paths:
        try:
            if kind == "nodes":
                _load_nodes(path, store, options, report)
            elif kind == "trades":
                _load_trades(path, store, options, config, clock, report)
            else:
                _load_records(kind, path, store, options, report)
        except InputError as error:
            report.add_failure(str(error))
        except ReferenceDataError as error:
            report.add_failure(f"{display_name(path)}: {error}")


def _batches(path: str, records: Numbered[_Record], report: LoadReport) -> Iterator[list[tuple[int, _Record]]]:
    """Good records in batches; refusals go to the report. Raises InputError after the good records before the damage."""
    batch: list[tuple[int, _Record]] = []
    damage: InputError | None = None
    remaining = iter(records)
    while True:
        try:
            line, record = next(remaining)
        except StopIteration:
            break
        except InputError as error:
            damage = error
            break
        if isinstance(record, Refusal):
            report.count_lines(1)
            report.add_refusal(path, record)
            continue
        batch.append((line, record))
        if len(batch) == BATCH:
            yield batch
            report.count_lines(len(batch))
            batch = []
    if batch:
        yield batch
        report.count_lines(len(batch))
    if damage is not None:
        raise damage


def _load_nodes(path: str, store: Store, options: ColumnOptions, report: LoadReport) -> None:
    """Store all nodes of a file at once: with those in the store they must form one tree, else none is stored."""
    for batch in _one_batch(path, read_nodes(path, options), report):
        nodes = [node for _, node in batch]
        stored, replaced = store.nodes(), {node.node for node in nodes}
        Hierarchy((*(node for node in stored if node.node not in replaced), *nodes))
        _check_desks(stored, nodes, store)
        _count(path, batch, store.save_nodes(nodes), report)


def _check_desks(stored: Sequence[Node], nodes: Sequence[Node], store: Store) -> None:
    """Raise ReferenceDataError for nodes below a desk with trades or balances: those attach to leaves."""
    parents = {node.parent for node in stored}
    desks = {node.node for node in stored} - parents
    for desk in sorted(desks & {node.parent for node in nodes}):
        _, trades = store.select_trades(TradeFilter(desks=[desk]), 1)
        if trades or any(opening.desk == desk for opening in store.openings()):
            raise ReferenceDataError(f"node {desk!r} has trades or balances: nodes cannot be put below it")


def _one_batch(path: str, records: Numbered[_Record], report: LoadReport) -> Iterator[list[tuple[int, _Record]]]:
    everything = [item for batch in _batches(path, records, report) for item in batch]
    if everything:
        yield everything


def _load_records(kind: str, path: str, store: Store, options: ColumnOptions, report: LoadReport) -> None:
    instruments = {instrument.instrument: instrument for instrument in store.instruments()}
    records: Numbered[Any]
    save: Callable[[Any], Saved]
    if kind == "instruments":
        records, save = read_instruments(path, options), store.save_instruments
    elif kind == "closes":
        records, save = read_closes(path, options, instruments), store.save_closes
    elif kind == "marks":
        records, save = read_marks(path, options, instruments), store.save_marks
    else:
        leaves = Hierarchy(store.nodes()).leaves
        records, save = _check_desks_exist(read_openings(path, options, instruments), leaves), store.save_openings
    batch: list[tuple[int, Any]]
    for batch in _batches(path, records, report):
        loaded: list[Any] = [record for _, record in batch]
        _count(path, batch, save(loaded), report)


def _check_desks_exist(records: Numbered[Opening], leaves: Iterable[str]) -> Numbered[Opening]:
    known = frozenset(leaves)
    for line, record in records:
        if isinstance(record, Opening) and record.desk not in known:
            yield line, Refusal(line, "desk", f"unknown desk {record.desk!r}, or not a leaf node")
        else:
            yield line, record


def _count(path: str, batch: Sequence[tuple[int, Any]], saved: Saved, report: LoadReport) -> None:
    report.add("inserted", saved.inserted)
    report.add("updated", saved.updated)
    report.add("duplicate", saved.duplicate)
    report.add("superseded", saved.superseded)
    for refusal in saved.refused:
        report.add_refusal(path, Refusal(batch[refusal.index][0], refusal.field, refusal.reason))


def _load_trades(path: str, store: Store, options: ColumnOptions, config: Config, clock: Clock, report: LoadReport) -> None:
    reference = Reference(store.nodes(), store.instruments(), config.engine.reporting_currency)
    records = read_trades(path, options, trade_check(reference), clock.now)
    batch: list[tuple[int, Trade]]
    for batch in _batches(path, records, report):
        for (line, _), stored in zip(batch, store.append_trades([trade for _, trade in batch]), strict=True):
            if stored.outcome == "conflict":
                report.add_conflict(path, line)
            else:
                report.add("duplicate" if stored.outcome == "existing" else stored.outcome)

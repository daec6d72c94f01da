"""`riskengine load`: records of files into the store, idempotent, with a count for every outcome and a line for every refusal."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.errors import InputError, ReferenceDataError
from riskengine.files.lines import shown_path
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
from riskengine.records.types import ANOTHER_STANDS, Node, Opening, Refusal, Trade
from riskengine.store.protocol import Store
from riskengine.store.results import Saved, TradeFilter

KINDS = ("nodes", "instruments", "positions", "closes", "marks", "trades")
"""What this version can load. Reference data comes before what refers to it."""

BATCH = 5_000

_Record = TypeVar("_Record")

Numbered = Iterator[tuple[int, _Record | Refusal]]


class LoadReport:
    """What became of the lines of one or more files. `refuse` is called with each refusal as it is found.

    `broken` tells why files could not be read, or not to their end; each was also passed to `complain`.
    """

    def __init__(
        self, refuse: Callable[[str, Refusal], None], advance: Callable[[int], None], complain: Callable[[str], None]
    ) -> None:
        self._refuse = refuse
        self._advance = advance
        self._complain = complain
        self.broken: list[str] = []
        self.counts: dict[str, int] = {"lines": 0, "inserted": 0, "updated": 0, "duplicate": 0, "refused": 0}

    def refused(self, path: str, refusal: Refusal) -> None:
        """A line that is not taken."""
        self.counts["refused"] += 1
        self._refuse(path, refusal)

    def conflicted(self, path: str, line: int) -> None:
        """A line that is kept apart: listed and named, but not refused."""
        self.add("conflict")
        self._refuse(path, Refusal(line, "", f"conflict: {ANOTHER_STANDS}"))

    def broke(self, reason: str) -> None:
        """A file that cannot be read, or not to its end."""
        self.broken.append(reason)
        self._complain(reason)

    def add(self, outcome: str, count: int = 1) -> None:
        """Lines that came to an outcome."""
        if count:
            self.counts[outcome] = self.counts.get(outcome, 0) + count

    def seen(self, lines: int) -> None:
        """Lines that were read."""
        self.counts["lines"] += lines
        self._advance(lines)


def load(
    kind: str, paths: Sequence[str], store: Store, options: ColumnOptions, config: Config, clock: Clock, report: LoadReport
) -> None:
    """Load files of one kind, in their order. Raises StoreError; what was committed before stands.

    A file that is broken keeps its good lines before the damage (nodes: none of it) and leaves the other files unharmed.
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
            report.broke(str(error))
        except ReferenceDataError as error:
            report.broke(f"{shown_path(path)}: {error}")


def _batches(path: str, records: Numbered[_Record], report: LoadReport) -> Iterator[list[tuple[int, _Record]]]:
    """Good records in batches; refusals go to the report. Raises InputError, after the good ones before the damage."""
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
            report.seen(1)
            report.refused(path, record)
            continue
        batch.append((line, record))
        if len(batch) == BATCH:
            yield batch
            report.seen(len(batch))
            batch = []
    if batch:
        yield batch
        report.seen(len(batch))
    if damage is not None:
        raise damage


def _load_nodes(path: str, store: Store, options: ColumnOptions, report: LoadReport) -> None:
    """All nodes of a file at once: together with those stored they must form one tree, else none is stored."""
    for batch in _all(path, read_nodes(path, options), report):
        nodes = [node for _, node in batch]
        stored, replaced = store.nodes(), {node.node for node in nodes}
        Hierarchy((*(node for node in stored if node.node not in replaced), *nodes))
        _check_desks(stored, nodes, store)
        _count(path, batch, store.save_nodes(nodes), report)


def _check_desks(stored: Sequence[Node], nodes: Sequence[Node], store: Store) -> None:
    """Trades attach to leaves: a desk that has some keeps its place. Raises ReferenceDataError."""
    parents = {node.parent for node in stored}
    desks = {node.node for node in stored} - parents
    for desk in sorted(desks & {node.parent for node in nodes}):
        _, trades = store.select_trades(TradeFilter(desks=[desk]), 1)
        if trades or any(opening.desk == desk for opening in store.openings()):
            raise ReferenceDataError(f"node {desk!r} has trades or balances: nodes cannot be put below it")


def _all(path: str, records: Numbered[_Record], report: LoadReport) -> Iterator[list[tuple[int, _Record]]]:
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
        records, save = _on_known_desks(read_openings(path, options, instruments), leaves), store.save_openings
    batch: list[tuple[int, Any]]
    for batch in _batches(path, records, report):
        loaded: list[Any] = [record for _, record in batch]
        _count(path, batch, save(loaded), report)


def _on_known_desks(records: Numbered[Opening], leaves: Iterable[str]) -> Numbered[Opening]:
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
        report.refused(path, Refusal(batch[refusal.index][0], refusal.field, refusal.reason))


def _load_trades(path: str, store: Store, options: ColumnOptions, config: Config, clock: Clock, report: LoadReport) -> None:
    reference = Reference(store.nodes(), store.instruments(), config.engine.reporting_currency)
    records = read_trades(path, options, trade_check(reference), clock.now)
    batch: list[tuple[int, Trade]]
    for batch in _batches(path, records, report):
        for (line, _), stored in zip(batch, store.append_trades([trade for _, trade in batch]), strict=True):
            if stored.outcome == "conflict":
                report.conflicted(path, line)
            else:
                report.add("duplicate" if stored.outcome == "existing" else stored.outcome)

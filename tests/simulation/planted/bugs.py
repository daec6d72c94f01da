"""Bugs to plant in the project's own code: small, realistic changes, each of which a simulation must find.

A bug is a list of edits: in the source of one function, one text becomes another. A text that is not there any more makes the
bug an error, not a silent pass: write it anew for the code of today.
"""

import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Edit(NamedTuple):
    """One change: in `function` of `module` the text `old` becomes `new`."""

    module: str
    function: str
    old: str
    new: str


BUGS: dict[str, tuple[Edit, ...]] = {}


def bug(name: str, *edits: tuple[str, str, str, str]) -> None:
    BUGS[name] = tuple(Edit(f"riskengine.{module}", function, old, new) for module, function, old, new in edits)


# -- durability and identity -------------------------------------------------------------------------------------

bug(
    "acknowledges before it is durable",
    (
        "intake.store_thread",
        "StoreThread._fail",
        "submission.answer(Receipt((), 0, error))",
        "from riskengine.engine.engine import Outcome; "
        "submission.answer(Receipt([Outcome('applied', False, '') for _ in submission.trades], 1))",
    ),
)
bug(
    "answers before the snapshot has it",
    ("engine.writer", "Writer._apply", "snapshot = self._publish(now)", "snapshot = self._engine.snapshot"),
)
bug(
    "forgets ids on restart",
    (
        "rebuild.load",
        "_load",
        "return Loaded(",
        "engine.processed._versions.clear(); return Loaded(",
    ),
)
bug("counts a duplicate", ("positions.processed", "Processed.enter", "key in known or ", ""))
bug(
    "the later of two equal versions wins",
    (
        "positions.processed",
        "Processed._admit_another",
        "return DUPLICATE_DECISION if other.same_economics(trade) else Decision(CONFLICT, other=other)",
        "return DUPLICATE_DECISION if other.same_economics(trade) else Decision(APPLIED, other, trade)",
    ),
)
bug(
    "the last version to arrive wins",
    (
        "positions.processed",
        "Processed._admit_another",
        "versions = sorted((*versions, trade), key=lambda version: version.version)",
        "versions = [*versions, trade]",
    ),
)
bug(
    "a cancel before its trade is forgotten",
    (
        "positions.processed",
        "Processed.admit",
        "self.inert.add(trade.identity)\n            self.parked[trade.identity] = trade",
        "self._versions[trade.source].pop((trade.trade_id, trade.leg) if trade.leg else trade.trade_id)",
    ),
)
bug(
    "a cursor by the highest number",
    (
        "store.results",
        "Bookmark.passing",
        "return self._replace(passed=tuple(merged))",
        "return self._replace(store_seq=max([self.store_seq, *(last for _, last in merged)]), passed=())",
    ),
)
bug(
    "stops at the first row of its own",
    (
        "intake.delivery",
        "Delivery._follow",
        "if row.store_seq in ours:\n                continue",
        "if row.store_seq in ours:\n                break",
    ),
)
bug(
    "forgets the rows that a failed commit left",
    (
        "intake.store_thread",
        "StoreThread._fail",
        "self.error = str(error)\n",
        "self.error = str(error)\n    book = self.delivery._bookmark\n"
        "    self.delivery._bookmark = book._replace(store_seq=book.store_seq + len(batch))\n",
    ),
)

# -- one writer, a store that goes back --------------------------------------------------------------------------

bug(
    "two engines hold one lease",
    ("store.sqlite.lease", "WriterLease.__init__", "fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH | fcntl.LOCK_NB"),
)
bug(
    "writes on after another engine has taken over",
    ("store.sql_store", "SqlStore._expect_epoch", "epoch == self._epoch:", "epoch >= self._epoch:"),
)
bug(
    "a store that goes back is not compared",
    ("intake.store_thread", "StoreThread._compare_standing", "if now >= self._compare_at:", "if now < 0.0:"),
)
bug(
    "a witness that follows the store down",
    (
        "store.witness",
        "Witness.note",
        "if seen is not None and (back := self._behind(seen, now)) is not None:",
        "if (back := None) is not None:",
    ),
    ("store.witness", "Witness.note", "now.watermark if seen is None else max(now.watermark, seen.watermark)", "now.watermark"),
    (
        "process.store_watch",
        "StoreWatch._update_witness",
        "if (acknowledged := self._acknowledged) is not None:",
        "if (acknowledged := None) is not None:",
    ),
    ("process.store_watch", "StoreWatch._update_witness", "if self._acknowledged is not None:", "if False:"),
)
bug(
    "a witness that is not asked at the start",
    ("process.store_watch", "StoreWatch.take_epoch", "back = self.witness.check()", "self.witness.check(); back = None"),
)

# -- decisions ---------------------------------------------------------------------------------------------------

bug(
    "a verdict judged by another record",
    (
        "process.verdicts",
        "Verdicts.decide",
        'conflict = accepted[0] if accepted and item.kind == "conflict" else None',
        "conflict = None",
    ),
)
bug(
    "an accepted conflict counts after the next start only",
    ("engine.engine", "Engine.decide", "self._judge_again(trade.identity, [*others, trade])", "list(others)"),
)
bug(
    "verdicts are forgotten on restart",
    ("rebuild.rebuild", "_without_trades", "engine.recall_verdicts(store.verdicts())", "engine.recall_verdicts([])"),
)
bug(
    "a start lets trades from the future in",
    ("positions.quarantine", "Quarantine.reasons", " or one.ts - one.received_ts > limit\n", "\n"),
)

# -- positions ---------------------------------------------------------------------------------------------------

bug(
    "a late trade goes to the end",
    (
        "positions.position",
        "Position.add",
        "if newest.ts >= trade.ts and order_key(newest) > order_key(trade):",
        "if newest.ts > trade.ts + 10**15:",
    ),
)
bug(
    "cash is a double",
    ("positions.position", "Position.add", "self.cash += trade.cash", "self.cash += int(float(trade.cash) * 1.0)"),
)
bug(
    "a flip keeps the old average",
    (
        "positions.position",
        "next_average",
        "return average if (after > 0) == (quantity > 0) else price",
        "return average",
    ),
)
bug(
    "a close is taken for a flip",
    ("positions.position", "next_average", "if after == 0:\n        return None", "if after == 0:\n        return price"),
)
bug(
    "a reduction moves the average",
    (
        "positions.position",
        "next_average",
        "return average if (after > 0) == (quantity > 0) else price",
        "return price",
    ),
)
bug(
    "an amended trade keeps its old fees",
    ("positions.position", "Position.remove", "self._add_fees(trade.fees_currency, -trade.fees)", "pass"),
)
bug(
    "one ancestor is missed",
    (
        "positions.ledger",
        "Rollup._lift",
        "key = ancestors[node][0] << SHIFT | instrument",
        "key = ancestors[node][-1] << SHIFT | instrument",
    ),
)
bug(
    "a trade without dealer counts at no dealer",
    ("positions.ledger", "Ledger.add", "position.add(trade, fingerprint)", "trade.dealer and position.add(trade, fingerprint)"),
)
bug(
    "an amend to another desk leaves the old one",
    (
        "positions.ledger",
        "Ledger.remove",
        "self.organisation.position(self._desks[trade.desk], number).remove(trade)",
        "pass",
    ),
)
bug(
    "a repair believes the engine",
    (
        "positions.repair",
        "repair",
        "stored = _by_identity(store_versions)",
        "stored = {}; stored.update(_by_identity(t for p in leaves if p.position is not None for t in p.position.trades))",
    ),
)

# -- prices and values -------------------------------------------------------------------------------------------

bug(
    "a price is as fresh as it arrived",
    (
        "process.process",
        "EngineProcess.offer_ticks",
        "taken = quotes.offer_counted(ticks, now)",
        "from msgspec import structs; taken = quotes.offer_counted([structs.replace(t, ts=max(t.ts, now)) for t in ticks], now)",
    ),
)
bug(
    "a stale price stays fresh",
    (
        "market.mark_table",
        "MarkTable.fresh",
        "self.ts >= latest - self._stale_after",
        "self.ts >= latest - 500 * self._stale_after",
    ),
)
bug(
    "an older tick replaces a newer one",
    ("market.quote_book", "QuoteBook._judge", "if offered.ts < state.ts <= offered.latest:", "if False:"),
    ("market.quote_book", "QuoteBook.apply", "if ts < state.ts <= latest:", "if False:"),
)
bug(
    "marks are not stored",
    ("engine.writer", "Writer._batch", "if unsaved:", "if not unsaved:"),
)
bug(
    "an inverse rate is not inverted",
    ("market.currencies", "CurrencyGraph.rates", "1.0 / mid if hop.inverse else mid", "mid"),
)
bug(
    "a contract multiplier is left out of the value",
    (
        "valuation.unit_values",
        "ContractTerms.of",
        "instrument.contract_multiplier / 10**MULTIPLIER_DECIMALS for instrument",
        "1.0 for instrument",
    ),
)

# -- the day -----------------------------------------------------------------------------------------------------

bug(
    "summer time is not known",
    (
        "market.trading_day",
        "TradingDay.close_of",
        "return micros(dt.datetime.combine(date, self._boundary, self._zone))",
        "return micros(dt.datetime.combine(date, self._boundary, dt.timezone(dt.timedelta(hours=-5))))",
    ),
)
bug(
    "the roll skips a day",
    (
        "process.roll",
        "Roll._strike",
        "self._begin(parts.rules().trading_day.next(self._day)",
        "self._begin(parts.rules().trading_day.next(parts.rules().trading_day.next(self._day))",
    ),
    ("process.roll", "Roll._strike", "self._closed = self._day", "self._closed = parts.rules().trading_day.next(self._day)"),
)
bug(
    "trades of after the boundary are in the close",
    (
        "positions.day_window",
        "DayWindow.is_after",
        "trade.ts >= self.end_ts",
        "trade.ts >= self.end_ts + 60_000_000",
    ),
)

# -- the stream --------------------------------------------------------------------------------------------------

bug(
    "a patch against the wrong version",
    ("views.board", "Standing._update", "view.change(old, encoding)", "view.change(new, encoding)"),
)
bug("no snapshot is ever skipped", ("views.board", "Standing._update", '"prev_seq": self.seq', '"prev_seq": snapshot.seq - 1'))
bug(
    "removed rows stay on the screens",
    (
        "views.board",
        "SharedView._change",
        '"removed": [[key] for key in before if key not in rows]',
        '"removed": []',
    ),
)
bug(
    "a field that becomes unknown keeps its value",
    (
        "views.board",
        "SharedView._change",
        "for f, value in row.items() if old.get(f) != value",
        "for f, value in row.items() if old.get(f) != value and value is not None",
    ),
)


# -- planting ----------------------------------------------------------------------------------------------------


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Inside the block the engine has this bug."""
    changed: list[tuple[Any, str, Any]] = []
    by_function: dict[tuple[str, str], list[Edit]] = {}
    for edit in BUGS[name]:
        by_function.setdefault((edit.module, edit.function), []).append(edit)
    try:
        for (module, function), edits in by_function.items():
            changed += _change(module, function, edits)
        yield
    finally:
        for owner, attribute, value in reversed(changed):
            setattr(owner, attribute, value)


def _change(module_name: str, function: str, edits: list[Edit]) -> list[tuple[Any, str, Any]]:
    module = importlib.import_module(module_name)
    owner: Any = module
    *classes, attribute = function.split(".")
    for part in classes:
        owner = getattr(owner, part)
    real = inspect.getattr_static(owner, attribute)
    source = textwrap.dedent(inspect.getsource(real.__func__ if isinstance(real, classmethod) else real))
    for edit in edits:
        old = _indented(edit.old, source)
        assert old in source, f"{edit.module}.{edit.function} has no {edit.old!r} any more"
        source = source.replace(old, edit.new, 1)
    made: dict[str, Any] = {}
    exec(compile(source, f"<planted in {function}>", "exec"), vars(module), made)
    bad = made[attribute]
    changed = [(owner, attribute, real)]
    setattr(owner, attribute, bad)
    if not classes:
        for other in list(sys.modules.values()):
            names = vars(other) if other is not None and getattr(other, "__name__", "").startswith("riskengine.") else {}
            for key, value in list(names.items()):
                if value is real:
                    changed.append((other, key, real))
                    setattr(other, key, bad)
    return changed


def _indented(text: str, source: str) -> str:
    """The text as it stands in the source: its lines keep their distance, but a method's lines begin further left there."""
    if text in source or "\n" not in text:
        return text
    lines = text.split("\n")
    return "\n".join([lines[0], *(line[4:] if line.startswith("    ") else line for line in lines[1:])])

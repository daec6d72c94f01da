"""The store as it was at a moment: what had been received by then, valued with what was known by then.

The store overwrites some things, and those cannot be restored: nodes and instruments are today's; a trade that was corrected in
place is as corrected, but for an accepted conflict, of which the audit trail holds the row that it replaced. The store keeps only
the newest mark of each instrument; if that is later than the moment, the mark of the newest close that had been struck stands in,
or an official close of before; without either the position is unpriced. Of vols, rates and Greeks it keeps the newest of each
trading day: those of the moment's day if that day had none later, else those of the day before.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property, partial

import orjson

from riskengine.config import Config
from riskengine.engine.closing_options import VALUED
from riskengine.engine.worklist import LATE, MAX_NOTICES
from riskengine.market.spot_dates import SpotDates
from riskengine.market.trading_day import TradingDay, current_day
from riskengine.reconciliation.store_sums import Rules, keys_of
from riskengine.records.actions import ActionRows
from riskengine.records.calendars import CalendarState
from riskengine.records.cash import CarryRecord
from riskengine.records.closes import StruckClose
from riskengine.records.decode import TradeCheck
from riskengine.records.manual_marks import ManualMark
from riskengine.records.option_inputs import OptionInput
from riskengine.records.rules import RuleStarts
from riskengine.records.types import OPTION_KINDS, Close, Instrument, Key, Kind, Node, Opening, StoredMark, Trade, Verdict
from riskengine.snapshot.compare import NOTHING, Holding, plus
from riskengine.store.audit_chain import AuditFilter
from riskengine.store.protocol import Store
from riskengine.store.results import CashRows, Changes, StoredNotice
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from riskengine.store.trade_rows import RefusedRow, TradeRow, trade_from_row
from riskengine.valuation.forward_values import DERIVED

MAX_VERDICTS = 1_000_000


class PastDay:
    """A store at `ts`, microseconds since the epoch: a `DayStore` for `rebuild`. Reads raise StoreError."""

    def __init__(self, store: Store, config: Config, ts: int) -> None:
        self._store = store
        self._config = config
        self._trading_day = TradingDay.of(config.engine)
        self._ts = ts

    def nodes(self) -> list[Node]:
        """Today's."""
        return self._store.nodes()

    def instruments(self) -> list[Instrument]:
        """Today's."""
        return self._store.instruments()

    def openings(self) -> list[Opening]:
        """Balances that were in force."""
        return [opening for opening in self._store.openings() if opening.ts <= self._ts]

    def marks(self) -> list[StoredMark]:
        """Stored marks from before the moment: the newest of each instrument, else its closing mark of a day before."""
        found = {mark.instrument: mark for mark in self._store.marks() if mark.ts <= self._ts}
        for mark in self._closing_marks():
            known = found.get(mark.instrument)
            if known is None or known.ts < mark.ts:
                found[mark.instrument] = mark
        return list(found.values())

    def _closing_marks(self) -> Iterator[StoredMark]:
        """The marks of the newest close that had been struck, and of the day after it: those that were quoted."""
        struck = self.struck_close_dates()
        newest = max(struck, default=None)
        header = None if newest is None else self._store.struck_close_header(newest, struck[newest])
        prices = {} if header is None else header.prices
        for instrument in self._store.instruments() if prices else ():
            each = prices.get(instrument.instrument)
            worked_out = VALUED if instrument.kind in OPTION_KINDS else DERIVED if instrument.kind is Kind.FX_FORWARD else ()
            if each is not None and not each.official and each.source not in worked_out:
                yield StoredMark(instrument.instrument, each.ts, each.price, each.source)
        day = self._trading_day.date_of(self._ts).isoformat()
        yield from (mark for mark in self._store.closing_marks(day) if mark.ts <= self._ts)

    def option_inputs(self) -> list[OptionInput]:
        """Stored vols, rates and Greeks from before the moment: of a day that is over the newest, of the last ten days."""
        return [row for row in self._store.option_inputs() if row.ts <= self._ts]

    def manual_marks(self) -> list[ManualMark]:
        """What people had set by hand."""
        return self._store.manual_marks(self._ts)

    def latest_closes(self, up_to: str) -> list[Close]:
        """The newest close of each instrument, dated up to `up_to`, whose day had ended."""
        return self._store.latest_closes(min(up_to, self._trading_day.last_boundary(self._ts).isoformat()))

    def closes_after(self, date: str, limit: int) -> list[Close]:
        """None: which of them had come by then, no store records."""
        return []

    def action_rows(self) -> ActionRows:
        """Corporate actions that had been received."""
        return self._store.action_rows(self._ts)

    def struck_close_dates(self) -> dict[str, int]:
        """Closes that had been struck, with the newest version of then."""
        found = {}
        for date, newest in self._store.struck_close_dates().items():
            for version in range(1, newest + 1):
                header = self._store.struck_close_header(date, version)
                if header is not None and header.struck_ts <= self._ts:
                    found[date] = version
        return found

    def struck_close(self, date: str, version: int | None = None) -> StruckClose | None:
        """A close that had been struck, its newest version of then unless one is named."""
        return self._store.struck_close(date, self.struck_close_dates().get(date) if version is None else version)

    def closes(self, date: str | None = None) -> list[Close]:
        """The official closes of a date that had ended."""
        ended = date is not None and date <= self._trading_day.last_boundary(self._ts).isoformat()
        return self._store.closes(date) if ended else []

    def notices(self, limit: int) -> list[StoredNotice]:
        """What had been noticed of trades."""
        return [stored for stored in self._store.notices(limit) if stored.notice.ts <= self._ts]

    def late_count(self) -> int:
        """How many late trades had been noticed, of those that are listed."""
        return sum(stored.notice.kind == LATE for stored in self.notices(MAX_NOTICES))

    def noticed_up_to(self) -> int | None:
        """Today's: what was noticed of a row is stored with its time."""
        return self._store.noticed_up_to()

    def verdicts(self) -> list[Verdict]:
        """What had been decided; nothing for a decision that was changed later."""
        return [verdict for verdict in self._store.verdicts() if verdict.ts <= self._ts]

    def cash_beyond(self, seen: Changes | None) -> CashRows:
        """The versions of cash and carry that had been received."""
        found = self._store.cash_beyond(None)
        return found._replace(rows=[row for row in found.rows if row.received_ts <= self._ts])

    def rule_starts(self) -> RuleStarts:
        """Today's: a rule judges by the number of a row, whatever the moment."""
        return self._store.rule_starts()

    def calendar_state(self) -> CalendarState:
        """Today's: a spot date judges from the `received_ts` on that stands beside it, whatever the moment."""
        return self._store.calendar_state()

    def watermark(self) -> int:
        """0: which rows had been received by then is known only once they are read."""
        return 0

    def read_trades(self, check: TradeCheck) -> Iterator[tuple[int, Trade | RefusedRow]]:
        """Rows that had been received, in store order, as `ReadTrades`."""
        return ((store_seq, then) for store_seq, then in self.rows_of_then(check) if then.received_ts <= self._ts)

    def rows_of_then(self, check: TradeCheck) -> Iterator[tuple[int, Trade | RefusedRow]]:
        """All rows in store order, those that came later too, as they were before conflicts were accepted after the moment."""
        for store_seq, trade in read_trades(self._store)(check):
            row = self._replaced.get(store_seq)
            yield store_seq, trade if row is None else trade_from_row(row, check)

    def read_conflicts(self, check: TradeCheck) -> Iterable[Trade]:
        """Conflicts that had been received, as `ReadConflicts`."""
        return (trade for trade in read_conflicts(self._store, MAX_NOTICES)(check) if trade.received_ts <= self._ts)

    @cached_property
    def _replaced(self) -> dict[int, TradeRow]:
        """The rows, by number, that accepted conflicts replaced after the moment, as they were at it."""
        found: dict[int, TradeRow] = {}
        decided = AuditFilter(kind="verdict", since_ts=self._ts + 1)
        for entry in self._store.audit_entries(decided, MAX_VERDICTS):
            with suppress(ValueError, TypeError, KeyError):  # an entry that cannot be read says nothing
                said = orjson.loads(entry.detail)
                found.setdefault(said["store_seq"], TradeRow(**said["replaced"]))  # of before there were attributes: without
        return found

    def side(self) -> dict[Key, Holding]:
        """Every position by the store's own account, like `store_side`, at the moment. 15 us a row."""
        trading_day = SpotDates.of(self.calendar_state(), self._config.engine).calendars.trading_day(self._config.engine)
        day = current_day(trading_day, self._config.engine.tolerance_s, self._ts)
        rules = self._store.read(partial(Rules, config=self._config, as_of=self._ts, current_day=day))
        side: dict[Key, Holding] = {}
        then = (self._replaced.get(row.store_seq, row) for row in self._store.trades_after(0))
        rows = (row for row in then if row.received_ts <= self._ts)

        def add(what: Trade | Opening | CarryRecord, symbol: str, holding: Holding) -> None:
            for key in keys_of(what, symbol):
                side[key] = plus(side.get(key, NOTHING), holding)

        rules.add_all(add, rules.effective(rows))
        return side

"""What a store would hold, in lists: for rebuilds without a database."""

from collections.abc import Iterator
from typing import Any

from riskengine.engine.engine import Engine
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.actions import NO_ACTIONS, ActionRows
from riskengine.records.calendars import CalendarState
from riskengine.records.closes import StruckClose
from riskengine.records.decode import TradeCheck
from riskengine.records.manual_marks import ManualMark
from riskengine.records.option_inputs import OptionInput
from riskengine.records.rules import NO_STARTS, RuleStarts
from riskengine.records.types import Close, Instrument, Node, Opening, StoredMark, Trade, Verdict
from riskengine.store.results import CashRows, Changes, StoredNotice
from riskengine.store.trade_rows import RefusedRow
from tests.world import NOON, config, instruments, nodes


class Shelf:
    """What a store would hold, in lists."""

    def __init__(self, *trades: Trade | RefusedRow) -> None:
        self.struck: list[StruckClose] = []
        self.trades_ = list(trades)
        self.nodes_: list[Node] = nodes()
        self.instruments_: list[Instrument] = instruments()
        self.openings_: list[Opening] = []
        self.marks_: list[StoredMark] = []
        self.closes_: list[Close] = []
        self.highest: int | None = None
        self.noticed: int | None = None

    def nodes(self) -> list[Node]:
        return self.nodes_

    def instruments(self) -> list[Instrument]:
        return self.instruments_

    def openings(self) -> list[Opening]:
        return self.openings_

    def marks(self) -> list[StoredMark]:
        return self.marks_

    def option_inputs(self) -> list[OptionInput]:
        return []

    def verdicts(self) -> list[Verdict]:
        return []

    def manual_marks(self) -> list[ManualMark]:
        return []

    def rule_starts(self) -> RuleStarts:
        return NO_STARTS

    def calendar_state(self) -> CalendarState:
        return CalendarState()

    def action_rows(self) -> ActionRows:
        return NO_ACTIONS

    def notices(self, limit: int) -> list[StoredNotice]:
        return []

    def late_count(self) -> int:
        return 0

    def noticed_up_to(self) -> int | None:
        return self.noticed

    def closes(self, date: str | None = None) -> list[Close]:
        return []

    def latest_closes(self, up_to: str) -> list[Close]:
        return list({close.instrument: close for close in self.closes_ if close.date <= up_to}.values())

    def closes_after(self, date: str, limit: int) -> list[Close]:
        return [close for close in self.closes_ if close.date > date]

    def struck_close_dates(self) -> dict[str, int]:
        return {close.date: close.version for close in self.struck}

    def struck_close(self, date: str, version: int | None = None) -> StruckClose | None:
        found = [close for close in self.struck if close.date == date and version in (None, close.version)]
        return found[-1] if found else None

    def cash_beyond(self, seen: Changes | None) -> CashRows:
        return CashRows([], Changes(), is_all=True)

    def watermark(self) -> int:
        return len(self.trades_) if self.highest is None else self.highest

    def read(self, check: TradeCheck) -> Iterator[tuple[int, Trade | RefusedRow]]:
        yield from enumerate(self.trades_, start=1)

    def rebuild(self, now: int = NOON, **more: Any) -> Engine:
        return rebuild(self, self.read, config(), **({"epoch": 3, "now": now} | more))

"""Keeps the figures that limits bound and no snapshot has: VaR, expected shortfall, cash by value date, what counterparties owe.

Once a second those of the lines in force are worked out from the newest snapshot, on the thread of the scenario desk, and the
limits get them. That takes a fifth of the time at most, so that a large book gets its figures less often. Without limits on such
figures nothing is done. Where it fails, the figures grow old, and the limits become unknown. On the event loop.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from riskengine.clock import Clock
from riskengine.config import Config
from riskengine.engine.cash_ladder import Flows, LadderTrades, Place, Tail, add_trades, flows_of, look_back
from riskengine.engine.ladder_reading import read_ladder_trades
from riskengine.errors import RiskEngineError
from riskengine.intake.recall import frozen_since
from riskengine.limits.check import headroom_of
from riskengine.limits.figures import Figure, FigureKey, Figures, IntendedTrade
from riskengine.limits.holdings import NOTHING_KNOWN, Number
from riskengine.limits.lines import LimitLine
from riskengine.loop import Failed, start_task
from riskengine.market.trading_day import TradingDay
from riskengine.observe import get_logger
from riskengine.process.counterparty_figures import StandingExposures
from riskengine.process.group_desk import GroupDesk
from riskengine.process.scenario_desk import ScenarioDesk
from riskengine.process.verdicts import OnWriter
from riskengine.records.limits import CASH_ON_DATE, COUNTERPARTY, VAR, VAR_MEASURES, Limit
from riskengine.records.reference import Reference, trade_check
from riskengine.records.types import CASH_ONE
from riskengine.scenarios.standing_var import StandingVar, VarFigure
from riskengine.scenarios.var import HISTORICAL
from riskengine.scenarios.workbench import Workbench
from riskengine.snapshot.groups import COUNTERPARTY as BY_COUNTERPARTY
from riskengine.snapshot.groups import Parts
from riskengine.snapshot.snapshot import OwnerState, SeqGone, Snapshot, UnknownName
from riskengine.store.protocol import Store

EVERY_S = 1.0
RESTS = 4.0
"""How many times as long as the work took nothing is done, at least."""

CASH_AGAIN_US = 10_000_000
"""Cash by value date is worked out again after so long though no trade has come: an external movement may have been entered."""

log = get_logger("riskengine.limit_figures")


class FigureParts(NamedTuple):
    """What figures are made with. `wanted` gives the lines in force that bound figures, `take` brings the figures to them."""

    store: Store
    config: Config
    clock: Clock
    newest: Callable[[], Snapshot]
    scenarios: ScenarioDesk
    groups: GroupDesk
    on_writer: OnWriter
    wanted: Callable[[], Sequence[LimitLine]]
    take: Callable[[Figures], None]


class LimitFigures:
    """The figures of the limits of one live engine, from `start` to `stop`."""

    def __init__(self, parts: FigureParts) -> None:
        self._parts = parts
        self._trading_day = TradingDay.of(parts.config.engine)
        self._tails: dict[str, dict[Place, Tail]] = {}
        self._cash: Figures = {}
        self._cash_of: tuple[object, ...] = ()
        self._cash_at = 0
        self._task: asyncio.Task[None] | None = None

    def start(self, failed: Failed | None = None) -> None:
        """Begin. `failed` is called if an error ends it."""
        self._task = start_task(self._run(), log, "limit_figures_failed", failed)

    def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        loop, reason = asyncio.get_running_loop(), ""
        while True:
            began = loop.time()
            try:
                await self.work_out()
            except (RiskEngineError, UnknownName, SeqGone) as error:
                if str(error) != reason:  # it may last: the stored trades are being read, say
                    log.warning("limit_figures_not_made", reason=str(error))
                reason = str(error)
            else:
                reason = ""
            await asyncio.sleep(max(EVERY_S, RESTS * (loop.time() - began)))

    async def work_out(self) -> None:
        """Make the figures of the newest snapshot, once. Raises StoreError, TooBusy, EngineNotLive, UnknownName."""
        lines = self._parts.wanted()
        of_cash = [line for line in lines if line.limit.measure == CASH_ON_DATE]
        of_var = [line for line in lines if line.limit.measure in VAR_MEASURES]
        of_counterparties = [line for line in lines if line.limit.measure == COUNTERPARTY]
        if of_var:
            snapshot = self._parts.newest()
            self._parts.take(await self._parts.scenarios.ask(partial(var_figures, snapshot=snapshot, lines=of_var), is_ours=True))
        if of_cash:
            self._parts.take(await self._cash_figures(of_cash))
        if of_counterparties:
            await self._take_exposures(of_counterparties)

    async def _take_exposures(self, lines: Sequence[LimitLine]) -> None:
        """Give the figures of exposure to counterparties, owner by owner. The first time all stored trades are read."""
        parts, by_owner = self._parts, dict[tuple[str, str], list[LimitLine]]()
        for line in lines:
            by_owner.setdefault((line.node, line.dealer), []).append(line)
        for (node, dealer), own in by_owner.items():
            snapshot = parts.newest()
            place = (node or None, dealer or None)
            found = await parts.groups.parts(snapshot, BY_COUNTERPARTY, node=place[0], dealer=place[1])
            work = partial(_exposures_of, snapshot=snapshot, parts=found, place=place, lines=own)
            parts.take(await parts.scenarios.ask(work, is_ours=True))

    # -- cash by value date ----------------------------------------------------------------------------------------

    async def _cash_figures(self, lines: Sequence[LimitLine]) -> Figures:
        """Those of cash: made again where something has traded, else those of before, as of now."""
        newest = self._parts.newest()
        cash = None if newest.nodes.cash is None else newest.nodes.cash.by_node
        made_of = (newest.reference, newest.trade_seq, newest.current_day, cash, tuple(line.key for line in lines))
        is_same = len(self._cash_of) == len(made_of) and all(
            a is b or a == b for a, b in zip(made_of, self._cash_of, strict=True)
        )
        if is_same and newest.as_of < self._cash_at + CASH_AGAIN_US:
            return {key: figure._replace(as_of=newest.as_of) for key, figure in self._cash.items()}
        if newest.current_day not in self._cash_of:  # what has settled is another set of trades
            self._tails = {}
        found: dict[FigureKey, Figure] = {}
        by_node: dict[str, list[LimitLine]] = {}
        for line in lines:
            by_node.setdefault(line.node, []).append(line)
        self._tails = {node: self._tails.get(node, {}) for node in by_node}
        for node, own in by_node.items():
            found |= await self._cash_of_node(node, own)
        self._cash, self._cash_of, self._cash_at = found, made_of, newest.as_of
        return found

    async def _cash_of_node(self, node: str, lines: Sequence[LimitLine]) -> Figures:
        parts = self._parts
        since = look_back(self._trading_day, parts.newest().as_of)
        taken = await read_ladder_trades(parts.newest, parts.on_writer, node, since, self._tails[node])
        if behind := taken.behind():
            check = trade_check(taken.snapshot.reference)
            read = await asyncio.to_thread(frozen_since, parts.store, check, taken.frozen_ids, behind, since, taken.place)
            taken = taken.with_those_behind(read)
        work = partial(_cash_figures_of, taken=taken, trading_day=self._trading_day, lines=lines)
        return await parts.scenarios.ask(work, is_ours=True)


def _exposures_of(
    _: Workbench, snapshot: Snapshot, parts: Parts, place: tuple[str | None, str | None], lines: Sequence[LimitLine]
) -> dict[FigureKey, Figure]:
    """The figures of one owner. O(rows + parts)."""
    standing = StandingExposures(snapshot, parts, *place)
    return {
        FigureKey.of(line): Figure(standing.after(line.limit, ()), snapshot.as_of, partial(standing.after, line.limit))
        for line in lines
    }


def _cash_figures_of(
    _: Workbench, taken: LadderTrades, trading_day: TradingDay, lines: Sequence[LimitLine]
) -> dict[FigureKey, Figure]:
    """The figures of one node. O(trades of the last days)."""
    flows, quarantined, _unfixed = flows_of(taken, trading_day)
    cash = StandingCash(flows, taken.snapshot.reference, whole=not quarantined)
    found = {}
    for line in lines:
        after = partial(cash.after, line.limit)
        found[FigureKey.of(line)] = Figure(cash.after(line.limit, ()), taken.snapshot.as_of, after)
    return found


class StandingCash:
    """Flows of a node by currency and value date, and the number of a limit on them now and after trades."""

    def __init__(self, flows: Flows, reference: Reference, *, whole: bool) -> None:
        self._flows = flows
        self._reference = reference
        self._whole = whole

    def after(self, limit: Limit, intended: Sequence[IntendedTrade]) -> Number:
        """The flow of the value date, from today on, that is furthest towards the limit; 0 without flows. O(flows)."""
        trades = [each.trade for each in intended]
        instruments = self._reference.with_forwards(trade.instrument for trade in trades).by_symbol
        if any(trade.instrument not in instruments for trade in trades):
            return NOTHING_KNOWN
        added = Flows(0, self._flows.trading_day, self._flows.calendars)
        added.today = self._flows.today
        add_trades(added, trades, instruments)
        amounts: dict[Any, int] = {}
        for flows in (self._flows, added):
            for (currency, date), units in flows.amounts.items():
                if currency == limit.currency and date is not None:
                    amounts[date] = amounts.get(date, 0) + units
        worst = Number(0.0, self._whole)
        for date, units in sorted(amounts.items()):
            value = units / CASH_ONE
            if headroom_of(limit, value) < headroom_of(limit, worst.value):
                worst = Number(value, self._whole, date.isoformat())
        return worst


# -- VaR -----------------------------------------------------------------------------------------------------------


def var_figures(bench: Workbench, snapshot: Snapshot, lines: Sequence[LimitLine]) -> Figures:
    """VaR and expected shortfall of the owners of these lines. Of owners that the snapshot lacks there are none."""
    places: dict[tuple[str, str], int] = {}
    states: list[OwnerState] = []
    dealers = {name: number for number, name in enumerate(snapshot.dealer_names)}
    for line in lines:
        numbers = dealers if line.dealer else snapshot.reference.hierarchy.index
        number = numbers.get(line.place)
        if number is not None and (line.node, line.dealer) not in places:
            places[line.node, line.dealer] = len(states)
            states.append(line.table(snapshot).state(number))
    if not states:
        return {}
    # A blank tells a dealer from a node of the same name among what is kept.
    names = [node or f" {dealer}" for node, dealer in places]
    standing = StandingVar(bench.scenarios(snapshot, HISTORICAL), bench.rule(HISTORICAL), names, states, bench.holdings)
    found = {}
    for line in lines:
        at = places.get((line.node, line.dealer))
        if at is not None:
            number_of = partial(_number, measure=line.limit.measure)
            found[FigureKey.of(line)] = Figure(
                number_of(standing.figure(at)), snapshot.as_of, partial(_after, standing, at, line.limit.measure)
            )
    return found


def _number(figure: VarFigure, measure: str) -> Number:
    value = figure.var if measure == VAR else figure.es
    return Number(value, figure.whole and not math.isnan(value))


def _after(standing: StandingVar, at: int, measure: str, trades: Sequence[IntendedTrade]) -> Number:
    return _number(standing.after(at, [each.trade for each in trades]), measure)

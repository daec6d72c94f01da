"""What intended trades would do to the limits: every rule that applies, with its outcome and the headroom after them.

The trades are taken together: a limit on a number of a snapshot is judged as it would stand once all of them are booked at the
prices of the snapshot. Pure functions of a snapshot and its judgement; the writer is asked nothing.

A hard limit refuses what is beyond it, a soft one warns. A number that is beyond its limit already and comes nearer to it warns:
what reduces a breach is not refused.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from riskengine.limits.effects import Effect, row_after
from riskengine.limits.figures import FIGURES, FigureKey, IntendedTrade
from riskengine.limits.holdings import EXPOSURES, Exposures, Number, position_number, worst_position
from riskengine.limits.judge import BREACH, OK, UNKNOWN, WARNING, Judgement
from riskengine.limits.lines import LimitLine
from riskengine.positions.ledger import Row
from riskengine.records.limits import ABSOLUTE, BELOW, HARD, Limit
from riskengine.records.types import ONE, Kind
from riskengine.snapshot.cash_rows import balances_of
from riskengine.snapshot.exposure import gross_of, rows_of
from riskengine.snapshot.exposure_columns import ExposureColumns
from riskengine.snapshot.snapshot import Snapshot
from riskengine.valuation.cash_values import NO_BALANCES

PASSES, WARNS, IS_UNKNOWN, REFUSES = "pass", "warn", "unknown", "refuse"
OUTCOMES = (PASSES, WARNS, IS_UNKNOWN, REFUSES)
"""The outcomes of a rule, each worse than those before it."""

STALE = "the mark is stale"
SHUT = "the market is shut"
NO_MARK = "there is no mark"


class RuleOutcome(NamedTuple):
    """How one rule would stand. Numbers are in the unit of the limit, NaN where unknown.

    trade    the place of the trade that it bounds, None where it bounds what all of them together come to
    line     the limit and its node or dealer, None for the rules that always hold (`instrument`, `market`)
    headroom how much further the number could go after the trades
    state    how the limit would stand: one of `judge.STATES` by number
    """

    rule: str
    outcome: str
    trade: int | None = None
    line: LimitLine | None = None
    before: float = math.nan
    after: float = math.nan
    headroom: float = math.nan
    state: int = OK
    reason: str = ""


def worst(outcomes: Iterable[RuleOutcome]) -> str:
    """The outcome of all rules together: the worst."""
    return max((each.outcome for each in outcomes), key=OUTCOMES.index, default=PASSES)


def check(
    snapshot: Snapshot,
    judgement: Judgement,
    effects: Mapping[int, Effect],
    shows: Callable[[LimitLine], bool],
) -> list[RuleOutcome]:
    """Every rule that applies to trades whose `effects` are given by their places, of the limits that the caller is shown.

    15 us a rule whose number adds up; those on gross exposure, and on exposure by currency, name or sector, O(instruments held).
    """
    found = [_market(snapshot, place, effect) for place, effect in effects.items()]
    touched: dict[int, list[int]] = {}
    for place, effect in effects.items():
        for at in judgement.by_place.above(snapshot, effect.trade):
            touched.setdefault(at, []).append(place)
    after = _After(snapshot)
    for at in sorted(touched):
        line = judgement.lines[at]
        if not shows(line):
            continue
        own = {place: effects[place] for place in touched[at]}
        if line.limit.instrument:
            wanted = snapshot.reference.instrument_index.get(line.limit.instrument, -1)
            own = {place: effect for place, effect in own.items() if effect.number == wanted}
        if not own:
            continue
        if line.limit.terms.of_trade:
            found += [_of_trade(snapshot, line, place, effect) for place, effect in own.items()]
        else:
            found.append(rule_of_number(judgement, at, line, after.number(judgement, at, line, [*own.values()])))
    return found


# -- rules of one trade ------------------------------------------------------------------------------------------


def _market(snapshot: Snapshot, place: int, effect: Effect) -> RuleOutcome:
    """A trade in a shut market warns: it can be agreed, and nothing says at what price."""
    if snapshot.units.closed.item(effect.number):
        return RuleOutcome("market", WARNS, place, state=WARNING, reason=SHUT)
    return RuleOutcome("market", PASSES, place)


def _of_trade(snapshot: Snapshot, line: LimitLine, place: int, effect: Effect) -> RuleOutcome:
    limit, reason = line.limit, ""
    if limit.measure == "trade_quantity":
        value = abs(effect.trade.signed_quantity) / ONE
    elif limit.measure == "trade_amount":
        value = effect.amount
        reason = "its currency has no rate" if math.isnan(value) else ""
    else:
        value, reason = _distance(snapshot, effect)
    state = state_of(limit, value, whole=True)
    return RuleOutcome(
        limit.measure, _outcome(limit, state), place, line, math.nan, value, headroom_of(limit, value), state, reason
    )


def _distance(snapshot: Snapshot, effect: Effect) -> tuple[float, str]:
    """How far the price of a trade lies from a fresh mark, in per cent of it; NaN with the reason where there is none."""
    units, number = snapshot.units, effect.number
    if not units.priced.item(number) or not units.price.item(number):
        return math.nan, NO_MARK
    if units.closed.item(number):
        return math.nan, SHUT
    if units.stale_mark.item(number):
        return math.nan, STALE
    mark = units.price.item(number)
    return abs(effect.trade.fill_price - mark) / abs(mark) * 100.0, ""


# -- rules on numbers --------------------------------------------------------------------------------------------


def state_of(limit: Limit, value: float, *, whole: bool) -> int:
    """How a limit stands with a number, without hysteresis: one of `judge.STATES`."""
    if math.isnan(value):
        return UNKNOWN
    headroom = headroom_of(limit, value)
    if headroom < 0.0:
        return BREACH
    if not whole:
        return UNKNOWN
    return WARNING if headroom <= limit.margin else OK


def headroom_of(limit: Limit, value: float) -> float:
    """How much further a number may go; below 0: how far it is beyond."""
    if limit.side == BELOW:
        return value - limit.limit
    return limit.limit - (abs(value) if limit.side == ABSOLUTE else value)


def _outcome(limit: Limit, state: int) -> str:
    if state == BREACH:
        return REFUSES if limit.severity == HARD else WARNS
    return {UNKNOWN: IS_UNKNOWN, WARNING: WARNS}.get(state, PASSES)


def rule_of_number(judgement: Judgement, at: int, line: LimitLine, after: Number) -> RuleOutcome:
    """How a line would stand with another number than it has now."""
    limit, before = line.limit, judgement.readings.value.item(at)
    state = state_of(limit, after.value, whole=after.whole)
    outcome, reason, headroom = _outcome(limit, state), "", headroom_of(limit, after.value)
    if state == BREACH and headroom > headroom_of(limit, before):
        outcome, reason = WARNS, "beyond the limit, and nearer to it than before"
    elif state == UNKNOWN:
        reason = "the number is unknown" if math.isnan(after.value) else "parts of the number are unknown"
    return RuleOutcome(limit.measure, outcome, None, line, before, after.value, headroom, state, reason)


def _figure_after(judgement: Judgement, at: int, line: LimitLine, effects: Sequence[Effect]) -> Number:
    """A figure after trades; unknown where it is not known now, or too old."""
    figure = judgement.figures.get(FigureKey.of(line))
    if figure is None or math.isnan(judgement.readings.value.item(at)):
        return Number(math.nan, False)
    return figure.after([IntendedTrade(effect.trade, effect.counterparty) for effect in effects])


class _After:
    """The numbers after trades. What several lines of an owner need is made once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._held: dict[tuple[str, str], ExposureColumns] = {}
        self._exposures: dict[tuple[str, str], Exposures] = {}

    def number(self, judgement: Judgement, at: int, line: LimitLine, effects: Sequence[Effect]) -> Number:
        """The number that a line would bound."""
        measure, whole = line.limit.measure, bool(judgement.readings.whole[at])
        is_new = line.owner < 0 and bool(line.dealer)  # a dealer who has not dealt yet holds nothing
        if line.owner < 0 and not is_new:
            return Number(math.nan, False)
        if measure in FIGURES:
            return _figure_after(judgement, at, line, effects)
        if measure == "gross_exposure":
            value, is_known = gross_of(self._snapshot, self._columns(line, effects))
            return Number(value, is_known and (whole or is_new))
        if measure in EXPOSURES:
            place = (line.node, line.dealer)
            if place not in self._exposures:
                self._exposures[place] = Exposures(self._snapshot, self._columns(line, effects))
            return self._exposures[place].number(line.limit)
        if line.limit.terms.instrument != "none":
            return self._position(line, effects)
        before = 0.0 if is_new else judgement.readings.value.item(at)
        value = before + sum(effect.change(measure) for effect in effects)
        if measure == "available_cash" and not all(self._is_settled(line, effect) for effect in effects):
            return Number(math.nan, False)
        return Number(max(value, 0.0) if measure == "drawdown" else value, whole or is_new)

    def _is_settled(self, line: LimitLine, effect: Effect) -> bool:
        """Whether the cash of a trade is known: a future that the owner has not held yet may have no settlement price."""
        is_future = self._snapshot.reference.instruments[effect.number].kind is Kind.FUTURE
        return not is_future or line.table(self._snapshot).row(line.owner, effect.number) is not None

    def _rows(self, line: LimitLine, effects: Sequence[Effect]) -> dict[int, Row]:
        """What the owner of a line would hold, by instrument."""
        rows = rows_of(line.table(self._snapshot), line.owner)[0] if line.owner >= 0 else ()
        found = {row.instrument: row for row in rows}
        for number in {effect.number for effect in effects}:
            trades = [effect.trade for effect in effects if effect.number == number]
            found[number] = row_after(found.get(number), trades, number)
        return found

    def _columns(self, line: LimitLine, effects: Sequence[Effect]) -> ExposureColumns:
        place = (line.node, line.dealer)
        if place not in self._held:
            snapshot = self._snapshot
            broken = rows_of(line.table(snapshot), line.owner)[1] if line.owner >= 0 else frozenset[int]()
            cash = balances_of(snapshot, line.owner) if line.node else NO_BALANCES
            rows = self._rows(line, effects).values()
            self._held[place] = ExposureColumns(snapshot.reference, snapshot.units.netting, rows, broken, cash)
        return self._held[place]

    def _position(self, line: LimitLine, effects: Sequence[Effect]) -> Number:
        if not line.limit.instrument:
            return worst_position(self._snapshot, line.limit, self._rows(line, effects).values())
        number = effects[0].number
        row = line.table(self._snapshot).row(line.owner, number) if line.owner >= 0 else None
        return position_number(self._snapshot, line.limit, row_after(row, [effect.trade for effect in effects], number))

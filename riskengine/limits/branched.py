"""How limits would stand in a branch of a snapshot: some nodes with trades more, at other prices. Pure; any thread.

A branch is a snapshot whose dealers are the nodes asked about. What the branch values itself (exposure, Greeks, P&L, positions)
is read from it, by the code that reads any snapshot. The rest follows from the change: the P&L of the day and the NAV move with
total P&L, available cash with what the trades pay. Fees count for nothing there, as in all of a what-if.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import structs

from riskengine.limits.check import RuleOutcome, rule_of_number
from riskengine.limits.effects import effect_of
from riskengine.limits.figures import FIGURES, FigureKey, IntendedTrade
from riskengine.limits.holdings import EXPOSURES, NOTHING_KNOWN, Exposures, Number
from riskengine.limits.judge import Judgement
from riskengine.limits.lines import LimitLine
from riskengine.limits.reading import LineReader
from riskengine.records.limits import COUNTERPARTY, VAR, VAR_MEASURES, Limit
from riskengine.records.types import CASH_ONE, Kind
from riskengine.snapshot.cash_rows import balances_of
from riskengine.snapshot.exposure_columns import ExposureColumns
from riskengine.snapshot.snapshot import Snapshot

OTHER_RATES = "available cash at other rates is not worked out"

OTHER_PRICES = "exposure to a counterparty at other prices is not worked out"

WITH_TOTAL = frozenset({"net_day_pnl", "drawdown", "nav"})
"""Measures that move as total P&L does."""


class BranchVar(NamedTuple):
    """VaR and expected shortfall of a node in a branch, None where unknown, and how many instruments are not in them."""

    var: float | None
    es: float | None
    unknown_count: int


class BranchedNodes(NamedTuple):
    """A branch of a snapshot.

    before, after   the nodes as they are, and with the trades at other prices; the dealers of both are the nodes, in one order
    trades          in the instruments of their positions, with whom
    var             of nodes in `after`, by name, where it was worked out
    """

    snapshot: Snapshot
    before: Snapshot
    after: Snapshot
    trades: Sequence[IntendedTrade]
    var: Mapping[str, BranchVar]

    def trades_of(self, node: str) -> list[IntendedTrade]:
        """The trades at or below a node. O(trades)."""
        hierarchy = self.snapshot.reference.hierarchy
        number = hierarchy.index[node]
        return [each for each in self.trades if _is_at_or_below(number, hierarchy.index[each.trade.desk], hierarchy.ancestors)]

    def available_change(self, node: str) -> tuple[float, str]:
        """What the trades make of the available cash of a node, NaN where nobody knows, with the reason. 10 us a trade."""
        if not _same_rates(self.snapshot, self.after):
            return math.nan, OTHER_RATES
        total, snapshot = 0.0, self.snapshot
        for trade, _ in self.trades_of(node):
            number = snapshot.reference.instrument_index[trade.instrument]
            owner = snapshot.reference.hierarchy.index[node]
            if snapshot.reference.instruments[number].kind is Kind.FUTURE and snapshot.nodes.row(owner, number) is None:
                return math.nan, "a future that is not held yet may have no settlement price"
            total += effect_of(snapshot, trade, number).cash
        return total, ""


def _is_at_or_below(node: int, desk: int, ancestors: Sequence[Sequence[int]]) -> bool:
    return node == desk or node in ancestors[desk]


def _same_rates(one: Snapshot, other: Snapshot) -> bool:
    """Whether no currency that is known in one of them has another rate in the other."""
    a, b = one.rates, other.rates
    known = a.fee_known | b.fee_known
    return np.array_equal(a.fee_known, b.fee_known) and np.allclose(a.fee_value[known], b.fee_value[known], rtol=1e-12, atol=0.0)


def same_prices(one: Snapshot, other: Snapshot) -> bool:
    """Whether nothing has another value in one of them. O(instruments)."""
    a, b = one.units, other.units
    return np.array_equal(a.priced, b.priced) and np.allclose(a.value, b.value, rtol=1e-12, atol=0.0) and _same_rates(one, other)


def branched_limits(nodes: BranchedNodes, judgement: Judgement, shows: Callable[[LimitLine], bool]) -> list[RuleOutcome]:
    """How each limit on the nodes would stand, in the order of lines; those of intended trades are no part of it.

    2 us a line, and an exposure for each node with limits on one.
    """
    owners = {name: at for at, name in enumerate(nodes.after.dealer_names)}
    places = [
        at for at, line in enumerate(judgement.lines) if line.node in owners and not line.limit.terms.of_trade and shows(line)
    ]
    lines = [judgement.lines[at] for at in places]
    here = [LimitLine(structs.replace(line.limit, node="", dealer=line.node), "", line.node, owners[line.node]) for line in lines]
    numbers = _Numbers(nodes, judgement, here)
    found = []
    for place, (at, line) in enumerate(zip(places, lines, strict=True)):
        number, reason = numbers.number(at, line, place)
        rule = rule_of_number(judgement, at, line, number)
        found.append(rule._replace(reason=reason) if reason else rule)
    return found


class _Numbers:
    """The numbers of lines in a branch. `here` are the same lines on the owners of the branch."""

    def __init__(self, nodes: BranchedNodes, judgement: Judgement, here: Sequence[LimitLine]) -> None:
        self._nodes = nodes
        self._judgement = judgement
        self._readings = LineReader(here).read(nodes.after)
        totals = [_total_line(name, owner) for owner, name in enumerate(nodes.after.dealer_names)]
        before, after = (LineReader(totals).read(branch) for branch in (nodes.before, nodes.after))
        self._change = [
            Number(change, whole)
            for change, whole in zip((after.value - before.value).tolist(), after.whole.tolist(), strict=True)
        ]
        self._owner = [line.owner for line in here]
        self._exposures: dict[str, Exposures] = {}

    def number(self, at: int, line: LimitLine, place: int) -> tuple[Number, str]:
        """The number of a line after, and why it is unknown where that is not plain."""
        measure = line.limit.measure
        if self._nodes.snapshot.nodes.is_broken(line.owner):
            return NOTHING_KNOWN, ""
        if measure in FIGURES:
            return self._figure(at, line)
        if measure in EXPOSURES:
            return self._exposures_of(line).number(line.limit), ""
        if measure in WITH_TOTAL:
            return self._with_total(at, line, place), ""
        if measure == "available_cash":
            change, reason = self._nodes.available_change(line.node)
            return self._moved(at, change), reason
        return self._read(place), ""

    def _read(self, place: int) -> Number:
        readings = self._readings
        return Number(readings.value.item(place), bool(readings.whole[place]), readings.subjects.get(place, ""))

    def _moved(self, at: int, change: float) -> Number:
        readings = self._judgement.readings
        value = readings.value.item(at) + change
        return Number(value, bool(readings.whole[at]) and not math.isnan(value))

    def _with_total(self, at: int, line: LimitLine, place: int) -> Number:
        change = self._change[self._owner[place]]
        if line.limit.measure == "nav":
            found = self._moved(at, change.value + self._translation(line))
        elif line.limit.measure == "drawdown":
            found = self._moved(at, -change.value)
            found = found._replace(value=max(found.value, 0.0) if not math.isnan(found.value) else found.value)
        else:
            found = self._moved(at, change.value)
        return found._replace(whole=found.whole and change.whole)

    def _translation(self, line: LimitLine) -> float:
        """What other rates make of the external cash of a node."""
        snapshot, after = self._nodes.snapshot, self._nodes.after
        total = 0.0
        for code, units in balances_of(snapshot, line.owner).items():
            number = snapshot.reference.currency_index.get(code)
            if number is None or not (snapshot.rates.fee_known.item(number) and after.rates.fee_known.item(number)):
                total += math.nan if units else 0.0
                continue
            total += units / CASH_ONE * (after.rates.fee_value.item(number) - snapshot.rates.fee_value.item(number))
        return total

    def _exposures_of(self, line: LimitLine) -> Exposures:
        if line.node not in self._exposures:
            after, snapshot = self._nodes.after, self._nodes.snapshot
            owner = after.dealer_names.index(line.node)
            rows, cash = after.dealers.state(owner).positions(), balances_of(snapshot, line.owner)
            columns = ExposureColumns(after.reference, after.units.netting, rows, frozenset(), cash)
            self._exposures[line.node] = Exposures(after, columns)
        return self._exposures[line.node]

    def _figure(self, at: int, line: LimitLine) -> tuple[Number, str]:
        measure = line.limit.measure
        if measure not in VAR_MEASURES:
            if measure == COUNTERPARTY and not same_prices(self._nodes.snapshot, self._nodes.after):
                return NOTHING_KNOWN, OTHER_PRICES
            figure = self._judgement.figures.get(FigureKey.of(line))
            if figure is None or math.isnan(self._judgement.readings.value.item(at)):
                return NOTHING_KNOWN, ""
            return figure.after(self._nodes.trades_of(line.node)), ""
        found = self._nodes.var.get(line.node)
        value = None if found is None else found.var if measure == VAR else found.es
        if found is None or value is None:
            return NOTHING_KNOWN, ""
        return Number(value, not found.unknown_count), ""


def _total_line(node: str, owner: int) -> LimitLine:
    return LimitLine(Limit(limit_id=node, version=1, measure="total_pnl", dealer=node), "", node, owner)

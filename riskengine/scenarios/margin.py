"""What accounts must hold for their positions: Regulation T and the worst of a grid, by dated rules. Pure; any thread.

Regulation T, of long shares, with MV their market value and the debit what the account owes:

    equity = MV - debit      call = max(0, maintenance MV - equity)      trigger value = debit / (1 - maintenance)

A scenario margin is the worst loss of the account over a grid of shifts: of every spot in per cent, times every vol in per cent
of itself, options by full revaluation. A position that a rule does not cover (Regulation T: short shares, options on shares) or
that has no value makes what is asked unknown, and is counted: never 0.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from riskengine.positions.ledger import Row
from riskengine.records.margin_rules import REG_T, SCENARIO, MarginRule
from riskengine.records.types import CASH_ONE, Kind
from riskengine.scenarios.branch import Branch, Pricer
from riskengine.scenarios.moves import ShiftInput, moves_of
from riskengine.snapshot.rows import QUANTITY_ONE, node_row
from riskengine.snapshot.snapshot import OwnerState, Snapshot
from riskengine.valuation.number_pages import TOTAL

RowDict = dict[str, Any]


class RegT(NamedTuple):
    """An account by Regulation T, in the reporting currency. None where unknown; `not_covered` positions make it so."""

    market_value: float | None
    cost: float | None
    debit: float | None
    equity: float | None
    initial: float | None
    maintenance: float | None
    call: float | None
    trigger_value: float | None
    buying_power: float | None
    not_covered: int
    unknown: int


class WorstCell(NamedTuple):
    """The worst cell of a grid: its loss, above 0, and its shifts in per cent. `loss` is None where a position has no value."""

    loss: float | None
    price_shift: float | None
    vol_shift: float | None
    unknown: int


def rules_in_force(rules: Iterable[MarginRule], day: str) -> list[MarginRule]:
    """The rules that hold in a trading day, by id: of the versions that have begun the highest, until its `to`."""
    highest: dict[str, MarginRule] = {}
    for rule in rules:
        known = highest.get(rule.rule_id)
        if (not rule.from_date or rule.from_date <= day) and (known is None or known.version < rule.version):
            highest[rule.rule_id] = rule
    return [highest[name] for name in sorted(highest) if highest[name].is_in_force(day)]


def margin_row(snapshot: Snapshot, rule: MarginRule) -> RowDict:
    """What a rule asks of its account at a snapshot. O(positions); of a scenario rule 2 ms a cell of its grid."""
    number = snapshot.reference.hierarchy.index.get(rule.node)
    available = None if number is None else node_row(snapshot, number)["available_cash"]
    return margin_of(snapshot, rule, None if number is None else snapshot.nodes.state(number), available)


def margin_of(snapshot: Snapshot, rule: MarginRule, state: OwnerState | None, available: float | None) -> RowDict:
    """The same of an account that holds `state` and has `available` cash; None: there is no such account, or nobody knows."""
    found: RowDict = {
        "rule_id": rule.rule_id,
        "version": rule.version,
        "kind": rule.kind,
        "node": rule.node,
        "from": rule.from_date or None,
        "to": rule.to_date or None,
        "available_cash": available,
    }
    reg_t = reg_t_of(snapshot, rule, state, available) if rule.kind == REG_T and state is not None else None
    worst = worst_of(snapshot, rule, state) if rule.kind == SCENARIO and state is not None else None
    requirement = reg_t.initial if reg_t is not None else worst.loss if worst is not None else None
    left = None if requirement is None or available is None else available - requirement
    return found | _fields(reg_t, worst, rule) | {"requirement": requirement, "available_after_margin": left}


def _fields(reg_t: RegT | None, worst: WorstCell | None, rule: MarginRule) -> RowDict:
    """What belongs to one kind of rule; null in the others."""
    return {
        "market_value": None if reg_t is None else reg_t.market_value,
        "cost": None if reg_t is None else reg_t.cost,
        "debit": None if reg_t is None else reg_t.debit,
        "equity": None if reg_t is None else reg_t.equity,
        "maintenance": None if reg_t is None else reg_t.maintenance,
        "call": None if reg_t is None else reg_t.call,
        "trigger_value": None if reg_t is None else reg_t.trigger_value,
        "buying_power": None if reg_t is None else reg_t.buying_power,
        "not_covered_count": 0 if reg_t is None else reg_t.not_covered,
        "unknown_count": reg_t.unknown if reg_t is not None else worst.unknown if worst is not None else 0,
        "worst_price_shift": None if worst is None else worst.price_shift,
        "worst_vol_shift": None if worst is None else worst.vol_shift,
        "minimum_equity": rule.minimum_equity or None,
        "day_trades": rule.day_trades or None,
        "days": rule.days or None,
    }


# -- Regulation T ------------------------------------------------------------------------------------------------


def reg_t_of(snapshot: Snapshot, rule: MarginRule, state: OwnerState, available: float | None) -> RegT:
    """An account by Regulation T. O(positions)."""
    value, cost, costs_known, not_covered, unknown = 0.0, 0.0, True, 0, 0
    for row in state.positions():
        kind = snapshot.reference.instruments[row.instrument].kind
        if kind not in (Kind.EQUITY, Kind.EQUITY_OPTION) or not row.open_count:
            continue
        if kind is Kind.EQUITY_OPTION or row.quantity < 0:
            not_covered += row.open_count
            continue
        worth = _worth(snapshot, row)
        if worth is None or row.quarantined:
            unknown += row.open_count
            continue
        value += worth
        cost += row.open_cost / CASH_ONE * snapshot.units.rate.item(row.instrument)
        costs_known &= row.is_one_sided
    is_known = not (unknown or not_covered)
    return account_by_reg_t(
        rule,
        value if is_known else None,
        cost if is_known and costs_known else None,
        available,
        not_covered=not_covered,
        unknown=unknown,
    )


def account_by_reg_t(
    rule: MarginRule,
    value: float | None,
    cost: float | None,
    cash: float | None,
    *,
    not_covered: int = 0,
    unknown: int = 0,
) -> RegT:
    """The sums of Regulation T for an account with long shares worth `value` that cost `cost`, and `cash` (a debit below 0)."""
    initial, maintenance = rule.initial / 100.0, rule.maintenance / 100.0
    debit = None if cash is None else max(0.0, -cash)
    equity = None if value is None or cash is None else value + cash
    asked = None if value is None else value * maintenance
    call = None if asked is None or equity is None else max(0.0, asked - equity)
    trigger = None if debit is None else debit / (1.0 - maintenance) if maintenance < 1.0 else None
    power = None if equity is None or value is None else max(0.0, equity - value * initial) / initial
    need = None if cost is None else cost * initial
    return RegT(value, cost, debit, equity, need, asked, call, trigger, power, not_covered, unknown)


def _worth(snapshot: Snapshot, row: Row) -> float | None:
    units, number = snapshot.units, row.instrument
    if not (units.priced.item(number) and units.rated.item(number)):
        return None
    size = row.quantity * snapshot.reference.instruments[number].contract_multiplier / QUANTITY_ONE
    return float(size * units.price.item(number) * units.rate.item(number))


# -- the worst of a grid -----------------------------------------------------------------------------------------


def worst_of(snapshot: Snapshot, rule: MarginRule, state: OwnerState) -> WorstCell:
    """The worst cell of a rule's grid. 2 ms a cell for a node of 1,000 instruments."""
    unknown = _unknown_positions(snapshot, state.positions())
    if unknown:
        return WorstCell(None, None, None, unknown)
    held = np.zeros(len(snapshot.reference.instruments), dtype=np.bool_)
    held[state.open_instruments()] = True
    pricer, branch = Pricer(snapshot, held), Branch(snapshot, [rule.node], [state])
    start = _total(branch.at(pricer.prices(moves_of(snapshot, ()))))
    worst = WorstCell(0.0, None, None, 0)
    for price_shift in rule.price_shifts:
        for vol_shift in rule.vol_shifts:
            there = branch.at(pricer.prices(moves_of(snapshot, _shifts(price_shift, vol_shift))))
            lost = _unknown_positions(there, state.positions())
            if lost:
                return WorstCell(None, price_shift, vol_shift, lost)
            loss = start - _total(there)
            if worst.loss is None or loss > worst.loss:
                worst = WorstCell(loss, price_shift, vol_shift, 0)
    return worst


def _shifts(price_shift: float, vol_shift: float) -> Sequence[ShiftInput]:
    shifts = [ShiftInput("spot", all=True, relative=price_shift / 100.0)] if price_shift else []
    return [*shifts, ShiftInput("vol", all=True, relative=vol_shift / 100.0)] if vol_shift else shifts


def _total(branch: Snapshot) -> float:
    return float(branch.dealers.measures(0)[TOTAL])


def _unknown_positions(snapshot: Snapshot, rows: Iterable[Row]) -> int:
    """Open positions without a value at the prices of a snapshot."""
    units = snapshot.units
    return sum(
        row.open_count
        for row in rows
        if row.open_count and not (units.priced.item(row.instrument) and units.rated.item(row.instrument) and not row.quarantined)
    )

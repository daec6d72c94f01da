"""Open positions in options whose cut is over, as they are listed until they are booked: who, since when, what to do.

Pure functions of a snapshot; any thread.
"""

from collections.abc import Callable, Iterable

from riskengine.positions.ledger import Row
from riskengine.records.types import ONE
from riskengine.snapshot.shown_marks import valued_option
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot
from riskengine.valuation.options.values import EXPIRED
from riskengine.valuation.unit_values import OptionMarks

EXERCISE, ASSIGN, ABANDON, SETTLE = "exercise", "assign", "abandon", "settle"
"""What is done with an option: exercised, assigned to who is short of it, left to lapse, or paid out in cash."""


def action_on(*, quantity: int, in_money: bool, is_cash: bool) -> str:
    """What becomes of a holding of so many units, by whether the option counts as in the money."""
    if not in_money:
        return ABANDON
    if is_cash:
        return SETTLE
    return EXERCISE if quantity > 0 else ASSIGN


def is_booked(item: ExceptionItem) -> bool:
    """Whether a decision about an exception is carried out by trades: that of an expired option."""
    return item.kind == "expired" and "suggested" in item.detail


def is_over(options: OptionMarks, place: int) -> bool:
    """Whether the cut of an option is over."""
    return options.values.state.item(place) == EXPIRED


def expired_option(
    snapshot: Snapshot, number: int, count: int, nodes: Iterable[int], sees_dealer: Callable[[str], bool]
) -> ExceptionItem:
    """The exception of an expired option with `count` open positions, some of them in these leaves. O(their rows)."""
    found = valued_option(snapshot, number)
    assert found is not None, "it is an option"
    values, place = found[0].values, found[1]
    option, names = snapshot.reference.instruments[number], snapshot.reference.hierarchy.names
    in_money, is_cash = bool(values.in_money[place]), option.settlement == "cash"
    fixing = values.fixing.item(place)
    is_fixed = fixing == fixing

    def held(what: str, owner: str, row: Row) -> dict[str, object]:
        action = action_on(quantity=row.quantity, in_money=in_money, is_cash=is_cash)
        return {what: owner, "quantity": row.quantity / ONE, "action": action}

    of_nodes = ((names[node], snapshot.nodes.row(node, number)) for node in nodes)
    of_dealers = (
        (name, snapshot.dealers.row(at, number)) for at, name in enumerate(snapshot.dealer_names) if name and sees_dealer(name)
    )
    holders = [held("desk", name, row) for name, row in of_nodes if row is not None and row.quantity]
    holders += [held("dealer", name, row) for name, row in of_dealers if row is not None and row.quantity]
    suggested = action_on(quantity=1, in_money=in_money, is_cash=is_cash)
    detail: dict[str, object] = {
        "instrument": option.instrument,
        "expiry": option.expiry,
        "positions": count,
        "suggested": suggested,
        "settlement": option.settlement or "physical",
        "spot_at_cut": fixing if is_fixed else None,
        "strike": option.strike if snapshot.adjustments is None else snapshot.adjustments.strike(option),
        "holders": holders,
    }
    reason = _reason(option.expiry, count, suggested, fixing if is_fixed else None, str(values.reason[place]))
    return ExceptionItem(f"expired:{option.instrument}", "expired", values.cut_ts.item(place), reason, None, detail)


def _reason(expiry: str, count: int, suggested: str, fixing: float | None, why: str) -> str:
    told = f"expired {expiry} with {count} open positions"
    if why:
        return f"{told}; {why}"
    then = "no spot of its cut is known, by that of now" if fixing is None else f"at its cut the spot was {fixing:.10g}"
    others = {EXERCISE: "exercise long ones, assign short ones; reject abandons them", SETTLE: "settle; reject abandons it"}
    return f"{told}; {then}: accept books {others.get(suggested, 'that they lapse; reject exercises them')}"

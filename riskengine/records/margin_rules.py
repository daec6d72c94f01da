"""Margin rules as dated data: as they are sent (`load margin`, `POST /v1/margin`), checked, and as the store keeps them.

A rule is of one account node. `reg_t` takes shares of cost and market value, `scenario` the worst loss over a grid of shifts of
prices and vols. `day_trading` is data only: the engine shows it with its last day and works nothing out from it.
"""

import msgspec

from riskengine.records.fields import Rejected, date, excerpt, free_text, integer, name, quote
from riskengine.records.hierarchy import Hierarchy

MARGIN = "margin"
"""The kind of margin rules among the stored rules."""

REG_T, SCENARIO, DAY_TRADING = "reg_t", "scenario", "day_trading"
KINDS = (REG_T, SCENARIO, DAY_TRADING)

INITIAL, MAINTENANCE = 50.0, 25.0
"""Per cent of cost and of market value that Regulation T asks for, where a rule does not say."""

MOST_SHIFTS = 101
"""Shifts of one kind in a grid."""

MOST_CELLS = 441
"""Cells of a grid: 21 shifts of prices times 21 of vols."""

MOST_PRICE_SHIFT, MOST_VOL_SHIFT = 1_000.0, 1_000.0
"""Largest shift up, per cent. None takes a price or a vol to 0 or below."""


class MarginRuleInput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename={"from_date": "from", "to_date": "to"}):
    """A margin rule as sent: a row of a margin file. Shifts are per cent, one after the other: `-15 -10 -5 0 5 10 15`."""

    rule_id: str
    version: int = 1
    kind: str = ""
    node: str = ""
    initial: float | str | None = None
    maintenance: float | str | None = None
    price_shifts: str = ""
    vol_shifts: str = ""
    minimum_equity: float | str | None = None
    day_trades: int | None = None
    days: int | None = None
    from_date: str = ""
    to_date: str = ""
    comment: str = ""


class MarginRule(msgspec.Struct, frozen=True, kw_only=True, rename={"from_date": "from", "to_date": "to"}):
    """One version of a margin rule, checked. Percentages and shifts in per cent, `minimum_equity` in the reporting currency."""

    rule_id: str
    version: int
    kind: str
    node: str
    initial: float = 0.0
    maintenance: float = 0.0
    price_shifts: tuple[float, ...] = ()
    vol_shifts: tuple[float, ...] = ()
    minimum_equity: float = 0.0
    day_trades: int = 0
    days: int = 0
    from_date: str = ""
    to_date: str = ""
    comment: str = ""
    author: str = ""
    entered_ts: int = 0

    def says_as(self, other: "MarginRule") -> bool:
        """Whether two versions say the same; author and time apart."""
        return msgspec.structs.replace(self, author=other.author, entered_ts=other.entered_ts) == other

    def is_in_force(self, day: str) -> bool:
        """Whether it holds in a trading day (YYYY-MM-DD)."""
        return (not self.from_date or self.from_date <= day) and (not self.to_date or day <= self.to_date)


class MarginRuleCheck:
    """Checks margin rules against the tree of nodes. Raises Rejected for the first bad field."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self._hierarchy = hierarchy

    def __call__(self, sent: MarginRuleInput, entered_ts: int, author: str) -> MarginRule:
        """The checked rule, entered at `entered_ts` by `author`."""
        if sent.kind not in KINDS:
            reason = f"must be one of {', '.join(KINDS)}: {excerpt(sent.kind)}" if sent.kind else "is missing"
            raise Rejected("kind", reason)
        if sent.node not in self._hierarchy.index:
            raise Rejected("node", f"unknown node {excerpt(sent.node)}" if sent.node else "is missing", sent.node)
        from_date, to_date = date(sent.from_date, "from"), date(sent.to_date, "to")
        if from_date and to_date and from_date > to_date:
            raise Rejected("from", f"is after to: {from_date}, {to_date}")
        _check_fields(sent)
        rule = MarginRule(
            rule_id=name(sent.rule_id, "rule_id"),
            version=integer(sent.version, "version", 1),
            kind=sent.kind,
            node=sent.node,
            from_date=from_date,
            to_date=to_date,
            comment=free_text(sent.comment, "comment"),
            author=author,
            entered_ts=entered_ts,
        )
        return {REG_T: _reg_t, SCENARIO: _scenario, DAY_TRADING: _day_trading}[sent.kind](rule, sent)


_OF_KIND = {
    REG_T: ("initial", "maintenance"),
    SCENARIO: ("price_shifts", "vol_shifts"),
    DAY_TRADING: ("minimum_equity", "day_trades", "days"),
}


def _check_fields(sent: MarginRuleInput) -> None:
    for kind, fields in _OF_KIND.items():
        for field in fields if kind != sent.kind else ():
            if getattr(sent, field) not in (None, ""):
                raise Rejected(field, f"is of rules of kind {kind}: leave it out")


def _reg_t(rule: MarginRule, sent: MarginRuleInput) -> MarginRule:
    initial = _percent(sent.initial, "initial", INITIAL)
    maintenance = _percent(sent.maintenance, "maintenance", MAINTENANCE)
    if maintenance > initial:
        raise Rejected("maintenance", f"must not be above initial: {maintenance:g}, {initial:g}")
    return msgspec.structs.replace(rule, initial=initial, maintenance=maintenance)


def _scenario(rule: MarginRule, sent: MarginRuleInput) -> MarginRule:
    prices = _shifts(sent.price_shifts, "price_shifts", MOST_PRICE_SHIFT)
    vols = _shifts(sent.vol_shifts or "0", "vol_shifts", MOST_VOL_SHIFT)
    if len(prices) * len(vols) > MOST_CELLS:
        raise Rejected("vol_shifts", f"make {len(prices) * len(vols):,} cells with the price shifts; at most {MOST_CELLS}")
    return msgspec.structs.replace(rule, price_shifts=prices, vol_shifts=vols)


def _day_trading(rule: MarginRule, sent: MarginRuleInput) -> MarginRule:
    if not rule.to_date:
        raise Rejected("to", "is missing: the day-trading rule is data with an end")
    equity = None if sent.minimum_equity in (None, "") else quote(sent.minimum_equity or 0.0, "minimum_equity")
    if equity is None or equity <= 0.0:
        raise Rejected("minimum_equity", "is missing" if equity is None else "must be above 0")
    trades = integer(sent.day_trades or 0, "day_trades", 1, 1_000)
    return msgspec.structs.replace(rule, minimum_equity=equity, day_trades=trades, days=integer(sent.days or 0, "days", 1, 366))


def _percent(value: float | str | None, field: str, usual: float) -> float:
    found = usual if value is None or value == "" else quote(value, field)
    if not 0.0 < found <= 100.0:
        raise Rejected(field, f"must be above 0 and up to 100 per cent: {found:g}")
    return found


def _shifts(text: str, field: str, most: float) -> tuple[float, ...]:
    """Shifts in per cent, rising. Raises Rejected for one that takes what it shifts to 0 or below."""
    found = sorted({quote(word, field) for word in text.replace(";", " ").split()})
    if not found:
        raise Rejected(field, "is missing: shifts in per cent, such as -15 -10 -5 0 5 10 15")
    if len(found) > MOST_SHIFTS:
        raise Rejected(field, f"has more than {MOST_SHIFTS} shifts")
    if found[0] <= -100.0:
        raise Rejected(field, f"{found[0]:g} per cent leaves nothing above 0")
    if found[-1] > most:
        raise Rejected(field, f"must be up to {most:g} per cent: {found[-1]:g}")
    return tuple(found)


def margin_rule_of_terms(terms: bytes | str, author: str, entered_ts: int) -> MarginRule:
    """The rule whose terms the store has as JSON. Raises Rejected where another program wrote what is none."""
    try:
        found = msgspec.json.decode(terms, type=MarginRule)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise Rejected("terms", str(error)) from None
    if found.kind not in KINDS or (found.kind == REG_T and not 0.0 < found.maintenance <= found.initial <= 100.0):
        raise Rejected("kind", "is no margin rule that the engine knows")
    shifts = (*found.price_shifts, *found.vol_shifts)
    if found.kind == SCENARIO and (not found.price_shifts or not found.vol_shifts or min(shifts) <= -100.0):
        raise Rejected("price_shifts", "must have shifts above -100 per cent")
    return msgspec.structs.replace(found, author=author, entered_ts=entered_ts)

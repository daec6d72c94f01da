"""Limits as dated data: as they are sent (`load limits`, `POST /v1/limits`), checked, and as the store keeps them.

A limit has an id and versions: the highest version counts, in the trading days from its `from` to its `to`. One that is to end
gets a version with an earlier `to`. It bounds one measure of a node, of a dealer, or of every node of a level.
"""

from collections.abc import Container, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from riskengine.nearest import nearest
from riskengine.records.fields import Rejected, currency, date, excerpt, free_text, integer, name, quote
from riskengine.records.hierarchy import Hierarchy

LIMIT = "limit"
"""The kind of limits among the stored rules."""

Side = Literal["above", "below", "absolute"]
ABOVE, BELOW, ABSOLUTE = "above", "below", "absolute"
SIDES = (ABOVE, BELOW, ABSOLUTE)
HARD, SOFT = "hard", "soft"
SEVERITIES = (HARD, SOFT)

WARNING = 90.0
"""Per cent of a limit from which it warns, where the limit does not say."""
HYSTERESIS = 1.0
"""Per cent of a limit by which a number must come back before a breach or a warning ends, where the limit does not say."""
MOST_HYSTERESIS = 50.0


ANOTHER_STORED = "another record with the same id and version is stored, and never rewritten: send a higher version"


class MeasureTerms(NamedTuple):
    """What a limit may say of a measure.

    unit        of the limit: `amount` (reporting currency), `amount of its currency`, `percent`, `count`, or `quantity`
    side        the side where a limit does not name one
    of_dealers  whether a dealer has it
    instrument  `none`, `optional` (without one: the worst of all that are held) or `required`
    of_trade    it is of an intended trade: judged before the trade, never on snapshots
    of_row      it stands in the row of the node or dealer: a reader that sees that row sees the limit
    """

    unit: str
    side: str
    of_dealers: bool = True
    instrument: str = "none"
    of_trade: bool = False
    of_row: bool = True


VAR, EXPECTED_SHORTFALL, CASH_ON_DATE, COUNTERPARTY = "var", "expected_shortfall", "cash_on_date", "counterparty_exposure"
"""Measures that are worked out beside the snapshot."""

VAR_MEASURES = frozenset({VAR, EXPECTED_SHORTFALL})

OF_CURRENCY: Mapping[str, str] = {"net_open_position": "a net open position", CASH_ON_DATE: "cash on a value date"}
"""Measures of one currency, and how they are called."""

LIMIT_MEASURES: Mapping[str, MeasureTerms] = {
    "net_exposure": MeasureTerms("amount", ABSOLUTE),
    "gross_exposure": MeasureTerms("amount", ABOVE),
    "delta_cash": MeasureTerms("amount", ABSOLUTE),
    "gamma_cash": MeasureTerms("amount", ABSOLUTE),
    "vega": MeasureTerms("amount", ABSOLUTE),
    "theta": MeasureTerms("amount", BELOW),
    "total_pnl": MeasureTerms("amount", BELOW),
    "net_day_pnl": MeasureTerms("amount", BELOW),
    "drawdown": MeasureTerms("amount", ABOVE),
    "nav": MeasureTerms("amount", BELOW, of_dealers=False),
    "available_cash": MeasureTerms("amount", BELOW, of_dealers=False),
    "net_open_position": MeasureTerms("amount", ABSOLUTE, of_row=False),
    "shorthand": MeasureTerms("amount", ABOVE, of_row=False),
    "largest_name": MeasureTerms("percent", ABOVE, of_row=False),
    "largest_sector": MeasureTerms("percent", ABOVE, of_row=False),
    "sector_count": MeasureTerms("count", BELOW, of_row=False),
    VAR: MeasureTerms("amount", ABOVE, of_row=False),
    EXPECTED_SHORTFALL: MeasureTerms("amount", ABOVE, of_row=False),
    CASH_ON_DATE: MeasureTerms("amount of its currency", BELOW, of_dealers=False, of_row=False),
    COUNTERPARTY: MeasureTerms("amount", ABOVE, of_row=False),
    "quantity": MeasureTerms("quantity", ABSOLUTE, instrument="required", of_row=False),
    "market_value": MeasureTerms("amount", ABSOLUTE, instrument="optional", of_row=False),
    "position_pnl": MeasureTerms("amount", BELOW, instrument="optional", of_row=False),
    "trade_quantity": MeasureTerms("quantity", ABOVE, instrument="required", of_trade=True, of_row=False),
    "trade_amount": MeasureTerms("amount", ABOVE, instrument="optional", of_trade=True, of_row=False),
    "price_band": MeasureTerms("percent", ABOVE, instrument="optional", of_trade=True, of_row=False),
}
"""Every measure that a limit can bound, in the order of the manual."""


class LimitInput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename={"from_date": "from", "to_date": "to"}):
    """A limit as sent: a row of a limits file."""

    limit_id: str
    version: int = 1
    measure: str = ""
    node: str = ""
    dealer: str = ""
    level: str = ""
    currency: str = ""
    instrument: str = ""
    counterparty: str = ""
    side: str = ""
    limit: float | str | None = None
    severity: str = HARD
    warning: float | str | None = None
    warning_margin: float | str | None = None
    hysteresis: float | str | None = None
    from_date: str = ""
    to_date: str = ""
    owner: str = ""
    comment: str = ""


class Limit(msgspec.Struct, frozen=True, kw_only=True, rename={"from_date": "from", "to_date": "to"}):
    """One version of a limit, checked.

    `limit` is in the unit of its measure. `warning` and `hysteresis` are per cent of it; `warning_margin`, where not 0, is the
    distance from the limit at which it warns, in the unit of the limit. `from_date` and `to_date` are trading days, both
    included, empty for no bound. `owner` is the person or group that answers for it. `author` entered it at `entered_ts`
    (microseconds).
    """

    limit_id: str
    version: int
    measure: str
    node: str = ""
    dealer: str = ""
    level: str = ""
    currency: str = ""
    instrument: str = ""
    counterparty: str = ""
    side: str = ABOVE
    limit: float = 0.0
    severity: str = HARD
    warning: float = WARNING
    warning_margin: float = 0.0
    hysteresis: float = HYSTERESIS
    from_date: str = ""
    to_date: str = ""
    owner: str = ""
    comment: str = ""
    author: str = ""
    entered_ts: int = 0

    @property
    def rule_id(self) -> str:
        """The name among the stored rules."""
        return self.limit_id

    @property
    def terms(self) -> MeasureTerms:
        """What its measure is."""
        return LIMIT_MEASURES[self.measure]

    @property
    def margin(self) -> float:
        """The distance from the limit at which it warns, in its unit, 0 or more."""
        return self.warning_margin or abs(self.limit) * (1.0 - self.warning / 100.0)

    @property
    def release(self) -> float:
        """How far a number must come back before a breach or a warning ends, in its unit."""
        return (abs(self.limit) or self.warning_margin) * self.hysteresis / 100.0

    def says_as(self, other: "Limit") -> bool:
        """Whether two versions say the same; author and time apart."""
        return msgspec.structs.replace(self, author=other.author, entered_ts=other.entered_ts) == other

    def is_over(self, day: str) -> bool:
        """Whether its last trading day is before `day`."""
        return bool(self.to_date) and self.to_date < day

    def is_to_come(self, day: str) -> bool:
        """Whether its first trading day is after `day`."""
        return bool(self.from_date) and self.from_date > day


class LimitCheck:
    """Checks limits against the reference data. Raises Rejected for the first bad field.

    `currencies` are those that a position may be exposed to. A dealer need not have dealt yet.
    """

    def __init__(self, hierarchy: Hierarchy, instruments: Container[str], currencies: Container[str]) -> None:
        self._hierarchy = hierarchy
        self._levels = {node.level for node in hierarchy.nodes} - {""}
        self._instruments = instruments
        self._currencies = currencies

    def __call__(self, sent: LimitInput, entered_ts: int, author: str) -> Limit:
        """The checked limit, entered at `entered_ts` by `author`."""
        terms = measure_terms(sent.measure)
        limit_id, version = name(sent.limit_id, "limit_id"), integer(sent.version, "version", 1)
        self._check_scope(sent, terms)
        self._check_subject(sent, terms)
        side = _one_of(sent.side or terms.side, SIDES, "side")
        bound = _number(sent.limit, "limit")
        if bound is None:
            raise Rejected("limit", "is missing")
        _check_bound(sent.measure, terms, side, bound)
        warning = _percent(sent.warning, "warning", WARNING, 100.0)
        margin = _number(sent.warning_margin, "warning_margin") or 0.0
        if margin < 0.0:
            raise Rejected("warning_margin", "must not be negative")
        if margin and sent.warning not in (None, ""):
            raise Rejected("warning_margin", "stands beside warning: say one of them")
        if not bound and not margin:
            raise Rejected("warning_margin", "is missing: of a limit of 0 no percentage says from where it warns")
        from_date, to_date = date(sent.from_date, "from"), date(sent.to_date, "to")
        if from_date and to_date and from_date > to_date:
            raise Rejected("from", f"is after to: {from_date}, {to_date}")
        return Limit(
            limit_id=limit_id,
            version=version,
            measure=sent.measure,
            node=sent.node,
            dealer=sent.dealer,
            level=sent.level,
            currency=sent.currency,
            instrument=sent.instrument,
            counterparty=sent.counterparty,
            side=side,
            limit=bound,
            severity=_one_of(sent.severity, SEVERITIES, "severity"),
            warning=warning,
            warning_margin=margin,
            hysteresis=_percent(sent.hysteresis, "hysteresis", HYSTERESIS, MOST_HYSTERESIS),
            from_date=from_date,
            to_date=to_date,
            owner=name(sent.owner, "owner", required=False),
            comment=free_text(sent.comment, "comment"),
            author=author,
            entered_ts=entered_ts,
        )

    def _check_scope(self, sent: LimitInput, terms: MeasureTerms) -> None:
        named = [field for field in ("node", "dealer", "level") if getattr(sent, field)]
        if len(named) != 1:
            reason = "is missing: a limit names a node, a dealer or a level" if not named else f"stands beside {named[0]}: one of"
            raise Rejected(named[1] if named else "node", reason if not named else f"{reason} node, dealer and level")
        if sent.node and sent.node not in self._hierarchy.index:
            raise Rejected("node", f"unknown node {excerpt(sent.node)}{_near(sent.node, self._hierarchy.names)}", sent.node)
        if sent.level and sent.level not in self._levels:
            known = ", ".join(sorted(self._levels))
            raise Rejected("level", f"no node has the level {excerpt(sent.level)}; known: {known}")
        if sent.dealer:
            name(sent.dealer, "dealer")
            if not terms.of_dealers:
                raise Rejected("dealer", f"a dealer has no {sent.measure}: name a node or a level")

    def _check_subject(self, sent: LimitInput, terms: MeasureTerms) -> None:
        if sent.measure in OF_CURRENCY:
            if not sent.currency:
                raise Rejected("currency", f"is missing: {OF_CURRENCY[sent.measure]} is of a currency")
            if currency(sent.currency, "currency") not in self._currencies:
                raise Rejected("currency", f"no instrument has the currency {excerpt(sent.currency)}")
        elif sent.currency:
            raise Rejected("currency", f"{sent.measure} is of no currency: leave it out")
        if sent.counterparty:
            name(sent.counterparty, "counterparty")
            if sent.measure != COUNTERPARTY:
                raise Rejected("counterparty", f"{sent.measure} is of no counterparty: leave it out")
        if sent.instrument and terms.instrument == "none":
            raise Rejected("instrument", f"{sent.measure} is of no instrument: leave it out")
        if terms.instrument == "required" and not sent.instrument:
            raise Rejected("instrument", f"is missing: {sent.measure} is of an instrument")
        if sent.instrument and sent.instrument not in self._instruments:
            raise Rejected("instrument", f"unknown instrument {excerpt(sent.instrument)}", sent.instrument)


def measure_terms(measure: str) -> MeasureTerms:
    """What a limit may say of a measure. Raises Rejected for one that the engine does not know."""
    terms = LIMIT_MEASURES.get(measure)
    if terms is not None:
        return terms
    if not measure:
        raise Rejected("measure", "is missing")
    near = _near(measure, LIMIT_MEASURES)
    raise Rejected("measure", f"unknown measure {excerpt(measure)}{near or '; known: ' + ', '.join(LIMIT_MEASURES)}")


def _check_bound(measure: str, terms: MeasureTerms, side: str, bound: float) -> None:
    if terms.of_trade and side != ABOVE:
        raise Rejected("side", f"must be above: {measure} is a size")
    if (terms.of_trade or side == ABSOLUTE) and bound <= 0.0:
        what = "a band of 0 takes no trade" if measure == "price_band" else "no number lies within it"
        raise Rejected("limit", f"must be above 0: {what}")


def _near(text: str, known: Any) -> str:
    found = nearest(text, known)
    return f"; did you mean {found}?" if found else ""


def _one_of(value: str, known: tuple[str, ...], field: str) -> str:
    if value not in known:
        raise Rejected(field, f"must be one of {', '.join(known)}: {excerpt(value)}")
    return value


def _number(value: float | str | None, field: str) -> float | None:
    return None if value is None or value == "" else quote(value, field)


def _percent(value: float | str | None, field: str, usual: float, most: float) -> float:
    found = _number(value, field)
    if found is None:
        return usual
    low = 0.0 if field == "hysteresis" else 1.0
    if not low <= found <= most:
        above = f" above {most:g} %" if found > most else ""
        raise Rejected(field, f"must be {low:g} to {most:g} per cent of the limit, is{above or ' below it'}: {found:g}")
    return found


def limit_of_terms(terms: bytes | str, author: str, entered_ts: int) -> Limit:
    """The limit whose terms the store has as JSON. Raises Rejected where another program wrote what is no limit.

    Names that the reference data does not know (any more) are taken: a number that nobody knows makes the limit unknown.
    """
    try:
        found = msgspec.json.decode(terms, type=Limit)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise Rejected("terms", str(error)) from None
    _check_bound(found.measure, measure_terms(found.measure), _one_of(found.side, SIDES, "side"), found.limit)
    _one_of(found.severity, SEVERITIES, "severity")
    if sum(map(bool, (found.node, found.dealer, found.level))) != 1:
        raise Rejected("node", "a limit names a node, a dealer or a level")
    _percent(found.warning, "warning", WARNING, 100.0)
    _percent(found.hysteresis, "hysteresis", HYSTERESIS, MOST_HYSTERESIS)
    if found.margin < 0.0 or not (found.limit or found.margin):
        raise Rejected("warning_margin", "must be above 0 where the limit is 0")
    return msgspec.structs.replace(found, author=author, entered_ts=entered_ts)


def terms_of(rule: msgspec.Struct) -> str:
    """What the store keeps of a limit or a margin rule: its fields as JSON, without who entered it and when."""
    fields = msgspec.to_builtins(rule)
    return msgspec.json.encode({key: fields[key] for key in fields if key not in ("author", "entered_ts")}).decode()

"""Corporate actions: splits, dividends, symbol changes and spin-offs, with their ex-dates, checked.

An action takes effect at the start of the trading day `ex_date`. It has an identity (`action_id`) and versions like a trade: the
highest version counts, whatever the order of arrival, and one of kind `cancel` takes the action back.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from math import gcd
from typing import NamedTuple

import msgspec

from riskengine.records.currency_units import MINOR_UNITS, move_point, places_between
from riskengine.records.fields import Rejected, currency, date, excerpt, fixed, integer, name, to_text
from riskengine.records.instrument_terms import known_instrument
from riskengine.records.types import DECIMALS, FX_KINDS, ONE, OPTION_KINDS, Instrument


class ActionKind(StrEnum):
    """What a corporate action does; `cancel` takes back every lower version."""

    SPLIT = "split"
    DIVIDEND = "dividend"
    SYMBOL_CHANGE = "symbol_change"
    SPIN_OFF = "spin_off"
    CANCEL = "cancel"


class Ratio(NamedTuple):
    """`new` units for each `old` one, in lowest terms: 4:1 makes four of one, 1:10 one of ten."""

    new: int
    old: int

    def __str__(self) -> str:
        return f"{self.new}:{self.old}"


NO_RATIO = Ratio(1, 1)


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a corporate action of `instrument`.

    ex_date     the trading day from whose start it counts, YYYY-MM-DD
    ratio       of a split: new units for old ones; of a spin-off: units of `into` for units held
    amount      of a dividend: what one unit gets, in `currency`, units of 1e-10; 0 pays nothing
    into        the instrument that a symbol change leads to, or that a spin-off gives
    cost_share  of a spin-off: the part of the open cost that goes with it, units of 1e-10 (ONE is all of it)

    A cancel has an identity and a version only.
    """

    action_id: str
    version: int = 1
    instrument: str = ""
    kind: ActionKind = ActionKind.CANCEL
    ex_date: str = ""
    ratio: Ratio = NO_RATIO
    amount: int = 0
    currency: str = ""
    into: str = ""
    cost_share: int = 0
    received_ts: int = 0

    def says_the_same(self, other: "Action") -> bool:
        """Whether another delivery of this identity and version is a duplicate, not a conflict."""
        return msgspec.structs.replace(self, received_ts=0) == msgspec.structs.replace(other, received_ts=0)


class ActionInput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A row of an actions file, or an item of `POST /v1/actions`. `received_ts` is known and ignored."""

    action_id: str
    version: int | None = None
    instrument: str = ""
    kind: str = ""
    ex_date: str = ""
    ratio: str | None = None
    amount: Decimal | None = None
    currency: str = ""
    into: str = ""
    cost_share: Decimal | None = None
    received_ts: int | str | None = None


ACTION_FIELDS = (
    "action_id",
    "version",
    "instrument",
    "kind",
    "ex_date",
    "ratio",
    "amount",
    "currency",
    "into",
    "cost_share",
    "received_ts",
)
"""The columns of a stored action, in the order of `action_values`."""

_KINDS = {kind.value: kind for kind in ActionKind}
_FIELDS_OF = {
    ActionKind.SPLIT: ("ratio",),
    ActionKind.DIVIDEND: ("amount", "currency"),
    ActionKind.SYMBOL_CHANGE: ("into",),
    ActionKind.SPIN_OFF: ("into", "ratio", "cost_share"),
}
_OPTIONAL = frozenset({"currency"})
_SPECIFIC = ("ratio", "amount", "currency", "into", "cost_share")
MAX_RATIO = 10**9
"""The largest side of a ratio in lowest terms."""

ACTION_CONFLICT = "another action with the same action_id and version was stored first; that one counts: send a higher version"
"""The reason of a conflict, in answers and files."""

SAME_TERMS = ("kind", "multiplier", "currency")
"""What two instruments must have in common for positions to move from one to the other."""


def check_action(sent: ActionInput, instruments: Mapping[str, Instrument], received_ts: int = 0) -> Action:
    """An action of known instruments whose columns fit its kind. Raises Rejected."""
    kind = _KINDS.get(sent.kind)
    if kind is None:
        raise Rejected("kind", f"must be one of {', '.join(_KINDS)}: {excerpt(sent.kind)}" if sent.kind else "is missing")
    action_id = name(sent.action_id, "action_id")
    if kind is ActionKind.CANCEL:
        if sent.version is None:
            raise Rejected("version", "is missing: a cancel names its version")
        return Action(action_id=action_id, version=integer(sent.version, "version", 1), received_ts=received_ts)
    instrument = known_instrument(sent.instrument, instruments)
    if not sent.ex_date:
        raise Rejected("ex_date", "is missing")
    _check_columns(sent, kind)
    amount, code = _amount(sent, instrument) if kind is ActionKind.DIVIDEND else (0, "")
    action = Action(
        action_id=action_id,
        version=integer(1 if sent.version is None else sent.version, "version", 1),
        instrument=instrument.instrument,
        kind=kind,
        ex_date=date(sent.ex_date, "ex_date"),
        ratio=parse_ratio(sent.ratio, "ratio") if sent.ratio else NO_RATIO,
        amount=amount,
        currency=code,
        into=name(sent.into, "into", required=False),
        cost_share=0 if sent.cost_share is None else fixed(sent.cost_share, DECIMALS, "cost_share"),
        received_ts=received_ts,
    )
    check_fit(action, instruments)
    return action


def check_fit(action: Action, instruments: Mapping[str, Instrument]) -> None:
    """Raise Rejected where an action does not fit the instruments that it names."""
    instrument = known_instrument(action.instrument, instruments)
    if instrument.kind in FX_KINDS:
        raise Rejected("instrument", f"{instrument.instrument} is {instrument.kind.value}: corporate actions are of securities")
    if instrument.kind in OPTION_KINDS:
        raise Rejected("instrument", f"{instrument.instrument} is an option: it follows the actions of its underlying")
    if not 0 <= action.cost_share <= ONE:
        raise Rejected("cost_share", "must be 0 to 1: 0.2 is 20 % of the open cost")
    if action.currency and action.currency != instrument.currency:
        known = {code for each in instruments.values() for code in (each.currency, each.quote_currency, each.base_currency)}
        if action.currency not in known:
            raise Rejected("currency", f"no instrument is in {action.currency}: it would have no rate")
    if not action.into:
        return
    into = known_instrument(action.into, instruments, "into")
    if into.instrument == instrument.instrument:
        raise Rejected("into", "is the instrument itself; a version of kind cancel takes an action back")
    terms = SAME_TERMS if action.kind is ActionKind.SYMBOL_CHANGE else ("multiplier", "currency")
    for term in terms:
        ours, theirs = getattr(instrument, term), getattr(into, term)
        if ours != theirs:
            raise Rejected("into", f"{into.instrument} has another {term} than {instrument.instrument}: {theirs}, not {ours}")


def _check_columns(sent: ActionInput, kind: ActionKind) -> None:
    """Raise Rejected for a column that the kind needs and lacks, or that belongs to another kind."""
    needed = _FIELDS_OF[kind]
    for field in _SPECIFIC:
        there = getattr(sent, field) not in (None, "")
        if there and field not in needed:
            raise Rejected(field, f"does not belong to a {kind.value}")
        if not there and field in needed and field not in _OPTIONAL:
            raise Rejected(field, f"is missing: a {kind.value} needs it")


def _amount(sent: ActionInput, instrument: Instrument) -> tuple[int, str]:
    """Amount and currency of a dividend: in the instrument's own currency where the sender names it or its minor unit."""
    assert sent.amount is not None, "a dividend has an amount"
    code = currency(sent.currency, "currency") or instrument.currency
    places = places_between(code, instrument.currency)
    moved = sent.amount if places is None else move_point(sent.amount, places)
    if places is None and code in MINOR_UNITS:
        code, moved = MINOR_UNITS[code], move_point(sent.amount, -2)
    amount = fixed(moved, DECIMALS, "amount")
    if amount < 0:
        raise Rejected("amount", "must not be negative: short positions pay what long ones get")
    return amount, code if places is None else instrument.currency


def parse_ratio(text: str, field: str) -> Ratio:
    """`4:1`, `1:10`, `1.5:1`: both above 0. Raises Rejected."""
    new, colon, old = text.partition(":")
    if not colon:
        raise Rejected(field, f"must be new units for old ones, like 4:1, or 1:10 for a reverse split: {excerpt(text)}")
    sides = [fixed(side.strip(), DECIMALS, field) for side in (new, old)]
    if min(sides) <= 0:
        raise Rejected(field, f"both sides must be above 0: {excerpt(text)}")
    common = gcd(*sides)
    ratio = Ratio(sides[0] // common, sides[1] // common)
    if max(ratio) > MAX_RATIO:
        raise Rejected(field, f"is finer than {MAX_RATIO:,} to 1: {excerpt(text)}")
    return ratio


# -- stored actions ------------------------------------------------------------------------------------------------


class RefusedAction(NamedTuple):
    """A stored row that is no action, and why; another program wrote it, or its instruments have changed since."""

    action_id: str
    version: int
    reason: str
    received_ts: int = 0


class PriceBefore(NamedTuple):
    """The newest stored close of an instrument dated before a date."""

    date: str
    price: float


class ActionRows(NamedTuple):
    """What a store knows of corporate actions at one moment.

    actions  all versions of all, and rows that are none
    closes   for splits, by (instrument, ex_date): the newest close dated before the ex-date, where there is one
    """

    actions: tuple[Action | RefusedAction, ...]
    closes: Mapping[tuple[str, str], PriceBefore]


def action_values(action: Action) -> tuple[str | int, ...]:
    """The columns of an action as they are stored (ACTION_FIELDS); numbers as exact texts, empty where its kind has none."""
    fields = _FIELDS_OF.get(action.kind, ())
    return (
        action.action_id,
        action.version,
        action.instrument,
        action.kind.value,
        action.ex_date,
        str(action.ratio) if "ratio" in fields else "",
        to_text(action.amount) if "amount" in fields else "",
        action.currency,
        action.into,
        to_text(action.cost_share) if "cost_share" in fields else "",
        action.received_ts,
    )


def action_from_values(values: Iterable[str | int]) -> Action | RefusedAction:
    """The action of a stored row, by its own columns alone: whether it fits the instruments, `check_fit` says."""
    row = dict(zip(ACTION_FIELDS, values, strict=True))
    action_id, version, received_ts = str(row["action_id"]), int(row["version"]), int(row["received_ts"])
    try:
        kind = _KINDS.get(str(row["kind"]))
        if kind is None:
            raise Rejected("kind", f"must be one of {', '.join(_KINDS)}: {excerpt(str(row['kind']))}")
        if kind is ActionKind.CANCEL:
            return Action(action_id=action_id, version=version, received_ts=received_ts)
        for field in ("instrument", "ex_date", *_FIELDS_OF[kind]):
            if not row[field]:
                raise Rejected(field, "is missing")
        fields = _FIELDS_OF[kind]
        amount = fixed(str(row["amount"]), DECIMALS, "amount") if "amount" in fields else 0
        if amount < 0:
            raise Rejected("amount", "must not be negative")
        return Action(
            action_id=action_id,
            version=version,
            instrument=str(row["instrument"]),
            kind=kind,
            ex_date=date(str(row["ex_date"]), "ex_date"),
            ratio=parse_ratio(str(row["ratio"]), "ratio") if "ratio" in fields else NO_RATIO,
            amount=amount,
            currency=currency(str(row["currency"]), "currency") if "currency" in fields else "",
            into=str(row["into"]) if "into" in fields else "",
            cost_share=fixed(str(row["cost_share"]), DECIMALS, "cost_share") if "cost_share" in fields else 0,
            received_ts=received_ts,
        )
    except Rejected as rejected:
        return RefusedAction(action_id, version, str(rejected), received_ts)


def highest_versions(rows: Iterable[Action | RefusedAction]) -> list[Action | RefusedAction]:
    """The version of each action that counts, without cancelled ones, and every row that is no action.

    Such a row takes no part, the version below it counts; it comes too, so that somebody is told.
    """
    highest: dict[str, Action] = {}
    refused: list[Action | RefusedAction] = []
    for row in rows:
        if isinstance(row, RefusedAction):
            refused.append(row)
        elif row.action_id not in highest or highest[row.action_id].version < row.version:
            highest[row.action_id] = row
    return [*(action for action in highest.values() if action.kind is not ActionKind.CANCEL), *refused]


NO_ACTIONS = ActionRows((), {})

"""What the corporate actions in force do to stored trades: where they count, and with which quantity and price.

A trade stays as it is stored. In its position it counts with quantity x ratio and price / ratio of every split before whose
ex-date it is dated, and with its own cash, so that no value changes; one of a renamed instrument counts in the position of the
instrument that it leads to. Options follow the splits of their underlying, where one option becomes a whole number of them. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from riskengine.market.ex_dates import in_force, start_of
from riskengine.market.split_prices import PriceSplit, SplitPrices
from riskengine.market.trading_day import TradingDay
from riskengine.records.actions import (
    NO_RATIO,
    Action,
    ActionKind,
    ActionRows,
    PriceBefore,
    Ratio,
    RefusedAction,
    check_fit,
    highest_versions,
)
from riskengine.records.fields import Rejected
from riskengine.records.types import DECIMALS, ONE, OPTION_KINDS, Instrument, Opening, Trade

LAST = "\U0010ffff"
"""Behind every action_id."""


class Split(NamedTuple):
    """A split in force. `start_ts` is the first moment of its ex-date, microseconds."""

    ex_date: str
    start_ts: int
    ratio: Ratio


class Path(NamedTuple):
    """How trades of one stored instrument count: in positions of `symbol`, with these splits, oldest first."""

    symbol: str
    splits: tuple[Split, ...] = ()

    def ratio_of(self, ts: int, date: str) -> Ratio:
        """The product of the splits that what is dated `date` (empty: what happened at `ts`) comes before. O(splits)."""
        new = old = 1
        for split in self.splits:
            if date < split.ex_date if date else ts < split.start_ts:
                new *= split.ratio.new
                old *= split.ratio.old
        return Ratio(new, old)


class Step(NamedTuple):
    """An action in force on the way of a position.

    start_ts  the first moment of its ex-date, microseconds
    later     the product of the splits that follow for what it acts on: units of then become units of now
    close     of a split: the close before the ex-date in units of the ex-date before the split, in units of 1e-10; None: unknown
    own_currency  whether a dividend is in the cash currency of the instrument
    into_decimals, into_later  of what a spin-off gives: its smallest step, and the splits that follow for it
    """

    action: Action
    start_ts: int
    later: Ratio
    close: Fraction | None = None
    own_currency: bool = True
    into_decimals: int = 0
    into_later: Ratio = NO_RATIO

    @property
    def rank(self) -> tuple[str, str]:
        """Its place among all actions."""
        return self.action.ex_date, self.action.action_id


class Terms:
    """All that acts on the positions of one instrument, under every name that it had.

    steps     the actions on it, oldest first
    paths     of every stored instrument whose trades count here
    receives  ranks of the spin-offs that give units of it
    multiplier, decimals, currency  of the instrument
    """

    def __init__(self, symbol: str, instrument: Instrument, steps: Sequence[Step], adjustments: "Adjustments") -> None:
        self.symbol = symbol
        self.multiplier = instrument.contract_multiplier
        self.decimals = instrument.quantity_decimals
        self.currency = instrument.currency
        self.steps = tuple(steps)
        self.paths = {name: path for name, path in adjustments.paths.items() if path.symbol == symbol}
        self.receives = tuple(
            (action.ex_date, action.action_id)
            for action in adjustments.in_force
            if action.kind is ActionKind.SPIN_OFF and adjustments.symbol_of(action.into) == symbol
        )
        self._last = self.steps[-1] if self.steps else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Terms) and self._compared() == other._compared()

    __hash__ = None  # type: ignore[assignment]

    def _compared(self) -> tuple[object, ...]:
        return self.symbol, self.multiplier, self.decimals, self.steps, self.paths, self.receives

    def is_early(self, ts: int, date: str) -> bool:
        """Whether what is dated so comes before the ex-date of an action here: the action may act on it. O(1)."""
        last = self._last
        return last is not None and (date < last.action.ex_date if date else ts < last.start_ts)

    def ratio_of(self, trade: Trade) -> Ratio:
        """The product of the splits that a trade is dated before."""
        path = self.paths.get(trade.instrument)
        return NO_RATIO if path is None else path.ratio_of(trade.ts, trade.trade_date)

    def fold(self, trade: Trade) -> tuple[int, float]:
        """Signed quantity (units of 1e-10) and price that a trade counts with. 1 us."""
        path = self.paths.get(trade.instrument)
        new, old = NO_RATIO if path is None else path.ratio_of(trade.ts, trade.trade_date)
        if new == old:
            return trade.signed_quantity, trade.fill_price
        return scaled(trade.signed_quantity, new, old), trade.fill_price * old / new

    def fold_opening(self, opening: Opening) -> tuple[int, float]:
        """Signed quantity and price that a balance counts with."""
        path = self.paths.get(opening.instrument)
        new, old = NO_RATIO if path is None else path.ratio_of(opening.ts, "")
        price = opening.average_price / ONE
        return (opening.quantity, price) if new == old else (scaled(opening.quantity, new, old), price * old / new)


def scaled(units: int, new: int, old: int) -> int:
    """`units` x new / old, rounded half-even to a whole unit."""
    whole, rest = divmod(units * new, old)
    return whole + (2 * rest > old or (2 * rest == old and whole & 1))


class CloseChanges(NamedTuple):
    """What actions after a close make of it: new units for old ones, and new names, by the instrument as the close has it."""

    ratios: Mapping[str, Ratio]
    renamed: Mapping[str, str]


NO_CHANGES = CloseChanges({}, {})


class Adjustments:
    """The corporate actions in force on a trading day. Immutable.

    day         the day, YYYY-MM-DD
    in_force    by (ex_date, action_id)
    waiting     those whose ex-date has not begun
    refused     rows that are no actions, or do not fit the instruments, and why
    paths       of every instrument that an action in force acts on or leads to
    terms       by the instrument in whose positions they act
    unadjusted  options that a split of their underlying leaves without a whole number, and why: they have no price
    """

    def __init__(self, rows: ActionRows, instruments: Mapping[str, Instrument], day: str, trading_day: TradingDay) -> None:
        fitting, refused = _fitting(rows.actions, instruments)
        begun, waiting = in_force(fitting, day)
        self.day = day
        begun, nameless = _without_names_given_up(begun)
        refused += nameless
        self.in_force = tuple(begun)
        self.waiting = tuple(waiting)
        self.refused = tuple(refused)
        self._starts = {action.ex_date: start_of(trading_day, action.ex_date) for action in begun}
        self._closes = rows.closes
        named = {symbol for action in begun for symbol in (action.instrument, action.into) if symbol}
        self.paths: dict[str, Path] = {symbol: self.walk(symbol) for symbol in sorted(named)}
        self.unadjusted: dict[str, str] = {}
        self._options: set[str] = set()
        if begun:
            self._follow_underlyings(instruments)
        steps: dict[str, list[Step]] = {}
        for action in begun:
            step = self._step(action, instruments)
            name = action.into if action.kind is ActionKind.SYMBOL_CHANGE else action.instrument
            steps.setdefault(self.walk(name, step.rank).symbol, []).append(step)
        symbols = sorted({path.symbol for path in self.paths.values()})
        self.terms = {symbol: Terms(symbol, instruments[symbol], steps.get(symbol, ()), self) for symbol in symbols}

    def __bool__(self) -> bool:
        return bool(self.in_force)

    def symbol_of(self, symbol: str) -> str:
        """In whose positions trades of an instrument count. O(1)."""
        path = self.paths.get(symbol)
        return symbol if path is None else path.symbol

    def path_of(self, symbol: str) -> Path:
        """How trades of an instrument count. O(1)."""
        return self.paths.get(symbol) or Path(symbol)

    def is_adjusted(self, trade: Trade) -> bool:
        """Whether a trade counts with another quantity than it was dealt with. 0.1 us for an ordinary one."""
        path = self.paths.get(trade.instrument)
        return path is not None and path.ratio_of(trade.ts, trade.trade_date) != NO_RATIO

    def tied_to(self, symbol: str) -> set[str]:
        """The instruments whose positions hang together with those of this one: names that lead to it, spin-offs either way."""
        tied = {name for name, path in self.paths.items() if symbol in (name, path.symbol)} | {self.symbol_of(symbol)}
        for action in self.in_force:
            if action.kind is ActionKind.SPIN_OFF:
                pair = {self.symbol_of(action.instrument), self.symbol_of(action.into)}
                tied |= pair if symbol in pair else set()
        return tied

    def walk(self, symbol: str, after: tuple[str, str] = ("", "")) -> Path:
        """What becomes of what is named `symbol` after an action of that rank. O(actions in force)."""
        splits: list[Split] = []
        for action in self.in_force:
            if action.instrument != symbol or (action.ex_date, action.action_id) <= after:
                continue
            if action.kind is ActionKind.SPLIT:
                splits.append(Split(action.ex_date, self._starts[action.ex_date], action.ratio))
            elif action.kind is ActionKind.SYMBOL_CHANGE:
                symbol = action.into
        return Path(symbol, tuple(splits))

    def since(self, closed: str) -> CloseChanges:
        """What the actions with an ex-date after a close of the date `closed` make of that close."""
        paths = {symbol: self.walk(symbol, (closed, LAST)) for symbol in self.paths}
        for symbol, path in self.paths.items():
            if symbol in self._options:
                paths[symbol] = Path(symbol, tuple(split for split in path.splits if split.ex_date > closed))
        ratios = {symbol: _ratio(path.splits) for symbol, path in paths.items() if path.splits}
        return CloseChanges(ratios, {symbol: path.symbol for symbol, path in paths.items() if path.symbol != symbol})

    def prices(self) -> SplitPrices:
        """What the splits make of prices from before their ex-dates."""
        splits = {
            symbol: [PriceSplit(split.start_ts, *split.ratio) for split in path.splits] for symbol, path in self.paths.items()
        }
        formerly = {path.symbol: symbol for symbol, path in self.paths.items() if path.symbol != symbol}
        return SplitPrices(splits, formerly, self.unadjusted)

    def strike(self, instrument: Instrument) -> str:
        """The strike of an option as its splits have adjusted it; empty where it has none."""
        path = self.paths.get(instrument.instrument)
        if path is None or not instrument.strike or not path.splits:
            return instrument.strike
        return _decimal_text(Fraction(instrument.strike) / _product(path.splits))

    def _step(self, action: Action, instruments: Mapping[str, Instrument]) -> Step:
        kind, rank = action.kind, _rank(action)
        name = action.into if kind is ActionKind.SYMBOL_CHANGE else action.instrument
        return Step(
            action,
            self._starts[action.ex_date],
            _ratio(self.walk(name, rank).splits),
            self._close(action) if kind is ActionKind.SPLIT else None,
            kind is not ActionKind.DIVIDEND or action.currency in ("", instruments[action.instrument].currency),
            instruments[action.into].quantity_decimals if kind is ActionKind.SPIN_OFF else 0,
            _ratio(self.walk(action.into, rank).splits) if kind is ActionKind.SPIN_OFF else NO_RATIO,
        )

    def _close(self, action: Action) -> Fraction | None:
        """The close before a split: splits between the day of the close and this one have made its unit another."""
        found: PriceBefore | None = self._closes.get((action.instrument, action.ex_date))
        if found is None:
            return None
        price = Fraction(round(found.price * ONE))
        for other in self.in_force:
            is_between = other.kind is ActionKind.SPLIT and other.instrument == action.instrument
            if is_between and found.date < other.ex_date and _rank(other) < _rank(action):
                price = price * other.ratio.old / other.ratio.new
        return price

    def _follow_underlyings(self, instruments: Mapping[str, Instrument]) -> None:
        """The paths of options: those of their underlyings, where every option becomes a whole number of options."""
        for option in instruments.values():
            if option.kind not in OPTION_KINDS or not option.underlying:
                continue
            splits = [
                split
                for split in self.walk(option.underlying).splits
                if split.ratio != NO_RATIO and not (option.expiry and option.expiry < split.ex_date)
            ]
            if not splits:
                continue
            reason = _not_whole(option, splits)
            if reason:
                self.unadjusted[option.instrument] = reason
            else:
                self._options.add(option.instrument)
                self.paths[option.instrument] = Path(option.instrument, tuple(splits))


def _rank(action: Action) -> tuple[str, str]:
    return action.ex_date, action.action_id


def _fitting(
    rows: Iterable[Action | RefusedAction], instruments: Mapping[str, Instrument]
) -> tuple[list[Action], list[RefusedAction]]:
    """The actions that count, and what is kept out with the reason."""
    fitting, refused = [], []
    for row in highest_versions(rows):
        if isinstance(row, RefusedAction):
            refused.append(row)
            continue
        try:
            check_fit(row, instruments)
            fitting.append(row)
        except Rejected as rejected:
            refused.append(RefusedAction(row.action_id, row.version, str(rejected), row.received_ts))
    return fitting, refused


def _without_names_given_up(begun: Iterable[Action]) -> tuple[list[Action], list[RefusedAction]]:
    """The actions of instruments that still have their name on the ex-date, and the others: nobody holds that name any more."""
    kept, refused = [], []
    became: dict[str, Action] = {}
    for action in begun:
        before = became.get(action.instrument)
        if before is not None:
            reason = f"instrument: {action.instrument} has been {before.into} since {before.ex_date}: name that"
            refused.append(RefusedAction(action.action_id, action.version, reason, action.received_ts))
            continue
        kept.append(action)
        if action.kind is ActionKind.SYMBOL_CHANGE:
            became[action.instrument] = action
            became.pop(action.into, None)
    return kept, refused


def _product(splits: Iterable[Split]) -> Fraction:
    product = Fraction(1)
    for split in splits:
        product *= Fraction(split.ratio.new, split.ratio.old)
    return product


def _ratio(splits: Iterable[Split]) -> Ratio:
    product = _product(splits)
    return Ratio(product.numerator, product.denominator)


def _not_whole(option: Instrument, splits: Sequence[Split]) -> str:
    """Why splits of its underlying leave an option without terms of its own, or ""."""
    for split in splits:
        if split.ratio.old != 1:
            return (
                f"the split {split.ratio} of {option.underlying} on {split.ex_date} makes no whole number of it: close it by hand"
            )
    try:
        strike = Fraction(option.strike or "0") / _product(splits)
    except ValueError:
        return f"its strike {option.strike} is no number"
    if (strike * ONE).denominator != 1:
        return f"its strike {option.strike} has no exact value after the splits of {option.underlying}: close it by hand"
    return ""


def _decimal_text(value: Fraction) -> str:
    units = value * 10**DECIMALS
    whole, part = divmod(units.numerator // units.denominator, 10**DECIMALS)
    return f"{whole}.{part:0{DECIMALS}d}".rstrip("0").rstrip(".")

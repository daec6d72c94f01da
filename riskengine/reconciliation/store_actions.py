"""The store's own account of what corporate actions make of trades and balances, without a line of the engine's ledger.

Of each (desk, dealer) everything in the instruments concerned is gone through at once, action by action, in fractions: before an
action, what is dated before its ex-date is taken in; then the action acts on what is held under that name.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from riskengine.market.ex_dates import in_force
from riskengine.market.trading_day import TradingDay
from riskengine.records.actions import Action, ActionKind, ActionRows, RefusedAction, check_fit, highest_versions
from riskengine.records.currency_units import one_spelling
from riskengine.records.fields import Rejected
from riskengine.records.types import DECIMALS, ONE, OPTION_KINDS, Instrument, Opening, Trade, order_key

Names = dict[str, str]


class ActedHolding(NamedTuple):
    """What one (desk, dealer) has of an instrument: quantity in units of 1e-10, cash in units of 1e-28.

    beside  dividends in other currencies, by currency, units of 1e-28
    """

    desk: str
    dealer: str
    instrument: str
    quantity: int
    cash: int
    beside: dict[str, int]


class _Item(NamedTuple):
    """A trade, a balance or what a spin-off gave; `rank` is that of the action that gave it."""

    date: str
    order: tuple[int, int, tuple[object, ...]]
    name: str
    quantity: int
    cash: int
    rank: tuple[str, str] = ("", "")


class _Pile:
    """What is held under one name: quantity, open cost, cash; the cost in cash units, of the sign of the quantity."""

    def __init__(self) -> None:
        self.quantity = self.cost = self.cash = 0
        self.beside: dict[str, int] = {}

    def take(self, quantity: int, cash: int) -> None:
        """Take a trade in: a reduction leaves the part of the open cost that stays, a flip that of its own rest."""
        before, after = self.quantity, self.quantity + quantity
        self.quantity, self.cash = after, self.cash + cash
        if before * quantity >= 0:
            self.cost -= cash
        elif before * after > 0:
            self.cost = round(Fraction(self.cost * after, before))
        elif after:
            self.cost = round(Fraction(-cash * after, quantity))
        else:
            self.cost = 0


class StoreActions:
    """The actions in force on a trading day, and what they make of the trades of `acted`, the instruments they concern."""

    def __init__(self, rows: ActionRows, instruments: Mapping[str, Instrument], day: str, trading_day: TradingDay) -> None:
        fitting = [row for row in highest_versions(rows.actions) if isinstance(row, Action) and _fits(row, instruments)]
        self._actions, _ = in_force(fitting, day)
        self._instruments = instruments
        self._trading_day = trading_day
        self._closes = rows.closes
        self.has_rows = bool(rows.actions)
        named = {symbol for action in self._actions for symbol in (action.instrument, action.into) if symbol}
        self._options = {option.instrument: list(self._splits_of(option)) for option in instruments.values()}
        self._options = {symbol: splits for symbol, splits in self._options.items() if splits}
        self.acted = frozenset(named | self._options.keys())

    def place_of(self, symbol: str) -> str:
        """The instrument in whose positions trades of `symbol` count."""
        for action in self._actions:
            if action.kind is ActionKind.SYMBOL_CHANGE and action.instrument == symbol:
                symbol = action.into
        return symbol

    def names_of(self, symbol: str) -> set[str]:
        """The instruments whose trades count in the positions of `symbol`."""
        return {symbol} | {name for name in self.acted if self.place_of(name) == symbol}

    def holdings(self, trades: Iterable[Trade], openings: Iterable[Opening]) -> Iterator[ActedHolding]:
        """What these trades and balances come to, all of instruments in `acted`. 20 us each for every action."""
        items: dict[tuple[str, str], list[_Item]] = defaultdict(list)
        for opening in openings:
            k = self._instruments[opening.instrument].contract_multiplier
            cash = -opening.quantity * opening.average_price * k
            item = _Item(self._date(opening.ts), (-1, 0, (opening.ts,)), opening.instrument, opening.quantity, cash)
            items[opening.desk, opening.dealer].append(item)
        for trade in trades:
            date = trade.trade_date or self._date(trade.ts)
            item = _Item(date, (trade.ts, 1, order_key(trade)), trade.instrument, trade.signed_quantity, trade.cash)
            items[trade.desk, trade.dealer].append(item)
        for (desk, dealer), mine in items.items():
            for name, pile in self._go_through(mine).items():
                beside = {currency: units for currency, units in sorted(pile.beside.items()) if units}
                yield ActedHolding(desk, dealer, name, pile.quantity, pile.cash, beside)

    def _date(self, ts: int) -> str:
        return self._trading_day.date_of(ts).isoformat()

    def _go_through(self, items: list[_Item]) -> dict[str, _Pile]:
        """What one (desk, dealer) holds in the end, by instrument."""
        piles: dict[str, _Pile] = defaultdict(_Pile)
        names = {item.name: item.name for item in items}
        names |= {action.into: action.into for action in self._actions if action.into}
        found: dict[str, _Pile] = defaultdict(_Pile)
        options = [item for item in items if item.name in self._options]
        for item in options:
            more = item.quantity
            for split in self._options[item.name]:
                more *= split.ratio.new if item.date < split.ex_date else 1
            found[item.name].take(more, item.cash)
        waiting = sorted((item for item in items if item.name not in self._options), key=lambda item: item.order)
        for action in self._actions:
            rank = (action.ex_date, action.action_id)
            later = []
            for item in waiting:
                if item.rank < rank if item.rank[0] else item.date < action.ex_date:
                    piles[names[item.name]].take(item.quantity, item.cash)
                else:
                    later.append(item)
            waiting = later
            if action.kind is ActionKind.SYMBOL_CHANGE:
                moved = piles.pop(action.instrument, None)
                if moved is not None:
                    self._merge(piles[action.into], moved)
                names = {name: action.into if now == action.instrument else now for name, now in names.items()}
            elif action.instrument in piles:
                waiting = sorted([*waiting, *self._act(action, piles[action.instrument])], key=lambda item: item.order)
        for item in waiting:
            piles[names[item.name]].take(item.quantity, item.cash)
        return found | piles

    def _merge(self, pile: _Pile, moved: _Pile) -> None:
        cash = pile.cash + moved.cash
        pile.take(moved.quantity, -moved.cost)
        pile.cash = cash
        for currency, units in moved.beside.items():
            pile.beside[currency] = pile.beside.get(currency, 0) + units

    def _act(self, action: Action, pile: _Pile) -> list[_Item]:
        """Let a split, a dividend or a spin-off act on what is held. Returns what it gives in other instruments."""
        instrument = self._instruments[action.instrument]
        if action.kind is ActionKind.SPLIT:
            self._split(action, pile, self._instruments[self._place_after(action)].quantity_decimals)
        elif action.kind is ActionKind.DIVIDEND:
            paid = pile.quantity * action.amount * instrument.contract_multiplier
            if one_spelling(action.currency) in ("", one_spelling(instrument.currency)):
                pile.cash += paid
            else:
                pile.beside[action.currency] = pile.beside.get(action.currency, 0) + paid
        else:
            ratio = Fraction(action.ratio.new, action.ratio.old)
            given = _towards_zero(pile.quantity * ratio, self._instruments[action.into].quantity_decimals)
            if given:
                cost = round(Fraction(pile.cost * action.cost_share, ONE))
                pile.cost, pile.cash = pile.cost - cost, pile.cash + cost
                start = self._start(action)
                return [_Item("", (start, 0, ()), action.into, given, -cost, (action.ex_date, action.action_id))]
        return []

    def _split(self, action: Action, pile: _Pile, decimals: int) -> None:
        after = pile.quantity * Fraction(action.ratio.new, action.ratio.old)
        whole = _towards_zero(after, decimals)
        close = self._closes.get((action.instrument, action.ex_date))
        if whole == after:
            pile.quantity = whole
            return
        if close is None:
            pile.quantity = round(after)
            return
        price = Fraction(round(close.price * ONE)) / Fraction(action.ratio.new, action.ratio.old)
        for other in self._actions:
            earlier = (other.ex_date, other.action_id) < (action.ex_date, action.action_id)
            same = other.kind is ActionKind.SPLIT and other.instrument == action.instrument
            if same and earlier and close.date < other.ex_date:
                price /= Fraction(other.ratio.new, other.ratio.old)
        pile.cash += round((after - whole) * price * self._instruments[action.instrument].contract_multiplier)
        pile.cost = round(Fraction(pile.cost * abs(whole)) / abs(after))
        pile.quantity = whole

    def _place_after(self, action: Action) -> str:
        """What the instrument of an action is called in the end."""
        symbol = action.instrument
        for other in self._actions:
            later = (other.ex_date, other.action_id) > (action.ex_date, action.action_id)
            if later and other.kind is ActionKind.SYMBOL_CHANGE and other.instrument == symbol:
                symbol = other.into
        return symbol

    def _start(self, action: Action) -> int:
        day = self._trading_day.date_of(self._trading_day.close_of(dt.date.fromisoformat(action.ex_date)) - 1)
        moment = self._trading_day.close_of(day) - 1
        while self._date(moment) >= action.ex_date:  # an hour is finer than any boundary moves
            moment -= 3_600_000_000
        low, high = moment, moment + 3_600_000_000
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._date(middle) < action.ex_date else (low, middle)
        return high

    def _splits_of(self, option: Instrument) -> Iterator[Action]:
        """The splits that an option follows; none where it is left without terms."""
        if option.kind not in OPTION_KINDS or not option.underlying:
            return
        symbol, found = option.underlying, []
        for action in self._actions:
            if action.instrument != symbol:
                continue
            if action.kind is ActionKind.SYMBOL_CHANGE:
                symbol = action.into
            lives = not option.expiry or option.expiry >= action.ex_date
            if action.kind is ActionKind.SPLIT and action.ratio.new != action.ratio.old and lives:
                found.append(action)
        strike = Fraction(option.strike or "0")
        for action in found:
            strike /= Fraction(action.ratio.new, action.ratio.old)
        if all(action.ratio.old == 1 for action in found) and (strike * ONE).denominator == 1:
            yield from found


def _towards_zero(quantity: Fraction | int, decimals: int) -> int:
    step: int = 10 ** (DECIMALS - decimals)
    return int(Fraction(quantity, step)) * step


def _fits(row: Action | RefusedAction, instruments: Mapping[str, Instrument]) -> bool:
    try:
        check_fit(row, instruments)  # type: ignore[arg-type]
    except Rejected:
        return False
    return True

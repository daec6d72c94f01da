"""What a holder is entitled to when corporate actions take effect: of each (desk, dealer, instrument), from its trades alone.

Actions are gone through in the order of their ex-dates. Before each, everything dated before its ex-date is taken into what is
held, exact; then the action acts on that. A split that leaves a fraction of the smallest quantity pays it in cash at the adjusted
close; without a known close the fraction stays, and is named. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from riskengine.positions.adjusted import CASH_IN_LIEU, DIVIDEND, SPIN_OFF, Entry
from riskengine.positions.adjustments import Step, Terms, scaled
from riskengine.records.actions import ActionKind
from riskengine.records.types import DECIMALS, ONE, Opening, Trade, order_key


class Holder(NamedTuple):
    """Whose holding it is."""

    desk: str
    dealer: str


class Given(NamedTuple):
    """Units of another instrument that a spin-off gives: `name` is that instrument, as it is called on the ex-date."""

    name: str
    entry: Entry


class Kept(NamedTuple):
    """A fraction of the smallest quantity that nothing says the worth of, in units of 1e-10 of the ex-date.

    kind  of a split it stays in the position; of a spin-off, a fraction of the new units, it is not given
    """

    kind: ActionKind
    name: str
    fraction: int


@dataclass
class Entitled:
    """What actions generate for one holder of an instrument.

    entries  of its own position; `given` of positions in other instruments
    kept     fractions that are left open, by action_id
    """

    entries: list[Entry] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    kept: dict[str, Kept] = field(default_factory=dict)


@dataclass
class _Held:
    """What is held under one name.

    Exact quantity, its open cost (cash units, of the sign of the quantity), and what the position has folded so far, in units of
    today.
    """

    quantity: int = 0
    cost: int = 0
    folded: int = 0

    def take(self, signed: int, cost: int, folded: int) -> None:
        """Take a trade of `signed` units that cost `cost`: what is reduced takes its share of the open cost along."""
        before, after = self.quantity, self.quantity + signed
        if before * signed >= 0:
            self.cost += cost
        elif before * after > 0:
            self.cost = scaled(self.cost, after, before) if before > 0 else scaled(self.cost, -after, -before)
        elif after:
            self.cost = scaled(cost, after, signed) if signed > 0 else scaled(cost, -after, -signed)
        else:
            self.cost = 0
        self.quantity = after
        self.folded += folded


class _Item(NamedTuple):
    """A trade, a balance or a gift, waiting to be taken in."""

    ts: int
    date: str
    rank: tuple[str, str]
    name: str
    signed: int
    cost: int
    folded: int


def entitled(
    terms: Terms, holder: Holder, openings: Iterable[Opening], trades: Iterable[Trade], gifts: Sequence[Given]
) -> Entitled:
    """What the actions of `terms` generate for a holder with these balances and trades; `gifts` came by spin-offs.

    O((trades dated before the last ex-date) x actions).
    """
    return _Simulation(terms, holder, openings, trades, gifts).run()


class _Simulation:
    def __init__(
        self, terms: Terms, holder: Holder, openings: Iterable[Opening], trades: Iterable[Trade], gifts: Sequence[Given]
    ) -> None:
        self._terms = terms
        self._holder = holder
        self._held: dict[str, _Held] = {}
        self._called: dict[str, str] = {}
        self._found = Entitled([gift.entry for gift in gifts])
        given = [
            _Item(gift.entry.ts, "", gift.entry.rank, gift.name, gift.entry.quantity, -gift.entry.cash, gift.entry.signed)
            for gift in gifts
        ]
        dealt = [self._of_trade(trade) for trade in sorted(trades, key=order_key)]
        # Balances first; then by time, and what is given before every trade of its time, as positions fold it.
        self._waiting = [self._of_opening(opening) for opening in openings]
        self._waiting += sorted([*given, *dealt], key=lambda item: item.ts)

    def run(self) -> Entitled:
        """Go through all actions."""
        for step in self._terms.steps:
            self._take_in(step)
            self._act(step)
        return self._found

    def _of_opening(self, opening: Opening) -> _Item:
        cost = opening.quantity * opening.average_price * self._terms.multiplier
        folded, _ = self._terms.fold_opening(opening)
        return _Item(opening.ts, "", ("", ""), opening.instrument, opening.quantity, cost, folded)

    def _of_trade(self, trade: Trade) -> _Item:
        folded, _ = self._terms.fold(trade)
        return _Item(trade.ts, trade.trade_date, ("", ""), trade.instrument, trade.signed_quantity, -trade.cash, folded)

    def _take_in(self, step: Step) -> None:
        """Take in what is dated before the ex-date of a step."""
        ex_date, left = step.action.ex_date, []
        for item in self._waiting:
            if item.rank < step.rank if item.rank[0] else item.date < ex_date if item.date else item.ts < step.start_ts:
                self._of(item.name).take(item.signed, item.cost, item.folded)
            else:
                left.append(item)
        self._waiting = left

    def _of(self, name: str) -> _Held:
        while name in self._called:
            name = self._called[name]
        return self._held.setdefault(name, _Held())

    def _act(self, step: Step) -> None:
        action = step.action
        if action.kind is ActionKind.SYMBOL_CHANGE:
            self._rename(action.instrument, action.into)
            return
        held = self._held.get(action.instrument)
        if held is None or not (held.quantity or held.folded):
            return
        if action.kind is ActionKind.SPLIT:
            self._split(step, held)
        elif action.kind is ActionKind.DIVIDEND:
            self._pay(step, held)
        else:
            self._spin_off(step, held)

    def _rename(self, name: str, into: str) -> None:
        self._called.pop(into, None)  # a name that is taken up again
        moved = self._held.pop(name, _Held())
        self._called[name] = into
        self._of(into).take(moved.quantity, moved.cost, moved.folded)

    def _entry(self, step: Step, kind: str, **fields: float | str) -> Entry:
        return Entry(step.start_ts, step.rank, kind, *self._holder, **fields)  # type: ignore[arg-type]

    def _split(self, step: Step, held: _Held) -> None:
        new, old = step.action.ratio
        whole, rest = _whole(held.quantity, new, old, self._terms.decimals)
        cash, price = 0, 0.0
        if rest and step.close is None:
            self._found.kept[step.action.action_id] = Kept(step.action.kind, step.action.instrument, scaled(rest, 1, old))
            whole = scaled(held.quantity, new, old)
        elif rest and step.close is not None:
            # `rest` / old units of after the split, each worth close x old / new.
            top, bottom = step.close.numerator, step.close.denominator
            cash = scaled(rest * top * self._terms.multiplier, 1, new * bottom)
            price = float(step.close * old / new / ONE * step.later.old / step.later.new)
            held.cost = scaled(held.cost, abs(whole) * old, abs(held.quantity) * new)
        held.quantity = whole
        folded = scaled(whole, *step.later)
        signed, held.folded = folded - held.folded, folded
        if signed or cash:
            self._found.entries.append(self._entry(step, CASH_IN_LIEU, signed=signed, price=price, cash=cash))

    def _pay(self, step: Step, held: _Held) -> None:
        cash = held.quantity * step.action.amount * self._terms.multiplier
        if not cash:
            return
        beside = "" if step.own_currency else step.action.currency
        self._found.entries.append(self._entry(step, DIVIDEND, cash=cash, beside=beside))

    def _spin_off(self, step: Step, held: _Held) -> None:
        action = step.action
        whole, rest = _whole(held.quantity, action.ratio.new, action.ratio.old, step.into_decimals)
        if rest:
            self._found.kept[action.action_id] = Kept(action.kind, action.into, scaled(rest, 1, action.ratio.old))
        if not whole:
            return
        moved = scaled(held.cost, action.cost_share, ONE)
        held.cost -= moved
        if moved:
            self._found.entries.append(self._entry(step, SPIN_OFF, cash=moved, cost=True))
        price = moved / (whole * self._terms.multiplier * ONE)
        signed = scaled(whole, *step.into_later)
        price = price * step.into_later.old / step.into_later.new
        entry = self._entry(step, SPIN_OFF, quantity=whole, signed=signed, price=price, cash=-moved)
        self._found.given.append(Given(action.into, entry))


def _whole(quantity: int, new: int, old: int, decimals: int) -> tuple[int, int]:
    """`quantity` x new / old towards zero to a whole step of `decimals`, and what is left over, in units of 1e-10 / old."""
    unit = 10 ** (DECIMALS - decimals)
    sign = -1 if quantity < 0 else 1
    steps = abs(quantity) * new // (old * unit)
    return sign * steps * unit, sign * (abs(quantity) * new - steps * unit * old)

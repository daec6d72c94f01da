"""Carry in a position: exact sums beside trades, through freezing, setting aside and repair, in any order."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.positions.freezing import freeze_oldest
from riskengine.positions.position import Position
from riskengine.positions.position_audit import Belonging, position_fault
from riskengine.positions.repair import SetAsidePosition
from riskengine.records.cash import CarryEntry
from tests.world import NOON, REFERENCE, opening, trade

EURUSD = REFERENCE.by_symbol["EURUSD"]
FX1 = Belonging("FX1", True, lambda _: True)


def entry(number: int, amount: int, currency: str) -> CarryEntry:
    return CarryEntry(NOON + number, f"K{number}", 1, "funding", amount, currency, currency != "USD")


steps = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.integers(1, 500), st.sampled_from(("buy", "sell")), st.integers(-50, 50)),
        st.tuples(st.just("carry"), st.integers(-(10**30), 10**30).filter(bool), st.sampled_from(("USD", "JPY", "EUR"))),
        st.tuples(st.just("leave"), st.integers(0, 30)),
        st.tuples(st.just("freeze"), st.integers(1, 5)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(drawn=steps)
def test_cash_and_what_is_beside_it_are_the_sums_of_trades_and_carry_whatever_comes_between(drawn: list[Any]) -> None:
    position, entries, cash = Position(), dict[int, CarryEntry](), 0
    position.open_with([opening(quantity="5", average_price="1.5", realised="3")], EURUSD.multiplier, "USD")
    cash += position.cash
    for number, (what, *values) in enumerate(drawn):
        if what == "trade":
            quantity, side, ts = values
            # Nothing comes behind a base here: its trades would have to be recalled.
            made = trade(str(number), quantity=str(quantity), side=side, ts=NOON + number * 1_000 + ts)
            if not position.covers(made):
                position.add(made)
                cash += made.cash
        elif what == "carry":
            entries[number] = entry(number, *values)
            position.add_carry([entries[number]])
        elif what == "leave" and values[0] in entries:
            position.remove_carry(entries.pop(values[0]))
            position.remove_carry(entry(999, 5, "USD"))  # nothing of that name is there
        elif what == "freeze" and len(position.trades) >= values[0]:
            freeze_oldest(position, values[0])
        assert position.cash == cash + sum(each.amount for each in entries.values() if not each.is_beside)
        kept = {code: sum(each.amount for each in entries.values() if each.currency == code) for code in ("EUR", "JPY")}
        assert (position.beside or {}) == {code: units for code, units in kept.items() if units}
        assert position_fault(position, EURUSD, FX1) == ""
    assert list(position.carry) == sorted(entries.values())


def test_a_position_that_is_set_aside_keeps_its_carry_and_claims_none_of_it() -> None:
    position = Position()
    position.add(trade("1"))
    position.add_carry([entry(1, 10**28, "USD"), entry(2, 10**28, "JPY")])
    aside = SetAsidePosition(position)
    aside.add_carry([entry(3, 5, "USD")])
    aside.remove_carry(entry(2, 10**28, "JPY"))
    aside.check(EURUSD.multiplier)
    assert [each.carry_id for each in aside.carry] == ["K1", "K3"]


def test_carry_that_is_not_its_own_is_a_fault() -> None:
    position = Position()
    position.add(trade("1"))
    position.add_carry([entry(1, 10**28, "JPY")])
    position.beside = {"JPY": 1}
    assert "amounts beside net cash" in position_fault(position, EURUSD, FX1)

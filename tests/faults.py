"""Faults to plant in an engine's memory, as a stray write or an error of ours would, each with the keys at fault."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from msgspec import structs

from riskengine.engine.engine import Engine
from riskengine.engine.table_builder import TableBuilder
from riskengine.positions.ledger import Row
from riskengine.positions.position import Position
from riskengine.records.types import CASH_ONE, ONE, Key, Trade
from riskengine.valuation.number_pages import GROSS, PAGE, TOTAL
from tests.world import NOON, REFERENCE, SECOND, House, trade

FX1: Key = ("node", "FX1", "EURUSD")
ANN: Key = ("dealer", "ann", "EURUSD")

LONG = 150
"""Trades of the long position: two checkpoints and a rest."""


@cache
def stored_trades() -> tuple[Trade, ...]:
    """The trades in the store: several desks, dealers and instruments, a flat position, fees, an amend, a long position."""
    plain = [
        trade("t1", quantity="100", price="1.1", fees="2.5"),
        trade("t2", quantity="40", price="1.2", side="sell", ts=NOON + 1),
        trade("t3", quantity="70", price="1.3", ts=NOON + 2),
        trade("t4", desk="FX2", dealer="bob", quantity="10", price="1.25", ts=NOON + 3),
        trade("t5", desk="EQ1", instrument="ACME", quantity="7", price="90", ts=NOON + 4),
        trade("t6", desk="EM1", dealer="bob", quantity="5", price="1.1", ts=NOON + 5),
        trade("t7", desk="EM1", dealer="bob", quantity="5", price="1.2", side="sell", ts=NOON + 6),
        trade("t8", desk="FX2", instrument="GBPUSD", dealer="", quantity="3", ts=NOON + 7),
        trade("t8", version=2, action="amend", desk="FX2", instrument="GBPUSD", dealer="", quantity="4", ts=NOON + 7),
    ]
    many = [
        trade(
            f"m{number:03}",
            desk="FX2",
            instrument="USDJPY",
            dealer="cat",
            ts=NOON + number,
            quantity=str(1 + number % 7),
            side="sell" if number % 3 else "buy",
            price=f"15{number % 10}.25",
        )
        for number in range(LONG)
    ]
    return (*plain, *many)


def sound_engine() -> Engine:
    """An engine with the stored trades, priced and published."""
    house = House()
    house.marks(EURUSD=1.25, GBPUSD=1.5, USDJPY=150.0, ACME=90.0)
    house.engine.apply(stored_trades(), NOON, watermark=1)
    house.engine.publish(NOON)
    return house.engine


# -- where to plant ----------------------------------------------------------------------------------------------


def builder_of(engine: Engine, rollup: str) -> TableBuilder:
    return engine._organisation if rollup == "node" else engine._dealers


def owner_of(engine: Engine, key: Key) -> int:
    return (REFERENCE.hierarchy.index if key[0] == "node" else engine.ledger.dealer_index)[key[1]]


def position(engine: Engine, key: Key) -> Position:
    books = builder_of(engine, key[0]).rollup.books
    return books[owner_of(engine, key)].positions[REFERENCE.instrument_index[key[2]]]


def change_row(engine: Engine, key: Key, **changes: Any) -> None:
    """Change a row in memory only, not in what is published."""
    book = builder_of(engine, key[0]).rollup.books[owner_of(engine, key)]
    slot = book.slot(REFERENCE.instrument_index[key[2]])
    assert slot is not None
    row = book.rows[slot]
    assert row is not None
    book.rows[slot] = structs.replace(row, **changes)


def publish_row(engine: Engine, key: Key) -> None:
    """Publish the row that is in memory now."""
    builder = builder_of(engine, key[0])
    owner = owner_of(engine, key)
    builder._freeze_states({owner: range(len(builder.rollup.books[owner].rows))})
    engine.publish(NOON)


def row(engine: Engine, key: Key) -> Row:
    found = builder_of(engine, key[0]).rollup.books[owner_of(engine, key)].row(REFERENCE.instrument_index[key[2]])
    assert found is not None
    return found


# -- the faults --------------------------------------------------------------------------------------------------


class Planted(NamedTuple):
    """A fault: what plants it, words of the reason to expect, and the keys at fault."""

    plant: Callable[[Engine], None]
    says: str
    keys: tuple[Key, ...]


FAULTS: dict[str, Planted] = {}


def fault(name: str, says: str, *keys: Key) -> Callable[[Callable[[Engine], None]], Callable[[Engine], None]]:
    """Decorate a function that plants a fault: enters it in the table."""

    def enter(plant: Callable[[Engine], None]) -> Callable[[Engine], None]:
        FAULTS[name] = Planted(plant, says, keys)
        return plant

    return enter


def of_position(name: str, says: str, change: Callable[[Position], None], *keys: Key) -> None:
    """Enter the same fault for a position of each roll-up."""
    for key in keys or (FX1, ANN):
        FAULTS[f"{name} of a {key[0]}"] = Planted(lambda engine, key=key: change(position(engine, key)), says, (key,))  # type: ignore[misc]


def _set(field: str, value: Callable[[Any], Any]) -> Callable[[Position], None]:
    return lambda held: setattr(held, field, value(getattr(held, field)))


def _trades(change: Callable[[Any], Any]) -> Callable[[Position], None]:
    return lambda held: change(held.trades)


def _swap(trades: Any) -> None:
    trades[0], trades[1] = trades[1], trades[0]


def _take_over(held: Position) -> None:
    """Fold in a trade that belongs to another position."""
    held.add(trade("t5", desk="EQ1", instrument="ACME", dealer="zoe", quantity="7", price="90", ts=NOON + SECOND))


def _replace(held: Position) -> None:
    """Replace the effective trade by a copy, which is not the effective record."""
    held.trades[0] = structs.replace(held.trades[0])


def _forget_consistently(held: Position) -> None:
    """Remove a trade with everything that depends on it: the position itself stays consistent."""
    held.remove(held.trades[1])


def _forge_checkpoint(held: Position) -> None:
    assert held.checkpoints is not None
    held.checkpoints[1] = (5, 1.0)


FLAT: Key = ("node", "EM1", "EURUSD")
LONG_ONE: Key = ("node", "FX2", "USDJPY")
LONG_DEALER: Key = ("dealer", "cat", "USDJPY")

of_position("quantity", "I1", _set("quantity", lambda was: was + ONE))
of_position("net cash", "I1", _set("cash", lambda was: was - 1))
of_position("average", "I3", _set("average", lambda was: was * 1.000001))
of_position("average lost", "I3", _set("average", lambda was: None))
of_position("average where it is flat", "I3", _set("average", lambda was: 1.0), FLAT, ("dealer", "bob", "EURUSD"))
of_position("fees", "fees", _set("fees", lambda was: {"USD": 1}))
of_position("identities", "identities", _set("identities", lambda was: was ^ 1))
of_position("a trade lost from the list", "I1", _trades(lambda trades: trades.pop(1)))
of_position("a trade twice", "I3", _trades(lambda trades: trades.insert(1, trades[0])))
of_position("trades out of order", "I3", _trades(_swap))
of_position("a trade of another position", "another position", _take_over)
of_position("another record of a trade", "does not take part", _replace)
of_position("a checkpoint of the long one", "checkpoint", _forge_checkpoint, LONG_ONE, LONG_DEALER)
of_position("a trade lost in the middle of the long one", "I", _trades(lambda trades: trades.pop(100)), LONG_ONE, LONG_DEALER)
of_position("quantity of the long one", "I1", _set("quantity", lambda was: was + 1), LONG_ONE, LONG_DEALER)


@fault("a trade missing where everything else fits", "does not stand", FX1)
def _missing_at_desk(engine: Engine) -> None:
    _forget_consistently(position(engine, FX1))
    engine.ledger.organisation.touched[position(engine, FX1)] = None
    engine.publish(NOON)


@fault("a trade missing with the dealer where everything else fits", "does not stand", ANN)
def _missing_with_dealer(engine: Engine) -> None:
    _forget_consistently(position(engine, ANN))
    engine.ledger.dealers.touched[position(engine, ANN)] = None
    engine.publish(NOON)


@fault("a row of a leaf in memory", "row", FX1)
def _row_of_leaf(engine: Engine) -> None:
    change_row(engine, FX1, cash=5)


@fault("a row of a leaf, as published", "row", FX1)
def _row_of_leaf_published(engine: Engine) -> None:
    change_row(engine, FX1, quantity=5)
    publish_row(engine, FX1)


@fault("a row of a dealer, as published", "row", ANN)
def _row_of_dealer(engine: Engine) -> None:
    change_row(engine, ANN, open_cost=5)
    publish_row(engine, ANN)


@fault("a published row that is not the one in memory", "published", FX1)
def _published_row(engine: Engine) -> None:
    kept = row(engine, FX1)
    change_row(engine, FX1, trade_count=9)
    publish_row(engine, FX1)
    change_row(engine, FX1, trade_count=kept.trade_count)


@fault("a row of an inner node in memory", "I5", ("node", "G10", "EURUSD"))
def _row_of_inner(engine: Engine) -> None:
    change_row(engine, ("node", "G10", "EURUSD"), quantity=12)


for _field, _value in {
    "quantity": 1,
    "cash": 1,
    "open_cost": 1,
    "open_count": 9,
    "open_cash": 1,
    "position_count": 9,
    "trade_count": 9,
    "last_trade_ts": 9,
    "fees": {"USD": 1},
    "identities": 1,
    "quarantined": 1,
    "long_count": 1,
}.items():

    def _plant(engine: Engine, changes: dict[str, Any] = {_field: _value}) -> None:  # noqa: B006
        change_row(engine, ("node", "FX", "EURUSD"), **changes)
        publish_row(engine, ("node", "FX", "EURUSD"))

    FAULTS[f"{_field} of a row of an inner node, as published"] = Planted(_plant, "I5", (("node", "FX", "EURUSD"),))


for _owner, _key in {"leaf": ("node", "FX1", ""), "inner node": ("node", "FX", ""), "dealer": ("dealer", "ann", "")}.items():
    for _field in ("count", "trades", "last_trade_ts"):

        def _plant_count(engine: Engine, key: Key = _key, field: str = _field) -> None:
            book = builder_of(engine, key[0]).rollup.books[owner_of(engine, key)]
            setattr(book, field, getattr(book, field) + 1)

        FAULTS[f"{_field} of the book of a {_owner}"] = Planted(_plant_count, "I5", (_key,))


@fault("an identity that is remembered no more", "does not take part", FX1, ANN)
def _forgotten(engine: Engine) -> None:
    del engine.processed._versions["test"]["t2"]


@fault("an identity that is remembered with other columns", "does not take part", FX1, ANN)
def _misremembered(engine: Engine) -> None:
    versions = engine.processed._versions["test"]
    kept = versions["t2"]
    assert isinstance(kept, Trade)
    versions["t2"] = structs.replace(kept, price=1)


@fault("a trade that takes part and stands nowhere", "does not stand", ("node", "EQ1", "EURUSD"), ANN)
def _nowhere(engine: Engine) -> None:
    engine.processed.enter(trade("t99", desk="EQ1", dealer="ann"))


@fault("a number of a leaf", "total_pnl", ("node", "FX1", ""))
def _number(engine: Engine) -> None:
    plant_number(engine, ("node", "FX1", ""), TOTAL)


@fault("a number of a dealer", "total_pnl", ("dealer", "ann", ""))
def _number_of_dealer(engine: Engine) -> None:
    plant_number(engine, ("dealer", "ann", ""), TOTAL)


@fault("a number of an inner node", "gross_exposure", ("node", "FX", ""))
def _number_of_inner(engine: Engine) -> None:
    plant_number(engine, ("node", "FX", ""), GROSS)


@fault("a sum that numbers are made of", "total_pnl", ("node", "FX1", ""))
def _sum_of_numbers(engine: Engine) -> None:
    valuation = engine._organisation.valuation
    valuation._cash.add(owner_of(engine, FX1), REFERENCE.currency_index["USD"], 1_000 * CASH_ONE)
    valuation._cash.flush()
    valuation.reprice(engine._factors)
    engine.publish(NOON)


def plant_number(engine: Engine, key: Key, line: int) -> None:
    """Change a published number of an owner by 1,000."""
    valuation = builder_of(engine, key[0]).valuation
    valuation._numbers[line, owner_of(engine, key)] += np.float64(1_000)
    valuation._publish({owner_of(engine, key) // PAGE})
    engine.publish(NOON)

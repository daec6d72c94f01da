"""The digest: equal for equal states, whatever their history, and different for any difference."""

import hashlib
import json
import random

import pytest

from riskengine.records.types import CASH_ONE
from riskengine.snapshot.digest import digest
from tests.world import NOON, House, cancel, opening, trade

TRADES = [
    trade("1", quantity="100", price="1.1", fees="2"),
    trade("2", quantity="40", price="1.2", side="sell", desk="FX2", dealer="bob", ts=NOON + 2),
    trade("3", instrument="GBPUSD", quantity="10", price="1.3", desk="EM1", ts=NOON + 3, fees="1", fees_currency="EUR"),
    trade("4", instrument="GBPUSD", quantity="10", price="1.5", side="sell", desk="EM1", ts=NOON + 4, fees="7"),
    trade("5", dealer="", quantity="7", price="1.15", ts=NOON + 5),
    trade("5", dealer="zoë", quantity="8", price="1.15", ts=NOON + 5, version=2, action="amend"),
    trade("6", instrument="ACME", desk="EQ1", quantity="5", price="20"),
    cancel("6"),
]


def digest_of(trades: list) -> str:
    house = House()
    for one in trades:
        house.deal(one)
    return digest(house.engine.snapshot)


@pytest.mark.parametrize("seed", range(5))
def test_any_order_with_repeats_gives_the_same_digest(seed: int) -> None:
    chance = random.Random(seed)
    shuffled = TRADES + chance.sample(TRADES, 3)
    chance.shuffle(shuffled)
    assert digest_of(shuffled) == digest_of(TRADES)


def test_prices_and_the_clock_have_no_part_in_it() -> None:
    house = House()
    house.deal(*TRADES)
    before = digest(house.engine.snapshot)
    house.now += 10**9
    house.marks(EURUSD=1.3, GBPUSD=1.2)
    assert digest(house.engine.snapshot) == before


@pytest.mark.parametrize(
    "difference",
    [
        {"quantity": "100.01"},
        {"price": "1.1000000001"},
        {"fees": "2.01"},
        {"fees_currency": "EUR"},
        {"desk": "FX2"},
        {"dealer": "bob"},
        {"side": "sell"},
        {"version": 2},
        {"source": "other"},
        {"leg": 1},
        {"instrument": "EURGBP"},
    ],
)
def test_any_difference_of_a_position_shows(difference: dict) -> None:
    plain = trade("1", quantity="100", price="1.1", fees="2")
    assert digest_of([trade("1", **({"quantity": "100", "price": "1.1", "fees": "2"} | difference))]) != digest_of([plain])


def test_what_has_no_effect_does_not_show() -> None:
    assert digest_of([*TRADES, cancel("never seen")]) == digest_of(TRADES)
    assert digest_of([]) == hashlib.sha256(b"").hexdigest()


def test_an_amend_there_and_back_differs_only_by_the_newest_trade_s_version() -> None:
    there = trade("1", quantity="200", version=2, action="amend")
    back = trade("1", version=3, action="amend")
    assert digest_of([trade("1"), there, back]) == digest_of([back])
    assert digest_of([back]) != digest_of([trade("1")])


def test_the_text_is_the_documented_one() -> None:
    house = House()
    house.engine.open_with([opening(instrument="GBPUSD", quantity="1.50", average_price="1.25", fees="3")])
    house.deal(trade("t", quantity="3", price="0.5", fees="0.5"))
    state: dict[str, list] = {
        "EURUSD": ["3", "-1.5", "0.5", None, [["USD", "0.5"]], 1, ["test", "t", 0, 1]],
        "GBPUSD": ["1.5", "-1.875", "1.25", None, [["USD", "3"]], 0, None],
    }
    for row in house.engine.snapshot.nodes.state(house.where.hierarchy.index["FX1"]).positions():
        state[house.where.symbols[row.instrument]][3] = repr((row.cash + row.open_cost) / CASH_ONE)
    lines = [
        json.dumps([rollup, owner, symbol, *state[symbol]], separators=(",", ":"), ensure_ascii=False) + "\n"
        for rollup, owner in (("dealer", "ann"), ("node", "FX1"))
        for symbol in ("EURUSD", "GBPUSD")
    ]
    assert digest(house.engine.publish(NOON)) == hashlib.sha256("".join(lines).encode()).hexdigest()

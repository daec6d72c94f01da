"""Places of keys: what a key names, and the key of a place."""

import pytest

from riskengine.positions.ledger import ALL_ROWS, Ledger
from riskengine.positions.places import keys_of, leaf_keys, place_of, trades_under
from tests.world import NOON, REFERENCE, trade


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(REFERENCE)
    for one in (trade("t1"), trade("t2", ts=NOON + 1), trade("t3", desk="FX2", dealer="bob")):
        ledger.add(one, 0)
    return ledger


def test_a_trade_belongs_to_its_desk_and_its_dealer(ledger):
    places = [place_of(ledger, key) for key in leaf_keys(trade("t1"))]
    assert [place is not None and place.is_leaf and place.position is not None for place in places] == [True, True]


@pytest.mark.parametrize(
    "key", [("node", "FX1", "EURUSD"), ("node", "ALL", "EURUSD"), ("node", "FX1", ""), ("dealer", "bob", "EURUSD")]
)
def test_a_place_gives_its_key_back(ledger, key):
    place = place_of(ledger, key)
    assert place is not None
    assert keys_of(ledger, [place]) == [key]


def test_a_sum_is_no_leaf_and_has_no_position(ledger):
    for symbol, owner in (("EURUSD", "ALL"), ("", "FX1")):
        place = place_of(ledger, ("node", owner, symbol))
        assert place is not None
        assert (place.is_leaf, place.position, place.instrument == ALL_ROWS) == (False, None, not symbol)


@pytest.mark.parametrize("key", [("node", "XX", "EURUSD"), ("dealer", "zoe", "EURUSD"), ("node", "FX1", "XX")])
def test_an_unknown_key_has_no_place(ledger, key):
    assert place_of(ledger, key) is None


def test_trades_under_keys_are_those_of_their_positions_oldest_first(ledger):
    keys = [("node", "FX1", "EURUSD"), ("dealer", "bob", "EURUSD"), ("node", "ALL", "EURUSD"), ("dealer", "zoe", "EURUSD")]
    assert [one.trade_id for one in trades_under(ledger, keys)] == ["t1", "t2", "t3"]

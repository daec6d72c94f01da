"""How forwards are named and made, and that a stored row says the pair."""

import pytest

from riskengine.records import forwards
from riskengine.records.types import Kind
from riskengine.store.trade_rows import row_of
from tests.world import REFERENCE, trade

EURUSD = REFERENCE.by_symbol["EURUSD"]


def test_the_name_of_a_forward_is_its_pair_and_its_value_date() -> None:
    assert forwards.forward_name("EURUSD", "2026-12-16") == "EURUSD@2026-12-16"
    assert forwards.name_parts("EURUSD@2026-12-16") == ("EURUSD", "2026-12-16")


@pytest.mark.parametrize("symbol", ["EURUSD", "EURUSD@3M", "@2026-12-16", "EURUSD@2026-12-16x"])
def test_any_other_name_is_that_of_no_forward(symbol: str) -> None:
    assert forwards.name_parts(symbol) is None


def test_a_forward_is_made_like_its_pair() -> None:
    made = forwards.made_forward(EURUSD, "2026-12-16")
    assert (made.kind, made.expiry, made.underlying) == (Kind.FX_FORWARD, "2026-12-16", "EURUSD")
    assert (made.multiplier, made.quantity_decimals, made.price_decimals) == (
        EURUSD.multiplier,
        EURUSD.quantity_decimals,
        EURUSD.price_decimals,
    )


@pytest.mark.parametrize("symbol", ["ACME@2026-12-16", "XXXYYY@2026-12-16"])
def test_only_a_spot_pair_has_forwards(symbol: str) -> None:
    assert forwards.forward_of(symbol, REFERENCE.by_symbol) is None


def test_a_placed_trade_is_stored_on_its_pair() -> None:
    sent = trade(value_date="2026-06-08")
    there = forwards.placed(sent)
    assert there.instrument == "EURUSD@2026-06-08"
    assert forwards.unplaced(there) == sent
    assert row_of(there, 1).instrument == "EURUSD"


def test_a_placed_trade_says_the_same_as_what_was_sent() -> None:
    sent = trade(value_date="2026-06-08")
    assert forwards.placed(sent).same_economics(sent)
    assert not forwards.placed(sent).same_economics(trade(value_date="2026-06-09"))


def test_a_trade_that_names_no_forward_stays_what_it_is() -> None:
    sent = trade(value_date="2026-06-08")
    assert forwards.unplaced(sent) is sent

"""Reference data grows by forwards without a number changing, and sums add in an order that growth does not decide."""

import pytest

from riskengine.records.forwards import made_forward
from riskengine.records.reference import Reference, trade_check
from tests.world import REFERENCE

EURUSD, GBPUSD = REFERENCE.by_symbol["EURUSD"], REFERENCE.by_symbol["GBPUSD"]
JUNE, MAY, CABLE = made_forward(EURUSD, "2026-06-08"), made_forward(EURUSD, "2026-05-08"), made_forward(GBPUSD, "2026-06-08")


def in_order(where: Reference) -> list[str]:
    return [where.symbols[number] for number in sorted(range(len(where.symbols)), key=where.ranks.__getitem__)]


def buckets_in_order(where: Reference) -> list[str]:
    return [where.currencies[number] for number in sorted(range(len(where.currencies)), key=where.currency_ranks.__getitem__)]


def test_numbers_stay_and_new_ones_come_behind() -> None:
    grown = REFERENCE.grown([JUNE])
    assert grown.symbols[: REFERENCE.loaded] == REFERENCE.symbols
    assert grown.instrument_index["EURUSD@2026-06-08"] == REFERENCE.loaded
    assert grown.currencies[: len(REFERENCE.currencies)] == REFERENCE.currencies


def test_what_is_known_makes_nothing() -> None:
    grown = REFERENCE.grown([JUNE])
    assert grown.grown([JUNE]) is grown


def test_the_order_of_sums_does_not_depend_on_which_forward_came_first() -> None:
    one = REFERENCE.grown([JUNE]).grown([CABLE]).grown([MAY])
    other = REFERENCE.grown([MAY, CABLE, JUNE])
    assert in_order(one) == in_order(other) == [*REFERENCE.symbols, "EURUSD@2026-05-08", "EURUSD@2026-06-08", "GBPUSD@2026-06-08"]
    assert buckets_in_order(one) == buckets_in_order(other)


def test_cash_and_delivery_of_a_forward_stand_in_buckets_of_its_currencies() -> None:
    grown = REFERENCE.grown([JUNE])
    cash, delivery = grown.cash_currency[-1], grown.base_currency[-1]
    assert (grown.currencies[cash], grown.currencies[delivery]) == ("USD@EURUSD@2026-06-08", "EUR@EURUSD@2026-06-08")
    assert [grown.currencies[grown.majors[bucket]] for bucket in (cash, delivery)] == ["USD", "EUR"]


def test_forwards_are_known_by_their_names() -> None:
    assert REFERENCE.with_forwards(["EURUSD@2026-06-08", "EURUSD", "NONSENSE@2026-06-08"]).symbols[REFERENCE.loaded :] == (
        "EURUSD@2026-06-08",
    )


def test_no_trade_may_name_a_forward_that_trades_made() -> None:
    assert "EURUSD@2026-06-08" not in trade_check(REFERENCE.grown([JUNE])).instruments


@pytest.mark.parametrize("made", [[], [JUNE]])
def test_what_grew_from_the_same_is_kin(made) -> None:
    assert REFERENCE.grown(made).is_kin(REFERENCE)
    assert not REFERENCE.grown(made).is_kin(Reference((), (), "USD"))

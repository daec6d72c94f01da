"""Shifts of spots, vols and rates: in their order, by scope, and never to a price that cannot be."""

import pytest

from riskengine.scenarios.moves import ShiftError, ShiftInput, moves_of
from tests.optioned import OPTIONS, OptionHouse, share_option
from tests.world import INSTRUMENTS, House, reference

OIL = {"instrument": "OIL", "kind": "future", "quote_currency": "USD", "sector": "Energy", "expiry": "2026-12-18"}


def priced() -> House:
    made = House(reference(rows=(*INSTRUMENTS, OIL)))
    made.marks(EURUSD=1.1, EURGBP=0.85, GBPUSD=1.3, ACME=90.0, OIL=20.0)
    return made


def price(made: House, symbol: str, *shifts: ShiftInput, negative: tuple[str, ...] = ()) -> float:
    moves = moves_of(made.engine.snapshot, shifts, negative)
    return moves.price.item(made.where.instrument_index[symbol])


def test_shifts_apply_one_after_the_other() -> None:
    ten = ShiftInput("spot", instrument="ACME", relative=0.1)
    assert price(priced(), "ACME", ten, ten) == pytest.approx(108.9)
    assert price(priced(), "ACME", ten, ShiftInput("spot", instrument="ACME", absolute=1.0)) == pytest.approx(100.0)


def test_a_currency_moves_in_all_its_pairs_so_that_crosses_stay_in_line() -> None:
    made, shift = priced(), ShiftInput("spot", currency="GBP", relative=-0.2)
    assert price(made, "GBPUSD", shift) == pytest.approx(1.3 * 0.8)
    assert price(made, "EURGBP", shift) == pytest.approx(0.85 / 0.8)
    assert price(made, "EURUSD", shift) == 1.1


def test_a_sector_moves_alone_and_a_wide_shift_counts_what_has_no_price() -> None:
    made = priced()
    assert price(made, "OIL", ShiftInput("spot", sector="Energy", relative=-0.5)) == 10.0
    assert price(made, "ACME", ShiftInput("spot", sector="Energy", relative=-0.5)) == 90.0
    moves = moves_of(made.engine.snapshot, [ShiftInput("spot", all=True, relative=-0.5)])
    unpriced = int((~made.engine.snapshot.units.priced).sum())
    assert moves.standing == ((0, unpriced),)


def test_a_future_that_may_be_negative_goes_through_zero_and_no_other() -> None:
    made, fall = priced(), ShiftInput("spot", instrument="OIL", absolute=-57.0)
    assert price(made, "OIL", fall, negative=("OIL",)) == -37.0
    with pytest.raises(ShiftError) as caught:
        price(made, "OIL", ShiftInput("spot", all=True, relative=0.1), fall)
    assert (caught.value.index, caught.value.field) == (1, "absolute")
    with pytest.raises(ShiftError, match="ACME to 0 or below"):
        price(made, "ACME", ShiftInput("spot", instrument="ACME", absolute=-90.0), negative=("ACME",))


def test_vols_move_by_option_by_underlying_and_all_and_stay_above_zero() -> None:
    made = OptionHouse((*OPTIONS, share_option("ACME C90", "90", exercise="european")))
    made.vols(0.1)
    made.spots()
    snapshot = made.engine.snapshot
    assert snapshot.units.options is not None
    place = snapshot.units.options.terms.place

    def vols(shift: ShiftInput) -> list[float]:
        found = moves_of(snapshot, [shift]).vol
        return [round(found.item(place[symbol]), 12) for symbol in ("EURUSD C1.10", "EURUSD P1.08", "ACME C90")]

    assert vols(ShiftInput("vol", instrument="EURUSD C1.10", absolute=0.02)) == [0.12, 0.1, 0.1]
    assert vols(ShiftInput("vol", instrument="EURUSD", relative=0.5)) == [0.15, 0.15, 0.1]
    assert vols(ShiftInput("vol", all=True, absolute=-0.05)) == [0.05, 0.05, 0.05]
    for size, text in ((-0.1, "takes a vol to 0"), (6.0, "takes a vol to 6.1")):
        with pytest.raises(ShiftError, match=text):
            vols(ShiftInput("vol", all=True, absolute=size))
    with pytest.raises(ShiftError, match="neither an option nor the underlying"):
        vols(ShiftInput("vol", instrument="USDCAD", absolute=0.01))


def test_an_option_has_no_spot_of_its_own_to_shift() -> None:
    made = OptionHouse()
    made.spots()
    with pytest.raises(ShiftError, match=r"EURUSD C1\.10 follows from its underlying"):
        moves_of(made.engine.snapshot, [ShiftInput("spot", instrument="EURUSD C1.10", relative=0.1)])

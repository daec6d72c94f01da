"""The store thread when reference data changes: trades checked by the old data are checked again before they are stored."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from riskengine.engine.inbox import Receipt
from riskengine.records.decode import TradeCheck
from riskengine.records.types import Instrument, Kind, Trade
from riskengine.store.trade_rows import TradeRow, check_again
from tests.intake.store_thread import Answer, House, away
from tests.store_book import CHECK, INSTRUMENTS, TS, cancel, sent, trade

BEFORE = TradeCheck(
    {
        one.instrument: one
        for one in (
            *INSTRUMENTS[:2],
            Instrument(instrument="ESZ6", kind=Kind.FUTURE, quote_currency="USD", multiplier=100_000_000, expiry="2026-12-18"),
            Instrument(instrument="GONE", kind=Kind.EQUITY, quote_currency="USD"),
        )
    },
    {"FX1", "FX2", "FX9"},
    {"Total", "FX1", "FX2", "FX9"},
)
"""The old reference data: another multiplier, an instrument and a desk that are gone."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "engine.db")
    yield made
    made.stop()


def let_in(trade_id: str, **columns: Any) -> Trade:
    return BEFORE(sent(trade_id, **columns), TS + 5, "api")


def submit(house: House, *trades: Trade) -> Answer:
    answer = Answer()
    house.store_thread.submit(trades, answer, BEFORE)
    return answer


def stored(house: House) -> list[TradeRow]:
    return list(house.store.trades_after(0))


def test_what_does_not_fit_any_more_is_rejected_in_its_place_and_not_stored(house: House) -> None:
    answer = submit(house, let_in("1"), let_in("2", instrument="GONE"), let_in("3", desk="FX9"), let_in("4"))
    house.start()
    outcomes = answer.wait().outcomes
    assert [outcome.status for outcome in outcomes] == ["applied", "rejected", "rejected", "applied"]
    assert [outcome.reason for outcome in outcomes[1:3]] == ["instrument: unknown instrument 'GONE'", "desk: unknown desk 'FX9'"]
    assert [row.trade_id for row in stored(house)] == ["1", "4"]
    assert house.metrics.registry.get_sample_value("riskengine_trades_total", {"outcome": "rejected"}) == 2.0
    house.check()


def test_what_still_fits_counts_by_the_reference_data_of_now(house: House) -> None:
    house.start()
    assert submit(house, let_in("1", instrument="ESZ6", price="5000")).statuses() == ["applied"]
    assert house.engine.processed.versions(("api", "1", 0)) == [trade("1", instrument="ESZ6", price="5000")]
    house.check()


def test_a_submission_of_which_nothing_fits_is_answered_with_a_snapshot(house: House) -> None:
    house.start()
    answer = submit(house, let_in("1", desk="FX9"))
    assert answer.statuses() == ["rejected"]
    assert 0 < answer.wait().seq <= house.newest.seq
    assert stored(house) == []
    house.check()


def test_what_cannot_be_stored_is_answered_with_the_error_and_room_is_given_back_once(house: House) -> None:
    house.store.before = away
    answer = submit(house, let_in("1"), let_in("2", desk="FX9"))
    house.start()
    assert answer.wait() == Receipt((), 0, answer.wait().error)
    assert answer.wait().error is not None
    assert house.inbox.reserved == 0
    assert house.metrics.registry.get_sample_value("riskengine_trades_total", {"outcome": "rejected"}) == 0.0


def test_who_the_store_thread_follows_is_changed_on_it_alone(house: House) -> None:
    house.start()
    with pytest.raises(AssertionError, match="store thread"):
        house.store_thread.take_over(CHECK, house.store.bookmark(), 0)


@pytest.mark.parametrize(
    "before",
    [trade("1"), trade("2", contra_amount="7", legs=2, fees="1", value_date="2026-11-23", booked_ts=TS + 1), cancel("3")],
)
def test_a_trade_check_again_by_the_same_reference_data_is_the_same(before: Trade) -> None:
    assert check_again(before, CHECK) == before

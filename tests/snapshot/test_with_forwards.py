"""A snapshot with forwards that nobody holds yet values them as it will once somebody does; everything else stays as it is."""

import datetime as dt

import numpy as np
import pytest

from riskengine.config import EngineConfig
from riskengine.market.calendars import Calendars
from riskengine.market.spot_dates import SpotDates
from riskengine.records.types import Instrument
from riskengine.snapshot.exposure import exposure
from riskengine.snapshot.rows import node_rows
from riskengine.snapshot.snapshot import Snapshot
from riskengine.snapshot.with_forwards import with_forwards
from tests.forwarding import house
from tests.optioned import OptionHouse
from tests.world import House, trade

DATES = SpotDates(Calendars(), EngineConfig())
NAMES = ("EURUSD@2026-06-08", "EURGBP@2026-03-11", "USDJPY@2027-03-08", "USDCAD@2026-06-08")
"""Of points and of rates, near and far; and one whose rates nobody has said."""


def spot_day(pair: Instrument) -> int:
    return dt.date.fromisoformat(DATES.intended_spot(pair, "2026-03-04")).toordinal()


def known(snapshot: Snapshot, *names: str) -> Snapshot:
    return with_forwards(snapshot, snapshot.reference.with_forwards(names), spot_day)


def held_one(made: House) -> House:
    made.deal(trade("0", quantity="100", price="1.1", value_date="2026-03-11"))
    made.deal(trade("1", desk="FX2", quantity="50", price="1.2"))
    return made


def test_new_forwards_are_valued_as_they_will_be_once_they_are_held() -> None:
    made = held_one(house())
    before = made.engine.snapshot
    told = known(before, *NAMES)
    for at, name in enumerate(NAMES):
        pair, date = name.split("@")
        made.deal(trade(f"n{at}", instrument=pair, quantity="1", price="1", value_date=date))
    later = made.engine.snapshot
    for name in NAMES:
        here, there = told.reference.instrument_index[name], later.reference.instrument_index[name]
        for column in ("price", "priced", "value", "rate", "rated", "mark_ts", "stale_mark", "stale_rate", "closed", "no_delta"):
            mine, theirs = getattr(told.units, column).item(here), getattr(later.units, column).item(there)
            assert mine == pytest.approx(theirs, rel=1e-15), (name, column)
        for bucket in (told.reference.currencies[told.reference.cash_currency[here]], f"{name[:3]}@{name}"):
            at, then = told.reference.currency_index[bucket], later.reference.currency_index[bucket]
            for column in ("value", "known", "stale", "fee_value", "fee_known", "legs"):
                assert getattr(told.rates, column).item(at) == pytest.approx(getattr(later.rates, column).item(then), rel=1e-15)
            assert (
                told.reference.currencies[told.rates.majors.item(at)] == later.reference.currencies[later.rates.majors.item(then)]
            )
    assert told.units.priced[told.reference.instrument_index[NAMES[0]]]
    assert not told.units.rated[told.reference.instrument_index[NAMES[3]]]


def test_what_was_known_stays_to_the_last_bit_and_the_snapshot_too() -> None:
    snapshot = held_one(house()).engine.snapshot
    size = len(snapshot.units.price)
    told = known(snapshot, *NAMES)
    for column in ("price", "priced", "value", "rate", "rated", "mark_ts", "stale_mark", "closed"):
        assert np.array_equal(getattr(told.units, column)[:size], getattr(snapshot.units, column)), column
    assert np.array_equal(told.rates.value[: len(snapshot.rates.value)], snapshot.rates.value)
    assert node_rows(told) == node_rows(snapshot)
    assert exposure(told, "currency", node="ALL").rows == exposure(snapshot, "currency", node="ALL").rows
    assert len(snapshot.units.price) == size
    assert known(snapshot) is snapshot


def test_options_keep_their_greeks_beside_new_forwards() -> None:
    made = OptionHouse()
    made.buy("EURUSD C1.10", "1000000")
    made.spots()
    made.vols()
    snapshot = made.spots()
    told = known(snapshot, "EURUSD@2026-06-08")
    assert exposure(told, "instrument", node="ALL").rows == exposure(snapshot, "instrument", node="ALL").rows

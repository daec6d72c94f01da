"""Days that ended while no engine ran: their closes are of what was known for their boundary, whatever has come since."""

import datetime as dt
from collections.abc import Iterator

import pytest

from riskengine.config import EngineConfig
from riskengine.market.closing_prices import ClosingRules
from riskengine.market.trading_day import TradingDay
from riskengine.rebuild.missed_days import make_up
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.closes import StruckClose
from riskengine.records.option_inputs import DatedInput, OptionInput, RateRow, Vol
from riskengine.records.types import StoredMark
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.tables.bulk_trades import read_trades
from tests.optioned import SPOTS, option, rates
from tests.world import INSTRUMENTS, NOON, SECOND, config, instruments, nodes, reference, trade

DATE = dt.date(2026, 3, 4)
DAY = TradingDay.of(EngineConfig())
ENDS = DAY.close_of(DATE)
HOUR = 3_600 * SECOND
ROWS = (*INSTRUMENTS, option("C1", "EUR", "USD", "1.1"))
POINTS = RateRow("EURUSD", "points", "2026-09-04", NOON, 0.005)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_store(store_url)
    opened.save_nodes(nodes())
    opened.save_instruments(instruments(ROWS))
    where = reference(rows=ROWS)
    opened.append_trades(
        [
            trade("option", where=where, instrument="C1", price="0.03"),
            trade("forward", where=where, price="1.1", value_date="2026-09-04"),
        ]
    )
    opened.save_closing_marks("2026-03-04", [StoredMark(symbol, NOON, price) for symbol, price in SPOTS.items()])
    yield opened
    opened.close()


def save(store: Store, *rows: OptionInput) -> None:
    store.save_option_inputs([DatedInput(DAY.date_of(row.ts).isoformat(), row) for row in rows])


def made_up(store: Store, now: int) -> StruckClose:
    """What a start at this time makes of the day; the close is taken away again."""
    engine = rebuild(store, read_trades(store), config(), epoch=1, now=now)
    make_up(engine, store, config(), ClosingRules(DAY), now)
    close = store.struck_close("2026-03-04")
    assert close is not None
    return close


def test_a_kill_between_the_boundary_and_the_strike_changes_no_price_of_the_close(store: Store) -> None:
    """The vols, rates and points that came after the boundary are in force at the start, and no part of the close."""
    save(store, *rates(), POINTS, Vol("C1", NOON, 0.1))
    save(
        store,
        Vol("C1", ENDS, 0.5),
        RateRow("USD", "rate", "2027-12-31", ENDS, 0.09),
        RateRow("EURUSD", "points", "2026-09-04", ENDS, 0.5),
    )
    close = made_up(store, ENDS + 12 * HOUR)
    assert close.prices["EURUSD@2026-09-04"].price == pytest.approx(SPOTS["EURUSD"] + 0.005)
    assert close.prices["C1"].source == "model"
    assert 0.025 < close.prices["C1"].price < 0.04  # with a vol of 50 % it would be worth 0.15


def test_an_option_of_which_nothing_was_known_at_the_boundary_has_no_price_in_the_close(store: Store) -> None:
    save(store, *rates(), POINTS, Vol("C1", ENDS, 0.1))
    assert "C1" not in made_up(store, ENDS + 12 * HOUR).prices

"""A decision and the trades that carry it out, on both databases: stored together, or not at all."""

from collections.abc import Iterator

import pytest

from riskengine.errors import StoreError
from riskengine.records.types import EXERCISE_SOURCE, Verdict
from riskengine.store.protocol import Store
from riskengine.store.results import TradeFilter
from tests.store_book import TS, Outside, new_store, trade

VERDICT = Verdict("expired:ESZ6", "accept", "", "olga", TS)
TRADES = [trade("ESZ6:FX1:ann:1", source=EXERCISE_SOURCE, leg=leg, store_seq=0) for leg in (0, 1)]


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    made = new_store(store_url)
    yield made
    made.close()


def test_they_are_stored_together_with_one_entry_of_who_decided_in_the_trail(store: Store) -> None:
    stored = store.save_booking(VERDICT, TRADES)
    assert [one.outcome for one in stored] == ["inserted", "inserted"]
    assert store.verdicts() == [VERDICT]
    rows, _ = store.select_trades(TradeFilter(), 10)
    assert sorted((row.source, row.leg) for row in rows) == [(EXERCISE_SOURCE, 0), (EXERCISE_SOURCE, 1)]


def test_the_same_again_stores_nothing_new(store: Store) -> None:
    store.save_booking(VERDICT, TRADES)
    assert [one.outcome for one in store.save_booking(VERDICT, TRADES)] == ["existing", "existing"]
    assert store.watermark() == 2


def test_where_the_trades_cannot_be_stored_nobody_has_decided(store: Store, store_url: str) -> None:
    outside = Outside(store_url)
    outside.execute("ALTER TABLE trades RENAME TO trades_gone")
    with pytest.raises(StoreError):
        store.save_booking(VERDICT, TRADES)
    outside.execute("ALTER TABLE trades_gone RENAME TO trades")
    outside.close()
    assert (store.verdicts(), store.watermark()) == ([], 0)

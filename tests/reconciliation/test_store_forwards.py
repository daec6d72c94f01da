"""The store's own account of forwards is the engine's: which trades are forwards, and what of them is spot by now."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.engine.engine import Engine
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.rebuild.load import compare_here
from riskengine.rebuild.rebuild import rebuild
from riskengine.reconciliation.stored_keys import stored_keys
from riskengine.records.types import Verdict
from riskengine.snapshot.digest import digest
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from tests.forwarding import DAYS, afresh, histories, noon_of
from tests.reconciliation.furnished import CONFIG, furnished
from tests.world import NOON, trade


def started(store: Store, day: str) -> Engine:
    """An engine of the store at noon of a day."""
    conflicts = read_conflicts(store, MAX_NOTICES)
    return rebuild(store, read_trades(store), CONFIG, epoch=1, now=noon_of(day), read_conflicts=conflicts)


def agrees(store: Store, day: str) -> Engine:
    engine = started(store, day)
    assert compare_here(store, CONFIG, engine.snapshot).breaks == []
    return engine


def test_a_forward_is_a_position_of_its_own_in_the_stores_account(tmp_path: Path) -> None:
    store = furnished(open_store(f"sqlite:///{tmp_path / 'a.db'}"))
    store.append_trades([trade("t1", value_date="2026-06-08"), trade("t2", value_date="2026-03-06"), trade("t3")])
    engine = agrees(store, "2026-03-04")
    assert sorted(engine.reference.symbols[engine.reference.loaded :]) == ["EURUSD@2026-06-08"]
    assert store.read(lambda transaction: [*transaction.rows("trades_after", (0, 10))])[0][7] == "EURUSD"
    store.close()


def test_what_is_spot_by_now_is_spot_in_the_stores_account(tmp_path: Path) -> None:
    store = furnished(open_store(f"sqlite:///{tmp_path / 'a.db'}"))
    store.append_trades([trade("t1", value_date="2026-03-09"), trade("t2", value_date="2026-03-09", side="sell", quantity="30")])
    for day in DAYS:
        agrees(store, day)
    store.close()


def test_a_forward_that_a_person_accepted_as_spot_stays_spot(tmp_path: Path) -> None:
    store = furnished(open_store(f"sqlite:///{tmp_path / 'a.db'}"))
    store.append_trades([trade("t1", value_date="2026-06-08")])
    store.save_verdict(Verdict("quarantined:test:t1:0:1", "accept", "", "me", NOON))
    engine = agrees(store, "2026-03-04")
    assert engine.reference.loaded == len(engine.reference.symbols)
    store.close()


def test_a_repair_finds_the_rows_of_a_forward_under_its_pair(tmp_path: Path) -> None:
    store = furnished(open_store(f"sqlite:///{tmp_path / 'a.db'}"))
    store.append_trades([trade("t1", value_date="2026-06-08"), trade("t2")])
    key = ("node", "FX1", "EURUSD@2026-06-08")
    found = stored_keys(store, CONFIG, [key], [], "2026-03-04", "2026-03-04")
    assert [each.trade_id for each in found.standing[key]] == ["t1"]
    store.close()


def test_a_repair_folds_a_merged_position_to_what_it_was(tmp_path: Path) -> None:
    store = furnished(open_store(f"sqlite:///{tmp_path / 'a.db'}"))
    store.append_trades([trade("t1", value_date="2026-03-09"), trade("t2")])
    engine = started(store, "2026-03-06")
    before = digest(engine.snapshot)
    keys = [("node", "FX1", "EURUSD"), ("node", "FX1", "EURUSD@2026-03-09")]
    found = stored_keys(store, CONFIG, keys, [], "2026-03-06", "2026-03-06")
    engine.set_aside_key(keys[0], "broken", noon_of("2026-03-06"))
    engine.publish(noon_of("2026-03-06"))
    engine.repair(keys, found.versions, noon_of("2026-03-06"))
    assert digest(engine.publish(noon_of("2026-03-06"))) == before
    store.close()


@settings(max_examples=40, deadline=None)
@given(history=histories(), until=st.integers(0, len(DAYS) - 1))
def test_the_account_is_the_engines_on_every_day(tmp_path_factory, history, until) -> None:
    store = furnished(open_store(f"sqlite:///{tmp_path_factory.mktemp('s') / 'a.db'}"))
    came = [each for day, each in history if day <= until]
    store.append_trades(came)
    engine = agrees(store, DAYS[until])
    assert digest(engine.snapshot) == digest(afresh(came, until).snapshot)
    store.close()

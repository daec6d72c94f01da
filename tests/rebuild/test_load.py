"""From the store to an engine that is equal to it: what is compared, what counts as a difference, what becomes of it."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from riskengine.clock import ManualClock
from riskengine.config import Config, StoreConfig
from riskengine.engine.engine import Engine
from riskengine.errors import ComparisonFailed, EngineNotLive, StoreUnavailable
from riskengine.rebuild.load import Loaded, in_both, load
from riskengine.rebuild.phases import Morning
from riskengine.reconciliation.comparison import Found
from riskengine.records.cash import CarryRow
from riskengine.records.types import Node
from riskengine.snapshot.compare import QUANTITY, Break, Holding
from riskengine.snapshot.digest import digest
from riskengine.snapshot.mismatch import Mismatch, disagreements
from riskengine.snapshot.snapshot import Snapshot
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from tests.store_book import Outside
from tests.world import NOON, SECOND, instruments, nodes, trade

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def quick(monkeypatch: Patch) -> None:
    monkeypatch.setattr("riskengine.rebuild.load.LOOK_AGAIN_S", 0.01)


def new_store(url: str) -> Store:
    """Six trades on two desks."""
    opened = open_store(url)
    opened.save_nodes(nodes())
    opened.save_instruments(instruments())
    opened.append_trades([trade(str(number), ts=NOON + number, desk=("FX1", "FX2")[number % 2]) for number in range(6)])
    return opened


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = new_store(store_url)
    yield opened
    opened.close()


def loaded(store: Store, url: str, morning: Morning | None = None) -> Loaded:
    morning = morning or begun()
    return asyncio.run(load(store, Config(store=StoreConfig(url)), morning, epoch=1, now=NOON + SECOND))


def begun() -> Morning:
    """A morning whose store is open."""
    morning = Morning(ManualClock(NOON))
    morning.enter("lease")
    morning.enter("schema")
    return morning


def forgetting(monkeypatch: Patch, trade_id: str) -> None:
    """From now on the engine loses a trade: a mistake of ours, which the store's own sums do not share."""
    apply = Engine.apply
    monkeypatch.setattr(
        Engine,
        "apply",
        lambda self, trades, *more, **how: apply(self, [each for each in trades if each.trade_id != trade_id], *more, **how),
    )


def during(monkeypatch: Patch, what: Callable[[], Any]) -> None:
    """Have something happen after the replay and before the comparison."""
    done: list[Any] = []

    def and_then(snapshot: Snapshot) -> list[Mismatch]:
        if not done:
            done.append(what())
        return disagreements(snapshot)

    monkeypatch.setattr("riskengine.rebuild.load.disagreements", and_then)


# -- both ways of comparing --------------------------------------------------------------------------------------


@pytest.fixture(params=[0, 50_000], ids=["in a child", "here"])
def small(request: pytest.FixtureRequest, monkeypatch: Patch) -> None:
    """Stores of more rows than this are compared in a child process."""
    monkeypatch.setattr("riskengine.rebuild.load.SMALL", request.param)


@pytest.mark.usefixtures("small")
def test_an_engine_that_is_equal_to_its_store_has_nothing_against_it(store: Store, store_url: str) -> None:
    morning = begun()
    assert loaded(store, store_url, morning).mismatches == ()
    assert morning.phase == "compare" and morning.facts["compared"] == 3 and morning.facts["trades_total"] == 6


@pytest.mark.usefixtures("small")
def test_an_engine_that_lost_a_trade_is_found_out(store: Store, store_url: str, monkeypatch: Patch) -> None:
    forgetting(monkeypatch, "3")
    [mismatch] = loaded(store, store_url).mismatches
    assert mismatch.kind == QUANTITY
    assert mismatch.text == "2 positions with different quantities in engine and store: dealer ann EURUSD, node FX2 EURUSD"


# -- what is no difference ---------------------------------------------------------------------------------------


def test_a_row_that_becomes_visible_late_is_applied_before_the_second_look(postgres_url: str, monkeypatch: Patch) -> None:
    store = new_store(postgres_url)
    outside = Outside(postgres_url)
    try:
        outside.execute("BEGIN")
        outside.book(trade_id="late", desk="FX1", ts=NOON, received_ts=NOON)  # has its number, and is seen by nobody
        store.append_trades([trade("after", ts=NOON)])
        during(monkeypatch, lambda: outside.execute("COMMIT"))
        after = loaded(store, postgres_url)
        assert after.mismatches == ()
        assert after.engine.snapshot.nodes.state(0).trade_count == 8
        assert store.trades_beyond(after.bookmark, 10)[0] == [], "the live engine goes on behind it"
    finally:
        outside.close()
        store.close()


def test_carry_that_another_program_writes_meanwhile_is_taken_before_the_second_look(
    store: Store, store_url: str, monkeypatch: Patch
) -> None:
    def write() -> None:
        outside = Outside(store_url)  # on the thread of the comparison
        columns = "carry_id, desk, instrument, ts, amount, type"
        outside.execute(f"INSERT INTO carry ({columns}) VALUES ('K1', 'FX1', 'EURUSD', ?, '-5', 'funding')", [NOON])
        outside.close()

    during(monkeypatch, write)
    after = loaded(store, store_url)
    assert after.mismatches == ()
    assert [row.carry_id for row in after.engine.cash.rows() if isinstance(row, CarryRow)] == ["K1"]


def test_reference_data_that_changes_meanwhile_is_read_again(store: Store, store_url: str, monkeypatch: Patch) -> None:
    outside = Outside(store_url)
    outside.book(trade_id="early", desk="NEW", ts=NOON, received_ts=NOON)
    outside.close()

    def add_a_desk() -> None:
        another = open_store(store_url)
        another.save_nodes([Node("NEW", "desk", "FX")])
        another.close()

    during(monkeypatch, add_a_desk)
    after = loaded(store, store_url)
    assert after.mismatches == ()
    assert after.engine.snapshot.counts.applied == 7 and after.revision == store.reference_revision()


def test_a_break_is_what_differs_twice_by_as_much() -> None:
    key = ("node", "FX1", "EURUSD")
    first = [Break(QUANTITY, key, Holding(1, 0, 1, 5), Holding(2, 0, 1, 5)), Break(QUANTITY, ("dealer", "", "X"), None, None)]
    same = Break(QUANTITY, key, Holding(3, 0, 1, 5), Holding(4, 0, 1, 5))
    other = Break(QUANTITY, key, Holding(3, 0, 1, 5), Holding(5, 0, 1, 5))
    assert in_both(first, [same]) == [same]
    assert in_both(first, [other]) == []


# -- what cannot be compared -------------------------------------------------------------------------------------


class Broken:
    """A comparison whose child is no good."""

    def __init__(self, at: str) -> None:
        self.at = at
        self.closed = False

    def __call__(self, config: Config) -> "Broken":
        return self

    def start(self, watermark: int, current_day: str = "", actions_day: str = "") -> None:
        if self.at == "start":
            raise ComparisonFailed("cannot start a process to compare in: Cannot allocate memory")

    def finish(self, snapshot: Any, rest_s: float) -> Found:
        raise StoreUnavailable("away") if self.at == "read" else ComparisonFailed("the process has ended")

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("at", "said"), [("start", "Cannot allocate memory"), ("finish", "has ended"), ("read", "away")])
def test_what_could_not_be_compared_is_not_taken_for_equal(
    store: Store, store_url: str, monkeypatch: Patch, at: str, said: str
) -> None:
    broken = Broken(at)
    monkeypatch.setattr("riskengine.rebuild.load.SMALL", 0)
    monkeypatch.setattr("riskengine.rebuild.load.Comparison", broken)
    [mismatch] = loaded(store, store_url).mismatches
    assert mismatch.kind == "not_compared" and mismatch.text.endswith(said)
    assert broken.closed


def test_a_start_that_is_abandoned_ends_the_child(store: Store, store_url: str, monkeypatch: Patch) -> None:
    broken = Broken("never")
    monkeypatch.setattr("riskengine.rebuild.load.SMALL", 0)
    monkeypatch.setattr("riskengine.rebuild.load.Comparison", broken)
    morning = begun()
    during(monkeypatch, morning.abandon)
    with pytest.raises(EngineNotLive):
        loaded(store, store_url, morning)
    assert broken.closed


def test_the_state_is_that_of_a_rebuild(store: Store, store_url: str) -> None:
    engine = loaded(store, store_url).engine
    engine.check()
    assert engine.snapshot.counts.applied == 6 and len(digest(engine.snapshot)) == 64
    assert engine.snapshot.reference.hierarchy.nodes[0] == Node("ALL")

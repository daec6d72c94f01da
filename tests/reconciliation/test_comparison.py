"""An engine held against its store by a child process: what it finds, that it tells no secret, that it never stays behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from riskengine.config import Config, StoreConfig
from riskengine.engine.engine import Engine
from riskengine.errors import ComparisonFailed, StoreUnavailable
from riskengine.reconciliation import comparison
from riskengine.reconciliation.comparison import Comparison, Found, compare_now, decode_body, frame
from riskengine.reconciliation.comparison_child import Comparing
from riskengine.reconciliation.store_sums import store_side
from riskengine.snapshot.compare import Break, compare, side_of
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from tests.reconciliation.furnished import CONFIG, engine_of, furnished
from tests.store_book import Outside
from tests.world import NOON, PARENTS, cancel, opening, reference, trade

TRADES = [
    trade("1"),
    trade("2", desk="FX2", dealer="bob", side="sell", price="1.123456789"),
    trade("3", desk="EQ1", instrument="ESZ6"),
    trade("4", quantity="9"),
    trade("4", quantity="8", version=2, action="amend", dealer=""),
    trade("5"),
    cancel("5"),
    trade("6", desk="EM1", dealer="cy", instrument="USDJPY"),
]


@pytest.fixture
def config(store_url: str) -> Config:
    return Config(store=StoreConfig(url=store_url))


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    made = furnished(open_store(store_url))
    made.save_openings([opening(quantity="-50.5", average_price="1.25", dealer="bob", desk="EM1", instrument="GBPUSD")])
    made.append_trades(TRADES)
    yield made
    made.close()


@pytest.fixture
def here_config(tmp_path: Path) -> Config:
    return Config(store=StoreConfig(url=f"sqlite:///{tmp_path / 'here.db'}"))


@pytest.fixture
def here(here_config: Config) -> Iterator[Store]:
    """A store in a file: what is not about the database is asked once."""
    made = furnished(open_store(here_config.store.url))
    made.append_trades(TRADES)
    yield made
    made.close()


def kinds(found: Found) -> dict[tuple[str, str, str], str]:
    return {each.key: each.kind for each in found.breaks}


def test_an_engine_and_the_store_it_was_made_from_agree(store: Store, config: Config) -> None:
    snapshot = engine_of(store).snapshot
    found = compare_now(config, snapshot)
    assert found == Found([], len(side_of(snapshot)), store.watermark(), store.reference_revision())


@pytest.mark.parametrize("rows", [1, 3, 256])
def test_what_is_sent_in_slices_is_everything(here: Store, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "SLICE_ROWS", rows)
    snapshot = engine_of(here).snapshot
    comparing = Comparing(store_side(here, CONFIG, snapshot.watermark))
    for message in comparison._messages(snapshot):
        comparing.take(decode_body(frame(message)[8:]))
    assert (comparing.breaks(), comparing.compared) == ([], len(side_of(snapshot)))


def test_every_position_that_differs_is_found_with_both_sides(store: Store, config: Config) -> None:
    engine = engine_of(store)
    before = side_of(engine.snapshot)
    engine.apply([trade("only here"), trade("new key", desk="EM1", instrument="USDCAD")], NOON)
    found = compare_now(config, engine.publish(NOON))
    assert found.breaks == compare(side_of(engine.snapshot), before)
    assert kinds(found) == {
        ("node", "FX1", "EURUSD"): "quantity",
        ("dealer", "ann", "EURUSD"): "quantity",
        ("node", "EM1", "USDCAD"): "missing_there",
        ("dealer", "ann", "USDCAD"): "missing_there",
    }


def test_what_was_changed_in_the_store_is_found_and_named(store: Store, store_url: str, config: Config) -> None:
    engine = engine_of(store)
    outside = Outside(store_url)
    for statement in (
        "UPDATE trades SET quantity = '101' WHERE trade_id = '1'",  # FX1, ann, EURUSD; and so is the second version of 4
        "UPDATE trades SET price = '1.2' WHERE trade_id = '2'",  # FX2, bob, EURUSD
        "UPDATE trades SET trade_id = '9' WHERE trade_id = '6'",  # EM1, cy, USDJPY
        "UPDATE trades SET desk = 'EM1' WHERE trade_id = '3'",  # EQ1, ann, ESZ6
        "DELETE FROM trades WHERE trade_id = '4' AND version = 2",
        "UPDATE openings SET quantity = '-50' WHERE desk = 'EM1'",  # bob, GBPUSD
        "UPDATE nodes SET parent = 'CASH' WHERE node = 'EM1'",
    ):
        outside.execute(statement)
    outside.close()
    assert kinds(compare_now(config, engine.snapshot)) == {
        ("dealer", "", "EURUSD"): "missing_there",
        ("dealer", "ann", "EURUSD"): "quantity",
        ("node", "FX1", "EURUSD"): "quantity",
        ("dealer", "bob", "EURUSD"): "cash",
        ("node", "FX2", "EURUSD"): "cash",
        ("dealer", "cy", "USDJPY"): "identity",
        ("node", "EM1", "USDJPY"): "identity",
        ("node", "EQ1", "ESZ6"): "missing_there",
        ("node", "EM1", "ESZ6"): "missing_here",
        ("dealer", "ann", "ESZ6"): "order",  # the desk is one of the columns that count
        ("dealer", "bob", "GBPUSD"): "quantity",
        ("node", "EM1", "GBPUSD"): "quantity",
        ("node", "EM1", ""): "hierarchy",
    }


def test_a_row_that_is_not_the_sum_of_those_below_is_a_break_of_the_hierarchy(store: Store, config: Config) -> None:
    engine = engine_of(store)
    book = engine.ledger.organisation.books[engine.reference.hierarchy.index["CASH"]]
    [at] = [at for at, row in enumerate(book.rows) if row is not None]
    book.rows[at] = None
    engine.apply([trade("other", desk="EQ1", instrument="ACME")], NOON)
    store.append_trades([trade("other", desk="EQ1", instrument="ACME")])
    found = {each.key: each for each in compare_now(config, engine.publish(NOON)).breaks if each.kind == "hierarchy"}
    assert found.keys() == {("node", "CASH", "ESZ6"), ("node", "ALL", "ESZ6")}
    broken = found["node", "CASH", "ESZ6"]
    assert (broken.here, broken.there) == (None, side_of(engine.snapshot)["node", "EQ1", "ESZ6"])


def test_a_snapshot_newer_than_what_the_child_has_read_is_compared_all_the_same(store: Store, config: Config) -> None:
    with Comparison(config) as started:
        started.start(store.watermark())
        store.append_trades([trade("later"), trade("1", version=2, action="amend", quantity="7")])
        found = started.finish(engine_of(store).snapshot)
    assert (found.breaks, found.watermark) == ([], store.watermark())


def test_an_engine_of_another_tree_is_told_node_by_node(here: Store, here_config: Config) -> None:
    engine = Engine(reference(PARENTS | {"EM1": "G10"}), CONFIG, now=NOON)
    hierarchy = [each for each in compare_now(here_config, engine.snapshot).breaks if each.kind == "hierarchy"]
    assert hierarchy == [Break("hierarchy", ("node", "EM1", ""), None, None)]


# -- the child ---------------------------------------------------------------------------------------------------


def test_the_store_s_url_is_not_told_aloud(here: Store, here_config: Config) -> None:
    snapshot = engine_of(here).snapshot
    with Comparison(here_config) as started:
        started.start(snapshot.watermark)
        assert started._child is not None
        folder = Path(f"/proc/{started._child.pid}")
        told = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        assert here_config.store.url.encode() not in told
        assert started.finish(snapshot).breaks == []


def test_the_child_stands_back_behind_the_engine(here: Store, here_config: Config) -> None:
    snapshot = engine_of(here).snapshot
    with Comparison(here_config) as started:
        started.start(snapshot.watermark)
        assert started._child is not None
        deadline = time.monotonic() + 20
        while os.getpriority(os.PRIO_PROCESS, started._child.pid) <= os.getpriority(os.PRIO_PROCESS, 0):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        started.finish(snapshot)


def test_a_store_that_cannot_be_read_is_said_in_the_store_s_words(here: Store, here_config: Config, tmp_path: Path) -> None:
    gone = Config(store=StoreConfig(url=f"sqlite:///{tmp_path / 'gone' / 'engine.db'}"))
    with pytest.raises(StoreUnavailable, match="does not exist"):
        compare_now(gone, engine_of(here).snapshot)


def test_a_child_that_is_killed_is_said_so(here: Store, here_config: Config) -> None:
    snapshot = engine_of(here).snapshot
    with Comparison(here_config) as started:
        started.start(snapshot.watermark)
        assert started._child is not None
        started._child.send_signal(signal.SIGKILL)
        started._child.wait(20)
        with pytest.raises(ComparisonFailed, match="ended before it was done"):
            started.finish(snapshot)


def test_closing_ends_whoever_waits(here: Store, here_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "REST_S", 0.5)  # it will be at it for a while
    snapshot = engine_of(here).snapshot
    started = Comparison(here_config)
    started.start(snapshot.watermark)
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            started.finish(snapshot)
        except ComparisonFailed as error:
            ended.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    child = started._child
    assert child is not None
    started.close()
    waiting.join(20)
    assert len(ended) == 1
    assert child.poll() is not None


def test_the_child_ends_with_its_parent(here: Store, here_config: Config, tmp_path: Path) -> None:
    program = f"""
import sys, time
from riskengine.reconciliation.comparison import Comparison
from riskengine.config import Config, StoreConfig
started = Comparison(Config(store=StoreConfig(url={here_config.store.url!r})))
started.start({here.watermark()})
print(started._child.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait(20)
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while _runs(child):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

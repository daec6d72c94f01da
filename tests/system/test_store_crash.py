"""Processes that die, and two that want the same store."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from riskengine.errors import LeaseHeld, StoreUnavailable
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from tests.store_book import new_store, trade

ROOT = Path(__file__).parents[2]

APPENDER = """
import itertools, sys
from riskengine.store.open_store import open_store
from tests.store_book import trade
store = open_store(sys.argv[1])
store.acquire_writer("appender")
run = store.next_epoch()
for batch in itertools.count():
    store.append_trades([trade(f"R{run}-{batch}-{place}") for place in range(batch % 7 + 1)])
    print(run, batch, flush=True)
"""

HOLDER = """
import os, sys, time
from riskengine.store.open_store import open_store
store = open_store(sys.argv[1])
store.acquire_writer("riskengine serve")
heard, told = os.pipe()
child = os.fork()
if child:
    os.read(heard, 1)
    print(os.getpid(), child, flush=True)
else:
    os.write(told, b".")  # it runs on its own from here
time.sleep(60)
"""


def start(program: str, url: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "ignore", "-c", program, url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_whatever_was_acknowledged_before_a_kill_is_there_and_nothing_twice(store_url: str) -> None:
    new_store(store_url).close()
    acknowledged = []
    for run in range(5):
        child = start(APPENDER, store_url)
        assert child.stdout is not None
        acknowledged.append(child.stdout.readline())
        time.sleep(0.03 * run)
        child.send_signal(signal.SIGKILL)
        acknowledged += child.stdout.read().splitlines()
        child.wait()
        child.stdout.close()
    store = open_store(store_url)
    found = [row.trade_id for row in store.trades_after(0)]
    store.close()
    batches = [line.split() for line in acknowledged if len(line.split()) == 2]
    due = {f"R{run}-{batch}-{place}" for run, batch in batches for place in range(int(batch) % 7 + 1)}
    assert len({run for run, _ in batches}) == 5 and due <= set(found)
    assert len(found) == len(set(found))
    whole: dict[str, int] = {}
    for name in found:
        whole[name.rpartition("-")[0]] = whole.get(name.rpartition("-")[0], 0) + 1
    assert all(count == int(batch.split("-")[1]) % 7 + 1 for batch, count in whole.items()), "no batch is there in part"


def test_a_second_writer_is_refused_with_the_holders_name_and_a_loader_is_not(store: Store, store_url: str) -> None:
    other = open_store(store_url)
    store.acquire_writer("riskengine serve 127.0.0.1:8321")
    with pytest.raises(LeaseHeld, match=rf"riskengine serve 127.0.0.1:8321 \(pid {os.getpid()} on .+, since 20\d\d-"):
        other.acquire_writer("another")
    assert other.append_trades([trade("L1")])[0].outcome == "inserted"
    assert store.append_trades([trade("E1")])[0].outcome == "inserted"
    store.close()
    other.acquire_writer("another")
    other.close()


def test_a_dead_holder_delays_nobody_even_if_its_child_lives(store: Store, store_url: str) -> None:
    holder = start(HOLDER, store_url)
    assert holder.stdout is not None
    pid, child = map(int, holder.stdout.readline().split())
    with pytest.raises(LeaseHeld, match=f"pid {pid} "):
        store.acquire_writer("next")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    os.kill(child, 0)  # still alive
    store.acquire_writer("next")
    os.kill(child, signal.SIGKILL)
    holder.stdout.close()
    store.close()


def test_an_epoch_rises_with_every_writer_and_is_durable(store: Store, store_url: str) -> None:
    epochs = []
    for _ in range(3):
        store.acquire_writer("engine")
        epochs.append(store.next_epoch())
        store.close()
        store = open_store(store_url)
    store.close()
    assert epochs == [1, 2, 3]


def test_a_writer_that_was_overtaken_cannot_write_even_if_its_lock_file_was_deleted(tmp_path: Path) -> None:
    store = new_store(tmp_path / "engine.db")
    store.acquire_writer("paused")
    store.next_epoch()
    (tmp_path / "engine.db.lock").unlink()
    other = open_store(f"sqlite:///{tmp_path / 'engine.db'}")
    other.acquire_writer("successor")
    other.next_epoch()
    with pytest.raises(LeaseHeld, match="has a newer writer: epoch 2, ours is 1"):
        store.append_trades([trade()])
    assert other.append_trades([trade()])[0].outcome == "inserted"
    store.close()
    other.close()


def test_an_epoch_without_the_lease_is_a_mistake_of_ours(store: Store) -> None:
    with pytest.raises(AssertionError):
        store.next_epoch()
    store.close()
    with pytest.raises(StoreUnavailable):
        store.acquire_writer("late")

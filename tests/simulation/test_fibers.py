"""Virtual time: fibers wait and are woken, and nothing real passes."""

import asyncio
from queue import Empty

import pytest

from tests.simulation import fibers
from tests.simulation.fibers import MICROS, Event, Host, Lock, Scheduler, SimpleQueue, Thread
from tests.simulation.loop import VirtualLoop, to_thread


class Room(Host):
    def __init__(self) -> None:
        self.fibers: list[fibers.Fiber] = []


@pytest.fixture
def scheduler():
    made = Scheduler("test")
    fibers.push(made)
    yield made
    fibers.pop()


def test_a_queue_gives_what_is_put_and_is_empty_after_its_time(scheduler: Scheduler):
    queue, taken = SimpleQueue(), []

    def take() -> None:
        taken.append(queue.get(timeout=5.0))
        with pytest.raises(Empty):
            queue.get(timeout=2.0)
        taken.append(scheduler.now)

    scheduler.spawn(Room(), take, "taker")
    scheduler.after(3 * MICROS, lambda: queue.put("news"))
    scheduler.run(60 * MICROS)
    assert taken == ["news", 5 * MICROS]


def test_a_lock_is_held_by_one_fiber_at_a_time(scheduler: Scheduler):
    lock, seen = Lock(), []

    def hold(name: str) -> None:
        with lock:
            seen.append(name)
            scheduler.sleep(MICROS)
            seen.append(name)

    for name in "ab":
        scheduler.spawn(Room(), lambda name=name: hold(name), name)  # type: ignore[misc]
    scheduler.run(10 * MICROS)
    assert seen in (["a", "a", "b", "b"], ["b", "b", "a", "a"])


def test_a_thread_is_joined_and_an_event_wakes(scheduler: Scheduler):
    told, ended = Event(), []

    def main() -> None:
        thread = Thread(target=lambda: told.wait(), name="waiter")
        thread.start()
        assert thread.is_alive()
        thread.join()
        ended.append(scheduler.now)

    scheduler.spawn(Room(), main, "main")
    scheduler.after(7 * MICROS, told.set)
    scheduler.run(60 * MICROS)
    assert ended == [7 * MICROS]


def test_the_fibers_of_a_dead_host_go_on_no_more(scheduler: Scheduler):
    room, seen = Room(), []

    def work() -> None:
        while True:
            seen.append(scheduler.now)
            scheduler.sleep(MICROS)

    scheduler.spawn(room, work, "worker")
    scheduler.run(2 * MICROS)
    room.dead = True
    before = len(seen)
    scheduler.run(10 * MICROS)
    assert len(seen) == before


def test_an_error_in_a_fiber_ends_the_run(scheduler: Scheduler):
    def fail() -> None:
        raise ValueError("of ours")

    scheduler.spawn(Room(), fail, "failing")
    with pytest.raises(ValueError, match="of ours"):
        scheduler.run(MICROS)


def test_a_loop_sleeps_in_virtual_time_and_works_on_fibers(scheduler: Scheduler):
    found = []

    async def life(loop: VirtualLoop) -> None:
        await asyncio.sleep(3.0)
        found.append(await to_thread(lambda: scheduler.now))
        loop.is_done = True

    def run() -> None:
        loop = VirtualLoop(scheduler, room)
        loop.create_task(life(loop))
        loop.run()
        loop.close()

    room = Room()
    scheduler.spawn(room, run, "loop")
    scheduler.run(60 * MICROS)
    assert 3 * MICROS <= found[0] <= 3 * MICROS + 100

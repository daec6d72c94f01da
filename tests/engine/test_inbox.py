"""The inbox: room is reserved once and released once, prices wait as one batch, and no message is lost."""

import threading

import pytest

from riskengine.engine.inbox import DurableTrades, Inbox, Prices, Stop, WriterCall
from riskengine.errors import InboxFull
from riskengine.market.marks import Mark
from tests.world import REFERENCE, trade

MARK = Mark(1.1, 1, "feed", "quote")


def message(name: str) -> DurableTrades:
    return DurableTrades([trade(name)], 0, lambda receipt: None)


def test_everything_is_taken_at_once_and_in_order():
    inbox = Inbox(10)
    first, second = message("a"), message("b")
    inbox.put_trades(first)
    inbox.put_prices({1: MARK}, REFERENCE)
    inbox.put_call(print)
    inbox.put_trades(second)
    inbox.put_stop()
    assert inbox.take(0.0) == [first, Prices({1: MARK}, REFERENCE), WriterCall(print), second, Stop()]
    assert inbox.take(0.0) == []


def test_take_wakes_up_for_what_comes_while_it_waits():
    inbox = Inbox(10)
    late = message("late")
    timer = threading.Timer(0.05, inbox.put_trades, [late])
    timer.start()
    assert inbox.take(10.0) == [late]
    timer.join()


def test_no_room_is_an_error_that_reserves_nothing():
    inbox = Inbox(10)
    inbox.reserve(8)
    with pytest.raises(InboxFull, match=r"8 trades are waiting, no room for 3 more; the limit is 10"):
        inbox.reserve(3)
    assert inbox.reserved == 8
    inbox.reserve(2)
    inbox.release(10)
    assert inbox.reserved == 0


def test_stored_trades_are_counted_and_never_refused():
    inbox = Inbox(10)
    inbox.reserve_stored(25)
    assert inbox.reserved == 25
    with pytest.raises(InboxFull):
        inbox.reserve(1)


def test_room_cannot_be_released_twice():
    inbox = Inbox(10)
    inbox.reserve(1)
    inbox.release(1)
    with pytest.raises(AssertionError, match="released more"):
        inbox.release(1)


def test_prices_wait_one_batch_at_a_time():
    inbox = Inbox(10)
    answers = [inbox.takes_prices]
    inbox.put_prices({1: MARK}, REFERENCE)
    answers.append(inbox.takes_prices)
    with pytest.raises(AssertionError, match="one batch at a time"):
        inbox.put_prices({2: MARK}, REFERENCE)
    for _ in range(2):
        inbox.put_call(print)
        inbox.take(0.0)
        answers.append(inbox.takes_prices)
    assert answers == [True, False, True, True]


def test_room_holds_with_many_threads():
    inbox = Inbox(50)
    refused = []

    def work() -> None:
        for _ in range(300):
            try:
                inbox.reserve(20)
            except InboxFull:
                refused.append(1)
                continue
            assert inbox.reserved <= 50
            inbox.release(20)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inbox.reserved == 0

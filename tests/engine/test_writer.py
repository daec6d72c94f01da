"""The writer thread: order, publication before the answer, idle publications, and no silent failure."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from riskengine.clock import ManualClock
from riskengine.engine.engine import Engine
from riskengine.engine.inbox import DurableTrades, Inbox, Receipt
from riskengine.engine.writer import KEPT_APART, MAX_BATCH_TRADES, Writer
from riskengine.market.marks import Mark
from riskengine.observe import Metrics
from riskengine.rebuild.handover import hand_over
from riskengine.records.types import ONE
from riskengine.snapshot.snapshot import ExceptionItem, Snapshot, SnapshotHistory
from tests.waiting import wait_until
from tests.world import INSTRUMENTS, NOON, REFERENCE, SECOND, House, quote, reference, trade

EURUSD = REFERENCE.instrument_index["EURUSD"]
WAIT_S = 10


class Desk:
    """A writer, and a record of everything that it publishes, saves and fails with."""

    def __init__(self, self_audit_s: float = 0.0) -> None:
        house = House()
        self.engine = house.engine
        self.quotes = house.quotes
        self.clock = ManualClock(NOON)
        self.inbox = Inbox(1_000_000)
        self.history = SnapshotHistory(self.engine.snapshot, 60 * SECOND)
        self.snapshots: list[Snapshot] = []
        self.noticed: list[ExceptionItem] = []
        self.saved: list[list[tuple[int, Mark]]] = []
        self.failures: list[BaseException] = []
        self.failed = threading.Event()
        self.metrics = Metrics()
        self.heard = threading.Event()
        self.stored = threading.Event()
        self.writer = Writer(
            self.engine,
            self.inbox,
            self.history,
            self.clock,
            self.metrics,
            beat_us=10_000,
            store_marks_us=SECOND,
            published=self.published,
            save_marks=self.save,
            save_notices=lambda items, up_to: self.noticed.extend(items),
            failed=self.fail,
            self_audit_s=self_audit_s,
        )

    def published(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)
        self.heard.set()

    def save(self, marks: Sequence[tuple[int, Mark]]) -> None:
        self.saved.append(list(marks))
        self.stored.set()

    def fail(self, error: BaseException) -> None:
        self.failures.append(error)
        self.failed.set()

    def put(self, *trades: Any, watermark: int = 0, **more: Any) -> "Answer":
        answer = Answer(self)
        self.inbox.reserve(len(trades))
        self.inbox.put_trades(DurableTrades(trades, watermark, answer, **more))
        return answer

    def prices(self, **prices: float) -> None:
        self.quotes.offer([quote(symbol, price, price, self.clock.now()) for symbol, price in prices.items()], self.clock.now())
        self.inbox.put_prices(self.quotes.take(), self.quotes.reference)

    def run(self) -> None:
        """Let the writer finish what waits, and end it."""
        self.writer.start()
        self.writer.stop()
        assert not self.writer.alive


class Answer:
    """Takes one receipt, and the newest published seq when it came."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.receipts: list[Receipt] = []
        self.newest_then = 0
        self.thread = ""
        self.came = threading.Event()

    def __call__(self, receipt: Receipt) -> None:
        self.receipts.append(receipt)
        self.newest_then = self.desk.history.newest.seq
        self.thread = threading.current_thread().name
        self.came.set()

    def wait(self) -> Receipt:
        assert self.came.wait(WAIT_S)
        [receipt] = self.receipts
        return receipt


@pytest.fixture
def desk() -> Iterator[Desk]:
    new_desk = Desk()
    yield new_desk
    if new_desk.writer.alive:
        new_desk.writer.stop()


def test_an_answer_comes_after_the_snapshot_that_holds_its_trades(desk: Desk) -> None:
    desk.writer.start()
    answer = desk.put(trade(), watermark=7)
    receipt = answer.wait()
    assert [outcome.status for outcome in receipt.outcomes] == ["applied"]
    assert receipt.error is None
    assert answer.newest_then >= receipt.seq == desk.snapshots[0].seq
    assert desk.history.at(receipt.seq).watermark == 7
    assert desk.history.at(receipt.seq).nodes.state(0).trade_count == 1
    assert answer.thread == "riskengine-writer"
    assert desk.inbox.reserved == 0


def test_trades_come_before_prices_of_the_same_batch_and_one_sent_together_is_one_snapshot(desk: Desk) -> None:
    desk.prices(EURUSD=1.2)
    answer = desk.put(trade("a"), trade("b"))
    desk.run()
    first, second = desk.snapshots
    assert first.nodes.state(0).trade_count == 2 and not first.units.priced[EURUSD]
    assert second.units.price[EURUSD] == 1.2
    assert answer.wait().seq == first.seq


def test_messages_that_wait_share_a_snapshot_up_to_the_limit_and_every_one_is_answered_in_order(desk: Desk) -> None:
    order: list[tuple[int, Receipt]] = []

    def answer_of(number: int) -> Callable[[Receipt], None]:
        return lambda receipt: order.append((number, receipt))

    sizes = [MAX_BATCH_TRADES - 1, 1, 1, 2 * MAX_BATCH_TRADES, 3]
    for number, size in enumerate(sizes):
        desk.inbox.reserve(size)
        trades = [trade(f"{number}/{place}") for place in range(size)]
        desk.inbox.put_trades(DurableTrades(trades, number + 1, answer_of(number)))
    desk.run()
    assert [number for number, _ in order] == [0, 1, 2, 3, 4]
    seqs = [receipt.seq for _, receipt in order]
    assert seqs[0] == seqs[1] < seqs[2] < seqs[3] < seqs[4]
    assert [desk.history.at(seq).watermark for seq in seqs] == [2, 2, 3, 4, 5]
    assert [len(receipt.outcomes) for _, receipt in order] == sizes
    assert desk.inbox.reserved == 0
    assert desk.metrics.trades["applied"]._value.get() == sum(sizes)


def test_a_call_runs_in_its_place_and_what_it_changed_is_published(desk: Desk) -> None:
    seen: list[int] = []
    desk.put(trade("a"))
    desk.inbox.put_call(lambda engine: seen.append(len(engine.processed)))
    desk.inbox.put_call(lambda engine: engine.quarantine_row(9, NOON, "desk: unknown desk"))
    desk.run()
    assert seen == [1]
    assert desk.history.newest.counts.quarantined == 1


def test_it_publishes_when_nothing_happens_also_after_the_clock_was_set_back(desk: Desk) -> None:
    desk.writer.start()
    for step in (SECOND, -3_600 * SECOND, SECOND):
        published = threading.Event()
        desk.heard = published
        desk.clock.advance(step)
        assert published.wait(WAIT_S)
        assert desk.history.newest.as_of == desk.clock.now()
    assert desk.history.newest.trade_seq < desk.history.newest.seq


def test_without_trades_and_prices_it_publishes_no_more_than_once_a_second(desk: Desk) -> None:
    desk.writer.start()
    threading.Event().wait(0.1)
    assert desk.snapshots == []


def test_changed_marks_are_saved_once_a_second_and_at_the_end(desk: Desk) -> None:
    desk.writer.start()
    desk.prices(EURUSD=1.2)
    desk.put(trade()).wait()
    assert desk.saved == []
    desk.clock.advance(SECOND)
    assert desk.stored.wait(WAIT_S)
    assert [(number, mark.price) for number, mark in desk.saved[0]] == [(EURUSD, 1.2)]
    desk.prices(GBPUSD=1.3)
    desk.writer.stop()
    assert [mark.price for _, mark in desk.saved[1]] == [1.3]
    assert len(desk.saved) == 2


def test_stop_finishes_what_waits(desk: Desk) -> None:
    answers = [desk.put(trade(str(number))) for number in range(50)]
    desk.run()
    assert all(answer.wait().error is None for answer in answers)


def test_a_failure_of_the_engine_ends_in_failed_and_not_in_silence(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = RuntimeError("a mistake of ours")

    def apply(*_: Any, **__: Any) -> None:
        raise broken

    monkeypatch.setattr(desk.engine, "apply", apply)
    desk.put(trade())
    desk.writer.start()
    assert desk.failed.wait(WAIT_S)
    desk.writer.stop()
    assert desk.failures == [broken]
    assert not desk.writer.alive
    assert desk.history.newest.seq == 1, "nothing half done is published"


def test_only_the_writer_thread_writes(desk: Desk) -> None:
    desk.run()
    with pytest.raises(AssertionError, match="only the writer thread"):
        desk.writer._batch([])


def test_a_trade_kept_apart_from_a_row_that_is_no_trade_is_not_applied(desk: Desk) -> None:
    """The store has a row of that identity which the engine could not read: a start would not find ours either."""
    answer = desk.put(trade("a"), trade("b"), trade("c"), watermark=3, kept_apart=frozenset({1}))
    desk.run()
    assert [outcome.status for outcome in answer.wait().outcomes] == ["applied", "conflict", "applied"]
    assert answer.wait().outcomes[1] is KEPT_APART
    assert desk.history.newest.nodes.state(0).trade_count == 2


def test_a_conflict_with_a_known_trade_is_the_engine_s_to_judge(desk: Desk) -> None:
    desk.put(trade("a", quantity="5"))
    answer = desk.put(trade("a", quantity="6"), kept_apart=frozenset({0}))
    desk.run()
    assert answer.wait().outcomes[0].status == "conflict"
    assert [item.kind for item in desk.history.newest.exceptions["conflict"]] == ["conflict"]


def test_a_conflict_with_a_trade_of_the_same_message_is_the_engine_s_to_judge(desk: Desk) -> None:
    answer = desk.put(trade("a", quantity="5"), trade("a", quantity="6"), watermark=1, kept_apart=frozenset({1}))
    desk.run()
    assert [outcome.status for outcome in answer.wait().outcomes] == ["applied", "conflict"]
    assert desk.history.newest.counts.conflicts == 1
    assert [item.trade.quantity for item in desk.history.newest.exceptions["conflict"] if item.trade] == [6 * ONE]


# The self-audit


@pytest.fixture
def audited() -> Iterator[Desk]:
    """A writer that audits itself as fast as it may."""
    new_desk = Desk(self_audit_s=0.01)
    yield new_desk
    if new_desk.writer.alive:
        new_desk.writer.stop()


def passes(desk: Desk) -> float:
    return desk.metrics.registry.get_sample_value("riskengine_self_audit_passes_total") or 0.0


def test_it_runs_pass_after_pass_and_publishes_nothing_for_it(audited: Desk) -> None:
    audited.writer.start()
    wait_until(lambda: passes(audited) >= 3)
    assert audited.snapshots == []
    assert audited.failures == []


def test_it_runs_passes_while_trades_never_stop_coming(audited: Desk) -> None:
    again = [trade(f"{number}") for number in range(200)]
    audited.put(*again)
    audited.writer.start()
    deadline = time.monotonic() + 6 * WAIT_S  # a busy machine takes longer; that it ends is what counts
    while passes(audited) < 3:
        assert time.monotonic() < deadline
        while audited.inbox.reserved < 20_000:
            audited.put(*again)


def test_a_key_that_breaks_is_set_aside_and_check_store_goes_on(audited: Desk) -> None:
    audited.writer.start()
    audited.put(trade("a"), trade("b", desk="EQ1", instrument="ACME")).wait()
    position = audited.engine.ledger.organisation.books[REFERENCE.hierarchy.index["FX1"]].positions[EURUSD]
    audited.inbox.put_call(lambda engine: setattr(position, "cash", 5))
    wait_until(lambda: audited.history.newest.keys_set_aside())
    assert audited.history.newest.keys_set_aside() == [("node", "FX1", "EURUSD")]
    receipt = audited.put(trade("c"), trade("d", desk="EQ1", instrument="ACME")).wait()
    assert [outcome.status for outcome in receipt.outcomes] == ["applied", "applied"]
    newest = audited.history.newest
    assert [newest.nodes.state(REFERENCE.hierarchy.index[desk]).quarantined_count for desk in ("FX1", "EQ1")] == [1, 0]
    assert newest.nodes.state(0).trade_count == 4
    assert audited.failures == []


# -- another engine ----------------------------------------------------------------------------------------------

WIDER = reference(rows=({"instrument": "AARDVARK", "kind": "equity", "quote_currency": "USD"}, *INSTRUMENTS))


def successor(desk: Desk) -> Engine:
    """An engine with other instrument numbers, as if built beside the first; it takes over at the next call."""
    engine = Engine(WIDER, now=NOON)

    def change(before: Engine) -> None:
        hand_over(engine, before, lambda trade: trade, NOON)
        desk.writer.take_over(engine)

    desk.inbox.put_call(change)
    return engine


def test_another_engine_takes_over_between_what_was_put_before_and_after_and_snapshots_go_on(desk: Desk) -> None:
    before = desk.put(trade("a"))
    engine = successor(desk)
    after = desk.put(trade("b"))
    desk.run()
    assert before.wait().seq < desk.history.at(after.wait().seq).seq
    assert [snapshot.seq for snapshot in desk.snapshots] == list(range(2, len(desk.snapshots) + 2))
    assert desk.history.at(before.wait().seq).reference is REFERENCE
    assert desk.history.newest.reference is WIDER
    assert [len(one.processed.versions(("test", name, 0))) for one in (desk.engine, engine) for name in "ab"] == [1, 0, 0, 1]


def test_marks_that_were_numbered_before_go_by_their_symbols_and_are_stored_by_them(desk: Desk) -> None:
    desk.prices(EURUSD=1.5, GBPUSD=1.3)
    engine = successor(desk)
    desk.run()
    prices = {WIDER.symbols[number]: mark.price for number, mark in enumerate(engine.marks.marks) if mark is not None}
    assert prices == {"EURUSD": 1.5, "GBPUSD": 1.3}
    assert {WIDER.symbols[number]: mark.price for marks in desk.saved for number, mark in marks} == prices


def test_a_mark_of_an_instrument_that_is_gone_is_dropped(desk: Desk) -> None:
    mark = Mark(1.0, NOON, "feed", "quote")
    desk.inbox.put_prices({WIDER.instrument_index[name]: mark for name in ("AARDVARK", "ACME")}, WIDER)
    desk.run()
    marked = [symbol for symbol, mark in zip(REFERENCE.symbols, desk.engine.marks.marks, strict=True) if mark is not None]
    assert marked == ["ACME"]


def test_the_gauge_of_what_is_quarantined_follows(desk: Desk) -> None:
    def gauge() -> float | None:
        return desk.metrics.registry.get_sample_value("riskengine_quarantined")

    assert gauge() == 0.0
    desk.put(trade("a", ts=NOON + 3_600 * SECOND), trade("b"))
    desk.run()
    assert gauge() == 1.0

"""Trades on their way to the store thread: submissions, the queue that makes batches of them, and their second check.

One batch is one transaction (group commit). It holds whatever waits, up to a limit, and never part of a submission.
"""

import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

from riskengine.engine.engine import Outcome
from riskengine.engine.inbox import Receipt
from riskengine.observe import Metrics
from riskengine.positions.processed import DUPLICATE
from riskengine.records.decode import TradeCheck
from riskengine.records.types import Trade
from riskengine.store.results import Stored
from riskengine.store.trade_rows import RefusedRow, check_new_again

CROWDED_S, LINGER_S = 0.002, 0.001
"""For CROWDED_S after a batch of several senders a batch waits LINGER_S for more: fewer, larger transactions. A sender alone
never waits."""

OTHER_ATTRIBUTES = "came before with other {names}: what was stored first stays; an amend changes it"
"""Why a duplicate changes nothing although it says something else outside its economics."""

ReceiptAnswer = Callable[[Receipt], None]


class Submission(NamedTuple):
    """Trades that passed `check` and have room reserved. `at` is when they arrived, by `perf_counter`."""

    trades: Sequence[Trade]
    answer: ReceiptAnswer
    check: TradeCheck | None = None
    at: float | None = None


class SubmissionQueue:
    """Submissions that wait to be stored. Any thread may call `put` and `wake`; the rest belongs to the store thread."""

    def __init__(self, batch_trades: int) -> None:
        self._batch_trades = batch_trades
        self._queue: SimpleQueue[Submission | None] = SimpleQueue()
        self._left_over: Submission | None = None
        self._crowded_until = 0.0

    def put(self, submission: Submission) -> None:
        """Add a submission, and end a wait in `take`."""
        self._queue.put(submission)

    def wake(self) -> None:
        """End a wait in `take`: there is something else to do."""
        self._queue.put(None)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return self._queue.empty() and self._left_over is None

    def take(self, timeout_s: float) -> list[Submission]:
        """Whatever waits, up to the size of a batch. Waits at most `timeout_s` for the first; empty after `wake`."""
        batch: list[Submission] = []
        count = 0
        if self._left_over is not None:
            batch.append(self._left_over)
            count, self._left_over = len(self._left_over.trades), None
        try:
            while count < self._batch_trades:
                item = self._queue.get(timeout=timeout_s) if not batch else self._queue.get_nowait()
                if not batch and time.monotonic() < self._crowded_until:
                    time.sleep(LINGER_S)
                if item is None:
                    if not batch:
                        return batch
                    continue
                if batch and count + len(item.trades) > self._batch_trades:
                    self._left_over = item
                    break
                batch.append(item)
                count += len(item.trades)
        except Empty:
            pass
        return batch

    def note_senders(self, senders: int) -> None:
        """Note how many submissions the last batch had, once it was stored."""
        self._crowded_until = time.monotonic() + CROWDED_S if senders > 1 else 0.0


def telling_attributes(answer: ReceiptAnswer, stored: Sequence[Stored]) -> ReceiptAnswer:
    """The same answer, which also says of a duplicate which attributes differ from the stored ones. O(trades)."""
    differing = {place: one.other_attributes for place, one in enumerate(stored) if one.other_attributes}
    if not differing:
        return answer

    def tell(receipt: Receipt) -> None:
        outcomes = list(receipt.outcomes)
        for place, names in differing.items() if receipt.error is None else ():
            if outcomes[place].status == DUPLICATE:
                outcomes[place] = outcomes[place]._replace(reason=OTHER_ATTRIBUTES.format(names=", ".join(names)))
        answer(receipt._replace(outcomes=outcomes))

    return tell


def recheck(submission: Submission, check: TradeCheck, metrics: Metrics) -> Submission:
    """A submission by the check in force: trades that do not fit it are rejected and left out. The caller releases their room."""
    if submission.check is None or submission.check is check:
        return submission
    trades: list[Trade] = []
    rejected: dict[int, Outcome] = {}
    for place, sent in enumerate(submission.trades):
        trade = check_new_again(sent, check)
        if isinstance(trade, RefusedRow):
            rejected[place] = Outcome("rejected", False, f"{trade.field}: {trade.reason}")
        else:
            trades.append(trade)

    def answer(receipt: Receipt) -> None:
        if receipt.error is None and rejected:
            rest = iter(receipt.outcomes)
            outcomes = [rejected.get(place) or next(rest) for place in range(len(submission.trades))]
            metrics.trades["rejected"].inc(len(rejected))
            receipt = receipt._replace(outcomes=outcomes)
        submission.answer(receipt)

    return Submission(trades, answer, check, submission.at)

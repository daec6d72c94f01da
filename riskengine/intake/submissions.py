"""What is sent to the store thread to be stored and applied."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from riskengine.engine.engine import Outcome
from riskengine.engine.inbox import Receipt
from riskengine.observe import Metrics
from riskengine.records.decode import TradeCheck
from riskengine.records.types import Trade
from riskengine.store.trade_rows import RefusedRow, check_again

ReceiptAnswer = Callable[[Receipt], None]


class Submission(NamedTuple):
    """Trades that were checked by `check` and have room reserved. `at` is when they came, by `perf_counter`."""

    trades: Sequence[Trade]
    answer: ReceiptAnswer
    check: TradeCheck | None = None
    at: float | None = None


def judged(submission: Submission, check: TradeCheck, metrics: Metrics) -> Submission:
    """A submission by the check that is in force; what does not fit it is rejected, and left out. Its room is the caller's."""
    if submission.check is None or submission.check is check:
        return submission
    trades: list[Trade] = []
    rejected: dict[int, Outcome] = {}
    for place, sent in enumerate(submission.trades):
        trade = check_again(sent, check)
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

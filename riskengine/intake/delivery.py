"""From the store to the writer: durable trades, ours and those of other programs, in store order.

The bookmark is how far the store has been handed to the writer. It moves only with what is handed over, so after any failure in
between the rows behind it are read again: identity makes that harmless. The watermark is the highest store_seq handed over; where
transactions overtake each other (PostgreSQL) a lower one may follow.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from riskengine.engine.inbox import DurableTrades, Inbox
from riskengine.intake.audit_recorder import Recorder
from riskengine.intake.follow import CATCH_UP_ROWS, QuarantineLog, quarantine_rows, split_rows
from riskengine.intake.recall import Recall, Unseen, nothing_unseen
from riskengine.intake.submissions import Submission, telling_attributes
from riskengine.market.spot_dates import SpotDates
from riskengine.positions.freezing import Recalled
from riskengine.records.decode import TradeCheck
from riskengine.records.types import Key, Trade, Verdict, without_attributes
from riskengine.store.protocol import Store
from riskengine.store.results import Bookmark, Stored
from riskengine.store.trade_rows import TradeRow

MAX_HAND_OVERS = 64
"""Batches of others' rows that may wait for the writer: a bulk load must not fill the memory."""


class Delivery:
    """What the store thread hands to the writer, and how far it has come. Store thread, but for `wait_no_more`.

    `recall` reads what the engine behind the writer has frozen; None: it freezes nothing. `waited` is called after each wait for
    the writer to take others' rows. `spot_dates` are those of the engine: what they need to judge trades is stored before the
    writer gets the trades, so that a start judges alike.
    """

    def __init__(
        self,
        store: Store,
        inbox: Inbox,
        check: TradeCheck,
        recall: Recall | None,
        trail: Recorder,
        *,
        batch_trades: int,
        watermark: int,
        bookmark: Bookmark,
        waited: Callable[[], None],
        spot_dates: SpotDates | None = None,
    ) -> None:
        self.check = check
        """By which stored rows and submissions become trades."""
        self.quarantine_log = QuarantineLog()
        self._store = store
        self._inbox = inbox
        self._recall = recall
        self._trail = trail
        self._spot_dates = spot_dates
        self._batch_trades = batch_trades
        self._watermark = watermark
        self._bookmark = bookmark
        self._waited = waited
        self._room = threading.Semaphore(MAX_HAND_OVERS)
        self._waits = True

    @property
    def watermark(self) -> int:
        """The highest store_seq handed over. Store thread."""
        return self._watermark

    def go_on_from(self, check: TradeCheck, bookmark: Bookmark, watermark: int, recall: Recall | None) -> None:
        """Follow for an engine that has read everything up to `bookmark`."""
        self.check, self._bookmark, self._watermark = check, bookmark, max(self._watermark, watermark)
        self._recall = recall

    def wait_no_more(self) -> None:
        """The end has come: hand rows over whether or not the writer takes them. Any thread."""
        self._waits = False

    def store_spot_dates(self, trades: Iterable[Trade]) -> None:
        """Store the spot dates by which these trades will be judged, where they are the first of their pair and date.

        Raises StoreError. 0.1 us a trade without a value date, 0.5 us with one.
        """
        if self._spot_dates is not None and (new := self._spot_dates.prepare(trades, self.check.instruments)):
            self._spot_dates.adopt(self._store.save_spot_facts(new))

    # -- frozen trades -----------------------------------------------------------------------------------------

    def recall(self, trades: Sequence[Trade], unseen: Unseen = nothing_unseen, *, moving: bool = False) -> None:
        """Have the writer take back what it has frozen and these trades are about to touch. Raises StoreError.

        `moving` as in `Recall.for_trades`: a person has decided about them.
        """
        self._take_back(self._recall.for_trades(trades, unseen, moving=moving) if self._recall is not None else None)

    def recall_keys(self, keys: Collection[Key]) -> None:
        """Have the writer take back all trades of these positions. Raises StoreError."""
        self._take_back(self._recall.for_keys(keys) if self._recall is not None else None)

    def recall_rows(self, trades: Iterable[Trade]) -> None:
        """Have the writer take back these identities, which a repair judges anew. Raises StoreError."""
        self._take_back(self._recall.for_rows(trades) if self._recall is not None else None)

    def _take_back(self, recalled: Recalled | None) -> None:
        if recalled is not None:
            self._inbox.put_call(lambda engine: engine.thaw(recalled))

    # -- our own trades ----------------------------------------------------------------------------------------

    def deliver(self, batch: list[Submission], stored: Sequence[Stored]) -> None:
        """Hand a stored batch to the writer, after the rows of others that stand before it or that it repeats.

        Empties `batch` once the writer has it: an error from then on is no longer an answer to it. Raises StoreError.
        """
        ours = {one.store_seq for one in stored if one.outcome == "inserted"}
        reach = max((one.store_seq for one in stored), default=0)
        bookmark = self._bookmark
        later: list[TradeRow] = []
        if reach - self._watermark > len(ours) or len(ours) < len(stored):
            bookmark, later = self._follow_up_to(reach, ours)
        first = 0
        for submission in batch:
            own = stored[first : first + len(submission.trades)]
            first += len(own)
            # Each with its own watermark: a snapshot between two of them must not claim the second.
            self._watermark = max(self._watermark, max((one.store_seq for one in own if one.outcome == "inserted"), default=0))
            apart = frozenset(index for index, one in enumerate(own) if one.outcome == "conflict")
            trades, answer = without_attributes(submission.trades), telling_attributes(submission.answer, own)
            self._inbox.put_trades(DurableTrades(trades, self._watermark, answer, apart, submission.at))
        batch.clear()
        self._follow(later, ())
        self._bookmark = bookmark.passing(ours)

    def _follow_up_to(self, reach: int, ours: Collection[int]) -> tuple[Bookmark, list[TradeRow]]:
        """Hand over what others wrote, up to number `reach`. Returns the bookmark behind it and the rows beyond `reach`.

        The bookmark covers those rows: the caller hands them over later.
        """
        bookmark = self._bookmark
        later: list[TradeRow] = []
        while True:
            rows, bookmark = self._store.trades_beyond(bookmark, CATCH_UP_ROWS)
            self._follow([row for row in rows if row.store_seq <= reach], ours)
            later += [row for row in rows if row.store_seq > reach]
            if len(rows) < CATCH_UP_ROWS or rows[0].store_seq > reach:
                return bookmark, later

    def book(self, verdict: Verdict, trades: Sequence[Trade]) -> None:
        """Store a person's decision with the trades that carry it out, in one transaction, and hand those over together.

        Raises StoreError.
        """
        self.store_spot_dates(trades)
        self.recall(trades)
        stored = self._store.save_booking(verdict, trades)
        self._inbox.reserve_stored(len(trades))
        if trades:
            self.deliver([Submission(trades, lambda receipt: None)], stored)

    # -- rows of others ----------------------------------------------------------------------------------------

    def follow(self) -> bool:
        """Hand over up to CATCH_UP_ROWS rows beyond the bookmark: others wrote them, or our commit's answer was lost.

        Whether there may be more. Raises StoreError.
        """
        rows, bookmark = self._store.trades_beyond(self._bookmark, CATCH_UP_ROWS)
        self._follow(rows, ())
        self._bookmark = bookmark
        return len(rows) == CATCH_UP_ROWS

    def _follow(self, rows: Iterable[TradeRow], ours: Collection[int]) -> None:
        """Hand rows that are not `ours` to the writer, in store order. The caller hands `ours` over afterwards."""
        safe = min(ours) - 1 if ours else None
        part: list[TradeRow] = []
        for row in rows:
            if row.store_seq in ours:
                continue
            part.append(row)
            if len(part) == self._batch_trades:
                self._hand_over(part, safe)
                part = []
        if part:
            self._hand_over(part, safe)

    def _hand_over(self, rows: Sequence[TradeRow], safe: int | None) -> None:
        """Others' rows to the writer and the trail. `safe` bounds the watermark while rows of ours before it are yet to come."""
        trades, refused = split_rows(rows, self.check)
        self.store_spot_dates(trades)
        while not self._room.acquire(timeout=0.1) and self._waits:
            pass
        self._waited()
        if refused:
            self._inbox.put_call(partial(quarantine_rows, rows=refused))
            self.quarantine_log.warn((row.store_seq, row.field_and_reason) for row in refused)
        self._inbox.reserve_stored(len(trades))
        self.recall(trades, {row.store_seq for row in rows}.__contains__)
        reached = rows[-1].store_seq if safe is None else min(rows[-1].store_seq, safe)
        self._watermark = max(self._watermark, reached)
        self._inbox.put_trades(DurableTrades(trades, self._watermark, lambda _: self._room.release()))
        self._trail.note_followed([row.store_seq for row in rows])

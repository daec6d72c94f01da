"""The senders of a drill, one thread each: posting clients, a publisher on the websocket, a booking system, a market.

Each keeps its unanswered messages and sends them again first. Senders outlive the server: `life.url` is its current URL, None
while it is down.
"""

import http.client
import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_stream

from replay.dealing import INSTRUMENTS, Dealer, Journal, Message, version_of
from replay.store_tables import AWAY, REPEATED, connect, insert

PAUSE_S = 0.02
ANSWER_S = 20.0


class Life:
    """State that the senders share: the server's URL, whether to make new trades, when to stop."""

    def __init__(self, store_url: str, journal: Journal) -> None:
        self.store_url = store_url
        self.journal = journal
        self.url: str | None = None
        self.dealing = False
        self.ended = threading.Event()
        self.counts: Counter[str] = Counter()
        """Posts, refusals by kind, cut connections."""
        self.failures: list[str] = []
        """Faults: answers that the interface does not allow."""


class Sender(threading.Thread):
    """One sender. `step` sends once; `waiting` are the messages without an answer."""

    def __init__(self, name: str, life: Life, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.life = life
        self.rng = random.Random(f"{seed} sender {name}")
        self.dealer = Dealer(name, seed, life.journal)
        self.waiting: deque[list[Message]] = deque()
        self.idle = threading.Event()
        """Set while the sender has nothing to do: no dealing, and everything answered."""

    def run(self) -> None:
        while not self.life.ended.is_set():
            has_work = self.life.url is not None and (self.life.dealing or self.waiting)
            if not has_work:
                if not self.waiting:
                    self.idle.set()
                time.sleep(0.005)
                continue
            self.idle.clear()
            try:
                self.step()
            except Exception as error:  # the drill must report a sender that fails
                self.life.failures.append(f"{self.name}: {error!r}")
                self.close()
                time.sleep(PAUSE_S)
        self.close()

    def step(self) -> None:
        """Send waiting messages, or new ones."""
        raise AssertionError("each sender implements this")

    def close(self) -> None:
        """Close connections."""

    def next_batch(self, size: int) -> tuple[list[Message], bool]:
        """The messages to send next, and whether they were sent before. They wait until `mark_delivered`."""
        again = bool(self.waiting)
        if not again:
            self.waiting.append(self.dealer.batch(size))
        batch = self.waiting[0]
        self.life.journal.note_sent(batch, again=again)
        return batch, again

    def mark_delivered(self, batch: list[Message], statuses: Sequence[str]) -> None:
        """Note the answer to a batch, which waits no longer."""
        self.waiting.popleft()
        self.life.journal.note_answers(batch, statuses)


class Poster(Sender):
    """Posts batches or single trades over HTTP."""

    def __init__(self, name: str, life: Life, seed: int, most: int) -> None:
        super().__init__(name, life, seed)
        self._most = most
        self._connection: http.client.HTTPConnection | None = None
        self._at: str | None = None

    def step(self) -> None:
        batch, _ = self.next_batch(self.rng.randint(1, self._most))
        try:
            status, headers, answer = self._post("/v1/trades", batch if len(batch) > 1 else batch[0])
        except (OSError, http.client.HTTPException):
            self.life.counts["cut"] += 1
            self.close()
            time.sleep(PAUSE_S)
            return
        self.life.counts[f"posts answered {status}"] += 1
        if status == 200:
            self.mark_delivered(batch, [result["status"] for result in answer["results"]])
        elif status == 503:
            if "Retry-After" not in headers:
                self.life.failures.append(f"503 without Retry-After: {answer}")
            time.sleep(PAUSE_S * self.rng.random() * 5)
        else:
            self.life.failures.append(f"a post was answered {status}: {answer}")
            self.waiting.popleft()

    def _post(self, path: str, body: Any) -> tuple[int, Any, Any]:
        url = self.life.url
        if url is None:
            raise ConnectionError("no server")
        if self._connection is None or url != self._at:
            self.close()
            self._at = url
            self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_S)
        self._connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with self._connection.getresponse() as response:
            return response.status, response.headers, json.loads(response.read())

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Publisher(Sender):
    """Sends frames of trades over `/v1/ingest`, a few in flight at a time, each after prices."""

    IN_FLIGHT = 3

    def __init__(self, name: str, life: Life, seed: int) -> None:
        super().__init__(name, life, seed)
        self._socket: ClientConnection | None = None
        self._held = ExitStack()
        self._at: str | None = None
        self._flying = 0
        """Frames in flight: the first so many of `waiting`."""
        self._sent_before = 0
        """Frames sent at least once, also over a connection that was cut: the first so many of `waiting`."""

    def step(self) -> None:
        try:
            self._connect()
            self._send_frames()
            if self._flying:
                assert self._socket is not None
                self._take_answer(json.loads(self._socket.recv(timeout=ANSWER_S)))
        except (OSError, WebSocketException):  # TimeoutError is an OSError
            self.life.counts["frames cut"] += self._flying
            self.close()
            time.sleep(PAUSE_S)

    def _connect(self) -> None:
        url = self.life.url
        if url is None:
            raise ConnectionError("no server")
        if self._socket is None or url != self._at:
            self.close()
            self._at = url
            self._socket = self._held.enter_context(
                connect_stream(url.replace("http:", "ws:") + "/v1/ingest", open_timeout=ANSWER_S, close_timeout=0.2, proxy=None)
            )

    def _send_frames(self) -> None:
        assert self._socket is not None
        while self._flying < min(self.IN_FLIGHT, len(self.waiting) + self.life.dealing):
            if self._flying == len(self.waiting):
                self.waiting.append(self.dealer.batch(self.rng.randint(1, 20)))
            batch = self.waiting[self._flying]
            self.life.journal.note_sent(batch, again=self._flying < self._sent_before)
            self._flying += 1
            self._sent_before = max(self._sent_before, self._flying)
            self._socket.send(json.dumps({"ticks": prices(self.rng)}))
            self._socket.send(json.dumps({"trades": batch}))

    def _take_answer(self, answer: Any) -> None:
        if answer["type"] == "trades":
            self._flying -= 1
            self._sent_before -= 1
            self.life.counts["frames answered"] += 1
            self.mark_delivered(self.waiting[0], [result["status"] for result in answer["results"]])
        elif "retry_after_ms" in answer:  # nothing was taken: send this frame and all behind it again, in order
            self.life.counts["frames refused"] += 1
            self.close()
            time.sleep(PAUSE_S * self.rng.random() * 5)
        elif answer["type"] not in ("refused", "bye"):
            self.life.failures.append(f"a frame was answered {answer}")
            self.close()
            time.sleep(PAUSE_S)

    def close(self) -> None:
        self._flying, self._at, self._socket = 0, None, None
        self._held.close()


class Booking(Sender):
    """Writes rows into `trades` itself; on PostgreSQL, half of its transactions take their numbers early and commit late."""

    def __init__(self, name: str, life: Life, seed: int) -> None:
        super().__init__(name, life, seed)
        self.dealer = Dealer(name, seed, life.journal, books=True)
        self._connections: list[Any] = []
        self._is_postgres = life.store_url.startswith("postgresql:")

    def step(self) -> None:
        try:
            while len(self._connections) < 1 + self._is_postgres:
                self._connections.append(connect(self.life.store_url))
            if self._is_postgres and not self.waiting and self.rng.random() < 0.5:
                self._overtake()
            else:
                batch, _ = self.next_batch(self.rng.randint(1, 5))
                self._book(self._connections[0], batch)
                self.waiting.popleft()
        except AWAY:
            self.life.counts["bookings cut"] += 1
            self.close()
        time.sleep(0.01 + 0.03 * self.rng.random())

    def _overtake(self) -> None:
        """Take numbers early and commit late; another transaction begins and commits in between."""
        slow = self.dealer.batch(2)
        self.waiting.append(slow)
        self.life.journal.note_sent(slow)
        first, second = self._connections
        first.execute("BEGIN")
        try:
            insert(first, slow)
        except REPEATED:
            first.execute("ROLLBACK")
            self._book_each(second, slow)
        else:
            quick = [message for message in self.dealer.batch(2) if version_of(message) not in map(version_of, slow)]
            self.waiting.append(quick)
            self.life.journal.note_sent(quick)
            self._book(second, quick)
            time.sleep(0.05 * self.rng.random())
            first.execute("COMMIT")
            self.life.journal.note_answers(slow, ["booked"] * len(slow))
            self.life.counts["bookings committed late"] += 1
        self.waiting.clear()

    def _book(self, connection: Any, batch: list[Message]) -> None:
        """Book a batch in one transaction; if a row exists already, book each by itself."""
        self.life.counts["bookings"] += 1
        connection.execute("BEGIN" if self._is_postgres else "BEGIN IMMEDIATE")
        try:
            insert(connection, batch)
            connection.execute("COMMIT")
        except REPEATED:
            connection.execute("ROLLBACK")
            self._book_each(connection, batch)
        else:
            self.life.journal.note_answers(batch, ["booked"] * len(batch))

    def _book_each(self, connection: Any, batch: list[Message]) -> None:
        for message in batch:
            try:
                insert(connection, [message])
            except REPEATED:
                self.life.counts["bookings repeated"] += 1  # the store says which of the two it holds
            else:
                self.life.journal.note_answers([message], ["booked"])

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections.clear()


class Market(Sender):
    """Posts prices over HTTP."""

    def step(self) -> None:
        url = self.life.url
        if url is None:
            return
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_S)
        try:
            body = json.dumps(prices(self.rng)).encode()
            connection.request("POST", "/v1/ticks", body, {"Content-Type": "application/json"})
            self.life.counts[f"price posts answered {connection.getresponse().status}"] += 1
        except (OSError, http.client.HTTPException):
            self.life.counts["price posts cut"] += 1
        finally:
            connection.close()
        time.sleep(0.05)


def prices(rng: random.Random) -> list[dict[str, Any]]:
    """One tick of every instrument, near the one before, as the limits on moves want it."""
    now = time.time_ns() // 1_000
    mids = {symbol: float(price) * rng.uniform(0.999, 1.001) for symbol, (*_, price) in INSTRUMENTS.items()}
    return [{"instrument": symbol, "ts": now, "mid": round(mid, 6)} for symbol, mid in mids.items()]

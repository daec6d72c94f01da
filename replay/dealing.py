"""Makes the trades of a drill, with everything that happens to trades, and keeps a journal of what was sent and acknowledged.

Trades are seeded. A message is a trade on the wire: a dictionary of its columns, decimals as
strings. Nothing here imports the engine.
"""

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

Message = dict[str, Any]
Version = tuple[str, str, int, int]
"""Source, trade_id, leg and version."""

PARENTS = {
    "Total": "",
    "FX": "Total",
    "Futures": "Total",
    "FX1": "FX",
    "FX2": "FX",
    "FX3": "FX",
    "F1": "Futures",
    "F2": "Futures",
}
DESKS = tuple(node for node in PARENTS if node not in PARENTS.values())
DEALERS = ("ann", "bob", "cleo", "")
INSTRUMENTS = {
    # symbol: kind, base, quote, quantity decimals, multiplier, a price
    "EURUSD": ("fx", "EUR", "USD", 2, "1", "1.0842"),
    "GBPUSD": ("fx", "GBP", "USD", 2, "1", "1.2611"),
    "USDJPY": ("fx", "USD", "JPY", 2, "1", "151.27"),
    "BTCUSD": ("crypto", "", "USD", 10, "1", "60123.5"),
    "ESZ6": ("future", "", "USD", 0, "50", "5012.25"),
}
UNKNOWN = "GHOST"
"""An unknown instrument, in which the booking system books nevertheless."""

ACCEPTED = frozenset({"applied", "duplicate", "superseded", "parked", "quarantined", "booked"})
"""Answers that promise that exactly this trade is durable."""


def version_of(message: Message) -> Version:
    """The identity and version of a message."""
    return message["source"], message["trade_id"], message["leg"], message["version"]


def economics(message: Message) -> Message:
    """The fields that a repeat must have in common: of a cancel only the action. Numbers as sent."""
    if message["action"] == "cancel":
        return {"action": "cancel"}
    return {key: value for key, value in message.items() if key != "booked_ts"}


class Sent:
    """One message, sent once or more, and its answers."""

    __slots__ = ("answers", "message", "times")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.times = 0
        self.answers: Counter[str] = Counter()

    @property
    def is_promised(self) -> bool:
        """Whether an answer promised that it is durable."""
        return not ACCEPTED.isdisjoint(self.answers)


class Journal:
    """Everything sent, by version: one message, or several that conflict. Any thread may use it."""

    def __init__(self) -> None:
        self.versions: dict[Version, list[Sent]] = defaultdict(list)
        self.answers: Counter[str] = Counter()
        self.resent = 0
        self._lock = threading.Lock()
        self._recent: list[Message] = []

    def note_sent(self, messages: Iterable[Message], *, again: bool = False) -> None:
        """Note messages before they are sent."""
        with self._lock:
            for message in messages:
                self.resent += again
                self._entry(message).times += 1
                if message.get("instrument") != UNKNOWN:  # HTTP refuses an unknown instrument
                    self._recent.append(message)
            del self._recent[:-2_000]

    def note_answers(self, messages: Sequence[Message], statuses: Sequence[str]) -> None:
        """Note the answer to each message."""
        assert len(messages) == len(statuses), "an answer has one status for each trade"
        with self._lock:
            for message, status in zip(messages, statuses, strict=True):
                self._entry(message).answers[status] += 1
                self.answers[status] += 1

    def some_recent(self, rng: random.Random) -> Message | None:
        """A recent message of any sender, to be repeated."""
        with self._lock:
            return rng.choice(self._recent) if self._recent else None

    @property
    def promised(self) -> int:
        """The number of acknowledged versions."""
        return sum(any(sent.is_promised for sent in each) for each in self.versions.values())

    def _entry(self, message: Message) -> Sent:
        known = self.versions[version_of(message)]
        ours = economics(message)
        for sent in known:
            if economics(sent.message) == ours:
                return sent
        known.append(Sent(message))
        return known[-1]


class Dealer:
    """Makes the messages of one sender: new and late trades, amends, cancels, repeats, conflicts, cancels before their trade."""

    def __init__(self, name: str, seed: int, journal: Journal, *, books: bool = False) -> None:
        """`books`: a booking system, which repeats only its own trades and may use unknown instruments."""
        self._name = name
        self._books = books
        self._rng = random.Random(f"{seed} {name}")
        self._journal = journal
        self._number = 0
        self._mine: list[tuple[str, int]] = []
        self._newest: dict[tuple[str, int], int] = {}
        self._overdue: list[Message] = []

    def batch(self, size: int) -> list[Message]:
        """About `size` messages, in the order of sending."""
        messages: list[Message] = []
        while len(messages) < size:
            messages += self._next()
        return messages

    def _next(self) -> list[Message]:
        rng, dice = self._rng, self._rng.random()
        repeat = self._journal.some_recent(rng)
        if dice < 0.10 and repeat is not None and not (self._books and repeat["source"] != self._name):
            return [repeat]
        if self._overdue and dice < 0.13:
            return [self._overdue.pop()]
        if self._mine and dice < 0.27:
            return [self._later_version("amend")]
        if self._mine and dice < 0.34:
            return [self._later_version("cancel")]
        if self._mine and dice < 0.355:
            return [self._conflict()]
        if dice < 0.37:
            return [self._cancel_before_its_trade()]
        if dice < 0.40:
            return self._two_legs()
        return [self._new()]

    def _new(self, leg: int = 0, trade_id: str = "", **columns: Any) -> Message:
        if not trade_id:
            self._number += 1
            trade_id = f"{self._name}-{self._number}"
        self._mine.append((trade_id, leg))
        self._newest[trade_id, leg] = 1
        return self._message(trade_id, leg, 1, "new", **columns)

    def _two_legs(self) -> list[Message]:
        first = self._new(legs=2)
        return [first, self._new(1, first["trade_id"], legs=2)]

    def _later_version(self, action: str) -> Message:
        identity = self._rng.choice(self._mine[-300:])
        self._newest[identity] += 1
        return self._message(*identity, self._newest[identity], action)

    def _cancel_before_its_trade(self) -> Message:
        original = self._new()
        self._overdue.append(original)
        identity = original["trade_id"], original["leg"]
        self._newest[identity] = 2
        return self._message(*identity, 2, "cancel")

    def _conflict(self) -> Message:
        """A message with a known identity and version, at another price."""
        trade_id, leg = self._rng.choice(self._mine[-300:])
        return self._message(trade_id, leg, 1, "new")

    def _message(self, trade_id: str, leg: int, version: int, action: str, **columns: Any) -> Message:
        rng = self._rng
        identity = {"source": self._name, "trade_id": trade_id, "leg": leg, "version": version, "action": action}
        if action == "cancel":
            return identity
        symbol = rng.choice(list(INSTRUMENTS))
        if self._books and version > 1 and rng.random() < 0.1:
            columns["instrument"] = UNKNOWN
        _, _, _, decimals, _, price = INSTRUMENTS[symbol]
        quantity = f"{rng.randint(1, 10 ** min(6 + decimals, 12))}e-{decimals}" if decimals else str(rng.randint(1, 500))
        past_us = rng.randint(0, 3_600_000_000) if rng.random() < 0.03 else rng.randint(0, 2_000_000)
        message = identity | {
            "ts": time.time_ns() // 1_000 - past_us,
            "source_seq": rng.randint(0, 10**6),
            "instrument": symbol,
            "desk": rng.choice(DESKS),
            "dealer": rng.choice(DEALERS),
            "side": rng.choice(("buy", "sell")),
            "quantity": plain(quantity),
            "price": plain(f"{float(price) * rng.uniform(0.98, 1.02):.{rng.randint(2, 10)}f}"),
        }
        if rng.random() < 0.05:
            message["contra_amount"] = f"{rng.randint(1, 10**9)}.{rng.randint(0, 99):02d}"
        return message | columns


def plain(text: str) -> str:
    """A decimal without exponent: `12e-2` is `0.12`."""
    number, e, exponent = text.partition("e-")
    if not e or not int(exponent):
        return number
    digits = number.rjust(int(exponent) + 1, "0")
    return f"{digits[: -int(exponent)]}.{digits[-int(exponent) :]}"

"""Slows down guessing: an address whose tokens keep failing must wait, and no other address.

A token that was valid at an address before passes there at once, whatever others at the same address (a proxy, a terminal server)
get wrong. Everything is bounded; the entry that was unused for longest is dropped first.
"""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

FREE_FAILURES = 5
FIRST_WAIT_S = 1.0
MAX_WAIT_S = 60.0
FORGET_AFTER_S = 600.0

MAX_ADDRESSES = 4_096
MAX_KNOWN_TOKENS = 16_384


class _Failures(NamedTuple):
    """Failures of one address: how many, when it may try again, when it failed last."""

    times: int
    again_at: float
    last: float


class LoginBackoff:
    """Failures by address. Event loop only; `now` gives seconds."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def wait_s(self, address: str, sha256: str) -> float:
        """How long a token (its hash) from an address must wait before it is checked; 0 for not at all. O(1)."""
        found = self._failures.get(address)
        if found is None or (address, sha256) in self._known:
            return 0.0
        return max(0.0, found.again_at - self._now())

    def note_failure(self, address: str) -> None:
        """Count an invalid token. O(1)."""
        now = self._now()
        before = self._failures.pop(address, None)
        count = 1 if before is None or now - before.last > FORGET_AFTER_S else before.times + 1
        over = count - FREE_FAILURES
        wait = 0.0 if over < 0 else min(FIRST_WAIT_S * 2.0 ** min(over, 16), MAX_WAIT_S)
        self._failures[address] = _Failures(count, now + wait, now)
        if len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)

    def note_success(self, address: str, sha256: str) -> None:
        """Remember a valid token. Earlier failures at the address stay counted: they were somebody else's. O(1)."""
        self._known[address, sha256] = None
        self._known.move_to_end((address, sha256))
        if len(self._known) > MAX_KNOWN_TOKENS:
            self._known.popitem(last=False)

"""How long to wait before the next attempt, so that a thousand clients of an engine that is back do not come at once."""

import random

FIRST_S = 0.25
LONGEST_S = 10.0


class Backoff:
    """Pauses that double, each of them drawn from its upper half."""

    def __init__(self) -> None:
        self._failures = 0

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        longest = min(LONGEST_S, FIRST_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return longest * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked."""
        self._failures = 0

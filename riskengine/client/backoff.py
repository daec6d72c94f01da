"""Back-off before the next attempt: a thousand clients of a restarted engine do not reconnect at the same moment."""

import random

FIRST_S = 0.25
LONGEST_S = 10.0


class Backoff:
    """Pauses that double up to LONGEST_S, each drawn at random from its upper half."""

    def __init__(self) -> None:
        self._failures = 0

    def next_s(self) -> float:
        """Count a failure; return the seconds to wait."""
        longest = min(LONGEST_S, FIRST_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return longest * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Start again with the shortest pause, after a success."""
        self._failures = 0

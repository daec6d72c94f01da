"""What happened in a world, as one hash and as counts: each fault by the state of the engine that it met."""

import hashlib
from collections import Counter


class Trace:
    """Everything that a world does goes in here, in order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.lines = 0
        self.last: list[str] = []
        self.keep: list[str] | None = None

    def add(self, now: int, what: str) -> None:
        line = f"{now} {what}"
        self._hash.update(line.encode())
        self._hash.update(b"\n")
        self.lines += 1
        if self.keep is not None:
            self.keep.append(line)
        elif len(self.last) >= 400:
            del self.last[:200]
        self.last.append(line)

    def join(self, other: str) -> None:
        """Add the hash of another world."""
        self._hash.update(other.encode())

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


class Coverage:
    """How often each fault met each state."""

    def __init__(self) -> None:
        self.met: Counter[tuple[str, str]] = Counter()
        self.counts: Counter[str] = Counter()

    def note(self, fault: str, state: str) -> None:
        self.met[fault, state] += 1

    def add(self, other: "Coverage") -> None:
        self.met.update(other.met)
        self.counts.update(other.counts)

    def of(self, fault: str) -> int:
        return sum(count for (name, _), count in self.met.items() if name == fault)

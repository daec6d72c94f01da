"""Hundreds of transactions of other programs take numbers early and commit late, or never: a follower gets each row once."""

import random

import pytest

from riskengine.store.protocol import Store
from tests.store_book import Outside, trade

STEPS = 400
MOST_OPEN = 5


class Others:
    """Other programs, each with a transaction of its own; on SQLite one writes at a time."""

    def __init__(self, url: str, rng: random.Random) -> None:
        self._rng = rng
        self._idle = [Outside(url) for _ in range(MOST_OPEN if url.startswith("postgresql:") else 1)]
        self._open: list[tuple[Outside, list[str]]] = []
        self._number = 0
        self.committed: list[str] = []
        self.rolled_back = 0
        self.overtaken = 0

    def step(self) -> list[str]:
        """Begin, write more, commit or roll back, at random; returns what was committed."""
        chance = self._rng.random()
        if self._idle and (not self._open or chance < 0.4):
            program = self._idle.pop()
            program.execute("BEGIN" if program.is_postgres else "BEGIN IMMEDIATE")
            self._open.append((program, []))
            self._write(*self._open[-1])
        elif chance < 0.6:
            self._write(*self._rng.choice(self._open))
        else:
            return self._end(self._rng.randrange(len(self._open)), self._rng.random() < 0.8)
        return []

    def end_all(self) -> list[str]:
        return [name for _ in range(len(self._open)) for name in self._end(0, True)]

    def _write(self, program: Outside, names: list[str]) -> None:
        self._number += 1
        names.append(f"B{self._number}")
        program.book(trade_id=names[-1])

    def _end(self, which: int, commits: bool) -> list[str]:
        program, names = self._open.pop(which)
        program.execute("COMMIT" if commits else "ROLLBACK")
        self._idle.append(program)
        if not commits:
            self.rolled_back += len(names)
            return []
        self.overtaken += any(int(name[1:]) < self._highest for name in names)
        self.committed += names
        return names

    @property
    def nothing_open(self) -> bool:
        return not self._open

    @property
    def _highest(self) -> int:
        return max((int(name[1:]) for name in self.committed), default=0)

    def close(self) -> None:
        for program in (*self._idle, *(program for program, _ in self._open)):
            program.close()


class Follower:
    """Reads the rows of other programs in small pages, as the store thread does, and skips its own."""

    def __init__(self, store: Store, rng: random.Random) -> None:
        self._store = store
        self._rng = rng
        self._bookmark = store.bookmark()
        self.seen: list[str] = []
        self.own = 0

    def follow(self) -> list[str]:
        """Read everything that is visible now."""
        found: list[str] = []
        limit = self._rng.randint(1, 4)
        while True:
            rows, self._bookmark = self._store.trades_beyond(self._bookmark, limit)
            found += [row.trade_id for row in rows]
            if len(rows) < limit:
                self.seen += found
                return found

    def append(self) -> None:
        """Store trades of its own."""
        batch = [trade(f"own{self.own + place}") for place in range(self._rng.randint(1, 3))]
        self.own += len(batch)
        self._bookmark = self._bookmark.passing(one.store_seq for one in self._store.append_trades(batch))


@pytest.mark.parametrize("seed", [1, 2])
def test_each_row_is_followed_once_and_as_soon_as_it_is_committed(store: Store, store_url: str, seed: int) -> None:
    rng = random.Random(seed)
    others, follower, elsewhere = Others(store_url, rng), Follower(store, rng), Outside(store_url)
    if elsewhere.is_postgres:  # one that is open all the time, and has written
        elsewhere.execute("BEGIN")
        elsewhere.execute("UPDATE schema_version SET name = name")
    for _ in range(STEPS):
        due = others.step()
        if rng.random() < 0.3 and (elsewhere.is_postgres or others.nothing_open):
            follower.append()
        if due or rng.random() < 0.2:
            assert sorted(follower.follow()) == sorted(due)
    due = others.end_all()
    assert sorted(follower.follow()) == sorted(due)
    if elsewhere.is_postgres:
        elsewhere.execute("COMMIT")
        assert others.overtaken > 50, "transactions that committed behind higher numbers"
    assert follower.follow() == []
    assert sorted(follower.seen) == sorted(others.committed) and len(follower.seen) > 100
    assert others.rolled_back > 10 and store.counts().trades == len(follower.seen) + follower.own
    elsewhere.close()
    others.close()

"""The other programs on the store: they write rows themselves, some late, some right behind a commit of an engine."""

import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.simulation.fibers import Timer
from tests.simulation.knobs import stream_of
from tests.simulation.overtaking import Visible

if TYPE_CHECKING:
    from tests.simulation.world import World


class OtherPrograms:
    """Writers of one store beside its engines."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.visible = Visible()
        self.restores = 0
        """How often the store was put back."""
        self._late: dict[int, tuple[Timer, dict[str, Any]]] = {}
        self._random = stream_of(world.seed, "other programs")
        self._behind = stream_of(world.seed, "right behind")

    def forget(self) -> None:
        """The store was put back to an older state: numbers are given out anew."""
        self.visible.forget()
        self.restores += 1
        self._late.clear()

    def insert_row(self, payload: dict[str, Any]) -> bool:
        """Write a row as a booking system does. False if the store is locked just now."""
        row = payload | {"received_ts": self.world.wall_us()}
        if not self.world.is_calm and self._random.random() < self.world.knobs.late_commits:
            return self._commit_late(row)
        return self._insert(row)

    def _commit_late(self, row: dict[str, Any]) -> bool:
        """The row takes its number now, and its transaction is committed later."""
        try:
            taken = self.world.look("UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'trades' RETURNING seq")
        except sqlite3.OperationalError:
            return False
        if not taken:
            return self._insert(row)
        store_seq = taken[0][0]
        self.world.note("late_commit")
        delay = self._random.choice((50_000, 700_000, 3_000_000, 15_000_000))
        row |= {"store_seq": store_seq}
        timer = self.world.scheduler.after(delay, partial(self._commit, row, self.restores))
        self._late[store_seq] = timer, row
        return True

    def commit_right_behind(self) -> None:
        """An engine has committed: a transaction that took its number earlier is perhaps committed right behind it."""
        if not self._late or self._behind.random() >= self.world.knobs.right_behind:
            return
        store_seq = min(self._late)
        timer, row = self._late[store_seq]
        with self.world.outside() as connection:
            self.visible.look(connection)
        if self._insert(row):
            timer.cancel()
            del self._late[store_seq]
            self.world.note("commit_right_behind")

    def _commit(self, row: dict[str, Any], restores: int) -> None:
        """Commit what took its number before; what a restore has overtaken is another store's."""
        self._late.pop(row.get("store_seq", 0), None)
        if restores != self.restores:
            row = {name: value for name, value in row.items() if name != "store_seq"}
        if not self._insert(row):
            self.world.scheduler.after(500_000, partial(self._commit, row, restores))

    def _insert(self, row: dict[str, Any]) -> bool:
        names = ", ".join(row)
        marks = ", ".join("?" * len(row))
        return self.sql(f"INSERT INTO trades ({names}) VALUES ({marks})", [*row.values()])

    def sql(self, statement: str, values: list[Any]) -> bool:
        """Change the store as another program. False if it is locked; a row that is there already stays."""
        try:
            self.world.look(statement, values)
        except sqlite3.IntegrityError:
            return True
        except sqlite3.OperationalError:
            return False
        return True

"""What the code that saves and reads records needs of a database: named queries, run inside a transaction of its caller's."""

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Literal, Protocol

from riskengine.store.audit_chain import AuditEntry
from riskengine.store.trade_rows import COLUMNS

Values = Sequence[Any] | Mapping[str, Any]


class Transaction(Protocol):
    """One connection inside one transaction. Raises what its driver raises; the store says that in our words."""

    def rows(self, query: str, values: Values = (), where: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """All rows of the query called `query`, its conditions called `where`."""
        ...

    def raw_row(self, query: str, values: Values = ()) -> tuple[Any, ...]:
        """The one row of the query called `query`, its texts as bytes, whatever they hold."""
        ...

    def run(self, query: str, values: Iterable[Sequence[Any]]) -> None:
        """The query called `query` once for each of `values`."""
        ...

    def array(self, values: Sequence[str] | Sequence[int]) -> Any:
        """A list as one bound value."""
        ...

    def save_entries(self, entries: Sequence[AuditEntry], head: str, cursors: Mapping[str, int], ts: int) -> None:
        """Append to the audit trail, note its `head` in `meta`, and move the feeds' cursors on."""
        ...


Dialect = Literal["sqlite", "postgres"]


_SQL = files("riskengine.store") / "sql"


_MIGRATION = re.compile(r"\d{4}_\w+\.sql$")


_PLACEHOLDER = {"sqlite": "?", "postgres": "%s"}


def load_queries(dialect: Dialect) -> dict[str, str]:
    """All named queries, column lists filled in; `{where}` and `{cancels}` stay for the caller's filters."""
    columns, marks = ", ".join(COLUMNS), ", ".join([_PLACEHOLDER[dialect]] * len(COLUMNS))
    queries: dict[str, str] = {}
    for file in sorted((_SQL / dialect).iterdir(), key=lambda file: file.name):
        if _MIGRATION.match(file.name):
            continue
        parts = re.split(r"^-- name: (\w+)\n", file.read_text("utf-8"), flags=re.MULTILINE)
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            assert name not in queries, f"two queries are called {name}"
            queries[name] = _without_comments(text).replace("{columns}", columns).replace("{marks}", marks)
    return queries


def filled(queries: dict[str, str], name: str, where: Sequence[str]) -> str:
    """The query `name` with the conditions called `where`, joined, for its `{where}`."""
    query = queries[name]
    if where:
        conditions = " AND ".join(queries[condition] for condition in where)
        query = query.replace("{cancels}", queries["cancels"]).replace("{where}", conditions)
    return query


def load_migrations(dialect: Dialect) -> dict[int, tuple[str, str]]:
    """Number, file name and text of each migration, in order."""
    found = {}
    for file in sorted((_SQL / dialect).iterdir(), key=lambda file: file.name):
        if _MIGRATION.match(file.name):
            found[int(file.name[:4])] = (file.name, file.read_text(encoding="utf-8"))
    return found


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip()

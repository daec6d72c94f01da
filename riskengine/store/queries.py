"""The named queries of the store: the SQL files that hold them, and the transaction that runs them.

A file of `sql/<dialect>/` is a migration (`0001_initial.sql`) or a list of queries, each below a line `-- name: ...`. Both
dialects have the same names, so the code in `tables/` names a query and works on either database.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Literal, Protocol

from riskengine.records.numbers import Range
from riskengine.store.audit_chain import AuditEntry
from riskengine.store.trade_rows import ATTRIBUTES, COLUMNS

Dialect = Literal["sqlite", "postgres"]

Values = Sequence[Any] | Mapping[str, Any]
"""What the placeholders of a query stand for, by place or by name."""

_SQL = files("riskengine.store") / "sql"
_MIGRATION = re.compile(r"\d{4}_\w+\.sql$")
_PLACEHOLDER = {"sqlite": "?", "postgres": "%s"}


class Transaction(Protocol):
    """One connection inside one transaction. Raises the errors of its driver; the store translates them."""

    def rows(self, query: str, values: Values = (), where: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query; `where` names the conditions that fill its `{where}`."""
        ...

    def raw_row(self, query: str, values: Values = ()) -> tuple[Any, ...]:
        """The one row of a query, its texts as undecoded bytes."""
        ...

    def run(self, query: str, values: Iterable[Sequence[Any]]) -> None:
        """Run a query once for each of `values`."""
        ...

    def array(self, values: Sequence[str] | Sequence[int]) -> Any:
        """A list in the form that the database binds to one placeholder."""
        ...

    def save_entries(self, entries: Sequence[AuditEntry], head: str, next_runs: Mapping[str, Range], ts: int) -> Collection[str]:
        """Append to the audit trail and store its `head` in `meta`.

        `next_runs` are numbers that have come; returns the sources of which it has noted them at no cost (not always any).
        """
        ...


def load_queries(dialect: Dialect) -> dict[str, str]:
    """All queries by name, `{columns}`, `{attributes}` and `{marks}` filled in; `complete` fills in `{where}` and `{cancels}`."""
    values = len(COLUMNS) + 1 + len(ATTRIBUTES)
    texts = {
        "{columns}": ", ".join(COLUMNS),
        "{attributes}": ", ".join(ATTRIBUTES),
        "{marks}": ", ".join([_PLACEHOLDER[dialect]] * values),
    }
    queries: dict[str, str] = {}
    for file in sorted((_SQL / dialect).iterdir(), key=lambda file: file.name):
        if _MIGRATION.match(file.name):
            continue
        parts = re.split(r"^-- name: (\w+)\n", file.read_text("utf-8"), flags=re.MULTILINE)
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            assert name not in queries, f"two queries are called {name}"
            text = _without_comments(text)
            for mark, filling in texts.items():
                text = text.replace(mark, filling)
            queries[name] = text
    return queries


def complete(queries: dict[str, str], name: str, where: Sequence[str]) -> str:
    """The text of the query `name`, with the named conditions, joined by AND, as its `{where}`."""
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

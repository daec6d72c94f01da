"""The SQL of both dialects, kept in files: numbered migrations and named queries."""

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Literal

from riskengine.adapters.trade_rows import COLUMNS

Dialect = Literal["sqlite", "postgres"]

_SQL = files("riskengine.adapters") / "sql"
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

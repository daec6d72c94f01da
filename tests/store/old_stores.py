"""A store as an earlier version of the program made it, with what that version said of it, on either database."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import psycopg

from riskengine.store.queries import load_migrations

OLD_STORE = Path(__file__).with_name("store_2db4e73.json")
"""Rows of every table, and the digest, counts, amounts, positions and exceptions that commit 2db4e73 read from them."""

SCHEMA = 3
"""The number of the last migration that commit 2db4e73 knew."""


def load_old_store() -> dict[str, Any]:
    """`tables` (columns and rows by table) and `says` (what the earlier version said)."""
    found: dict[str, Any] = json.loads(OLD_STORE.read_text(encoding="utf-8"))
    return found


def make_old_store(url: str) -> None:
    """Create the old store at an empty place: its own migrations, then its rows as they stood."""
    if url.startswith("sqlite:"):
        _make_sqlite(url.removeprefix("sqlite:///"))
    else:
        _make_postgres(url)


def _make_sqlite(path: str) -> None:
    connection = sqlite3.connect(path)
    for number, (_, text) in load_migrations("sqlite").items():
        if number <= SCHEMA:
            connection.executescript(text)
    for table, content in _tables_for_insert():
        connection.execute(f"DELETE FROM {table}")
        marks = ", ".join("?" * len(content["columns"]))
        connection.executemany(f"INSERT INTO {table} ({', '.join(content['columns'])}) VALUES ({marks})", content["rows"])
    connection.commit()
    connection.close()


def _make_postgres(url: str) -> None:
    with psycopg.connect(url) as connection:
        for number, (_, text) in load_migrations("postgres").items():
            if number <= SCHEMA:
                connection.execute(text.encode())
        for table, content in _tables_for_insert():
            connection.execute(f"DELETE FROM {table}".encode())
            marks = ", ".join(["%s"] * len(content["columns"]))
            statement = f"INSERT INTO {table} ({', '.join(content['columns'])}) OVERRIDING SYSTEM VALUE VALUES ({marks})"
            for row in content["rows"]:
                connection.execute(statement.encode(), row)
        for table, column in (("trades", "store_seq"), ("conflicts", "conflict_id")):
            query = f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), (SELECT max({column}) FROM {table}))"
            connection.execute(query.encode())


def _tables_for_insert() -> list[tuple[str, dict[str, Any]]]:
    """Reference data first; `meta` last, because triggers count in it."""
    tables = load_old_store()["tables"]
    return [*((name, content) for name, content in tables.items() if name != "meta"), ("meta", tables["meta"])]

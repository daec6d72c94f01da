"""A backup of a whole store, on either database, for tests that put it back."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psycopg


class Backup:
    """A copy of the whole store, to put back as a restore does."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self._path = Path(url.removeprefix("sqlite:///"))
        self._copy = folder / "backup.db"
        if url.startswith("sqlite:"):
            with sqlite3.connect(self._path) as source, sqlite3.connect(self._copy) as target:
                source.backup(target)
            source.close()
            target.close()
        else:
            self._schema = unquote(url).rpartition("search_path=")[2]
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"CREATE SCHEMA {self._schema}_backup".encode())
                for table in self._tables(connection):
                    connection.execute(f"CREATE TABLE {self._schema}_backup.{table} AS TABLE {table}".encode())

    def restore(self) -> None:
        if self.url.startswith("sqlite:"):
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)
            shutil.copyfile(self._copy, self._path)
            return
        with psycopg.connect(self.url) as connection:
            connection.execute("SET session_replication_role = replica")  # no foreign keys, no triggers
            tables = self._tables(connection)
            connection.execute(f"TRUNCATE {', '.join(tables)}".encode())
            for table in tables:
                connection.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE {self._schema}_backup.{table}".encode())
            connection.execute(
                "SELECT setval(pg_get_serial_sequence('trades', 'store_seq'), (SELECT max(store_seq) FROM trades))"
            )

    def restore_in_place(self) -> None:
        """As SQLite's own tools do, through the live file: one transaction that everybody sees."""
        if not self.url.startswith("sqlite:"):
            return self.restore()
        with sqlite3.connect(self._copy) as source, sqlite3.connect(self._path) as target:
            source.backup(target)
        source.close()
        target.close()

    def drop(self) -> None:
        if not self.url.startswith("sqlite:"):
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute(f"DROP SCHEMA {self._schema}_backup CASCADE".encode())

    @staticmethod
    def _tables(connection: Any) -> list[str]:
        return [row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")]

"""Makes, checks and migrates the tables of a PostgreSQL store; refuses a newer or a foreign one.

All missing migrations run in one transaction, under a lock: other programs that start at the same time wait for it.
"""

import re
from collections.abc import Iterable

from riskengine.clock import SystemClock
from riskengine.errors import StoreCorrupt, StoreError, StoreNewer, StoreUnavailable
from riskengine.store.postgres.connection import MIN_VERSION, Connection, roll_back
from riskengine.store.queries import load_migrations

_MIGRATION_KEY = "hashtextextended('riskengine migration', 0) # quote_ident(current_schema())::regnamespace::oid::bigint"
_TABLE = re.compile(r"^CREATE TABLE (\w+) \(\n(.*?)^\);", re.MULTILINE | re.DOTALL)
PUT_BACK = ": somebody changed it; put the column back or restore a backup"
_COLUMN = re.compile(r"^    \"?([a-z]\w*)\"? ", re.MULTILINE)
_ADDED = re.compile(r"^ALTER TABLE (\w+) ADD COLUMN (\w+)", re.MULTILINE)


def migrations() -> dict[int, tuple[str, str]]:
    """Number, file name and text of each migration, in order."""
    return load_migrations("postgres")


def check_and_migrate(connection: Connection, name: str, *, create: bool, read_only: bool) -> None:
    """Refuse a schema that this program cannot use; apply missing migrations. Raises StoreError, psycopg.Error."""
    known = migrations()
    version = _version(connection, name, known, create=create)
    if version < max(known):
        if read_only:
            raise StoreError(f"store {name} has schema {version} and needs {max(known)}: open it for writing once")
        _migrate(connection, name, known, create=create)
    _check_columns(connection, name, known)


def check_server(connection: Connection, name: str) -> None:
    """Refuse a server that is too old or a database that cannot hold our text. Raises StoreError."""
    version = connection.info.server_version
    if version < MIN_VERSION:
        raise StoreError(f"store {name} is on PostgreSQL {version // 10_000}: {MIN_VERSION // 10_000} or newer is needed")
    found = connection.execute("SELECT current_schema(), current_setting('server_encoding')").fetchone()
    assert found is not None
    if found[0] is None:
        what = "none of its search_path exists and may be used: CREATE SCHEMA, or GRANT USAGE"
        raise StoreUnavailable(f"store {name} has no schema to work in: {what}")
    if found[1] != "UTF8":
        raise StoreError(f"store {name} is a database in {found[1]}: UTF8 is needed")


def _version(connection: Connection, name: str, known: dict[int, tuple[str, str]], *, create: bool) -> int:
    """The version of the schema, 0 if there is none yet."""
    ours = [table for table, _ in expected_columns(known)]
    found = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = quote_ident(current_schema())::regnamespace"
        " AND relkind IN ('r', 'p', 'v') AND relname = ANY(%s)",
        (ours,),
    ).fetchall()
    tables = {row[0] for row in found}
    if "schema_version" not in tables:
        if tables:
            raise StoreCorrupt(f"store {name} has a table {min(tables)} of something else: it has no table schema_version")
        if not create:
            raise StoreCorrupt(f"store {name} is empty: it holds no tables")
        return 0
    row = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
    assert row is not None
    if row[0] > max(known):
        raise StoreNewer(
            f"store {name} was written by a newer version of riskengine (schema {row[0]}, this one knows {max(known)}):"
            " install that version"
        )
    return int(row[0])


def _migrate(connection: Connection, name: str, known: dict[int, tuple[str, str]], *, create: bool) -> None:
    connection.execute("BEGIN")
    try:
        # Wait for the migration of another program, however long it takes.
        connection.execute("SET LOCAL lock_timeout = 0")
        connection.execute("SET LOCAL statement_timeout = 0")
        connection.execute(f"SELECT pg_advisory_xact_lock({_MIGRATION_KEY})".encode())
        version = _version(connection, name, known, create=create)
        for number, (file, text) in known.items():
            if number > version:
                connection.execute(text.encode())
                connection.execute(
                    "INSERT INTO schema_version (version, name, applied_ts) VALUES (%s, %s, %s)",
                    (number, file, SystemClock().now()),
                )
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


# -- columns -----------------------------------------------------------------------------------------------------


def expected_columns(known: dict[int, tuple[str, str]]) -> list[tuple[str, frozenset[str]]]:
    """Each table of the migrations with its columns, parsed from their text."""
    tables: dict[str, set[str]] = {}
    for _, text in known.values():
        for table, body in _TABLE.findall(text):
            tables[table] = set(_COLUMN.findall(body))
        for table, column in _ADDED.findall(text):
            tables[table].add(column)
    return [(table, frozenset(columns)) for table, columns in tables.items()]


def _check_columns(connection: Connection, name: str, known: dict[int, tuple[str, str]]) -> None:
    """Report a dropped table or column at the start, not in the middle of the day."""
    for table, columns in expected_columns(known):
        there = _columns(connection, table)
        missing = columns - there
        if not there:
            raise StoreCorrupt(f"store {name}: table {table} is gone: restore a backup")
        if missing:
            raise StoreCorrupt(f"store {name}: table {table} has no column {', '.join(sorted(missing))}{PUT_BACK}")


def _columns(connection: Connection, table: str) -> set[str]:
    found: Iterable[tuple[str, ...]] = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped AND attrelid ="
        " (SELECT oid FROM pg_class WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relname = %s)",
        (table,),
    ).fetchall()
    return {row[0] for row in found}

"""A day with every kind of entry in its audit trail, and a connection that damages it."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from riskengine.records.types import Close, Opening
from riskengine.store.audit_chain import AuditEntry, AuditEvent, AuditReport
from riskengine.store.audit_verify import verify
from riskengine.store.postgres.connection import PostgresTransaction, connect, conninfo
from riskengine.store.sqlite.connection import SqliteTransaction
from riskengine.store.trade_rows import ATTRIBUTES, COLUMNS
from tests.store_book import TS, Outside, cancel, new_store, trade

AUDIT = AuditEntry._fields
TRADES = ("store_seq", *COLUMNS, "received_ts", *ATTRIBUTES)
ASKED: dict[str, Any] = {"counterparty": "Bank A", "comment": "asked twice"}
REFUSED = (psycopg.Error, sqlite3.Error, OverflowError)


class Day:
    """A recorded day, and a connection that damages it."""

    def __init__(self, url: str) -> None:
        store = new_store(url)
        store.acquire_writer("test")
        store.next_epoch()
        outside = Outside(url)
        store.save_openings(
            [Opening(desk="FX1", dealer="", instrument="EURUSD", ts=TS, quantity=1, average_price=1, realised=0, fees=0)]
        )
        store.save_closes([Close("2026-11-20", "EURUSD", 1.0842)])
        for batch in range(4):
            store.append_trades([trade(f"T{batch}-{number}", source_seq=9 + batch, dealer="ann", **ASKED) for number in range(5)])
        store.append_trades([trade("T0-0", version=2, action="amend", price="1.09", contra_amount="1090000"), cancel("T0-1")])
        for number in range(3):
            outside.book(trade_id=f"B{number}")
        store.record_followed([23, 25])
        outside.execute("UPDATE trades SET price = '7' WHERE store_seq = 3")
        outside.execute("DELETE FROM trades WHERE store_seq = 8")
        store.record_corrections([3, 8], "ann", "it was so")
        horizon, up_to = store.audit_horizon()
        store.record_followed([24])
        store.record_caught_up(horizon, up_to)
        store.record([AuditEvent("comment", "", {"said": "all is well"}, "ann")])
        self.head = store.verify_audit().head
        store.close()
        outside.close()
        self.is_postgres = url.startswith("postgresql:")
        self.connection: Any = connect(conninfo(url, "test"), read_only=False) if self.is_postgres else Outside(url).connection

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        if self.is_postgres:
            statement = statement.replace("?", "%s")
        cursor = self.connection.execute(statement, values or ())
        return cursor.fetchall() if cursor.description else []

    def verify(self, head: str | None = None) -> AuditReport:
        transaction: Any = PostgresTransaction(self.connection) if self.is_postgres else SqliteTransaction(self.connection)
        return verify(transaction, head, lambda count: None)

    def after(self, spoil: Callable[[], object], head: str | None = None) -> AuditReport:
        """The report after `spoil` has run; then undoes it."""
        self.execute("BEGIN")
        try:
            spoil()
            return self.verify(head)
        finally:
            self.execute("ROLLBACK")

    def found(self, spoil: Callable[[], object], head: str | None = None) -> list[str]:
        return [str(finding) for finding in self.after(spoil, head).findings]

    def value(self, table: str, column: str, number: int) -> Any:
        return self.execute(f"SELECT {column} FROM {table} WHERE {TABLES[table][0]} = ?", number)[0][0]

    def put(self, table: str, column: str, number: int, value: Any) -> bool:
        """Put a value into a row. Returns whether the row changed."""
        key, *columns = TABLES[table]
        if column == key:  # a number is not changed in place everywhere: take the row out and put it back
            [row] = self.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE {key} = ?", number)
            self.execute(f"DELETE FROM {table} WHERE {key} = ?", number)
            self.insert(table, (value, *row))
            return bool(value != number)
        before = self.value(table, column, number)
        self.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", value, number)
        after = self.value(table, column, number)
        return (type(before), before) != (type(after), after)

    def insert(self, table: str, row: Sequence[Any]) -> None:
        """Insert a row with its own number, not one that the database assigns."""
        columns = TABLES[table]
        overriding = "OVERRIDING SYSTEM VALUE" if self.is_postgres and table == "trades" else ""
        marks = ", ".join("?" * len(columns))
        self.execute(f"INSERT INTO {table} ({', '.join(columns)}) {overriding} VALUES ({marks})", *row)

    def column(self, table: str, column: str) -> list[Any]:
        key = TABLES[table][0]
        return [row[0] for row in self.execute(f"SELECT {column} FROM {table} ORDER BY {key}")]


TABLES = {"audit": AUDIT, "trades": TRADES}

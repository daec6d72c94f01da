"""Recognises a pooler, such as pgbouncer, that lends one session of the server to several programs.

The lease, notifications and time limits of a store are properties of a session. Where a pooler gives each transaction, or each
statement, whatever session is free, they would be lost, and set for other programs. Such a connection is refused before anything
is set on it. A pooler in session mode is as good as the server itself.
"""

import os
import socket
import threading
from typing import Any

import psycopg

PATIENCE_S = 5.0
"""Time for a second connection to get a session of its own. In session mode a pool of one has none."""


class SharedSession(psycopg.NotSupportedError):
    """The connection goes through a pooler that shares sessions."""


def refuse_shared_session(connection: "psycopg.Connection[Any]", info: str) -> None:
    """Raise SharedSession if the session of a fresh connection to `info` is not its own. Raises psycopg.Error.

    One round trip to a server. A pooler makes up the process number that it tells at the connection: only then a second
    connection shows whether both get the same session, or one gets changing ones.
    """
    first = _backend(connection)
    if first == connection.info.backend_pid:
        return
    with psycopg.connect(info, autocommit=True) as second:
        timer = threading.Timer(PATIENCE_S, _break_off, (second,))
        timer.start()
        try:
            mine, others = {first, _backend(connection)}, {_backend(second)}
            mine.add(_backend(connection))
            others.add(_backend(second))
            if len(mine) == len(others) == 1 and mine != others:
                return
            mode = "transaction" if _takes_transactions(second) else "statement"
        finally:
            timer.cancel()
    raise SharedSession(
        f"a pooler in {mode} mode (pgbouncer: pool_mode = {mode}), which shares the server's sessions among programs; the engine "
        "needs sessions of its own: name the server itself in the URL, or set pool_mode = session for this database"
    )


def _backend(connection: "psycopg.Connection[Any]") -> int:
    """The server's process behind the next transaction of a connection."""
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    assert row is not None
    return int(row[0])


def _takes_transactions(connection: "psycopg.Connection[Any]") -> bool:
    try:
        connection.execute("BEGIN", prepare=False)
        connection.execute("ROLLBACK", prepare=False)
    except psycopg.Error:
        return False
    return True


def _break_off(connection: "psycopg.Connection[Any]") -> None:
    """End a connection on which another thread waits."""
    with socket.socket(fileno=os.dup(connection.fileno())) as copy:
        copy.shutdown(socket.SHUT_RDWR)

"""Transactions that overtake each other: rows are followed in the order in which they became visible."""

import sqlite3

from tests.simulation.overtaking import Visible


def test_a_row_with_a_lower_number_that_is_committed_later_has_a_later_place():
    visible = Visible()
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE trades (store_seq INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO trades VALUES (?)", [(1,), (3,), (4,)])
    visible.look(connection)
    connection.execute("INSERT INTO trades VALUES (2)")
    visible.look(connection)
    assert visible._order == [1, 3, 4, 2]

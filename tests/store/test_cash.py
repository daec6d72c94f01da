"""External cash and carry in the store: versions, repeats, conflicts, and what other programs write."""

from decimal import Decimal
from typing import Any

import pytest

from riskengine.records.cash import CARRY, CASH, CarryInput, CarryRecord, CashInput, CashMovement, CashRow, EntryCheck
from riskengine.store.protocol import Store
from tests.store_book import CHECK, TS, Outside

ENTRIES = EntryCheck(CHECK)


def movement(cash_id: str = "C1", amount: str = "1000", **columns: Any) -> CashMovement:
    usual: dict[str, Any] = {"node": "FX1", "currency": "USD", "ts": TS} | columns
    return ENTRIES.cash(CashInput(cash_id=cash_id, amount=Decimal(amount), **usual), 0)


def carry(carry_id: str = "K1", amount: str = "-12.5", **columns: Any) -> CarryRecord:
    usual: dict[str, Any] = {"desk": "FX1", "instrument": "EURUSD", "ts": TS, "type": "swap_points"} | columns
    return ENTRIES.carry(CarryInput(carry_id=carry_id, amount=Decimal(amount), **usual), 0)


def outcomes(store: Store, *records: CashMovement | CarryRecord) -> list[str]:
    kind = CASH if isinstance(records[0], CashMovement) else CARRY
    return [saved.outcome for saved in store.save_cash(kind, records)]


def records(store: Store) -> list[CashMovement | CarryRecord]:
    return [ENTRIES.stored(row) for row in store.cash_beyond(None).rows]


def test_versions_are_kept_and_what_is_stored_is_never_rewritten(store: Store) -> None:
    assert outcomes(store, movement(), movement(), movement("C2"), movement(amount="999")) == [
        "inserted",
        "existing",
        "inserted",
        "conflict",
    ]
    assert outcomes(store, movement(version=3, amount="0"), movement(version=2), movement()) == [
        "inserted",
        "superseded",
        "existing",
    ]
    assert outcomes(store, carry(), carry(version=2, amount="-13"), carry(amount="1")) == ["inserted", "inserted", "conflict"]
    found = {(record.record_id, record.version): record.amount for record in records(store)}
    assert found == {("C1", 1): 1000 * 10**10, ("C1", 2): 1000 * 10**10, ("C1", 3): 0, ("C2", 1): 1000 * 10**10} | {
        ("K1", 1): -125 * 10**9,
        ("K1", 2): -13 * 10**10,
    }
    assert (store.counts().cash, store.counts().carry) == (4, 2)


def test_a_follower_sees_new_and_edited_rows_once_and_everything_after_a_deletion(store: Store, outside: Outside) -> None:
    store.save_cash(CASH, [movement()])
    first = store.cash_beyond(None)
    assert first.is_all
    assert [row.key for row in first.rows] == [("C1", 1)]
    assert store.cash_beyond(first.seen).rows == []
    store.save_cash(CARRY, [carry()])
    outside.execute("INSERT INTO cash (cash_id, node, currency, ts, amount) VALUES ('C2', 'Total', 'EUR', ?, '5.50')", [TS])
    second = store.cash_beyond(first.seen)
    assert not second.is_all
    assert sorted(row.key for row in second.rows) == [("C2", 1), ("K1", 1)]
    outside.execute("UPDATE cash SET amount = '7' WHERE cash_id = 'C1'")
    third = store.cash_beyond(second.seen)
    assert [(row.key, row.amount) for row in third.rows] == [(("C1", 1), "7")]
    outside.execute("DELETE FROM cash WHERE cash_id = 'C1'")
    fourth = store.cash_beyond(third.seen)
    assert fourth.is_all
    assert sorted(row.key for row in fourth.rows) == [("C2", 1), ("K1", 1)]
    outside.execute("UPDATE carry SET carry_id = 'K9'")
    assert store.cash_beyond(fourth.seen).is_all
    [of_others] = [row for row in fourth.rows if isinstance(row, CashRow)]
    assert of_others.received_ts > TS - 10**15
    assert outcomes(store, movement("C2", "5.5", node="Total", currency="EUR")) == ["existing"]


def test_the_audit_trail_holds_what_was_saved_and_what_others_wrote(store: Store, outside: Outside) -> None:
    store.save_cash(CASH, [movement()])
    store.save_cash(CARRY, [carry()])
    assert store.verify_audit().findings == []
    outside.execute("UPDATE cash SET amount = '1' WHERE cash_id = 'C1'")
    assert [finding.what for finding in store.verify_audit().findings] == ["recorded cash 'C1', '1', which was edited since"]
    store.record_followed_cash()
    assert store.verify_audit().findings == []


def test_what_cash_and_carry_name_is_not_removed(store: Store) -> None:
    store.save_cash(CASH, [movement(node="FX2")])
    store.save_cash(CARRY, [carry(instrument="ESZ6", currency="USD")])
    refused = sorted(store.remove_nodes(["FX2", "FX1"]).refused, key=lambda refusal: refusal.field, reverse=True)
    assert [refusal.reason for refusal in refused] == ["has external cash", "has carry"]
    assert [refusal.reason for refusal in store.remove_instruments(["ESZ6"]).refused] == ["has carry"]


@pytest.mark.parametrize("column", ["version", "comment", "received_ts"])
def test_what_another_program_leaves_out_takes_its_default(store: Store, outside: Outside, column: str) -> None:
    outside.execute(
        f"INSERT INTO cash (cash_id, node, currency, ts, amount, {column}) VALUES ('C1', 'FX1', 'USD', ?, '5', NULL)", [TS]
    )
    [row] = store.cash_beyond(None).rows
    assert row.key == ("C1", 1)
    assert ENTRIES.stored(row).amount == 5 * 10**10

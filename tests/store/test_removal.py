"""Nodes and instruments that nothing refers to are taken out; the others are refused by name."""

from riskengine.records.types import Close, Instrument, Kind, Node, Opening, StoredMark
from riskengine.store.protocol import Store
from tests.store_book import TS, trade

OPTION = Instrument(
    instrument="EURUSD_C",
    kind=Kind.FX_OPTION,
    base_currency="EUR",
    quote_currency="USD",
    underlying="EURUSD",
    option_type="call",
    strike="1.1",
    expiry="2027-01-05",
)


def test_a_node_goes_when_nothing_refers_to_it(store: Store) -> None:
    store.append_trades([trade("a")])
    store.save_nodes([Node("Book", "book", "Total"), Node("FX3", "desk", "Book")])
    found = store.remove_nodes(["Total", "FX1", "FX2", "NONE", "FX2"])
    assert found.removed == ("FX2",)
    assert {refusal.field: refusal.reason for refusal in found.refused} == {
        "FX1": "has trades",
        "Total": "has nodes below it: Book, FX1",
        "NONE": "there is no such node",
    }
    assert store.remove_nodes(["Book", "FX3"]).removed == ("FX3", "Book")
    assert [node.node for node in store.nodes()] == ["FX1", "Total"]


def test_balances_and_conflicts_hold_what_they_name(store: Store) -> None:
    store.save_openings([Opening(desk="FX2", instrument="BTCUSD", ts=TS, quantity=1, average_price=1)])
    store.append_trades([trade("a"), trade("a", desk="FX2", instrument="ESZ6")])
    assert store.remove_nodes(["FX2"]).refused[0].reason == "has conflicts, opening balances"
    assert {refusal.field: refusal.reason for refusal in store.remove_instruments(["BTCUSD", "ESZ6"]).refused} == {
        "BTCUSD": "has opening balances",
        "ESZ6": "has conflicts",
    }


def test_an_instrument_goes_with_its_prices_and_an_underlying_stays(store: Store) -> None:
    store.save_instruments([OPTION])
    store.save_marks([StoredMark("EURUSD", TS, 1.1), StoredMark("BTCUSD", TS, 5.0)])
    store.save_closes([Close("2026-01-05", "EURUSD", 1.1), Close("2026-01-06", "EURUSD", 1.2)])
    before = store.reference_revision()
    [refusal] = store.remove_instruments(["EURUSD"]).refused
    assert refusal.reason == "is the underlying of EURUSD_C"
    found = store.remove_instruments(["EURUSD", "EURUSD_C"])
    assert set(found.removed) == {"EURUSD", "EURUSD_C"} and found.closes == 2
    assert [each.instrument for each in store.instruments()] == ["BTCUSD", "ESZ6"]
    assert [mark.instrument for mark in store.marks()] == ["BTCUSD"] and store.closes() == []
    assert store.reference_revision() > before


def test_the_audit_trail_knows_what_was_taken_out(store: Store) -> None:
    store.save_closes([Close("2026-01-05", "BTCUSD", 1.1)])
    store.remove_nodes(["FX2"])
    store.remove_instruments(["BTCUSD"])
    assert store.verify_audit().findings == []
    store.save_nodes([Node("FX2", "desk", "Total")])
    assert store.verify_audit().findings == []

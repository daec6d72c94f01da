"""The store's own account of every position is the engine's, whatever the rows are, and is made without the engine."""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.engine.engine import Engine
from riskengine.reconciliation import store_sums as module
from riskengine.reconciliation.store_sums import Rules, StoreSide, keys_of, store_side
from riskengine.records.types import Key, Trade, Verdict
from riskengine.snapshot.compare import NOTHING, Holding, plus, side_of
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from riskengine.store.queries import Transaction
from riskengine.store.trade_rows import TradeRow
from tests.reconciliation.furnished import CONFIG, engine_of, furnished
from tests.store_book import Outside
from tests.world import DESKS, NOON, PARENTS, SECOND, cancel, opening, trade

ALL = 2**62

DAY = "2026-03-04"
"""The day of the trades."""


@pytest.fixture
def store(store_url: str) -> Iterable[Store]:
    opened = furnished(open_store(store_url))
    yield opened
    opened.close()


def one_by_one(store: Store) -> dict[Key, Holding]:
    """The same account with every row judged on its own."""

    def work_out(transaction: Transaction) -> dict[Key, Holding]:
        rules = Rules(transaction, CONFIG, current_day=DAY)
        side: dict[Key, Holding] = {}
        effective: Iterable[Trade] = rules.effective(map(TradeRow._make, transaction.rows("trades_after", (-(2**62), 2**62))))
        parts = [(keys_of(each), module.holding_of(each)) for each in effective]
        for keys, holding in [*parts, *((keys_of(each), rules.opening_holding(each)) for each in rules.openings)]:
            for key in keys:
                side[key] = plus(side.get(key, NOTHING), holding)
        return side

    return store.read(work_out)


def agreed(store: Store) -> StoreSide:
    """The store's side, which must be the engine's and that of one row after the other."""
    found = store_side(store, CONFIG, ALL, DAY)
    assert found.side() == side_of(engine_of(store).snapshot)
    assert found.side() == one_by_one(store)
    return found


def test_an_empty_store_holds_nothing_and_has_its_tree(store: Store) -> None:
    found = agreed(store)
    assert found.side() == {}
    assert found.parents == PARENTS


def test_a_trade_is_in_the_position_of_its_desk_and_of_its_dealer(store: Store) -> None:
    store.append_trades([trade("1", quantity="100.25", price="1.0842123456", side="sell")])
    held = Holding(-100_25 * 10**8, 10025 * 10**8 * 10842123456 * 10**8, 1, agreed(store).nodes["FX1"]["EURUSD"].identities)
    assert agreed(store).side() == {("node", "FX1", "EURUSD"): held, ("dealer", "ann", "EURUSD"): held}


def test_the_highest_version_counts_and_a_cancel_ends_a_trade(store: Store) -> None:
    store.append_trades(
        [
            trade("amended"),
            trade("amended", version=2, action="amend", desk="FX2", quantity="7"),
            trade("cancelled"),
            cancel("cancelled"),
            cancel("parked"),
            trade("undone"),
            cancel("undone"),
            trade("undone", version=3, action="amend", instrument="GBPUSD"),
            trade("late", version=2, action="amend", quantity="3"),
            trade("late", quantity="5"),
            trade("legs", leg=1, legs=2),
            trade("legs", leg=2, side="sell", dealer=""),
        ]
    )
    found = agreed(store).nodes
    assert {desk: {name: held.trades for name, held in row.items()} for desk, row in found.items()} == {
        "FX1": {"EURUSD": 3, "GBPUSD": 1},
        "FX2": {"EURUSD": 1},
    }


def test_quarantined_versions_take_no_part_and_the_one_before_stands(store: Store) -> None:
    store.append_trades(
        [
            trade("future", ts=NOON + 61 * SECOND),
            trade("v", quantity="2"),
            trade("v", version=2, action="amend", quantity="9", ts=NOON + 3600 * SECOND),
            trade("forward", value_date="2026-06-04"),
            trade("spot", value_date="2026-03-06", trade_date="2026-03-04"),
            trade("next day", instrument="USDCAD", value_date="2026-03-05"),
        ]
    )
    held = agreed(store).nodes["FX1"]
    assert (held["EURUSD"].trades, held["EURUSD@2026-06-04"].trades) == (2, 1)


def test_an_accepted_quarantined_version_takes_part(store: Store) -> None:
    store.append_trades([trade("future", ts=NOON + 61 * SECOND), trade("other", ts=NOON + 61 * SECOND)])
    assert agreed(store).side() == {}
    store.save_verdict(Verdict("quarantined:test:future:0:1", "accept", "", "me", NOON))
    assert agreed(store).nodes["FX1"]["EURUSD"].trades == 1


def test_openings_count_into_sums_and_not_into_trades(store: Store) -> None:
    balance = opening(quantity="-50.5", average_price="1.25", realised="3", dealer="bob", desk="EQ1", instrument="ESZ6")
    store.save_openings([balance, opening(quantity="10", average_price="1", ts=NOON)])
    store.append_trades([trade("before", ts=NOON - 1), trade("after", ts=NOON), trade("other key", dealer="bob", ts=NOON - 1)])
    found = agreed(store)
    assert found.nodes["EQ1"]["ESZ6"] == Holding(-505 * 10**9, 3 * 10**28 + 505 * 125 * 50 * 10**25, 0, 0)
    assert found.nodes["FX1"]["EURUSD"].trades == 2


def test_a_conflict_is_no_trade(store: Store) -> None:
    store.append_trades([trade("1", quantity="5")])
    store.append_trades([trade("1", quantity="6")])
    assert agreed(store).nodes["FX1"]["EURUSD"].quantity == 5 * 10**10


def test_only_rows_up_to_the_watermark_count(store: Store) -> None:
    first = store.append_trades([trade("1"), trade("2", quantity="3")])
    store.append_trades([trade("1", version=2, action="amend", quantity="9"), trade("3")])
    engine = Engine(engine_of(store).reference, CONFIG)
    engine.apply([trade("1"), trade("2", quantity="3")], NOON)
    assert store_side(store, CONFIG, first[-1].store_seq).side() == side_of(engine.publish(NOON))


ODD: tuple[dict[str, Any], ...] = (
    {"instrument": "NOPE"},
    {"desk": "NOPE"},
    {"desk": "FX"},
    {"quantity": "0"},
    {"quantity": "-1"},
    {"quantity": "1e3"},
    {"quantity": "1.005"},
    {"quantity": "1.500"},
    {"quantity": "999999999999999.25"},
    {"quantity": "1000000000000000"},
    {"quantity": "1000000000000001"},
    {"quantity": "123456789012345678901234567890"},
    {"quantity": "NaN"},
    {"quantity": "00012"},
    {"price": "0"},
    {"price": "-1"},
    {"price": "-1", "instrument": "ESZ6", "quantity": "3"},
    {"price": "1.12345678901"},
    {"price": "999999999999999.9999999999"},
    {"price": "60000.1234567891"},
    {"price": "NaN"},
    {"price": "0.50000000000"},
    {"instrument": "BTCEUR", "quantity": "99999.9999999999", "price": "99999.9999999999"},
    {"side": "sell", "dealer": " ann"},
    {"source": "a b"},
    {"source": "a\\b"},
    {"source": " a"},
    {"dealer": "Å\u00a0b"},
    {"dealer": "Zoë"},
    {"trade_id": "x "},
    {"trade_id": "tab\there"},
    {"trade_id": "line\nend"},
    {"trade_id": "Ü1"},
    {"trade_id": "\\N"},
    {"dealer": "a\nb"},
    {"fees": "1.25"},
    {"fees": "-1.25"},
    {"fees": "0.123456789012"},
    {"fees": "1", "fees_currency": "JPY"},
    {"fees_currency": "XXX"},
    {"contra_amount": "110.01"},
    {"contra_amount": "-1"},
    {"legs": 2},
    {"legs": 0},
    {"leg": 7},
    {"value_date": "2026-13-01"},
    {"value_date": "tomorrow"},
    {"trade_date": "2026-03-04"},
    {"trade_date": "x"},
    {"value_date": "2026-03-06"},
    {"value_date": "2027-03-06"},
    {"booked_ts": NOON},
    {"booked_ts": 5},
    {"ts": 17},
    {"source_seq": -1},
    {"source_seq": 2**53},
    {"version": 3},
    {"action": "amend"},
    {"received_ts": NOON - 61 * SECOND},
)


def test_rows_that_others_wrote_are_judged_as_the_engine_judges_them(store: Store, store_url: str) -> None:
    outside = Outside(store_url)
    plain = {
        "source": "test",
        "ts": NOON,
        "instrument": "EURUSD",
        "desk": "FX1",
        "dealer": "ann",
        "side": "buy",
        "quantity": "100",
        "price": "1.1",
        "received_ts": NOON,
    }
    for number, columns in enumerate(ODD):
        outside.book(**(plain | {"trade_id": f"o{number}"} | columns))
    outside.close()
    assert 20 < agreed(store).nodes["FX1"]["EURUSD"].trades < len(ODD)


def test_text_that_is_no_text_is_judged_as_the_engine_judges_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'engine.db'}"
    store, outside = furnished(open_store(url)), Outside(url)
    for number, column in enumerate(("desk", "dealer", "instrument", "quantity", "price", "fees", "value_date", "trade_date")):
        outside.book(trade_id=f"T{number}", received_ts=NOON, ts=NOON)
        outside.execute(f"UPDATE trades SET {column} = CAST({column} AS BLOB) WHERE trade_id = ?", (f"T{number}",))
    outside.execute("UPDATE trades SET dealer = CAST(x'ff41' AS TEXT) WHERE trade_id = 'T0'")
    outside.close()
    agreed(store)
    store.close()


def test_numbers_far_apart_and_out_of_order_are_all_read(store: Store, store_url: str) -> None:
    outside = Outside(store_url)
    override = "OVERRIDING SYSTEM VALUE " if outside.is_postgres else ""
    for number in (7, 10**15, 3, 2**62 - 5, 10**6):
        outside.execute(
            f"INSERT INTO trades (store_seq, trade_id, ts, instrument, desk, side, quantity, price, received_ts) {override}"
            "VALUES (?, ?, ?, 'EURUSD', 'FX1', 'buy', '1', '2', ?)",
            (number, f"n{number}", NOON, NOON),
        )
    outside.close()
    assert store_side(store, CONFIG, 2**62).nodes["FX1"]["EURUSD"].trades == 5


def test_thousands_of_trades_of_all_kinds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskengine.store.tables.trade_columns.PAGE_ROWS", 100)
    monkeypatch.setattr("riskengine.store.tables.trade_columns.FOLD_ROWS", 300)
    dice = random.Random(5)
    store.save_openings([opening(quantity="5", average_price="2", ts=NOON + 2 * SECOND)])
    for first in range(0, 1_500, 300):
        batch = []
        for number in range(first, first + 300):
            columns: dict[str, Any] = {
                "ts": NOON + dice.randrange(5) * SECOND,
                "instrument": dice.choice(["EURUSD", "ESZ6", "BTCEUR", "ACME"]),
                "desk": dice.choice(DESKS),
                "dealer": dice.choice(["", "ann", "Zoë"]),
                "side": dice.choice(("buy", "sell")),
                "price": f"{dice.random() * 9:.10f}",
                "quantity": str(dice.randrange(1, 10**9)),
                "leg": dice.choice([0, 0, 1]),
            }
            batch.append(trade(f"t{number}", **columns))
            if not dice.randrange(10):
                batch.append(trade(f"t{number}", **(columns | {"version": 2, "action": "amend", "desk": dice.choice(DESKS)})))
            if not dice.randrange(10):
                batch.append(cancel(f"t{number}", version=3, leg=columns["leg"]))
        store.append_trades(batch)
    assert agreed(store).revision == store.reference_revision()


numbers = st.one_of(
    st.from_regex(r"\A[0-9]{1,17}(\.[0-9]{0,12})?\Z"),
    st.sampled_from(["", ".", "1.", ".5", "+1", " 1", "1_0", "0x1", "1e5", "Inf"]),
)
rows_of_others = st.fixed_dictionaries(
    {"quantity": numbers, "price": numbers},
    optional={
        "trade_id": st.text(min_size=1, max_size=3),
        "dealer": st.text(max_size=3),
        "side": st.sampled_from(["buy", "sell"]),
        "instrument": st.sampled_from(["EURUSD", "ACME", "BTCEUR", "ESZ6", "GBPJPY"]),
        "desk": st.sampled_from([*PARENTS, "?"]),
        "version": st.sampled_from([1, 2]),
        "ts": st.sampled_from([NOON, NOON + 61 * SECOND]),
        "fees": numbers,
        "value_date": st.sampled_from(["2026-03-06", "2026-3-6", "2026-06-04", " "]),
    },
)


@pytest.fixture(scope="module")
def one_store(tmp_path_factory: pytest.TempPathFactory) -> Iterable[tuple[Store, Outside]]:
    """A store for many examples, and another program beside it."""
    url = f"sqlite:///{tmp_path_factory.mktemp('side') / 'engine.db'}"
    store, outside = furnished(open_store(url)), Outside(url)
    yield store, outside
    outside.close()
    store.close()


@given(batch=st.lists(rows_of_others, min_size=1, max_size=12))
def test_whatever_stands_in_the_rows(one_store: tuple[Store, Outside], batch: list[dict[str, Any]]) -> None:
    store, outside = one_store
    outside.execute("DELETE FROM trades")
    for number, columns in enumerate(batch):
        try:
            outside.book(**({"trade_id": f"o{number % 5}", "received_ts": NOON, "ts": NOON} | columns))
        except (outside.refused, UnicodeEncodeError):
            continue
    agreed(store)

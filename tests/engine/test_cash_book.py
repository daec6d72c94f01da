"""Cash and carry in the engine: positions, NAV and available cash, versions, what is kept out, and what waits for its time."""

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.engine.self_audit import SelfAudit
from riskengine.records.cash import StoredCashRow
from riskengine.snapshot.compare import compare, side_of
from riskengine.snapshot.digest import digest
from riskengine.snapshot.holdings import holding_lines, read_holdings
from riskengine.snapshot.rows import dealer_row, ladder_rows, node_row
from riskengine.views.sources import AllNodes
from tests.cash_records import carry, cash
from tests.world import INSTRUMENTS, NOON, REFERENCE, SECOND, House, cancel, opening, reference, trade

DAY = 86_400 * SECOND


@pytest.fixture
def house() -> House:
    """EURUSD long 100 from 1.1, at 1.25; ACME long 2 from 10, at 12; GBP and ISK without a rate."""
    house = House()
    house.deal(trade("1"), trade("2", instrument="ACME", desk="EQ1", quantity="2", price="10"))
    house.marks(EURUSD=1.25, ACME=12.0, USDJPY=100.0)
    return house


def take(house: House, *rows: StoredCashRow, is_all: bool = False) -> None:
    house.engine.take_cash(rows, house.now, is_all=is_all)
    house.engine.publish(house.now)
    house.engine.check()
    assert SelfAudit(house.engine).finish_pass() == []


def node(house: House, name: str = "ALL") -> dict:
    return node_row(house.engine.snapshot, REFERENCE.hierarchy.index[name])


def position(house: House, instrument: str = "EURUSD", **owner: Any) -> dict:
    rows = ladder_rows(house.engine.snapshot, **(owner or {"node": "FX1"}))
    return next(row for row in rows if row["instrument"] == instrument)


# -- carry -------------------------------------------------------------------------------------------------------------


def test_carry_in_the_cash_currency_enters_net_cash_of_desk_and_dealer_and_nothing_else(house: House) -> None:
    take(house, carry(amount="-10"))
    for owner in ({"node": "FX1"}, {"dealer": "ann"}, {"node": "ALL"}):
        row = position(house, **owner)
        assert (row["net_cash"], row["quantity"], row["average_price"], row["trade_count"]) == (-120.0, 100.0, 1.1, 1)
        assert (row["realised_pnl"], row["unrealised_pnl"], row["total_pnl"]) == pytest.approx((-10.0, 15.0, 5.0))
        assert row["beside"] == 0.0
    assert node(house)["realised_pnl"] == pytest.approx(-10.0)


def test_carry_in_another_currency_stands_beside_net_cash_at_its_own_rate(house: House) -> None:
    take(house, carry(amount="-300", currency="JPY"), carry("K2", amount="2", currency="EUR", type="dividend"))
    row = position(house)
    assert (row["net_cash"], row["beside"]) == (-110.0, pytest.approx(-3.0 + 2.5))
    assert (row["total_pnl"], row["realised_pnl"]) == pytest.approx((14.5, -0.5))
    assert (row["total_pnl_local"], row["realised_pnl_local"]) == pytest.approx((15.0, 0.0))
    assert (node(house)["total_pnl"], node(house)["realised_pnl"]) == pytest.approx((14.5 + 4.0, -0.5))
    assert dealer_row(house.engine.snapshot, 0)["realised_pnl"] == pytest.approx(-0.5)
    house.marks(USDJPY=150.0)
    house.engine.check()
    assert (position(house)["total_pnl"], node(house, "FX")["total_pnl"]) == pytest.approx((15.5, 15.5))


def test_an_amount_beside_cash_without_a_rate_makes_the_position_unknown_and_its_parents_count_it(house: House) -> None:
    take(house, carry(amount="5", currency="GBP"))
    row = position(house)
    assert (row["total_pnl"], row["realised_pnl"], row["beside"]) == (None, None, None)
    assert (row["unrealised_pnl"], row["total_pnl_local"]) == pytest.approx((15.0, 15.0))
    root = node(house)
    assert (root["total_pnl"], root["realised_pnl"], root["unpriced_count"]) == (pytest.approx(4.0), pytest.approx(0.0), 1)
    assert (node(house, "FX1")["total_pnl"], node(house, "FX1")["nav"]) == (None, None)
    house.marks(ACME=13.0)
    house.engine.check()
    assert node(house)["total_pnl"] == pytest.approx(6.0)
    house.marks(GBPUSD=1.5)
    house.engine.check()
    assert (node(house)["total_pnl"], node(house)["unpriced_count"]) == (pytest.approx(6.0 + 15.0 + 7.5), 0)


def test_a_position_that_has_nothing_but_carry_exists(house: House) -> None:
    take(house, carry(desk="FX2", dealer="", instrument="GBPUSD", amount="3"))
    row = position(house, "GBPUSD", node="FX2")
    assert (row["quantity"], row["net_cash"], row["trade_count"], row["total_pnl"]) == (0.0, 3.0, 0, 3.0)
    assert node(house, "FX2")["position_count"] == 1
    take(house, carry(desk="FX2", dealer="", instrument="GBPUSD", amount="0", version=2))
    assert ladder_rows(house.engine.snapshot, node="FX2") == []


def test_pence_and_pounds_are_one_currency() -> None:
    rows = [{"instrument": name, "kind": "equity", "quote_currency": unit} for name, unit in (("BREW", "GBX"), ("OAK", "GBP"))]
    house = House(reference(rows=[*INSTRUMENTS, *rows]))
    pounds = carry("1", "2.5", desk="EQ1", instrument="BREW", currency="GBP")
    pence = carry("2", "150", desk="EQ1", instrument="OAK", currency="GBX")
    take(house, pounds, pence)
    held = {row["instrument"]: row["net_cash"] for row in ladder_rows(house.engine.snapshot, node="EQ1")}
    assert held == {"BREW": 250.0, "OAK": 1.5}


def test_any_order_of_trades_carry_and_their_versions_ends_in_the_same_state() -> None:
    trades = [trade("1"), trade("2", side="sell", quantity="30", price="1.2", ts=NOON + SECOND)]
    rows: list[StoredCashRow] = [
        carry(),
        carry(amount="-11", version=2),
        carry("K2", "7", currency="JPY"),
        carry("K3", "1"),
        carry("K3", "0", version=2),
    ]
    rows += [cash(), cash(node="ALL", version=2), cash("C2", "5", currency="EUR", node="G10")]
    digests, navs = set(), set()
    for order in itertools.islice(itertools.permutations(rows), 0, 40_320, 4_001):
        house = House()
        house.marks(EURUSD=1.25, USDJPY=100.0)
        for at, row in enumerate(order):
            if at in (2, 5):
                house.deal(trades[at == 5])
            take(house, row)
        digests.add(digest(house.engine.snapshot))
        navs.add(node(house)["nav"])
    assert (len(digests), len(navs)) == (1, 1)


def test_what_the_store_holds_no_more_is_gone_here_too(house: House) -> None:
    before = digest(house.engine.snapshot)
    take(house, carry(), carry("K2", "4", currency="JPY"), cash())
    assert digest(house.engine.snapshot) != before
    take(house, carry(), is_all=True)
    assert (position(house)["net_cash"], node(house)["nav"]) == (-120.0, pytest.approx(9.0))
    take(house, is_all=True)
    assert digest(house.engine.snapshot) == before


def test_versions_that_take_no_part_are_listed_and_the_one_before_them_counts(house: House) -> None:
    take(house, carry(), carry(amount="-99", version=2, desk="NOWHERE"), cash(node="NOWHERE"))
    assert position(house)["net_cash"] == -120.0
    listed = {item.id: item.reason for item in house.engine.snapshot.exceptions["quarantined"]}
    assert listed == {
        "quarantined:carry:K1:2": "desk: unknown desk 'NOWHERE'",
        "quarantined:cash:C1:1": "node: unknown node 'NOWHERE'",
    }
    assert house.engine.snapshot.counts.quarantined == 2
    take(house, cash(version=2), carry(amount="-12", version=3))
    assert [item.id for item in house.engine.snapshot.exceptions["quarantined"]] == []
    assert (position(house)["net_cash"], node(house, "FX1")["nav"]) == (-122.0, pytest.approx(1000.0 + 15.0 - 12.0))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (carry(ts=NOON - 1), "ts is before the opening balance of its position"),
        (carry(ts=NOON + 61 * SECOND), "ts is more than 60 s after it was received"),
        (carry(amount="a lot"), "Invalid decimal"),
        (carry(type="rent"), "type: must be one of"),
    ],
)
def test_carry_is_kept_out_by_stored_facts_alone(row: StoredCashRow, reason: str) -> None:
    house = House()
    house.engine.open_with([opening(quantity="5", average_price="1")])
    take(house, row)
    [item] = house.engine.snapshot.exceptions["quarantined"]
    assert reason in item.reason
    assert position(house)["net_cash"] == -5.0


# -- NAV and available cash --------------------------------------------------------------------------------------------


def test_nav_is_movements_plus_total_less_fees(house: House) -> None:
    take(house, cash("C1", "1000", node="FX1"), cash("C2", "500", node="ALL"), cash("C3", "-40", node="EQ1", currency="EUR"))
    house.deal(trade("3", desk="FX1", quantity="10", price="1.25", fees="300", fees_currency="JPY", ts=NOON + 1))
    assert node(house, "FX1")["nav"] == pytest.approx(1000.0 + 15.0 - 3.0)
    assert node(house, "EQ1")["nav"] == pytest.approx(-50.0 + 4.0)
    assert node(house, "CASH")["nav"] == pytest.approx(-46.0)
    assert node(house)["nav"] == pytest.approx(1000.0 + 500.0 - 50.0 + 19.0 - 3.0)
    house.marks(EURUSD=1.3)
    house.engine.check()
    assert node(house)["nav"] == pytest.approx(1500.0 - 52.0 + 110 * 1.3 - 110.0 - 12.5 + 4.0 - 3.0)


def test_nav_moves_with_a_price_alone_and_with_fees_in_coins() -> None:
    house = House()
    house.deal(trade("1", instrument="BTCEUR", desk="EQ1", quantity="2", price="100"))
    house.marks(BTCEUR=110.0, EURUSD=1.5)
    take(house, cash(currency="BTC", amount="3", node="EQ1"))
    assert node(house, "EQ1")["nav"] == pytest.approx(30.0 + 3 * 165.0)
    house.marks(BTCEUR=120.0)
    house.engine.check()
    assert node(house, "EQ1")["nav"] == pytest.approx(60.0 + 3 * 180.0)


def test_a_balance_without_a_rate_makes_the_nav_of_its_node_unknown_and_its_parents_count_it(house: House) -> None:
    take(house, cash(currency="GBP", node="FX1"), cash("C2", "7", node="FX2"))
    row = node(house, "FX1")
    assert (row["nav"], row["available_cash"], row["unpriced_count"]) == (None, None, 1)
    assert (node(house, "G10")["nav"], node(house, "G10")["unpriced_count"]) == (pytest.approx(22.0), 1)
    house.marks(GBPUSD=1.5)
    assert (node(house, "FX1")["nav"], node(house)["unpriced_count"]) == (pytest.approx(1515.0), 0)


def test_a_movement_comes_into_force_at_its_time(house: House) -> None:
    take(house, cash(ts=NOON + 5 * SECOND), cash("C2", "1", ts=NOON + 9 * SECOND))
    assert node(house)["nav"] == pytest.approx(19.0)
    seq = house.engine.snapshot.trade_seq
    house.now += 5 * SECOND
    house.engine.publish(house.now)
    assert (node(house)["nav"], house.engine.snapshot.trade_seq > seq) == (pytest.approx(1019.0), True)
    take(house, cash(version=2, amount="0"), cash("C2", "0", version=2))
    house.now += 5 * SECOND
    house.engine.publish(house.now)
    assert node(house)["nav"] == pytest.approx(19.0)


def test_available_cash_is_what_was_paid_for_shares_and_not_the_notional_of_fx(house: House) -> None:
    take(house, cash(node="EQ1"), carry("K1", "-4"), carry("K2", "200", instrument="ACME", desk="EQ1", currency="JPY"))
    assert node(house, "EQ1")["available_cash"] == pytest.approx(1000.0 - 20.0 + 2.0)
    assert node(house, "FX1")["available_cash"] == pytest.approx(-4.0)  # nothing of EURUSD has settled but the swap points


def available_after(house: House, days: int, name: str = "FX1") -> object:
    house.now = NOON + days * DAY
    house.engine.publish(house.now)
    house.engine.check()
    return node(house, name)["available_cash"]


def test_fx_counts_once_its_value_date_is_over() -> None:
    house = House()
    house.deal(
        trade("1", quantity="1000", price="1.10"),
        trade("2", quantity="400", price="1.15", side="sell", ts=NOON + SECOND),
        trade("3", quantity="100", price="1.20", side="sell", ts=NOON + 2 * SECOND, value_date="2026-03-06"),
    )
    house.marks(EURUSD=1.25)
    assert [available_after(house, days) for days in (0, 1, 2)] == [0.0, 0.0, 0.0]  # Wednesday's deals settle on Friday
    # Friday's boundary begins Monday.
    assert available_after(house, 3) == pytest.approx(400 * 0.05 + 100 * 0.10)


def test_a_late_trade_and_a_cancel_among_settled_ones_move_settled_pnl_and_a_new_one_does_not() -> None:
    house = House()
    house.deal(trade("1", quantity="1000", price="1.10"), trade("2", quantity="400", price="1.15", side="sell", ts=NOON + SECOND))
    house.marks(EURUSD=1.25)
    assert available_after(house, 6) == pytest.approx(20.0)
    house.deal(trade("3", quantity="600", price="1.30", side="sell", ts=house.now, received_ts=house.now))
    assert node(house, "FX1")["available_cash"] == pytest.approx(20.0)
    house.deal(trade("4", quantity="100", price="1.20", side="sell", ts=NOON + 2 * SECOND, received_ts=house.now))
    assert node(house, "FX1")["available_cash"] == pytest.approx(30.0)
    house.deal(cancel("2"))
    assert node(house, "FX1")["available_cash"] == pytest.approx(10.0)
    house.engine.check()


def test_futures_count_their_variation_up_to_the_last_settlement() -> None:
    house = House()
    house.deal(trade("1", instrument="ESZ6", desk="EQ1", quantity="2", price="5000"))
    house.marks(ESZ6=5010.0)
    assert node(house, "EQ1")["available_cash"] == 0.0  # bought today: nothing has been settled
    assert available_after(house, 1, "EQ1") is None  # carried over a close, and nobody said at which price
    assert node(house)["available_cash"] is None
    house.engine.set_settlements({"ESZ6": (NOON + 10 * 3600 * SECOND, 5004.5), "EURUSD": (NOON, 1.0)})
    house.engine.publish(house.now)
    assert node(house, "EQ1")["available_cash"] == pytest.approx(2 * 50 * 4.5)
    house.deal(trade("2", instrument="ESZ6", desk="EQ1", quantity="1", price="5020", ts=house.now, received_ts=house.now))
    assert node(house, "EQ1")["available_cash"] == pytest.approx(450.0)


def test_a_screen_of_the_tree_sees_a_movement_without_a_trade_or_a_price(house: House) -> None:
    screen = AllNodes()
    before = screen.all_rows(house.engine.snapshot)[:]
    states = house.engine.snapshot.nodes.states
    take(house, cash(node="EQ1"))
    assert house.engine.snapshot.nodes.states is not states
    changed = [row["node"] for row, old in zip(screen.all_rows(house.engine.snapshot), before, strict=True) if row is not old]
    assert changed == ["ALL", "CASH", "EQ1"]


def test_what_is_beside_cash_is_compared_and_sent_like_fees(house: House) -> None:
    take(house, carry(amount="-300", currency="JPY"))
    here = side_of(house.engine.snapshot)
    lines = list(holding_lines(house.engine.snapshot, {}))
    assert read_holdings(lines).side() == here
    key = ("node", "FX1", "EURUSD")
    [found] = compare(here, here | {key: here[key]._replace(beside={})})
    assert (found.kind, found.key, found.difference.beside) == ("cash", key, {"JPY": 300 * 10**28})


def restarted(house: House, rows: Iterable[StoredCashRow], trades: Iterable) -> House:
    other = House(now=house.now)
    other.engine.take_cash(rows, other.now, is_all=True)
    other.deal(*trades)
    return other


def test_an_engine_that_takes_everything_at_once_has_the_same_digest_and_cash() -> None:
    trades = [trade("1"), trade("2", instrument="ACME", desk="EQ1", quantity="2", price="10", fees="1")]
    rows: list[StoredCashRow] = [
        cash(),
        cash(amount="900", version=2),
        carry(),
        carry("K2", "7", currency="JPY"),
        cash("C2", "3", ts=NOON + DAY),
    ]
    live = House()
    for one in trades:
        live.deal(one)
    for row in rows:
        take(live, row)
    again = restarted(live, reversed(rows), trades)
    for each in (live, again):
        each.marks(EURUSD=1.25, ACME=12.0, USDJPY=100.0)
    assert digest(live.engine.snapshot) == digest(again.engine.snapshot)
    assert node(live) == node(again)
    again.engine.carry_on(live.engine.state_to_carry(), lambda one: one)
    assert sorted(again.engine.cash.rows()) == sorted(live.engine.cash.rows())


@settings(max_examples=40, deadline=None)
@given(
    drawn=st.lists(
        st.tuples(
            st.sampled_from(sorted(REFERENCE.hierarchy.names)),
            st.sampled_from(("USD", "EUR", "JPY")),
            st.integers(-(10**9), 10**9),
            st.integers(1, 3),
            st.sampled_from(("C1", "C2", "C3", "C4")),
        ),
        max_size=12,
    )
)
def test_the_nav_of_every_node_is_its_own_movements_and_the_navs_below_it(drawn: list[tuple[str, str, int, int, str]]) -> None:
    house = House()
    house.deal(trade("1", fees="7"), trade("2", instrument="ACME", desk="EQ1", quantity="2", price="10"))
    house.marks(EURUSD=1.25, ACME=12.0, USDJPY=100.0)
    rates, stands = {"USD": 1.0, "EUR": 1.25, "JPY": 0.01}, dict[str, tuple[int, str, str, int]]()
    for where, currency, amount, version, cash_id in drawn:
        if (cash_id, version) not in {(name, each[0]) for name, each in stands.items()} and version > stands.get(cash_id, (0,))[
            0
        ]:
            stands[cash_id] = version, where, currency, amount
        known = [row for row in house.engine.cash.rows() if row.key == (cash_id, version)]
        if not known:  # the store never rewrites a version
            take(house, cash(cash_id, str(amount), node=where, currency=currency, version=version))
    own: dict[str, float] = {}
    for _, where, currency, amount in stands.values():
        own[where] = own.get(where, 0.0) + amount * rates[currency]
    hierarchy = REFERENCE.hierarchy
    for number, name in enumerate(hierarchy.names):
        below = [node(house, hierarchy.names[child])["nav"] for child in range(*hierarchy.children[number])]
        row = node(house, name)
        held = row["total_pnl"] - row["fees"] if not below else 0.0
        assert row["nav"] == pytest.approx(own.get(name, 0.0) + held + sum(below), abs=1e-5)

"""The cash ladder by a hand-made example, and that it adds up to everything there is."""

from fractions import Fraction
from typing import Any

import pytest

from riskengine.engine.cash_ladder import cash_ladder, collect, collect_known, look_back, places_of, tails_of, unknown_places
from riskengine.market.fixings import Fixing
from riskengine.market.trading_day import TradingDay
from riskengine.positions.freezing import freeze_oldest
from riskengine.records.cash import StoredCashRow
from riskengine.records.option_inputs import RateRow
from tests.cash_records import carry, cash
from tests.world import NOON, SECOND, House, opening, reference, trade

DAY = 86_400 * SECOND
NEW_YORK = TradingDay("17:00", "America/New_York")


def ladder(house: House, node: str | None = None, currency: str | None = None) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    since = look_back(NEW_YORK, house.now)
    return cash_ladder(collect(house.engine, node=node, since=since, known={}), NEW_YORK, currency)


def flows(house: House, node: str | None = None) -> dict[tuple[str, str], float]:
    return {(row["currency"], row["bucket"]): row["amount"] for row in ladder(house, node)[0]}


@pytest.fixture
def house() -> House:
    """Wednesday 4 March 2026, noon. Trades of Monday 2 March settle today (FX) or settled on Tuesday (shares)."""
    house = House()
    monday = NOON - 2 * DAY
    house.engine.open_with([opening(quantity="10", average_price="1", ts=monday - DAY)])
    house.deal(
        trade("1", quantity="100", price="1.1", ts=monday),
        trade("2", quantity="40", price="1.2", side="sell", fees="150", fees_currency="JPY"),
        trade("3", instrument="USDCAD", quantity="5", price="1.4", desk="FX2"),
        trade("4", instrument="ACME", desk="EQ1", quantity="2", price="10", ts=monday),
        trade("5", instrument="ACME", desk="EQ1", quantity="1", price="12", side="sell"),
        trade("6", instrument="MAREL", desk="EQ1", quantity="3", price="7"),
        trade("7", instrument="ESZ6", desk="EQ1", quantity="1", price="5000", fees="2"),
        trade("8", instrument="BTCEUR", desk="EQ1", quantity="1", price="50", ts=monday),
    )
    rows: list[StoredCashRow] = [
        cash("C1", "1000", node="ALL", ts=monday),
        cash("C2", "20", node="FX"),
        cash("C3", "-300", node="FX1", currency="EUR", ts=NOON + 5 * DAY),
        carry("K1", "-3", ts=monday),
        carry("K2", "4", ts=NOON),
        carry("K3", "5", desk="EQ1", instrument="ESZ6", ts=monday),
        carry("K4", "6", desk="EQ1", instrument="ACME", currency="GBP", ts=monday, type="dividend"),
    ]
    house.engine.take_cash(rows, house.now)
    house.marks(EURUSD=1.25, USDJPY=150.0, USDCAD=1.5)
    return house


def test_a_ladder_made_by_hand(house: House) -> None:
    assert flows(house) == {
        ("CAD", "tom"): -7.0,
        ("EUR", "due"): 10.0 - 50.0,  # the opening balance, and bitcoins that were paid at once
        ("EUR", "today"): 100.0,
        ("EUR", "spot"): -40.0,
        ("EUR", "2026-03-09"): -300.0,
        ("GBP", "due"): 6.0,
        ("ISK", "spot"): -21.0,  # no T+1 there
        ("JPY", "spot"): -150.0,
        ("USD", "due"): -10.0 - 20.0 + 1000.0 - 3.0 + 5.0,  # of the future its carry
        ("USD", "today"): -110.0 + 20.0 + 4.0 - 2.0,  # and its fees
        ("USD", "tom"): 5.0 + 12.0,  # dollar-cad and dollar shares
        ("USD", "spot"): 48.0,
    }


def test_a_node_has_its_own_and_what_is_below_it(house: House) -> None:
    assert flows(house, "FX2") == {("CAD", "tom"): -7.0, ("USD", "tom"): 5.0}
    assert flows(house, "EQ1")["USD", "due"] == -20.0 + 5.0
    assert ("USD", "due") not in flows(house, "G10") or flows(house, "G10")["USD", "due"] == -13.0


def test_amounts_are_valued_and_what_has_no_rate_is_unknown_and_counted(house: House) -> None:
    rows, beside = ladder(house)
    worth = {(row["currency"], row["bucket"]): row["amount_reporting"] for row in rows}
    assert (worth["JPY", "spot"], worth["CAD", "tom"], worth["ISK", "spot"]) == (-1.0, pytest.approx(-7 / 1.5), None)
    spot = next(total for total in beside["totals"] if total["bucket"] == "spot")
    assert spot == {
        "value_date": "2026-03-06",
        "bucket": "spot",
        "amount_reporting": pytest.approx(-50 - 1 + 48),
        "unpriced_count": 1,
    }
    assert beside["today"] == "2026-03-04"
    assert [row["currency"] for row in ladder(house, currency="CAD")[0]] == ["CAD"]


def test_days_move_everything_to_due(house: House) -> None:
    all_there_is = totals(house)
    house.now = NOON + 9 * DAY
    house.engine.publish(house.now)
    assert {bucket for _, bucket in flows(house)} == {"due"}
    assert totals(house) == all_there_is


def totals(house: House) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for row in ladder(house)[0]:
        found[row["currency"]] = found.get(row["currency"], Fraction(0)) + Fraction(row["exact"])
    return found


def test_the_value_date_of_a_trade_goes_before_that_of_its_day(house: House) -> None:
    house.deal(trade("9", instrument="ACME", desk="EQ1", quantity="1", price="7", value_date="2026-03-12"))
    assert flows(house)["USD", "2026-03-12"] == -7.0


def test_what_is_dealt_before_a_week_of_holidays_is_due_only_once_it_has_settled() -> None:
    """Dollars against yuan of 12 February 2026 are for the 24th, after the Chinese New Year."""
    pair = {"instrument": "USDCNY", "kind": "fx", "base_currency": "USD", "quote_currency": "CNY"}
    where, dealt = reference(rows=[pair]), NOON - 20 * DAY
    house = House(where, now=dealt)
    house.deal(trade("1", where=where, instrument="USDCNY", quantity="100", price="7", ts=dealt))
    for days in (0, 8, 11):
        house.now = dealt + days * DAY
        house.beat()
        assert {(row["currency"], row["value_date"]) for row in ladder(house)[0]} == {
            ("CNY", "2026-02-24"),
            ("USD", "2026-02-24"),
        }
    house.now = dealt + 13 * DAY
    house.beat()
    assert flows(house) == {("CNY", "due"): -700.0, ("USD", "due"): 100.0}


def test_positions_that_are_known_are_not_read_again_unless_they_have_traded_since(house: House) -> None:
    since = look_back(NEW_YORK, house.now)
    known = tails_of(house.engine, places_of(house.engine.snapshot, 0, since), since)
    house.deal(trade("9", quantity="1", price="1"))
    taken = collect(house.engine, node=None, since=since, known=known)
    again = [place for place, tail in taken.tails.items() if known.get(place) is not tail]
    assert len(again) == 1
    assert cash_ladder(taken, NEW_YORK) == ladder(house)


def test_an_engine_without_nodes_has_an_empty_ladder() -> None:
    assert ladder(House(reference(parents={}, rows=[])))[0] == []


def test_a_ladder_of_many_steps_is_that_of_one_look_and_trades_that_come_meanwhile_are_read_again(house: House) -> None:
    since, snapshot = look_back(NEW_YORK, house.now), house.engine.snapshot
    known: dict[Any, Any] = {}
    for step in unknown_places(snapshot, 0, since, known):
        known |= tails_of(house.engine, step, since)
    assert unknown_places(snapshot, 0, since, known) == []
    taken = collect_known(house.engine, snapshot=snapshot, node=0, since=since, known=known)
    assert taken is not None
    assert cash_ladder(taken, NEW_YORK) == ladder(house)
    house.deal(trade("9", quantity="1", price="1"))
    assert collect_known(house.engine, snapshot=snapshot, node=0, since=since, known=known) is None
    [step] = unknown_places(house.engine.snapshot, 0, since, known)
    assert len(step) == 1


def test_frozen_trades_that_may_not_have_settled_are_asked_for_and_older_ones_are_due(house: House) -> None:
    def tails() -> Any:
        since = look_back(NEW_YORK, house.now)
        return tails_of(house.engine, places_of(house.engine.snapshot, 0, since), since)

    leaf, number = house.where.hierarchy.index["FX1"], house.where.instrument_index["EURUSD"]
    freeze_oldest(house.engine.ledger.organisation.books[leaf].positions[number], 1)  # Monday's: it settles today
    base = house.engine.ledger.organisation.books[leaf].positions[number].base
    assert base is not None and tails()[leaf, number].behind is base.newest
    house.now += 2 * DAY
    house.engine.publish(house.now)
    assert tails()[leaf, number].behind is None


KRW = {"instrument": "USDKRW", "kind": "fx", "base_currency": "USD", "quote_currency": "KRW"}
NDF = "USDKRW@2026-03-18"
TERMS = KRW | {"instrument": NDF, "kind": "fx_forward", "expiry": "2026-03-18", "fixing_date": "2026-03-16"}


def ndf_house(settled_in: str = "USD") -> House:
    """Long 10,000,000 dollars against won at 1,350, by the example of ACCOUNTING section 5; today's outright is 1,360.5."""
    terms = TERMS | {"fixing_source": "KFTC18", "settlement_currency": settled_in}
    made = House(reference(rows=[KRW, terms]))
    made.engine.forwards.take_rates(
        [RateRow("USDKRW", "points", "2026-03-18", NOON, 0.5), RateRow("KRW", "rate", "2027-03-08", NOON, 0.03)]
    )
    made.marks(USDKRW=1360.0)
    made.deal(trade("1", where=made.where, instrument=NDF, quantity="10000000", price="1350", fees="7", fees_currency="USD"))
    return made


def fix(house: House, price: float) -> None:
    house.engine.take_fixings({NDF: Fixing(NOON + 12 * DAY, price)})
    house.beat()


def test_what_is_not_delivered_is_no_flow_before_its_fixing_and_is_listed_with_what_it_would_pay_now() -> None:
    rows, beside = ladder(ndf_house())
    assert [(row["currency"], row["amount"]) for row in rows] == [("USD", -7.0)]  # the fees alone
    assert beside["awaiting_fixing"] == [
        {
            "instrument": NDF,
            "quantity": 10_000_000.0,
            "fixing_date": "2026-03-16",
            "value_date": "2026-03-18",
            "currency": "USD",
            "amount_expected": pytest.approx(10_000_000 * (1360.5 - 1350) / 1360.5, rel=1e-14),
            "mark": 1360.5,
        }
    ]
    assert ladder(ndf_house(), currency="KRW")[1]["awaiting_fixing"] == []


def test_without_an_outright_the_expected_amount_is_unknown() -> None:
    made = ndf_house()
    made.engine.forwards.take_rates([])
    made.beat()
    [waiting] = ladder(made)[1]["awaiting_fixing"]
    assert (waiting["amount_expected"], waiting["mark"]) == (None, None)


def test_from_its_fixing_on_a_forward_pays_the_difference_alone_on_its_value_date_exact() -> None:
    made = ndf_house()
    fix(made, 1380.0)
    rows, beside = ladder(made)
    found = {row["value_date"]: Fraction(row["exact"]) for row in rows}
    difference = Fraction(10_000_000 * 30, 1380)
    assert list(found) == ["2026-03-18"] and {row["currency"] for row in rows} == {"USD"}
    assert abs(found["2026-03-18"] - (difference - 7)) < Fraction(1, 10**28)
    assert beside["awaiting_fixing"] == []
    made.marks(USDKRW=1500.0)
    assert ladder(made)[0] == rows
    made.now += 20 * DAY
    made.beat()
    assert [(row["bucket"], row["exact"]) for row in ladder(made)[0]] == [("due", rows[0]["exact"])]


def test_a_forward_that_is_settled_in_the_quote_currency_pays_the_difference_in_it() -> None:
    made = ndf_house(settled_in="KRW")
    fix(made, 1380.0)
    assert flows(made) == {("KRW", "2026-03-18"): 300_000_000.0, ("USD", "2026-03-18"): -7.0}


def test_a_flat_position_waits_for_its_fixing_too_unless_it_is_paid_in_the_currency_that_it_made() -> None:
    for settled_in, listed in (("USD", [NDF]), ("KRW", [])):
        made = ndf_house(settled_in)
        made.deal(trade("2", where=made.where, instrument=NDF, quantity="10000000", price="1360", side="sell"))
        assert [each["instrument"] for each in ladder(made)[1]["awaiting_fixing"]] == listed
        assert flows(made).get(("KRW", "2026-03-18")) == (None if listed else 100_000_000.0)


def test_carry_of_what_is_not_delivered_flows_on_its_own_day() -> None:
    made = ndf_house()
    made.engine.take_cash([carry("K1", "-1000", instrument=NDF, currency="KRW")], made.now)
    made.beat()
    assert flows(made)["KRW", "today"] == -1000.0
    fix(made, 1380.0)
    assert flows(made)["KRW", "today"] == -1000.0
    assert flows(made)["USD", "2026-03-18"] == pytest.approx(10_000_000 * 30 / 1380 - 7)


def test_what_a_fixed_forward_has_paid_is_available_cash_and_unknown_without_a_fixing() -> None:
    made = ndf_house()
    assert made.node()["available_cash"] == -7.0
    made.now += 20 * DAY
    made.beat()
    assert made.node("FX1")["available_cash"] is None
    fix(made, 1380.0)
    made.marks(USDKRW=1500.0)
    assert made.node()["available_cash"] == pytest.approx(10_000_000 * 30 / 1380 - 7)
    made.engine.check()

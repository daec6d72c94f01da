"""The oracle against examples of ACCOUNTING: it is the judge, so somebody must judge it."""

from fractions import Fraction

from tests.simulation.oracle import Row, effective, fold, near, worth

TS = 1_800_000_000_000_000


def row(trade_id: str, side: str, quantity: str, price: str, **columns: object) -> Row:
    plain = Row(1, "oms", trade_id, 0, 1, "new", TS, 0, "EURUSD", "FX1", "ann", side, quantity, price, "0", "USD", "", "", TS)
    return plain._replace(**columns)  # type: ignore[arg-type]


def test_example_1_of_the_accounting_rules():
    sold = row("a", "sell", "12500000", "1.08432")
    assert near(worth("EURUSD", fold([sold]), {"EURUSD": 1.08046}).total, 48_250.0, 1e7)
    held = fold([sold, row("b", "buy", "2000000", "1.08420", ts=TS + 1)])
    found = worth("EURUSD", held, {"EURUSD": 1.08046})
    assert held.quantity == -10_500_000
    assert held.average == 1.08432
    assert near(found.total, 40_770.0, 1e7)
    assert near(found.unrealised, 40_530.0, 1e7)


def test_a_close_has_no_average_and_a_flip_has_the_new_price():
    bought = row("a", "buy", "100", "1.5")
    assert fold([bought, row("b", "sell", "100", "2", ts=TS + 1)]).average is None
    assert fold([bought, row("b", "sell", "150", "2", ts=TS + 1)]).average == 2.0
    assert fold([bought, row("b", "sell", "50", "2", ts=TS + 1)]).average == 1.5


def test_trades_are_folded_in_the_order_of_their_own_time():
    trades = [row("a", "buy", "100", "1"), row("b", "sell", "100", "2", ts=TS + 1), row("c", "buy", "50", "3", ts=TS + 2)]
    assert fold(reversed(trades)) == fold(trades)


def test_the_highest_version_counts_and_a_cancel_ends_it():
    first, amended = row("a", "buy", "100", "1"), row("a", "buy", "70", "1", version=2, action="amend")
    gone = row("a", "", "0", "0", version=3, action="cancel")
    desks = {"FX1"}
    assert effective([amended, first], lambda _: False, desks, "2027-01-04") == [amended]
    assert effective([gone, first, amended], lambda _: False, desks, "2027-01-04") == []


def test_a_trade_of_the_future_counts_once_a_person_says_so():
    ahead = row("a", "buy", "100", "1", ts=TS + 60_000_001)
    assert effective([ahead], lambda _: False, {"FX1"}, "2027-01-04") == []
    assert effective([ahead], lambda _: True, {"FX1"}, "2027-01-04") == [ahead]
    assert effective([ahead._replace(ts=TS + 60_000_000)], lambda _: False, {"FX1"}, "2027-01-04") != []


def test_cash_is_exact_and_fees_are_kept_by_currency():
    held = fold([row("a", "buy", "1000000.5", "0.1", fees="0.1", fees_currency="JPY"), row("b", "buy", "1", "0.2", fees="2")])
    assert held.cash == -(Fraction("1000000.5") / 10) - Fraction(1, 5)
    assert held.fees == {"JPY": Fraction(1, 10), "USD": 2}

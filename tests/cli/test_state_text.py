"""The tree as text."""

from riskengine.cli.state_text import tree_lines


def test_amounts_of_trillions_stay_apart():
    amounts = {"day_pnl": -9e12, "total_pnl": 7_499_999_600_667.17, "realised_pnl": None, "unrealised_pnl": 1e15}
    row = {"node": "ALL", "parent": None, **amounts, "position_count": 1, "trade_count": 2, "unpriced_count": 0}
    _, line = tree_lines([row])
    assert line.split() == [
        "ALL",
        "-9,000,000,000,000.00",
        "7,499,999,600,667.17",
        "-",
        "1,000,000,000,000,000.00",
        "1",
        "2",
        "0",
    ]

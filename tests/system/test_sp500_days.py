"""The drill of `replay/sp500_days.py`, shortened: sixty days of an equity house, every day rolled."""

from replay import sp500_days


def test_sixty_days_of_an_equity_house_are_those_of_pandas(shared_data, capsys):
    failed = sp500_days.run(shared_data, days=60, accounts=40)
    assert failed == [], capsys.readouterr().out

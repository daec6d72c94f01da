"""The names of what needs a person."""

from riskengine.positions.processed import exception_id
from tests.world import trade


def test_exceptions_of_two_trades_never_share_a_name():
    trades = [trade(name, source=source) for source, name in (("a:b", "c"), ("a", "b:c"), ("a%3Ab", "c"))]
    assert len({exception_id("quarantined", each) for each in trades}) == 3
    assert exception_id("quarantined", trade("c", source="a")) == "quarantined:a:c:0:1"

"""A close that the next day has followed is released a few positions at a time."""

from riskengine.process.strikes import LET_GO_AT_ONCE, let_go
from riskengine.records.closes import ClosedPosition
from tests.struck import a_large_close


class Watched(list[ClosedPosition]):
    """A list that notes how many positions each deletion takes."""

    def __init__(self, positions: tuple[ClosedPosition, ...]) -> None:
        super().__init__(positions)
        self.went: list[int] = []

    def __delitem__(self, places: object) -> None:
        before = len(self)
        super().__delitem__(places)  # type: ignore[arg-type]
        self.went.append(before - len(self))


def test_all_positions_go_and_few_at_once():
    going = Watched(a_large_close("2026-12-01", 5_000, 50).nodes)
    let_go(going)
    assert not going and sum(going.went) == 5_000
    assert max(going.went) <= LET_GO_AT_ONCE

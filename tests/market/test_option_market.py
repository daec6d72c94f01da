"""The newest row of each subject is in force, whatever the order in which rows came."""

from hypothesis import given
from hypothesis import strategies as st

from riskengine.market.option_market import MAX_AHEAD_US, Changed, OptionMarket, subject_of
from riskengine.market.overtaken import LEFT_BEHIND_US
from riskengine.records.option_inputs import OptionInput, PushedGreeks, RateRow, SurfaceRow, Vol

NOW = 1_000_000_000_000

TIMES = st.integers(NOW - 5, NOW + 5)
NUMBERS = st.sampled_from([0.1, 0.2])
ROWS: st.SearchStrategy[OptionInput] = st.one_of(
    st.builds(Vol, st.sampled_from("AB"), TIMES, NUMBERS),
    st.builds(SurfaceRow, st.sampled_from("PQ"), st.sampled_from(["2026-06-18", "2026-09-17"]), TIMES, NUMBERS),
    st.builds(
        RateRow, st.sampled_from(["USD", "P"]), st.sampled_from(["rate", "df", "points"]), st.just("2026-06-18"), TIMES, NUMBERS
    ),
    st.builds(PushedGreeks, st.sampled_from("AB"), TIMES, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
)


def plain_subject(row: OptionInput) -> tuple[str, ...]:
    """The subject by the words of INTERFACE section 5, not by the code under test."""
    names = {name: getattr(row, name) for name in row.__struct_fields__}
    kind = {"df": "rate"}.get(names.get("kind", ""), names.get("kind", ""))
    keys = [names.get(key, "") for key in ("instrument", "pair", "expiry", "subject", "date")]
    return (type(row).__name__, kind, *keys)


@given(st.lists(ROWS), st.integers(1, 4))
def test_the_newest_by_time_is_in_force_and_of_equal_ones_the_later_arrival(rows: list[OptionInput], batch: int) -> None:
    expected: dict[tuple[str, ...], OptionInput] = {}
    older = 0
    market = OptionMarket()
    for first in range(0, len(rows), batch):
        for row in rows[first : first + batch]:
            before = expected.get(plain_subject(row))
            if before is None or before.ts <= row.ts:
                expected[plain_subject(row)] = row
            else:
                older += 1
        older -= market.take(rows[first : first + batch], NOW).older
    assert (sorted(map(repr, market)), older) == (sorted(map(repr, expected.values())), 0)
    assert len(market) == len(expected)
    assert all(market.in_force(row) == row for row in market)


@given(st.lists(ROWS))
def test_taking_again_what_is_in_force_changes_nothing(rows: list[OptionInput]) -> None:
    market = OptionMarket(rows, NOW)
    assert market.take(list(market), NOW) == Changed(set(), set(), set(), set())


def test_what_changes_is_named() -> None:
    market = OptionMarket()
    greeks = PushedGreeks("A", NOW, 1.1, 0.1, 0.02, 0.5, 3.0, 0.002, -0.001)
    surface, rate = SurfaceRow("EURUSD", "2026-06-18", NOW, 0.08), RateRow("USD", "df", "2026-06-18", NOW, 0.99)
    assert market.take([Vol("A", NOW, 0.1), surface, rate, greeks], NOW) == Changed({"A"}, {"EURUSD"}, {("rate", "USD")}, {"A"})
    assert market.take([Vol("A", NOW - 1, 0.2), surface], NOW) == Changed(set(), set(), set(), set(), older=1)
    assert market.surface_rows("EURUSD") == [surface]
    assert (market.surface_rows("USDJPY"), market.rate_rows(), list(market.pairs)) == ([], [rate], ["EURUSD"])
    assert (market.vols["A"].vol, market.greeks["A"]) == (0.1, greeks)


def test_rates_and_surfaces_come_in_the_order_of_dates_whatever_the_order_of_arrival() -> None:
    later, sooner = SurfaceRow("P", "2026-09-17", NOW, 0.1), SurfaceRow("P", "2026-06-18", NOW, 0.1)
    rates = [RateRow("USD", "rate", date, NOW, 0.04) for date in ("2027-01-04", "2026-04-01")]
    market = OptionMarket([later, sooner, *rates], NOW)
    assert market.surface_rows("P") == [sooner, later]
    assert market.rate_rows() == rates[::-1]


def test_rows_that_newer_ones_have_overtaken_take_no_part_and_are_named() -> None:
    old = NOW - LEFT_BEHIND_US - 1
    market = OptionMarket()
    market.take([RateRow("USD", "rate", "2026-06-04", old, 0.09), SurfaceRow("P", "2026-06-04", old, 0.3)], NOW)
    assert (len(market.rate_rows()), len(market.surface_rows("P")), market.left_out) == (1, 1, ())
    dates = ("2026-06-01", "2026-06-05")
    new = [RateRow("USD", "df", date, NOW, 0.99) for date in dates]
    market.take([*new, *(SurfaceRow("P", date, NOW, 0.1) for date in dates)], NOW)
    assert (market.rate_rows(), [row.expiry for row in market.surface_rows("P")]) == (new, list(dates))
    assert market.left_out == ("vols P 2026-06-04", "rate USD 2026-06-04")
    assert len(market) == len(list(market)) == 6


def test_a_row_from_ahead_of_a_clock_that_was_set_back_gives_way() -> None:
    market = OptionMarket([Vol("A", NOW + MAX_AHEAD_US + 1, 0.3)], NOW)
    market.take([Vol("A", NOW, 0.1)], NOW)
    assert market.vols["A"].vol == 0.1


def test_a_rate_and_a_discount_factor_of_one_date_are_one_subject() -> None:
    rate, factor = RateRow("USD", "rate", "2026-06-18", NOW, 0.04), RateRow("USD", "df", "2026-06-18", NOW + 1, 0.99)
    assert subject_of(rate) == subject_of(factor)
    assert OptionMarket([factor, rate], NOW).rate_rows() == [factor]

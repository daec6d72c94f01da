"""The known name that a misspelt one stands for."""

import pytest

from riskengine.nearest import by_first_words, nearest, unknown

TRADE = ("trade_id", "leg", "fees", "fees_currency", "side", "legs", "ts", "price", "desk", "mid", "multiplier")


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("fee", "fees"),
        ("Fees", "fees"),
        ("Fees Currency", "fees_currency"),
        ("FeesCurrency", "fees_currency"),
        ("fee-currency", "fees_currency"),
        ("TradeID", "trade_id"),
        ("trade_ids", "trade_id"),
        ("multiplyer", "multiplier"),
        ("mutliplier", "multiplier"),
        ("Multiplyer", "multiplier"),
        ("prcie", "price"),
        ("sid", "side"),
    ],
)
def test_a_name_is_found_by_its_letters_and_by_up_to_two_edits(sent: str, meant: str) -> None:
    assert nearest(sent, TRADE) == meant


@pytest.mark.parametrize("sent", ["", "x", "id", "quantity", "comment", "side_effect", "log_level", "\N{SNOWMAN}"])
def test_a_name_of_its_own_is_like_none(sent: str) -> None:
    assert nearest(sent, TRADE) is None


def test_a_name_without_a_near_one_is_refused_with_all_that_there_are() -> None:
    assert unknown("fee", ["fees", "side"], "a field of a trade") == "is not a field of a trade: did you mean fees?"
    assert unknown("colour", ["fees", "side"], "a field of a trade") == "is not a field of a trade; there are fees, side"
    assert unknown("colour", [], "a parameter of this route") == "is not a parameter of this route; there are none"


def test_a_long_name_costs_no_more_than_a_short_one() -> None:
    assert nearest("x" * 1_000_000, TRADE) is None


@pytest.mark.parametrize(
    ("sent", "known", "meant"),
    [
        ("ENEL SPA", ["ENI", "ENEL"], "ENEL"),
        ("Enel Green Power SpA", ["ENEL", "ENEL GREEN POWER"], "ENEL GREEN POWER"),
        ("VODAFONE", ["VODAFONE GROUP PLC", "BP PLC"], "VODAFONE GROUP PLC"),
        ("VODAFONE", ["VODAFONE GROUP", "VODAFONE PLC"], None),
        ("VODAFONE GRP", ["VODAFONE PLC"], None),
        ("ENELX SPA", ["ENEL"], None),
        ("A 2027", ["A"], None),
        ("", ["ENEL"], None),
    ],
)
def test_the_first_words_of_a_name_find_the_known_one(sent, known, meant):
    assert by_first_words(sent, known) == meant

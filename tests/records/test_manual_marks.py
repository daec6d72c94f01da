"""Marks that people set by hand, as they are sent: what is taken, and which field is refused and why."""

import json
from typing import Any

import pytest

from riskengine.records.fields import Rejected
from riskengine.records.manual_marks import ManualMark, ManualMarkInput, check_manual_mark, decode_marks
from riskengine.records.types import Refusal
from tests.world import NOON, REFERENCE, SECOND

MINUTE = 60 * SECOND


def checked(**columns: Any) -> ManualMark:
    sent = {"instrument": "EURUSD", "ts": NOON, "price": 1.1} | columns
    [item] = decode_marks(json.dumps([{name: value for name, value in sent.items() if value is not ...}]).encode())
    assert isinstance(item, ManualMarkInput), item
    return check_manual_mark(item, REFERENCE.by_symbol, NOON, MINUTE, "desk token")


def test_a_mark_is_its_author_s_and_the_token_s_where_it_names_none() -> None:
    assert checked() == ManualMark(instrument="EURUSD", ts=NOON, price=1.1, author="desk token", entered_ts=NOON)
    full = checked(author="ann", reason="feed is wrong:\n1.2", expires_ts=NOON + 1, price="1.25")
    assert (full.author, full.reason, full.expires_ts, full.price) == ("ann", "feed is wrong:\n1.2", NOON + 1, 1.25)
    assert (full.holds(NOON), full.holds(NOON + 1), checked().holds(NOON)) == (True, False, False)
    assert checked(action="clear", price=...).cleared


@pytest.mark.parametrize(
    ("columns", "field", "reason"),
    [
        ({"instrument": "NONE"}, "instrument", "unknown instrument 'NONE'"),
        ({"ts": NOON + MINUTE + 1}, "ts", "is more than 60 s ahead of the clock"),
        ({"price": ...}, "price", "is missing"),
        ({"price": -1}, "price", "must be above 0"),
        ({"price": "1e400"}, "price", "is larger than 1e15"),
        ({"expires_ts": NOON}, "expires_ts", "must be after ts and after now"),
        ({"expires_ts": "soon"}, "expires_ts", "is not a time: 'soon'"),
        ({"action": "hold"}, "action", "must be set or clear: 'hold'"),
        ({"action": "clear"}, "price", "must be left out: clear ends the mark that holds"),
        ({"currency": "EUR"}, "currency", "is 'EUR', and EURUSD is dealt in USD"),
        ({"author": " ann"}, "author", "has a character that a name cannot have: ' ann'"),
        ({"reason": "x" * 1_001}, "reason", "is longer than 1,000 characters"),
    ],
)
def test_a_bad_field_is_named(columns: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(Rejected) as refused:
        checked(**columns)
    assert (refused.value.field, refused.value.reason) == (field, reason)


def test_an_item_that_is_no_mark_is_refused_in_its_place() -> None:
    [first, second] = decode_marks(b'[{"instrument": "EURUSD", "ts": 1, "prize": 2}, {"instrument": "EURUSD", "ts": 1}]')
    assert first == Refusal(0, "prize", "is not a field of a mark: did you mean price?")
    assert isinstance(second, ManualMarkInput)

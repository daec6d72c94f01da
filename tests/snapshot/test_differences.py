import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.snapshot.differences import APPEARED, CHANGED, GONE, Difference, change_of, differences, largest

VALUES = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from([0.5, "", "a"]))
LISTS = st.dictionaries(st.sampled_from("abcd"), st.fixed_dictionaries({"x": VALUES, "y": VALUES}), max_size=4)


def rows(named: dict[str, dict]) -> list[dict]:
    return [{"name": name, **cells} for name, cells in named.items()]


@given(LISTS, LISTS)
def test_every_cell_that_differs_is_named_and_no_other(before: dict, after: dict) -> None:
    found = list(differences(rows(before), rows(after), ("name",)))
    expected = {}
    for name in before.keys() | after.keys():
        for field in ("x", "y"):
            was, now = (side.get(name, {}).get(field) for side in (before, after))
            if (type(was) is bool, was) != (type(now) is bool, now):
                expected[name, field] = (was, now)
    assert {(*each.key, each.field): (each.before, each.after) for each in found} == expected
    assert len(found) == len(expected)


def test_a_row_that_only_one_list_has_differs_in_what_is_known_of_it() -> None:
    found = list(differences(rows({"a": {"x": 1, "y": None}}), rows({"b": {"x": 2, "y": None}}), ("name",)))
    assert found == [
        Difference(("b",), "x", APPEARED, None, 2, None),
        Difference(("a",), "x", GONE, 1, None, None),
    ]


def test_a_change_is_a_difference_of_numbers_and_exact_of_texts() -> None:
    assert change_of(1, 3) == 2
    assert change_of("0.1", "0.30000000000000000001") == "0.20000000000000000001"
    assert [change_of(*pair) for pair in ((None, 1), (1, None), (True, False), ("a", "b"), ("1", 2))] == [None] * 5


def test_the_largest_change_of_each_field() -> None:
    found = [Difference((name,), "x", CHANGED, 0.0, change, change) for name, change in (("a", -3.0), ("b", 2.0))]
    assert largest([*found, Difference(("a",), "y", CHANGED, None, 1, None)]) == {"x": 3.0, "y": 0.0}


def test_two_rows_of_one_name_are_no_list() -> None:
    with pytest.raises(ValueError, match="two rows"):
        list(differences([{"name": "a"}, {"name": "a"}], [], ("name",)))

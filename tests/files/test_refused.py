"""The lines that a load did not take, as a CSV that can be corrected and loaded again."""

import csv

import pytest

from riskengine.errors import InputError
from riskengine.files.refused import RefusedLines
from riskengine.records.types import Refusal


def test_a_line_is_written_as_it_was_read_with_its_place_and_reason(tmp_path):
    path = tmp_path / "refused.csv"
    with RefusedLines(str(path), ["trade_id", "price"]) as lines:
        lines.keep(2, {"trade_id": "a", "price": "1,5", "dealer": "ann"})
        lines.write("t.csv", Refusal(2, "price", "is not a number"))
        lines.write("t.csv", Refusal(3, "", "has 1 field; the header has 2"))
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["trade_id", "price", "file", "line", "reason"],
            ["a", "1,5", "t.csv", "2", "price: is not a number"],
            ["", "", "t.csv", "3", "has 1 field; the header has 2"],
        ]


def test_a_row_that_is_held_outlives_its_batch_and_no_file(tmp_path):
    path = tmp_path / "refused.csv"
    with RefusedLines(str(path), ["trade_id"]) as lines:
        for line in (2, 3, 4):
            lines.keep(line, {"trade_id": str(line)})
        lines.hold(3)
        lines.forget()
        lines.write("t.csv", Refusal(2, "", "gone"))
        lines.write("t.csv", Refusal(3, "", "held"))
        lines.hold(4)
        lines.forget(whole_file=True)
        lines.write("u.csv", Refusal(3, "", "another file"))
    assert path.read_text().splitlines()[1:] == [",t.csv,2,gone", "3,t.csv,3,held", ",u.csv,3,another file"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"--refused: .* cannot be written"):
        RefusedLines(str(tmp_path), [])


def test_what_would_be_a_formula_is_guarded_and_a_number_is_not(tmp_path):
    path = tmp_path / "refused.csv"
    with RefusedLines(str(path), ["trade_id", "price"]) as lines:
        lines.keep(2, {"trade_id": "=1+1", "price": "-5"})
        lines.write("@t.csv", Refusal(2, "", "-x"))
        lines.keep(3, {"trade_id": "-77", "price": "=5"})
        lines.write("t.csv", Refusal(3, "price", "is not a number"))
    assert path.read_text().splitlines()[1:] == ["'=1+1,-5,'@t.csv,2,'-x", "'-77,'=5,t.csv,3,price: is not a number"]


def test_all_rows_of_a_line_are_written_once(tmp_path):
    path = tmp_path / "refused.csv"
    with RefusedLines(str(path), ["trade_id", "leg"]) as lines:
        for leg in "01":
            lines.keep(2, {"trade_id": "a", "leg": leg})
        lines.write("t.csv", Refusal(2, "", "conflict"))
        lines.write("t.csv", Refusal(2, "", "conflict"))
    assert path.read_text().splitlines()[1:] == ["a,0,t.csv,2,conflict", "a,1,t.csv,2,conflict"]


def test_a_carriage_return_inside_a_value_ends_no_line(tmp_path):
    path = tmp_path / "refused.csv"
    with RefusedLines(str(path), ["trade_id", "ts"]) as lines:
        lines.keep(2, {"trade_id": "a", "ts": "2025\r01"})
        lines.write("t.csv", Refusal(2, "ts", "is not a time"))
        lines.write("t.csv", Refusal(3, "", "has 1 field"))
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file, strict=True))[1:] == [
            ["a", "2025\r01", "t.csv", "2", "ts: is not a time"],
            ["", "", "t.csv", "3", "has 1 field"],
        ]

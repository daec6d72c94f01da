"""`riskengine check-mapping`: a mapping is shown on a file, and nothing is loaded."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import fails, riskengine

MAPPING = """
kind = "trades"
id = "Ref"
columns = { ts = "Time", side = "Side", quantity = "Qty", price = "Px", instrument = "Sym" }
"""
HEADER = "Ref,Time,Side,Qty,Px,Sym,Note\n"
GOOD = "1,2026-03-02T08:00:00Z,buy,5,1.5,EURUSD,x\n"


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "our.toml"
    path.write_text(MAPPING)
    return path


def export(folder: Path, text: str) -> Path:
    path = folder / "export.csv"
    path.write_text(HEADER + text)
    return path


def test_a_valid_mapping_is_said_to_be_one(mapping: Path) -> None:
    done = riskengine("check-mapping", mapping)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "a valid mapping of trades" in done.stdout


def test_a_mistake_is_one_line(mapping: Path) -> None:
    mapping.write_text(MAPPING.replace("columns", "column"))
    fails(riskengine("check-mapping", mapping), "column: is not a key of a mapping: did you mean columns?")


def test_the_first_rows_are_shown_as_they_would_be_read(mapping: Path, tmp_path: Path) -> None:
    done = riskengine("check-mapping", mapping, "--against", export(tmp_path, GOOD * 9), "--rows", "2")
    assert done.exit_code == 0
    *rows, summary = done.stdout.splitlines()
    assert rows == [
        f"line {line}: trade_id 1, ts 2026-03-02T08:00:00Z, instrument EURUSD, side buy, quantity 5, price 1.5" for line in (2, 3)
    ]
    assert summary.endswith("9 rows of trades would be read, 0 refused")
    assert "ignored column that" in done.stderr and "Note" in done.stderr
    assert "gives no desk: --set desk=.. does" in done.stderr


def test_a_line_that_cannot_be_read_is_shown_and_fails(mapping: Path, tmp_path: Path) -> None:
    done = riskengine("check-mapping", mapping, "--against", export(tmp_path, GOOD + GOOD.replace("1.5", "1,5")))
    assert done.exit_code == 1
    assert "export.csv:3: has 8 fields; the header has 7" in done.stderr
    done = riskengine("check-mapping", mapping, "--against", export(tmp_path, GOOD.replace("1.5", "1x5")))
    assert done.exit_code == 1
    assert "export.csv:2: price: " in done.stderr


def test_a_file_without_a_row_fails(mapping: Path, tmp_path: Path) -> None:
    assert riskengine("check-mapping", mapping, "--against", export(tmp_path, "")).exit_code == 1


def test_the_wrong_file_is_one_line(mapping: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("A,B\n1,2\n")
    fails(riskengine("check-mapping", mapping, "--against", path), "is it the mapping of this file?")


def test_programs_get_one_object(mapping: Path, tmp_path: Path) -> None:
    done = riskengine("check-mapping", mapping, "--against", export(tmp_path, GOOD), "--json")
    answer = json.loads(done.stdout)
    assert (answer["kind"], answer["rows"], answer["refused"]) == ("trades", 1, 0)
    assert answer["first"][0]["line"] == 2


DATED = MAPPING.replace('instrument = "Sym"', 'instrument = "Sym", value_date = "Note"')


@pytest.mark.parametrize(
    ("value", "zone", "said"),
    [
        ("2026-02-03", "", "value_date is before the trade's day in 2 rows (line 2: 2026-03-02 and 2026-02-03)"),
        ("2026-04-03", "", "value_date is more than 31 days after the trade's day in 2 rows"),
        ("2026-04-02", "", ""),
        ("2026-03-01", "", ""),
        ("2026-03-01", "[times]\nzone = 'Europe/Rome'", "is before the trade's day in 2 rows"),
    ],
)
def test_a_value_date_far_from_its_trade_is_a_doubt_and_no_refusal(
    mapping: Path, tmp_path: Path, value: str, zone: str, said: str
) -> None:
    mapping.write_text(f"{DATED}{zone}\n")
    done = riskengine("check-mapping", mapping, "--against", export(tmp_path, GOOD.replace(",x", f",{value}") * 2))
    assert done.exit_code == 0
    assert (said in done.stderr) if said else ("DOUBT" not in done.stderr)

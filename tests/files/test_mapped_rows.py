"""Files read by a mapping: rows under our names, and each value that does not fit refused in its place."""

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from riskengine.errors import InputError
from riskengine.files.columns import ColumnOptions
from riskengine.files.mappings.mapped_rows import rows_of
from riskengine.files.mappings.mapping import parse_mapping
from riskengine.records.types import Refusal

Written = Callable[[bytes | str], str]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes a file and gives its path."""

    def write(content: bytes | str) -> str:
        path = tmp_path / "export.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def read(path: str, text: str, kind: str = "statement", **options: Any) -> list[tuple[int, Any]]:
    """The rows of a file, and of a refused line `field: reason`. A statement needs the fewest fields."""
    mapping = parse_mapping(f'kind = "{kind}"\n{text}', "our.toml")
    found: list[tuple[int, Any]] = []
    for line, row in rows_of(path, ColumnOptions(mapping=mapping, **options), mapping.shape):
        found.append((line, f"{row.field}: {row.reason}" if isinstance(row, Refusal) else row))
    return found


def error(path: str, text: str, kind: str = "statement") -> str:
    """Why a file is not read at all."""
    with pytest.raises(InputError) as caught:
        read(path, text, kind)
    said = str(caught.value)
    assert "\n" not in said
    return said


MOMENT = "2026-03-02T08:00:00Z"
CUT_OFF = ", and the line has no end: the file was cut off here, or give it a line end"
BOTH = 'columns = { instrument = "A", quantity = "B" }\n'


def row(instrument: str, quantity: str, **more: Any) -> dict[str, Any]:
    return {"instrument": instrument, "quantity": quantity} | more


# -- lines and columns -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"A;B\nX;1,5\n", 'delimiter = ";"\ndecimal = ","\n'),
        (b"A\tB\r\nX\t1.5\r\n", 'delimiter = "tab"\n'),
        (b'a|"B"\n"X"|1.5\n', 'delimiter = "pipe"\n'),
        ("A,B\nX,1.5\n".encode("utf-16"), 'encoding = "utf-16"\n'),
        ("A,B\nX,1.5\n".encode("utf-16-be"), 'encoding = "utf-16-be"\n'),
        (b"\xef\xbb\xbfA,B\nX,1.5\n", ""),
        (gzip.compress(b"A,B\nX,1.5\n", mtime=0), ""),
    ],
)
def test_the_same_rows_however_they_were_saved(written: Written, content: bytes, text: str) -> None:
    assert read(written(content), text + BOTH) == [(2, row("X", "1.5"))]


def test_a_character_set_is_read_as_the_mapping_says(written: Written) -> None:
    path = written("Händler,B\nJürgen,1\n".encode("cp1252"))
    columns = 'columns = { dealer = "Händler", quantity = "B" }\nset = { instrument = "X" }\n'
    assert read(path, 'encoding = "cp1252"\n' + columns)[0][1]["dealer"] == "Jürgen"
    assert "is not UTF-8 at byte 2" in error(path, columns)


def test_a_line_that_is_not_utf_8_is_refused_alone_however_that_is_written(written: Written) -> None:
    path = written(b"A,B\nX,1\n\xff,1\nY,1\n")
    for name in ("utf-8", "UTF8", "U8"):
        found = read(path, f'encoding = "{name}"\n' + BOTH)
        assert [line for line, made in found if isinstance(made, dict)] == [2, 4]
        assert "is not UTF-8 at byte 1" in found[1][1]


def test_a_file_in_another_character_set_than_the_mapping_says_is_told(written: Written) -> None:
    assert "is not utf-16-le near byte" in error(written(b"A,B\nX,1\n\xdc"), 'encoding = "utf-16-le"\n' + BOTH)


def test_lines_above_the_header_are_passed_over_by_number_or_up_to_the_header(written: Written) -> None:
    path = written("Export\n\nof,today\nA,B\nX,1\n")
    assert read(path, "skip = 3\n" + BOTH) == [(5, row("X", "1"))]
    assert read(path, 'skip = "header"\n' + BOTH) == [(5, row("X", "1"))]


def test_a_file_of_fewer_lines_than_are_passed_over_ends_before_its_header(written: Written) -> None:
    assert error(written("A,B\nX,1\n"), f"skip = {2**62}").endswith("ends before its header")


def test_a_header_that_never_comes_is_told_with_the_nearest_line(written: Written) -> None:
    said = error(written("Export\nA,C\nX,1\n"), 'skip = "header"\n' + BOTH)
    assert "no line is the header that our.toml names (A, B); line 2 comes nearest and lacks B" in said


def test_a_column_that_the_file_does_not_have_is_a_mistake_of_the_whole_file(written: Written) -> None:
    said = error(written("A,Amounts\nX,1\n"), BOTH.replace('"B"', '"Amount"'))
    assert "has no column 'Amount', which our.toml names (columns.quantity): is it the mapping of this file?" in said
    assert "did you mean Amounts?" in said and "The header is A, Amounts" in said


def test_a_name_that_stands_twice_needs_its_place(written: Written) -> None:
    path = written("A,B,B\nX,1,2\n")
    assert "the header has 'B' 2 times: columns.quantity needs B#1 or B#2" in error(path, BOTH)
    assert read(path, 'columns = { instrument = "A", quantity = "B#2" }') == [(2, row("X", "2"))]


def test_columns_without_names_go_by_number(written: Written) -> None:
    assert read(written("A,B,\nX,1,desk7\n"), BOTH.replace("}", ", desk = 3 }")) == [(2, row("X", "1", desk="desk7"))]
    assert read(written("X,1\n"), "header = false\ncolumns = { instrument = 1, quantity = 2 }") == [(1, row("X", "1"))]


def test_a_number_too_long_to_be_changed_is_refused_and_its_word_told_by_its_beginning(written: Written) -> None:
    digits, word = "9" * 90, "w" * 5_000
    rule = BOTH + f'[numbers.quantity]\nround = 2\n[values.instrument]\n{word} = "X"\nACME = "ACME"'
    path = written(f"A,B\nACME,{digits}\nACNE,1\nACME,1.004\n")
    (_, first), (_, second), third = read(path, rule)
    assert first.startswith("quantity: has too many digits to be changed exactly")
    assert second.startswith("instrument: is 'ACNE', a word that values.instrument does not have")
    assert len(second) < 300
    assert third == (4, row("ACME", "1.00"))


def test_a_column_may_be_optional(written: Written) -> None:
    text = 'optional = ["Kind", "Desk"]\nwhere = { Kind = "Trade" }\n' + BOTH.replace("}", ', desk = "Desk" }')
    assert read(written("A,B\nX,1\n"), text) == [(2, row("X", "1"))]
    assert read(written("A,B,Kind,Desk\nX,1,Trade,d\nY,2,Fee,d\n"), text) == [(2, row("X", "1", desk="d"))]


def test_fixed_width_columns(written: Written) -> None:
    text = 'skip = 1\nfixed = { isin = "1-4", filler = "5", amount = "6-12", rest = "13-20" }\n'
    text += 'columns = { instrument = "isin", quantity = "amount" }\n'
    assert read(written("HEADER\nAAAA      1.5\nBBBB   2.5  some\n"), text) == [(2, row("AAAA", "1.")), (3, row("BBBB", "2.5"))]


def test_a_fixed_width_line_that_was_cut_is_refused(written: Written) -> None:
    text = 'fixed = { isin = "1-4", amount = "6-12" }\ncolumns = { instrument = "isin", quantity = "amount" }\n'
    found = read(written("AAAA     100\nBBBB \n"), text)
    assert found == [(1, row("AAAA", "100")), (2, ": is too short: it reaches 1 of 2 columns")]


def test_what_no_column_maps_is_told_once(written: Written) -> None:
    said: list[str] = []
    read(written("A,B,C,D\nX,1,2,3\nX,1,2,3\n"), BOTH, tell=said.append)
    [line] = said
    assert line.endswith("ignored columns that our.toml does not map: C, D")


# -- rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        ('"Buy"', [2]),
        ('["Buy", "Sell"]', [2, 3]),
        ("true", [2, 3, 4]),
        ("false", [5]),
        ("{ matches = '[BS].*' }", [2, 3]),
        ('{ not = ["Fee", ""] }', [2, 3]),
    ],
)
def test_rows_count_by_their_values(written: Written, wanted: str, taken: list[int]) -> None:
    path = written("A,B,T\nX,1,Buy\nX,1,Sell\nX,1,Fee\nX,1,\n")
    assert [line for line, _ in read(path, f"where = {{ T = {wanted} }}\n" + BOTH)] == taken


def test_rows_that_do_not_count_are_told_with_their_values(written: Written) -> None:
    said: list[str] = []
    read(written("A,B,T\nX,1,Buy\nX,1,Fee\nX,1,Fee\nX,1,\n"), 'where = { T = "Buy" }\n' + BOTH, tell=said.append)
    assert said[0].endswith("3 left out by where.T: 'Fee' (2), empty (1)")


def test_a_line_of_totals_may_have_fewer_fields_than_the_header(written: Written) -> None:
    path = written("A,B,T\nX,1,Buy\nSum 1\n")
    assert read(path, 'where = { T = "Buy" }\n' + BOTH) == [(2, row("X", "1"))]
    assert read(path, BOTH)[-1] == (3, ": has 1 field; the header has 3")


def test_a_last_line_that_was_cut_off_is_no_line_of_totals(written: Written) -> None:
    text = 'where = { T = "Sell" }\n' + BOTH
    found = read(written("T,A,B\nSell,X,1\nSel"), text)
    assert found[1][0] == 3 and "has 1 field; the header has 3, and the line has no end: the file was cut off" in found[1][1]
    assert read(written("T,A,B\nSell,X,1\nSum\n"), text) == [(2, row("X", "1"))]


def test_a_line_that_was_cut_is_refused(written: Written) -> None:
    assert read(written("A,B,C\nX,1,c\nX,1"), BOTH) == [(2, row("X", "1")), (3, f": has 2 fields; the header has 3{CUT_OFF}")]


def test_several_records_of_one_row_have_legs_of_their_own(written: Written) -> None:
    text = """
    id = "Ref"
    set = { instrument = "X", desk = "D", quantity = 1, side = "buy" }
    [[records]]
    columns = { ts = "Opened", price = "In" }
    [[records]]
    where = { Closed = true }
    columns = { ts = "Closed", price = "Out" }
    set = { side = "sell" }
    """
    found = read(written(f"Ref,Opened,In,Closed,Out\n7,{MOMENT},10,{MOMENT},11\n8,{MOMENT},12,,\n"), text, "trades")
    made = [(line, each["trade_id"], each["leg"], each["side"], each["price"]) for line, each in found]
    assert made == [(2, "7", "0", "buy", "10"), (2, "7", "1", "sell", "11"), (3, "8", "0", "buy", "12")]


PENCE_AND_POUNDS = """
set = { source = "s", desk = "EQ1", ts = "2026-03-02T08:00:00Z", side = "buy" }
columns = { trade_id = "Ref", instrument = "Ref", currency = "Ccy", quantity = "Q", price = "P" }
check = { total = "Sum" }
[[records]]
where = { Ccy = "EUR" }
set = { leg = "0" }
[[records]]
where = { Ccy = "GBX" }
set = { leg = "0", currency = "GBP" }
numbers = { price = { multiply = 0.01 } }
"""


def test_rows_of_pence_become_pounds_by_a_record_of_their_own(written: Written) -> None:
    path = written("Ref,Ccy,Q,P,Sum\n1,EUR,10,6.5,65\n2,GBX,12000,71.24,8548.80\n")
    found = [row for _, row in read(path, PENCE_AND_POUNDS, "trades")]
    assert [(row["leg"], row["source"]) for row in found] == [("0", "s"), ("0", "s")]
    assert [(row["price"], row["currency"]) for row in found] == [("6.5", "EUR"), ("0.7124", "GBP")]


def test_a_row_that_fits_none_of_the_records_is_refused(written: Written) -> None:
    text = BOTH + '[[records]]\nwhere = { T = "Buy" }\n[[records]]\nwhere = { T = "Sell" }\n'
    found = read(written("A,B,T\nX,1,Buy\nX,1,Split\n"), text)
    assert found == [(2, row("X", "1")), (3, "T: fits the conditions of none of the records: T 'Split'")]


# -- fields ----------------------------------------------------------------------------------------------------------


def test_fields_are_joined_first_or_summed(written: Written) -> None:
    path = written("A,B,C,D\nEUR,USD,1.5,\nEUR,,2,0.25\n")
    columns = 'columns = { instrument = ["A", "B"], quantity = { sum = ["C", "D"] }, dealer = { first = ["D", "C"] } }\n'
    found = [made for _, made in read(path, columns + 'join = { instrument = "/" }\n')]
    assert found == [row("EUR/USD", "1.5", dealer="1.5"), row("EUR", "2.25", dealer="0.25")]


def test_a_pattern_splits_a_column(written: Written) -> None:
    text = (
        "[extract]\nDeal = '(?P<quantity>[0-9.]+) (?P<coin>[A-Z]+)'\n[columns]\ninstrument = 'coin'\n[values.coin]\nXBT = 'BTC'\n"
    )
    found = read(written("Deal\n0.5 XBT\nhalf XBT\n"), text)
    assert found == [(2, row("BTC", "0.5")), (3, "Deal: does not match extract.Deal: 'half XBT'")]


def test_a_word_that_nobody_named_is_refused_with_the_known_ones(written: Written) -> None:
    text = BOTH + "[values.instrument]\nX = 'XETR'\nY = 'NYSE'\n"
    found = read(written("A,B\nX,1\nZ,1\n"), text)
    assert found == [
        (2, row("XETR", "1")),
        (3, "instrument: is 'Z', a word that values.instrument does not have; there are 'X', 'Y'"),
    ]
    assert read(written("A,B\nX,1\nZ,1\n"), text + '"*" = "*"')[1] == (3, row("Z", "1"))


@pytest.mark.parametrize(("word", "key"), [("ACQ", "ACQ"), ("STORNO ACQ", '"STORNO ACQ"')])
def test_the_first_word_of_a_side_without_words_is_told_as_the_line_to_write(written: Written, word: str, key: str) -> None:
    text = TRADE + 'id = "Sum"\n[values.side]\n'
    [found] = trades(written(HEADER + f"{MOMENT},{word},5,1.5,1\n"), text)
    assert found == f'side: is \'{word}\'; values.side has no words yet: write {key} = "buy" or "sell"'


def test_words_that_mean_nothing_are_empty(written: Written) -> None:
    assert read(written("A,B,C\nX,1,n/a\n"), 'empty = ["n/a"]\n' + BOTH.replace("}", ', desk = "C" }'))[0][1]["desk"] == ""


def test_a_column_that_changes_its_unit_half_way_is_refused_from_there(written: Written) -> None:
    text = BOTH + '[numbers.quantity]\nstrip = ["EUR"]\n'
    found = read(written("A,B\nX,1 EUR\nX,2 EUR\nX,3 TEUR\n"), text)
    assert found[:2] == [(2, row("X", "1")), (3, row("X", "2"))]
    assert found[2] == (4, "quantity: is not a number with the decimal mark '.': '3 TEUR'")


def test_names_are_ours_after_a_mapping(written: Written) -> None:
    found = read(written("A,B\nX,1\n,2\n"), BOTH, alias={"X": "XETR"}, instrument="DAX")
    assert found == [(2, row("XETR", "1")), (3, row("DAX", "2"))]


# -- trades ----------------------------------------------------------------------------------------------------------

TRADE = """
columns = { ts = "Time", side = "Side", quantity = "Qty", price = "Px" }
set = { instrument = "X", desk = "D" }
"""
HEADER = "Time,Side,Qty,Px,Sum\n"


def trades(path: str, text: str) -> list[Any]:
    return [made for _, made in read(path, text, "trades")]


def test_equal_rows_have_ids_of_their_own_and_the_same_in_the_next_reading(written: Written) -> None:
    line = f"{MOMENT},buy,5,1.5,\n"
    path = written(HEADER + line + line + line.replace("5", "6") + line)
    ids = [made["trade_id"] for made in trades(path, TRADE + 'id = { hash = "row" }')]
    assert len(set(ids)) == 4 and ids[1] == f"{ids[0]}-2" and ids[3] == f"{ids[0]}-3"
    assert ids == [made["trade_id"] for made in trades(path, TRADE + 'id = { hash = "row" }')]


def test_files_of_overlapping_days_give_a_row_the_same_id(written: Written) -> None:
    lines = [f"2026-03-0{day}T08:00:00Z,buy,5,1.5,\n" for day in (1, 2, 3)]
    text = TRADE + 'id = { hash = "row" }'
    first = [made["trade_id"] for made in trades(written(HEADER + "".join(lines[:2])), text)]
    second = [made["trade_id"] for made in trades(written(HEADER + "".join(lines[1:])), text)]
    assert first[1] == second[0]


def test_the_hash_of_some_columns_leaves_the_others_out(written: Written) -> None:
    text = TRADE + 'id = { hash = ["Time", "Qty"] }'
    one = trades(written(HEADER + f"{MOMENT},buy,5,1.5,a\n"), text)[0]["trade_id"]
    other = trades(written(HEADER + f"{MOMENT},buy,5,1.5,b\n"), text)[0]["trade_id"]
    assert one == other


def test_the_side_may_be_the_sign_of_the_quantity(written: Written) -> None:
    text = TRADE.replace('side = "Side", ', "") + 'id = "Sum"\n[numbers.quantity]\nsign = "side"\n'
    found = trades(written(HEADER + f"{MOMENT},,-5,1.5,1\n{MOMENT},,5,1.5,2\n"), text)
    assert [(made["side"], made["quantity"]) for made in found] == [("sell", "5"), ("buy", "5")]


def test_a_sign_that_contradicts_the_side_is_refused(written: Written) -> None:
    text = TRADE + 'id = "Sum"\n[numbers.quantity]\nsign = "agrees"\n'
    found = trades(written(HEADER + f"{MOMENT},sell,-5,1.5,1\n{MOMENT},buy,-5,1.5,2\n"), text)
    assert found[0]["quantity"] == "5"
    assert found[1] == "quantity: is -5, which contradicts the side buy"


def test_a_total_that_contradicts_quantity_times_price_is_told_with_both(written: Written) -> None:
    text = TRADE + 'id = "Time"\n[check]\ntotal = "Sum"\n'
    found = trades(written(HEADER + f"{MOMENT},buy,5,1.5,-7.50\n{MOMENT},buy,5,1.5,8.5\n"), text)
    assert found[0]["price"] == "1.5"
    assert found[1] == "total: is 8.5, but quantity x price is 7.5 (5 x 1.5)"


def test_a_total_that_is_off_by_exactly_100_says_so(written: Written) -> None:
    text = TRADE + 'id = "Time"\n[check]\ntotal = "Sum"\n'
    found = trades(written(HEADER + f"{MOMENT},buy,500,71.24,-356.20\n{MOMENT},buy,5,1.5,750\n{MOMENT},buy,5,1.5,75\n"), text)
    assert (
        "is -356.20, but quantity x price is 35620 (500 x 71.24). It is exactly 1/100 of it: are the amounts in pounds"
        in found[0]
    )
    assert "It is exactly 100 times of it: are the amounts in pence" in found[1]
    assert "exactly" not in found[2]


def test_the_total_of_contracts_is_that_of_their_size(written: Written) -> None:
    text = TRADE + 'id = "Time"\n[check]\ntotal = "Sum"\nmultiplier = "Size"\n'
    header = HEADER.replace("Sum", "Sum,Size")
    found = trades(written(header + f"{MOMENT},buy,2,1.5,150,50\n{MOMENT},buy,2,1.5,3,50\n"), text)
    assert found[0]["price"] == "1.5"
    assert found[1] == "total: is 3, but quantity x price is 150 (2 x 1.5 x 50)"


def test_a_time_that_is_set_is_ours(written: Written) -> None:
    text = TRADE.replace('ts = "Time", ', "").replace("set = {", f'set = {{ ts = "{MOMENT}",') + 'id = "Sum"\n'
    text += '[times]\nformat = "%d.%m.%Y"\nzone = "UTC"\n'
    assert trades(written(HEADER + "then,buy,5,1.5,1\n"), text)[0]["ts"] == MOMENT


def test_a_format_that_cannot_be_is_told_with_its_mapping(written: Written) -> None:
    said = error(written(HEADER), TRADE + 'id = "Sum"\n[times]\nformat = "%H:%M"\nzone = "UTC"\n', "trades")
    assert said.startswith("our.toml: times (ts): bad time format '%H:%M'")


@pytest.mark.parametrize("records", ["", '[[records]]\nset = { leg = "0" }\n'])
@pytest.mark.parametrize("form", ["%d.%m.%Y", "days", "ms@2026-03-02"])
def test_times_without_a_zone_name_the_key_of_the_mapping(written: Written, form: str, records: str) -> None:
    said = error(written(HEADER), TRADE + f'id = "Sum"\n[times]\nformat = "{form}"\n{records}', "trades")
    assert said.startswith(f"our.toml: times (ts): times in the format '{form}' have no zone: zone under [times] names it")
    assert "--tz" not in said


def test_a_time_without_an_offset_is_refused_with_the_key_of_the_mapping(written: Written) -> None:
    [found] = trades(written(HEADER + "2026-03-02T08:00:00,buy,5,1.5,1\n"), TRADE + 'id = "Sum"\n')
    assert found.startswith("ts: has no offset from UTC: '2026-03-02T08:00:00'; zone under [times] names it")


def test_a_zone_of_another_language_is_told_with_the_near_one(written: Written) -> None:
    said = error(written(HEADER), TRADE + 'id = "Sum"\n[times]\nformat = "%d.%m.%Y"\nzone = "Europe/Roma"\n', "trades")
    assert said == "our.toml: times (ts): unknown time zone 'Europe/Roma': did you mean Europe/Rome?"


def test_the_order_of_lines_may_be_that_of_the_source(written: Written) -> None:
    path = written(HEADER + f"{MOMENT},buy,5,1.5,1\n{MOMENT},buy,5,1.5,2\n")
    assert [made["source_seq"] for made in trades(path, TRADE + 'id = "Sum"\norder = "line"')] == [2, 3]
    newest_first = [made["source_seq"] for made in trades(path, TRADE + 'id = "Sum"\norder = "newest-first"')]
    assert newest_first[0] == newest_first[1] + 1


def test_a_rounded_number_is_told(written: Written) -> None:
    said: list[str] = []
    text = TRADE + 'id = "Sum"\n[numbers.price]\nround = 2\n'
    found = read(written(HEADER + f"{MOMENT},buy,5,1.005,1\n{MOMENT},buy,5,1.50000,2\n"), text, "trades", tell=said.append)
    assert [made["price"] for _, made in found] == ["1.00", "1.50000"]
    assert said[0].endswith("price: rounded to 2 decimals in 1 rows")


def test_times_and_dates_read_as_the_mapping_says(written: Written) -> None:
    text = TRADE.replace('"Px" }', '"Px", value_date = "Sum" }') + 'id = "Qty"\n'
    text += '[times]\nformat = "%d.%m.%Y %H:%M"\nzone = "Europe/Berlin"\ndates = "%d.%m.%Y"\n'
    found = trades(written(HEADER + "02.03.2026 09:00,buy,5,1.5,04.03.2026\n02.03.2026 09:01,buy,5,1.5,4 March\n"), text)
    assert (found[0]["ts"], found[0]["value_date"]) == (1_772_438_400_000_000, "2026-03-04")
    assert found[1].startswith("value_date: ") and "4 March" in found[1]


def test_a_server_ahead_of_new_york_changes_its_clock_with_new_york(written: Written) -> None:
    text = TRADE + 'id = "Qty"\n[times]\nformat = "%Y.%m.%d %H:%M:%S"\nzone = "America/New_York+7h"\n'
    # 15 March 2026: New York has changed its clocks, Europe has not.
    found = trades(written(HEADER + "2026.02.02 10:00:00,buy,5,1,\n2026.03.15 10:00:00,buy,5,1,\n"), text)
    assert [made["ts"] % 86_400_000_000 // 3_600_000_000 for made in found] == [8, 7]


def test_what_the_mapping_gives_no_value_is_asked_for(written: Written) -> None:
    said = error(written(HEADER), TRADE.replace(', desk = "D"', "") + 'id = "Sum"', "trades")
    assert said == "our.toml: gives no desk: columns or set name it, and so does --set desk=.."


# -- the wrong file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04\x14\x00", "is a zip archive or a spreadsheet"),
        ("A,B\nX,1\n".encode("utf-16"), "is UTF-16"),
        (b'{"A": "X"}\n', "is JSON; a mapping reads lines with columns"),
        (b"", "is empty"),
        (b"one,two,three\n1,2,3\n", "is it the mapping of this file?"),
    ],
)
def test_a_wrong_file_is_told_at_once(written: Written, content: bytes, said: str) -> None:
    assert said in error(written(content), BOTH)


def test_a_mapping_of_another_kind_is_refused(written: Written) -> None:
    mapping = parse_mapping('kind = "ticks"', "our.toml")
    closes = parse_mapping('kind = "closes"', "x").shape
    with pytest.raises(InputError, match=r"our\.toml: kind: is ticks, and .* is to be read as closes"):
        list(rows_of(written("A\n"), ColumnOptions(mapping=mapping), closes))


def test_memory_stays_small_however_long_the_file(written: Written) -> None:
    line = f"{MOMENT},buy,5,1.5,refused\n"
    path = written(HEADER + line * 50_000)
    mapping = parse_mapping(f'kind = "trades"\n{TRADE}id = "Sum"\n[check]\ntotal = "Sum"\n', "our.toml")
    tracemalloc.start()
    try:
        refused = sum(isinstance(made, Refusal) for _, made in rows_of(path, ColumnOptions(mapping=mapping), mapping.shape))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused == 50_000
    assert peak < 2_000_000

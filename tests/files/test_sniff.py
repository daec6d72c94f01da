"""What a file is made of."""

import pytest

from riskengine.errors import InputError
from riskengine.files.drafts.sniff import find_encoding, take_sample


def sample(text: str, encoding: str = "utf-8"):
    return take_sample(text.encode(encoding), "strange.csv")


@pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
def test_the_separator_is_the_one_that_makes_a_table(separator):
    taken = sample(separator.join(["Date", "Qty", "Price"]) + "\n" + separator.join(["2026-11-02", "5", "1.5"]) + "\n")
    assert taken.separator.value == separator
    assert taken.header == ["Date", "Qty", "Price"]
    assert [row.values for row in taken.rows] == [["2026-11-02", "5", "1.5"]]


def test_decimal_commas_are_no_separators():
    taken = sample("Datum;Menge;Kurs\n02.11.2026;5,5;1,25\n03.11.2026;6,5;1,26\n")
    assert taken.separator.value == ";"


def test_quoted_separators_belong_to_the_value():
    taken = sample('Name,Qty,Price\n"Example, Inc.",5,1.5\n"Sample, Ltd.",6,1.6\n')
    assert taken.rows[0].values == ["Example, Inc.", "5", "1.5"]


def test_lines_before_the_header_are_a_preamble():
    taken = sample("Export of today\nAccount;0000\n\nDate;Symbol;Quantity;Price\n2026-11-02;AAPL;5;1.5\n2026-11-03;AAPL;6;1.6\n")
    assert taken.header_line == 4
    assert taken.preamble == ["Export of today", "Account;0000"]


def test_a_file_without_a_header_has_none():
    taken = sample("2026-11-02;AAPL;5;1.5\n2026-11-03;AAPL;6;1.6\n")
    assert taken.header_line == 0
    assert taken.header == ["", "", "", ""]
    assert len(taken.rows) == 2


def test_totals_and_rows_of_another_width_are_no_rows():
    taken = sample(
        "Date;Symbol;Qty;Price\n2026-11-02;AAPL;5;1.5\n2026-11-02;AAPL;6;1.6\nhello;you\n2026-11-03;MSFT;1;2\nTotal;;12;\n"
    )
    assert [row.line for row in taken.totals] == [6]
    assert [row.line for row in taken.odd] == [4]
    assert [row.line for row in taken.rows] == [2, 3, 5]


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"\xef\xbb\xbfa;b", "utf-8"),
        ("Händler;b".encode("utf-16"), "utf-16"),
        ("Haendler;b and more of it".encode("utf-16-le"), "utf-16-le"),
        ("Händler;b and more".encode("cp1252"), "cp1252"),
        ("Händler;b".encode(), "utf-8"),
        (b"a;b", "utf-8"),
    ],
)
def test_the_encoding_is_found(data, encoding):
    assert find_encoding(data, "strange.csv").value == encoding


def test_an_encoding_of_one_byte_is_a_doubt():
    assert find_encoding("Händler;b and more".encode("cp1252"), "strange.csv").doubt


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04abc", "spreadsheet"),
        (b"abc\x00def;1", "no text"),
        (b"\n \n", "is empty"),
        (b'{"a": 1}\n', "JSON"),
        (b"hello\nworld\n", "is it a table?"),
    ],
)
def test_what_is_no_table_is_refused_with_what_it_is(data, said):
    with pytest.raises(InputError, match=r"strange\.csv: ") as error:
        take_sample(data, "strange.csv")
    assert said in str(error.value)


FIXED = """\
REF     TRDDATE       QUANTITY CCY
A1      20261102      1,000.00 USD
A2      20261102  1,250,000.00 USD
A3      20261103         75.50 EUR
"""


def test_a_fixed_width_file_is_cut_where_every_row_is_blank():
    taken = sample(FIXED)
    assert taken.separator.value == ""
    assert taken.header == ["REF", "TRDDATE", "QUANTITY", "CCY"]
    assert taken.rows[1].values == ["A2", "20261102", "1,250,000.00", "USD"]
    assert taken.separator.doubt


def test_a_column_written_to_the_right_gets_the_blanks_before_it_for_longer_numbers():
    cut = sample(FIXED).slices[2]
    assert (cut.start, cut.end) == (16, 31)


def test_a_title_and_a_total_do_not_join_the_columns_of_a_fixed_width_file():
    title = "ACME CUSTODY SERVICES   HOLDINGS AS OF TODAY\n"
    taken = sample(title + FIXED + "TOTAL           1,251,075.50\n")
    assert taken.header == ["REF", "TRDDATE", "QUANTITY", "CCY"]
    assert len(taken.rows) == 3
    assert len(taken.totals) == 1


def test_half_a_line_at_the_end_of_a_part_is_left_out():
    taken = take_sample(b"Date;Qty;Price\n2026-11-02;5;1.5\n2026-11-03;6;1.6\n2026-11", "strange.csv", whole=False)
    assert len(taken.rows) == 2
    assert taken.odd == []


def test_a_first_line_without_an_end_is_no_table():
    with pytest.raises(InputError, match="first line is longer than"):
        take_sample(b"1" * 1000, "strange.csv", whole=False)


def test_a_line_that_cannot_be_read_is_told_apart():
    taken = sample("Date;Symbol;Qty\n2026-11-02;AAPL;5\n2026-11-02;" + "9" * 200_000 + ";5\n2026-11-03;AAPL;6\n")
    assert [row.line for row in taken.rows] == [2, 4]
    assert "field larger than field limit" in taken.odd[0].values[0]

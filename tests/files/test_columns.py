"""Rows of CSV and NDJSON files: complete, damaged and wrong ones."""

import gzip
import io
import os
import sys
import tracemalloc
from decimal import Decimal

import pytest

from riskengine.errors import InputError
from riskengine.files.lines import LINE_LIMIT
from riskengine.files.records import ColumnOptions, Shape, load_alias, parse_columns, read_rows
from riskengine.records.types import Refusal

PLAIN = ColumnOptions()
PRICES = Shape("price", ("instrument", "ts", "price"), (("instrument",), ("ts",), ("price",)))


@pytest.fixture
def written(tmp_path):
    """Writes bytes to a file and gives its path."""

    def write(content: bytes, name: str = "rows.csv") -> str:
        path = tmp_path / name
        path.write_bytes(content)
        return str(path)

    return write


def rows(path: str, options: ColumnOptions = PLAIN, shape: Shape | None = None) -> list:
    return list(read_rows(path, options, shape) if shape else read_rows(path, options))


def error(path: str, options: ColumnOptions = PLAIN, shape: Shape | None = None) -> str:
    """The one line of the error."""
    with pytest.raises(InputError) as caught:
        rows(path, options, shape)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 3_000
    return text


EXPECTED = [(2, {"a": "1", "b": "x"}), (3, {"a": "2", "b": "y"})]


# What is read


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,x\n2,y\n",
        b"a,b\n1,x\n2,y",
        b"a,b\r\n1,x\r\n2,y\r\n",
        b"\xef\xbb\xbfa,b\r\n1,x\r\n2,y",
        b'"a","b"\n"1","x"\n"2",y\n',
        b" A , B \n 1 , x \n2,y\n\n \n",
        gzip.compress(b"a,b\n1,x\n2,y\n", mtime=0),
        gzip.compress(b"\xef\xbb\xbfa,b\n1,", mtime=0) + gzip.compress(b"x\n2,y\n", mtime=0) + b"\0" * 512,
    ],
)
def test_the_same_table_however_it_was_saved(written, content):
    for name in ("rows.csv", "rows.gz", "rows"):
        assert rows(written(content, name)) == EXPECTED


def test_ndjson_is_known_by_its_first_character_and_its_numbers_are_exact(written):
    path = written(b'\n  {"a": 1.10, "b": "x"}\n{"a": 123456789012345678901, "b": null}\r\n')
    assert rows(path) == [(2, {"a": Decimal("1.10"), "b": "x"}), (3, {"a": 123456789012345678901, "b": None})]
    assert str(rows(path)[0][1]["a"]) == "1.10"


def test_blank_lines_count_but_are_no_rows(written):
    assert rows(written(b"\n\na,b\n\n1,x\n")) == [(5, {"a": "1", "b": "x"})]


def test_quoted_fields_hold_commas_quotes_and_line_ends(written):
    path = written(b'a,b\n"1,5","say ""hi"""\n2,"two\nlines"\n3,z\n')
    assert rows(path) == [
        (2, {"a": "1,5", "b": 'say "hi"'}),
        (3, {"a": "2", "b": "two\nlines"}),
        (5, {"a": "3", "b": "z"}),
    ]


def test_a_header_without_rows_is_a_table(written):
    assert rows(written(b"a,b\n")) == []


def test_standard_input_is_a_dash(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(b"a,b\n1,x\n2,y\n", mtime=0))))
    assert rows("-") == EXPECTED


def test_a_pipe_that_trickles_is_read(tmp_path):
    read, write = os.pipe()
    os.write(write, b"a")
    os.write(write, b",b\n1,x\n2,y\n")
    os.close(write)
    try:
        assert rows(f"/dev/fd/{read}") == EXPECTED
    finally:
        os.close(read)


def test_the_apostrophe_that_our_own_files_put_before_a_formula_is_taken_off(written):
    path = written(b"a,b\n'=C,'-77\n'tHooft,''s\n")
    assert [row for _, row in rows(path)] == [{"a": "=C", "b": "-77"}, {"a": "'tHooft", "b": "'s"}]


def test_a_name_of_ndjson_keeps_its_apostrophe(written):
    assert [row for _, row in rows(written(b'{"a": "\'=C"}\n'))] == [{"a": "'=C"}]


# One bad line


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1", "has 1 field; the header has 2"),
        (b"1,2,3", "has 3 fields; the header has 2"),
        (b"a,b", "repeats the header"),
        (b"\xef\xbb\xbfa,b", "repeats the header"),
        (b"\xff,x", "is not UTF-8 at byte 1: save the file as UTF-8, or name its --encoding"),
        (b"1\0,x", "has a NUL byte: the file is damaged, export it again"),
        (b'1,"x', "has a quote that is not closed"),
        (b'"1"x,"', "',' expected after '\"'"),
        (b'1,"' + b"x" * 140_000 + b'"', "field larger than field limit (131072)"),
    ],
)
def test_a_bad_line_is_refused_and_the_others_are_read(written, line, reason):
    content = b"a,b\n1,x\n" + line + b"\n2,y\n3,z\n"
    assert rows(written(content)) == [
        (2, {"a": "1", "b": "x"}),
        (3, Refusal(3, "", reason)),
        (4, {"a": "2", "b": "y"}),
        (5, {"a": "3", "b": "z"}),
    ]


def test_an_open_quote_does_not_swallow_the_rows_up_to_the_next_one(written):
    path = written(b'a,b\n1,"x\n2,y\n3,z\n4,"w\n5,v\n')
    found = rows(path)
    assert [number for number, row in found if isinstance(row, Refusal)] == [2, 5]
    assert [row["a"] for _, row in found if not isinstance(row, Refusal)] == ["2", "3", "5"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": 1', "input data was truncated"),
        (b'{"a": NaN}', "JSON is malformed: invalid character (byte 6)"),
        (b"[1]", "expected `object`, got `array`"),
        (b"1,x", "expected `object`, got `int`"),
        (b'{"a": "\xff"}', "is not UTF-8"),
        (b'{"a": 1e999999999999999999999}', "has a number that is out of range"),
        (b'{"a": ' + b"[" * 100_000 + b"}", "is nested too deeply"),
    ],
)
def test_a_bad_line_of_ndjson_is_refused_and_the_others_are_read(written, line, reason):
    path = written(b'{"a": 1}\n' + line + b'\n{"a": 2}\n')
    assert rows(path) == [(1, {"a": 1}), (2, Refusal(2, "", reason)), (3, {"a": 2})]


# Whole files that cannot be read


def test_a_missing_file_a_folder_and_a_closed_door_are_told(written, tmp_path, monkeypatch):
    assert error(str(tmp_path / "none.csv")) == f"{tmp_path}/none.csv: no such file or directory"
    assert error(str(tmp_path)) == f"{tmp_path}: is a directory"
    assert "null" in error("a\0b")
    path = written(b"a,b\n")
    monkeypatch.setattr("builtins.open", _denied)
    assert error(path) == f"{path}: permission denied"


def _denied(path, mode):
    raise PermissionError(13, "Permission denied", path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n\r\n  \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b"\x1f\x8b", "ends in the middle"),
        (b"\x1f\x8bnonsense and more", "is damaged"),
        ("a,b\n1,x\n".encode("utf-16"), "is UTF-16; UTF-8 is expected: save it as UTF-8, or name its --encoding"),
        ("a,b\n1,x\n".encode("utf-16-le"), "is UTF-16 without a byte-order mark"),
        ("a,b\n1,x\n".encode("utf-16-be"), "is UTF-16 without a byte-order mark"),
        ("a,b\n1,x\n".encode("utf-32"), "is UTF-32"),
        (b"PK\x03\x04....", "is a zip archive or a spreadsheet (.xlsx, .ods), whatever its name says"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an old Excel workbook (.xls)"),
        (b"%PDF-1.7\n", "is a PDF"),
        (b"<!doctype html>\n", "is a web page"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\x80\x81\x82\x83,\x84\n", "line 1: is not UTF-8 at byte 1"),
        (b"a\0,b\n", "line 1: has a NUL byte"),
        (b"a,b\r1,x\r2,y\r", "carriage return"),
        (b"a,b,a\n1,2,3\n", "the header has 'a' twice"),
        (b"a,b,A\n1,2,3\n", "the header has 'a' twice"),
        (b'[{"a": 1}]', "is a JSON list"),
        (b"x" * (LINE_LIMIT + 70_000), "line 1 is longer than 1,048,576 bytes"),
        (b"a,b\n1,x\n" + b"x" * (LINE_LIMIT + 70_000), "line 3 is longer than 1,048,576 bytes"),
        (gzip.compress(b"a,b\n" + bytes(LINE_LIMIT + 300_000), mtime=0), "line 2 is longer than 1,048,576 bytes"),
    ],
)
def test_a_file_that_is_no_table_is_an_error_that_names_it(written, content, words):
    path = written(content)
    text = error(path)
    assert text.startswith(f"{path}: ") and words in text


def test_empty_header_names_are_ignored_as_spreadsheets_leave_them(written):
    assert rows(written(b"a,,b,\n1,,x,\n")) == [(2, {"a": "1", "b": "x"})]


def test_a_half_written_gzip_gives_its_rows_and_then_an_error_with_the_line(written):
    content = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i * 7919 % 100_003) for i in range(20_000))
    whole = gzip.compress(content, mtime=0)
    path = written(whole[: len(whole) // 2], "rows.csv.gz")
    got: list = []
    with pytest.raises(InputError) as caught:
        got.extend(read_rows(path, PLAIN))  # extend keeps what came before the error
    last = got[-1][0]
    assert 5_000 < last < 15_000
    assert got == [(i + 2, {"a": str(i), "b": str(i * i * 7919 % 100_003)}) for i in range(last - 1)]
    assert str(caught.value) == (f"{path}: the gzip data ends in the middle: the file is incomplete (after line {last})")


def test_a_gzip_with_a_wrong_checksum_is_damaged(written):
    whole = bytearray(gzip.compress(b"a,b\n1,x\n", mtime=0))
    whole[-6] ^= 0xFF
    assert "is damaged" in error(written(bytes(whole)))


def test_memory_does_not_grow_with_the_file_nor_with_how_well_it_is_packed(written):
    line = b"1234567890," + 10 * b"abcdefghij" + b"\n"
    path = written(gzip.compress(b"a,b\n" + line * 100_000, mtime=0), "big.gz")
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_rows(path, PLAIN))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 100_000
    assert peak < 5_000_000 < 100_000 * len(line)


def test_a_reader_that_is_given_up_closes_its_file(written):
    reader = read_rows(written(b"a,b\n1,x\n2,y\n"), PLAIN)
    next(reader)
    del reader  # a file left open would be a ResourceWarning, which is an error here


# Columns


def test_foreign_columns_are_mapped_and_the_others_keep_their_names(written):
    options = ColumnOptions(parse_columns("instrument=Symbol, ts = Date"))
    path = written(b"Symbol,Date,Price,instrument\nEURUSD,now,1.1,other\n")
    assert rows(path, options, PRICES) == [(2, {"instrument": "EURUSD", "ts": "now", "price": "1.1"})]


def test_one_column_may_serve_twice_and_case_is_forgiven(written):
    options = ColumnOptions({"ts": "WHEN", "trade_date": "when"})
    assert rows(written(b"When\n5\n"), options) == [(2, {"ts": "5", "trade_date": "5"})]


def test_a_mapped_column_that_the_header_lacks_is_an_error_that_lists_it(written):
    path = written(b"Sym,Date,Bid\n")
    assert error(path, ColumnOptions({"instrument": "Symbol"})) == (
        f"{path}: has no column 'Symbol' for instrument; the header is Sym, Date, Bid"
    )


def test_lacking_columns_are_an_error_that_lists_the_header(written):
    path = written(b"Sym,Date,Bid\n")
    assert error(path, PLAIN, PRICES) == (
        f"{path}: lacks instrument, ts, price; the header is Sym, Date, Bid; --columns maps other names"
    )


def test_lacking_columns_that_others_come_near_are_named_with_the_option_that_maps_them(written):
    path = written(b"Instr,Trade Time,Fill Price,Venue\n")
    assert error(path, PLAIN, PRICES) == (
        f"{path}: lacks instrument, ts, price; the header is Instr, Trade Time, Fill Price, Venue;"
        " near ones are mapped by --columns 'instrument=Instr,price=Fill Price'"
    )


def test_a_first_line_that_is_no_header_is_told_with_the_option_that_passes_over_it(written):
    path = written(b"Activity of 6 January\ninstrument,ts,price\n")
    assert error(path, PLAIN, PRICES).endswith(
        "the header is Activity of 6 January; if other lines stand above the header, --skip N passes over them"
    )


def test_of_a_lacking_column_that_an_action_makes_up_for_that_is_said_once(written):
    shape = Shape("deal", ("id", "ts", "side", "action"), (("id",), ("ts", "action"), ("side", "action")))
    assert "lacks ts, side (a file of cancels needs action instead); the header is id" in error(written(b"id\n"), PLAIN, shape)


@pytest.mark.parametrize(
    ("separator", "told"), [(";", "';': --delimiter ';'"), ("\t", "tabs: --delimiter tab"), ("|", "'|': --delimiter '|'")]
)
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_header_in_one_piece_is_told_with_its_separator(written, separator, told, quote):
    header = separator.join(f"{quote}{name}{quote}" for name in ("instrument", "ts", "price"))
    assert f"it looks separated by {told} reads it" in error(written(f"{header}\n".encode()), PLAIN, PRICES)


def test_a_line_in_one_piece_without_header_is_told_with_its_separator(written):
    [(_, refusal)] = rows(written(b"EURUSD;5;1.1\n"), ColumnOptions({"instrument": "1", "ts": "2", "price": "3"}), PRICES)
    assert refusal.reason == "has 1 field; 3 are mapped; it looks separated by ';': --delimiter ';' reads it"


@pytest.mark.parametrize(("content", "line"), [(b"a,b\n1,2\n3,4.0", 3), (b"a,b\n1,2\n3", 3), (b'a,b\n1,"2', 2)])
def test_a_last_line_without_an_end_is_told_because_a_file_that_was_cut_off_ends_so(written, content, line):
    told: list[str] = []
    path = written(content)
    rows(path, ColumnOptions(tell=told.append))
    assert told == [f"{path}: the last line ({line}) has no line end: make sure that the file was not cut off there"]


def test_a_mapping_to_a_column_that_does_not_exist_is_an_error(written):
    assert error(written(b"a\n"), ColumnOptions({"pirce": "a"}), PRICES) == (
        "--columns: 'pirce' is not a column of a price; those are instrument, ts, price"
    )


def test_numbers_map_the_columns_of_a_file_without_header(written):
    options = ColumnOptions(parse_columns("ts=1,price=3"), instrument="EURUSD")
    assert rows(written(b"5,x,1.1\n6\n7,y,1.2,more\n"), options, PRICES) == [
        (1, {"ts": "5", "price": "1.1", "instrument": "EURUSD"}),
        (2, Refusal(2, "", "has 1 field; 3 are mapped")),
        (3, {"ts": "7", "price": "1.2", "instrument": "EURUSD"}),
    ]
    assert "lacks price" in error(written(b"5,x\n"), ColumnOptions({"ts": "1"}, instrument="EURUSD"), PRICES)


@pytest.mark.parametrize("columns", [{"a": "1", "b": "two"}, {"a": "0"}, {"a": "99999999999"}])
def test_numbers_that_cannot_be_columns_are_an_error(written, columns):
    assert error(written(b"5,x\n"), ColumnOptions(columns)).startswith("--columns: ")
    assert error(written(b'{"a": 1}\n'), ColumnOptions({"a": "1"})).startswith("--columns: ")


def test_ndjson_is_mapped_too(written):
    path = written(b'{"Symbol": "EURUSD", "instrument": "x", "price": 1}\n{"price": 2}\n')
    assert rows(path, ColumnOptions({"instrument": "Symbol"})) == [
        (1, {"instrument": "EURUSD", "price": 1}),
        (2, {"price": 2}),
    ]


def test_the_given_instrument_fills_a_missing_or_empty_one_and_aliases_rename(written):
    options = ColumnOptions(instrument="GOLD", alias={"EUR/USD": "EURUSD", "D1": "FX1"})
    path = written(b"instrument,desk,price\nEUR/USD,D1,EUR/USD\n,D2,1\n")
    assert rows(path, options) == [
        (2, {"instrument": "EURUSD", "desk": "FX1", "price": "EUR/USD"}),
        (3, {"instrument": "GOLD", "desk": "D2", "price": "1"}),
    ]


@pytest.mark.parametrize("text", ["a", "a=", "=b", "a=b,c", "a=b,a=c", ",", " "])
def test_a_mapping_that_cannot_be_read_is_an_error(text):
    with pytest.raises(InputError, match=r"^--columns: "):
        parse_columns(text)


def test_a_mapping_is_ours_to_theirs():
    assert parse_columns("instrument=Symbol,ts=Date Time,") == {"instrument": "Symbol", "ts": "Date Time"}
    assert parse_columns("") == {}


def test_aliases_are_read_with_or_without_header(written):
    for content in (b"alias,name\nEUR/USD,EURUSD\n", b'"EUR/USD", EURUSD\nEUR/USD,EURUSD\n'):
        assert load_alias(written(content)) == {"EUR/USD": "EURUSD"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a\n", "line 1: has 1 field; two are expected"),
        (b"a,b\nx,\n", "line 2: name: is missing"),
        (b"a,b\n\xff,x\n", "line 2: is not UTF-8"),
        (b"a,b\na,c\n", "line 2: 'a' has two names, 'b' and 'c'"),
        (b"", "is empty"),
    ],
)
def test_a_bad_alias_file_is_an_error_with_the_line(written, content, words):
    with pytest.raises(InputError, match=words):
        load_alias(written(content))


# -- columns that nobody knows -----------------------------------------------------------------------------------------

TRADE = Shape("trade", ("trade_id", "side", "fees", "fees_currency", "multiplier"), (("trade_id",),))


def told_rows(path, **options):
    """The rows of a file, and what is told about it."""
    told: list[str] = []
    return list(read_rows(str(path), ColumnOptions(tell=told.append, **options), TRADE)), told


@pytest.mark.parametrize("column", ["fee", "FEE", "Multiplyer", "Fees Currency", "feesCurrency", "sides", "mutliplier"])
def test_a_column_that_looks_like_one_that_is_missing_ends_the_file(written, column):
    with pytest.raises(InputError, match=f"'{column}' is not a column of a trade: did you mean"):
        told_rows(written(f"trade_id,{column}\na,1\n".encode()))


def test_a_lacking_column_under_another_spelling_is_named(written):
    with pytest.raises(InputError, match=r"'Trade ID' is not a column of a trade: did you mean trade_id?"):
        told_rows(written(b"Trade ID,side\na,buy\n"))


def test_other_unknown_columns_are_left_out_and_told_once(written):
    path = written(b"trade_id,venue,side,sides\na,X,buy,1\nb,Y,sell,2\n")
    rows, told = told_rows(path)
    assert [row for _, row in rows] == [{"trade_id": "a", "side": "buy"}, {"trade_id": "b", "side": "sell"}]
    assert told == [f"{path}: ignored columns that a trade does not have: venue, sides"]


def test_a_field_of_ndjson_that_looks_like_one_that_is_missing_costs_its_line(written):
    rows, told = told_rows(written(b'{"trade_id": "a", "fee": 1}\n{"trade_id": "b", "fees": 1, "venue": "X"}\n'))
    assert rows[0][1].field == "fee" and "did you mean fees?" in rows[0][1].reason
    assert rows[1][1] == {"trade_id": "b", "fees": 1}
    assert len(told) == 1 and told[0].endswith("ignored column that a trade does not have: venue")


def test_where_somebody_says_which_columns_count_the_others_are_only_told(written):
    rows, told = told_rows(written(b"Ref,fee\na,1\n"), columns={"trade_id": "Ref"})
    assert rows[0][1] == {"trade_id": "a"} and "fee" in told[0]

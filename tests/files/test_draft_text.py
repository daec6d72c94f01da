"""A draft as a mapping: valid, with evidence, doubts and questions, and readable once the questions are answered."""

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.errors import InputError
from riskengine.files.drafts.column_evidence import Known
from riskengine.files.drafts.draft import KINDS, make_draft
from riskengine.files.drafts.draft_text import draft_text
from riskengine.files.drafts.sniff import take_sample
from riskengine.files.mappings.mapping import Combined, FileMapping, parse_mapping
from tests.cli.commands import riskengine
from tests.exports import EXPORTS

HERE = Path(__file__).parent / "strange_files"
LAYOUTS = sorted(path.name for path in HERE.iterdir() if path.suffix != ".toml")


def text_of(data: bytes, kind: str = "trades", known: Known | None = None, name: str = "strange.csv") -> str:
    return draft_text(make_draft(take_sample(data, name), kind, known), name, known)


def mapping_of(text: str, kind: str = "trades", known: Known | None = None) -> FileMapping:
    """The mapping that the draft of a file's text is."""
    return parse_mapping(text_of(text.encode(), kind, known), "draft")


def answered(text: str) -> str:
    """The draft after a person has answered its questions: the first of several answers, and the zone that it suggests."""
    lines: list[str] = []
    for line in text.splitlines():
        key = re.match(r"# (zone|format|dates) = ", line)
        lines.append(line.removeprefix("# ") if key and not any(each.startswith(f"{key[1]} = ") for each in lines) else line)
    return "\n".join(lines)


def assert_reads(file: Path, tmp_path: Path) -> None:
    """Every row that is a trade reads by the answered draft."""
    draft = tmp_path / "draft.toml"
    draft.write_text(answered(text_of(file.read_bytes(), name=file.name)), encoding="utf-8")
    done = riskengine("check-mapping", draft, "--against", file)
    assert done.exit_code == 0, done.stdout + done.stderr


# As a whole


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_strange_file_reads_by_its_draft_once_the_questions_are_answered(layout: str, tmp_path: Path) -> None:
    assert_reads(HERE / layout, tmp_path)


@pytest.mark.parametrize("export", EXPORTS)
def test_a_known_export_reads_by_its_draft_once_the_questions_are_answered(
    export: str, shared_data: Path, tmp_path: Path
) -> None:
    assert_reads(shared_data / "broker-exports" / f"{export}.csv", tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_draft_is_a_valid_mapping(layout: str, kind: str) -> None:
    assert parse_mapping(text_of((HERE / layout).read_bytes(), kind), "draft").kind == kind


@pytest.mark.parametrize(
    "value", ['say "hi"', "back\\slash", "a\x07bell", "\u202eright to left", "'''", "line\nend", "# no comment", "]]"]
)
def test_no_value_or_header_of_a_file_breaks_the_mapping(value: str) -> None:
    quoted = '"' + value.replace('"', '""') + '"'
    mapping = mapping_of(f"Symbol;{quoted};Side;Quantity\n{quoted};{quoted};Buy;5\n{quoted};{quoted};Sell;6\n")
    assert mapping.columns["quantity"] == "Quantity"


WORDS = st.sampled_from(
    ["", "Date", "Zeit", "Symbol", "Sens", "Aantal", "Precio", "Prezzo", "Amount", "Fee", "Devise", "Time", "Price", "Xyzzy", "1"]
)
VALUES = st.sampled_from(
    [
        "",
        "02/11/2026",
        "13.11.2026 10:00:00",
        "1.234",
        "1,5",
        "(5)",
        "-2",
        "\u20ac5",
        "5EUR",
        "Buy",
        "V",
        "1",
        "EUR",
        "EUR/USD",
        "Total",
    ]
) | st.text("abc;|\t\"'#=\\\x07\u00e9 ", max_size=8)


@settings(max_examples=150, deadline=None)
@given(
    header=st.lists(WORDS, min_size=2, max_size=8),
    rows=st.lists(st.lists(VALUES, min_size=8, max_size=8), min_size=1, max_size=6),
    kind=st.sampled_from(KINDS),
)
def test_whatever_a_table_holds_its_draft_is_a_valid_mapping(header: list[str], rows: list[list[str]], kind: str) -> None:
    lines = io.StringIO()
    csv.writer(lines, delimiter=";").writerows([header, *(row[: len(header)] for row in rows)])
    try:
        text = text_of(lines.getvalue().encode(), kind)
    except InputError:  # is no table, and says so
        return
    assert parse_mapping(text, "draft").kind == kind


# What it says of the file


def test_the_format_of_the_file_is_written_down() -> None:
    mapping = mapping_of("Bericht\n\nDatum;Symbol;Menge;Kurs\n13.11.2026;ABC;1.000,50;2,5\n13.11.2026;ABC;1.000,50;2,6\n")
    assert (mapping.delimiter, mapping.decimal, mapping.thousands, mapping.skip) == (";", ",", ".", "header")


def test_repeated_and_missing_names_are_told_apart() -> None:
    text = "Time;Symbol;Quantity;Price;;Time;Price\n2026-11-02 10:00:00;ABC;5;1.5;USD;2026-11-03 10:00:00;1.6\n"
    mapping = mapping_of(text)
    assert (mapping.columns["ts"], mapping.columns["price"], mapping.columns["currency"]) == ("Time#1", "Price#1", 5)
    assert mapping.records[1].columns == {"ts": "Time#2", "price": "Price#2"}


def test_a_file_without_a_header_goes_by_numbers() -> None:
    mapping = mapping_of("2026-11-02 10:00:00;EURUSD;B;5;1.5;7.5\n2026-11-03 10:00:00;EURUSD;S;6;1.6;9.6\n")
    assert not mapping.header
    assert (mapping.columns["ts"], mapping.columns["side"]) == (1, 3)


def test_a_total_is_left_out_by_a_column_that_it_lacks() -> None:
    mapping = mapping_of("Date;Symbol;Qty;Price\n2026-11-02;ABC;5;1.5\n2026-11-02;ABC;6;1.5\nTotal;;11;\n")
    assert mapping.where == {"Symbol": True}


def test_rows_with_words_that_are_no_side_are_left_out_by_name_and_all_others_must_be_known() -> None:
    text = "Type;Symbol;Qty;Price\nBuy;ABC;5;1.5\nSell;ABC;5;1.6\nDividend;ABC;;\n"
    mapping = mapping_of(text)
    assert str(mapping.where["Type"]) == "Condition(matches='', isnt=('Dividend',))"
    assert mapping.values["side"] == {"Buy": "buy", "Sell": "sell"}
    assert "DOUBT: rows with Dividend" in text_of(text.encode())


def test_a_side_that_may_be_a_cancel_is_left_for_the_load_to_refuse() -> None:
    text = "Type;Symbol;Qty;Price\nBuy;ABC;5;1.5\nSell;ABC;5;1.6\nBuy (Ca.);ABC;5;1.5\n"
    mapping = mapping_of(text)
    assert mapping.where == {}
    assert "Buy (Ca.)" not in mapping.values["side"]
    assert "DOUBT: a side of Buy (Ca.): a cancel?" in text_of(text.encode())


def test_a_short_word_that_is_no_side_is_drafted_as_a_question_and_is_no_cancel() -> None:
    text = "Type;Symbol;Qty;Price\nBuy;ABC;5;1.5\nSell;ABC;5;1.6\nXQ;ABC;5;1.5\nSTORNO XQ;ABC;5;1.5\n"
    drafted = text_of(text.encode())
    assert '# XQ = "?"\n# "STORNO XQ" = "?"' in drafted
    assert "a side of XQ" not in drafted
    assert "DOUBT: a side of STORNO XQ: a cancel?" in drafted


def test_where_no_word_is_a_side_none_is_left_out_and_all_are_questions() -> None:
    text = "Side;Symbol;Qty;Price\nNAKUP;ABC;5;1.5\nPRODEJ;ABC;5;1.6\n"
    assert mapping_of(text).where == {}
    assert '[values.side]\n# NAKUP = "?"\n# PRODEJ = "?"' in text_of(text.encode())


# Amounts


def test_the_check_of_an_amount_is_live_where_other_rows_are_in_another_unit_and_a_doubt_where_they_differ_by_little() -> None:
    text = "Symbol;Ccy;Qty;Price;Amount\nENEL;EUR;1000;6.5;6500.00\nVOD;GBX;12000;71.24;8548.80\nSTLA;EUR;400;9.1;3640.00\n"
    assert "DOUBT: fits in 2 of 3 rows; line 3 (GBX) differs by 100" in text_of(text.encode())
    mapping = mapping_of(text)
    assert (mapping.check.total, "contra_amount" in mapping.columns) == ("Amount", False)
    mapping = mapping_of(text.replace("8548.80", "862000.00"))
    assert (mapping.check.total, mapping.columns["contra_amount"]) == ("", "Amount")
    assert '# total = "Amount"' in text_of(text.replace("8548.80", "862000.00").encode())


# Numbers


def rule_of(header: str, first: str, second: str, field: str):
    return mapping_of(f"Side;Quantity;Price;{header}\nBuy;5;2;{first}\nSell;6;2;{second}\n").numbers.get(field)


def test_fees_below_zero_are_turned_and_others_not() -> None:
    turned = rule_of("Commission", "-1.5", "-2.5", "fees")
    assert turned is not None and turned.negate
    assert rule_of("Commission", "1.5", "2.5", "fees") is None


def test_fees_of_both_signs_are_a_question() -> None:
    assert "fees of both signs" in text_of(b"Side;Quantity;Price;Fee\nBuy;5;2;-1\nSell;6;2;1\n")


def test_fees_of_a_row_of_pence_are_a_doubt() -> None:
    text = "Symbol;Ccy;Side;Qty;Price;Fee\nVOD;GBX;Buy;5;71.5;6.00\nENEL;EUR;Buy;5;6.5;6.00\n"
    assert "DOUBT: fees of a row in GBX would be hundredths of GBP" in text_of(text.encode())
    assert "hundredths" not in text_of(text.replace("GBX", "GBP").encode())
    assert "fees_currency" not in mapping_of(text).columns


def test_further_columns_of_fees_and_taxes_are_a_question() -> None:
    text = text_of(b"Side;Quantity;Price;Commission;Exchange Fees;Stamp Duty\nBuy;5;2;1;0.5;0.1\nSell;6;2;1;0.5;0\n")
    assert '# fees = { sum = ["Commission", "Exchange Fees", "Stamp Duty"] }' in text


def test_currency_marks_and_units_are_taken_off() -> None:
    marked = rule_of("Fee", "\u20ac1.50", "\u20ac2.50", "fees")
    with_unit = rule_of("Fee", "0.5DOGE", "1.5DOGE", "fees")
    assert marked is not None and marked.strip == ("\u20ac",)
    assert with_unit is not None and with_unit.unit == "fees_currency"


@pytest.mark.parametrize(("bought", "sold", "sign"), [("5", "-6", "agrees"), ("-5", "6", "opposes"), ("-5", "-6", "ignore")])
def test_a_sign_beside_a_side_says_what_it_goes_with(bought: str, sold: str, sign: str) -> None:
    rule = mapping_of(f"Symbol;Side;Quantity;Price\nABC;Buy;{bought};2\nABC;Sell;{sold};2\n").numbers["quantity"]
    assert rule.sign == sign


def test_a_sign_without_a_side_is_the_side_with_a_doubt() -> None:
    text = "Symbol;Quantity;Price\nABC;5;2.5\nABC;-6;2.5\n"
    assert mapping_of(text).numbers["quantity"].sign == "side"
    assert "DOUBT: is it so, and not the other way round?" in text_of(text.encode())


def test_numbers_of_two_readings_are_a_question_with_every_answer() -> None:
    text = text_of(b"Symbol;Quantity;Price\nABC;5;1,234\nABC;6;1,235\n")
    assert '# decimal = ","' in text
    assert '# thousands = ","' in text
    assert not re.search(r"^(decimal|thousands) =", text, re.MULTILINE)


# Times


def test_a_time_without_a_zone_asks_for_one() -> None:
    text = text_of(b"Time;Symbol;Quantity\n2026-11-02 10:00:00;ABC;5\n")
    assert "ASK: times have no zone" in text
    assert not re.search(r"^zone =", text, re.MULTILINE)


def test_a_zone_in_the_header_is_taken() -> None:
    assert mapping_of("Time (UTC);Symbol;Quantity\n2026-11-02 10:00:00;ABC;5\n").times.every.zone == "UTC"


def test_an_offset_in_the_header_is_a_question_and_gmt_a_doubt() -> None:
    offset = text_of(b"Time (UTC+8);Symbol;Quantity\n2026-11-02 10:00:00;ABC;5\n")
    assert "ASK: Time (UTC+8) names an offset" in offset
    assert not re.search(r"^zone =", offset, re.MULTILINE)
    assert "London's clock?" in text_of(b"Time (GMT);Symbol;Quantity\n2026-11-02 10:00:00;ABC;5\n")


def test_an_order_of_day_and_month_that_nothing_tells_is_a_question_with_both_answers() -> None:
    text = text_of(b"Date;Symbol;Quantity\n01/02/2026;ABC;5\n")
    assert '# format = "%d/%m/%Y"' in text
    assert '# format = "%m/%d/%Y"' in text
    assert not re.search(r"^format =", text, re.MULTILINE)


def test_a_date_and_a_time_of_day_are_joined() -> None:
    mapping = mapping_of("Datum;Uhrzeit;Symbol;Menge\n13.11.2026;09:15:00;ABC;5\n")
    assert mapping.columns["ts"] == ("Datum", "Uhrzeit")
    assert mapping.times.every.format == "%d.%m.%Y %H:%M:%S"


# Names and ids


def test_a_file_without_ids_takes_them_from_the_rows() -> None:
    assert mapping_of("Symbol;Side;Quantity\nABC;Buy;5\n").id == Combined(hash="row")


def test_what_no_column_has_is_a_question() -> None:
    text = text_of(b"Symbol;Side;Quantity\nABC;Buy;5\n")
    for field in ("desk", "source", "price", "ts"):
        assert f'# {field} = "?"' in text


def test_names_that_the_store_writes_in_another_way_are_mapped_and_strange_ones_are_doubts() -> None:
    known = Known(instruments=frozenset({"EURUSD", "AAPL"}), desks=frozenset({"FX1"}))
    text = "Symbol;Side;Quantity\nEUR.USD;Buy;5\nAAPL;Buy;6\nAAPLE;Sell;7\n"
    assert mapping_of(text, known=known).values["instrument"] == {"EUR.USD": "EURUSD", "*": "*"}
    told = text_of(text.encode(), known=known)
    assert "the store knows no instrument AAPLE (AAPL?)" in told
    assert "such as FX1" in told


def test_the_doubt_of_a_name_that_the_store_does_not_know_has_the_one_that_its_first_words_are() -> None:
    text = text_of(b"Symbol;Side;Qty;Price\nENEL SPA;Buy;5;1.5\n", known=Known(instruments=frozenset({"ENEL"})))
    assert "the store knows no instrument ENEL SPA (ENEL?)" in text


def test_a_header_that_a_ready_mapping_fits_is_told() -> None:
    text = text_of(b"txid,ordertxid,pair,time,type,ordertype,price,cost,fee,vol,margin,misc,ledgers\nA,B,C,D,E,F,1,1,1,1,1,,\n")
    assert "The ready mapping kraken_trades" in text

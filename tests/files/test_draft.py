"""Which columns of strange files a draft finds: the score of each layout against what its columns are."""

import tomllib
from pathlib import Path

import pytest

from riskengine.files.drafts.column_evidence import Known
from riskengine.files.drafts.draft import Draft, make_draft
from riskengine.files.drafts.sniff import take_sample

HERE = Path(__file__).parent / "strange_files"
EXPECTED: dict[str, dict[str, list[str]]] = tomllib.loads((HERE / "expected.toml").read_text(encoding="utf-8"))
SCORES: dict[str, str] = EXPECTED.pop("scores")  # type: ignore[assignment]
LEAST_RIGHT = 0.8
"""At least four of five columns are right."""


def draft_of(path: Path, kind: str = "trades") -> Draft:
    return make_draft(take_sample(path.read_bytes(), path.name), kind)


def drafted(text: str, kind: str = "trades", known: Known | None = None) -> Draft:
    return make_draft(take_sample(text.encode(), "strange.csv"), kind, known)


def found(draft: Draft) -> list[str]:
    """What each column was taken for, as `expected.toml` writes it."""
    return [f"{guess.record}:{guess.field}" if guess.record > 1 else guess.field for guess in draft.columns]


def doubts(draft: Draft, role: str) -> str:
    guess = draft.guess(role)
    return "; ".join(guess.doubts) if guess else "not found"


def assert_good(draft: Draft, expected: list[str], stated: str) -> None:
    """Four of five columns are right, none is wrong without a doubt beside it, and the score is the one that is stated."""
    guessed = found(draft)
    assert len(guessed) == len(expected)
    wrong = [guess for guess, got, want in zip(draft.columns, guessed, expected, strict=True) if got != want]
    told = [f"{guess.header}: {guess.field or 'not mapped'}: {guess.doubts}" for guess in wrong]
    assert 1 - len(wrong) / len(expected) >= LEAST_RIGHT, told
    assert [guess.header for guess in wrong if not guess.doubts] == []
    assert f"{len(expected) - len(wrong)} of {len(expected)}" == stated, told


@pytest.mark.parametrize("layout", EXPECTED["broker_exports"])
def test_the_columns_of_a_known_export_are_found(layout: str, shared_data: Path) -> None:
    assert_good(draft_of(shared_data / "broker-exports" / f"{layout}.csv"), EXPECTED["broker_exports"][layout], SCORES[layout])


@pytest.mark.parametrize("layout", EXPECTED["strange_files"])
def test_the_columns_of_an_invented_layout_are_found(layout: str) -> None:
    assert_good(draft_of(HERE / layout), EXPECTED["strange_files"][layout], SCORES[layout])


@pytest.mark.parametrize("layout", EXPECTED["published_headers"])
def test_the_columns_of_a_published_header_are_found(layout: str) -> None:
    assert_good(draft_of(HERE / layout), EXPECTED["published_headers"][layout], SCORES[layout])


def test_every_strange_file_has_a_score() -> None:
    scored = {*EXPECTED["strange_files"], *EXPECTED["published_headers"]}
    assert {path.name for path in HERE.iterdir()} == {*scored, "expected.toml"}


# What speaks for a column


def test_a_sum_that_comes_out_finds_columns_of_unknown_words() -> None:
    draft = drafted("Xa;Xb;Xc;Xd\nAAPL;10;268.5;2685.00\nMSFT;4;31.25;125.00\nAAPL;7;270.01;1890.07\n")
    assert draft.guess("contra_amount") is not None
    assert draft.columns[3].role == "contra_amount"


def test_a_price_in_hundredths_of_the_amount_is_a_doubt() -> None:
    draft = drafted("TIDM;Qty;Price (p);Consideration\nVOD;10000;72.45;7245.00\nBARC;2500;265.10;6627.50\n")
    assert found(draft) == ["instrument", "quantity", "price", "contra_amount"]
    assert "pence" in doubts(draft, "price")


def test_a_file_without_a_header_is_guessed_by_its_values_with_doubts() -> None:
    draft = drafted("2026-11-02;09:15:00;EURUSD;B;1000000;1.0842\n2026-11-02;09:20:00;USDJPY;S;500000;154.31\n")
    assert found(draft) == ["ts", "ts", "instrument", "side", "quantity", "price"]
    assert "little speaks for it" in doubts(draft, "quantity")


def test_a_closing_time_and_price_are_a_second_trade_with_a_doubt() -> None:
    draft = drafted(
        "Ticket;Open Time;Type;Size;Item;Price;Close Time;Price\n"
        "1;2026.11.02 10:00;buy;5000;EURUSD;1.1;2026.11.02 11:00;1.2\n"
        "2;2026.11.02 10:00;sell;5000;EURUSD;1.1;2026.11.02 12:00;1.2\n"
    )
    assert found(draft)[6:] == ["2:ts", "2:price"]
    assert all(guess.doubts for guess in draft.columns[6:])


def test_names_of_the_store_find_instruments_and_desks() -> None:
    known = Known(instruments=frozenset({"EURUSD", "USDJPY"}), desks=frozenset({"FX1", "FX2"}))
    draft = drafted("Xa;Xb;Price\nEUR/USD;FX1;1.084\nUSD/JPY;FX2;154.31\n", known=known)
    assert found(draft)[:2] == ["instrument", "desk"]


def test_a_currency_beside_pairs_is_that_of_the_price_or_the_quantity() -> None:
    draft = drafted("Pair;Ccy 1;Qty;Ccy 2;Price\nEUR/USD;EUR;5;USD;1.084\nUSD/JPY;USD;6;JPY;154.3\n")
    assert found(draft) == ["instrument", "", "quantity", "currency", "price"]


def test_a_date_beside_a_whole_time_is_the_trade_date() -> None:
    draft = drafted("Trade Date;Execution Time;Symbol;Qty;Price\n2026-11-02;2026-11-02 10:00:01;AAPL;5;1.5\n")
    assert found(draft)[:2] == ["trade_date", "ts"]


def test_an_amount_with_the_fees_in_it_is_no_amount_of_the_trade() -> None:
    draft = drafted("Symbol;Qty;Price;Fee;Amount\nAAPL;10;268.5;1.00;2686.00\nMSFT;4;270.25;1.00;1080.00\n")
    assert found(draft) == ["instrument", "quantity", "price", "fees", ""]


# What is a doubt


def test_an_amount_that_is_no_product_is_a_doubt() -> None:
    draft = drafted("Symbol;Qty;Price;Amount\nAAPL;10;268.5;9000.00\nMSFT;4;270.25;77.00\n")
    assert "is not quantity x price" in doubts(draft, "contra_amount")


MIXED = "Symbol;Ccy;Qty;Price;Amount\nENEL;EUR;1000;6.5;6500.00\nVOD;GBX;12000;71.24;8548.80\nSTLA;EUR;400;9.1;3640.00\n"


def test_an_amount_in_another_unit_than_the_price_of_one_row_is_not_taken_and_told_with_its_line() -> None:
    draft = drafted(MIXED)
    assert draft.guess("contra_amount") is None
    assert "fits in 2 of 3 rows; line 3 (GBX) differs by 100" in "; ".join(draft.columns[4].doubts)


def test_an_amount_of_a_file_of_pence_is_not_taken_where_the_currency_says_pence() -> None:
    rows = "VOD;GBX;12000;71.24;8548.80\nBP;GBX;400;450.5;1802.00\n"
    assert drafted(f"Symbol;Ccy;Qty;Price;Amount\n{rows}").guess("contra_amount") is None
    assert drafted(f"Symbol;Ccy;Qty;Price;Amount\n{rows.replace('GBX', 'GBP')}").guess("contra_amount") is not None


def test_an_amount_that_is_a_product_in_most_rows_is_a_doubt_with_the_line_that_differs() -> None:
    draft = drafted(MIXED.replace("8548.80", "854900.00").replace("3640", "3641"))
    assert "fits in 1 of 3 rows" not in doubts(draft, "contra_amount")
    draft = drafted(MIXED.replace("8548.80", "862000.00"))
    assert "fits in 2 of 3 rows; line 3 (GBX) differs by a factor of 1.008" in doubts(draft, "contra_amount")


def test_a_day_that_may_be_a_month_is_a_doubt() -> None:
    assert "01 February 2026 or 02 January 2026" in doubts(drafted("Date;Symbol;Qty;Price\n01/02/2026;AAPL;5;1.5\n"), "date")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("Date;Value Date;Symbol;Qty\n", "so it is in Value Date: 13/11/2026 can be read in no other way"),
        ("Data;Data valuta;Titolo;Quantita\n", "so it is in Data valuta"),
        ("2/11/2026 - 27/11/2026;;;\nDate;Note;Symbol;Qty\n", "a line before the header has 27/11/2026"),
    ],
)
def test_another_column_or_a_title_line_settles_the_order_of_day_and_month(header: str, said: str) -> None:
    draft = drafted(header + ("12/11/2026;x;AAPL;5\n" if "Note" in header else "12/11/2026;13/11/2026;AAPL;5\n"))
    style = draft.facts[0].dates
    assert style is not None
    assert (style.format, style.open, style.doubt) == ("%d/%m/%Y", False, "")
    assert said in style.evidence


def test_title_lines_of_both_orders_settle_nothing() -> None:
    style = drafted("13/11/2026 - 11/13/2026;;\nDate;Symbol;Qty\n12/11/2026;AAPL;5\n").facts[0].dates
    assert style is not None
    assert style.doubt and style.open


def test_five_digits_under_the_name_of_a_date_may_be_days_of_a_spreadsheet_and_elsewhere_are_an_amount() -> None:
    draft = drafted("Datum;Symbol;Menge\n46328;AAPL;46328\n46329;AAPL;46329\n")
    assert found(draft) == ["ts", "instrument", "quantity"]
    assert "days of a spreadsheet?" in doubts(draft, "date")


def test_sides_as_digits_are_a_doubt() -> None:
    assert "as in FIX" in doubts(drafted("Symbol;Side;Qty\nAAPL;1;5\nAAPL;2;6\n"), "side")


def test_a_number_of_two_readings_is_a_doubt_of_every_column_of_numbers() -> None:
    draft = drafted("Date;Symbol;Qty;Price\n2026-02-01;AAPL;5;1,234\n2026-02-01;AAPL;7;1,235\n")
    assert "1,234 may be 1.234 or 1234" in doubts(draft, "price")


def test_an_amount_without_a_quantity_is_a_doubt() -> None:
    assert "Taken as the quantity" in doubts(drafted("Pair;Amount;Rate\nEURUSD;1000000;1.0842\nUSDJPY;5;154.3\n"), "quantity")


def test_a_small_volume_of_pairs_may_be_in_lots() -> None:
    assert "in lots" in doubts(drafted("Symbol;Volume;Price\nEURUSD;0.5;1.0842\nUSDJPY;1;154.3\n"), "quantity")


def test_an_id_that_stands_twice_is_a_doubt() -> None:
    assert "more than once" in doubts(drafted("Trade ID;Symbol;Qty\nA1;AAPL;5\nA1;AAPL;6\n"), "trade_id")


def test_a_column_of_strange_words_and_values_asks_what_it_is() -> None:
    draft = drafted("Symbol;Qty;Xyzzy\nAAPL;5;some words of a kind\nMSFT;6;other words\n")
    assert draft.columns[2].role == ""
    assert "what is it?" in draft.columns[2].doubts[0]


def test_a_stray_value_is_told() -> None:
    rows = "".join(f"AAPL;{number}\n" for number in range(1, 21))
    assert "n/a is no number" in doubts(drafted(f"Symbol;Quantity\n{rows}AAPL;n/a\n"), "quantity")


# Other kinds


@pytest.mark.parametrize(
    ("kind", "text", "fields"),
    [
        ("ticks", "Zeit;Paar;Geld;Brief\n2026-11-02T10:00:00Z;EURUSD;1.1;1.2\n", ["ts", "instrument", "bid", "ask"]),
        ("positions", "Desk;Symbol;Position;Avg Cost\nEQ1;AAPL;-5;250.5\n", ["desk", "instrument", "quantity", "average_price"]),
        ("closes", "Date;Ticker;Closing Price\n2026-11-02;AAPL;250.5\n", ["date", "instrument", "price"]),
        ("marks", "Timestamp;Ticker;Mark\n2026-11-02T10:00:00Z;AAPL;250.5\n", ["ts", "instrument", "price"]),
        ("statement", "Portfolio;ISIN;Holding\nEQ1;US0000000001;5\n", ["desk", "instrument", "quantity"]),
    ],
)
def test_other_kinds_have_their_own_columns(kind: str, text: str, fields: list[str]) -> None:
    assert found(drafted(text, kind)) == fields

"""The format of mappings: what is right, and how each mistake is told."""

from decimal import Decimal
from pathlib import Path

import pytest

from riskengine.errors import InputError
from riskengine.files.mappings.mapping import FileMapping, NumberRule, parse_mapping, read_mapping, shipped_names


def mapping(text: str, kind: str = "trades") -> FileMapping:
    return parse_mapping(f'kind = "{kind}"\n{text}', "our.toml")


def mistake(text: str, kind: str = "trades") -> str:
    """The one sentence about a mistake, which begins with the mapping and the key."""
    with pytest.raises(InputError) as caught:
        mapping(text, kind)
    said = str(caught.value)
    assert "\n" not in said and said.startswith("our.toml: ")
    return said.removeprefix("our.toml: ")


def test_keys_that_are_absent_have_their_defaults() -> None:
    found = mapping("")
    assert (found.delimiter, found.decimal, found.thousands, found.encoding) == (",", ".", "", "utf-8")
    assert (found.skip, found.header, found.quote, found.id, found.order) == (0, True, True, None, "")


@pytest.mark.parametrize(("word", "mark"), [("tab", "\t"), ("semicolon", ";"), ("|", "|"), ("space", " "), (";", ";")])
def test_a_delimiter_is_one_character_or_its_name(word: str, mark: str) -> None:
    assert mapping(f'delimiter = "{word}"').delimiter == mark


def test_numbers_of_a_mapping_are_exact() -> None:
    assert mapping("[numbers.quantity]\nmultiply = 0.1").numbers == {"quantity": NumberRule(multiply=Decimal("0.1"))}


def test_a_field_of_its_own_rules_has_the_zone_of_all() -> None:
    times = mapping('[times]\nzone = "Europe/Berlin"\nformat = "%d.%m.%Y"\n[times.booked_ts]\nformat = "s"').times
    assert (times.of("ts").format, times.of("booked_ts").format, times.of("booked_ts").zone) == ("%d.%m.%Y", "s", "Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colums = {}", "colums: is not a key of a mapping: did you mean columns?"),
        ('columns = { pric = "Rate" }', "columns.pric: is not a field that it can name: did you mean price?"),
        ('set = { desks = "FX1" }', "set.desks: is not a field that it can name: did you mean desk?"),
        ("[numbers.fee]\nnegate = true", "numbers.fee: is not a field that it can name: did you mean fees?"),
        ("[numbers.fees]\nnegat = true", "numbers.fees.negat: is not a key of a mapping: did you mean negate?"),
        ("[times]\nzon = 'UTC'", "times.zon: is not a key of a mapping: did you mean zone?"),
        ("[check]\ntotals = 'Sum'", "check.totals: is not a key of a mapping: did you mean total?"),
        ("[[records]]\nwere = {}", "records[1].were: is not a key of a mapping: did you mean where?"),
        ('where = { Type = { match = "x" } }', "where.Type.match: is not a key of a mapping: did you mean matches?"),
        ('columns = { price = { frist = ["A"] } }', "columns.price.frist: is not a key of a mapping: did you mean first?"),
        ("[values.sides]\nB = 'buy'", "values.sides: is not a field that it can name: did you mean side?"),
    ],
)
def test_a_key_that_nobody_knows_is_refused_with_the_nearest(text: str, said: str) -> None:
    assert mistake(text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[numbers.fees]\nnegate = 'yes'", "numbers.fees.negate: expected `bool`, got `str`"),
        ("where = { A = 1 }", "where.A: expected"),
        ("columns = { price = 1.5 }", "columns.price: expected"),
        ("columns = { price = 0 }", "price: columns count from 1"),
        ("columns = { price = [] }", "columns.price: names no column"),
        ('columns = { side = { sum = ["A", "B"] } }', "columns.side: a sum is for numbers"),
        ('delimiter = ";;"', "delimiter: must be one character"),
        ('decimal = ";"', "decimal: must be"),
        ('thousands = "x"', "thousands: must be"),
        ('decimal = ","\nthousands = ","', "thousands: is the same as decimal"),
        (
            'thousands = "."',
            'thousands: is the same as decimal, which is "." where the mapping does not say: write decimal = ","',
        ),
        ('encoding = "utf-99"', "encoding: 'utf-99' is not known"),
        ('encoding = "hex"', "encoding: 'hex' is not known"),
        ("skip = -1", "skip: must be 0 or more"),
        ('skip = "header"\nheader = false', "skip: there is no header to skip to"),
        ('fixed = { account = "8-1" }', "fixed.account: must be first and last character"),
        ('[extract]\nA = "(unclosed"', "extract.A: is not a pattern"),
        ('[extract]\nA = "[0-9]+"', "extract.A: has no named group"),
        ("[numbers.price]\nround = 99", "numbers.price.round: must be 0 to 12"),
        ("[numbers.price]\nmultiply = 0", "numbers.price.multiply: must be above 0"),
        ('[numbers.price]\nsign = "side"', "numbers.price.sign: the side comes from the sign of the quantity alone"),
        ('columns = { desk = "Book" }\nset = { desk = "FX1" }', "set.desk: is given under columns too"),
        ('columns = { trade_id = "Ref" }\nid = "Ref"', "id: is given beside trade_id"),
        ("[times.price]\nformat = 's'", "times.price: is not a field that it can name"),
    ],
)
def test_what_contradicts_itself_is_refused(text: str, said: str) -> None:
    assert mistake(text).startswith(said)


def test_a_sign_that_says_the_side_leaves_no_room_for_another_side() -> None:
    said = mistake('columns = { side = "BS", quantity = "Qty" }\n[numbers.quantity]\nsign = "side"')
    assert said.startswith("numbers.quantity.sign: the side is given beside it")


def test_ids_and_order_are_for_trades() -> None:
    assert mistake('id = "Ref"', "ticks") == "id: is for trades"
    assert mistake('order = "line"', "closes") == "order: is for trades"


def test_a_kind_is_needed_and_a_near_one_named() -> None:
    with pytest.raises(InputError, match=r"our\.toml: kind: must be one of trades, .*; did you mean trades\?"):
        parse_mapping('kind = "trade"', "our.toml")
    with pytest.raises(InputError, match=r"our\.toml: kind: must be one of"):
        parse_mapping("", "our.toml")


def test_a_text_that_is_no_toml_is_told_with_its_place() -> None:
    with pytest.raises(InputError, match=r"our\.toml: is not TOML: .*at line 2"):
        parse_mapping("kind = 'trades'\n= 1\n", "our.toml")


@pytest.mark.parametrize("value", ["9" * 5_000, "1e" + "9" * 20, "[" * 3_000, "{a=" * 3_000])
def test_toml_beyond_what_can_be_read_is_an_input_error(value: str) -> None:
    with pytest.raises(InputError, match=r"our\.toml: (has a number of more digits|is nested too deeply)"):
        parse_mapping(f"kind = 'trades'\nskip = {value}\n", "our.toml")


def test_a_value_of_thousands_of_letters_is_told_by_its_beginning() -> None:
    with pytest.raises(InputError) as told:
        parse_mapping(f"kind = 'trades'\ndecimal = '{'9' * 5_000}'", "our.toml")
    assert len(str(told.value)) < 2_100


def test_a_key_of_thousands_of_letters_is_told_by_its_beginning() -> None:
    with pytest.raises(InputError, match=r"our\.toml: k{200}\.\.\.: is not a key of a mapping"):
        parse_mapping("k" * 5_000 + " = 1", "our.toml")


def test_a_file_or_a_ready_mapping_is_found_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "our.toml"
    path.write_text('kind = "ticks"\n')
    assert read_mapping(str(path)).kind == "ticks"
    assert read_mapping("kraken_trades").kind == "trades"


def test_a_name_that_is_neither_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"kraken_trade is neither a file nor a ready mapping: did you mean kraken_trades\?"):
        read_mapping("kraken_trade")
    with pytest.raises(InputError, match=shipped_names()[0]):
        read_mapping("zzz")


def test_a_record_has_the_rest_of_the_mapping_where_it_says_nothing() -> None:
    whole = mapping(
        'columns = { price = "A", quantity = "Q" }\nset = { desk = "FX1" }\n'
        '[[records]]\ncolumns = { price = "B" }\n[[records]]\nset = { quantity = 5 }'
    )
    first, second = map(whole.for_record, whole.records)
    assert first.columns == {"quantity": "Q", "price": "B"}
    assert (second.columns, second.set) == ({"price": "A"}, {"desk": "FX1", "quantity": "5"})

"""CSV that a spreadsheet may open: no text is a formula, every number is a number, and everything can be read back."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskengine.files.spreadsheet import escape_formula
from riskengine.serve.answers.wire import csv_slices
from riskengine.serve.app import create_app
from tests.serve.stand_in import StandIn, ask, post, traded
from tests.world import reference, row

FORMULAS = [
    "=1+1",
    "+1",
    "-1+2",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1",
    "\uff20x",
    "\ufe661",
    "\u2212 1",
    "\u00a0=1",
    "\u3000\uff1d1",
    "\ufeff=1",
    "\u200b=1",
    "\u207a1",
]


def read(fields, rows) -> list[dict[str, str]]:
    text = b"".join(csv_slices(fields, rows, lambda shown: shown)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_never_starts_a_formula(text):
    [found] = read(["node"], [{"node": text}])
    assert found["node"] == f"'{text}"


@pytest.mark.parametrize("text", ["FX1", "a=b", "x-y", "3M", "Größe", "", "a@b", "(5)", "日本"])
def test_a_plain_text_stays_as_it_is(text):
    assert escape_formula(text) == text


@given(st.text())
def test_a_text_can_be_read_back(text):
    shown = escape_formula(text)
    assert (shown.removeprefix("'") if shown.startswith("'") else shown) == text
    assert not shown.lstrip().startswith(("=", "+", "-", "@"))


@given(st.lists(st.tuples(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.floats(allow_nan=False)), max_size=5))
def test_a_table_can_be_read_back(pairs):
    found = read(["node", "quantity"], [{"node": text, "quantity": number} for text, number in pairs])
    assert [(line["node"].removeprefix("'"), float(line["quantity"])) for line in found] == pairs


def test_numbers_stay_numbers_whatever_their_sign():
    rows = [
        {"quantity": -5.5, "price": "-40.5", "stale": True, "mark": None, "trade_count": 3, "node": "-40.5", "fees": 1e-7},
        {"quantity": "=1+1", "price": "-1e5"},
    ]
    first, second = read(["quantity", "price", "stale", "mark", "trade_count", "node", "fees"], rows)
    assert list(first.values()) == ["-5.5", "-40.5", "true", "", "3", "'-40.5", "1e-07"]
    assert [second["quantity"], second["price"]] == ["'=1+1", "'-1e5"]  # another program wrote these in place of numbers


def test_objects_are_their_json():
    [found] = read(["detail", "trade"], [{"detail": {"a": [1, None]}, "trade": None}])
    assert found == {"detail": '{"a":[1,null]}', "trade": ""}


def test_a_hostile_name_is_harmless_in_every_list():
    gateway = StandIn(reference({"ALL": "", "=cmd|' /C calc'!A0": "ALL"}))
    app = create_app(gateway)
    answer = post(app, "/v1/trades", [row(desk="=cmd|' /C calc'!A0", dealer="@x")])
    assert answer.json()["counts"]["applied"] == 1
    for path in ("/v1/nodes", "/v1/dealers", "/v1/positions", "/v1/ladder", "/v1/trades", "/v1/exceptions", "/v1/marks"):
        for line in csv.reader(io.StringIO(ask(app, path, {"format": "csv"}).body.decode(), newline="")):
            for cell in line:
                assert cell[:1] not in ("=", "@", "+")
                assert cell[:1] != "-" or float(cell) < 0


def test_exact_numbers_are_numbers_in_csv_too():
    app = create_app(traded())
    text = ask(app, "/v1/positions", {"node": "FX2", "exact": "true", "format": "csv"}).body.decode()
    [held] = csv.DictReader(io.StringIO(text, newline=""))
    assert [held["quantity"], held["node"]] == ["-40.5", "FX2"]

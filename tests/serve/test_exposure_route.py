"""`/v1/exposure` as a client sees it."""

import csv
import io

import pytest

from riskengine.serve.answers.shapes import BESIDE_EXPOSURE, EXPOSED_BY, names
from riskengine.serve.app import create_app
from riskengine.snapshot.exposure import BY, exposure
from tests.serve.stand_in import StandIn, ask, newest, post, problem, traded
from tests.world import NOON, row


@pytest.fixture(scope="module")
def gateway() -> StandIn:
    return traded()


@pytest.fixture(scope="module")
def app(gateway):
    return create_app(gateway)


@pytest.mark.parametrize("owner", [{}, {"node": "FX"}, {"node": "EQ1"}, {"dealer": "bob"}, {"dealer": ""}], ids=str)
@pytest.mark.parametrize("by", BY)
def test_rows_and_figures_are_those_of_the_snapshot(gateway, app, by, owner):
    told = ask(app, "/v1/exposure", {"by": by} | owner).json()
    found = exposure(newest(gateway), by, **owner)
    assert told["rows"] == found.rows
    assert {name: told[name] for name in found.summary} == found.summary
    assert (told["by"], told["total"], told["reporting_currency"]) == (by, len(found.rows), "USD")
    assert (told["node"], told["dealer"]) == (owner.get("node", None if "dealer" in owner else "ALL"), owner.get("dealer"))


def test_without_words_it_is_the_root_by_currency(app):
    assert ask(app, "/v1/exposure").json() == ask(app, "/v1/exposure", {"by": "currency", "node": "ALL"}).json()


@pytest.mark.parametrize("by", BY)
def test_the_fields_are_the_described_ones(app, by):
    told = ask(app, "/v1/exposure", {"by": by}).json()
    assert told["rows"]
    assert {tuple(row) for row in told["rows"]} == {names(EXPOSED_BY[by])}
    assert set(names(BESIDE_EXPOSURE)) <= told.keys()


def test_as_csv_with_the_columns_of_what_was_asked(app):
    text = ask(app, "/v1/exposure", {"by": "kind", "format": "csv"}).body.decode()
    header, *lines = csv.reader(io.StringIO(text, newline=""))
    assert header == list(names(EXPOSED_BY["kind"]))
    assert [line[0] for line in lines] == [row["kind"] for row in ask(app, "/v1/exposure", {"by": "kind"}).json()["rows"]]


def test_exact_numbers_are_texts_beside_the_rows_too(app):
    exact, plain = (ask(app, "/v1/exposure", {"by": "instrument"} | query).json() for query in ({"exact": "true"}, {}))
    nets = [row["net"] for row in exact["rows"]]
    assert [None if net is None else float(net) for net in nets] == [row["net"] for row in plain["rows"]]
    assert isinstance(exact["shorthand"], str)
    assert float(exact["shorthand"]) == plain["shorthand"]


def test_the_largest_name_is_exact_too():
    gateway = traded()
    sent = row("a1", instrument="ACME", desk="EQ1", quantity="5", price="40", ts=NOON + 60)
    assert post(create_app(gateway), "/v1/trades", [sent]).json()["counts"]["applied"] == 1
    exact = ask(create_app(gateway), "/v1/exposure", {"exact": "true"}).json()
    plain = ask(create_app(gateway), "/v1/exposure").json()
    assert exact["largest"] == exact["top_five"][0]
    assert float(exact["largest"]["net"]) == plain["largest"]["net"]


def test_sorted_by_any_field_unknown_ones_last(app):
    rows = ask(app, "/v1/exposure", {"by": "instrument", "sort": "-net"}).json()["rows"]
    nets = [row["net"] for row in rows]
    known = [net for net in nets if net is not None]
    assert nets == [*sorted(known, reverse=True), *([None] * (len(nets) - len(known)))]
    assert None in nets


def test_it_is_never_cut(app):
    whole = ask(app, "/v1/exposure", {"by": "instrument"}).json()["rows"]
    assert ask(app, "/v1/exposure", {"by": "instrument", "limit": "1"}).json()["rows"] == whole


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ({"by": "desk"}, 400, "by"),
        ({"node": "FX", "dealer": "bob"}, 400, "dealer"),
        ({"sort": "net_local", "by": "kind"}, 400, "sort"),
        ({"sort": "total_pnl"}, 400, "sort"),
        ({"node": "NOWHERE"}, 404, None),
        ({"dealer": "nobody"}, 404, None),
        ({"seq": "9999"}, 404, None),
    ],
    ids=str,
)
def test_a_wrong_question_is_refused_by_name(app, query, status, field):
    problem(ask(app, "/v1/exposure", query), status, field)


def test_two_readers_of_one_seq_see_the_same(gateway):
    app = create_app(gateway)
    seq = newest(gateway).seq
    before = ask(app, "/v1/exposure", {"seq": seq}).json()
    gateway.publish()
    assert ask(app, "/v1/exposure", {"seq": seq}).json() == before

import asyncio
import csv
import io
import json

import pytest

from riskengine.clock import ManualClock
from riskengine.serve.answers.answers import prefers_csv
from riskengine.serve.answers.shapes import DEALER, INSTRUMENT, MARK, NODE, OF_DEALER, OF_NODE, POLICIES, TRADE, names
from riskengine.serve.app import create_app
from riskengine.serve.operations import OPERATIONS
from riskengine.snapshot.rows import dealer_rows, ladder_rows, mark_rows, node_and_children, node_rows, position_rows
from riskengine.views.grants import ROLES
from tests.fuzz.requests import exchange
from tests.serve.stand_in import PORT, Answer, StandIn, ask, newest, post, problem, traded
from tests.struck import a_close
from tests.world import NOON, REFERENCE, SECOND, reference, row


@pytest.fixture(scope="module")
def gateway() -> StandIn:
    return traded(count=250)


@pytest.fixture(scope="module")
def app(gateway):
    return create_app(gateway)


# Lists


@pytest.mark.parametrize(
    ("path", "query", "expected", "fields"),
    [
        ("/v1/nodes", {}, node_rows, NODE),
        ("/v1/nodes/FX", {}, lambda s: node_and_children(s, "FX"), NODE),
        ("/v1/dealers", {"limit": 1_000}, dealer_rows, DEALER),
        ("/v1/marks", {}, mark_rows, MARK),
        ("/v1/positions", {"limit": 1_000}, lambda s: list(position_rows(s)), OF_NODE),
        ("/v1/positions", {"node": "G10"}, lambda s: list(position_rows(s, node="G10")), OF_NODE),
        ("/v1/positions", {"dealer": "ann"}, lambda s: list(position_rows(s, dealer="ann")), OF_DEALER),
        ("/v1/positions", {"dealer": ""}, lambda s: list(position_rows(s, dealer="")), OF_DEALER),
        ("/v1/positions", {"instrument": "EURUSD"}, lambda s: list(position_rows(s, instrument="EURUSD")), OF_NODE),
        ("/v1/positions", {"exact": "true"}, lambda s: list(position_rows(s, exact=True)), OF_NODE),
        ("/v1/ladder", {}, ladder_rows, OF_NODE),
        ("/v1/ladder", {"node": "G10"}, lambda s: ladder_rows(s, node="G10"), OF_NODE),
        ("/v1/ladder", {"dealer": "bob"}, lambda s: ladder_rows(s, dealer="bob"), OF_DEALER),
        ("/v1/ladder", {"exact": "true"}, lambda s: ladder_rows(s, exact=True), OF_NODE),
    ],
)
def test_a_list_is_what_the_snapshot_says(gateway, app, path, query, expected, fields):
    answer = ask(app, path, query)
    told = answer.json()
    rows = expected(newest(gateway))
    assert rows
    assert told["rows"] == rows
    assert told["total"] == len(rows)
    assert [told["epoch"], told["seq"], told["as_of"]] == [7, newest(gateway).seq, NOON]
    assert told["reporting_currency"] == "USD"
    assert told["policies"].keys() == POLICIES.keys()
    assert [tuple(shown) for shown in told["rows"]] == [names(fields)] * len(rows)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "private, no-cache"


def test_a_list_is_cut_to_the_limit_and_tells_the_total(app):
    every = ask(app, "/v1/dealers", {"limit": 1_000}).json()
    assert every["total"] == 253
    assert len(ask(app, "/v1/dealers").json()["rows"]) == 100
    part = ask(app, "/v1/dealers", {"limit": 3, "offset": 2}).json()
    assert part["rows"] == every["rows"][2:5]
    assert part["total"] == 253
    assert ask(app, "/v1/dealers", {"offset": 10_000}).json()["rows"] == []


@pytest.mark.parametrize("path", ["/v1/nodes", "/v1/ladder"])
def test_nodes_and_ladder_are_never_cut(app, path):
    told = ask(app, path, {"limit": 1}).json()
    assert len(told["rows"]) == told["total"] > 1


def test_pages_of_positions_join_to_the_whole(app):
    every = ask(app, "/v1/positions", {"limit": 1_000}).json()["rows"]
    pages = [ask(app, "/v1/positions", {"limit": 2, "offset": at}).json() for at in range(0, len(every) + 2, 2)]
    assert [row for page in pages for row in page["rows"]] == every
    assert {page["total"] for page in pages} == {len(every)}


@pytest.mark.parametrize("field", names(OF_NODE))
@pytest.mark.parametrize("sign", ["", "-"])
def test_positions_sort_by_every_field_as_their_rows_do(app, field, sign):
    every = ask(app, "/v1/positions").json()["rows"]
    told = ask(app, "/v1/positions", {"sort": sign + field}).json()["rows"]
    known = sorted((row for row in every if row[field] is not None), key=lambda row: row[field], reverse=bool(sign))
    assert [row[field] for row in told[: len(known)]] == [row[field] for row in known]
    assert [row[field] for row in told[len(known) :]] == [None] * (len(every) - len(known))
    assert sorted(told, key=str) == sorted(every, key=str)


def test_other_lists_sort_too_and_equal_rows_stay_as_they_were(app):
    rows = ask(app, "/v1/nodes", {"sort": "-total_pnl"}).json()["rows"]
    totals = [row["total_pnl"] for row in rows]
    known = [total for total in totals if total is not None]
    assert len(set(known)) > 1, "there is something to sort"
    assert totals == sorted(known, reverse=True) + [None] * (len(totals) - len(known))
    ladder = ask(app, "/v1/ladder", {"sort": "-quantity", "exact": "true"}).json()["rows"]
    assert [float(row["quantity"]) for row in ladder] == sorted((float(row["quantity"]) for row in ladder), reverse=True)
    by_name = ask(app, "/v1/marks", {"sort": "-instrument"}).json()["rows"]
    assert by_name == ask(app, "/v1/marks").json()["rows"][::-1]
    parents = ask(app, "/v1/nodes", {"sort": "parent"}).json()["rows"]
    assert parents[-1]["node"] == "ALL"
    assert [row["node"] for row in parents if row["parent"] == "G10"] == ["FX1", "FX2"]


def test_flat_rows_can_be_hidden(app):
    shown = {row["instrument"] for row in ask(app, "/v1/ladder", {"node": "EQ1"}).json()["rows"]}
    open_only = {row["instrument"] for row in ask(app, "/v1/ladder", {"node": "EQ1", "flat": "false"}).json()["rows"]}
    assert shown - open_only == {"ACME"}


@pytest.mark.parametrize("path", ["/v1/positions", "/v1/ladder", "/v1/marks"])
def test_rows_of_one_instrument_and_rows_that_are_stale(path):
    clock = ManualClock(NOON)
    gateway = traded(clock=clock)
    app = create_app(gateway)
    clock.advance(90 * SECOND)
    ticks = [{"instrument": name, "ts": clock.now(), "mid": 1.2} for name in ("EURUSD", "GBPUSD")]
    assert post(app, "/v1/ticks", ticks).json()["accepted"] == 2
    every = ask(app, path).json()["rows"]
    for flag in (True, False):
        told = ask(app, path, {"stale": str(flag).lower()}).json()
        assert told["rows"] == [row for row in every if row["stale"] is flag]
        assert len(told["rows"]) == told["total"] > 0
    told = ask(app, path, {"instrument": "EURUSD"}).json()
    assert told["rows"] == [row for row in every if row["instrument"] == "EURUSD"]
    assert len(told["rows"]) == told["total"] > 0
    assert ask(app, path, {"instrument": "EURUSD", "stale": "true"}).json()["rows"] == []
    problem(ask(app, path, {"instrument": "NONE"}), 404)
    problem(ask(app, path, {"stale": "maybe"}), 400, "stale")


def test_exact_numbers_are_texts_that_lose_nothing(app):
    [held] = ask(app, "/v1/positions", {"node": "FX2", "exact": "true"}).json()["rows"]
    assert [held["quantity"], held["net_cash"], held["average_price"]] == ["-40.5", "46.575", "1.15"]
    root = ask(app, "/v1/nodes", {"exact": "true"}).json()["rows"][0]
    assert isinstance(root["fees"], str)
    assert isinstance(root["position_count"], int)


def test_a_house_without_nodes_has_empty_lists():
    app = create_app(StandIn(reference({}, ())))
    for path in ("/v1/nodes", "/v1/positions", "/v1/ladder", "/v1/dealers", "/v1/marks", "/v1/exceptions", "/v1/trades"):
        assert ask(app, path).json()["rows"] == []
    assert ask(app, "/v1/status").json()["position_count"] == 0


# CSV


def lines(answer: Answer) -> list[list[str]]:
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.reader(io.StringIO(answer.body.decode(), newline="")))


def test_csv_has_the_same_rows(app):
    rows = ask(app, "/v1/positions", {"limit": 5}).json()["rows"]
    header, *found = lines(ask(app, "/v1/positions", {"limit": 5, "format": "csv"}))
    assert header == list(names(OF_NODE))
    assert len(found) == 5
    for line, shown in zip(found, rows, strict=True):
        read = dict(zip(header, line, strict=True))
        assert read["average_price"] == ("" if shown["average_price"] is None else repr(shown["average_price"]))
        assert read["stale"] == str(shown["stale"]).lower()


@pytest.mark.parametrize("path", ["/v1/nodes", "/v1/dealers", "/v1/ladder", "/v1/marks", "/v1/trades", "/v1/nodes/EQ1"])
def test_every_list_of_records_speaks_csv(app, path):
    answer = ask(app, path, headers={"accept": "text/csv"})
    assert len(lines(answer)) == len(ask(app, path).json()["rows"]) + 1
    assert answer.headers["riskengine-seq"] == str(ask(app, path).json()["seq"])
    assert "Accept" in answer.headers["vary"]


def test_long_answers_are_the_same_as_short_ones(app):
    """Routes whose answers are made while they are sent."""
    whole = ask(app, "/v1/dealers", {"limit": 1_000}).json()["rows"]
    parts = [ask(app, "/v1/dealers", {"limit": 50, "offset": at}).json()["rows"] for at in range(0, 300, 50)]
    assert whole == [row for part in parts for row in part]
    assert len(lines(ask(app, "/v1/dealers", {"limit": 1_000, "format": "csv"}))) == 254


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/csv", True),
        ("TEXT/CSV; q=0.9", True),
        ("text/csv;q=0", False),
        ("text/csv;q=0.5, application/json", False),
        ("application/json;q=0.2, text/csv", True),
        ("text/html,text/csv;q=nonsense", True),
    ],
)
def test_the_accept_header_chooses(accept, expected):
    assert prefers_csv(accept) is expected


def test_the_parameter_goes_before_the_accept_header(app):
    answer = ask(app, "/v1/nodes", {"format": "json"}, headers={"accept": "text/csv"})
    assert answer.headers["content-type"] == "application/json"


# Snapshots by number


def test_two_readers_compare_at_one_seq():
    gateway = traded()
    app = create_app(gateway)
    seq = newest(gateway).seq
    before = ask(app, "/v1/nodes", {"seq": seq}).json()
    post(app, "/v1/ticks", [{"instrument": "EURUSD", "ts": NOON, "mid": 1.3}])
    assert ask(app, "/v1/nodes", {"seq": seq}).json() == before
    assert ask(app, "/v1/nodes").json()["rows"] != before["rows"]
    problem(ask(app, "/v1/nodes", {"seq": seq + 2}), 404)


READS = [
    ("/v1/today", {}),
    ("/v1/limits", {}),
    ("/v1/margin", {}),
    ("/v1/breaches", {}),
    ("/v1/var", {}),
    ("/v1/var/nodes", {}),
    ("/v1/var/backtest", {}),
    ("/v1/nodes", {}),
    ("/v1/nodes/FX", {}),
    ("/v1/positions", {}),
    ("/v1/ladder", {}),
    ("/v1/groups", {"by": "strategy"}),
    ("/v1/dealers", {}),
    ("/v1/marks", {}),
    ("/v1/instruments", {}),
    ("/v1/trades", {}),
    ("/v1/digest", {}),
    ("/v1/exposure", {"by": "sector"}),
    ("/v1/risk", {"node": "FX1"}),
    ("/v1/closes", {}),
    ("/v1/cashladder", {}),
    ("/v1/history", {}),
    ("/v1/exceptions", {}),
    ("/v1/breaks", {}),
    ("/v1/status", {}),
    ("/v1/receipt", {"instrument": "EURUSD"}),
    ("/v1/holdings", {}),
]


def test_instruments_say_how_they_are_quoted():
    rows = {row["instrument"]: row for row in ask(create_app(traded()), "/v1/instruments").json()["rows"]}
    euro, mini = rows["EURUSD"], rows["ESZ6"]
    assert tuple(euro) == names(INSTRUMENT)
    assert (euro["kind"], euro["base_currency"], euro["currency"], euro["strike"]) == ("fx", "EUR", "USD", None)
    assert mini["multiplier"] == REFERENCE.by_symbol["ESZ6"].multiplier / 1e8
    asked = ask(create_app(traded()), "/v1/instruments", {"instrument": "EURUSD"}).json()
    assert asked["rows"] == [euro]


def test_a_session_says_who_asks_in_every_state():
    gateway = StandIn()
    gateway.state = "loading"
    told = ask(create_app(gateway), "/v1/session").json()
    whole = {"sees_everything": True, "may_book": True, "nodes": None, "dealers": None}
    assert told == {"name": "local", "roles": sorted(ROLES), **whole, "login": False, "expires_ts": None}


def test_every_read_can_be_of_a_snapshot_by_its_number():
    gateway = traded()
    gateway.struck["2026-12-01"] = a_close()
    app = create_app(gateway)
    assert {path for path, _ in READS} | {"/v1/session", "/v1/audit", "/v1/diff", "/v1/explain"} == {
        operation.path.replace("{node:path}", "FX")
        for operation in OPERATIONS
        if operation.method == "GET" and operation.path.startswith("/v1/")
    }
    seq = newest(gateway).seq
    post(app, "/v1/ticks", [{"instrument": "EURUSD", "ts": NOON, "mid": 1.3}])
    for path, query in READS:
        told = ask(app, path, query | {"seq": seq})
        assert told.status == 200, path
        head = told.body.splitlines()[0] if path == "/v1/holdings" else told.body
        assert json.loads(head)["seq"] == seq, path
        problem(ask(app, path, query | {"seq": seq + 5}), 404)


def test_a_receipt_is_of_the_snapshot_asked_for_until_a_trade_comes():
    gateway = traded()
    app = create_app(gateway)
    seq = newest(gateway).seq
    query = {"instrument": "EURUSD", "node": "FX1", "seq": seq}
    before = ask(app, "/v1/receipt", query).json()
    post(app, "/v1/ticks", [{"instrument": "EURUSD", "ts": NOON, "mid": 1.3}])
    assert ask(app, "/v1/receipt", query).json() == before
    assert ask(app, "/v1/receipt", query | {"seq": seq + 1}).json()["row"] != before["row"]
    post(app, "/v1/trades", row("another"))
    assert problem(ask(app, "/v1/receipt", query), 410)["type"] == "urn:riskengine:snapshot-gone"


def test_a_snapshot_is_gone_after_its_time():
    clock = ManualClock(NOON)
    gateway = traded(clock=clock)
    seq = newest(gateway).seq
    for _ in range(2):  # it counts from when it was the newest
        clock.advance(2 * SECOND)
        gateway.publish()
    for path, query in READS:
        problem(ask(create_app(gateway), path, query | {"seq": seq}), 410)


# Wrong questions


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/v1/positions", "limit=0", "limit"),
        ("/v1/positions", "limit=1000001", "limit"),
        ("/v1/positions", "limit=ten", "limit"),
        ("/v1/positions", "limit=", "limit"),
        ("/v1/positions", "limit=%2B5", "limit"),
        ("/v1/positions", "limit=1&limit=2", "limit"),
        ("/v1/positions", "limit=99999999999999999999", "limit"),
        ("/v1/positions", "offset=-1", "offset"),
        ("/v1/positions", "sort=colour", "sort"),
        ("/v1/positions", "sort=--quantity", "sort"),
        ("/v1/positions", "sort=dealer", "sort"),
        ("/v1/ladder", "sort=-dealer", "sort"),
        ("/v1/positions", "node=FX&dealer=ann", "dealer"),
        ("/v1/ladder", "node=FX&dealer=ann", "dealer"),
        ("/v1/positions", "format=xml", "format"),
        ("/v1/positions", "exact=yes", "exact"),
        ("/v1/positions", "seq=-1", "seq"),
        ("/v1/positions", "seq=new", "seq"),
        ("/v1/positions", "nod=FX", "nod"),
        ("/v1/nodes", "offset=1", "offset"),
        ("/v1/ladder", "flat=1", "flat"),
        ("/v1/status", "x=1", "x"),
        ("/v1/trades", "versions=some", "versions"),
        ("/v1/trades", "since=yesterday", "since"),
        ("/v1/trades", "since=1772625600", "since"),
        ("/v1/exceptions", "kind=odd", "kind"),
    ],
)
def test_a_bad_parameter_is_named(app, path, query, field):
    problem(ask(app, path, query), 400, field)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/nodes/NOWHERE", {}),
        ("/v1/nodes/", {}),
        ("/v1/positions", {"node": "NOWHERE"}),
        ("/v1/positions", {"dealer": "nobody"}),
        ("/v1/positions", {"instrument": "NONE"}),
        ("/v1/ladder", {"node": "x"}),
        ("/v1/ladder", {"dealer": "x"}),
        ("/v1/trades", {"node": "x"}),
        ("/v1/trades", {"instrument": "x"}),
        ("/v1/trades", {"dealer": "x"}),
        ("/v1/positions", "node=%FF"),
    ],
)
def test_an_unknown_name_is_not_found(app, path, query):
    problem(ask(app, path, query), 404)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/nothing", "/v1/status/", "/../etc/passwd", "/v1/positions/x"])
def test_an_unknown_route_is_not_found(app, path, method):
    problem(ask(app, path, method=method), 404)


def test_a_wrong_method_is_told_the_right_ones(app):
    answer = ask(app, "/v1/nodes", method="POST")
    problem(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert set(ask(app, "/v1/trades", method="DELETE").headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize("path", ["/v1/nodes", "/v1/stream"])
def test_a_query_that_is_no_text_changes_no_refusal(app, path):
    """Starlette decodes the query as UTF-8 to tell the path: the answer was 500."""
    for method, status in (("POST", 405), ("GET", 400 if path == "/v1/nodes" else 426)):
        host = [(b"host", f"127.0.0.1:{PORT}".encode())]
        problem(Answer(*asyncio.run(exchange(app, method, f"{path}?x=\xa6", host, b""))), status)


def test_an_unknown_name_is_told_by_its_beginning(app):
    long = "x" * 5_000
    for query in ({"node": long}, {"dealer": long}, {"instrument": long}):
        assert len(problem(ask(app, "/v1/positions", query), 404)["detail"]) < 200


def test_a_node_may_have_a_slash_in_its_name():
    app = create_app(StandIn(reference({"ALL": "", "FX/G10": "ALL"})))
    assert [row["node"] for row in ask(app, "/v1/nodes/FX/G10").json()["rows"]] == ["FX/G10"]


def test_a_mistake_of_ours_is_a_problem_too(gateway):
    broken = create_app(gateway)
    del broken.state.digests
    answer = ask(broken, "/v1/digest", raises=AttributeError)
    assert "digests" not in problem(answer, 500)["detail"]
    assert answer.headers["x-content-type-options"] == "nosniff"


# Trades, out


def test_stored_trades_newest_first(gateway, app):
    told = ask(app, "/v1/trades", {"node": "FX"}).json()
    assert [row["trade_id"] for row in told["rows"]] == ["t4", "t3", "t2", "t1"]
    assert {tuple(row) for row in told["rows"]} == {names(TRADE)}
    assert told["rows"][2]["quantity"] == 40.5
    assert told["rows"][0]["contra_amount"] is None
    assert told["total"] == 4
    page = ask(app, "/v1/trades", {"node": "FX", "limit": 2, "offset": 1, "exact": "true"}).json()
    assert [row["trade_id"] for row in page["rows"]] == ["t3", "t2"]
    assert page["rows"][1]["quantity"] == "40.5"
    assert page["total"] == 4


def test_stored_trades_by_dealer_instrument_and_time(app):
    assert [row["trade_id"] for row in ask(app, "/v1/trades", {"dealer": "bob"}).json()["rows"]] == ["t2"]
    assert ask(app, "/v1/trades", {"instrument": "ACME"}).json()["total"] == 2
    assert ask(app, "/v1/trades", {"since": NOON + 7}).json()["total"] == 1
    assert ask(app, "/v1/trades", {"since": "2026-03-04T13:00:00+01:00", "node": "EQ1", "instrument": "GHOST"}).json()["total"]

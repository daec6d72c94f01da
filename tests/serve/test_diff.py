"""`GET /v1/diff`: every cell that differs between two moments, of whom one may see."""

import csv
import io
from typing import Any

import pytest

from riskengine.engine.moment import Known, Moment
from riskengine.serve.app import create_app
from riskengine.snapshot.rows import dealer_rows, node_rows, position_rows
from tests.serve.stand_in import DAY, StandIn, ask, post, problem
from tests.world import NOON, row

EARLIER = NOON - 1_000


class TwoMoments(StandIn):
    """A house whose past is another house: before the last trade and price."""

    def __init__(self, past: StandIn, **more: Any) -> None:
        super().__init__(**more)
        self.past = past

    async def moment(self, ts: int, known: Known, *, whole: bool = False) -> Moment:
        if ts == EARLIER:
            return Moment(self.past.engine, ts, EARLIER, known, ())
        return await super().moment(ts, known, whole=whole)


@pytest.fixture(scope="module")
def house() -> TwoMoments:
    gateway = TwoMoments(StandIn())
    for source in (gateway, gateway.past):
        app = create_app(source)
        ticks = [{"instrument": "EURUSD", "ts": NOON, "mid": 1.2}, {"instrument": "ACME", "ts": NOON, "mid": 40.0}]
        assert post(app, "/v1/ticks", ticks).json()["accepted"] == 2
        assert post(app, "/v1/trades", [row("a"), row("b", desk="FX2", dealer="bob")]).status == 200
    app = create_app(gateway)
    assert post(app, "/v1/trades", [row("c", price="1.15"), row("d", instrument="ACME", desk="EQ1", price="39")]).status == 200
    return gateway


@pytest.fixture(scope="module")
def app(house):
    return create_app(house)


def cells(rows: list[dict[str, Any]], key: tuple[str, ...]) -> dict[tuple, Any]:
    return {(*(row[name] for name in key), field): value for row in rows for field, value in row.items() if field not in key}


def test_it_names_every_cell_that_differs_and_no_other(house, app):
    told = ask(app, "/v1/diff", {"from": EARLIER, "limit": 1_000_000}).json()
    past, now = house.past.engine.snapshot, house.engine.snapshot
    lists = {
        "nodes": (("node",), node_rows),
        "dealers": (("dealer",), dealer_rows),
        "positions": (("node", "instrument"), lambda snapshot: list(position_rows(snapshot))),
    }
    expected: dict[tuple[Any, ...], Any] = {}
    for name, (key, make) in lists.items():
        before, after = cells(make(past), key), cells(make(now), key)
        different = [cell for cell in before.keys() | after.keys() if before.get(cell) != after.get(cell)]
        expected |= {(name, *cell): (before.get(cell), after.get(cell)) for cell in different}
    found = {}
    for each in told["rows"]:
        key = lists[each["list"]][0]
        found[each["list"], *(each[part] for part in key), each["field"]] = (each["from"], each["to"])
    assert found == expected
    assert told["total"] == len(expected) > 20
    assert {each["kind"] for each in told["rows"]} == {"changed", "appeared"}
    assert told["from"]["exact_at"] == EARLIER
    assert told["to"]["asked"] is None
    assert (told["seq"], told["to"]["seq"]) == (now.seq, now.seq)


def test_of_one_list_one_node_one_instrument_one_field(app):
    query = {"from": EARLIER, "to": NOON, "limit": 1_000_000}
    every = ask(app, "/v1/diff", query).json()["rows"]
    assert ask(app, "/v1/diff", query | {"of": "nodes"}).json()["rows"] == [row for row in every if row["list"] == "nodes"]
    below = ask(app, "/v1/diff", query | {"node": "CASH"}).json()["rows"]
    assert below == [row for row in every if row["node"] in ("CASH", "EQ1")]
    of_acme = ask(app, "/v1/diff", query | {"instrument": "ACME"}).json()["rows"]
    assert of_acme == [row for row in every if row["instrument"] == "ACME"]
    totals = ask(app, "/v1/diff", query | {"field": "total_pnl"}).json()["rows"]
    assert totals == [row for row in every if row["field"] == "total_pnl"]
    held = ask(app, "/v1/diff", query | {"dealer": "ann", "of": "positions"}).json()["rows"]
    assert {row["dealer"] for row in held} == {"ann"}
    assert ask(app, "/v1/diff", query | {"limit": 3, "offset": 2}).json()["rows"] == every[2:5]


def test_exact_differences_are_exact(app):
    query = {"from": EARLIER, "node": "FX1", "instrument": "EURUSD", "field": "net_cash", "exact": "true"}
    [cell] = ask(app, "/v1/diff", query).json()["rows"]
    assert (cell["from"], cell["to"], cell["change"]) == ("-110", "-225", "-115")


def test_as_csv(app):
    answer = ask(app, "/v1/diff", {"from": EARLIER, "format": "csv", "field": "total_pnl"})
    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert [row["list"] for row in rows][:1] == ["nodes"]
    assert rows[0].keys() >= {"list", "node", "field", "from", "to", "change"}


def test_the_same_moment_twice_has_no_difference(app):
    assert ask(app, "/v1/diff", {"from": EARLIER, "to": EARLIER}).json()["rows"] == []


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ({}, 400, "from"),
        ({"from": "then"}, 400, "from"),
        ({"from": NOON, "to": "later"}, 400, "to"),
        ({"from": NOON, "to": NOON - 1}, 400, "from"),
        ({"from": NOON + 1}, 400, "from"),
        ({"from": NOON, "to": NOON + 1}, 400, "to"),
        ({"from": NOON, "to_known": "now"}, 400, "to_known"),
        ({"from": NOON, "of": "trades"}, 400, "of"),
        ({"from": NOON, "field": "colour"}, 400, "field"),
        ({"from": NOON, "node": "FX", "dealer": "ann"}, 400, "dealer"),
        ({"from": NOON, "seq": 2}, 400, "seq"),
        ({"from": NOON, "node": "NOWHERE"}, 404, None),
        ({"from": NOON, "dealer": "nobody"}, 404, None),
        ({"from": NOON, "instrument": "NONE"}, 404, None),
        ({"from": NOON - 2 * DAY}, 404, None),
    ],
)
def test_bad_questions_are_refused_and_named(app, query, status, field):
    problem(ask(app, "/v1/diff", query), status, field)


def test_before_the_engine_is_live_there_is_no_answer():
    gateway = StandIn()
    gateway.state = "loading"
    problem(ask(create_app(gateway), "/v1/diff", {"from": NOON}), 503)

"""`/v1/risk` and the view `risk` as a client sees them."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from riskengine.client import AsyncClient
from riskengine.records.option_inputs import Vol
from riskengine.serve.answers.shapes import BESIDE_RISK, BY_EXPIRY, BY_UNDERLYING, EXPIRING, RISK, names
from riskengine.serve.app import create_app
from riskengine.snapshot.risk import risk
from tests.client.states import state_where
from tests.optioned import SPOTS, rates
from tests.risky import CALL, HEDGES, OPTIONS, PUT, WEEK
from tests.serve.guarded import PARENTS, Guarded, bearer
from tests.serve.stand_in import StandIn, ask, newest, post, problem
from tests.serve.wired import run, talk, wired
from tests.world import INSTRUMENTS, NOON, reference, row, trade

REFERENCE = reference(rows=(*INSTRUMENTS, *OPTIONS, *HEDGES))
QUOTED = SPOTS | {"6EM6": 1.105}


def opened(house: Any) -> None:
    """Spots, rates and vols of all options."""
    house.offer_option_inputs([*rates(), *(Vol(option["instrument"], NOON, 0.1) for option in OPTIONS)])
    ticks = [{"instrument": name, "ts": NOON, "mid": mid, "source": "feed"} for name, mid in QUOTED.items()]
    assert post(create_app(house), "/v1/ticks", ticks).json()["accepted"] == len(QUOTED)


@pytest.fixture(scope="module")
def gateway() -> StandIn:
    house = StandIn(REFERENCE)
    opened(house)
    held = ((CALL, "1000000"), (WEEK, "500000"), ("EURUSD", "400000"), ("6EM6", "2"))
    deals = [row(f"r{n}", instrument=name, quantity=size, price="0.02") for n, (name, size) in enumerate(held)]
    deals.append(row("other", instrument=PUT, desk="FX2", dealer="bob", quantity="7", price="0.02"))
    assert post(create_app(house), "/v1/trades", deals).json()["counts"]["applied"] == len(deals)
    return house


@pytest.fixture(scope="module")
def app(gateway: StandIn) -> ASGIApp:
    return create_app(gateway)


@pytest.mark.parametrize("owner", [{}, {"node": "FX1"}, {"node": "EQ1"}, {"dealer": "bob"}], ids=str)
def test_rows_and_sums_are_those_of_the_snapshot(gateway, app, owner):
    told = ask(app, "/v1/risk", owner).json()
    found = risk(newest(gateway), **owner)
    assert told["rows"] == found.rows
    assert {name: told[name] for name in found.summary} == found.summary
    assert (told["total"], told["reporting_currency"]) == (len(found.rows), "USD")
    assert (told["node"], told["dealer"]) == (owner.get("node", None if "dealer" in owner else "ALL"), owner.get("dealer"))


def test_the_fields_are_the_described_ones(app):
    told = ask(app, "/v1/risk").json()
    assert {tuple(each) for each in told["rows"]} == {names(RISK)}
    for breakdown, fields in (("by_underlying", BY_UNDERLYING), ("by_expiry", BY_EXPIRY), ("expiries", EXPIRING)):
        assert {frozenset(each) for each in told[breakdown]} == {frozenset(names(fields))}
    assert set(names(BESIDE_RISK)) <= told.keys()


def test_as_csv_the_rows_have_the_described_columns(app):
    header, *lines = csv.reader(io.StringIO(ask(app, "/v1/risk", {"format": "csv"}).body.decode(), newline=""))
    assert header == list(names(RISK))
    assert [line[0] for line in lines] == [each["instrument"] for each in ask(app, "/v1/risk").json()["rows"]]


def test_sorted_exact_numbers_come_in_the_order_of_numbers(app):
    rows = ask(app, "/v1/risk", {"sort": "-vega", "exact": "true"}).json()["rows"]
    vegas = [float(each["vega"]) for each in rows]
    assert len(vegas) == 5
    assert vegas == sorted(vegas, reverse=True)


def test_an_older_snapshot_can_be_asked_for_by_its_seq():
    house = StandIn(REFERENCE)
    opened(house)
    application = create_app(house)
    post(application, "/v1/trades", [row("r1", instrument=CALL, quantity="100", price="0.02")])
    seq = newest(house).seq
    post(application, "/v1/trades", [row("r2", instrument=CALL, quantity="50", price="0.02")])
    assert [each["quantity"] for each in ask(application, "/v1/risk", {"seq": seq}).json()["rows"]] == [100.0]
    assert [each["quantity"] for each in ask(application, "/v1/risk").json()["rows"]] == [150.0]


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ({"node": "NOWHERE"}, 404, None),
        ({"dealer": "nobody"}, 404, None),
        ({"node": "FX1", "dealer": "bob"}, 400, "dealer"),
        ({"sort": "parent"}, 400, "sort"),
        ({"by": "expiry"}, 400, "by"),
        ({"seq": "99999999"}, 404, None),
    ],
    ids=str,
)
def test_a_wrong_question_is_refused(app, query, status, field):
    problem(ask(app, "/v1/risk", query), status, field)


# -- grants ------------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    """OURDESK, whose options the viewer sees, and ZETADESK, whose it does not."""
    house = Guarded(tmp_path, house=reference(PARENTS, (*INSTRUMENTS, *OPTIONS, *HEDGES)))
    feed = bearer(house.tokens["feed"])
    house.gateway.offer_option_inputs([*rates(), *(Vol(option["instrument"], NOON, 0.1) for option in OPTIONS)])
    ticks = [{"instrument": name, "ts": NOON, "mid": mid} for name, mid in QUOTED.items()]
    assert post(house.app, "/v1/ticks", ticks, headers=feed).status == 200
    theirs = {"desk": "ZETADESK", "dealer": "zoltan"}
    deals = [
        row("o1", instrument=CALL, desk="OURDESK", price="0.02"),
        row("z1", instrument=PUT, price="0.02", **theirs),
        row("z2", instrument="EURUSD", price="1.1", **theirs),
    ]
    assert post(house.app, "/v1/trades", deals, headers=feed).json()["counts"]["applied"] == 3
    return house


@pytest.mark.parametrize(("owner", "status"), [({"node": "OURDESK"}, 200), ({"dealer": "ann"}, 200)], ids=str)
def test_what_is_granted_shows_nothing_of_another(guarded, owner, status):
    told = guarded.ask("viewer", "/v1/risk", owner)
    assert told.status == status
    assert [each["instrument"] for each in told.json()["rows"]] == [CALL]
    assert told.json()["by_underlying"][0]["hedge_count"] == 0


@pytest.mark.parametrize("owner", [{}, {"node": "ZETADESK"}, {"node": "ALL"}, {"dealer": "zoltan"}, {"node": "NONE"}], ids=str)
def test_what_is_not_granted_is_forbidden_whether_it_exists_or_not(guarded, owner):
    problem(guarded.ask("viewer", "/v1/risk", owner), 403)


# -- the stream --------------------------------------------------------------------------------------------------


def test_the_view_sends_rows_and_then_what_changed():
    async def scenario() -> None:
        async with wired(reference=REFERENCE) as engine, talk(engine) as client:
            engine.offer_option_inputs([*rates(), *(Vol(option["instrument"], NOON, 0.1) for option in OPTIONS)])
            engine.marks(**QUOTED)
            engine.deal(
                trade("s1", where=REFERENCE, instrument=CALL, price="0.02"),
                trade("s2", where=REFERENCE, instrument="ACME C90", desk="EQ1", price="4"),
            )
            await client.hear("hello")
            first = await client.ask(op="subscribe", id="a", view="risk", node="ALL")
            snapshot = engine.history.at(first["seq"])
            assert (first["key"], first["rows"]) == (["instrument"], risk(snapshot, node="ALL").rows)
            assert first["summary"] == risk(snapshot, node="ALL").summary
            after = engine.marks(EURUSD=1.11)
            while (update := await client.hear("update"))["seq"] < after.seq:
                pass
            [changed] = update["views"]["a"]["rows"]
            assert changed["instrument"] == CALL
            now = {each["instrument"]: each for each in risk(after, node="ALL").rows}[CALL]
            assert {"spot", "delta", "delta_cash", "value"} <= changed.keys()
            assert not {"kind", "strike", "vol", "expiry"} & changed.keys()
            assert changed.items() <= now.items()
            sold = engine.deal(trade("s3", where=REFERENCE, instrument=CALL, price="0.02", side="sell"))
            while (update := await client.hear("update"))["seq"] < sold.seq:
                pass
            assert update["views"]["a"]["removed"] == [[CALL]]

    run(scenario())


def test_the_client_follows_the_risk_that_it_reads():
    async def scenario() -> None:
        async with wired(reference=REFERENCE) as engine, AsyncClient(f"http://127.0.0.1:{engine.port}") as client:
            engine.offer_option_inputs([*rates(), *(Vol(option["instrument"], NOON, 0.1) for option in OPTIONS)])
            engine.marks(**QUOTED)
            engine.deal(trade("c0", where=REFERENCE))
            followed = client.subscribe("risk", dealer="ann")
            for number in range(3):
                newer = engine.deal(trade(f"c{number + 1}", where=REFERENCE, instrument=CALL, price="0.02"))
                state = await state_where(followed, lambda state, seq=newer.seq: state.is_live and state.seq == seq)
                assert list(state.rows.values()) == risk(newer, dealer="ann").rows
                read = await client.risk(dealer="ann", seq=newer.seq)
                assert (read.rows, read.header["by_expiry"]) == (risk(newer, dealer="ann").rows, state.summary["by_expiry"])

    run(scenario())

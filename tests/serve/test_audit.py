"""`GET /v1/audit`: what is asked for, how much is read, and who may."""

import pytest

from riskengine.serve.app import create_app
from riskengine.serve.routes.audit import MAX_ENTRIES
from tests.serve.stand_in import StandIn, ask, problem
from tests.world import NOON


@pytest.fixture
def gateway() -> StandIn:
    gateway = StandIn()
    for number in range(5):
        gateway.note("verdict", f"late:{number}", {"number": number}, "ann")
    return gateway


def test_the_newest_entry_comes_first_and_a_cut_list_does_not_say_how_long_the_trail_is(gateway: StandIn) -> None:
    app = create_app(gateway)
    every = ask(app, "/v1/audit").json()
    assert [row["subject"] for row in every["rows"]] == [f"late:{number}" for number in (4, 3, 2, 1, 0)]
    assert every["total"] == 5
    newest = ask(app, "/v1/audit", {"limit": 2}).json()
    assert newest["rows"] == every["rows"][:2]
    assert newest["total"] is None


def test_a_node_is_asked_for_with_the_desks_below_it(gateway: StandIn) -> None:
    asked = {"node": "FX", "kind": "trades", "trade": "desk:t1", "since": NOON, "until": NOON + 1, "limit": 7}
    assert ask(create_app(gateway), "/v1/audit", asked).status == 200
    assert gateway.audit_asked | {"desks": sorted(gateway.audit_asked["desks"])} == asked | {
        "desks": ["EM1", "FX1", "FX2"],
        "limit": 8,
    }


def test_one_answer_reads_a_bounded_part_of_the_trail(gateway: StandIn) -> None:
    assert ask(create_app(gateway), "/v1/audit", {"limit": 1_000_000}).status == 200
    assert gateway.audit_asked["limit"] == MAX_ENTRIES + 1


def test_a_cut_list_as_csv_has_no_total(gateway: StandIn) -> None:
    answer = ask(create_app(gateway), "/v1/audit", {"limit": 1, "format": "csv"})
    assert answer.headers["riskengine-total"] == ""
    assert answer.body.decode().splitlines()[0].startswith("audit_seq,ts,actor,kind")


@pytest.mark.parametrize(("query", "status"), [({"kind": "nothing"}, 400), ({"node": "nowhere"}, 404), ({"until": "x"}, 400)])
def test_what_is_not_there_or_not_understood_is_said(gateway: StandIn, query: dict[str, str], status: int) -> None:
    problem(ask(create_app(gateway), "/v1/audit", query), status)

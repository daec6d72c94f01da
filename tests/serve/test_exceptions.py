"""A person's verdict on an exception over HTTP takes effect at once, and the list shows it."""

from typing import Any

import pytest

from riskengine.config import Config
from riskengine.serve.app import create_app
from tests.serve.stand_in import StandIn, ask, post, problem
from tests.world import NOON, SECOND, mark_settings, row


class Desk:
    """The application of one engine, and its list of exceptions."""

    def __init__(self, **marks: Any) -> None:
        self.gateway = StandIn(config=Config(marks=mark_settings(**marks)))
        self.app = create_app(self.gateway)

    def send(self, *trades: dict[str, Any]) -> list[str]:
        return [result["status"] for result in post(self.app, "/v1/trades", list(trades)).json()["results"]]

    def listed(self, kind: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = ask(self.app, "/v1/exceptions", {"kind": kind}).json()["rows"]
        return rows

    def decide(self, item: str, action: str, comment: str = "") -> dict[str, Any]:
        answer = post(self.app, f"/v1/exceptions/{item}", {"action": action, "comment": comment})
        assert answer.status == 200, answer
        told: dict[str, Any] = answer.json()
        return told

    def quantity(self) -> float | None:
        rows = ask(self.app, "/v1/positions", {"node": "FX1", "instrument": "EURUSD"}).json()["rows"]
        return rows[0]["quantity"] if rows else None


def test_an_accepted_conflict_takes_the_place_of_the_version_that_stood():
    desk = Desk()
    assert desk.send(row("t1", quantity="100"), row("t1", quantity="70")) == ["applied", "conflict"]
    [conflict] = desk.listed("conflict")
    told = desk.decide(conflict["id"], "accept", "booked twice")
    assert (told["verdict"], told["comment"], told["verdict_by"]) == ("accept", "booked twice", "local")
    assert desk.quantity() == 70.0
    assert desk.listed("conflict") == []


def test_exceptions_about_trades_are_found_by_node_dealer_instrument_and_source():
    desk = Desk()
    ahead = NOON + 3_600 * SECOND
    desk.send(row("q1", ts=ahead), row("q2", ts=ahead, desk="FX2", dealer="bob", source="other"))
    desk.send(row("in", desk="FX2", dealer="bob"), row("c1"), row("c1", quantity="7"))
    desk.send(row("q3", ts=ahead, instrument="GBPUSD", desk="FX2"))

    def found(**query: str) -> set[str]:
        rows = ask(desk.app, "/v1/exceptions", {"kind": "quarantined", **query}).json()["rows"]
        return {item["trade"]["trade_id"] for item in rows}

    assert found() == {"q1", "q2", "q3"}
    assert (found(node="FX2"), found(node="FX")) == ({"q2", "q3"}, {"q1", "q2", "q3"})
    assert (found(dealer="bob"), found(source="other"), found(instrument="GBPUSD")) == ({"q2"}, {"q2"}, {"q3"})
    assert found(node="FX2", instrument="EURUSD") == {"q2"}
    assert problem(ask(desk.app, "/v1/exceptions", {"node": "NOPE"}), 404)["type"] == "urn:riskengine:unknown-name"


def test_a_rejected_conflict_leaves_the_list_and_the_position_alone():
    desk = Desk()
    desk.send(row("t1", quantity="100"), row("t1", quantity="70"), row("t1", quantity="60"))
    first, second = desk.listed("conflict")
    desk.decide(first["id"], "reject")
    assert [item["id"] for item in desk.listed("conflict")] == [second["id"]]
    assert desk.quantity() == 100.0


def test_an_accepted_conflict_may_move_the_trade_to_another_desk():
    desk = Desk()
    desk.send(row("t1"), row("t1", desk="FX2"))
    desk.decide(desk.listed("conflict")[0]["id"], "accept")
    assert desk.quantity() is None
    assert ask(desk.app, "/v1/positions", {"node": "FX2"}).json()["rows"][0]["quantity"] == 100.0


def test_an_accepted_quarantined_trade_takes_part():
    desk = Desk()
    assert desk.send(row("t1", ts=NOON + 61 * SECOND)) == ["quarantined"]
    desk.decide(desk.listed("quarantined")[0]["id"], "accept")
    assert desk.quantity() == 100.0
    assert desk.listed("quarantined") == []


def test_an_accepted_quarantined_amend_replaces_the_version_before_it():
    desk = Desk()
    desk.send(row("t1"), row("t1", version=2, action="amend", quantity="40", ts=NOON + 61 * SECOND))
    assert desk.quantity() == 100.0
    desk.decide(desk.listed("quarantined")[0]["id"], "accept")
    assert desk.quantity() == 40.0


def test_a_rejected_quarantined_trade_stays_out_and_listed_with_the_verdict():
    desk = Desk()
    desk.send(row("t1", ts=NOON + 61 * SECOND))
    desk.decide(desk.listed("quarantined")[0]["id"], "reject", "wrong clock at the venue")
    [item] = desk.listed("quarantined")
    assert (item["verdict"], item["comment"], desk.quantity()) == ("reject", "wrong clock at the venue", None)


@pytest.mark.parametrize(("action", "price"), [("accept", 2.0), ("reject", 1.2)])
def test_a_suspect_level_is_released_or_dropped(action, price):
    desk = Desk(max_move=0.1)
    ticks = [{"instrument": "EURUSD", "ts": NOON + n, "mid": mid} for n, mid in enumerate((1.2, 2.0))]
    post(desk.app, "/v1/ticks", ticks)
    [item] = desk.listed("suspect")
    desk.decide(item["id"], action)
    assert desk.listed("suspect") == []
    [mark] = [mark for mark in ask(desk.app, "/v1/marks").json()["rows"] if mark["instrument"] == "EURUSD"]
    assert (mark["price"], mark["suspect"]) == (price, None)


def test_a_comment_is_shown_and_leaves_what_was_decided():
    desk = Desk()
    desk.send(row("t1", action="cancel", version=2))
    [parked] = desk.listed("parked")
    desk.decide(parked["id"], "accept")
    desk.decide(parked["id"], "comment", "asked the broker")
    [parked] = desk.listed("parked")
    assert (parked["verdict"], parked["comment"]) == ("accept", "asked the broker")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"action": "maybe"}, "must be accept, reject or comment"),
        ({}, "must be accept, reject or comment"),
        ({"action": "reject"}, "parked exceptions end with their cause"),
        ({"action": "accept", "verdict": "reject"}, "contradicts action"),
        ({"action": "accept", "force": True}, "the body is not a verdict"),
        ([], "the body is not a verdict"),
        ({"action": "comment", "comment": "x" * 2_001}, "is longer than 2000 characters"),
        ({"action": "comment", "comment": "a\0b"}, "has a NUL character"),
    ],
)
def test_what_is_no_verdict_is_refused(body, said):
    desk = Desk()
    desk.send(row("t1", action="cancel", version=2))
    answer = post(desk.app, f"/v1/exceptions/{desk.listed('parked')[0]['id']}", body)
    assert said in problem(answer, 409 if "end with" in said else 400)["detail"]
    assert desk.listed("parked")[0]["verdict"] is None


def listed_of(desk: Desk, kind: str) -> str:
    """The id of an exception of a kind, the only one."""
    trades = {
        "conflict": [row("t1"), row("t1", quantity="70")],
        "quarantined": [row("t1", ts=NOON + 61 * SECOND)],
        "parked": [row("t1", action="cancel", version=2)],
    }
    if kind == "suspect":
        post(desk.app, "/v1/ticks", [{"instrument": "EURUSD", "ts": NOON + n, "mid": mid} for n, mid in enumerate((1.2, 2.0))])
    else:
        desk.send(*trades[kind])
    [item] = desk.listed(kind)
    return str(item["id"])


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("conflict", "accept"),
        ("conflict", "reject"),
        ("quarantined", "accept"),
        ("quarantined", "reject"),
        ("suspect", "accept"),
        ("suspect", "reject"),
        ("parked", "accept"),
    ],
)
def test_a_verdict_that_is_sent_again_is_answered_with_the_one_that_stands(kind: str, action: str) -> None:
    desk = Desk(max_move=0.1)
    item = listed_of(desk, kind)
    first = desk.decide(item, action, "because")
    desk.gateway.clock.advance(SECOND)  # type: ignore[attr-defined]
    again = desk.decide(item, action)
    wanted = ("id", "kind", "verdict", "comment", "verdict_by", "verdict_ts")
    assert [again[field] for field in wanted] == [first[field] for field in wanted]


@pytest.mark.parametrize(
    ("kind", "action", "contrary"),
    [
        ("conflict", "accept", "reject"),
        ("conflict", "reject", "accept"),
        ("quarantined", "accept", "reject"),
        ("suspect", "accept", "reject"),
    ],
)
def test_a_contrary_verdict_on_what_is_decided_is_refused_and_says_who_decided_and_when(
    kind: str, action: str, contrary: str
) -> None:
    desk = Desk(max_move=0.1)
    item = listed_of(desk, kind)
    desk.decide(item, action)
    before = desk.quantity()
    answer = post(desk.app, f"/v1/exceptions/{item}", {"action": contrary})
    assert problem(answer, 409)["detail"] == (
        f"action: {contrary}: it is not listed any more; 'local' decided {action} at 2026-03-04 12:00:00 UTC, and that stands"
    )
    assert desk.quantity() == before


def test_a_rejected_trade_that_is_still_listed_may_be_accepted_after_all() -> None:
    desk = Desk()
    item = listed_of(desk, "quarantined")
    desk.decide(item, "reject")
    desk.decide(item, "accept")
    assert desk.quantity() == 100.0


def test_an_unknown_exception_is_404():
    assert "unknown exception" in problem(post(Desk().app, "/v1/exceptions/late:a:b:0:1", {"action": "accept"}), 404)["detail"]

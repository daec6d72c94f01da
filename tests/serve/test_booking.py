"""A token that books: trades of its own desks and dealers alone, and what would become of a trade before it is sent."""

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.serve.guarded import FORM, ORIGIN, Guarded, cookie_of
from tests.serve.stand_in import post
from tests.world import NOON, row

OWN = {"desk": "OURDESK", "dealer": "ann"}
OTHER = {"desk": "ZETADESK", "dealer": "zoltan"}


def deal(trade_id: str, **more: Any) -> dict[str, Any]:
    return {name: value for name, value in row(trade_id, **OWN, **more).items() if name not in ("source", "source_seq")}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Guarded:
    house = Guarded(tmp_path_factory.mktemp("tokens")).with_trades()
    theirs = row("theirs-1", **OTHER) | {"source": "manual"}
    assert house.post("feed", "/v1/trades", [theirs]).json()["counts"]["applied"] == 1
    return house


def outcome(house: Guarded, trade: dict[str, Any], path: str = "/v1/trades", name: str = "booker") -> tuple[str, str]:
    [result] = house.post(name, path, trade).json()["results"]
    return result["status"], result["reason"]


def test_a_dealer_books_trades_of_the_own_desk_as_manual(house: Guarded) -> None:
    answer = house.post("booker", "/v1/trades", [deal("t-1", quantity="5", price="1.1")]).json()
    assert [(one["source"], one["trade_id"], one["status"]) for one in answer["results"]] == [("manual", "t-1", "applied")]
    again = house.post("booker", "/v1/trades", [deal("t-1", quantity="5", price="1.1")]).json()
    assert again["counts"]["duplicate"] == 1
    assert house.gateway.noted[-1] == (
        "booked",
        "",
        {"count": 1, "trades": [{"source": "manual", "trade_id": "t-1", "leg": 0, "version": 1, "status": "applied"}]},
        "booker",
    )


@pytest.mark.parametrize("name", ["dealer", "viewer", "boss"])
def test_a_token_that_does_not_book_is_refused_whole(house: Guarded, name: str) -> None:
    answer = house.post(name, "/v1/trades", [deal("t-2")])
    assert (answer.status, answer.json()["type"]) == (403, "urn:riskengine:not-allowed")


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"source": "api"}, "source"),
        ({"source_seq": 7}, "source_seq"),
        ({"desk": "ZETADESK"}, "desk"),
        ({"desk": "no such desk"}, "desk"),
        ({"desk": "OURBOOK"}, "desk"),
        ({"dealer": "zoltan"}, "dealer"),
        ({"dealer": "nobody"}, "dealer"),
        ({"dealer": ""}, "dealer"),
        ({"desk": ""}, "desk"),
        ({"trade_id": "theirs-1"}, "trade_id"),
        ({"trade_id": "theirs-1", "leg": 3}, "trade_id"),
        ({"trade_id": "theirs-1", "version": 2, "action": "amend"}, "trade_id"),
        ({"trade_id": "no such trade", "version": 2, "action": "amend"}, "trade_id"),
        ({"trade_id": "no such trade", "version": 2}, "trade_id"),
        ({"trade_id": "theirs-1", "version": 2, "action": "cancel", "desk": "", "dealer": ""}, "trade_id"),
        ({"trade_id": "no such trade", "version": 2, "action": "cancel"}, "trade_id"),
    ],
)
def test_what_is_not_the_tokens_own_is_refused_and_the_rest_is_booked(
    house: Guarded, request: pytest.FixtureRequest, more: dict[str, Any], field: str
) -> None:
    other = f"beside {request.node.name}"
    answer = house.post("booker", "/v1/trades", [deal("t-3") | more, deal(other)]).json()
    assert [one["status"] for one in answer["results"]] == ["rejected", "applied"]
    assert [(error["index"], error["field"]) for error in answer["errors"]] == [(0, field)]
    assert not any(trade.trade_id in ("t-3", "no such trade") for trade in house.gateway.stored)


def test_a_hidden_name_is_refused_in_the_words_of_one_that_does_not_exist(house: Guarded) -> None:
    def reason(**more: Any) -> str:
        return outcome(house, deal("t-4") | more)[1].replace(repr(next(iter(more.values()))), "X")

    assert reason(desk="ZETADESK") == reason(desk="no such desk")
    assert reason(dealer="zoltan") == reason(dealer="nobody")
    change = {"version": 2, "action": "amend"}
    assert reason(trade_id="theirs-1", **change) == reason(trade_id="no such trade", **change)


def test_own_trades_are_amended_and_cancelled_also_in_one_post(house: Guarded) -> None:
    assert outcome(house, deal("t-5", quantity="5"))[0] == "applied"
    assert outcome(house, deal("t-5", quantity="6", version=2, action="amend"))[0] == "applied"
    assert outcome(house, {"trade_id": "t-5", "version": 3, "action": "cancel"})[0] == "applied"
    both = [deal("t-6"), {"trade_id": "t-6", "version": 2, "action": "cancel"}]
    assert house.post("booker", "/v1/trades", both).json()["counts"]["applied"] == 2


def test_an_amend_may_not_move_a_trade_to_another_desk(house: Guarded) -> None:
    assert outcome(house, deal("t-7"))[0] == "applied"
    assert outcome(house, deal("t-7", version=2, action="amend") | {"desk": "ZETADESK"})[0] == "rejected"


def test_what_cannot_be_decoded_uses_up_no_number_of_a_feed(house: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[Any] = []
    monkeypatch.setattr(house.gateway, "note_refused", noted.append)
    broken = {"trade_id": "t-8", "source": "zetasource", "source_seq": 10**15, "price": []}
    assert outcome(house, broken)[0] == "rejected"
    assert noted == []
    house.post("feed", "/v1/trades", broken)
    assert noted == [[("zetasource", 10**15)]]


def test_refused_bookings_are_counted_and_in_the_trail(house: Guarded) -> None:
    def count() -> float:
        return house.gateway.metrics.registry.get_sample_value("riskengine_refusals_total", {"reason": "grant"}) or 0.0

    before = count()
    outcome(house, deal("t-9") | {"desk": "ZETADESK"})
    assert count() == before + 1
    assert any(kind == "refused" and who == "booker" for kind, _, _, who in house.gateway.noted)


def test_a_browser_books_with_its_cookie_and_origin_alone(house: Guarded) -> None:
    form = urlencode({"token": house.tokens["booker"]}).encode()
    cookie = cookie_of(post(house.app, "/login", form, headers=FORM))
    sent = [deal("t-10")]
    assert post(house.app, "/v1/trades", sent, headers=cookie).status == 403
    assert post(house.app, "/v1/trades", sent, headers=cookie | {"origin": "http://evil.example"}).status == 403
    assert post(house.app, "/v1/trades", sent, headers=cookie | {"origin": ORIGIN}).json()["counts"]["applied"] == 1


def test_a_session_says_whether_it_books_and_for_whom(house: Guarded) -> None:
    told = house.ask("booker", "/v1/session").json()
    assert (told["may_book"], told["nodes"], told["dealers"]) == (True, ["OURDESK"], ["ann"])
    told = house.ask("boss", "/v1/session").json()
    assert (told["may_book"], told["nodes"], told["dealers"]) == (False, None, None)


# -- what would become of it ---------------------------------------------------------------------------------------


CHECK = "/v1/trades/check"


def test_a_check_tells_the_fate_of_each_and_changes_nothing(house: Guarded) -> None:
    house.post("booker", "/v1/trades", [deal("c-1", quantity="5", price="1.1")])
    before, count = house.ask("boss", "/v1/digest").json()["digest"], len(house.gateway.stored)
    rows = [
        deal("c-2", quantity="5", price="1.1"),
        deal("c-1", quantity="5", price="1.1"),
        deal("c-1", quantity="6", price="1.1"),
        deal("c-1", quantity="6", price="1.1", version=2, action="amend"),
        deal("c-2", quantity="5", price="1.1"),
        deal("c-3", quantity="5", price="1.1", ts=NOON + 86_400_000_000),
        deal("c-4") | {"instrument": "NOPE"},
        deal("c-5") | {"desk": "ZETADESK"},
        {"trade_id": "c-6", "quantity": []},
    ]
    answer = house.post("booker", CHECK, rows).json()
    assert [one["status"] for one in answer["results"]] == [
        "applied",
        "duplicate",
        "conflict",
        "applied",
        "duplicate",
        "quarantined",
        "rejected",
        "rejected",
        "rejected",
    ]
    assert "received" in answer["results"][5]["reason"]
    assert answer["results"][-1]["trade_id"] == "c-6"
    assert answer["results"][0]["instrument"] == "EURUSD"
    assert [error["field"] for error in answer["errors"]] == ["instrument", "desk", "quantity"]
    assert (house.ask("boss", "/v1/digest").json()["digest"], len(house.gateway.stored)) == (before, count)
    assert house.post("booker", CHECK, rows).json()["results"] == answer["results"]


def test_a_check_tells_the_fate_that_the_trade_then_has(house: Guarded) -> None:
    rows = [deal("f-1"), deal("f-1", version=2, action="amend", quantity="9"), deal("f-2", ts=NOON + 86_400_000_000)]
    told = [(one["status"], one["reason"]) for one in house.post("booker", CHECK, rows).json()["results"]]
    assert [(one["status"], one["reason"]) for one in house.post("booker", "/v1/trades", rows).json()["results"]] == told


def test_a_check_says_that_a_price_is_far_from_the_mark(house: Guarded) -> None:
    [result] = house.post("booker", CHECK, deal("n-1", price="2.9")).json()["results"]
    assert (result["status"], [notice["kind"] for notice in result["notices"]]) == ("applied", ["off_market"])
    assert "from the mark" in result["notices"][0]["reason"]
    [result] = house.post("booker", CHECK, deal("n-1", price="1.2")).json()["results"]
    assert result["notices"] == []


def test_every_reader_may_check_within_its_grants_and_only_there(house: Guarded) -> None:
    assert outcome(house, deal("v-1"), CHECK, "viewer")[0] == "applied"
    assert outcome(house, deal("v-1") | OTHER, CHECK, "viewer")[0] == "rejected"
    assert outcome(house, deal("v-1"), CHECK, "only dealer")[0] == "rejected"

"""No route, parameter or method shows a token what it was not granted.

The tests walk the table of routes, so they find a new route that forgets to check; a new parameter needs values here.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from riskengine.serve.answers.wire import encode
from riskengine.serve.app import ROUTES
from riskengine.serve.operations import OPERATIONS, OTHER_PATHS, Operation
from tests.serve.guarded import GRANTED, Guarded
from tests.world import NOON, row

EVERYBODY = frozenset({"dealer", "booker", "viewer", "only dealer", "only node", "feed", "boss"})
BOSS = frozenset({"boss"})
WHO: Mapping[tuple[str, str], frozenset[str]] = {
    ("GET", "/healthz"): EVERYBODY,
    ("GET", "/readyz"): EVERYBODY,
    ("GET", "/metrics"): BOSS,
    ("GET", "/v1/status"): EVERYBODY,
    ("GET", "/v1/digest"): BOSS,
    ("GET", "/v1/nodes"): EVERYBODY,
    ("GET", "/v1/nodes/{node:path}"): EVERYBODY,
    ("GET", "/v1/positions"): EVERYBODY,
    ("GET", "/v1/ladder"): EVERYBODY,
    ("GET", "/v1/groups"): EVERYBODY,
    ("GET", "/v1/dealers"): EVERYBODY,
    ("GET", "/v1/marks"): EVERYBODY,
    ("GET", "/v1/instruments"): EVERYBODY,
    ("GET", "/v1/session"): EVERYBODY,
    ("POST", "/v1/marks"): BOSS,
    ("GET", "/v1/trades"): EVERYBODY,
    ("GET", "/v1/exposure"): EVERYBODY,
    ("GET", "/v1/risk"): EVERYBODY,
    ("GET", "/v1/var"): EVERYBODY,
    ("GET", "/v1/var/nodes"): EVERYBODY,
    ("GET", "/v1/var/backtest"): EVERYBODY,
    ("POST", "/v1/whatif"): EVERYBODY,
    ("GET", "/v1/closes"): EVERYBODY,
    ("POST", "/v1/closes"): BOSS,
    ("GET", "/v1/history"): EVERYBODY,
    ("POST", "/v1/trades"): frozenset({"feed", "booker"}),
    ("POST", "/v1/trades/check"): EVERYBODY,
    ("POST", "/v1/ticks"): frozenset({"feed"}),
    ("POST", "/v1/vols"): frozenset({"feed", "boss"}),
    ("POST", "/v1/rates"): frozenset({"feed", "boss"}),
    ("POST", "/v1/greeks"): frozenset({"feed", "boss"}),
    ("GET", "/v1/receipt"): EVERYBODY,
    ("GET", "/v1/diff"): EVERYBODY,
    ("GET", "/v1/explain"): EVERYBODY,
    ("GET", "/v1/holdings"): BOSS,
    ("GET", "/v1/cashladder"): EVERYBODY,
    ("POST", "/v1/cash"): BOSS,
    ("POST", "/v1/carry"): BOSS,
    ("POST", "/v1/actions"): BOSS,
    ("GET", "/v1/limits"): EVERYBODY,
    ("POST", "/v1/limits"): BOSS,
    ("GET", "/v1/margin"): EVERYBODY,
    ("POST", "/v1/margin"): BOSS,
    ("POST", "/v1/check"): EVERYBODY,
    ("GET", "/v1/breaches"): EVERYBODY,
    ("POST", "/v1/breaches/{id:path}"): frozenset({"dealer", "booker", "boss"}),
    ("POST", "/v1/reconcile"): BOSS,
    ("GET", "/v1/breaks"): EVERYBODY,
    ("POST", "/v1/breaks/{id}"): frozenset({"dealer", "booker", "boss"}),
    ("POST", "/v1/feeds/{source:path}"): BOSS,
    ("GET", "/v1/today"): EVERYBODY,
    ("GET", "/v1/audit"): BOSS,
    ("GET", "/v1/exceptions"): EVERYBODY,
    ("POST", "/v1/exceptions/{id:path}"): frozenset({"dealer", "booker", "boss"}),
}
"""Who may use an operation at all, whatever it then shows."""

NODES = ("ALL", "ZETABOOK", "ZETADESK", "OURBOOK", "OURDESK", "no such node", "")
VALUES: Mapping[str, tuple[str, ...]] = {
    "node": NODES,
    "dealer": ("zoltan", "ann", "nobody", ""),
    "instrument": ("EURUSD", "ACME", "MAREL", "GHOST"),
    "format": ("csv", "json"),
    "exact": ("true",),
    "flat": ("false",),
    "versions": ("all",),
    "limit": ("1", "1000000"),
    "offset": ("1",),
    "days": ("7",),
    "account": ("A1",),
    "broker": ("B1",),
    "counterparty": ("C1", "ZETABANK", ""),
    "order_id": ("O1",),
    "strategy": ("S1",),
    "source": ("zetasource", "manual", "test"),
    "trade_id": ("zeta-1", "our-1", "nobody's"),
    "action": ("new", "cancel"),
    "kept_out": ("true", "false"),
    "date": ("2026-03-04", "2026-03-03"),
    "since": ("0",),
    "status": ("all",),
    "state": ("breach", "unknown"),
    "ahead": ("45",),
    "trade": ("zeta-1",),
    "until": ("1",),
    "kind": ("value_date", "expiry", "verdict", "conflict", "late", "unpriced", "unmatched", "quarantined", "waiting"),
    "sort": ("total_pnl", "-trade_count", "instrument"),
    "seq": ("2",),
    "as_of": (str(NOON),),
    "known": ("now",),
    "from": (str(NOON),),
    "to": (str(NOON),),
    "from_known": ("now",),
    "to_known": ("now",),
    "of": ("nodes", "dealers", "positions"),
    "field": ("total_pnl",),
    "stale": ("true",),
    "bucket": ("60s",),
    "currency": ("EUR", "XXX"),
    "by": ("currency", "sector", "instrument", "kind", "node", "scenario", "counterparty", "strategy"),
    "method": ("historical", "intraday"),
    "measure": ("total_pnl",),
}
WHATIF_DESKS = ("OURDESK", "NODESK")
BODIES: Mapping[str, Any] = {
    "Marks": [{"instrument": "EURUSD", "ts": 1772625600000000, "price": 1.2, "reason": "as agreed"}],
    "Trades": [
        row("new-1", desk="OURDESK", dealer="ann"),
        row("new-2", desk="NODESK"),
        row("new-3", desk="OURDESK", dealer="ann", source="manual"),
    ],
    "Ticks": [{"instrument": "EURUSD", "mid": 1.2, "ts": 1}],
    "Vols": [{"pair": "EURUSD", "expiry": "2099-06-18", "ts": 1, "atm": 0.1}],
    "Rates": [{"currency": "USD", "date": "2099-06-18", "ts": 1, "rate": 0.04}],
    "GreeksRows": [{"instrument": "EURUSD", "ts": 1}],
    "Closes": [{"date": "2026-03-03", "instrument": "EURUSD", "price": 1.2}],
    "CashRecords": [{"cash_id": "new-1", "node": "OURDESK", "currency": "USD", "ts": 1, "amount": 1}],
    "CarryRecords": [{"carry_id": "new-1", "desk": "NODESK"}],
    "Actions": [{"action_id": "new-1", "instrument": "ACME", "kind": "split", "ex_date": "2099-01-02", "ratio": "2:1"}],
    "Limits": [{"limit_id": "new-1", "measure": "vega", "node": "OURDESK", "limit": 1}],
    "MarginRules": [{"rule_id": "new-1", "kind": "reg_t", "node": "OURDESK"}],
    "Acknowledgement": {"action": "acknowledge", "comment": "seen"},
    "WhatIfInput": {
        "nodes": ["OURDESK"],
        "trades": [{"instrument": "EURUSD", "desk": desk, "side": "buy", "quantity": 5, "price": 1.2} for desk in WHATIF_DESKS],
        "var": True,
    },
    "Reconcile": {"repair": False},
    "Comment": {"comment": "seen"},
    "FeedAction": {"action": "acknowledge"},
    "Verdict": {"action": "comment", "comment": "seen"},
}
HIDDEN_NAMES = ("ZETA", "zeta", "zoltan")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Guarded:
    return Guarded(tmp_path_factory.mktemp("tokens")).with_trades()


def queries(operation: Operation) -> Iterator[dict[str, str]]:
    """Every value of every parameter alone, and every two of different parameters."""
    names = [parameter.name for parameter in operation.parameters]
    assert set(names) <= VALUES.keys(), f"{operation.path}: tell this test what to ask"
    choices = [(name, value) for name in names for value in VALUES[name]]
    yield {}
    yield from ({name: value} for name, value in choices)
    yield from (dict(pair) for pair in itertools.combinations(choices, 2) if pair[0][0] != pair[1][0])


def paths(operation: Operation, house: Guarded) -> list[str]:
    """The path, with every value of its parameter."""
    if "{" not in operation.path:
        return [operation.path]
    start = operation.path.partition("{")[0]
    if operation.path.startswith("/v1/nodes/"):
        return [start + node for node in NODES]
    if operation.path.startswith("/v1/breaks/"):
        return [f"{start}{number}" for number in range(8)]
    if operation.path.startswith("/v1/feeds/"):
        return [f"{start}{source}" for source in ("desk", "no such source")]
    if operation.path.startswith("/v1/breaches/"):
        breaches = house.ask("boss", "/v1/breaches").json()["rows"]
        assert {"our-limit", "zeta-limit"} <= {item["limit_id"] for item in breaches}
        return [start + item["breach_id"] for item in breaches]
    assert operation.path.startswith("/v1/exceptions/"), f"{operation.path}: tell this test what to ask"
    listed = house.ask("boss", "/v1/exceptions", {"limit": 1000}).json()["rows"]
    assert {"conflict", "late", "unpriced", "unmatched", "parked"} <= {item["kind"] for item in listed}
    return [start + item["id"] for item in listed]


def asked(house: Guarded, name: str) -> Iterator[tuple[str, bytes]]:
    """Every answer to a token, with its question."""
    for operation in OPERATIONS:
        for path, query in itertools.product(paths(operation, house), queries(operation)):
            if operation.method == "POST":
                assert operation.body is not None and operation.body in BODIES, f"{operation.path}: tell this test what to send"
                answer = house.post(name, path, BODIES[operation.body], query=query)
            else:
                answer = house.ask(name, path, query)
            assert answer.status in (200, 400, 403, 404, 410), (name, path, query, answer)
            head = encode({key: value for key, value in answer.headers.items() if key.startswith("riskengine-")})
            yield f"{operation.method} {path} {query}", answer.body + head


NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def numbers(text: bytes) -> set[float]:
    """Numbers of five digits or more: shorter ones may match by accident. Times, which many share, are left out."""
    found = {float(number) for number in NUMBER.findall(text)}
    return {abs(number) for number in found if len(f"{abs(number):.15g}".replace(".", "").strip("0")) >= 5 and abs(number) < 1e13}


@pytest.fixture(scope="module")
def hidden_numbers(house: Guarded) -> set[float]:
    """Texts that occur only in rows of the other desk, its dealer, and the nodes above it."""

    def told(*questions: tuple[str, dict[str, object]]) -> set[float]:
        answers = [house.ask("boss", path, query | exact) for path, query in questions for exact in ({}, {"exact": "true"})]
        assert all(answer.status == 200 for answer in answers)
        return set().union(*(numbers(answer.body) for answer in answers))

    def of(node: str, dealer: str) -> set[float]:
        places: list[dict[str, object]] = [{"node": node}, {"dealer": dealer}]
        return told(
            *((path, place) for path in ("/v1/ladder", "/v1/positions") for place in places),
            *(("/v1/trades", place | {"versions": "all", "limit": 1000}) for place in places),
        )

    theirs = of("ZETADESK", "zoltan") | told(("/v1/nodes", {}), ("/v1/ladder", {}), ("/v1/dealers", {}))
    ours = of("OURDESK", "ann") | told(("/v1/marks", {}), ("/v1/nodes/OURDESK", {}))
    ann = next(item for item in house.ask("boss", "/v1/dealers").json()["rows"] if item["dealer"] == "ann")
    ours |= numbers(encode(ann)) | numbers(house.ask("boss", "/v1/nodes/OURBOOK").body)
    found = theirs - ours
    assert {777123.5, 31337.0, 41.87653, 98765.4, 45454.5, 56565.5, 67676.5, 78787.5} <= found
    return found | {8675309.75}


def test_every_route_says_who_may_use_it() -> None:
    assert {(operation.method, operation.path) for operation in OPERATIONS} == WHO.keys()
    assert {route.path for route in ROUTES} == {path for _, path in WHO} | {"/openapi.json"}
    assert {path for path, need in OTHER_PATHS.items() if need.is_open} == {
        "/healthz",
        "/readyz",
        "/login",
        "/logout",
        "/tokens.css",
        "/login.css",
        "/icon.svg",
    }


@pytest.mark.parametrize("name", GRANTED)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
def test_who_has_not_the_role_is_refused_before_anything_is_looked_at(house: Guarded, operation: Operation, name: str) -> None:
    allowed = name in WHO[operation.method, operation.path]
    path = operation.path.partition("{")[0] + ("x" if "{" in operation.path else "")
    answer = house.post(name, path, b"{") if operation.method == "POST" else house.ask(name, path, {"no such": "parameter"})
    if allowed:
        assert answer.status in (400, 404), "it got as far as the question"
    else:
        assert answer.status == 403
        assert answer.json()["type"] == "urn:riskengine:not-allowed"


@pytest.mark.parametrize("name", ["dealer", "booker", "viewer", "only dealer", "only node", "feed"])
def test_nobody_is_shown_another_desk_by_any_route(house: Guarded, hidden_numbers: set[float], name: str) -> None:
    count = 0
    for question, text in asked(house, name):
        count += 1
        named = [word for word in HIDDEN_NAMES if word.encode() in text and word not in question]
        assert not named, (question, text[:2000])
        told = numbers(text) & hidden_numbers
        assert not told, (question, told, text[:2000])
    assert count > 1_000


def test_the_search_finds_what_is_not_hidden(house: Guarded, hidden_numbers: set[float]) -> None:
    found = [text for _, text in asked(house, "boss")]
    seen = hidden_numbers & set().union(*map(numbers, found))
    assert {777123.5, 31337.0, 41.87653, 98765.4, 45454.5, 13579.5} <= seen
    assert len(seen) > len(hidden_numbers) * 0.8, "but for totals that moved meanwhile"
    assert all(any(word.encode() in text for text in found) for word in HIDDEN_NAMES)


@pytest.mark.parametrize("node", ["ALL", "ZETABOOK", "ZETADESK", "OURBOOK", "no such node"])
def test_a_node_that_is_not_granted_is_refused_whether_there_is_one_or_not(house: Guarded, node: str) -> None:
    answers = [
        house.ask("dealer", path, query)
        for path, query in (
            (f"/v1/nodes/{node}", {}),
            ("/v1/ladder", {"node": node}),
            ("/v1/positions", {"node": node}),
            ("/v1/trades", {"node": node}),
            ("/v1/receipt", {"node": node, "instrument": "EURUSD"}),
            ("/v1/history", {"node": node}),
            ("/v1/cashladder", {"node": node}),
            ("/v1/groups", {"node": node, "by": "strategy"}),
        )
    ]
    assert [answer.status for answer in answers] == [403] * 8
    assert {answer.body for answer in answers} == {house.ask("dealer", "/v1/nodes/another").body}


@pytest.mark.parametrize("dealer", ["zoltan", "nobody", ""])
def test_a_dealer_who_is_not_granted_is_refused_whether_there_is_one_or_not(house: Guarded, dealer: str) -> None:
    for path in ("/v1/ladder", "/v1/positions", "/v1/trades", "/v1/receipt", "/v1/groups", "/v1/history"):
        query = {"dealer": dealer} | ({"instrument": "EURUSD"} if path == "/v1/receipt" else {})
        assert house.ask("dealer", path, query).status == 403


def test_lists_hold_sort_page_and_count_what_is_shown(house: Guarded) -> None:
    def got(name: str, path: str, **query: object) -> tuple[list[Any], int]:
        told = house.ask(name, path, query).json()
        return told["rows"], told["total"]

    rows, total = got("dealer", "/v1/nodes")
    assert ([(item["node"], item["parent"]) for item in rows], total) == ([("OURDESK", None)], 1)
    rows, total = got("only node", "/v1/nodes", sort="-total_pnl")
    assert ({(item["node"], item["parent"]) for item in rows}, total) == ({("OURBOOK", None), ("OURDESK", "OURBOOK")}, 2)
    rows, total = got("dealer", "/v1/dealers")
    assert ([item["dealer"] for item in rows], total) == (["ann"], 1)
    assert got("only node", "/v1/dealers") == ([], 0)
    rows, total = got("dealer", "/v1/positions", limit=1)
    assert (len(rows), total) == (1, 3)
    rows, total = got("dealer", "/v1/trades", versions="all", limit=2)
    assert (len(rows), {item["desk"] for item in rows}) == (2, {"OURDESK"})
    assert total == got("boss", "/v1/trades", versions="all", node="OURDESK")[1] < got("boss", "/v1/trades", versions="all")[1]
    assert got("feed", "/v1/trades") == ([], 0)
    rows, total = got("dealer", "/v1/exceptions")
    assert total == len(rows) == len([item for item in got("boss", "/v1/exceptions", limit=1000)[0] if _is_ours(item)])
    rows, total = got("dealer", "/v1/breaks")
    assert ([item["break_id"] for item in rows], total) == ([1, 2], 2)


def _is_ours(item: dict[str, Any]) -> bool:
    """Whether it is of OURDESK, or everybody's: a corporate action that another test of this file may have sent."""
    ours = ("unpriced:GHOST", "quarantined:node:OURDESK:ESZ6", "waiting:action:new-1:1")
    return (item["trade"] or {}).get("desk") == "OURDESK" or item["id"] in ours


def test_a_total_is_a_row_and_nothing_below_it(tmp_path: Any) -> None:
    house = Guarded(tmp_path, {"wall": {"role": "viewer", "nodes": ["OURDESK"], "totals": ["ALL"]}, "feed": {"role": "feed"}})
    house.with_trades()
    rows = house.ask("wall", "/v1/nodes").json()["rows"]
    assert [(item["node"], item["parent"]) for item in rows] == [("ALL", None), ("OURDESK", None)]
    assert [item["node"] for item in house.ask("wall", "/v1/nodes/ALL").json()["rows"]] == ["ALL"]
    for path in ("/v1/ladder", "/v1/positions", "/v1/trades"):
        assert house.ask("wall", path, {"node": "ALL"}).status == 403


def test_an_answer_that_was_kept_for_one_is_not_given_to_another(house: Guarded) -> None:
    for _ in range(2):
        assert len(house.ask("boss", "/v1/nodes").json()["rows"]) == 5
        assert len(house.ask("dealer", "/v1/nodes").json()["rows"]) == 1
        assert len(house.ask("only node", "/v1/nodes").json()["rows"]) == 2


def test_a_dealer_comments_on_what_it_is_shown_and_decides_nothing(house: Guarded) -> None:
    items = {item["id"]: item for item in house.ask("boss", "/v1/exceptions", {"limit": 1000}).json()["rows"]}
    ours = next(key for key in items if key.startswith("conflict:") and "our-2" in key)
    theirs = next(key for key in items if key.startswith("conflict:") and "zeta-2" in key)
    told = house.post("dealer", f"/v1/exceptions/{ours}", {"action": "comment", "comment": "mine"})
    assert (told.status, told.json()["verdict_by"]) == (200, "dealer")
    assert house.post("dealer", f"/v1/exceptions/{ours}", {"action": "reject"}).status == 403
    assert house.post("dealer", f"/v1/exceptions/{theirs}", {"action": "comment"}).status == 404
    assert house.post("viewer", f"/v1/exceptions/{ours}", {"action": "comment"}).status == 403
    assert house.post("dealer", "/v1/breaks/1", {"comment": "mine"}).json()["actor"] == "dealer"
    assert house.post("dealer", "/v1/breaks/3", {"comment": "mine"}).status == 404
    assert house.post("boss", f"/v1/exceptions/{ours}", {"action": "reject"}).json()["verdict_by"] == "boss"


def test_who_reconciles_stands_in_the_trail(house: Guarded) -> None:
    assert house.post("boss", "/v1/reconcile", {"repair": True}).json()["actor"] == "boss"
    assert ("reconcile", "", {"repair": True, "clean": True, "breaks": 0}, "boss") in house.gateway.noted


def test_a_status_says_to_each_what_is_theirs(house: Guarded) -> None:
    whole, cut = (house.ask(name, "/v1/status").json() for name in ("boss", "dealer"))
    assert whole.keys() == cut.keys()
    assert (whole["node_count"], cut["node_count"], cut["dealer_count"]) == (5, 1, 1)
    assert cut["watermark"] is cut["position_count"] is cut["start"] is None
    assert set(cut["counts"].values()) == {None}
    assert [warning["kind"] for warning in cut["warnings"]] == ["breaks"], "that there is one, everybody is told"

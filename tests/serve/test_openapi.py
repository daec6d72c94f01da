"""The OpenAPI document agrees with itself, with the routes, and with the answers."""

import re
from typing import Any

import pytest

from riskengine.records.fields import timestamp
from riskengine.serve.answers.params import BUCKET_PATTERN, TIME_SCHEMA
from riskengine.serve.app import ROUTES, create_app
from riskengine.serve.openapi import SCHEMAS
from tests.serve.stand_in import StandIn, ask, post, traded
from tests.world import NOON, row

TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


@pytest.fixture(scope="module")
def app():
    return create_app(traded())


@pytest.fixture(scope="module")
def told(app) -> dict[str, Any]:
    return ask(app, "/openapi.json").json()


def walk(value: Any):
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from walk(part)
    elif isinstance(value, list):
        for part in value:
            yield from walk(part)


def against(schema: Any, value: Any, at: str = "$") -> list[str]:
    """Where a value violates a schema of the kind used here."""
    if "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    if "oneOf" in schema:
        return [] if any(not against(one, value) for one in schema["oneOf"]) else [at]
    kinds = schema.get("type", list(TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not any(isinstance(value, TYPES[kind]) and (kind == "boolean" or type(value) is not bool) for kind in kinds):
        return [f"{at}: {value!r} is not {kinds}"]
    wrong = [f"{at}: {value!r}"] if "enum" in schema and value not in schema["enum"] else []
    if isinstance(value, dict) and "properties" in schema:
        wrong += [f"{at}.{name} is missing" for name in schema.get("required", ()) if name not in value]
        wrong += [
            error
            for name, part in value.items()
            if name in schema["properties"]
            for error in against(schema["properties"][name], part, f"{at}.{name}")
        ]
    if isinstance(value, list) and "items" in schema:
        wrong += [error for part in value for error in against(schema["items"], part, f"{at}[]")]
    return wrong


def test_it_is_a_whole_description(told):
    assert told["openapi"] == "3.1.0"
    assert told["info"].keys() >= {"title", "version"}
    assert told.keys() == {"openapi", "info", "servers", "paths", "components", "security"}
    names = set()
    for path, item in told["paths"].items():
        assert path.startswith("/")
        for method, operation in item.items():
            assert method in ("get", "post")
            assert operation["operationId"] not in names
            names.add(operation["operationId"])
            in_path = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert in_path == set(re.findall(r"\{(\w+)\}", path))
            keys = [(p["in"], p["name"]) for p in operation.get("parameters", ())]
            assert len(keys) == len(set(keys))
            assert "200" in operation["responses"]
            assert all(response["description"] for response in operation["responses"].values())


def test_every_reference_leads_somewhere(told):
    referred = {value["$ref"] for value in walk(told) if "$ref" in value}
    assert referred <= {f"#/components/schemas/{name}" for name in told["components"]["schemas"]}
    kinds = {"object", "array", "string", "boolean", "integer", "number", "null"}
    for schema in walk(told["components"]["schemas"]):
        kind = schema.get("type")
        if not isinstance(kind, dict):  # which describes a field of that name
            assert set([kind] if isinstance(kind, str) else kind or ()) <= kinds
        assert set(schema.get("required", ())) <= schema.get("properties", dict.fromkeys(schema.get("required", ()))).keys()


def test_it_tells_of_every_route_and_of_no_other(told):
    described = {(path, method.upper()) for path, item in told["paths"].items() for method in item}
    served = {
        (re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path), method)
        for route in ROUTES
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert described == served


def test_every_answer_is_as_described(app, told):
    for path, item in told["paths"].items():
        content = item.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if "application/json" in content and path != "/openapi.json":
            for query in ({}, {"exact": "true"}):
                answer = ask(app, path.replace("{node}", "FX"), query)
                if answer.status == 200:
                    assert against(content["application/json"]["schema"], answer.json()) == []
    by_dealer = ask(app, "/v1/positions", {"dealer": "ann"}).json()["rows"]
    assert by_dealer
    assert [error for shown in by_dealer for error in against(SCHEMAS["PositionRow"], shown)] == []


def test_what_is_posted_and_answered_is_as_described():
    app = create_app(StandIn())
    deals = [row("t1", legs=2, contra_amount=110), row("t2", quantity="x"), 5]
    assert against(SCHEMAS["Trades"], deals[:2]) == against(SCHEMAS["Trades"], deals[0]) == []
    assert against(SCHEMAS["TradesAnswer"], post(app, "/v1/trades", deals).json()) == []
    ticks = [{"instrument": "EURUSD", "ts": NOON, "mid": 1.1}, {"instrument": "?", "ts": NOON}]
    assert against(SCHEMAS["Ticks"], ticks) == []
    assert against(SCHEMAS["TicksAnswer"], post(app, "/v1/ticks", ticks).json()) == []
    assert against(SCHEMAS["Problem"], ask(app, "/v1/nodes", {"limit": "x"}).json()) == []
    assert against(SCHEMAS["Status"], ask(app, "/v1/status").json()) == []
    loading = StandIn()
    loading.state = "loading"
    assert against(SCHEMAS["Status"], ask(create_app(loading), "/v1/status").json()) == []


def test_what_access_and_caches_need_is_told_of_every_operation(told):
    for path, item in told["paths"].items():
        for operation in item.values():
            responses = operation["responses"]
            if path not in ("/healthz", "/readyz"):
                assert responses.keys() >= {"401", "403", "429"}
                assert "Retry-After" in responses["429"]["headers"]
            if "503" in responses:
                assert "Retry-After" in responses["503"]["headers"]
            if "304" in responses:
                assert responses["304"]["headers"].keys() >= {"ETag", "Vary"}
                assert "ETag" in responses["200"]["headers"]
                assert "content" not in responses["304"]


def test_what_is_answered_304_is_described_so_and_nothing_else_is(app, told):
    for path, item in told["paths"].items():
        answer = ask(app, path.replace("{node}", "FX"), {"instrument": "EURUSD"} if path == "/v1/receipt" else {})
        if "get" in item and answer.status == 200:
            assert ("304" in item["get"]["responses"]) == ("etag" in answer.headers), path


def test_times_and_lengths_are_described_as_they_are_read():
    for length in ("1s", "86400s", "1440m", "24h", "60s", "999m"):
        assert re.fullmatch(BUCKET_PATTERN, length)
    for length in ("0s", "86401s", "1441m", "25h", "05m", "1d", "", "5", "90000s"):
        assert not re.fullmatch(BUCKET_PATTERN, length)
    [_, text] = TIME_SCHEMA["anyOf"]
    for time in ("1981-01-01T00:00:00Z", "2026-11-21T15:04:05.123456+13:59", "2189-12-28T23:59:59-00:00"):
        assert re.fullmatch(text["pattern"], time)
        assert timestamp(time, "since")

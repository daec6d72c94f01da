"""What schemathesis is told of the interface beside its description."""

import datetime as dt
import time
from typing import Any

import schemathesis


@schemathesis.hook
def map_case(context: Any, case: Any) -> Any:
    """What OpenAPI has no words for: parameters that exclude each other, and times that must have passed or follow each other."""
    query = dict(case.query or {})
    if {"node", "dealer"} <= query.keys() and case.path != "/v1/trades":
        del query["dealer"]
    if "since" in query:
        query.pop("days", None)
    query.pop("seq" if "as_of" in query else "known", None)
    for name in {"as_of", "from", "to"} & query.keys():
        query[name] = _past(query[name])
    if "to" not in query:
        query.pop("to_known", None)
    if {"from", "to"} <= query.keys():
        query["from"], query["to"] = sorted((query["from"], query["to"]), key=_micros)
    case.query = query
    return case


def _past(moment: Any) -> Any:
    """The same moment if it has passed, or is none; else one of a second ago."""
    latest = time.time_ns() // 1000 - 1_000_000
    return moment if _micros(moment) <= latest else latest


def _micros(moment: Any) -> int:
    """Microseconds of a time as the engine reads it, 0 for what is none."""
    text = str(moment)
    if text.isdecimal():
        return int(text)
    try:
        return int(dt.datetime.fromisoformat(text).timestamp() * 1e6)
    except ValueError:
        return 0


@schemathesis.deserializer("application/x-ndjson")
def lines_of_json(context: Any, response: Any) -> str:
    """Described as a text."""
    text: str = response.content.decode()
    return text

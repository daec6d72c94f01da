"""What schemathesis is told of the interface beside its description."""

from typing import Any

import schemathesis


@schemathesis.hook
def map_case(context: Any, case: Any) -> Any:
    """A node or a dealer may be named, not both: OpenAPI has no words for two parameters."""
    if {"node", "dealer"} <= (case.query or {}).keys() and case.path != "/v1/trades":
        case.query = {name: value for name, value in case.query.items() if name != "dealer"}
    return case


@schemathesis.deserializer("application/x-ndjson")
def lines_of_json(context: Any, response: Any) -> str:
    """Described as a text."""
    text: str = response.content.decode()
    return text

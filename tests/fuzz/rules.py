"""What must hold for every input: no crash, and no refusal without a reason that a person can read."""

import re
from collections.abc import Mapping
from typing import Any, Protocol

from riskengine.errors import InputError
from riskengine.records.fields import Rejected
from riskengine.records.types import Refusal
from tests.fuzz.mutation import Draw

MOST_REASON = 4_000
"""Characters of the longest reason: some list what there is."""

_OURS = re.compile(r"Traceback|NoneType|object at 0x|<class|<function|\bKeyError|\bTypeError|\bAttributeError|\bIndexError")
_VARIABLE = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|[0-9]+")


class Violation(Exception):
    """An input broke a rule; the text says which."""


class Target(Protocol):
    """One door. `check` takes any bytes; what it returns says in which way they were taken or refused."""

    name: str

    def draw(self, draw: Draw) -> bytes:
        """An input that is nearly right."""
        ...

    def check(self, data: bytes) -> str:
        """Take an input. Raises Violation, or whatever the engine did not expect."""
        ...


def reasoned(reason: object, field: object = "") -> str:
    """The kind of a refusal. Raises Violation where its reason says nothing, or cannot be sent."""
    if not isinstance(reason, str) or not reason.strip():
        raise Violation(f"refused without a reason: field {field!r}, reason {reason!r}")
    if not isinstance(field, str):
        raise Violation(f"a field that is no text: {field!r}")
    try:
        (reason + field).encode()
    except UnicodeEncodeError:
        raise Violation(f"a reason that cannot be sent: {field!r}: {reason!r}") from None
    if len(reason) > MOST_REASON:
        raise Violation(f"a reason of {len(reason)} characters: {reason[:200]!r}")
    if _OURS.search(_VARIABLE.sub("", reason)):
        raise Violation(f"a reason that speaks of our code: {reason!r}")
    return kind_of(reason)


def kind_of(reason: str) -> str:
    """A reason without what the sender wrote."""
    return _VARIABLE.sub("*", reason)[:80]


def refusal(item: Refusal) -> str:
    """The kind of a refused item."""
    return reasoned(item.reason, item.field)


def rejected(error: Rejected) -> str:
    """The kind of a record that a check refused."""
    return reasoned(error.reason, error.field)


def unreadable(error: InputError) -> str:
    """The kind of an input of which nothing was taken."""
    return reasoned(str(error))


def problem(told: Mapping[str, Any], status: int) -> str:
    """The kind of an HTTP problem. Raises Violation where it does not say what is wrong."""
    if told.get("status") != status or not told.get("title") or not isinstance(told.get("errors"), list):
        raise Violation(f"no problem of status {status}: {told!r:.500}")
    for each in told["errors"]:
        reasoned(each["reason"], each["field"] or "")
    return f"{status} {reasoned(told.get('detail'))}"

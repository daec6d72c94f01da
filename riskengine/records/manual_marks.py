"""Marks that people set by hand: as they are sent (`POST /v1/marks`), checked, and as the store keeps them.

A mark with an expiry holds against every feed until then; one without is a mark like any other, and the newest event time wins.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from riskengine.records.decode import ItemParts, open_list
from riskengine.records.fields import Rejected, excerpt, free_text, name, timestamp
from riskengine.records.reference_input import MarkInput, check_mark
from riskengine.records.types import Instrument, Refusal

MANUAL = "manual"
"""The source of a mark that a person set."""


MarkStatus = Literal["applied", "duplicate", "superseded"]
"""`duplicate`: says what the newest one of its instrument says. `superseded`: another one in force is newer by its `ts`."""


class ManualMark(msgspec.Struct, frozen=True, kw_only=True):
    """A mark of a person, or (`cleared`) the end of one. `price` is in the instrument's cash currency. Times in microseconds.

    `expires_ts` is None where it holds against no feed. `entered_ts` is when the engine took it.
    """

    instrument: str
    ts: int
    price: float = 0.0
    author: str = ""
    reason: str = ""
    expires_ts: int | None = None
    cleared: bool = False
    entered_ts: int = 0

    def holds(self, now: int) -> bool:
        """Whether it stands against the feeds at a moment."""
        return not self.cleared and self.expires_ts is not None and self.expires_ts > now

    def says_the_same(self, other: "ManualMark") -> bool:
        """Whether two say the same, whenever they came."""
        return msgspec.structs.replace(self, entered_ts=other.entered_ts) == other


class ManualMarkInput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A mark as a person sends it. `action` is `set`, or `clear` to end the one that holds. `currency` is its price's unit."""

    instrument: str
    ts: int | str
    price: float | str | None = None
    author: str = ""
    reason: str = ""
    expires_ts: int | str | None = None
    action: str = "set"
    currency: str = ""


_mark_decoder = msgspec.json.Decoder(ManualMarkInput)
_marks_decoder = msgspec.json.Decoder(list[ManualMarkInput])


def decode_marks(body: bytes) -> list[ManualMarkInput | Refusal]:
    """One mark or a list of marks; a bad item becomes a Refusal in its place. Raises InputError if the body is no such list."""
    found: list[ManualMarkInput] | ItemParts[ManualMarkInput] = open_list(body, _marks_decoder, _mark_decoder, ManualMarkInput)
    return list(found)


def check_manual_mark(
    sent: ManualMarkInput, instruments: Mapping[str, Instrument], now: int, future_limit_us: int, author: str
) -> ManualMark:
    """The checked mark, entered at `now`; `author` sets it where it names nobody. Raises Rejected for the first bad field."""
    if sent.action not in ("set", "clear"):
        raise Rejected("action", f"must be set or clear: {excerpt(sent.action)}")
    clears = sent.action == "clear"
    if clears and (sent.price is not None or sent.expires_ts not in (None, "")):
        raise Rejected("price" if sent.price is not None else "expires_ts", "must be left out: clear ends the mark that holds")
    price = "1" if clears else "" if sent.price is None else sent.price
    if price == "":
        raise Rejected("price", "is missing")
    mark = check_mark(
        MarkInput(instrument=sent.instrument, ts=sent.ts, price=price, source=MANUAL, currency=sent.currency), instruments
    )
    if mark.ts > now + future_limit_us:
        raise Rejected("ts", f"is more than {future_limit_us // 1_000_000} s ahead of the clock")
    expires_ts = None if sent.expires_ts in (None, "") else timestamp(sent.expires_ts, "expires_ts")
    if expires_ts is not None and expires_ts <= max(now, mark.ts):
        raise Rejected("expires_ts", "must be after ts and after now")
    return ManualMark(
        instrument=mark.instrument,
        ts=mark.ts,
        price=0.0 if clears else mark.price,
        author=name(sent.author, "author", required=False) or author,
        reason=free_text(sent.reason, "reason"),
        expires_ts=expires_ts,
        cleared=clears,
        entered_ts=now,
    )

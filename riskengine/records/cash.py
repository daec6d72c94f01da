"""Cash that is no trade: external movements of nodes, and carry of positions, as they are sent, stored and checked.

A record has an id and versions: the highest version counts, and one with amount 0 says that there is nothing (the cancel). A
`*Input` holds the fields as sent or stored; `EntryCheck` turns it into the frozen record or raises `Rejected`. What another
program wrote into the store passes the same check, whenever it is read.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from riskengine.clock import MICROS_PER_SECOND
from riskengine.records.currency_units import MINOR_UNITS, move_point, places_between
from riskengine.records.decode import TradeCheck
from riskengine.records.fields import Rejected, currency, excerpt, fixed, integer, name, timestamp, to_text
from riskengine.records.instrument_terms import known_instrument
from riskengine.records.types import CASH_PER_ONE, DECIMALS, Instrument, Opening

CASH, CARRY = "cash", "carry"
"""The two kinds of records, and the names of their tables, files and routes."""

CARRY_TYPES = ("swap_points", "funding", "interest", "borrow", "withholding", "dividend")

CASH_CONFLICT_REASON = "another record with the same id and version was stored first; that one counts"

KEPT_OUT = "kept out"
"""The field of a `Rejected` record whose fields are all sound: its times keep it out of the numbers."""


class CashInput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An external movement as sent: a row of a cash file. `amount` > 0 comes in. `received_ts` is known and ignored."""

    cash_id: str
    version: int = 1
    node: str = ""
    currency: str = ""
    ts: int | str | None = None
    amount: Decimal | None = None
    comment: str = ""


class CarryInput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A carry record as sent: a row of a carry file. `amount` > 0 is received."""

    carry_id: str
    version: int = 1
    desk: str = ""
    dealer: str = ""
    instrument: str = ""
    currency: str = ""
    ts: int | str | None = None
    amount: Decimal | None = None
    type: str = ""


class CashMovement(msgspec.Struct, frozen=True, gc=False):
    """One version of an external movement of a node: money that came in (> 0) or went out. `amount` in units of 1e-10."""

    cash_id: str
    version: int
    node: str
    currency: str
    ts: int
    amount: int
    comment: str = ""
    received_ts: int = 0

    @property
    def record_id(self) -> str:
        return self.cash_id

    def says_as(self, other: "CashMovement") -> bool:
        """Whether another delivery of this version is a duplicate: `received_ts` apart they are equal."""
        return msgspec.structs.replace(other, received_ts=self.received_ts) == self


class CarryRecord(msgspec.Struct, frozen=True, gc=False):
    """One version of a carry record: what a position paid (< 0) or received. `amount` in units of 1e-10 of `currency`."""

    carry_id: str
    version: int
    desk: str
    dealer: str
    instrument: str
    currency: str
    ts: int
    amount: int
    type: str
    received_ts: int = 0

    @property
    def record_id(self) -> str:
        return self.carry_id

    def says_as(self, other: "CarryRecord") -> bool:
        """Whether another delivery of this version is a duplicate: `received_ts` apart they are equal."""
        return msgspec.structs.replace(other, received_ts=self.received_ts) == self


CashRecord = CashMovement | CarryRecord


class CarryEntry(NamedTuple):
    """A carry record as it stands in a position. Entries sort by time, then by id.

    amount     in units of 1e-28, received > 0
    currency   that of `amount`: the instrument's cash currency, or another one
    is_beside  it is in another currency: kept beside net cash
    """

    ts: int
    carry_id: str
    version: int
    type: str
    amount: int
    currency: str
    is_beside: bool


def entry_of(record: CarryRecord, instrument: Instrument) -> CarryEntry:
    """The entry of a record: in the instrument's cash currency (GBP in pence, where it is dealt in those), or beside it."""
    places = places_between(record.currency, instrument.currency)
    units = record.amount * CASH_PER_ONE
    if places is None:
        return CarryEntry(record.ts, record.carry_id, record.version, record.type, units, record.currency, True)
    assert places >= 0, "a record is in a whole currency"
    amount = units * int(10**places)
    return CarryEntry(record.ts, record.carry_id, record.version, record.type, amount, instrument.currency, False)


# -- stored rows -----------------------------------------------------------------------------------------------------


class CashRow(NamedTuple):
    """A row of the table `cash`, unchecked. `amount` is a decimal text; another program may have written anything."""

    cash_id: Any
    version: Any
    node: Any
    currency: Any
    ts: Any
    amount: Any
    comment: Any
    received_ts: Any

    @property
    def key(self) -> tuple[str, int]:
        return self.cash_id, self.version


class CarryRow(NamedTuple):
    """A row of the table `carry`, unchecked."""

    carry_id: Any
    version: Any
    desk: Any
    dealer: Any
    instrument: Any
    currency: Any
    ts: Any
    amount: Any
    type: Any
    received_ts: Any

    @property
    def key(self) -> tuple[str, int]:
        return self.carry_id, self.version


StoredCashRow = CashRow | CarryRow


class CashOutcome(NamedTuple):
    """What became of one record for its sender: `applied`, `duplicate`, `superseded`, `conflict` or `quarantined`, and why."""

    status: str
    reason: str = ""


def stored_row(record: "CashRecord", received_ts: int) -> StoredCashRow:
    """The row of a record that was stored at a time, as the store gives it back."""
    values = values_of(msgspec.structs.replace(record, received_ts=received_ts))
    return CashRow(*values) if isinstance(record, CashMovement) else CarryRow(*values)


# -- the check -------------------------------------------------------------------------------------------------------


class EntryCheck:
    """Checks cash and carry against the reference data. Raises Rejected for the first bad field.

    `openings` are the times of opening balances by (desk, dealer, instrument): carry from before is part of the balance already,
    and is kept out, as are carry records from more than `future_limit_s` after they were received.
    """

    def __init__(
        self,
        trades: TradeCheck,
        openings: Mapping[tuple[str, str, str], int] | None = None,
        future_limit_s: float = 60.0,
    ) -> None:
        self.instruments: Mapping[str, Instrument] = trades.instruments
        self.openings = openings if openings is not None else {}
        self._nodes: Container[str] = trades.nodes
        self._leaves: Container[str] = trades.leaves
        self._currencies = trades.currencies
        self._future_limit = int(future_limit_s * MICROS_PER_SECOND)

    def cash(self, sent: CashInput, received_ts: int) -> CashMovement:
        """A movement of a known node, in a currency that can have a rate."""
        if sent.node not in self._nodes:
            raise Rejected("node", f"unknown node {excerpt(sent.node)}" if sent.node else "is missing", sent.node)
        if not sent.currency:
            raise Rejected("currency", "is missing")
        amount, code = self._amount(sent.amount, sent.currency)
        return CashMovement(
            name(sent.cash_id, "cash_id"),
            integer(sent.version, "version", 1),
            sent.node,
            code,
            timestamp(sent.ts, "ts"),
            amount,
            _comment(sent.comment),
            received_ts,
        )

    def carry(self, sent: CarryInput, received_ts: int) -> CarryRecord:
        """Carry of a known desk and instrument; without a currency it is in the instrument's cash currency."""
        instrument = known_instrument(sent.instrument, self.instruments)
        if sent.desk not in self._leaves:
            if sent.desk in self._nodes:
                raise Rejected("desk", f"{excerpt(sent.desk)} has nodes below it; carry attaches to leaf nodes")
            raise Rejected("desk", f"unknown desk {excerpt(sent.desk)}" if sent.desk else "is missing", sent.desk)
        if sent.type not in CARRY_TYPES:
            raise Rejected(
                "type", f"must be one of {', '.join(CARRY_TYPES)}: {excerpt(sent.type)}" if sent.type else "is missing"
            )
        amount, code = self._amount(sent.amount, sent.currency or instrument.currency)
        return CarryRecord(
            name(sent.carry_id, "carry_id"),
            integer(sent.version, "version", 1),
            sent.desk,
            name(sent.dealer, "dealer", required=False),
            sent.instrument,
            code,
            timestamp(sent.ts, "ts"),
            amount,
            sent.type,
            received_ts,
        )

    def _amount(self, amount: Decimal | None, code: str) -> tuple[int, str]:
        """The amount in a whole currency, exact, and that currency."""
        if amount is None:
            raise Rejected("amount", "is missing")
        unit = currency(code, "currency")
        whole = MINOR_UNITS.get(unit, unit)
        if whole not in self._currencies:
            raise Rejected("currency", f"no instrument has the currency {excerpt(code)}, so it never gets a rate")
        if whole == unit:
            return fixed(amount, DECIMALS, "amount"), unit
        fixed(amount, DECIMALS - 2, "amount")  # refused in the unit in which it was sent
        return fixed(move_point(amount, -2), DECIMALS, "amount"), whole

    def kept_out(self, record: CashRecord) -> str:
        """Why the times of a sound record keep it out of the numbers, or ""."""
        if isinstance(record, CashMovement):
            return ""
        if record.ts - record.received_ts > self._future_limit:
            return f"ts is more than {self._future_limit // MICROS_PER_SECOND} s after it was received"
        opened = self.openings.get((record.desk, record.dealer, record.instrument))
        if opened is not None and record.ts < opened:
            return "ts is before the opening balance of its position"
        return ""

    def stored(self, row: StoredCashRow) -> CashRecord:
        """The record of a stored row. Raises Rejected where it takes no part."""
        sent = dict(zip(row._fields, row, strict=True))
        received_ts = sent.pop("received_ts")
        into: type[CashInput] | type[CarryInput] = CashInput if isinstance(row, CashRow) else CarryInput
        check: Callable[[Any, int], CashRecord] = self.cash if isinstance(row, CashRow) else self.carry
        try:
            loose = msgspec.convert(sent, into, strict=False)
        except msgspec.ValidationError as error:
            raise Rejected("", str(error)) from None
        record = check(loose, received_ts if isinstance(received_ts, int) else 0)
        reason = self.kept_out(record)
        if reason:
            raise Rejected(KEPT_OUT, reason)
        return record


def opening_times(openings: Iterable[Opening]) -> dict[tuple[str, str, str], int]:
    """The newest time of the opening balances of each (desk, dealer, instrument)."""
    found: dict[tuple[str, str, str], int] = {}
    for opening in openings:
        key = (opening.desk, opening.dealer, opening.instrument)
        found[key] = max(opening.ts, found.get(key, 0))
    return found


def _comment(text: str) -> str:
    if len(text) > 2_000 or "\0" in text:
        raise Rejected("comment", "is longer than 2,000 characters, or has a character that a text cannot have")
    return text


def values_of(record: CashRecord) -> tuple[Any, ...]:
    """The columns of a record's row, `amount` as text."""
    values = {field: getattr(record, field) for field in record.__struct_fields__}
    return tuple((values | {"amount": to_text(record.amount)}).values())

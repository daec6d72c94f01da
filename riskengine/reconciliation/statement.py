"""`riskengine reconcile --against FILE`: compares a statement (a custodian's, a broker's) with what a running engine shows.

A statement has rows by node or dealer and instrument: the signed quantity and, if it has them, net cash and average price. Rows
without an owner column are those of the root; in a statement by dealer, an empty dealer is that of the trades without one.
Several rows of one position (lots) are added up. Only the owners that the statement names are compared, both ways round; leaving
out a flat position is no difference. The engine's own CSV of positions or of a ladder is a statement too. Pure, except for the
two readers.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode

import orjson

from riskengine.engine_access import engine_opener
from riskengine.errors import EngineUnreachable, InputError
from riskengine.files.columns import ColumnOptions, Row
from riskengine.files.mappings.mapped_rows import rows_of
from riskengine.files.near_names import NearNames
from riskengine.files.shapes import STATEMENT
from riskengine.records.fields import MAX_MAGNITUDE, MAX_TEXT, Rejected, excerpt, fixed, name, to_text
from riskengine.records.types import CASH_DECIMALS, CASH_ONE, CASH_PER_ONE, DECIMALS, Key, Refusal
from riskengine.snapshot.compare import AVERAGE, CASH, DEALER, MISSING_HERE, MISSING_THERE, NODE, QUANTITY, UNKNOWN_NAME
from riskengine.snapshot.rows import RowDict

TOLERATED = ("quantity", "net_cash", "average_price")
TIMEOUT_S = 30
MAX_CASH_DIGITS = 30
"""Digits of net cash before the point: those of many positions of 1e15 at any price."""

MAX_LIMIT = 1_000_000
"""The largest `limit` of a list (INTERFACE section 2)."""


class Stated(NamedTuple):
    """One side's figures of a position: exact units of 1e-10 and 1e-28, the average as decimal; None if it gives none."""

    quantity: int
    net_cash: int | None = None
    average_price: Decimal | None = None

    def as_texts(self) -> RowDict:
        """The same figures as decimal texts."""
        return {
            "quantity": to_text(self.quantity),
            "net_cash": None if self.net_cash is None else to_text(self.net_cash, CASH_DECIMALS),
            "average_price": None if self.average_price is None else format(self.average_price, "f"),
        }


class Tolerances(NamedTuple):
    """Differences up to these do not count. Quantity in units of 1e-10, net cash of 1e-28, average price as decimal."""

    quantity: int = 0
    net_cash: int = 0
    average_price: Decimal = Decimal("1e-9")


def parse_tolerances(text: str) -> Tolerances:
    """The value of `--tolerance`: `quantity=0.01,net_cash=0.005`. Raises InputError."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        field, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or field not in TOLERATED or field in found:
            raise InputError(f"--tolerance: expected {', '.join(TOLERATED)}, each at most once, as name=number: {excerpt(part)}")
        found[field] = value
    try:
        units = {field: fixed(value, DECIMALS, field) for field, value in found.items()}
    except Rejected as error:
        raise InputError(f"--tolerance: {error}") from None
    if any(value < 0 for value in units.values()):
        raise InputError("--tolerance: cannot be less than 0")
    usual = Tolerances()
    average = Decimal(units["average_price"]).scaleb(-DECIMALS) if "average_price" in units else usual.average_price
    return Tolerances(units.get("quantity", 0), units.get("net_cash", 0) * CASH_PER_ONE, average)


# -- the statement -----------------------------------------------------------------------------------------------


def read_statement(path: str, options: ColumnOptions, root: str) -> tuple[dict[Key, Stated], list[Refusal]]:
    """A statement's figures by position, and the lines that cannot be read. Raises InputError."""
    stated: dict[Key, Stated] = {}
    refused: list[Refusal] = []
    for line, row in rows_of(path, options, STATEMENT):
        if isinstance(row, Refusal):
            refused.append(row)
            continue
        try:
            key, figures = _parse_row(row, root)
        except Rejected as error:
            refused.append(Refusal(line, error.field, error.reason))
            continue
        before = stated.get(key)
        stated[key] = figures if before is None else _add(before, figures)
    return stated, refused


def _parse_row(row: Row, root: str) -> tuple[Key, Stated]:
    owners = [field for field in ("node", "desk", "dealer") if row.get(field) not in (None, "")]
    if len(owners) > 1:
        raise Rejected(owners[1], f"cannot be combined with {owners[0]}: a row has one owner")
    if owners:
        rollup, owner = (DEALER if owners == ["dealer"] else NODE), name(str(row[owners[0]]), owners[0])
    elif row.get("dealer") is not None and "node" not in row and "desk" not in row:
        rollup, owner = DEALER, ""  # a statement by dealer: those of the trades without one
    else:
        rollup, owner = NODE, root
    cash, average = row.get("net_cash"), row.get("average_price")
    figures = Stated(
        _number(row.get("quantity"), "quantity"),
        None if cash in (None, "") else _cash(cash),
        None if average in (None, "") else _average(average),
    )
    return (rollup, owner, name(str(row.get("instrument") or ""), "instrument")), figures


def _number(value: Any, field: str) -> int:
    if value in (None, ""):
        raise Rejected(field, "is missing")
    if not isinstance(value, str | int | Decimal):  # NDJSON can hold a list or an object
        raise Rejected(field, f"is not a number: {excerpt(str(value))}")
    return fixed(value, DECIMALS, field)


def _average(value: Any) -> Decimal:
    """With all digits of the sender: an average has no fixed number of them."""
    average = _exact(value, "average_price")
    if abs(average) > MAX_MAGNITUDE:
        raise Rejected("average_price", "is not a finite number of at most 1e15")
    return average


def _cash(value: Any) -> int:
    """Cash in units of 1e-28: quantity times price has more decimals than either, and the engine shows them all."""
    exact = _exact(value, "net_cash")
    if exact.adjusted() >= MAX_CASH_DIGITS:
        raise Rejected("net_cash", f"has more than {MAX_CASH_DIGITS} digits before the point")
    if exact and exact.adjusted() < -CASH_DECIMALS:
        raise Rejected("net_cash", f"has more than {CASH_DECIMALS} decimals")
    units = Fraction(exact) * CASH_ONE
    if units.denominator != 1:
        raise Rejected("net_cash", f"has more than {CASH_DECIMALS} decimals")
    return int(units)


def _exact(value: Any, field: str) -> Decimal:
    text = str(value).strip()
    try:
        if len(text) > MAX_TEXT:
            raise InvalidOperation
        exact = Decimal(text)
    except InvalidOperation:
        raise Rejected(field, f"is not a number: {excerpt(str(value))}") from None
    if not exact.is_finite():
        raise Rejected(field, "is not a finite number of at most 1e15")
    return exact


def _add(one: Stated, other: Stated) -> Stated:
    known = one.net_cash is not None and other.net_cash is not None
    return Stated(one.quantity + other.quantity, (one.net_cash or 0) + (other.net_cash or 0) if known else None)


# -- the engine --------------------------------------------------------------------------------------------------


class EnginePositions(NamedTuple):
    """What an engine shows of some owners, by position, and the epoch and seq of its answer.

    `unknown` are the owners, by roll-up, that it does not know; `instruments` all that it knows.
    """

    positions: dict[Key, Stated]
    epoch: int
    seq: int
    unknown: frozenset[tuple[str, str]]
    instruments: frozenset[str]

    def knows(self, key: Key) -> bool:
        """Whether the engine knows the owner and the instrument of a key."""
        return key[:2] not in self.unknown and key[2] in self.instruments


def engine_root(url: str) -> str:
    """The name of the tree's root. Raises EngineUnreachable."""
    rows = _ask(url, "/v1/nodes", {})["rows"]
    return str(rows[0]["node"]) if rows else ""


def engine_positions(url: str, owners: Iterable[tuple[str, str]]) -> EnginePositions:
    """The ladders of some owners, exact. Raises EngineUnreachable."""
    positions: dict[Key, Stated] = {}
    unknown: set[tuple[str, str]] = set()
    epoch = seq = 0
    for rollup, owner in sorted(set(owners)):
        answer = _ask(url, "/v1/ladder", {rollup: owner, "exact": "true"}, unknown_is_none=True)
        if answer is None:
            unknown.add((rollup, owner))
            continue
        epoch, seq = answer.get("epoch", epoch), answer.get("seq", seq)
        for row in answer["rows"]:
            positions[rollup, owner, row["instrument"]] = Stated(
                fixed(row["quantity"], DECIMALS, "quantity"),
                int(Fraction(row["net_cash"]) * CASH_ONE),
                None if row["average_price"] is None else Decimal(row["average_price"]),
            )
    marks = _ask(url, "/v1/marks", {"limit": str(MAX_LIMIT)})
    return EnginePositions(positions, epoch, seq, frozenset(unknown), frozenset(row["instrument"] for row in marks["rows"]))


def unreachable_error(url: str, error: Exception) -> EngineUnreachable:
    """The error for an address at which no engine answers."""
    reason = getattr(error, "reason", None) or str(error) or type(error).__name__
    what = "no engine answers there" if url.startswith(("http://", "https://")) else "must begin with http://"
    return EngineUnreachable(f"{url}: {what} ({reason}): start `riskengine serve`, or name the one that runs")


def _ask(url: str, path: str, query: Mapping[str, str], *, unknown_is_none: bool = False) -> Any:
    address = f"{url.rstrip('/')}{path}" + (f"?{urlencode(query)}" if query else "")
    try:
        with engine_opener().open(address, timeout=TIMEOUT_S) as answer:
            answered: RowDict = orjson.loads(answer.read())
    except HTTPError as error:
        with error:
            if error.code == 404 and unknown_is_none:
                return None
        raise EngineUnreachable(f"{url}: the engine answered {path} with {error.code}") from None
    except (OSError, ValueError) as error:
        raise unreachable_error(url, error) from None
    return answered


# -- the comparison ----------------------------------------------------------------------------------------------


def compare_statement(
    here: Mapping[Key, Stated], there: Mapping[Key, Stated], tolerances: Tolerances, knows: Callable[[Key], bool]
) -> list[RowDict]:
    """Where the engine (`here`) and the statement (`there`) differ by more than the tolerances, by key.

    `knows` says whether the engine knows the names of a key: a statement that names others is told so, whatever the quantity.
    """
    found = []
    for key in sorted(here.keys() | there.keys()):
        kind = _kind(here.get(key), there.get(key), tolerances) if knows(key) else UNKNOWN_NAME
        if kind:
            found.append(_break(kind, key, here.get(key), there.get(key)))
    return found


def _kind(here: Stated | None, there: Stated | None, tolerances: Tolerances) -> str:
    if there is None:
        return MISSING_THERE if here is not None and abs(here.quantity) > tolerances.quantity else ""
    if here is None:
        return MISSING_HERE if abs(there.quantity) > tolerances.quantity else ""
    if _differ(here.quantity, there.quantity, tolerances.quantity, DECIMALS):
        return QUANTITY
    cash = here.net_cash, there.net_cash
    if cash[0] is not None and cash[1] is not None and _differ(cash[0], cash[1], tolerances.net_cash, CASH_DECIMALS):
        return CASH
    if here.average_price is not None and there.average_price is not None:
        return AVERAGE if abs(here.average_price - there.average_price) > tolerances.average_price else ""
    return ""


def _differ(here: int, there: int, tolerance: int, decimals: int) -> bool:
    """Whether two figures in units of 1e-`decimals` differ by more than the tolerance.

    What the engine itself shows of a figure where nobody asks for it exactly, the nearest double, is no difference.
    """
    if abs(here - there) <= tolerance:
        return False
    shown = repr(here / 10**decimals)
    return Fraction(there, 10**decimals) != Fraction(shown)


def _break(kind: str, key: Key, here: Stated | None, there: Stated | None) -> RowDict:
    rollup, owner, instrument = key
    cash = [side.net_cash if side is not None else 0 for side in (here, there)]
    difference = {
        "quantity": to_text((there.quantity if there else 0) - (here.quantity if here else 0)),
        "net_cash": None if cash[0] is None or cash[1] is None else to_text(cash[1] - cash[0], CASH_DECIMALS),
    }
    return {
        "kind": kind,
        "rollup": rollup,
        rollup: owner,
        "instrument": instrument,
        "here": here.as_texts() if here else None,
        "there": there.as_texts() if there else None,
        "difference": difference,
    }


def explain_unknown(breaks: Iterable[RowDict], seen: EnginePositions, names: NearNames) -> None:
    """Say in each break of kind `unknown_name` which of its names the engine does not know, and which known one comes near.

    As `unknown`: a list of `{field, name, near}`; `near` is None where none does.
    """
    for found in breaks:
        if found["kind"] != UNKNOWN_NAME:
            continue
        rollup, instrument = found["rollup"], found["instrument"]
        unknown = [(rollup, found[rollup])] if (rollup, found[rollup]) in seen.unknown else []
        unknown += [] if instrument in seen.instruments else [("instrument", instrument)]
        found["unknown"] = [{"field": field, "name": name, "near": names.near(field, name)} for field, name in unknown]


def _known_names(url: str, seen: EnginePositions) -> NearNames:
    """The names that the engine at `url` knows, each kind asked for once one is unknown."""
    return NearNames(
        {
            "instrument": lambda: sorted(seen.instruments),
            "node": lambda: [row["node"] for row in _ask(url, "/v1/nodes", {})["rows"]],
            "dealer": lambda: [row["dealer"] for row in _ask(url, "/v1/dealers", {"limit": str(MAX_LIMIT)})["rows"]],
        }
    )


class StatementReport(NamedTuple):
    """The result of a comparison with a statement. `compared` counts positions of either side."""

    compared: int
    epoch: int
    seq: int
    watermark: int
    breaks: Sequence[RowDict]
    refused: Sequence[Refusal]


def against_statement(url: str, path: str, options: ColumnOptions, tolerances: Tolerances) -> StatementReport:
    """Compare what the engine at `url` shows with the statement in a file. Raises EngineUnreachable, InputError."""
    stated, refused = read_statement(path, options, engine_root(url))
    seen = engine_positions(url, ((rollup, owner) for rollup, owner, _ in stated))
    breaks = compare_statement(seen.positions, stated, tolerances, seen.knows)
    explain_unknown(breaks, seen, _known_names(url, seen))
    watermark = int(_ask(url, "/v1/status", {})["watermark"] or 0)
    compared = len(seen.positions.keys() | stated.keys())
    return StatementReport(compared, seen.epoch, seen.seq, watermark, breaks, refused)

"""The house that inputs are about, and sound rows of every kind: those of the templates, and what they leave out."""

import atexit
import csv
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from riskengine.files.templates import KINDS, template
from riskengine.records.decode import convert
from riskengine.records.reference import Reference
from riskengine.records.reference_input import InstrumentInput, NodeInput, check_instrument, check_node
from tests.world import NOON

Row = dict[str, Any]

PUSHED = "ACME-C-PUSHED"
MORE_INSTRUMENTS: tuple[Row, ...] = (
    {"instrument": "GBPJPY", "kind": "fx", "base_currency": "GBP", "quote_currency": "JPY"},
    {"instrument": PUSHED, "kind": "equity_option", "quote_currency": "USD", "underlying": "ACME", "greeks": "pushed"}
    | {"option_type": "call", "strike": "120", "expiry": "2030-12-20", "multiplier": "100", "quantity_decimals": 0},
)
GREEKS: Row = {
    "instrument": PUSHED,
    "ts": NOON,
    "source": "model",
    "spot": 118.5,
    "vol": "0.31",
    "value": 7.25,
    "delta": 0.48,
    "gamma": 0.01,
    "vega": 21.5,
    "theta": -0.02,
}
MANUAL_MARK: Row = {"instrument": "EURUSD", "ts": NOON, "price": 1.0331, "author": "ann", "reason": "feed is down"}
NUMERIC = frozenset(
    {"quantity", "price", "fees", "contra_amount", "bid", "ask", "mid", "amount", "vol", "atm", "rr25", "bf25", "rate", "df"}
    | {"points", "limit", "warning", "hysteresis", "warning_margin", "initial", "maintenance", "relative", "absolute"}
    | {"average_price", "realised", "net_cash", "multiplier", "strike", "version", "leg", "legs", "price_decimals"}
    | {"quantity_decimals", "day_trades", "days", "minimum_equity", "cost_share", "source_seq"}
)


@cache
def sound_rows(kind: str) -> tuple[Row, ...]:
    """The rows of a template as a sender of JSON writes them: numbers as numbers, empty fields left out."""
    if kind == "greeks":
        return (GREEKS,)
    if kind == "manual_marks":
        return (MANUAL_MARK, {"instrument": "EURUSD", "ts": NOON, "action": "clear"})
    if kind == "instruments":
        return (*_template_rows(kind), *MORE_INSTRUMENTS)
    return _template_rows(kind)


@cache
def _template_rows(kind: str) -> tuple[Row, ...]:
    lines = csv.DictReader(template(kind).splitlines())
    return tuple({field: _json_value(field, text) for field, text in row.items() if text} for row in lines)


def _json_value(field: str, text: str) -> Any:
    if field == "all":
        return text == "true"
    if field not in NUMERIC:
        return text
    try:
        return int(text)
    except ValueError:
        return float(text)


@cache
def house() -> Reference:
    """The nodes and instruments of the templates, and a few more."""
    nodes = [check_node(convert(row, NodeInput)) for row in sound_rows("nodes")]
    return Reference(nodes, [check_instrument(convert(row, InstrumentInput)) for row in sound_rows("instruments")], "USD")


def scratch_folder() -> Path:
    """A folder for the files of inputs, gone with the process."""
    folder = tempfile.mkdtemp(prefix="riskengine-fuzz-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


FILE_KINDS = KINDS
"""The kinds of files that can be read."""

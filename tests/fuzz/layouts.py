"""Mappings that describe a file: sound ones of our own making, and how one is written as TOML."""

import json
from collections.abc import Sequence
from typing import Any

from riskengine.files.shapes import MAPPED
from tests.fuzz.house import Row
from tests.fuzz.mutation import Draw, Pairs, Token

THEIR_WORDS = ("Deal", "Datum", "Wert", "Menge", "Kurs", "Ref", "Portefeuille", "Qty", "Px", "Side", "When", "Unit")
SIDES = {"buy": "K", "sell": "V"}
FORMATS = ("%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y %H:%M", "%Y%m%d;%H%M%S", "ms", "days", "%H:%M", "%Q", "%", "", "s@2026-03-04", "%b %z")
ZONES = ("UTC", "Europe/Berlin", "America/New_York+7h", "Mars/Olympus", "America", "", "UTC+99h", "Asia/Manila-8h", "../x")
ENCODINGS = (
    "utf-8",
    "utf-16",
    "cp1252",
    "ascii",
    "utf-7",
    "idna",
    "punycode",
    "base64",
    "rot13",
    "unicode_escape",
    "mbcs",
    "x",
    "",
)


def drawn(draw: Draw, kind: str, rows: Sequence[Row]) -> tuple[dict[str, Any], bytes]:
    """A sound mapping of a kind, and a file that it describes."""
    fields = [field for field in MAPPED[kind].columns if any(field in row for row in rows)]
    theirs = {field: f"{draw.pick(THEIR_WORDS)} {place}" for place, field in enumerate(fields)}
    delimiter, decimal = draw.pick((",", ";", "tab", "pipe")), draw.pick((".", ","))
    separator = {"tab": "\t", "pipe": "|"}.get(delimiter, delimiter)
    table: dict[str, Any] = {"kind": kind, "delimiter": delimiter, "decimal": decimal, "columns": dict(theirs)}
    if "side" in theirs:
        table["values"] = {"side": {theirs_word: ours for ours, theirs_word in SIDES.items()}}
    header = separator.join(theirs.values())
    lines = [separator.join(_cell(row.get(field, ""), field, decimal) for field in fields) for row in rows]
    return table, "\n".join([header, *lines, ""]).encode()


def _cell(value: Any, field: str, decimal: str) -> str:
    if field == "side":
        return SIDES.get(value, "")
    text = str(value)
    text = text.replace(".", decimal) if isinstance(value, float) else text
    return f'"{text}"' if any(mark in text for mark in ',;"\t|') else text


def richer(draw: Draw, table: dict[str, Any]) -> dict[str, Any]:
    """A mapping with a few more keys, which may fit the file or not."""
    columns = [*table["columns"].values()]
    fields = [*table["columns"]]
    column, field = draw.pick(columns), draw.pick(fields)
    more: tuple[dict[str, Any], ...] = (
        {"where": {column: draw.pick((True, False, "x", ["x", ""], {"matches": "[A-Z]+"}, {"not": "x"}, {"matches": "("}))}},
        {"extract": {column: draw.pick(("(?P<a>.+)", "(?P<price>[0-9.]+)(?P<unit>.*)", "(", ".*", "(?P<a>x)|(?P<b>y)"))}},
        {"join": {field: draw.pick(("", " ", "/"))}},
        {"remove": {field: draw.pick(("x", ["x", ""], ""))}},
        {"values": {field: {draw.text("x"): draw.text("y")}}},
        {"set": {field: draw.pick(("x", 1, "ALL", "2026-03-04", True))}},
        {"numbers": {field: _number_rule(draw)}},
        {"times": {"format": draw.pick(FORMATS), "zone": draw.pick(ZONES), "dates": draw.pick(FORMATS)}},
        {"times": {field: {"format": draw.pick(FORMATS), "repeated_hour": draw.pick(("first", "second", "in-order", "x"))}}},
        {"check": {"total": column, "tolerance": draw.pick(("0.01", 0.5, -1, "x"))}},
        {"id": draw.pick((column, {"hash": "row"}, {"first": columns[:2]}, {"hash": columns[:2]}, 1, []))},
        {"order": draw.pick(("line", "newest-first", "x"))},
        {"skip": draw.pick((1, 2, "header", -1, "x"))},
        {"header": False},
        {"fixed": {column: draw.pick(("1-8", "3", "9-2", "x")), "b": "9-12"}},
        {"optional": [column]},
        {"empty": ["0", "-"]},
        {"quote": False},
        {"encoding": draw.pick(ENCODINGS)},
        {"thousands": draw.pick((",", ".", " ", "'", "_", "x"))},
        {"columns": table["columns"] | {field: draw.pick((1, [column, 1], {"sum": columns[:2]}, {"first": columns[:2]}, "x#2"))}},
        {"records": [{"where": {column: "x"}, "set": {field: "y"}}, {"columns": {field: column}}]},
    )
    made = dict(table)
    for _ in range(1 + draw.few(3)):
        made |= draw.pick(more)
    return made


def _number_rule(draw: Draw) -> dict[str, Any]:
    rules: tuple[dict[str, Any], ...] = (
        {"strip": ["x", "%"]},
        {"unit": "fees_currency"},
        {"negate": True},
        {"multiply": draw.pick((100, Token("0.01"), "0.01", 0, -1, Token("1e400"), Token("nan")))},
        {"round": draw.pick((0, 2, 12, 13, -1))},
        {"sign": draw.pick(("side", "agrees", "opposes", "ignore", "x"))},
    )
    return draw.pick(rules) | draw.pick(rules)


def toml(table: Any) -> str:
    """A table as TOML. What TOML has no way to write (null) is left as it is, and makes it unsound."""
    return "\n".join(f"{_key(key)} = {_value(value)}" for key, value in _items(table)) + "\n"


def _items(table: Any) -> Any:
    return table if isinstance(table, Pairs) else table.items() if isinstance(table, dict) else [("kind", table)]


def _key(key: str) -> str:
    return json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, Token):
        return str(value)
    if isinstance(value, dict | Pairs):
        return "{" + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in _items(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)

"""What the page must show of a row of the API, cell by cell, and every snapshot that a page paints over a stretch of time."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tests.running import Server
from tests.web.browsing import READ_CELLS, Cells, amount, number, quantity

Row = dict[str, Any]

POSITION_AMOUNTS = (
    "unrealised_pnl", "realised_pnl", "day_pnl", "day_position_pnl", "day_trading_pnl", "day_translation_pnl", "day_carry_pnl",
    "correction_pnl", "net_day_pnl", "total_pnl", "delta_cash", "market_value",
)  # fmt: skip
NODE_AMOUNTS = ("unrealised_pnl", "realised_pnl", "day_pnl", "day_position_pnl", "total_pnl", "net_exposure", "nav")
NODE_SIZES = ("gross_exposure", "fees", "unpriced_count", "stale_count", "trade_count")
GREEKS = ("delta_cash", "gamma_cash", "vega", "theta", "total_pnl")


def key_of(row: Row, field: str) -> str:
    """The line of a row."""
    return f"={row[field]}"


def position_cells(row: Row, decimals: int) -> dict[str, str]:
    """The cells of an open position in a ladder."""
    cells = {"quantity": quantity(row["quantity"])} | {field: amount(row[field]) for field in POSITION_AMOUNTS}
    cells |= {field: number(row[field], decimals) for field in ("average_price", "breakeven_price", "bid", "ask", "mark")}
    for way in ("bought", "sold"):
        dealt = row[f"{way}_quantity"]
        cells[f"{way}_quantity"] = quantity(dealt).lstrip("+")
        cells[f"{way}_price"] = number(row[f"{way}_price"], decimals) if dealt else ""
    return cells


def ladder_cells(rows: Sequence[Row], decimals: Mapping[str, int]) -> Cells:
    """The lines of a ladder that is not grouped: open positions."""
    return {key_of(row, "instrument"): position_cells(row, decimals[row["instrument"]]) for row in rows if row["quantity"]}


def blotter_cells(rows: Sequence[Row]) -> Cells:
    """The lines of the blotter by desk: the root is the total."""
    return {
        "total" if place == 0 else key_of(row, "node"): {field: amount(row[field]) for field in NODE_AMOUNTS}
        | {field: amount(row[field], "") for field in NODE_SIZES}
        for place, row in enumerate(rows)
    }


def risk_cells(rows: Sequence[Row]) -> Cells:
    """The lines of options and hedges."""
    return {
        key_of(row, "instrument"): {field: amount(row[field]) for field in GREEKS} | {"quantity": quantity(row["quantity"])}
        for row in rows
    }


def differences(shown: Cells, expected: Cells, is_row: Callable[[str], bool]) -> Iterator[str]:
    """What the page shows otherwise: lines that are not those of the rows, cells that do not say what they say."""
    lines = {key for key in shown if is_row(key)}
    yield from (f"{key}: not on the page" for key in sorted(expected.keys() - lines))
    yield from (f"{key}: only on the page" for key in sorted(lines - expected.keys()))
    for key in sorted(lines & expected.keys()):
        for column, text in expected[key].items():
            if shown[key].get(column) != text:
                yield f"{key} {column}: {shown[key].get(column)!r} where the API says {text!r}"


FOLLOW = f"""async ([name, path, seconds]) => {{
    const read = {READ_CELLS};
    const painted = [];
    const until = performance.now() + seconds * 1000;
    let last = "";
    while (performance.now() < until) {{
        await new Promise(requestAnimationFrame);
        const {{ cut, link, inStep }} = document.body.dataset;
        if (link !== "live" || inStep !== "true" || cut === last) continue;
        last = cut;
        const cells = read(name);
        const url = `${{path}}${{path.includes("?") ? "&" : "?"}}seq=${{cut.split(".")[1]}}`;
        painted.push(fetch(url).then(async (answer) => [cut, cells, answer.status, await answer.text()]));
    }}
    return Promise.all(painted);
}}"""
"""Every snapshot that is painted: its number, the cells, and the answer of the API about that snapshot."""


def painted_snapshots(page: Any, grid: str, path: str, seconds: float) -> list[tuple[int, Cells, list[Row]]]:
    """Every snapshot that the page paints in so many seconds, with the rows of the API of the same one.

    One that is gone before the API is asked (on a busy machine) is left out; the caller says how many it must have.
    """
    found = []
    for cut, cells, status, text in page.evaluate(FOLLOW, [grid, path, seconds]):
        if status == 410:
            continue
        answer = json.loads(text)
        assert status == 200, answer
        assert cut == f"{answer['epoch']}.{answer['seq']}"
        found.append((answer["seq"], cells, answer["rows"]))
    return found


def decimals_of(server: Server) -> dict[str, int]:
    """How each instrument is quoted."""
    return {row["instrument"]: row["price_decimals"] for row in server.get("/v1/instruments")["rows"]}

"""Works out the end state of a replay from the raw files, in `decimal`, without any code of the engine.

It reads the recorded ticks and the trades file from disk and follows ACCOUNTING word by word: the highest version wins, a cancel
removes, average cost is in event-time order, the mid of a pair is the newest by event time (the later line on ties), and the
quote currency becomes dollars at the current mid or its inverse.
"""

import csv
import gzip
from collections import defaultdict
from decimal import Decimal, getcontext
from pathlib import Path

getcontext().prec = 50


def newest_mids(paths: list[Path]) -> dict[str, Decimal]:
    """The last mid of each symbol in recorded tick files with the columns Symbol, Date, Bid, Ask."""
    best: dict[str, tuple[str, Decimal]] = {}
    for path in paths:
        with gzip.open(path, "rt") as file:
            for row in csv.DictReader(file):
                symbol, when = row["Symbol"], row["Date"]
                if symbol not in best or when >= best[symbol][0]:
                    best[symbol] = (when, (Decimal(row["Bid"]) + Decimal(row["Ask"])) / 2)
    return {symbol: mid for symbol, (_, mid) in best.items()}


def effective_trades(path: Path) -> list[dict[str, str]]:
    """The effective trades, in the order of event time and the source's own tie-breakers."""
    newest: dict[tuple[str, str], dict[str, str]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            key = (row["trade_id"], row["leg"] or "0")
            if key not in newest or int(row["version"] or 1) > int(newest[key]["version"] or 1):
                newest[key] = row
    standing = [row for row in newest.values() if row["action"] != "cancel"]
    return sorted(
        standing,
        key=lambda row: (int(row["ts"]), int(row["source_seq"] or 0), row["trade_id"].encode(), int(row["leg"] or 0)),
    )


def positions(trades: list[dict[str, str]], owner: str) -> dict[tuple[str, str], dict[str, Decimal]]:
    """Quantity, net cash and average by (owner, instrument); `owner` is the column desk or dealer."""
    held: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(
        lambda: {"q": Decimal(0), "cash": Decimal(0), "avg": Decimal(0), "trades": Decimal(0)}
    )
    for row in trades:
        state = held[row[owner], row["instrument"]]
        change = Decimal(row["quantity"]) * (1 if row["side"] == "buy" else -1)
        price = Decimal(row["price"])
        before, after = state["q"], state["q"] + change
        if before == 0:
            state["avg"] = price
        elif (before > 0) == (change > 0):
            state["avg"] = (abs(before) * state["avg"] + abs(change) * price) / (abs(before) + abs(change))
        elif after != 0 and (after > 0) != (before > 0):
            state["avg"] = price
        state["q"] = after
        state["cash"] -= change * price
        state["trades"] += 1
    return dict(held)


def dollars(symbol: str, mids: dict[str, Decimal]) -> Decimal:
    """The worth of one unit of the pair's quote currency, in dollars."""
    quote = symbol[3:]
    if quote == "USD":
        return Decimal(1)
    return mids[f"{quote}USD"] if f"{quote}USD" in mids else 1 / mids[f"USD{quote}"]


def tree(
    trades: list[dict[str, str]], mids: dict[str, Decimal], parents: dict[str, str], owner: str = "desk"
) -> dict[str, dict[str, Decimal]]:
    """Total, realised and unrealised in dollars and the number of trades, for every node of a tree given by its parents."""
    measures = ("total", "realised", "unrealised", "trades")
    nodes: dict[str, dict[str, Decimal]] = defaultdict(lambda: dict.fromkeys(measures, Decimal(0)))
    for (name, symbol), state in positions(trades, owner).items():
        rate, mid = dollars(symbol, mids), mids[symbol]
        total = (state["cash"] + state["q"] * mid) * rate
        unrealised = state["q"] * (mid - state["avg"]) * rate if state["q"] else Decimal(0)
        node = name
        while True:
            for measure, amount in (
                ("total", total),
                ("unrealised", unrealised),
                ("realised", total - unrealised),
                ("trades", state["trades"]),
            ):
                nodes[node][measure] += amount
            if node not in parents or not parents[node]:
                break
            node = parents[node]
    return dict(nodes)

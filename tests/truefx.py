"""A replay day on real ticks: reference data, a seeded trades file and its shuffles, for the four TrueFX recordings."""

import csv
import gzip
import random
from bisect import bisect_right
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path

from riskengine.feeds.simulation.seeded_day import seeded_day
from riskengine.records.decode import TradeInput
from riskengine.records.types import Instrument, Kind

SYMBOLS = ("EURUSD", "GBPUSD", "USDCHF", "USDJPY")
MAPPING = ("--columns", "instrument=Symbol,ts=Date,bid=Bid,ask=Ask", "--time-format", "%Y-%m-%d %H:%M:%S.%f", "--tz", "UTC")
START = int(datetime(2016, 1, 4, 19, 47, tzinfo=UTC).timestamp()) * 1_000_000
END = int(datetime(2016, 1, 5, 11, 59, tzinfo=UTC).timestamp()) * 1_000_000
PARENTS = {"ALL": "", "FX": "ALL", "EM": "ALL", "FX1": "FX", "FX2": "FX", "FX3": "FX", "EM1": "EM", "EM2": "EM", "EM3": "EM"}
DESKS = tuple(node for node in PARENTS if node not in PARENTS.values())
DEALERS = ("ada", "ben", "cleo", "dan", "eva", "fred", "gwen", "hugo")
COLUMNS = (
    "source",
    "trade_id",
    "leg",
    "version",
    "action",
    "ts",
    "source_seq",
    "instrument",
    "desk",
    "dealer",
    "side",
    "quantity",
    "price",
    "fees",
    "fees_currency",
)


def tick_files(shared_data: Path) -> list[Path]:
    """The four recordings."""
    return [shared_data / "truefx-plotly" / f"{symbol}_ticks.csv.gz" for symbol in SYMBOLS]


def first_lines(recording: Path, path: Path, count: int) -> Path:
    """The heading and the first ticks of a recording, as a file."""
    with gzip.open(recording, "rt") as file:
        path.write_text("".join(islice(file, count + 1)))
    return path


def write_reference(folder: Path) -> tuple[Path, Path]:
    """The nodes and instruments files."""
    nodes, instruments = folder / "nodes.csv", folder / "instruments.csv"
    nodes.write_text("node,level,parent\n" + "".join(f"{node},,{parent}\n" for node, parent in PARENTS.items()))
    instruments.write_text(
        "instrument,kind,base_currency,quote_currency,price_decimals,quantity_decimals\n"
        + "".join(f"{s},fx,{s[:3]},{s[3:]},{3 if s.endswith('JPY') else 5},2\n" for s in SYMBOLS)
    )
    return nodes, instruments


def _recorded_mids(paths: list[Path]) -> dict[str, tuple[list[int], list[Decimal]]]:
    mids: dict[str, tuple[list[int], list[Decimal]]] = {}
    for path in paths:
        with gzip.open(path, "rt") as file:
            for number, row in enumerate(csv.DictReader(file)):
                if number % 20 == 0:
                    when = datetime.strptime(row["Date"], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
                    times, prices = mids.setdefault(row["Symbol"], ([], []))
                    times.append(int(when.timestamp() * 1_000_000))
                    prices.append((Decimal(row["Bid"]) + Decimal(row["Ask"])) / 2)
    return mids


def write_trades(path: Path, ticks: list[Path], count: int, seed: int = 1) -> list[TradeInput]:
    """A seeded day of `count` trade messages at recorded prices, in order of arrival."""
    mids = _recorded_mids(ticks)

    def price_at(symbol: str, ts: int) -> Decimal | None:
        times, prices = mids[symbol]
        at = bisect_right(times, ts)
        return prices[at - 1] if at else None

    instruments = [
        Instrument(
            instrument=symbol,
            kind=Kind.FX,
            base_currency=symbol[:3],
            quote_currency=symbol[3:],
            price_decimals=3 if symbol.endswith("JPY") else 5,
        )
        for symbol in SYMBOLS
    ]
    trades = seeded_day(seed, START, END, count, DESKS, DEALERS, instruments, price_at)
    write_rows(path, trades)
    return trades


def write_rows(path: Path, trades: list[TradeInput]) -> None:
    """A trades file."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for trade in trades:
            writer.writerow(["" if (value := getattr(trade, column)) is None else value for column in COLUMNS])


def shuffled(trades: list[TradeInput], seed: int) -> list[TradeInput]:
    """The same trades in another order, a tenth of them twice."""
    rng = random.Random(seed)
    several = trades + rng.sample(trades, len(trades) // 10)
    rng.shuffle(several)
    return several

"""Measures a mapped file against a plain one: `python -m bench.mapped_file`.

The same trades are written as a file of ours and as a German spreadsheet's: semicolons, decimal commas, groups of three, local
times, words, costs below 0. Both are read up to checked trades, in turns, each in a process of its own. Prints one JSON object
with rows a second of a core and their ratio; exit status 1 if the mapped file is read at less than TARGET of the rate of the
plain one.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from bench.latency import machine
from riskengine.files.columns import ColumnOptions
from riskengine.files.mappings.mapping import parse_mapping
from riskengine.files.records import read_trades
from riskengine.records.decode import TradeCheck
from riskengine.records.reference_input import InstrumentInput, check_instrument
from riskengine.records.types import Refusal, Trade

TARGET = 0.7
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
MAPPING = """
kind = "trades"
delimiter = ";"
decimal = ","
thousands = "."
set = { source = "bench" }
id = "Nummer"

[columns]
ts = "Zeit"
instrument = "Papier"
desk = "Buch"
dealer = "Person"
side = "Art"
quantity = "Menge"
price = "Kurs"
fees = "Entgelt"

[values.side]
Kauf = "buy"
Verkauf = "sell"

[numbers.fees]
negate = true

[times]
format = "%d.%m.%Y %H:%M:%S"
zone = "Europe/Berlin"
"""


def german(number: str) -> str:
    """A number as a German spreadsheet writes it."""
    whole, _, part = number.partition(".")
    return f"{int(whole):,}".replace(",", ".") + (f",{part}" if part else "")


def write_files(folder: Path, rows: int) -> None:
    """The same trades in both layouts."""
    dice, zone = random.Random(11), ZoneInfo("Europe/Berlin")
    with (folder / "plain.csv").open("w") as plain, (folder / "mapped.csv").open("w") as mapped:
        plain.write("trade_id,source,ts,instrument,desk,dealer,side,quantity,price,fees\n")
        mapped.write("Nummer;Zeit;Papier;Buch;Person;Art;Menge;Kurs;Entgelt\n")
        for number in range(rows):
            moment = START + timedelta(milliseconds=20 * number)
            symbol, desk, dealer = f"S{dice.randrange(200):03d}", f"D{dice.randrange(40):02d}", f"dealer{dice.randrange(100)}"
            side, quantity = dice.choice(("buy", "sell")), str(dice.randrange(1, 5000) * 100)
            price, fees = f"{dice.randrange(10_000, 9_000_000) / 10_000:.4f}", f"{dice.randrange(100, 5_000) / 100:.2f}"
            ts = moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")
            plain.write(f"T{number},bench,{ts},{symbol},{desk},{dealer},{side},{quantity},{price},{fees}\n")
            local, word = moment.astimezone(zone).strftime("%d.%m.%Y %H:%M:%S"), "Kauf" if side == "buy" else "Verkauf"
            amounts = f"{german(quantity)};{german(price)};-{german(fees)}"
            mapped.write(f"T{number};{local};{symbol};{desk};{dealer};{word};{amounts}\n")


def read(folder: Path, which: str) -> Iterator[tuple[int, Trade | Refusal]]:
    """The checked trades of a file."""
    symbols = [InstrumentInput(instrument=f"S{number:03d}", kind="equity", quote_currency="USD") for number in range(200)]
    desks = frozenset(f"D{number:02d}" for number in range(40))
    check = TradeCheck({each.instrument: check_instrument(each) for each in symbols}, desks, desks)
    options = ColumnOptions(mapping=parse_mapping(MAPPING, "bench.toml")) if which == "mapped" else ColumnOptions()
    return read_trades(str(folder / f"{which}.csv"), options, check, 0)


def rate(folder: Path, which: str) -> float:
    """Rows a second of a core, reading a file once. Raises ValueError if a row is refused."""
    rows, started = 0, time.process_time()
    for _, trade in read(folder, which):
        if isinstance(trade, Refusal):
            raise ValueError(f"{which}: {trade}")
        rows += 1
    return rows / (time.process_time() - started)


def measured(folder: Path, which: str) -> float:
    """The rate in a process of its own."""
    command = [sys.executable, "-m", "bench.mapped_file", "--read", which, "--folder", str(folder)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--read", choices=("plain", "mapped"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        print(rate(given.folder, given.read))
        return 0
    with tempfile.TemporaryDirectory(prefix="riskengine-bench-") as name:
        folder = Path(name)
        write_files(folder, given.rows)
        pairs = [(measured(folder, "plain"), measured(folder, "mapped")) for _ in range(given.rounds)]
    plain, mapped = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    ratio = statistics.median(mapped_rate / plain_rate for plain_rate, mapped_rate in pairs)
    figures = {"rows": given.rows, "plain_per_s": round(plain), "mapped_per_s": round(mapped), "ratio": round(ratio, 3)}
    print(json.dumps(machine() | figures | {"target": TARGET}))
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())

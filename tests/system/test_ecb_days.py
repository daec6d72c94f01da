"""Sixty business days of published euro reference rates through the real program, against a recomputation in decimals.

A book in twelve pairs; the rates are the official closes of their dates. The program loads everything, starts on the day after
the last one, and makes up the closes of all days; nothing of the recomputation is the engine's.
"""

import csv
import datetime as dt
import gzip
import random
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from tests.running import Server, commands, running
from tests.stepped_clock import SteppedClock

CURRENCIES = ("USD", "JPY", "GBP", "CHF", "SEK", "NOK", "CAD", "AUD", "NZD", "PLN", "CZK", "HUF")
FIRST, DAYS = "2020-06-02", 60
NEW_YORK = ZoneInfo("America/New_York")
DESKS = ("FX1", "FX2", "FX3")


class Deal(NamedTuple):
    """One trade of the book: `signed` units of EUR against `currency`."""

    date: str
    desk: str
    currency: str
    signed: int
    price: Decimal


def read_rates(shared_data: Path) -> dict[str, dict[str, Decimal]]:
    """Units per euro by date and currency, for the first DAYS dates from FIRST on, ascending."""
    with gzip.open(shared_data / "ecb-fx-daily" / "eurofxref-hist_1999_2021.csv.gz", "rt") as file:
        rows = [row for row in csv.DictReader(file) if row["Date"] >= FIRST]
    return {
        row["Date"]: {code: Decimal(row[code]) for code in CURRENCIES} for row in sorted(rows, key=lambda r: r["Date"])[:DAYS]
    }


def make_deals(rates: dict[str, dict[str, Decimal]]) -> list[Deal]:
    """Five trades a day, near the rate of the day."""
    rng = random.Random(12)
    deals = []
    for date, quoted in rates.items():
        for _ in range(5):
            currency = rng.choice(CURRENCIES)
            price = (quoted[currency] * (1 + Decimal(rng.randrange(-30, 31)) / 10_000)).quantize(Decimal("0.0001"))
            deals.append(Deal(date, rng.choice(DESKS), currency, rng.choice((-1, 1)) * rng.randrange(1, 40) * 100_000, price))
    return deals


class Expected:
    """What each node comes to at the close of each day, in US dollars, in decimals."""

    def __init__(self, rates: dict[str, dict[str, Decimal]], deals: list[Deal]) -> None:
        self.dates = list(rates)
        self.totals = {node: [self._total(node, date, rates[date], deals) for date in rates] for node in ("ALL", *DESKS)}

    def _total(self, node: str, date: str, quoted: dict[str, Decimal], deals: list[Deal]) -> Decimal:
        total = Decimal(0)
        for deal in deals:
            if deal.date <= date and node in ("ALL", deal.desk):
                local = deal.signed * (quoted[deal.currency] - deal.price)
                total += local / quoted[deal.currency] * quoted["USD"]
        return total

    def days(self, node: str) -> list[Decimal]:
        totals = self.totals[node]
        return [after - before for before, after in pairwise(totals)]

    def drawdown(self, node: str) -> Decimal:
        peak, worst = self.totals[node][0], Decimal(0)
        for total in self.totals[node]:
            peak = max(peak, total)
            worst = max(worst, peak - total)
        return worst


def boundary(date: str) -> int:
    """17:00 New York of a date, microseconds."""
    return int(dt.datetime.combine(dt.date.fromisoformat(date), dt.time(17), NEW_YORK).timestamp()) * 1_000_000


def load_book(folder: Path, store: str, rates: dict[str, dict[str, Decimal]], deals: list[Deal]) -> None:
    def write(name: str, header: str, rows: Iterator[str]) -> Path:
        path = folder / name
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    files = {
        "nodes": write("nodes.csv", "node,level,parent", iter(["ALL,total,", *(f"{desk},desk,ALL" for desk in DESKS)])),
        "instruments": write(
            "instruments.csv",
            "instrument,kind,base_currency,quote_currency",
            (f"EUR{code},fx,EUR,{code}" for code in CURRENCIES),
        ),
        "closes": write(
            "closes.csv",
            "date,instrument,price",
            (f"{date},EUR{code},{rate}" for date, quoted in rates.items() for code, rate in quoted.items()),
        ),
        "trades": write(
            "trades.csv",
            "trade_id,ts,instrument,desk,dealer,side,quantity,price",
            (
                f"T{number},{deal.date}T14:00:00Z,EUR{deal.currency},{deal.desk},ann,{'buy' if deal.signed > 0 else 'sell'},"
                f"{abs(deal.signed)},{deal.price}"
                for number, deal in enumerate(deals)
            ),
        ),
    }
    words: list[list[str | Path]] = [["load", kind, path, "--store", store] for kind, path in files.items()]
    for done in commands(*words):
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def rates(shared_data: Path) -> dict[str, dict[str, Decimal]]:
    return read_rates(shared_data)


@pytest.fixture(scope="module")
def expected(rates: dict[str, dict[str, Decimal]]) -> Expected:
    return Expected(rates, make_deals(rates))


@pytest.fixture(scope="module")
def server(rates: dict[str, dict[str, Decimal]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The program on the day after the last close, an hour after midnight in New York."""
    folder = tmp_path_factory.mktemp("ecb")
    store = f"sqlite:///{folder}/book.db"
    load_book(folder, store, rates, make_deals(rates))
    clock = SteppedClock(folder)
    now = dt.datetime.now(dt.UTC).timestamp()
    clock.set(int(boundary(max(rates)) / 1_000_000 + 8 * 3_600 - now))
    words = ("serve", "--store", store, "--port", "0")
    with running(*words, log=folder / "log", environment=clock.environment) as found:
        yield found
    clock.close()


def history(server: Server, node: str, measure: str) -> dict[str, Any]:
    return server.get(f"/v1/history?node={node}&measure={measure}&days=365")


def by_date(answer: dict[str, Any], dates: list[str]) -> list[float]:
    """The values at the boundaries of these dates."""
    values = {row["ts"]: row["value"] for row in answer["rows"]}
    return [values[boundary(date)] for date in dates]


def test_every_day_was_struck_once(server, expected):
    closes = server.get("/v1/closes?node=ALL&limit=1000000")
    assert closes["rows"][0]["date"] == expected.dates[-1]
    assert {row["version"] for row in closes["rows"]} == {1}


@pytest.mark.parametrize("node", ["ALL", *DESKS])
def test_the_curve_of_the_total_is_that_of_the_recomputation(server, expected, node):
    found = by_date(history(server, node, "total_pnl"), expected.dates)
    assert found == pytest.approx([float(each) for each in expected.totals[node]], abs=0.01)


@pytest.mark.parametrize("node", ["ALL", *DESKS])
def test_each_day_is_that_of_the_recomputation(server, expected, node):
    found = by_date(history(server, node, "day_pnl"), expected.dates[1:])
    assert found == pytest.approx([float(each) for each in expected.days(node)], abs=0.01)


@pytest.mark.parametrize("node", ["ALL", *DESKS])
def test_the_drawdown_is_that_of_the_recomputation(server, expected, node):
    answer = history(server, node, "total_pnl")
    assert answer["drawdown"]["amount"] == pytest.approx(float(expected.drawdown(node)), abs=0.02)


@pytest.mark.parametrize("node", ["ALL", *DESKS])
def test_month_and_year_to_date_are_sums_of_days(server, expected, node):
    """The day that has just begun has moved nothing; the first close began the count."""
    row = next(row for row in server.get("/v1/nodes?limit=100")["rows"] if row["node"] == node)
    month = expected.dates[-1][:7]
    days = list(zip(expected.dates[1:], expected.days(node), strict=True))
    assert row["month_pnl"] == pytest.approx(float(sum(pnl for date, pnl in days if date[:7] == month)), abs=0.02)
    assert row["year_pnl"] == pytest.approx(float(sum(pnl for _, pnl in days)), abs=0.02)
    assert row["day_pnl"] == pytest.approx(0.0, abs=1e-3)

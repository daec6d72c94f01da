"""A drill: years of trading days of an equity house, every day rolled, against a recomputation in pandas.

    python replay/sp500_days.py ../shared/data                     # 982 days, 100 names, 500 accounts
    python replay/sp500_days.py ../shared/data --days 60 --accounts 50

Loads the book in stretches, as a house would that starts the program once in a while: each start makes up the days that ended
meanwhile, from the official closes. After each stretch it compares what the program serves with pandas, which shares nothing with
it: net asset value and total of every account, book and the house, P&L of every day, month and year to date, the allocation to
sectors. Prints each comparison; exit status 0 if all hold.
"""

import argparse
import datetime as dt
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.running import Server, commands, running
from tests.stepped_clock import SteppedClock

NEW_YORK = ZoneInfo("America/New_York")
NAMES, NAMES_EACH, BOOKS = 100, 15, 10
STRETCH_DAYS = 250
"""Trading days between two starts: a first start goes back 400 calendar days."""
START_S = 900.0
"""How long a start may take that makes up a stretch: one close for each day."""
DEPOSIT = 2_000_000
FEE = 1.25


class Market(NamedTuple):
    """Closing prices by date (rows) and name (columns), and the sector of each name."""

    prices: pd.DataFrame
    sectors: pd.Series


class House(NamedTuple):
    """All trades and deposits, one row each; `date` is a place among the dates of the market."""

    trades: pd.DataFrame
    cash: pd.DataFrame
    accounts: list[str]


def read_market(shared_data: Path, days: int) -> Market:
    """The first `NAMES` names with a price on every one of the first `days` dates."""
    folder = shared_data / "sp500-daily-5yr"
    daily = pd.read_csv(folder / "sp500_daily.csv.gz", usecols=["date", "close", "Name"])
    prices = daily.pivot(index="date", columns="Name", values="close").sort_index().iloc[:days]
    sectors = pd.read_csv(folder / "constituents_2018-04-02.csv").set_index("Symbol")["Sector"]
    whole = [name for name in prices.columns[prices.notna().all()] if name in sectors.index]
    return Market(prices[whole[:NAMES]], sectors[whole[:NAMES]])


def make_house(market: Market, accounts: int) -> House:
    """A first purchase of NAMES_EACH names for every account; then one in twenty trades a day; a deposit every quarter."""
    rng = np.random.default_rng(500)
    names, days = list(market.prices.columns), len(market.prices)
    labels = [f"A{number:04d}" for number in range(accounts)]
    rows: list[tuple[int, str, str, int, float]] = []
    for account in labels:
        for name in rng.choice(names, NAMES_EACH, replace=False):
            rows.append((0, account, name, int(rng.integers(10, 400)), float(market.prices.iloc[0][name])))
    for day in range(1, days):
        for account in rng.choice(labels, max(1, accounts // 20), replace=False):
            name = str(rng.choice(names))
            price = round(float(market.prices.iloc[day][name]) * float(1 + rng.integers(-20, 21) / 10_000), 4)
            rows.append((day, str(account), name, int(rng.integers(1, 200)) * int(rng.choice((-1, 1))), price))
    deposits = [(day, account, DEPOSIT // (1 if not day else 20)) for day in range(0, days, 63) for account in labels]
    return House(
        pd.DataFrame(rows, columns=["date", "account", "name", "signed", "price"]),
        pd.DataFrame(deposits, columns=["date", "account", "amount"]),
        labels,
    )


def book_of(account: str) -> str:
    """The book that an account belongs to."""
    return f"B{int(account[1:]) % BOOKS}"


class Expected:
    """What every account comes to at the close of every day: arrays of shape (days, accounts)."""

    def __init__(self, market: Market, house: House) -> None:
        days, accounts, names = len(market.prices), house.accounts, list(market.prices.columns)
        self.dates = [str(date) for date in market.prices.index]
        self.accounts = accounts
        place = {account: at for at, account in enumerate(accounts)}
        column = {name: at for at, name in enumerate(names)}
        held = np.zeros((days, len(accounts), len(names)))
        cash, fees, deposits = (np.zeros((days, len(accounts))) for _ in range(3))
        for row in house.trades.itertuples():
            held[row.date, place[row.account], column[row.name]] += row.signed
            cash[row.date, place[row.account]] -= row.signed * row.price
            fees[row.date, place[row.account]] += FEE
        for row in house.cash.itertuples():
            deposits[row.date, place[row.account]] += row.amount
        self.values = held.cumsum(axis=0) * market.prices.to_numpy()[:, None, :]
        self.total = self.values.sum(axis=2) + cash.cumsum(axis=0)
        self.nav = self.total + deposits.cumsum(axis=0) - fees.cumsum(axis=0)
        self.sectors = market.sectors[names].to_numpy()

    def members(self, node: str) -> list[int]:
        """The places of the accounts below a node."""
        if node == "ALL":
            return list(range(len(self.accounts)))
        return [at for at, account in enumerate(self.accounts) if node in (account, book_of(account))]

    def to_date(self, node: str, day: int, letters: int) -> float:
        """P&L of the month (7 letters of the date) or year (4) that runs once a day has closed: that of the day after.

        The first close begins the count.
        """
        total, current = self.total[:, self.members(node)].sum(axis=1), day_after(self.dates[day])
        same = [at for at in range(1, day + 1) if self.dates[at][:letters] == current[:letters]]
        return float(sum(total[at] - total[at - 1] for at in same))

    def by_sector(self, node: str, day: int) -> dict[str, float]:
        worth = self.values[day][self.members(node)].sum(axis=0)
        found: dict[str, float] = {}
        for sector, amount in zip(self.sectors, worth, strict=True):
            found[sector] = found.get(sector, 0.0) + float(amount)
        return found


def day_after(date: str) -> str:
    """The engine's next trading day: no Saturday, Sunday, 25 December or 1 January."""
    day = dt.date.fromisoformat(date) + dt.timedelta(days=1)
    while day.weekday() >= 5 or (day.month, day.day) in ((12, 25), (1, 1)):
        day += dt.timedelta(days=1)
    return day.isoformat()


def boundary(date: str) -> int:
    """17:00 New York of a date, microseconds."""
    return int(dt.datetime.combine(dt.date.fromisoformat(date), dt.time(17), NEW_YORK).timestamp()) * 1_000_000


class Drill:
    """One house led through its days; `failed` are the comparisons that did not hold."""

    def __init__(self, folder: Path, shared_data: Path, days: int, accounts: int) -> None:
        self.folder = folder
        self.store = f"sqlite:///{folder}/house.db"
        self.market = read_market(shared_data, days)
        self.house = make_house(self.market, accounts)
        self.expected = Expected(self.market, self.house)
        self.failed: list[str] = []
        self.clock = SteppedClock(folder)

    def run(self) -> list[str]:
        """All stretches. Returns the comparisons that did not hold."""
        self._load_reference()
        dates = self.expected.dates
        for first in range(0, len(dates), STRETCH_DAYS):
            end = min(first + STRETCH_DAYS, len(dates))
            self._load_days(first, end)
            now = dt.datetime.now(dt.UTC).timestamp()
            self.clock.set(int(boundary(dates[end - 1]) / 1_000_000 + 8 * 3_600 - now))
            words = ("serve", "--store", self.store, "--port", "0")
            with running(*words, log=self.folder / "log", environment=self.clock.environment, patience_s=START_S) as server:
                self._compare(server, end - 1)
        self.clock.close()
        return self.failed

    # -- what is loaded ----------------------------------------------------------------------------------------

    def _load(self, **files: tuple[str, list[str]]) -> None:
        words: list[list[str | Path]] = []
        for kind, (header, rows) in files.items():
            path = self.folder / f"{kind}.csv"
            path.write_text("\n".join([header, *rows]) + "\n")
            words.append(["load", kind, path, "--store", self.store])
        for done in commands(*words, timeout=900):
            assert done.returncode == 0, done.stderr

    def _load_reference(self) -> None:
        books = [f"B{number},book,ALL" for number in range(BOOKS)]
        accounts = [f"{account},account,{book_of(account)}" for account in self.house.accounts]
        sectors = [f"{name},equity,USD,{sector},XNYS" for name, sector in self.market.sectors.items()]
        self._load(
            nodes=("node,level,parent", ["ALL,total,", *books, *accounts]),
            instruments=("instrument,kind,quote_currency,sector,calendar", sectors),
        )

    def _load_days(self, first: int, end: int) -> None:
        dates, trades, cash = self.expected.dates, self.house.trades, self.house.cash
        prices = self.market.prices.iloc[first:end]
        self._load(
            closes=(
                "date,instrument,price",
                [f"{date},{name},{price}" for date, row in prices.iterrows() for name, price in row.items()],
            ),
            cash=(
                "cash_id,node,currency,ts,amount",
                [
                    f"{row.account}-{row.date},{row.account},USD,{dates[row.date]}T15:00:00Z,{row.amount}"
                    for row in cash[(cash.date >= first) & (cash.date < end)].itertuples()
                ],
            ),
            trades=(
                "trade_id,ts,instrument,desk,side,quantity,price,fees",
                [
                    f"T{row.Index},{dates[row.date]}T15:30:00Z,{row.name},{row.account},"
                    f"{'buy' if row.signed > 0 else 'sell'},{abs(row.signed)},{row.price!r},{FEE}"
                    for row in trades[(trades.date >= first) & (trades.date < end)].itertuples()
                ],
            ),
        )

    # -- what is compared --------------------------------------------------------------------------------------

    def _compare(self, server: Server, day: int) -> None:
        expected = self.expected
        rows = {row["node"]: row for row in server.get("/v1/nodes?limit=1000000")["rows"]}
        nodes = ["ALL", *(f"B{number}" for number in range(BOOKS)), *expected.accounts]
        print(f"== {expected.dates[day]}, {len(nodes)} nodes, {day + 1} days")
        for field, value in (
            ("total_pnl", lambda node: expected.total[day, expected.members(node)].sum()),
            ("nav", lambda node: expected.nav[day, expected.members(node)].sum()),
            ("month_pnl", lambda node: expected.to_date(node, day, 7)),
            ("year_pnl", lambda node: expected.to_date(node, day, 4)),
        ):
            self._check(field, {node: rows[node][field] for node in nodes}, {node: float(value(node)) for node in nodes})
        for node in ("ALL", "B1", expected.accounts[0]):
            answer = server.get(f"/v1/exposure?by=sector&node={node}")
            found = {row["sector"]: row["net"] for row in answer["rows"]}
            self._check(f"sectors of {node}", found, {k: v for k, v in expected.by_sector(node, day).items() if v or k in found})
        for node in ("ALL", expected.accounts[-1]):
            self._check_days(server, node, day)

    def _check_days(self, server: Server, node: str, day: int) -> None:
        """The P&L of every day since the first close of the last year."""
        expected, first = self.expected, max(1, day - STRETCH_DAYS + 1)
        answer = server.get(f"/v1/history?node={node}&measure=day_pnl&days=365")
        values = {row["ts"]: row["value"] for row in answer["rows"]}
        total = expected.total[:, expected.members(node)].sum(axis=1)
        known = [at for at in range(first, day + 1) if boundary(expected.dates[at]) in values]
        if len(known) < min(day, 200):
            self.failed.append(f"days of {node}: only {len(known)} of them are in the history")
        found = {expected.dates[at]: values[boundary(expected.dates[at])] for at in known}
        self._check(f"days of {node}", found, {expected.dates[at]: float(total[at] - total[at - 1]) for at in known})

    def _check(self, what: str, found: dict[str, Any], right: dict[str, float]) -> None:
        """Within a cent, and nine digits of large amounts."""
        wrong = [
            f"{what} {key}: {found.get(key)} is not {value}"
            for key, value in right.items()
            if found.get(key) is None or abs(found[key] - value) > max(0.01, 1e-9 * abs(value))
        ]
        wrong += [f"{what} {key}: not expected" for key in found.keys() - right.keys()]
        print(f"   {'FAILED' if wrong else 'ok    '} {what}: {len(right)} compared" + (f"; {wrong[0]}" if wrong else ""))
        self.failed += wrong


def run(shared_data: Path, days: int, accounts: int) -> list[str]:
    """The whole drill in a temporary folder. Returns the comparisons that did not hold."""
    with tempfile.TemporaryDirectory() as folder:
        return Drill(Path(folder), shared_data, days, accounts).run()


def main() -> int:
    """Run the drill by the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of recorded data")
    parser.add_argument("--days", type=int, default=982)
    parser.add_argument("--accounts", type=int, default=500)
    options = parser.parse_args()
    failed = run(options.data, options.days, options.accounts)
    print(f"\n{len(failed)} comparisons failed" if failed else "\nevery comparison holds")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Times of foreign files on the command line: a zone is named or the line is refused, and hours of a time change are no guess."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from riskengine.store.open_store import open_store
from riskengine.store.results import TradeFilter
from tests.cli.commands import riskengine
from tests.world import instruments, nodes

HEADER = "trade_id,ts,instrument,desk,side,quantity,price"
NEW_YORK = ("--tz", "America/New_York")
FORMAT = ("--time-format", "%Y-%m-%d %H:%M:%S")
JULY_10_UTC = 1_783_504_800_000_000
"""2026-07-08 10:00 UTC."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    found = f"sqlite:///{tmp_path}/desk.db"
    store = open_store(found)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.close()
    return found


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: str, name: str = "file.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def trade(ts: str, more: str = "") -> str:
    return f"T1,{ts},EURUSD,FX1,buy,1,1.1{more}"


def stored(url: str) -> list[tuple[int | None, str, str]]:
    store = open_store(url, read_only=True)
    try:
        return [(row.ts, row.value_date, row.trade_date) for row in store.select_trades(TradeFilter(), 10)[0]]
    finally:
        store.close()


def test_a_zone_word_of_utc_is_believed_whatever_the_zone_named(url, written):
    path = written(HEADER, trade("2026-07-08 10:00:00 UTC"))
    done = riskengine("load", "trades", path, "--store", url, *NEW_YORK, "--time-format", "%Y-%m-%d %H:%M:%S %Z")
    assert done.exit_code == 0, done.stderr
    assert stored(url) == [(JULY_10_UTC, "", "")]


@pytest.mark.parametrize(
    ("ts", "options", "said"),
    [
        ("2026-07-08 10:00:00 EDT", (*NEW_YORK, "--time-format", "%Y-%m-%d %H:%M:%S %Z"), "is not a time"),
        ("20/07/2026 15:04", ("--time-format", "%d/%m/%Y %H:%M"), "--tz"),
        ("45678.5", ("--time-format", "days"), "--tz"),
        ("2026-07-08 10:00:00", (), "--tz"),
        ("2026-03-08 02:30:00", (*NEW_YORK, *FORMAT, "--repeated-hour", "first"), "does not exist"),
        ("2026-03-08T02:30:00", NEW_YORK, "does not exist"),
        ("2026-11-01 01:30:00", (*NEW_YORK, *FORMAT), "--repeated-hour"),
        ("2026-11-01T01:30:00", NEW_YORK, "--repeated-hour"),
    ],
)
def test_a_time_that_says_no_moment_is_refused_with_the_way_out(url, written, ts, options, said):
    done = riskengine("load", "trades", written(HEADER, trade(ts)), "--store", url, *options)
    assert done.exit_code == 1
    assert said in done.stderr
    assert stored(url) == []


@pytest.mark.parametrize(("which", "hour"), [("first", 5), ("second", 6)])
def test_a_repeated_hour_is_the_one_that_is_named(url, written, which, hour):
    path = written(HEADER, trade("2025-11-02 01:30:00"))
    assert riskengine("load", "trades", path, "--store", url, *NEW_YORK, "--repeated-hour", which).exit_code == 0
    assert stored(url) == [(1_762_061_400_000_000 + (hour - 5) * 3_600_000_000, "", "")]


def test_dates_of_trades_are_read_in_the_files_own_format(url, written):
    path = written(f"{HEADER},value_date,trade_date", trade("2026-07-08T10:00:00Z", ",10/07/2026,08/07/2026"))
    refused = riskengine("load", "trades", path, "--store", url)
    assert refused.exit_code == 1
    assert "value_date" in refused.stderr
    assert riskengine("load", "trades", path, "--store", url, "--date-format", "%d/%m/%Y").exit_code == 0
    assert stored(url) == [(JULY_10_UTC, "2026-07-10", "2026-07-08")]


TICKS = ("instrument,ts,mid", "EURUSD,2026-11-01 01:30:00,10", "EURUSD,2026-11-01 01:10:00,20", "EURUSD,2026-11-01 01:40:00,30")


def replayed(url: str, *words: str | Path) -> tuple[int, float | None, int]:
    """The status, the P&L of the root, and how many lines were refused."""
    done = riskengine("replay", "--json", "--store", url, *NEW_YORK, *words)
    told = json.loads(done.stdout)
    return done.exit_code, told["nodes"][0]["total_pnl"], told["replayed"]["lines_refused"]


def test_recorded_ticks_of_a_repeated_hour_end_with_the_last_line(url, written, tmp_path):
    ticks = written(*TICKS, name="ticks.csv")
    trades = written(HEADER, f"T1,{1_793_500_000_000_000},EURUSD,FX1,buy,1,5", name="trades.csv")
    config = written("[marks]", "max_move = 0", name="config.toml")
    words = ("--config", config, "--trades", trades, ticks)
    assert replayed(url, *words, "--repeated-hour", "in-order") == (0, 25.0, 0)
    assert replayed(url, *words)[2] == 3, "without a word each of these lines is refused"

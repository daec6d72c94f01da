"""An engine of its own with a small book of options and hedges, loaded over HTTP as a desk would: for the view of risk."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from riskengine.clock import SystemClock
from riskengine.store.open_store import open_store
from tests.optioned import RATES, SPOTS, option, share_option
from tests.running import Server, running
from tests.world import INSTRUMENTS, SECOND, instruments, nodes, row

DECIMALS = {"USDJPY": 3, "ACME": 2, "ESZ6": 2}

SOON, MONTH, QUARTER, YEAR = 2, 25, 85, 300
"""Days ahead at which its options expire."""

STALE, BARE = "EURGBP C0.90", "GBPJPY C190"
"""An option with an old vol, and one without any."""

HEDGES: tuple[tuple[str, str, str], ...] = (
    ("EURUSD", "-1500000", "1.101"),
    ("USDJPY", "2000000", "149.5"),
    ("ACME", "-300", "91"),
    ("ESZ6", "4", "6900"),
)
"""Symbol, signed quantity and price; the last hedges nothing."""


def ahead(days: int) -> str:
    """A weekday so many days from now, or the next one."""
    day = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=days)
    while day.weekday() >= 5:
        day += dt.timedelta(days=1)
    return day.isoformat()


def options() -> list[dict[str, Any]]:
    """The options, as loaded."""
    return [
        option("EURUSD C1.10", "EUR", "USD", "1.1", expiry=ahead(MONTH)),
        option("EURUSD P1.08", "EUR", "USD", "1.08", expiry=ahead(MONTH), option_type="put"),
        option("EURUSD W1.101", "EUR", "USD", "1.101", expiry=ahead(SOON), cut="15:00 Asia/Tokyo"),
        option("USDJPY P148", "USD", "JPY", "148", expiry=ahead(QUARTER), option_type="put"),
        option("USDJPY C153", "USD", "JPY", "153", expiry=ahead(YEAR)),
        option(STALE, "EUR", "GBP", "0.90", expiry=ahead(QUARTER)),
        option(BARE, "GBP", "JPY", "190", expiry=ahead(MONTH)),
        share_option("ACME C95", "95", expiry=f"{ahead(MONTH)}T21:00:00Z", exercise="european"),
        share_option("ACME P88", "88", expiry=f"{ahead(MONTH)}T21:00:00Z", option_type="put", exercise="american"),
    ]


HELD = {"EURUSD C1.10": "3000000", "EURUSD P1.08": "-2000000", "EURUSD W1.101": "5000000", "USDJPY P148": "-4000000"} | {
    "USDJPY C153": "2500000", STALE: "1000000", BARE: "1000000", "ACME C95": "20", "ACME P88": "-15",
}  # fmt: skip
PREMIA = {"USDJPY P148": "1.9", "USDJPY C153": "2.1", BARE: "1.2", "ACME C95": "2.5", "ACME P88": "1.4"}


@contextmanager
def option_desk(folder: Path) -> Iterator[Server]:
    """The engine, with everything loaded."""
    url, held = f"sqlite:///{folder}/options.db", options()
    store = open_store(url)
    store.save_nodes(nodes())
    listed = [{**each, "price_decimals": DECIMALS.get(each["instrument"], 5)} for each in INSTRUMENTS]
    store.save_instruments(instruments([*listed, *held]))
    store.close()
    with running("serve", "--store", url, "--port", "0", log=folder / "log") as server:
        load(server, held)
        yield server


def load(server: Server, held: list[dict[str, Any]]) -> None:
    """Prices, rates, vols and trades."""
    now, last = SystemClock().now(), ahead(2 * YEAR)
    rated = [{"currency": currency, "date": last, "ts": now, "rate": rate} for currency, rate in RATES.items()]
    assert server.post("/v1/rates", rated)["accepted"] == len(rated)
    old = now - 6 * 24 * 3_600 * SECOND
    vols = [{"instrument": each["instrument"], "ts": old if each["instrument"] == STALE else now, "vol": 0.085} for each in held]
    assert server.post("/v1/vols", [each for each in vols if each["instrument"] != BARE])["accepted"] == len(vols) - 1
    prices = SPOTS | {"ESZ6": 6_912.25}
    ticks = [{"instrument": symbol, "ts": now, "mid": mid, "source": "feed"} for symbol, mid in prices.items()]
    assert server.post("/v1/ticks", ticks)["accepted"] == len(ticks)
    deals = [(symbol, size, PREMIA.get(symbol, "0.012")) for symbol, size in HELD.items()]
    trades = [
        row(
            f"o{number}",
            ts=now - SECOND,
            instrument=symbol,
            desk="EQ1" if symbol[:2] in ("AC", "ES") else "FX1",
            side="sell" if size.startswith("-") else "buy",
            quantity=size.lstrip("-"),
            price=price,
        )
        for number, (symbol, size, price) in enumerate([*deals, *HEDGES])
    ]
    counts = server.post("/v1/trades", trades)["counts"]
    assert counts["applied"] == len(trades), counts

"""A drill: options are carried through their cut, exercised, booked and reconciled, with the engine killed in the middle.

    python replay/option_drill.py            # half a minute

Runs a real `riskengine serve` with a call and a put on EURUSD (long and short, at two desks), one settled in cash, one that
lapses, and a call on a share, all of them with a cut some seconds ahead. What they must come to is worked out here, in exact
decimals. Prints the figures; exit status 0 if every one of them is right.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.running import Server, command, start

NODES = "node,level,parent\nALL,total,\nFX1,desk,ALL\nFX2,desk,ALL\nEQ1,desk,ALL\n"
SPOTS = (
    "instrument,kind,base_currency,quote_currency,price_decimals,quantity_decimals,calendar\n"
    "EURUSD,fx,EUR,USD,5,2,always\nACME,equity,,USD,2,0,always\n"
)
EVERY_S = 0.3
"""Time between two quotes of the market."""

CENT = Decimal("0.01")


class Option(NamedTuple):
    """An option of the drill. `unit`: cash of one unit at a price of 1; `lot`: units of the underlying."""

    name: str
    underlying: str
    sign: int
    strike: Decimal
    style: str = "quote"
    settlement: str = "physical"
    unit: Decimal = Decimal(1)
    lot: Decimal = Decimal(1)

    def row(self, expiry: str) -> str:
        """Its line of a file of instruments."""
        kind = "fx_option" if self.underlying == "EURUSD" else "equity_option"
        base = "EUR" if self.underlying == "EURUSD" else ""
        word = "call" if self.sign > 0 else "put"
        head = f"{self.name},{kind},{base},USD,{self.underlying},{word},{self.strike},{expiry}"
        return f"{head},{self.lot},{self.style},{self.settlement}"


CALL = Option("EURUSD C", "EURUSD", 1, Decimal("1.1"))
PUT = Option("EURUSD P", "EURUSD", -1, Decimal("1.13"), "pips", unit=Decimal("0.0001"))
CASH = Option("EURUSD CASH", "EURUSD", 1, Decimal("1.105"), settlement="cash")
LAPSED = Option("EURUSD C1.2", "EURUSD", 1, Decimal("1.2"))
SHARE = Option("ACME C", "ACME", 1, Decimal(90), lot=Decimal(100), unit=Decimal(100))
OPTIONS = (CALL, PUT, CASH, LAPSED, SHARE)


class Deal(NamedTuple):
    """A position of the drill: signed units of an option at the price that was paid."""

    option: Option
    desk: str
    dealer: str
    quantity: Decimal
    price: Decimal


DEALS = (
    Deal(CALL, "FX1", "ann", Decimal(10_000_000), Decimal("0.0123")),
    Deal(CALL, "FX1", "bob", Decimal(-4_000_000), Decimal("0.0131")),
    Deal(CALL, "FX2", "bob", Decimal(-1_000_000), Decimal("0.0140")),
    Deal(PUT, "FX2", "ann", Decimal(5_000_000), Decimal("98.5")),
    Deal(CASH, "FX1", "bob", Decimal(2_000_000), Decimal("0.011")),
    Deal(LAPSED, "FX2", "bob", Decimal(3_000_000), Decimal("0.0002")),
    Deal(SHARE, "EQ1", "cy", Decimal(7), Decimal("2.5")),
)

AT_CUT = {"EURUSD": Decimal("1.12"), "ACME": Decimal("93.25")}
LATER = {"EURUSD": Decimal("1.1177"), "ACME": Decimal("91.5")}


def payoff(option: Option, spots: dict[str, Decimal]) -> Decimal:
    """What one unit of an option is worth after its cut, at these spots."""
    at_cut = option.sign * (AT_CUT[option.underlying] - option.strike)
    if at_cut <= 0:
        return Decimal(0)
    worth = at_cut if option.settlement == "cash" else option.sign * (spots[option.underlying] - option.strike)
    return worth * option.lot


def total(desk: str, spots: dict[str, Decimal]) -> Decimal:
    """The P&L of a desk after the cut, booked or not: what it paid and what it holds."""
    mine = [deal for deal in DEALS if desk in ("ALL", deal.desk)]
    return sum((deal.quantity * (payoff(deal.option, spots) - deal.price * deal.option.unit) for deal in mine), start=Decimal(0))


def delivered(desk: str, underlying: str) -> Decimal:
    """How much of an underlying the exercises leave at a desk."""
    exercised = (
        deal
        for deal in DEALS
        if deal.desk == desk
        and deal.option.underlying == underlying
        and deal.option.settlement == "physical"
        and payoff(deal.option, AT_CUT)
    )
    return sum((deal.option.sign * deal.quantity * deal.option.lot for deal in exercised), start=Decimal(0))


class Market:
    """Sends quotes to whichever server runs, from a thread of its own."""

    def __init__(self) -> None:
        self.server: Server | None = None
        self.spots = AT_CUT
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(EVERY_S):
            if self.server is not None:
                with suppress(OSError, AssertionError, ValueError):
                    self.send(self.server)

    def send(self, server: Server) -> None:
        """One quote of everything."""
        now = time.time_ns() // 1_000
        server.post("/v1/ticks", [{"instrument": name, "ts": now, "mid": str(price)} for name, price in self.spots.items()])

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join(10)


class Drill:
    """One run in a folder: its server, its market, and the checks that failed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.store = f"sqlite:///{folder}/options.db"
        self.failed: list[str] = []
        self.market = Market()
        self.seeded = random.Random(seed)
        self.server = self._start()

    def _start(self) -> Server:
        if not (self.folder / "options.db").exists():
            for kind, text in (("nodes", NODES), ("instruments", SPOTS)):
                self.load(kind, text)
        server = start("serve", "--port", "0", "--store", self.store, log=self.folder / "log")
        self.market.server = server
        return server

    def load(self, kind: str, text: str) -> None:
        """Load rows with the command, as a person does, beside the engine where one runs."""
        path = self.folder / f"{kind}.csv"
        path.write_text(text)
        done = command("load", kind, path, "--store", self.store)
        assert done.returncode == 0, done.stderr

    def check(self, holds: bool, text: str) -> None:
        print(f"   {'ok    ' if holds else 'FAILED'} {text}", flush=True)
        if not holds:
            self.failed.append(text)

    def compare(self, told: object, expected: Decimal, text: str) -> None:
        """Check a figure to the cent."""
        got = None if told is None else Decimal(str(told)).quantize(CENT)
        self.check(got == expected.quantize(CENT), f"{text}: {got} (expected {expected.quantize(CENT)})")

    def kill(self) -> None:
        """`kill -9`, and a new start."""
        self.market.server = None
        self.server.kill()
        self._close()
        self.server = self._start()

    def _close(self) -> None:
        assert self.server.process.stdout is not None
        self.server.process.stdout.close()

    def end(self) -> None:
        """Stop the market and the server."""
        self.market.stop()
        if self.server.process.poll() is None:
            self.server.stop()
        self._close()

    def wait(self, holds: Any, text: str, patience_s: float = 20.0) -> None:
        deadline = time.monotonic() + patience_s
        while not holds() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.check(bool(holds()), text)

    def expired(self) -> dict[str, dict[str, Any]]:
        rows = self.server.get("/v1/exceptions?kind=expired")["rows"]
        return {row["instrument"]: row for row in rows}

    def node(self, name: str) -> dict[str, Any]:
        return next(row for row in self.server.get("/v1/nodes")["rows"] if row["node"] == name)

    def booked(self, option: Option) -> list[dict[str, Any]]:
        """The stored trades that book an option, its own leg of each deal."""
        rows = self.server.get(f"/v1/trades?instrument={quote(option.name)}&limit=1000")["rows"]
        return [row for row in rows if row["source"] == "exercise"]

    def decide(self, option: Option, *, status: int = 200) -> Any:
        return self.server.post(f"/v1/exceptions/{quote('expired:' + option.name, safe='')}", {"action": "accept"}, status=status)


def deal_all(drill: Drill, lead_s: float) -> float:
    """Load the options beside the engine, deal in them; returns the moment of the cut, seconds since the epoch."""
    cut = int(time.time() + lead_s)
    expiry = datetime.fromtimestamp(cut, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    head = "instrument,kind,base_currency,quote_currency,underlying,option_type,strike,expiry,multiplier,premium_style,settlement"
    drill.load("instruments", "\n".join((head, *(option.row(expiry) for option in OPTIONS))) + "\n")
    known = {option.name for option in OPTIONS}
    drill.wait(lambda: known <= {row["instrument"] for row in drill.server.get("/v1/marks")["rows"]}, "the options are known")
    now = time.time_ns() // 1_000
    rates = [{"currency": code, "date": "2099-12-31", "ts": now, "rate": rate} for code, rate in (("USD", 0.04), ("EUR", 0.02))]
    assert drill.server.post("/v1/rates", rates)["accepted"] == len(rates)
    vols = [{"instrument": option.name, "ts": now, "vol": 0.1} for option in OPTIONS]
    assert drill.server.post("/v1/vols", vols)["accepted"] == len(vols)
    trades = [
        {
            "trade_id": f"D{number}",
            "ts": now,
            "instrument": deal.option.name,
            "desk": deal.desk,
            "dealer": deal.dealer,
            "side": "buy" if deal.quantity > 0 else "sell",
            "quantity": str(abs(deal.quantity)),
            "price": str(deal.price),
        }
        for number, deal in enumerate(DEALS)
    ]
    answered = drill.server.post("/v1/trades", trades)
    drill.check(answered["counts"].get("applied") == len(DEALS), f"{len(DEALS)} trades in {len(OPTIONS)} options")
    return cut


def through_the_cut(drill: Drill, cut: float) -> None:
    """Wait for the cut, and look at what the options are worth after it, before and after a kill."""
    print("\n== The cut")
    drill.check(time.time() < cut and not drill.expired(), "before it nothing is listed as expired")
    drill.wait(
        lambda: len(drill.expired()) == len(OPTIONS), "at the cut every option is listed", patience_s=cut - time.time() + 20
    )
    listed = drill.expired()
    for option in OPTIONS:
        detail = listed.get(option.name, {"detail": {}})["detail"]
        wanted = "settle" if option is CASH else "abandon" if option is LAPSED else "exercise"
        drill.check(
            (detail.get("suggested"), detail.get("spot_at_cut")) == (wanted, float(AT_CUT[option.underlying])),
            f"{option.name}: {detail.get('suggested')}, spot at the cut {detail.get('spot_at_cut')}",
        )
    drill.market.spots = LATER
    print("\n== The spot moves on; the engine is killed and starts again")
    for text in ("after the cut", "after kill -9 and a start"):
        drill.wait(lambda: abs(drill.node("ALL")["total_pnl"] - float(total("ALL", LATER))) < 0.005, f"P&L {text} settles")
        for desk in ("ALL", "FX1", "FX2", "EQ1"):
            drill.compare(drill.node(desk)["total_pnl"], total(desk, LATER), f"P&L of {desk} {text}")
        if text == "after the cut":
            drill.kill()
    drill.check(len(drill.expired()) == len(OPTIONS), "and every option is listed still, by the stored spot of the cut")


def book_under_kills(drill: Drill, options: Sequence[Option]) -> None:
    """Accept what is suggested, and kill the engine while it books: all of an option's deals are there, or none."""
    for option in options:
        print(f"\n== {option.name} is booked while the engine is killed")
        holders = sum(deal.option is option for deal in DEALS)
        server = drill.server

        def send(server: Server = server, option: Option = option) -> None:
            with suppress(Exception):
                server.post(f"/v1/exceptions/{quote('expired:' + option.name, safe='')}", {"action": "accept"})

        sender = threading.Thread(target=send)
        sender.start()
        time.sleep(drill.seeded.uniform(0.0, 0.05))
        drill.kill()
        sender.join(30)
        there = len(drill.booked(option))
        drill.check(there in (0, holders), f"{there} of its {holders} deals are there: all or none")
        drill.wait(lambda: drill.node("ALL")["total_pnl"] is not None, "the engine has its prices again")
        drill.decide(option)
        drill.check(len(drill.booked(option)) == holders, f"accepted again, it has its {holders} deals once")


def book_the_rest(drill: Drill, options: Sequence[Option]) -> None:
    """Accept the others, each twice."""
    print("\n== The others are booked, each decision sent twice")
    for option in options:
        done = command("decide", f"expired:{option.name}", "accept", "--comment", "drill", "--engine", drill.server.url)
        drill.check(done.returncode == 0, f"$ riskengine decide 'expired:{option.name}' accept")
        first = drill.booked(option)
        drill.decide(option)
        drill.check(drill.booked(option) == first and bool(first), f"{option.name}: {len(first)} deals, the second says the same")


def settle(drill: Drill) -> None:
    """What is left: nothing expired, the right spot positions, the same P&L, nothing to reconcile."""
    print("\n== Booked")
    drill.check(not drill.expired(), "nothing is listed as expired")
    drill.wait(lambda: abs(drill.node("ALL")["total_pnl"] - float(total("ALL", LATER))) < 0.005, "P&L settles")
    for desk in ("ALL", "FX1", "FX2", "EQ1"):
        drill.compare(drill.node(desk)["total_pnl"], total(desk, LATER), f"P&L of {desk}, as before it was booked")
    for desk, underlying in (("FX1", "EURUSD"), ("FX2", "EURUSD"), ("EQ1", "ACME")):
        rows = drill.server.get(f"/v1/positions?node={desk}&instrument={underlying}&exact=true")["rows"]
        drill.compare(rows[0]["quantity"] if rows else 0, delivered(desk, underlying), f"{underlying} of {desk}")
    status = drill.server.get("/v1/status")
    drill.check(status["counts"]["late"] == 0, "no exercise counts as a late trade")
    reconciled = command("reconcile", "--engine", drill.server.url, "--store", drill.store, "--json")
    drill.check(reconciled.returncode == 0 and json.loads(reconciled.stdout)["clean"], "reconcile finds nothing")
    digest = drill.server.get("/v1/digest")["digest"]
    rebuilt = json.loads(command("rebuild", "--store", drill.store, "--json").stdout)["digest"]
    drill.check(digest == rebuilt, f"digest {digest[:16]}... equals that of `riskengine rebuild`")
    drill.check(command("audit", "verify", "--store", drill.store).returncode == 0, "the audit trail verifies")


def run(seed: int = 1, lead_s: float = 15.0) -> list[str]:
    """Run the drill; returns the checks that failed."""
    with tempfile.TemporaryDirectory(prefix="riskengine-drill-") as name:
        drill = Drill(Path(name), seed)
        try:
            through_the_cut(drill, deal_all(drill, lead_s))
            book_under_kills(drill, (CALL, PUT))
            book_the_rest(drill, (CASH, LAPSED, SHARE))
            settle(drill)
        finally:
            drill.end()
        return drill.failed


def main() -> int:
    """Run the drill; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="decides when the engine is killed")
    parser.add_argument("--lead", type=float, default=15.0, help="seconds from loading the options to their cut")
    options = parser.parse_args()
    failed = run(options.seed, options.lead)
    print(f"\n{'all checks passed' if not failed else f'{len(failed)} checks FAILED'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

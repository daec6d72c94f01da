"""Prices in pence, cents and agorot: a source or a row says its unit, an instrument may be in it; every door converts once."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import fails, riskengine
from tests.running import Server, running
from tests.waiting import wait_until

NODES = "node,level,parent\nALL,total,\nEQ1,desk,ALL\nEQ2,desk,ALL\n"
INSTRUMENTS = """instrument,kind,base_currency,quote_currency
GBPUSD,fx,GBP,USD
VOD,equity,,GBP
BP,equity,,GBp
"""
CONFIG = """[marks]
max_move = 0
[price_units.lse]
GBP = "GBX"
"""
TS = 1_772_618_400_000_000
TRADES = f"""source,trade_id,ts,instrument,desk,side,quantity,price,currency,fees,fees_currency
lse,1,{TS},VOD,EQ1,buy,1000,71.25,,50,GBX
desk,2,{TS},VOD,EQ1,buy,1000,0.7125,,,
desk,3,{TS},VOD,EQ1,buy,1000,71.25,GBX,50,
desk,4,{TS},BP,EQ2,buy,1000,450.5,,50,
desk,5,{TS},BP,EQ2,buy,1000,4.505,GBP,0.5,
"""


class Desk:
    """A store, a configuration with a source in pence, and an engine on them."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server

    def load(self, kind: str, text: str, *words: str | Path) -> dict[str, int]:
        done = load(self.folder, kind, text, *words)
        return dict(json.loads(done))

    def pnl(self, node: str) -> float | None:
        rows = self.server.get("/v1/nodes")["rows"]
        found: float | None = next(row["total_pnl"] for row in rows if row["node"] == node)
        return found


def load(folder: Path, kind: str, text: str, *words: str | Path) -> str:
    path = folder / f"{kind}.csv"
    path.write_text(text)
    words = ("--store", f"sqlite:///{folder}/desk.db", "--config", folder / "config.toml", *words)
    done = riskengine("load", kind, path, "--json", *words)
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("pence")
    (folder / "config.toml").write_text(CONFIG)
    for kind, text in (("nodes", NODES), ("instruments", INSTRUMENTS), ("trades", TRADES)):
        load(folder, kind, text)
    words = ("--port", "0", "--store", f"sqlite:///{folder}/desk.db", "--config", folder / "config.toml")
    with running("serve", *words, log=folder / "log") as server:
        server.post("/v1/ticks", [{"instrument": "GBPUSD", "ts": TS, "mid": 1.25}])
        yield Desk(folder, server)


def test_trades_are_kept_in_the_cash_currency_whatever_unit_they_came_in(desk: Desk) -> None:
    rows = desk.server.get("/v1/trades?exact=true")["rows"]
    kept = {row["trade_id"]: (row["price"], row["fees"], row["fees_currency"]) for row in rows}
    assert kept == {
        "1": ("0.7125", "50", "GBX"),
        "2": ("0.7125", "0", "GBP"),
        "3": ("0.7125", "50", "GBX"),
        "4": ("450.5", "50", "GBX"),
        "5": ("450.5", "0.5", "GBP"),
    }
    assert desk.server.get("/v1/digest")["digest"]


def test_ticks_in_pence_value_in_pounds_and_those_of_an_instrument_in_pence_in_dollars(desk: Desk) -> None:
    ticks = [
        {"instrument": "VOD", "ts": TS, "mid": 81.25, "source": "lse"},
        {"instrument": "BP", "ts": TS, "bid": 460, "ask": 461, "source": "lse"},
    ]
    assert desk.server.post("/v1/ticks", ticks)["accepted"] == 2
    wait_until(lambda: desk.pnl("ALL") is not None and desk.pnl("EQ2") == pytest.approx(2_000 * 0.10 * 1.25))
    assert desk.pnl("EQ1") == pytest.approx(3_000 * 0.10 * 1.25)
    [row] = desk.server.get("/v1/ladder?node=EQ2")["rows"]
    assert (row["currency"], row["mark"], row["fees"]) == ("GBX", 460.5, pytest.approx(1.25))
    receipt = desk.server.get("/v1/receipt?node=EQ2&instrument=BP")
    assert (receipt["rate"]["value"], receipt["rate"]["hundredths_of"]) == ("0.0125", "GBP")


def test_posted_trades_are_converted_too_and_what_was_read_is_not(desk: Desk) -> None:
    [first] = [row for row in desk.server.get("/v1/trades?exact=true")["rows"] if row["trade_id"] == "1"]
    assert desk.server.post("/v1/trades", first)["results"][0]["status"] == "duplicate"
    sent = {key: first[key] for key in ("source", "trade_id", "ts", "instrument", "desk", "side", "quantity")}
    again = sent | {"price": "71.25", "fees": "50", "fees_currency": "GBX"}
    assert desk.server.post("/v1/trades", again)["results"][0]["status"] == "duplicate"
    trades = desk.server.get("/v1/trades?format=csv&exact=true&limit=1000", raw=True).decode()
    assert desk.load("trades", trades)["duplicate"] == 5


def test_marks_and_closes_are_converted_and_the_engines_own_marks_are_not(desk: Desk) -> None:
    assert desk.load("marks", f"instrument,ts,price,source\nVOD,{TS + 1},91.25,lse\n")["refused"] == 0
    wait_until(lambda: desk.pnl("EQ1") == pytest.approx(3_000 * 0.20 * 1.25))
    written = desk.server.get("/v1/marks?format=csv", raw=True).decode()
    assert "VOD,0.9125," in written
    desk.load("marks", written)
    again = desk.load("marks", written)
    assert (again["lines"], again["duplicate"]) == (3, 3)
    assert desk.pnl("EQ1") == pytest.approx(3_000 * 0.20 * 1.25)
    assert desk.load("closes", "date,instrument,price,source\n2026-03-03,VOD,70,lse\n")["inserted"] == 1
    assert desk.load("closes", "date,instrument,price,currency\n2026-03-03,VOD,70,GBp\n")["duplicate"] == 1
    assert desk.load("closes", "date,instrument,price\n2026-03-03,VOD,0.7\n")["duplicate"] == 1


def test_a_replay_converts_too(desk: Desk) -> None:
    ticks = desk.folder / "ticks.csv"
    ticks.write_text(f"instrument,ts,mid,source\nGBPUSD,{TS},1.25,\nVOD,{TS},81.25,lse\nBP,{TS},460.5,lse\n")
    trades = desk.folder / "replayed.csv"
    trades.write_text(TRADES)
    words = ("--store", f"sqlite:///{desk.folder}/desk.db", "--config", desk.folder / "config.toml", "--trades", trades)
    done = riskengine("replay", "--json", *words, ticks)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["nodes"][0]["total_pnl"] == pytest.approx(5_000 * 0.10 * 1.25)


def test_a_unit_that_is_none_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[price_units.lse]\nGBP = "pence"\n')
    fails(riskengine("check-config", config), "price_units.lse.GBP", "'pence' is no unit of it", "GBX of GBP")


def test_the_effective_configuration_shows_the_units(desk: Desk) -> None:
    done = riskengine("check-config", desk.folder / "config.toml")
    assert '[price_units.lse]\nGBP = "GBX"' in done.stdout

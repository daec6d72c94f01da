"""`riskengine load calendars`, and value dates that are judged by what was loaded: from the command line alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import riskengine

HEADER = "calendar,date,kind,open,close,zone,comment\n"
TRADES = "trade_id,ts,instrument,desk,side,quantity,price,trade_date,value_date\n"


class Desk:
    """A store of one desk, and files in its folder."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self.url = url

    def load(self, kind: str, text: str, *words: str) -> tuple[dict[str, Any], str]:
        path = self._folder / f"{kind}.csv"
        path.write_text(text)
        done = riskengine("load", kind, path, "--store", self.url, "--json", *words)
        counts: dict[str, Any] = json.loads(done.stdout)
        return counts, done.stderr

    def deal(self, name: str, value_date: str) -> str:
        """What became of a trade on EURUSD of 2026-03-04."""
        row = f"{name},2026-03-04T12:00:00Z,EURUSD,FX1,buy,5,1.1,2026-03-04,{value_date}\n"
        counts, _ = self.load("trades", TRADES + row)
        return "quarantined" if counts["quarantined"] else "counts" if counts["inserted"] else "?"

    def counted(self) -> int:
        done = riskengine("rebuild", "--store", self.url, "--json")
        assert done.exit_code == 0, done.stderr
        return int(json.loads(done.stdout)["counts"]["applied"])


@pytest.fixture
def desk(tmp_path: Path, store_url: str) -> Desk:
    made = Desk(tmp_path, store_url)
    made.load("nodes", "node,parent\nALL,\nFX1,ALL\n")
    made.load("instruments", "instrument,kind,base_currency,quote_currency\nEURUSD,fx,EUR,USD\n")
    return made


def test_a_load_is_idempotent_and_says_what_it_replaces(desk: Desk) -> None:
    lines = "EUR,2026-07-14,holiday,,,,\nXNYS,2026-07-02,early_close,,13:00,,\nXSTO,,session,09:00,17:30,Europe/Stockholm,\n"
    counts, said = desk.load("calendars", HEADER + lines)
    assert (counts["inserted"], counts["refused"], said) == (3, 0, "")
    assert desk.load("calendars", HEADER + lines)[0]["duplicate"] == 3
    counts, said = desk.load("calendars", f"{HEADER}EUR,2026-07-14,business,,,,\nEUR,2026-07-15,someday,,,,\n")
    assert (counts["updated"], counts["refused"]) == (1, 1)
    assert "EUR 2026-07-14: kind holiday -> business" in said
    assert "kind: must be one of holiday, business, early_close, session: 'someday'" in said


def test_calendars_that_nothing_here_uses_are_named(desk: Desk) -> None:
    lines = "usd,2026-07-14,holiday,,,,\nXNYZ,2026-07-02,holiday,,,,\nUSD,2026-07-14,holiday,,,,\nENGINE,2026-12-31,holiday,,,,\n"
    counts, said = desk.load("calendars", HEADER + lines)
    assert counts["inserted"] == 4
    assert said.strip() == ("riskengine: no instrument or currency here uses these calendars, so they change nothing: XNYZ, usd")


def test_a_loaded_calendar_judges_later_trades_and_says_what_it_does_not_change(desk: Desk) -> None:
    assert [desk.deal("a", "2026-03-06"), desk.deal("b", "2026-03-09")] == ["counts", "counts"]
    text = f"{HEADER}EUR,2026-03-06,holiday,,,,\n"
    _, told = desk.load("calendars", text, "--dry-run")
    assert "1 spot dates that have judged trades are others by the calendars of today: EURUSD of 2026-03-04 to 2026-03-09" in told
    assert [desk.deal("c", "2026-03-06"), desk.deal("d", "2026-03-09")] == ["counts", "counts"], "that was a dry run"
    _, told = desk.load("calendars", text)
    assert "earlier ones keep their verdict" in told
    assert [desk.deal("e", "2026-03-06"), desk.deal("f", "2026-03-09")] == ["quarantined", "counts"]
    assert desk.counted() == 5
    assert desk.load("calendars", text)[1] == "", "told once"

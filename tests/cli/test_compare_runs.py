"""The gate before a release: a recorded day through two versions, every cell that differs, and what cannot be compared."""

import asyncio
import csv
import json
import os
import shutil
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from riskengine.cli.compare_runs import LISTS, NOT_COMPARED, compare_versions, quiet_settings
from riskengine.cli.version_run import ProgramVersion
from riskengine.config import Config, EngineConfig, JournalConfig, StoreConfig, load_config
from riskengine.errors import ComparisonFailed
from riskengine.process.process import EngineProcess
from riskengine.store.open_store import open_store
from tests.cli.commands import fails, riskengine
from tests.live_process import run_live, sent
from tests.running import command
from tests.world import quote

ROOT = Path(__file__).resolve().parent.parent.parent
LONG = "20 s: two versions start on a store: set RISKENGINE_DRILLS=1"
drill = pytest.mark.skipif(os.environ.get("RISKENGINE_DRILLS") != "1", reason=LONG)


class Answers:
    """A version that answers from a table: a row for each list, of which `cells` replaces cells, and `more` stands beside."""

    def __init__(self, place: str, cells: Mapping[tuple[str, str], Any] | None = None, **more: Any) -> None:
        self.version = place
        self._cells = cells or {}
        self._more = more

    def ask(self, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        [asked] = [each for each in LISTS if (each.path, each.query) == (path, {k: v for k, v in query.items() if k != "as_of"})]
        row = dict.fromkeys(asked.key, "A") | {"total_pnl": 1.5, "trade_count": 2}
        for (name, field), value in self._cells.items():
            if name == asked.name:
                row[field] = value
        moment = {"asked": query["as_of"], "exact_at": query["as_of"], "unknown": []}
        return {"epoch": 1, "seq": 7, "moment": moment, "rows": [row]} | self._more


def compared(old: Answers, new: Answers, times: tuple[int, ...] = (10,)) -> Any:
    return compare_versions(old, new, times)  # type: ignore[arg-type]


def test_equal_answers_are_equal_and_every_cell_is_counted() -> None:
    report = compared(Answers("old"), Answers("new"), (10, 20))
    assert report.is_equal
    assert report.moments == [10, 20]
    assert report.cells == 2 * sum(len(each.key) + 2 for each in LISTS)


def test_every_cell_that_differs_is_named_to_the_last_digit() -> None:
    changed = {("ladder", "total_pnl"): 1.5000000000000002, ("risk", "trade_count"): None}
    report = compared(Answers("old"), Answers("new", changed))
    assert not report.is_equal
    assert [(cell.list_name, cell.found.field, cell.found.before, cell.found.after) for cell in report.found] == [
        ("ladder", "total_pnl", 1.5, 1.5000000000000002),
        ("risk", "trade_count", 2, None),
    ]


def test_a_field_that_is_new_is_told_and_no_difference_one_that_is_gone_is() -> None:
    more = Answers("more", {("nodes", "nav"): 3.0})
    report = compared(Answers("old"), more)
    assert (report.is_equal, report.only_new, report.only_old) == (True, [("nodes", "nav")], [])
    report = compared(more, Answers("new"))
    assert (report.is_equal, report.only_new, report.only_old) == (False, [], [("nodes", "nav")])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"seq": 8}, "answer of instants"),
        ({"rows": [{"node": "A"}, {"node": "A"}]}, "no key"),
    ],
)
def test_answers_of_other_instants_or_without_keys_are_not_compared(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ComparisonFailed, match=said):
        compared(Answers("old"), Answers("new", **more))


def test_where_nothing_is_recorded_nothing_is_compared() -> None:
    unrecorded: dict[str, Any] = {"moment": {"exact_at": None, "unknown": ["no instant was recorded"]}}
    with pytest.raises(ComparisonFailed, match="no instant was recorded"):
        compared(Answers("old", **unrecorded), Answers("new", **unrecorded))


def test_the_settings_that_decide_numbers_are_kept_and_no_journal_is_written(tmp_path: Path) -> None:
    given = tmp_path / "given.toml"
    given.write_text(
        '[engine]\nreporting_currency = "EUR"\n[marks]\nmax_move = 0.3\n[marks.more]\n[price_units.LP1]\nGBP = "GBX"\n'
        '[server]\nport = 1\n[access]\ntokens_file = "tokens"\n[journal]\nkeep_days = 1.0\n'.replace("[marks.more]\n", "")
    )
    told = tomllib.loads(quiet_settings(str(given), tmp_path).read_text())
    assert told == {
        "engine": {"reporting_currency": "EUR"},
        "marks": {"max_move": 0.3},
        "price_units": {"LP1": {"GBP": "GBX"}},
        "journal": {"every_s": 0},
    }
    assert load_config(quiet_settings(None, tmp_path)).journal.every_s == 0


def test_a_version_is_an_interpreter_an_environment_or_a_checkout(tmp_path: Path) -> None:
    assert ProgramVersion(sys.executable).command("x")[0] == sys.executable
    assert ProgramVersion(str(ROOT)).environment["PYTHONPATH"] == str(ROOT)
    environment = tmp_path / "venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").touch()
    assert ProgramVersion(str(environment)).command("x")[0] == str(environment / "bin" / "python")
    for wrong in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ComparisonFailed, match="is no version"):
            ProgramVersion(str(wrong))


def test_what_cannot_be_compared_is_one_line_and_status_2(house_url: str, tmp_path: Path) -> None:
    def refused(*words: str, old: str = str(ROOT)) -> str:
        return fails(riskengine("compare-runs", old, str(ROOT), *words), status=NOT_COMPARED)

    assert "no instant is recorded" in refused("--store", house_url)
    assert "is no version" in refused("--store", house_url, old=str(tmp_path))
    assert "--old-store and --new-store go together" in refused("--old-store", house_url)
    assert "one store" in refused("--old-store", house_url, "--new-store", house_url)
    assert "two databases" in refused("--store", "postgresql://localhost/x")
    assert "nothing.db" in refused("--store", f"sqlite:///{tmp_path}/nothing.db")
    assert "settings" in refused("--store", house_url, "--config", str(tmp_path / "settings"))


def recorded_day(url: str) -> None:
    """Trades and prices of an engine that notes an instant after each."""

    async def day(process: EngineProcess) -> None:
        assert process.live is not None
        for number in range(5):
            process.offer_ticks([quote("EURUSD", 1.1 + number / 1_000, 1.1001 + number / 1_000, process.clock.now())])
            await asyncio.sleep(0.1)
            await process.submit([sent(f"t{number}", process, price="1.09")])
            await process.live.journal.record()

    journal = JournalConfig(every_s=3_600.0)
    run_live(Config(engine=EngineConfig(beat_ms=20), store=StoreConfig(url), journal=journal), day)


def test_instants_are_chosen_evenly_over_the_recording(house_url: str) -> None:
    from riskengine.cli.compare_runs import _instants

    recorded_day(house_url)
    store = open_store(house_url, create=False, read_only=True)
    times = store.instant_times(0, 2**53)
    store.close()
    assert len(times) >= 5
    assert _instants(house_url, None, None, 100) == times
    assert _instants(house_url, None, None, 3) == [times[0], times[(len(times) - 1) // 2], times[-1]]
    assert _instants(house_url, times[1], times[2], 1) == [times[2]]
    with pytest.raises(ComparisonFailed, match="no instant"):
        _instants(house_url, 1, 2, 3)


@drill
def test_a_planted_error_is_found_in_the_cells_that_it_touches_and_in_no_other(house_url: str, tmp_path: Path) -> None:
    recorded_day(house_url)
    same = command("compare-runs", ROOT, sys.executable, "--store", house_url, "--moments", "2")
    assert (same.returncode, same.stdout.strip().endswith("no difference")) == (0, True), same.stderr
    planted = tmp_path / "planted"
    shutil.copytree(ROOT / "riskengine", planted / "riskengine")
    file = planted / "riskengine" / "snapshot" / "rows.py"
    text = file.read_text()
    right = '"fees": numbers[FEES] + 0.0'
    assert right in text
    file.write_text(text.replace(right, '"fees": numbers[FEES] + 0.01'))
    cells = tmp_path / "cells.csv"
    done = command("compare-runs", ROOT, planted, "--store", house_url, "--moments", "2", "--differences", cells, "--json")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    touched = {("nodes", "fees"), ("nodes", "net_day_pnl"), ("nodes", "nav"), ("dealers", "fees"), ("dealers", "net_day_pnl")}
    assert {(each["list"], each["field"]) for each in told["differences"]} == touched
    assert {round(abs(each["change"]), 9) for each in told["differences"]} == {0.01}
    with cells.open() as opened:
        assert len(list(csv.DictReader(opened))) == len(told["differences"]) > 0

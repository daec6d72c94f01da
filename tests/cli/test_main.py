"""The commands as a user types them: one clear line for a mistake, the result alone on stdout, the right exit status."""

import gzip
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from riskengine import __version__
from riskengine.cli.main import main
from riskengine.cli.state_text import money
from riskengine.config import Config, load_config
from riskengine.store.open_store import open_store
from tests.cli.commands import fails, riskengine
from tests.running import command
from tests.world import NOON, SECOND

TRADES = "trade_id,ts,instrument,desk,side,quantity,price\n"
TICKS = "instrument,ts,bid,ask\n"
NODES = "node,level,parent\nALL,total,\nFX1,desk,ALL\nFX2,desk,ALL\n"
INSTRUMENTS = "instrument,kind,base_currency,quote_currency\nEURUSD,fx,EUR,USD\nGBPUSD,fx,GBP,USD\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nodes.csv").write_text(NODES)
    (tmp_path / "instruments.csv").write_text(INSTRUMENTS)
    return tmp_path


@pytest.fixture
def store(folder: Path) -> str:
    url = f"sqlite:///{folder}/engine.db"
    for kind in ("nodes", "instruments"):
        assert riskengine("load", kind, folder / f"{kind}.csv", "--store", url).exit_code == 0
    return url


def trades(*ids: str, ts: int = NOON, price: str = "1.1", desk: str = "FX1") -> str:
    return "".join(f"{name},{ts},EURUSD,{desk},buy,100,{price}\n" for name in ids)


# -- help and usage ------------------------------------------------------------------------------------------------


def test_version_and_help_everywhere() -> None:
    assert riskengine("--version").stdout == f"riskengine, version {__version__}\n"
    for words in ([], *([name] for name in main.list_commands(click.Context(main)))):
        done = riskengine(*words, "--help")
        assert done.exit_code == 0 and done.stdout.startswith("Usage: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["load", "biscuits", "x.csv"], "'biscuits' is not one of 'nodes'"),
        (["load", "trades"], "Missing argument 'FILE...'"),
        (["load"], "Choose from: nodes, instruments, calendars"),
        (["lode"], "No such command 'lode'"),
        (["rebuild", "--jason"], "No such option"),
        (["replay"], "give --ticks, --trades or both"),
        (["replay", "--ticks", "x", "--speed", "fast"], "'fast' is neither a number above 0 nor max"),
        (["replay", "--ticks", "x", "--speed", "nan"], "'nan' is neither"),
        (["replay", "--ticks", "x", "--speed", "-1"], "'-1' is neither"),
        (["serve", "--port", "65536"], "65536 is not in the range"),
    ],
)
def test_a_mistake_of_usage_is_one_line_and_status_2(words: list[str], said: str) -> None:
    fails(riskengine(*words), said, "--help says more", status=2)


# -- load --------------------------------------------------------------------------------------------------------


def test_a_load_says_what_became_of_the_lines(folder: Path, store: str) -> None:
    (folder / "t.csv").write_text(TRADES + trades("a", "b", "a"))
    done = riskengine("load", "trades", folder / "t.csv", "--store", store)
    assert (done.exit_code, done.stdout) == (0, "trades: 3 lines, 2 inserted, 0 updated, 1 duplicate, 0 refused\n")
    assert done.stderr == ""
    done = riskengine("load", "trades", folder / "t.csv", "--store", store, "--json")
    assert {outcome: count for outcome, count in json.loads(done.stdout).items() if count} == {"lines": 3, "duplicate": 3}


def test_a_refused_line_is_told_with_its_place_and_the_rest_is_loaded(folder: Path, store: str) -> None:
    path = folder / "t.csv"
    path.write_text(TRADES + trades("a") + trades("b", desk="ALL") + trades("c", price="NaN") + trades("d", ts=1) + trades("e"))
    done = riskengine("load", "trades", path, "--store", store)
    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert [line.split(": ")[0:2] for line in lines] == [[f"{path}:3", "desk"], [f"{path}:4", "price"], [f"{path}:5", "ts"]]
    assert done.stdout == "trades: 5 lines, 2 inserted, 0 updated, 0 duplicate, 3 refused\n"


@pytest.mark.parametrize(
    "dress",
    [
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b"\n", b"\r\n"),
        gzip.compress,
        lambda text: b"\n\n" + text,
    ],
    ids=["mark", "windows", "packed", "blank lines"],
)
def test_files_from_anywhere_are_read(folder: Path, store: str, dress: Callable[[bytes], bytes]) -> None:
    (folder / "t.csv").write_bytes(dress((TRADES + trades("a", "b")).encode()))
    done = riskengine("load", "trades", folder / "t.csv", "--store", store)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "2 inserted" in done.stdout


def test_a_file_without_a_last_line_end_is_loaded_and_a_remark_says_so(folder: Path, store: str) -> None:
    (folder / "t.csv").write_text((TRADES + trades("a", "b")).rstrip("\n"))
    done = riskengine("load", "trades", folder / "t.csv", "--store", store)
    assert (done.exit_code, done.stdout) == (0, "trades: 2 lines, 2 inserted, 0 updated, 0 duplicate, 0 refused\n")
    assert "the last line (3) has no line end" in done.stderr


def test_standard_input_is_a_file_too(store: str) -> None:
    done = riskengine("load", "trades", "-", "--store", store, stdin=(TRADES + trades("a")).encode())
    assert done.exit_code == 0 and "1 inserted" in done.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\n\n", "is empty"),
        (TRADES.replace("price", "ts").encode() + b"x\n", "ts"),
        (b"a,b\n1,2\n", "trade_id"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"\x1f\x8bnot really", "gzip"),
        ("\ufefftrade".encode("utf-16-le"), "UTF-16"),
        (b"[1, 2]", "NDJSON"),
    ],
    ids=["empty", "only a mark", "blank", "doubled header", "other header", "zip", "no gzip", "utf-16", "list"],
)
def test_a_file_that_cannot_be_read_is_one_line_that_names_it(folder: Path, store: str, content: bytes, said: str) -> None:
    path = folder / "t.csv"
    path.write_bytes(content)
    done = riskengine("load", "trades", path, "--store", store)
    [line] = done.stderr.splitlines()
    assert line.startswith(f"riskengine: {path}: ") and said in line
    assert done.exit_code == 1
    assert done.stdout == "trades: 0 lines, 0 inserted, 0 updated, 0 duplicate, 0 refused\n"


def test_a_missing_file_and_a_directory_are_said_and_the_good_file_is_loaded(folder: Path, store: str) -> None:
    (folder / "t.csv").write_text(TRADES + trades("a"))
    done = riskengine("load", "trades", folder / "none.csv", folder, folder / "t.csv", "--store", store, "--json")
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        f"riskengine: {folder / 'none.csv'}: no such file or directory",
        f"riskengine: {folder}: is a directory",
    ]
    assert json.loads(done.stdout)["inserted"] == 1


def test_of_a_half_written_gz_the_good_lines_are_loaded(folder: Path, store: str) -> None:
    packed = gzip.compress((TRADES + trades(*map(str, range(3_000)))).encode(), 1)
    (folder / "t.csv.gz").write_bytes(packed[: len(packed) // 2])
    done = riskengine("load", "trades", folder / "t.csv.gz", "--store", store, "--json")
    [line] = done.stderr.splitlines()
    assert "the file is incomplete" in line and "t.csv.gz" in line and "after line" in line
    assert done.exit_code == 1
    assert json.loads(done.stdout)["inserted"] > 500


def test_a_repeated_header_in_the_middle_is_refused_and_the_rest_loaded(folder: Path, store: str) -> None:
    path = folder / "t.csv"
    path.write_text(TRADES + trades("a") + TRADES + trades("b"))
    done = riskengine("load", "trades", path, "--store", store)
    assert done.exit_code == 1 and "2 inserted" in done.stdout and "1 refused" in done.stdout
    [line] = done.stderr.splitlines()
    assert line.startswith(f"{path}:3: ")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--columns", "ts"], "--columns: expected ours=theirs"),
        (["--tz", "Mars/Olympus"], "Mars/Olympus"),
        (["--alias", "nowhere.csv"], "nowhere.csv: no such file"),
    ],
)
def test_a_wrong_mapping_is_said(folder: Path, store: str, option: list[str], said: str) -> None:
    (folder / "t.csv").write_text(TRADES + trades("a"))
    done = riskengine("load", "trades", folder / "t.csv", "--store", store, *option)
    [line] = done.stderr.splitlines()
    assert done.exit_code == 1 and said in line


# -- stores ------------------------------------------------------------------------------------------------------


def broken_store(folder: Path, kind: str) -> str:
    path = folder / "broken.db"
    if kind == "corrupt":
        path.write_bytes(b"SQLite format 3\0" + os.urandom(8_192))
    elif kind == "text":
        path.write_text("trade_id,ts\n" * 1_000)
    elif kind == "directory":
        path.mkdir()
    elif kind == "no folder":
        path = folder / "nowhere" / "broken.db"
    elif kind == "no place":
        path = folder / "nodes.csv" / "broken.db"
    return f"sqlite:///{path}"


@pytest.mark.parametrize("words", [["load", "trades", "x.csv"], ["rebuild"], ["replay", "--ticks", "x.csv"], ["serve"]])
@pytest.mark.parametrize("kind", ["corrupt", "text", "directory", "no folder", "no place"])
def test_a_store_that_cannot_be_used_is_one_line_that_names_it(folder: Path, words: list[str], kind: str) -> None:
    more = ["--port", "0"] if words == ["serve"] else []
    fails(riskengine(*words, "--store", broken_store(folder, kind), *more), "broken.db")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://me:secret@host/db", "must begin with sqlite:///"),
        ("sqlite:///", "names no file"),
        ("postgresql://me:secret@127.0.0.1:1/db", "postgresql://me:***@127.0.0.1:1/db"),
    ],
)
def test_a_store_of_another_kind_is_one_line_without_its_password(url: str, said: str) -> None:
    assert "secret" not in fails(riskengine("rebuild", "--store", url), said)


def test_a_store_that_is_not_there_is_not_made_by_reading(folder: Path) -> None:
    for words in (["rebuild"], ["replay", "--ticks", "x"]):
        fails(riskengine(*words, "--store", f"sqlite:///{folder}/none.db"), "none.db does not exist")
    assert not (folder / "none.db").exists()


def test_a_path_that_cannot_be_written_is_said(folder: Path) -> None:
    below_a_file = folder / "nodes.csv" / "e.db"  # which root cannot write either
    fails(riskengine("load", "nodes", folder / "nodes.csv", "--store", f"sqlite:///{below_a_file}"), "e.db")


def test_the_environment_names_the_store(folder: Path, store: str) -> None:
    done = CliRunner(env={"RISKENGINE_STORE": store}).invoke(main, ["rebuild", "--json"])
    assert [row["node"] for row in json.loads(done.stdout)["nodes"]] == ["ALL", "FX1", "FX2"]


# -- rebuild -----------------------------------------------------------------------------------------------------


def test_rebuild_gives_digest_counts_and_nodes(folder: Path, store: str) -> None:
    (folder / "t.csv").write_text(TRADES + trades("a", "b") + trades("c", desk="FX2"))
    riskengine("load", "trades", folder / "t.csv", "--store", store)
    (folder / "marks.csv").write_text(f"instrument,ts,price\nEURUSD,{NOON},1.2\n")
    riskengine("load", "marks", folder / "marks.csv", "--store", store)
    done = riskengine("rebuild", "--store", store, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    state = json.loads(done.stdout)
    assert set(state) == {"digest", "counts", "nodes"}
    assert len(state["digest"]) == 64 and state["counts"]["applied"] == 3
    root = state["nodes"][0]
    assert (root["node"], root["parent"], root["trade_count"]) == ("ALL", None, 3)
    assert root["total_pnl"] == pytest.approx(30.0)
    plain = riskengine("rebuild", "--store", store)
    assert f"digest {state['digest']}\n" in plain.stdout
    lines = plain.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["ALL", "FX1", "FX2"] and "30.00" in lines[1]
    assert lines[4] == "3 applied"


@pytest.mark.parametrize(("amount", "text"), [(-0.004, "0.00"), (-0.006, "-0.01"), (1234.5, "1,234.50"), (None, "-")])
def test_less_than_a_cent_is_not_less_than_nothing(amount: float | None, text: str) -> None:
    assert money(amount) == text


def test_rebuild_of_an_empty_store_is_empty(folder: Path) -> None:
    open_store(f"sqlite:///{folder}/new.db").close()
    done = riskengine("rebuild", "--store", f"sqlite:///{folder}/new.db", "--json")
    assert json.loads(done.stdout)["nodes"] == []
    assert "no trades" in riskengine("rebuild", "--store", f"sqlite:///{folder}/new.db").stdout


def test_rebuild_of_nodes_that_form_no_tree_is_refused(folder: Path) -> None:
    opened = open_store(f"sqlite:///{folder}/new.db")
    opened.save_nodes([])
    opened.close()
    connection = sqlite3.connect(folder / "new.db")
    connection.execute("INSERT INTO nodes (node, parent) VALUES ('A', 'B')")
    connection.commit()
    connection.close()
    fails(riskengine("rebuild", "--store", f"sqlite:///{folder}/new.db"), "parent 'B' does not exist")


def test_a_state_that_breaks_an_invariant_is_an_integrity_error(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(engine: object) -> None:
        raise AssertionError("I5: a parent is not the sum of its children")

    monkeypatch.setattr("riskengine.engine.engine.Engine.check", broken)
    fails(riskengine("rebuild", "--store", store), "integrity: I5")


# -- replay ------------------------------------------------------------------------------------------------------


def test_replay_prints_the_tree_and_the_digest_of_the_recording(folder: Path, store: str) -> None:
    (folder / "ticks.csv").write_text(TICKS + f"EURUSD,{NOON},1.19,1.21\nXYZ,{NOON},1,1\nEURUSD,{NOON},-1,-1\nEURUSD,x,1,1\n")
    (folder / "t.csv").write_text(TRADES + trades("a", "b", ts=NOON - SECOND) + trades("c", desk="X"))
    words = ("replay", "--ticks", folder / "ticks.csv", "--trades", folder / "t.csv", "--store", store)
    done = riskengine(*words, "--json")
    assert done.exit_code == 1, "lines were refused"
    state = json.loads(done.stdout)
    assert state["replayed"]["ticks"]["in_force"] == 1 and state["replayed"]["lines_refused"] == 2
    assert state["nodes"][0]["total_pnl"] == pytest.approx(20.0)
    said = done.stderr
    assert f"{folder}/ticks.csv:3: instrument: unknown instrument 'XYZ'" in said
    assert f"{folder}/ticks.csv:5: ts:" in said
    assert f"{folder}/t.csv:4: desk: unknown desk 'X'" in said
    assert f"must not be negative (EURUSD at {NOON})" in said
    assert riskengine(*words).stdout.endswith(f"digest {state['digest']}\n")


@pytest.mark.parametrize("option", ["--ticks", "--trades"])
@pytest.mark.parametrize(("name", "said"), [("none.csv", "no such file"), (".", "is a directory"), ("empty.csv", "is empty")])
def test_a_recording_that_cannot_be_read_is_one_line(folder: Path, store: str, option: str, name: str, said: str) -> None:
    (folder / "empty.csv").touch()
    fails(riskengine("replay", option, folder / name, "--store", store), said, str(folder))


def test_a_recording_full_of_bad_lines_shows_the_first_and_counts_the_rest(folder: Path, store: str) -> None:
    (folder / "ticks.csv").write_text(TICKS + f"XYZ,{NOON},1,1\n" * 30)
    done = riskengine("replay", "--ticks", folder / "ticks.csv", "--store", store)
    lines = done.stderr.splitlines()
    assert len(lines) == 13 and lines[-3].startswith(f"{folder}/ticks.csv: 20 more lines were refused: ")
    assert "unknown instruments: 'XYZ' in 30 lines" in lines[-2]
    assert (
        lines[-1].startswith("riskengine: nothing took effect: the engine does not know these instruments")
        and done.exit_code == 1
    )
    assert done.stdout.startswith(
        "ticks: 30 read, 0 taken, 0 in force, 0 too old, 0 conflated, 30 refused (30 of unknown instruments)"
    )


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:1",
        "ftp://127.0.0.1:1",
        "http://",
        "http://127.0.0.1:1",
        "http://[::1",
        "http://127.0.0.1:port",
        "http://127.0.0.1:99999",
    ],
)
def test_an_engine_that_cannot_be_reached_is_one_line(folder: Path, url: str) -> None:
    (folder / "ticks.csv").write_text(TICKS + f"EURUSD,{NOON},1.19,1.21\n")
    fails(riskengine("replay", "--ticks", folder / "ticks.csv", "--to", url), url)


# -- check-config --------------------------------------------------------------------------------------------------


def test_check_config_prints_what_is_in_force_and_it_reads_back(folder: Path) -> None:
    done = riskengine("check-config")
    assert done.exit_code == 0
    (folder / "again.toml").write_text(done.stdout)
    assert load_config(folder / "again.toml") == Config()


def test_check_config_hides_the_password_and_knows_the_environment(folder: Path) -> None:
    (folder / "c.toml").write_text('[store]\nurl = "postgresql://me:secret@host/db"\n')
    done = riskengine("check-config", folder / "c.toml")
    assert "secret" not in done.stdout and 'url = "postgresql://me:***@host/db"' in done.stdout
    done = CliRunner(env={"RISKENGINE_STORE": "sqlite:///else.db"}).invoke(main, ["check-config"])
    assert 'url = "sqlite:///else.db"' in done.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[engine\n", "line 1"),
        ("[engine]\nbeat_ms = 1\n", "engine.beat_ms must be 10 to 10000"),
        ("[engine]\nbeat = 1\n", "[engine] has no setting beat"),
        ("[engine]\nbeat_ms = 'x'\n", "engine.beat_ms"),
        ("\xff", ""),
    ],
)
def test_a_wrong_configuration_is_one_line_that_names_file_and_setting(folder: Path, content: str, said: str) -> None:
    (folder / "c.toml").write_bytes(content.encode("latin-1"))
    path = str(folder / "c.toml")
    for words in (["check-config", path], ["rebuild", "--config", path]):
        fails(riskengine(*words), f"{folder}/c.toml: ", said)
    fails(riskengine("check-config", folder / "none.toml"), "none.toml: cannot be read")
    fails(riskengine("check-config", folder), "cannot be read")


# -- as child processes ----------------------------------------------------------------------------------------------


def test_as_a_child_process_a_mistake_is_a_line_and_a_status(folder: Path, store: str) -> None:
    done = command("load", "trades", folder / "none.csv", "--store", broken_store(folder, "text"))
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr and "is not a SQLite database" in done.stderr
    done = command("load", "trades", "-", "--store", store, "--json", stdin=(TRADES + trades("a") + "x\n").encode())
    assert done.returncode == 1 and json.loads(done.stdout)["inserted"] == 1
    assert done.stderr.startswith("stdin:3: ")
    done = command("rebuild", "--store", store, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["counts"]["applied"] == 1


def test_a_demo_leaves_a_store_alone_that_is_not_its_own(folder: Path, store: str) -> None:
    (folder / "mine.csv").write_text("node,level,parent\nMINE,desk,ALL\n")
    assert riskengine("load", "nodes", folder / "mine.csv", "--store", store).exit_code == 0
    before = riskengine("rebuild", "--store", store, "--json").stdout
    fails(
        riskengine("demo", "--port", "0", "--store", store), "holds more than the demo: name an empty store, or leave --store out"
    )
    assert riskengine("rebuild", "--store", store, "--json").stdout == before


def test_what_serve_would_refuse_is_refused_by_check_config(folder: Path) -> None:
    (folder / "wide.toml").write_text('[server]\nhost = "0.0.0.0"\n')
    fails(riskengine("check-config", folder / "wide.toml"), "can be reached by others")


def test_a_mistake_before_the_command_is_one_line_too() -> None:
    fails(riskengine("-V"), "No such option", "--help says more", status=2)

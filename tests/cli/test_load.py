"""`riskengine load` as an operator runs it at 06:30: what it says of a file that does not fit."""

from contextlib import closing
from pathlib import Path

import pytest

from riskengine.cli.load import FirstRefusals
from riskengine.records.types import Refusal
from riskengine.store.open_store import open_store
from tests.cli.commands import riskengine
from tests.store_book import INSTRUMENTS, NODES

HEADER = "trade_id,ts,instrument,desk,side,quantity,price\n"


@pytest.fixture
def store(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/desk.db"
    with_reference = open_store(url)
    with_reference.save_nodes(NODES)
    with_reference.save_instruments(INSTRUMENTS)
    with_reference.close()
    return url


def trades(path: Path, *rows: str) -> Path:
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


def trade(number: int, instrument: str = "EURUSD", desk: str = "FX1") -> str:
    return f"t{number},2025-01-06T15:04:05Z,{instrument},{desk},buy,5,1.1"


def test_unknown_names_are_told_with_the_near_ones_and_the_option_that_renames(tmp_path: Path, store: str) -> None:
    path = trades(tmp_path / "t.csv", trade(1, "EUR/USD"), trade(2, desk="FX-1"))
    done = riskengine("load", "trades", path, "--store", store)
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        f"{path}:2: instrument: unknown instrument 'EUR/USD': did you mean 'EURUSD'? (--alias FILE gives their names ours)",
        f"{path}:3: desk: unknown desk 'FX-1': did you mean 'FX1'? (--alias FILE gives their names ours)",
    ]


def test_the_alias_file_that_the_reason_names_loads_them(tmp_path: Path, store: str) -> None:
    path = trades(tmp_path / "t.csv", trade(1, "EUR/USD"), trade(2, desk="Frankfurt"))
    (tmp_path / "names.csv").write_text("EUR/USD,EURUSD\nFrankfurt,FX1\n")
    done = riskengine("load", "trades", path, "--store", store, "--alias", tmp_path / "names.csv")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "trades: 2 lines, 2 inserted, 0 updated, 0 duplicate, 0 refused\n"


def test_ten_lines_of_a_reason_are_shown_and_the_rest_and_its_names_are_counted(tmp_path: Path, store: str) -> None:
    path = trades(tmp_path / "t.csv", *(trade(number, "EUR/USD") for number in range(5_000)))
    told = riskengine("load", "trades", path, "--store", store).stderr.splitlines()
    assert [line.split(":")[1] for line in told[:10]] == [str(number) for number in range(2, 12)]
    assert told[10].startswith(f"{path}: 4,990 more lines were refused: instrument: unknown instrument")
    assert told[11].endswith(
        "unknown instruments: 'EUR/USD' in 5,000 lines (near: 'EURUSD'); --alias FILE gives their names ours"
    )
    assert len(told) == 12


def test_a_file_in_which_every_line_has_a_reason_of_its_own_costs_bounded_memory_and_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with closing(FirstRefusals()) as first:
        for line in range(5_000):
            first("t.csv", Refusal(line, f"field{line}", "is wrong"))
    assert len(first.counts) <= FirstRefusals.REASONS + 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == FirstRefusals.REASONS + FirstRefusals.LIMIT + 1
    assert told[-1] == "t.csv: 3,990 more lines: other reasons"


def test_a_dry_run_says_so_and_stores_nothing(tmp_path: Path, store: str) -> None:
    path = trades(tmp_path / "t.csv", trade(1))
    for _ in range(2):
        done = riskengine("load", "trades", path, "--store", store, "--dry-run")
        assert done.stdout == "trades: 1 lines, 1 inserted, 0 updated, 0 duplicate, 0 refused, nothing stored: a dry run\n"


def test_files_that_fail_alike_are_told_once_and_a_program_gets_each(tmp_path: Path, store: str) -> None:
    files = [tmp_path / f"{name}.csv" for name in "abc"]
    for file in files:
        file.write_bytes(b"PK\x03\x04....")
    done = riskengine("load", "trades", *files, "--store", store, "--json")
    first, more = done.stderr.splitlines()
    assert f"{files[0]}: is a zip archive or a spreadsheet" in first and f"2 more files ({files[1]}, {files[2]})" in more
    assert [str(file) in done.stdout for file in files] == [True] * 3


def test_a_separator_that_was_named_wrongly_is_told_too(tmp_path: Path, store: str) -> None:
    path = trades(tmp_path / "t.csv", trade(1))
    told = riskengine("load", "trades", path, "--store", store, "--delimiter", ";").stderr
    assert told.rstrip().endswith("it looks separated by commas: leave --delimiter out")


def test_the_option_that_a_header_in_one_piece_is_told_with_reads_the_file(tmp_path: Path, store: str) -> None:
    for option, mark in ((";", ";"), ("tab", "\t"), ("|", "|")):
        path = tmp_path / "t.csv"
        path.write_text((HEADER + trade(1) + "\n").replace(",", mark))
        told = riskengine("load", "trades", path, "--store", store).stderr
        assert f"--delimiter {option}" in told.replace("'", "")
        assert riskengine("load", "trades", path, "--store", store, "--delimiter", option).exit_code == 0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_the_encoding_that_a_file_in_another_one_asks_for_reads_it(tmp_path: Path, store: str, encoding: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes((HEADER + trade(1).replace("t1", "tré1") + "\n").encode(encoding))
    assert "--encoding" in riskengine("load", "trades", path, "--store", store).stderr
    done = riskengine("load", "trades", path, "--store", store, "--encoding", encoding)
    assert (done.exit_code, done.stdout) == (0, "trades: 1 lines, 1 inserted, 0 updated, 0 duplicate, 0 refused\n")

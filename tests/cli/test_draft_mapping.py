"""`riskengine draft-mapping`: a mapping on stdout, and nothing loaded."""

import gzip
import re
from pathlib import Path

import pytest

from riskengine.files.mappings.mapping import parse_mapping
from tests.cli.commands import fails, riskengine

STRANGE = Path(__file__).parent.parent / "files" / "strange_files"
FILE = b"Datum;Papier;Art;Menge;Kurs\n13.11.2026 10:00:00;ACME;Kauf;1.000;13,25\n"


@pytest.fixture
def store(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/desk.db"
    (tmp_path / "nodes.csv").write_text("node,level,parent\nALL,total,\nEQ1,desk,ALL\n")
    (tmp_path / "instruments.csv").write_text("instrument,kind,quote_currency\nACME,equity,EUR\n")
    for kind in ("nodes", "instruments"):
        assert riskengine("load", kind, tmp_path / f"{kind}.csv", "--store", url).exit_code == 0
    return url


def test_the_draft_is_a_mapping_on_stdout_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "strange.csv").write_bytes(FILE)
    done = riskengine("draft-mapping", tmp_path / "strange.csv")
    assert (done.exit_code, done.stderr) == (0, "")
    assert parse_mapping(done.stdout, "draft").columns["quantity"] == "Menge"
    assert str(tmp_path) not in done.stdout


def test_the_names_of_a_store_are_looked_up_and_the_store_stays_as_it_is(tmp_path: Path, store: str) -> None:
    (tmp_path / "strange.csv").write_bytes(FILE)
    before = (tmp_path / "desk.db").read_bytes()
    done = riskengine("draft-mapping", tmp_path / "strange.csv", "--store", store)
    assert done.exit_code == 0
    assert (tmp_path / "desk.db").read_bytes() == before
    assert "the store knows 1 of 1 values as instruments: ACME" in done.stdout


@pytest.mark.parametrize(("answers", "said"), [({"desk": "EQ1"}, "no zone"), ({"zone": "UTC"}, "desk")])
def test_a_load_is_refused_until_the_questions_are_answered(
    tmp_path: Path, store: str, answers: dict[str, str], said: str
) -> None:
    (tmp_path / "strange.csv").write_bytes(FILE)
    draft = riskengine("draft-mapping", tmp_path / "strange.csv", "--store", store).stdout
    for key, answer in answers.items():
        draft = re.sub(rf"^# {key} = .*$", f'{key} = "{answer}"', draft, flags=re.MULTILINE)
    (tmp_path / "draft.toml").write_text(draft, encoding="utf-8")
    done = riskengine("load", "trades", tmp_path / "strange.csv", "--mapping", tmp_path / "draft.toml", "--store", store)
    assert done.exit_code == 1
    assert said in done.stderr
    assert "1 inserted" not in done.stdout


def test_a_packed_file_and_standard_input_are_read(tmp_path: Path) -> None:
    (tmp_path / "strange.csv.gz").write_bytes(gzip.compress(FILE))
    packed = riskengine("draft-mapping", tmp_path / "strange.csv.gz").stdout
    piped = riskengine("draft-mapping", "-", stdin=FILE).stdout
    assert packed.replace("strange.csv.gz", "stdin") == piped


def test_the_letters_of_a_file_in_another_encoding_are_utf_8_on_stdout() -> None:
    done = riskengine("draft-mapping", STRANGE / "german_bank.csv")
    assert 'encoding = "cp1252"' in done.stdout
    assert "Ausführungskurs" in done.stdout


def test_another_kind_has_other_columns(tmp_path: Path) -> None:
    (tmp_path / "quotes.csv").write_text("Zeit;Paar;Geld;Brief\n2026-11-02T10:00:00Z;EURUSD;1,1;1,2\n")
    done = riskengine("draft-mapping", tmp_path / "quotes.csv", "--kind", "ticks")
    assert parse_mapping(done.stdout, "draft").columns == {"instrument": "Paar", "ts": "Zeit", "bid": "Geld", "ask": "Brief"}


def test_only_the_first_part_of_a_large_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "large.csv").write_bytes(FILE + b"13.11.2026 10:00:01;ACME;Kauf;1.000;13,25\n" * 200_000)
    assert "guessed from the first 4,999 rows" in riskengine("draft-mapping", tmp_path / "large.csv").stdout


@pytest.mark.parametrize(
    ("data", "said"), [(b"", "is empty"), (b"PK\x03\x04....", "spreadsheet"), (b"BZh91AY", "bzip2"), (b"one\ntwo\n", "table")]
)
def test_what_is_no_table_is_one_clear_line(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "strange.csv").write_bytes(data)
    fails(riskengine("draft-mapping", tmp_path / "strange.csv"), "strange.csv", said)


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    fails(riskengine("draft-mapping", tmp_path / "none.csv"), "none.csv")

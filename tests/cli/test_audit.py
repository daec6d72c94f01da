"""`riskengine audit verify` and `audit show` as a person runs them."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from riskengine.cli.main import main
from riskengine.store.audit_chain import AuditEvent
from riskengine.store.audit_trail import command_line_actor
from riskengine.store.open_store import open_store
from tests.store_book import new_store, trade


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with a small recorded day."""
    place = f"sqlite:///{tmp_path / 'engine.db'}"
    store = new_store(place)
    store.append_trades([trade("A", desk="FX1"), trade("B", desk="FX2")])
    store.append_trades([trade("C", desk="FX2")])
    store.record([AuditEvent("comment", "FX2", {"said": "looked at it"}, "ann")])
    store.close()
    return place


def audit(*words: str) -> Result:
    return CliRunner().invoke(main, ["audit", *words])


def spoil(url: str, statement: str) -> None:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.execute(statement)
    connection.commit()
    connection.close()


def head(url: str) -> str:
    found: str = json.loads(audit("verify", "--store", url, "--json").stdout)["head"]["hash"]
    return found


# -- verify --------------------------------------------------------------------------------------------------------


def test_a_store_as_it_was_written_is_clean(url: str) -> None:
    done = audit("verify", "--store", url)
    assert done.exit_code == 0
    assert done.stdout == f"5 entries, 3 trade rows: nothing found; head 5 {head(url)}\n"


def test_each_finding_is_a_line_with_the_number_of_the_entry(url: str) -> None:
    spoil(url, "UPDATE trades SET price = '2' WHERE store_seq = 2")
    spoil(url, "UPDATE audit SET actor = 'nobody' WHERE audit_seq = 5")
    done = audit("verify", "--store", url)
    assert done.exit_code == 1
    assert done.stdout.splitlines()[:2] == [
        "entry 5 was edited: its content does not match its hash",
        "entry 3 recorded trade row 2, which was edited since: 'api:B:0 version 1'",
    ]
    assert "2 findings" in done.stdout.splitlines()[2]


def test_json_says_the_same(url: str) -> None:
    report = json.loads(audit("verify", "--store", url, "--json").stdout)
    assert report == {
        "clean": True,
        "entries": 5,
        "trades": 3,
        "unrecorded": 0,
        "head": {"audit_seq": 5, "hash": head(url)},
        "findings": [],
    }
    spoil(url, "DELETE FROM trades WHERE store_seq = 3")
    done = audit("verify", "--store", url, "--json")
    report = json.loads(done.stdout)
    assert (done.exit_code, report["clean"]) == (1, False)
    assert report["findings"] == [{"audit_seq": 4, "store_seq": 3, "what": "recorded trade row 3, which is gone"}]


def test_rows_that_no_engine_has_seen_are_named_and_are_no_finding(url: str) -> None:
    spoil(
        url,
        "INSERT INTO trades (trade_id, ts, instrument, desk, side, quantity, price)"
        " VALUES ('X', 1790000000000000, 'EURUSD', 'FX1', 'buy', '1', '1')",
    )
    done = audit("verify", "--store", url)
    assert done.exit_code == 0
    assert "nothing found; unrecorded, waiting for an engine: 1 rows" in done.stdout


def test_a_head_that_was_noted_elsewhere_must_be_there(url: str) -> None:
    noted = head(url)
    assert audit("verify", "--store", url, "--head", noted).exit_code == 0
    spoil(url, "DELETE FROM audit WHERE audit_seq = 5")
    fourth = "(SELECT audit_seq || ' ' || hash FROM audit WHERE audit_seq = 4)"
    spoil(url, f"UPDATE meta SET value = {fourth} WHERE key = 'audit_head'")
    assert audit("verify", "--store", url).exit_code == 0
    done = audit("verify", "--store", url, "--head", noted)
    assert done.exit_code == 1
    assert done.stdout.startswith("no entry has the hash")


@pytest.mark.parametrize("noted", ["", "abc", "G" * 64])
def test_a_head_that_is_no_hash_is_a_mistake_of_usage(url: str, noted: str) -> None:
    done = audit("verify", "--store", url, "--head", noted)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "64 hexadecimal digits" in done.stderr


def test_a_store_that_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    done = audit("verify", "--store", f"sqlite:///{tmp_path / 'none.db'}")
    assert (done.exit_code, done.stdout) == (2, "")
    store = f"store {tmp_path / 'none.db'} does not exist"
    assert done.stderr == f"riskengine: {store}: name another one (`riskengine load` makes a new one)\n"


# -- show ----------------------------------------------------------------------------------------------------------


def shown(url: str, *words: str) -> list[tuple[Any, ...]]:
    done = audit("show", "--store", url, "--json", *words)
    assert done.exit_code == 0, done.stderr
    return [(entry["audit_seq"], entry["kind"]) for entry in json.loads(done.stdout)["entries"]]


def test_entries_are_lines_the_newest_last(url: str) -> None:
    lines = audit("show", "--store", url).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4", "5"]
    number, when, *rest = lines[2].split(maxsplit=2)
    assert (number, rest) == ("3", [f'{command_line_actor()}  trades  {{"store_seqs":[[1,2]]}}'])
    assert when.endswith("+00:00")
    assert lines[4].endswith('ann  comment FX2  {"said":"looked at it"}')
    assert all(len(line) < 250 for line in lines)


def test_entries_are_chosen_by_trade_node_kind_and_number(url: str) -> None:
    assert shown(url, "--trade", "api:A") == shown(url, "--trade", "A") == [(3, "trades")]
    assert shown(url, "--trade", "api:none") == []
    assert shown(url, "--node", "FX2") == [(1, "nodes"), (3, "trades"), (4, "trades"), (5, "comment")]
    assert shown(url, "--node", "Total", "--kind", "trades") == [(3, "trades"), (4, "trades")]
    assert shown(url, "--kind", "instruments") == [(2, "instruments")]
    assert shown(url, "--limit", "2") == [(4, "trades"), (5, "comment")]


def test_entries_are_chosen_by_time(url: str) -> None:
    entries = json.loads(audit("show", "--store", url, "--json").stdout)["entries"]
    third = str(entries[2]["ts"])
    assert shown(url, "--since", third) == [(3, "trades"), (4, "trades"), (5, "comment")]
    assert shown(url, "--until", third) == [(1, "nodes"), (2, "instruments")]
    assert shown(url, "--until", "2020-01-01T00:00:00Z") == []


def test_json_holds_all_of_an_entry(url: str) -> None:
    entry = json.loads(audit("show", "--store", url, "--json").stdout)["entries"][2]
    assert entry["detail"].keys() == {"rows", "salt", "store_seqs"}
    assert (entry["first_store_seq"], entry["last_store_seq"], entry["row_count"]) == (1, 2, 2)
    assert len(entry["hash"]) == len(entry["previous_hash"]) == 64


@pytest.mark.parametrize("spoiled", ["x'ff'", "'{'", "cast(x'80' AS TEXT)"])
def test_a_spoiled_entry_is_shown_as_far_as_it_can_be(url: str, spoiled: str) -> None:
    spoil(url, f"UPDATE audit SET detail = {spoiled}, ts = 'noon' WHERE audit_seq = 5")
    for words in ((), ("--json",), ("--node", "FX1")):
        done = audit("show", "--store", url, *words)
        assert done.exit_code == 0, done.exception


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--node", "Nowhere"), "unknown node 'Nowhere'"), (("--since", "noon"), "is not a time"), (("--limit", "0"), "--limit")],
)
def test_a_mistake_is_one_line(url: str, words: tuple[str, ...], said: str) -> None:
    done = audit("show", "--store", url, *words)
    assert done.exit_code in (1, 2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_looking_changes_nothing(url: str) -> None:
    before = open_store(url, read_only=True)
    state = before.state()
    for words in (("verify",), ("show",)):
        audit(*words, "--store", url)
    assert before.state() == state
    before.close()

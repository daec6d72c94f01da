"""Unknown names of files: what comes near, how often each was named, and bounds for files in which every name is one."""

import pytest

from riskengine.files import near_names
from riskengine.files.near_names import ALIAS, NearNames

KNOWN = {"instrument": lambda: ["EURUSD", "GBPUSD"], "desk": lambda: ["FX1", "FX2"]}


def test_a_name_that_comes_near_is_asked_for_and_the_way_out_is_named():
    names = NearNames(KNOWN)
    assert names.hint("instrument", "EUR/USD") == f": did you mean 'EURUSD'? ({ALIAS})"
    assert names.hint("desk", "fx-2") == f": did you mean 'FX2'? ({ALIAS})"


def test_an_instrument_that_the_sender_writes_with_more_words_is_asked_for_and_a_desk_is_not():
    names = NearNames({"instrument": lambda: ["ENEL"], "desk": lambda: ["ENEL"]})
    assert names.near("instrument", "ENEL SPA") == "ENEL"
    assert names.near("desk", "ENEL SPA") is None


def test_where_none_comes_near_only_the_way_out_is_named():
    assert NearNames(KNOWN).hint("instrument", "XAUCHF") == f" ({ALIAS})"
    assert NearNames({}).hint("desk", "FX3") == f" ({ALIAS})"


def test_a_summary_counts_each_name_the_most_frequent_first():
    names = NearNames(KNOWN)
    for name in ["EUR/USD", *["XAUCHF"] * 12, "EUR/USD"]:
        names.hint("instrument", name)
    names.hint("desk", "FX-1")
    assert names.summary() == [f"unknown instruments: 'XAUCHF' in 12 lines, 'EUR/USD' in 2 lines (near: 'EURUSD'); {ALIAS}"]


def test_a_summary_lists_ten_names_and_counts_the_others():
    names = NearNames(KNOWN)
    for number in range(30):
        names.hint("instrument", f"ACME {number}")
    [line] = names.summary()
    assert "'ACME 9' in 1 line, and 20 more;" in line and "ACME 10" not in line


def test_a_few_names_need_no_summary():
    names = NearNames(KNOWN)
    names.hint("desk", "FX-1")
    assert names.summary() == []


def test_the_known_names_are_read_once_and_only_where_one_is_unknown():
    reads = []

    def read():
        reads.append(1)
        return ["EURUSD"]

    names = NearNames({"instrument": read})
    assert reads == []
    names.hint("instrument", "EUR/USD")
    names.hint("instrument", "EUR-USD")
    assert reads == [1]


def test_a_file_in_which_every_name_is_unknown_costs_bounded_time_and_memory(monkeypatch: pytest.MonkeyPatch):
    compared = []
    monkeypatch.setattr(near_names, "MAX_NAMES", 50)
    monkeypatch.setattr(near_names, "MAX_COMPARISONS", 20)
    monkeypatch.setattr(near_names, "nearest", lambda name, known: compared.append(len(known)))
    names = NearNames(KNOWN)
    for number in range(1_000):
        assert names.hint("instrument", f"X{number}") == f" ({ALIAS})"
    assert sum(compared) == 20
    assert names.summary()[-1] == "950 more lines have other unknown names"

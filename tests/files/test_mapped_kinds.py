"""Every kind of file reads by a mapping as its plain file does."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from riskengine.files.columns import ColumnOptions
from riskengine.files.mappings.mapping import parse_mapping
from riskengine.files.records import (
    read_calendars,
    read_closes,
    read_instruments,
    read_marks,
    read_nodes,
    read_openings,
    read_ticks,
)
from riskengine.reconciliation.statement import read_statement
from riskengine.records.types import Refusal
from tests.world import INSTRUMENTS, instruments

BY_SYMBOL = {each.instrument: each for each in instruments(INSTRUMENTS)}
Reader = Callable[[str, ColumnOptions], Iterator[tuple[int, Any]]]

KINDS: dict[str, tuple[Reader, str, str, str]] = {
    "ticks": (
        read_ticks,
        "instrument,ts,bid,ask\nEURUSD,2026-03-02T08:00:00Z,1.0841,1.0843\n",
        "P;Z;G;B\nEURUSD;02.03.2026 09:00;1,0841;1,0843\n",
        'columns = { instrument = "P", ts = "Z", bid = "G", ask = "B" }',
    ),
    "positions": (
        lambda path, options: read_openings(path, options, BY_SYMBOL),
        "desk,instrument,ts,quantity,average_price,fees\nFX1,EURUSD,2026-03-02T08:00:00Z,-1000.5,1.0841,2\n",
        "P;Z;M;D;E\nEURUSD;02.03.2026 09:00;-1.000,5;1,0841;-2\n",
        'columns = { instrument = "P", ts = "Z", quantity = "M", average_price = "D", fees = "E" }\nset = { desk = "FX1" }\n'
        "numbers = { fees = { negate = true } }",
    ),
    "closes": (
        lambda path, options: read_closes(path, options, BY_SYMBOL),
        "date,instrument,price\n2026-03-02,EURUSD,1.0841\n",
        "T;P;K\n02.03.2026;EURUSD;1,0841\n",
        'columns = { date = "T", instrument = "P", price = "K" }',
    ),
    "calendars": (
        read_calendars,
        "calendar,date,kind,comment\nINR,2026-11-10,holiday,Diwali\n",
        "W;T;N\nINR;10.11.2026;Diwali\n",
        'columns = { calendar = "W", date = "T", comment = "N" }\nset = { kind = "holiday" }',
    ),
    "marks": (
        lambda path, options: read_marks(path, options, BY_SYMBOL),
        "instrument,ts,price\nEURUSD,2026-03-02T08:00:00Z,1.0841\n",
        "P;Z;K\nEURUSD;02.03.2026 09:00;1,0841\n",
        'columns = { instrument = "P", ts = "Z", price = "K" }',
    ),
    "nodes": (
        read_nodes,
        "node,level,parent\nFX1,desk,ALL\n",
        "Buch;Über\nFX1;ALL\n",
        'columns = { node = "Buch", parent = "Über" }\nset = { level = "desk" }',
    ),
    "instruments": (
        read_instruments,
        "instrument,kind,quote_currency,multiplier\nFDAX,equity,EUR,25\n",
        "P;W;X\nFDAX;EUR;25,0\n",
        'columns = { instrument = "P", quote_currency = "W", multiplier = "X" }\nset = { kind = "equity" }',
    ),
}
FORMAT = 'delimiter = ";"\ndecimal = ","\nthousands = "."\n'
TIMES = '\n[times]\nformat = "%d.%m.%Y %H:%M"\ndates = "%d.%m.%Y"\nzone = "Europe/Berlin"\n'


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_reads_by_a_mapping_as_its_plain_file_does(kind: str, tmp_path: Path) -> None:
    read, plain, foreign, keys = KINDS[kind]
    (tmp_path / "plain.csv").write_text(plain)
    (tmp_path / "foreign.csv").write_text(foreign)
    mapping = parse_mapping(f'kind = "{kind}"\n{FORMAT}{keys}{TIMES}', "our.toml")
    expected = list(read(str(tmp_path / "plain.csv"), ColumnOptions()))
    assert not any(isinstance(record, Refusal) for _, record in expected)
    assert list(read(str(tmp_path / "foreign.csv"), ColumnOptions(mapping=mapping))) == expected


def test_a_statement_reads_by_a_mapping_as_its_plain_file_does(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text("node,instrument,quantity,net_cash\nFX1,EURUSD,-1000.5,1084.5\n")
    (tmp_path / "foreign.csv").write_text("P;M;G\nEUR/USD;1.000,5-;1.084,50\n")
    keys = 'columns = { instrument = "P", quantity = "M", net_cash = "G" }\nset = { node = "FX1" }\nremove = { instrument = "/" }'
    mapping = parse_mapping(f'kind = "statement"\n{FORMAT}{keys}', "our.toml")
    expected = read_statement(str(tmp_path / "plain.csv"), ColumnOptions(), "ALL")
    assert read_statement(str(tmp_path / "foreign.csv"), ColumnOptions(mapping=mapping), "ALL") == expected
    assert expected[1] == []


def test_an_hour_that_occurs_twice_needs_a_word_of_the_mapping(tmp_path: Path) -> None:
    (tmp_path / "ticks.csv").write_text(
        "P;Z;G\n" + "".join(f"EURUSD;01.11.2026 {clock};1,1\n" for clock in ("01:30", "01:50", "01:10", "02:00"))
    )
    keys = 'columns = { instrument = "P", ts = "Z", bid = "G" }'
    times = '\n[times]\nformat = "%d.%m.%Y %H:%M"\nzone = "America/New_York"\n'

    def read(more: str) -> list[Any]:
        mapping = parse_mapping(f'kind = "ticks"\n{FORMAT}{keys}{times}{more}', "our.toml")
        return [tick for _, tick in read_ticks(str(tmp_path / "ticks.csv"), ColumnOptions(mapping=mapping))]

    assert [isinstance(tick, Refusal) for tick in read("")] == [True, True, True, False]
    stamps = [tick.ts for tick in read('repeated_hour = "in-order"')]
    assert [(later - earlier) // 60_000_000 for earlier, later in pairwise(stamps)] == [20, 20, 50]

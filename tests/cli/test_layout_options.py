"""`--mapping` and its parts on the command line: alone, and over a mapping."""

import json
from pathlib import Path
from typing import Any

import pytest

from riskengine.files.columns import ColumnOptions
from riskengine.files.records import read_ticks
from riskengine.store.open_store import open_store
from tests.cli.commands import fails, riskengine

NODES = "node,level,parent\nALL,total,\nFX1,desk,ALL\n"
INSTRUMENTS = "instrument,kind,base_currency,quote_currency\nEURUSD,fx,EUR,USD\n"


class Desk:
    """A store with one desk and one pair, and a folder for files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder}/desk.db"
        for kind, text in (("nodes", NODES), ("instruments", INSTRUMENTS)):
            assert riskengine("load", kind, self.file(f"{kind}.csv", text), "--store", self.url).exit_code == 0

    def file(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def load(self, text: str | bytes, *words: str | Path) -> Any:
        return riskengine("load", "trades", self.file("export.csv", text), "--store", self.url, *words)

    def trades(self) -> list[tuple[str | None, ...]]:
        opened = open_store(self.url)
        try:
            rows = list(opened.trades_after(0))
        finally:
            opened.close()
        return [(row.trade_id, row.side, row.quantity, row.price, row.fees) for row in rows]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


EXPORT = "Made today\nRef;ts;Type;side;quantity;price;fees\n1;02.11.2026 10:00;Trade;BOT;1.000,50;1,5;-2,5\n;;Total;;;;-2,5\n"
PARTS = (
    *("--delimiter", ";", "--decimal", ",", "--thousands", ".", "--skip", "1", "--where", "Type=Trade", "--id", "Ref"),
    *("--set", "desk=FX1", "--set", "instrument=EURUSD", "--map", "side=BOT:buy,SLD:sell", "--negate", "fees"),
    *("--time-format", "%d.%m.%Y %H:%M", "--tz", "Europe/Berlin"),
)


def test_the_parts_of_a_mapping_read_a_file_without_one(desk: Desk) -> None:
    done = desk.load(EXPORT, *PARTS)
    assert done.exit_code == 0, done.stderr
    assert "1 left out by where.Type: 'Total' (1)" in done.stderr
    assert desk.trades() == [("1", "buy", "1000.5", "1.5", "2.5")]


def test_a_mapping_file_reads_the_same(desk: Desk) -> None:
    mapping = desk.file(
        "our.toml",
        'kind = "trades"\ndelimiter = ";"\ndecimal = ","\nthousands = "."\nskip = 1\nid = "Ref"\n'
        'where = { Type = "Trade" }\nset = { instrument = "EURUSD", desk = "nobody" }\n'
        'columns = { ts = "ts", side = "side", quantity = "quantity", price = "price", fees = "fees" }\n'
        'values = { side = { BOT = "buy" } }\nnumbers = { fees = { negate = true } }\n'
        'times = { format = "%d.%m.%Y %H:%M", zone = "UTC" }\n',
    )
    done = desk.load(EXPORT, "--mapping", mapping, "--set", "desk=FX1", "--tz", "Europe/Berlin")
    assert done.exit_code == 0, done.stderr
    assert desk.load(EXPORT, *PARTS).stdout.startswith("trades: 1 lines, 0 inserted, 0 updated, 1 duplicate")


def test_columns_by_number_are_of_a_file_without_header(desk: Desk) -> None:
    words = ("--columns", "trade_id=1,ts=2,side=3,quantity=4,price=5", "--set", "desk=FX1", "--set", "instrument=EURUSD")
    assert desk.load("1;2026-11-02T10:00:00Z;buy;5;1.5\n", "--delimiter", ";", *words).exit_code == 0
    assert desk.trades() == [("1", "buy", "5", "1.5", "0")]


def test_a_number_takes_the_place_of_a_name_of_the_mapping(desk: Desk) -> None:
    columns = 'columns = { trade_id = "Ref", ts = "ts", side = "side", quantity = "quantity", price = "Wrong" }\n'
    mapping = desk.file("our.toml", f'kind = "trades"\n{columns}set = {{ desk = "FX1", instrument = "EURUSD" }}\n')
    text = "Ref,ts,side,quantity,\n1,2026-11-02T10:00:00Z,buy,5,1.5\n"
    assert desk.load(text, "--mapping", mapping, "--columns", "price=5").exit_code == 0
    assert desk.trades() == [("1", "buy", "5", "1.5", "0")]


def test_ids_by_hash_keep_two_equal_fills_two(desk: Desk) -> None:
    line = "2026-11-02T10:00:00Z;FX1;EURUSD;buy;5;1.5\n"
    words = ("--delimiter", ";", "--id", "hash")
    text = "ts;desk;instrument;side;quantity;price\n" + line + line
    assert "2 inserted" in desk.load(text, *words).stdout
    assert "2 duplicate" in desk.load(text, *words).stdout


def test_a_misspelt_column_is_refused_under_parts_too(desk: Desk) -> None:
    done = desk.load("trade_id;ts;desk;instrument;side;quantity;price;fee\n", "--delimiter", ";")
    assert done.exit_code == 1
    assert "'fee' is not a column of a trade: did you mean fees?" in done.stderr


def test_utf_16_is_read_where_it_is_named(desk: Desk) -> None:
    text = "trade_id,ts,desk,instrument,side,quantity,price\n1,2026-11-02T10:00:00Z,FX1,EURUSD,buy,5,1.5\n".encode("utf-16")
    assert "is UTF-16" in desk.load(text).stderr
    assert desk.load(text, "--encoding", "utf-16").exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--mapping", "kraken_trade"), "did you mean kraken_trades?"),
        (("--set", "desk"), "--set: expected name=value, such as desk=FX1, not 'desk'"),
        (("--set", "dsk=FX1"), "set.dsk: is not a field that it can name: did you mean desk?"),
        (("--map", "side=BOT"), "--map: expected field=theirs:ours"),
        (("--negate", "fee"), "numbers.fee: is not a field that it can name: did you mean fees?"),
        (("--skip", "many"), "--skip: expected a number of lines, or header"),
        (("--delimiter", ";;"), "delimiter: must be one character"),
        (("--decimal", ";"), "decimal: must be"),
        (("--where", "Type"), "--where: expected name=value"),
        (("--encoding", "klingon"), "encoding: 'klingon' is not known"),
    ],
)
def test_a_mistake_in_a_part_is_one_line(desk: Desk, words: tuple[str, ...], said: str) -> None:
    fails(desk.load(EXPORT, *words), said)


def test_a_mapping_of_another_kind_is_refused(desk: Desk) -> None:
    done = riskengine("load", "closes", desk.file("c.csv", "a\n"), "--store", desk.url, "--mapping", "kraken_trades")
    fails(done, "kraken_trades: kind: is trades, and the files are to be read as closes")


def test_refused_lines_are_written_as_rows_of_ours(desk: Desk) -> None:
    refused = desk.folder / "refused.csv"
    done = desk.load(EXPORT.replace("1,5;", "1,5;").replace("BOT", "SLD"), *PARTS, "--set", "desk=FX9", "--refused", refused)
    assert done.exit_code == 1
    assert "FX9" in refused.read_text() and "1000.50" in refused.read_text()


def test_a_line_that_the_mapping_cannot_read_is_written_as_far_as_it_can_and_loads_once_mended(desk: Desk) -> None:
    refused = desk.folder / "refused.csv"
    done = desk.load(EXPORT.replace("1,5;", "1x5;"), *PARTS, "--refused", refused)
    assert done.exit_code == 1
    text = refused.read_text()
    assert "1000.50,1x5,2.5" in text and "price: is not a number with the decimal mark" in text
    refused.write_text(text.replace("1x5,", "1.5,", 1))
    mended = riskengine("load", "trades", refused, "--store", desk.url)
    assert "1 inserted" in mended.stdout, mended.stderr
    assert desk.trades() == [("1", "buy", "1000.5", "1.5", "2.5")]


def test_ticks_are_replayed_by_a_mapping(desk: Desk) -> None:
    ticks = desk.file("ticks.txt", "EUR/USD;02.11.2026 10:00:00;1,0841;1,0843\n")
    mapping = desk.file(
        "ticks.toml",
        'kind = "ticks"\ndelimiter = ";"\ndecimal = ","\nheader = false\nremove = { instrument = "/" }\n'
        "columns = { instrument = 1, ts = 2, bid = 3, ask = 4 }\n"
        'times = { format = "%d.%m.%Y %H:%M:%S", zone = "UTC" }\n',
    )
    done = riskengine("replay", "--ticks", ticks, "--mapping", mapping, "--store", desk.url, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["replayed"]["ticks"]["in_force"] == 1


def test_ticks_of_a_mapping_are_those_of_a_plain_file(desk: Desk) -> None:
    plain = desk.file("plain.csv", "instrument,ts,bid,ask\nEURUSD,2026-11-02T10:00:00Z,1.0841,1.0843\n")
    assert [tick for _, tick in read_ticks(str(plain), ColumnOptions())] == [
        tick for _, tick in read_ticks(str(plain), _mapped_ticks())
    ]


def _mapped_ticks() -> ColumnOptions:
    from riskengine.files.mappings.mapping import parse_mapping

    text = "columns = { instrument = 'instrument', ts = 'ts', bid = 'bid', ask = 'ask' }"
    return ColumnOptions(mapping=parse_mapping(f"kind = 'ticks'\n{text}", "t.toml"))

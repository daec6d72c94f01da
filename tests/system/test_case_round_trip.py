"""A CSV that the engine wrote loads back to the same records, whatever the names in it, and reconciles clean."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riskengine.files.records import ColumnOptions, read_trades
from riskengine.records.decode import TradeCheck, TradeInput
from riskengine.records.fields import Rejected, name
from riskengine.records.reference import Reference, trade_check
from riskengine.records.types import Instrument, Kind, Node
from riskengine.serve.answers.shapes import TRADE, names
from riskengine.serve.answers.wire import csv_slices, trade_record
from tests.cli.commands import riskengine
from tests.running import Server, running
from tests.waiting import wait_until

NODES = """node,level,parent
ALL,total,
FX1,desk,ALL
'@desk,desk,ALL
"""
INSTRUMENTS = """instrument,kind,base_currency,quote_currency,expiry
EURUSD,fx,EUR,USD,
=C,equity,,USD,
@ES,future,,USD,2027-03-01
-X,equity,,USD,
"""
TRADES = '''source,trade_id,version,action,ts,instrument,desk,dealer,side,quantity,price
bk,-77,1,new,2026-03-04T10:00:00Z,EURUSD,FX1,@bob,buy,1000.33,1.0842123456
bk,=1+1,1,new,2026-03-04T10:00:01Z,=C,@desk,,sell,33.33,1.1234567891
bk,77,1,new,2026-03-04T10:00:02Z,@ES,FX1,"'+a,""b""",buy,5,-2.5
bk,78,1,new,2026-03-04T10:00:02Z,-X,FX1,=bob,buy,700000.01,1.0000000003
bk,78,2,amend,2026-03-04T10:00:02Z,-X,FX1,=bob,buy,800000.01,1.0000000003
bk,-77,2,cancel,,,,,,,
bk,+79,1,new,2026-03-04T10:00:04Z,EURUSD,FX1,,buy,70,1.1
'''


@dataclass(frozen=True)
class Desk:
    """A running engine with nasty names, and its store."""

    server: Server
    folder: Path
    store: str

    def saved(self, path: str) -> Path:
        """What the engine answers as CSV, as a file."""
        found = self.folder / "answer.csv"
        found.write_bytes(self.server.get(path, raw=True))
        return found


def set_up(folder: Path, store: str) -> None:
    for kind, text in (("nodes", NODES), ("instruments", INSTRUMENTS)):
        path = folder / f"{kind}.csv"
        path.write_text(text)
        done = riskengine("load", kind, path, "--store", store)
        assert done.exit_code == 0, done.stderr


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("round_trip")
    store = f"sqlite:///{folder}/desk.db"
    set_up(folder, store)
    trades = folder / "trades.csv"
    trades.write_text(TRADES)
    assert riskengine("load", "trades", trades, "--store", store).exit_code == 0
    with running("serve", "--port", "0", "--store", store, log=folder / "log") as server:
        yield Desk(server, folder, store)


def digest(store: str) -> str:
    return str(json.loads(riskengine("rebuild", "--store", store, "--json").stdout)["digest"])


def test_trades_are_all_duplicates_in_their_own_store_and_the_same_state_in_a_fresh_one(desk: Desk) -> None:
    trades = desk.saved("/v1/trades?format=csv&exact=true&versions=all&limit=1000")
    again = riskengine("load", "trades", trades, "--store", desk.store, "--json")
    assert (again.exit_code, json.loads(again.stdout)["duplicate"]) == (0, 7)
    fresh = f"sqlite:///{desk.folder}/fresh.db"
    set_up(desk.folder, fresh)
    loaded = riskengine("load", "trades", trades, "--store", fresh)
    assert loaded.exit_code == 0, loaded.stderr
    assert digest(fresh) == digest(desk.store)


OWNERS = ["node=ALL", "node=FX1", f"node={quote('@desk')}", "dealer=", f"dealer={quote('@bob')}", f"dealer={quote('=bob')}"]


@pytest.mark.parametrize("exact", ["", "&exact=true"])
@pytest.mark.parametrize("path", [f"/v1/{view}?{owner}" for view in ("positions", "ladder") for owner in OWNERS])
def test_positions_reconcile_clean(desk: Desk, path: str, exact: str) -> None:
    statement = desk.saved(f"{path}&format=csv{exact}")
    done = riskengine("reconcile", "--engine", desk.server.url, "--against", statement, "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["breaks"]) == (0, [])
    assert told["compared"] == len(statement.read_text().splitlines()) - 1


def test_the_tree_loads_back(desk: Desk) -> None:
    done = riskengine("load", "nodes", desk.saved("/v1/nodes?format=csv"), "--store", desk.store, "--json")
    assert (done.exit_code, json.loads(done.stdout)["duplicate"]) == (0, 3)


def test_marks_load_back_and_instruments_without_one_are_passed_over(desk: Desk) -> None:
    desk.server.post("/v1/ticks", [{"instrument": "=C", "ts": 1_772_618_400_000_000, "mid": 2.5, "source": "@feed"}])
    wait_until(lambda: any(row["price"] for row in desk.server.get("/v1/marks")["rows"]))
    fresh = f"sqlite:///{desk.folder}/marks.db"
    set_up(desk.folder, fresh)
    done = riskengine("load", "marks", desk.saved("/v1/marks?format=csv"), "--store", fresh, "--json")
    assert (done.exit_code, json.loads(done.stdout)["inserted"]) == (0, 1)
    assert "3 lines without price and ts passed over" in done.stderr


def test_a_refused_line_loads_once_it_is_mended(desk: Desk) -> None:
    store = f"sqlite:///{desk.folder}/mended.db"
    set_up(desk.folder, store)
    bad, refused = desk.folder / "bad.csv", desk.folder / "refused.csv"
    bad.write_text(TRADES.replace(",buy,", ",long,").replace(",sell,", ",short,").replace(",33.33,", ",-33.33,"))
    first = riskengine("load", "trades", bad, "--store", store, "--refused", refused)
    assert first.exit_code == 1
    with refused.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["reason"].partition(":")[0] for row in rows] == ["side"] * 6 + ["parked"]
    assert {row["trade_id"] for row in rows} == {"'-77", "'=1+1", "77", "78", "'+79"}, "safe to open in a spreadsheet"
    assert [row["quantity"] for row in rows if row["instrument"] == "'=C"] == ["-33.33"], "a number stays one"
    mended = refused.read_text().replace(",long,", ",buy,").replace(",short,", ",sell,").replace("-33.33", "33.33")
    refused.write_text(mended)
    done = riskengine("load", "trades", refused, "--store", store, "--json")
    counts = json.loads(done.stdout)
    assert (done.exit_code, counts["inserted"], counts["duplicate"]) == (0, 6, 1), done.stderr
    assert digest(store) == digest(desk.store)


def is_name(text: str) -> bool:
    try:
        return bool(name(text, "name"))
    except Rejected:
        return False


nasty = st.one_of(
    st.text(min_size=1, max_size=12),
    st.text(alphabet="'=+-@,\";1a\u2212\uff1d", min_size=1, max_size=6),
).filter(is_name)


@given(names_of=st.lists(nasty, min_size=5, max_size=5), quantity=st.integers(1, 10**17), price=st.integers(-(10**17), 10**17))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_trade_of_any_names_and_numbers_is_the_same_trade_when_it_is_read_back(tmp_path, names_of, quantity, price):
    source, trade_id, desk, dealer, symbol = names_of
    future = Instrument(instrument=symbol, kind=Kind.FUTURE, quote_currency="USD", expiry="2030-01-01", quantity_decimals=10)
    where = Reference([Node(node="ALL"), Node(node=desk, parent="ALL")] if desk != "ALL" else [Node(node="ALL")], [future], "USD")
    check: TradeCheck = trade_check(where)
    sent = TradeInput(
        trade_id=trade_id,
        source=source,
        ts=1_772_618_400_000_000,
        instrument=symbol,
        desk=desk,
        dealer=dealer,
        side="buy",
        quantity=Decimal(quantity).scaleb(-10),
        price=Decimal(price).scaleb(-10),
    )
    trade = check(sent, 7, "file")
    path = tmp_path / "trades.csv"
    record = trade_record(trade, exact=True) | {"store_seq": 1}
    path.write_bytes(b"".join(csv_slices(names(TRADE), [record], lambda row: row)))
    [(_, back)] = read_trades(str(path), ColumnOptions(), check, 7)
    assert back == trade

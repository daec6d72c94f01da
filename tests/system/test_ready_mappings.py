"""The ready mappings: each export of `broker-exports` loads as it is, and positions, cash and fees are those expected."""

import json
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from riskengine.files.mappings.mapping import read_mapping, shipped_names
from riskengine.rebuild.rebuild import rebuild
from riskengine.records.fields import to_text
from riskengine.snapshot.holdings import holding_lines, read_holdings
from riskengine.store.open_store import open_store
from riskengine.store.tables.bulk_trades import read_trades
from tests.cli.commands import riskengine
from tests.exports import EXPORTS, INSTRUMENTS, NODES
from tests.world import config

NOW = 1_795_000_000_000_000
"""A moment after all rows of the exports: 18 November 2026."""

WITH_A_DESK = ("excel_blotter_de",)


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store with the reference data of the exports."""
    url = f"sqlite:///{tmp_path}/desk.db"
    for kind, text in (("nodes", NODES), ("instruments", INSTRUMENTS)):
        (tmp_path / f"{kind}.csv").write_text(text)
        assert riskengine("load", kind, tmp_path / f"{kind}.csv", "--store", url).exit_code == 0
    return url


def held(url: str) -> dict[str, Any]:
    """What an engine that starts from a store holds: by instrument, fees by currency, and how many trades."""
    with closing(open_store(url)) as opened:
        engine = rebuild(opened, read_trades(opened), config(), epoch=1, now=NOW)
    root = read_holdings(holding_lines(engine.snapshot, {})).nodes["ALL"]
    fees: dict[str, Decimal] = {}
    for holding in root.values():
        for currency, units in holding.fees.items():
            fees[currency] = fees.get(currency, Decimal(0)) + Decimal(units).scaleb(-10)
    found: dict[str, Any] = {
        instrument: {"quantity": Decimal(holding.quantity).scaleb(-10), "net_cash": Decimal(holding.cash).scaleb(-28)}
        for instrument, holding in root.items()
    }
    return found | {"fees": fees, "trades": sum(holding.trades for holding in root.values())}


@pytest.mark.parametrize("export", EXPORTS)
def test_an_export_loads_as_it_is(export: str, store: str, shared_data: Path) -> None:
    folder = shared_data / "broker-exports"
    expected = json.loads((folder / "expected.json").read_text(), parse_float=Decimal)[export]
    expected.pop("note", None)
    words: list[str | Path] = ["load", "trades", folder / f"{export}.csv", "--mapping", export, "--store", store]
    if export not in WITH_A_DESK:
        words += ["--set", "desk=EQ1"]

    done = riskengine(*words)
    assert done.exit_code == 0, done.stderr
    assert held(store) == expected

    again = riskengine(*words, "--json")
    counts = json.loads(again.stdout)
    assert (counts["inserted"], counts["duplicate"], counts["conflict"]) == (0, expected["trades"], 0)


def test_every_export_has_a_ready_mapping_of_its_name() -> None:
    assert set(EXPORTS) <= set(shipped_names())


def test_every_ready_mapping_is_valid() -> None:
    for name in shipped_names():
        assert read_mapping(name).kind in ("trades", "positions", "statement")


def loaded(store: str, folder: Path, name: str, text: str) -> dict[str, Any]:
    """What a store holds once a text has been loaded by a ready mapping."""
    (folder / "export.csv").write_text(text)
    done = riskengine("load", "trades", folder / "export.csv", "--mapping", name, "--store", store, "--set", "desk=EQ1")
    assert done.exit_code == 0, done.stderr
    return held(store)


FLEX = "Symbol,DateTime,Buy/Sell,Quantity,TradePrice,IBCommission,IBCommissionCurrency,CurrencyPrimary,TradeID,SettleDateTarget"


def test_a_cancel_of_interactive_brokers_takes_back_the_trade_that_it_names(store: str, tmp_path: Path) -> None:
    text = f"""{FLEX},OrigTradeID
AAPL,20261102;093015,BUY,100,268.5,-1,USD,USD,700000001,20261103,
AAPL,20261102;093015,BUY,50,268.5,-1,USD,USD,700000002,20261103,
AAPL,20261102;101500,BUY (Ca.),-100,268.5,1,USD,USD,700000009,20261103,700000001
"""
    found = loaded(store, tmp_path, "ibkr_flex_trades", text)
    assert found["AAPL"]["quantity"] == 50
    assert found["fees"] == {"USD": 1}


def test_of_interactive_brokers_executions_count_and_taxes_are_fees(store: str, tmp_path: Path) -> None:
    text = f"""{FLEX},LevelOfDetail,Taxes
AAPL,20261102;093015,BUY,100,268.5,-1,USD,USD,,20261103,ORDER,-0.5
AAPL,20261102;093015,BUY,100,268.5,-1,USD,USD,700000001,20261103,EXECUTION,-0.5
AAPL,20261102;093015,BUY,100,268.5,-1,USD,USD,700000001,20261103,CLOSED_LOT,0
"""
    found = loaded(store, tmp_path, "ibkr_flex_trades", text)
    assert (found["trades"], found["fees"]) == (1, {"USD": Decimal("1.5")})


def test_a_word_of_interactive_brokers_that_nobody_knows_is_refused(store: str, tmp_path: Path) -> None:
    (tmp_path / "export.csv").write_text(f"{FLEX}\nAAPL,20261102;093015,BUY (Co.),100,268.5,-1,USD,USD,7,20261103\n")
    words = ("--mapping", "ibkr_flex_trades", "--store", store, "--set", "desk=EQ1")
    done = riskengine("load", "trades", tmp_path / "export.csv", *words)
    assert done.exit_code == 1
    assert "Buy/Sell: fits the conditions of none of the records: Buy/Sell 'BUY (Co.)'" in done.stderr


def test_an_open_position_of_metatrader_is_one_deal(store: str, tmp_path: Path) -> None:
    text = (
        "Time;Position;Symbol;Type;Volume;Price;S / L;T / P;Time;Price;Commission;Swap;Profit\n"
        "2026.11.02 10:00:00;900001;EURUSD;buy;0.50;1.08420;;;;;-3.50;0.00;\n"
    )
    found = loaded(store, tmp_path, "mt5_history", text)
    assert (found["trades"], found["EURUSD"]["quantity"]) == (1, 50_000)


def test_a_price_of_coinbase_in_another_currency_than_the_instrument_is_refused(
    store: str, shared_data: Path, tmp_path: Path
) -> None:
    text = (
        (shared_data / "broker-exports" / "coinbase.csv")
        .read_text()
        .replace("€3343.11229989,€835.77807", "$3343.11229989,€835.77807")
    )
    (tmp_path / "export.csv").write_text(text)
    done = riskengine("load", "trades", tmp_path / "export.csv", "--mapping", "coinbase", "--store", store, "--set", "desk=EQ1")
    assert done.exit_code == 1
    assert "currency: is 'USD', and ETHEUR is dealt in EUR" in done.stderr


@pytest.mark.parametrize("export", EXPORTS)
def test_another_export_is_no_file_of_a_mapping(export: str, store: str, shared_data: Path) -> None:
    for name in EXPORTS:
        if name != export:
            path = shared_data / "broker-exports" / f"{export}.csv"
            done = riskengine("load", "trades", path, "--mapping", name, "--store", store, "--set", "desk=EQ1", "--json")
            counts = json.loads(done.stdout)
            assert (done.exit_code, counts["lines"], counts["inserted"]) == (1, 0, 0)
            assert "is it the mapping of this file" in done.stderr


PRIME = """HDR20261130PRIME BROKER POSITIONS
DACC00001US0378331005    L000015000000000026850000USD
DACC00001GB00B03MLX29    S000004000000000002710500GBP
TRL000002
"""
PRIME_MAPPING = """kind = "positions"
where = { type = "D" }
set = { desk = "EQ1", ts = "2026-11-30T22:00:00Z" }
columns = { instrument = "isin", quantity = "quantity", average_price = "price" }
[fixed]
type = "1"
isin = "10-21"
side = "26"
quantity = "27-38"
price = "39-50"
[numbers]
average_price = { multiply = 0.00001 }
[[records]]
where = { side = "L" }
numbers = { quantity = { multiply = 0.0001 } }
[[records]]
where = { side = "S" }
numbers = { quantity = { multiply = 0.0001, negate = true } }
"""


def test_a_fixed_width_file_of_positions_loads_by_twenty_lines(store: str, tmp_path: Path) -> None:
    assert len(PRIME_MAPPING.splitlines()) <= 20
    (tmp_path / "prime.toml").write_text(PRIME_MAPPING)
    (tmp_path / "prime.txt").write_text(PRIME)
    (tmp_path / "more.csv").write_text("instrument,kind,quote_currency\nUS0378331005,equity,USD\nGB00B03MLX29,equity,GBP\n")
    assert riskengine("load", "instruments", tmp_path / "more.csv", "--store", store).exit_code == 0
    words = ("--mapping", tmp_path / "prime.toml", "--store", store)
    done = riskengine("load", "positions", tmp_path / "prime.txt", *words)
    assert done.exit_code == 0, done.stderr
    with closing(open_store(store)) as opened:
        found = {each.instrument: (to_text(each.quantity), to_text(each.average_price)) for each in opened.openings()}
    assert found == {"US0378331005": ("1500", "268.5"), "GB00B03MLX29": ("-400", "27.105")}

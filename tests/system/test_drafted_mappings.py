"""Drafted mappings of real layouts: once a person has answered their questions, the trades are those that were dealt."""

import json
import re
import sqlite3
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.commands import riskengine
from tests.exports import INSTRUMENTS, NODES

ALIAS = "XXBTZEUR,BTCEUR\nETH,ETHEUR\n"

ANSWERS: dict[str, dict[str, str]] = {
    "binance_spot": {"desk": "FX1"},
    "coinbase": {"desk": "FX1"},
    "degiro_transactions": {"desk": "FX1", "zone": "Europe/Amsterdam"},
    "excel_blotter_de": {"zone": "Europe/Berlin"},
    "ibkr_flex_trades": {"desk": "FX1", "zone": "America/New_York"},
    "kraken_trades": {"desk": "FX1", "zone": "UTC", "fees_currency": "EUR"},
    "mt5_history": {"desk": "FX1", "zone": "Europe/Athens", "fees_currency": "USD", "multiply": "100000"},
    "xtb_cash": {"desk": "FX1", "zone": "Europe/Warsaw"},
}
"""What a person answers to the questions of each draft. All other lines stay as they were drafted."""


def answered(draft: str, answers: dict[str, str]) -> str:
    """The draft with its questions answered: each answer takes the place of the line that is commented out."""
    for key, answer in answers.items():
        value = answer if answer.isdigit() else f'"{answer}"'
        draft, count = re.subn(rf"^# {key} = .*$", f"{key} = {value}", draft, flags=re.MULTILINE)
        assert count == 1, f"the draft does not ask for {key}"
    return draft


def traded(database: Path) -> dict[str, object]:
    """Quantity and net cash by instrument, fees by currency, of all stored trades."""
    quantity: dict[str, Decimal] = defaultdict(Decimal)
    cash: dict[str, Decimal] = defaultdict(Decimal)
    fees: dict[str, Decimal] = defaultdict(Decimal)
    connection = sqlite3.connect(database)
    rows = connection.execute(
        "SELECT trades.instrument, side, quantity, price, contra_amount, fees, fees_currency, multiplier"
        " FROM trades JOIN instruments USING (instrument)"
    ).fetchall()
    connection.close()
    for instrument, side, amount, price, contra, fee, currency, multiplier in rows:
        sign = 1 if side == "buy" else -1
        dealt, multiple = Decimal(str(amount)), Decimal(str(multiplier))
        quantity[instrument] += sign * dealt
        cash[instrument] -= sign * (Decimal(str(contra)) if contra is not None else multiple * dealt * Decimal(str(price)))
        fees[currency] += Decimal(str(fee))
    held: dict[str, object] = {name: {"quantity": quantity[name], "net_cash": cash[name]} for name in quantity}
    return held | {"fees": {name: fee for name, fee in fees.items() if fee}, "trades": len(rows)}


@pytest.mark.parametrize("export", ANSWERS)
def test_the_trades_of_a_drafted_mapping_are_those_that_were_dealt(export: str, shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "broker-exports"
    expected = json.loads((folder / "expected.json").read_text(), parse_float=Decimal)[export]
    expected.pop("note", None)
    if export == "degiro_transactions":  # the broker's exchange of currency is a question that takes a person's records to answer
        expected |= {"trades": 2}
        expected.pop("EURUSD")
    url = f"sqlite:///{tmp_path}/desk.db"
    for name, text in (("nodes.csv", NODES), ("instruments.csv", INSTRUMENTS), ("alias.csv", ALIAS)):
        (tmp_path / name).write_text(text)
    for kind in ("nodes", "instruments"):
        assert riskengine("load", kind, tmp_path / f"{kind}.csv", "--store", url).exit_code == 0

    draft = riskengine("draft-mapping", folder / f"{export}.csv", "--store", url).stdout
    (tmp_path / "draft.toml").write_text(answered(draft, ANSWERS[export]), encoding="utf-8")
    words: list[str | Path] = [folder / f"{export}.csv", "--mapping", tmp_path / "draft.toml", "--alias", tmp_path / "alias.csv"]
    done = riskengine("load", "trades", *words, "--store", url)

    assert done.exit_code == 0, done.stderr
    assert traded(tmp_path / "desk.db") == expected

"""`riskengine load vols` and `load rates`: counts of every outcome, near names, dry runs, refused lines."""

import csv
import datetime as dt
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from riskengine.records.option_inputs import OptionInput, RateRow, SurfaceRow, Vol
from riskengine.records.types import Instrument, Kind
from riskengine.store.open_store import open_store
from tests.cli.commands import riskengine
from tests.store_book import INSTRUMENTS, NODES

TS = "2026-11-20T12:00:00Z"
EXPIRY = (dt.datetime.now(dt.UTC).date() + dt.timedelta(days=400)).isoformat()
VOLS = "instrument,pair,expiry,ts,vol,atm\n"
RATES = "currency,underlying,pair,date,ts,rate,df,points\n"
OPTION = Instrument(
    instrument="ECALL",
    kind=Kind.FX_OPTION,
    base_currency="EUR",
    quote_currency="USD",
    option_type="call",
    strike="1.1",
    expiry=EXPIRY,
    exercise="european",
    premium_style="quote",
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/desk.db"
    with closing(open_store(url)) as store:
        store.save_nodes(NODES)
        store.save_instruments([*INSTRUMENTS, OPTION])
    return url


def load(url: str, kind: str, text: str, *more: str | Path, folder: Path) -> Any:
    path = folder / f"{kind}.csv"
    path.write_text(text)
    return riskengine("load", kind, path, "--store", url, *more)


def stored(url: str) -> list[OptionInput]:
    with closing(open_store(url)) as store:
        return store.option_inputs()


def counts(done: Any) -> dict[str, int]:
    said = json.loads(done.stdout)
    return {name: said[name] for name in ("inserted", "updated", "duplicate", "superseded", "refused") if said.get(name)}


def test_vols_of_options_and_surfaces_are_stored_and_every_outcome_is_counted(url: str, tmp_path: Path) -> None:
    rows = f"{VOLS}ECALL,,,{TS},0.08,\n,EURUSD,{EXPIRY},{TS},,0.075\n"
    assert counts(load(url, "vols", rows, "--json", folder=tmp_path)) == {"inserted": 2}
    assert {type(row) for row in stored(url)} == {Vol, SurfaceRow}
    newer = f"ECALL,,,2026-11-20T13:00:00Z,0.09,\nECALL,,,{TS},0.07,\n"
    assert counts(load(url, "vols", rows + newer, "--json", folder=tmp_path)) == {"updated": 1, "duplicate": 2, "superseded": 1}
    assert [row.vol for row in stored(url) if isinstance(row, Vol)] == [0.09]


def test_rates_of_every_kind_are_stored(url: str, tmp_path: Path) -> None:
    rows = (
        f"USD,,,{EXPIRY},{TS},0.04,,\nEUR,,,{EXPIRY},{TS},,0.97,\n,ESZ6,,{EXPIRY},{TS},0.01,,\n,,EURUSD,{EXPIRY},{TS},,,0.012\n"
    )
    assert counts(load(url, "rates", RATES + rows, "--json", folder=tmp_path)) == {"inserted": 4}
    assert sorted((row.kind, row.subject) for row in stored(url) if isinstance(row, RateRow)) == [
        ("df", "EUR"),
        ("points", "EURUSD"),
        ("rate", "USD"),
        ("yield", "ESZ6"),
    ]


def test_a_line_that_does_not_fit_is_refused_and_kept_for_correction(url: str, tmp_path: Path) -> None:
    bad = tmp_path / "refused.csv"
    done = load(
        url, "vols", f"{VOLS}ECALL,,,{TS},30,\nECALX,,,{TS},0.1,\nECALL,,,{TS},0.08,\n", "--refused", bad, folder=tmp_path
    )
    assert done.exit_code == 1
    near = "unknown instrument 'ECALX': did you mean 'ECALL'? (--alias FILE gives their names ours)"
    assert done.stderr.splitlines() == [
        f"{tmp_path}/vols.csv:2: vol: is above 5: a vol is a fraction, 0.0825 is 8.25 %: '30'",
        f"{tmp_path}/vols.csv:3: instrument: {near}",
    ]
    with bad.open() as file:
        assert [row["vol"] for row in csv.DictReader(file)] == ["30", "0.1"]
    assert len(stored(url)) == 1


def test_an_unknown_currency_is_told_with_the_near_one(url: str, tmp_path: Path) -> None:
    done = load(url, "rates", f"{RATES}USDD,,,{EXPIRY},{TS},0.04,,\n", folder=tmp_path)
    assert "currency: no instrument has the currency 'USDD': did you mean 'USD'?" in done.stderr


def test_a_dry_run_stores_nothing_and_counts_as_the_load_would(url: str, tmp_path: Path) -> None:
    rows = f"{VOLS}ECALL,,,{TS},0.08,\nECALL,,,{TS},0.08,\n"
    assert counts(load(url, "vols", rows, "--json", "--dry-run", folder=tmp_path)) == {"inserted": 1, "duplicate": 1}
    assert stored(url) == []


def test_a_file_without_a_column_that_says_what_it_is_about_is_refused_whole(url: str, tmp_path: Path) -> None:
    done = load(url, "rates", f"date,ts,rate\n{EXPIRY},{TS},0.04\n", folder=tmp_path)
    assert "lacks currency or underlying or pair" in done.stderr


@pytest.mark.parametrize(("kind", "unit"), [("vols", "8.25 %"), ("rates", "ACT/365")])
def test_the_help_of_a_kind_explains_its_columns(kind: str, unit: str) -> None:
    text = riskengine("load", kind, "--help").stdout
    assert f"Columns of {kind}" in text
    assert unit in text

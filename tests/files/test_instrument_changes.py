"""Loading instruments: underlyings that must be known, and changes of what trades are worth."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from riskengine.clock import ManualClock
from riskengine.files.loading import LoadReport, Target, load
from riskengine.files.near_names import NearNames
from riskengine.files.records import ColumnOptions
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from tests.store_book import Outside
from tests.world import NOON, config

HEADER = "instrument,kind,quote_currency,base_currency,underlying,option_type,strike,expiry,premium_style,exercise,multiplier\n"
ACME = "ACME,equity,USD,,,,,,,,1\n"
PAIR = "EURUSD,fx,USD,EUR,,,,,,,1\n"
OPTION = "ACME-C,equity_option,USD,,ACME,call,50,2027-06-18,,,100\n"
FX = "EC,fx_option,USD,EUR,EURUSD,call,1.1,2027-06-18,{style},{exercise},1\n"


@dataclass
class House:
    """A store and what loading instruments into it says."""

    url: str
    store: Store
    folder: Path
    refused: list[str] = field(default_factory=list)

    def load(self, rows: str, *, accept: bool = False) -> LoadReport:
        path = self.folder / "instruments.csv"
        path.write_text(HEADER + rows)
        self.refused.clear()
        report = LoadReport(lambda _, one: self.refused.append(f"{one.index} {one.text}"), lambda _: None, print)
        names = NearNames({"underlying": lambda: [each.instrument for each in self.store.instruments()]})
        options = ColumnOptions(near=names.hint)
        load("instruments", [str(path)], options, Target(self.store, config(), ManualClock(NOON), report, accept_changes=accept))
        return report

    def trade(self, symbol: str) -> None:
        program = Outside(self.url)
        program.execute("INSERT INTO nodes (node) VALUES ('FX1')")
        program.book(instrument=symbol)
        program.close()


@pytest.fixture
def house(tmp_path: Path) -> House:
    url = f"sqlite:///{tmp_path}/engine.db"
    return House(url, open_store(url), tmp_path)


def test_an_option_may_stand_before_its_underlying_in_a_file(house: House) -> None:
    assert house.load(OPTION + ACME).counts["inserted"] == 2


def test_an_option_on_an_instrument_of_the_store_is_taken(house: House) -> None:
    house.load(ACME)
    assert house.load(OPTION).is_clean


def test_an_unknown_underlying_is_refused_with_the_near_one(house: House) -> None:
    house.load(ACME)
    house.load(OPTION.replace(",ACME,", ",ACNE,") + PAIR)
    assert house.refused == [
        "2 underlying: unknown instrument 'ACNE': did you mean 'ACME'? (--alias FILE gives their names ours)"
    ]


def test_another_unit_of_the_price_of_a_traded_option_is_refused_unless_accepted(house: House) -> None:
    house.load(PAIR + FX.format(style="quote", exercise=""))
    house.trade("EC")
    house.load(FX.format(style="pips", exercise=""))
    assert house.refused[0].startswith("2 premium_style: EC has trades or balances, and their worth would change: premium_style")
    assert house.load(FX.format(style="pips", exercise=""), accept=True).counts["updated"] == 1


def test_another_exercise_of_a_traded_option_is_refused(house: House) -> None:
    house.load(PAIR + FX.format(style="", exercise=""))
    house.trade("EC")
    house.load(FX.format(style="", exercise="american"))
    assert "exercise european -> american" in house.refused[0]


def as_an_older_version_stored_it(house: House, style: str) -> None:
    program = Outside(house.url)
    program.execute("UPDATE instruments SET exercise = '', premium_style = ? WHERE instrument = 'EC'", (style,))
    program.close()


@pytest.mark.parametrize("style", ["", "quote"])
def test_an_older_option_is_completed_where_its_price_keeps_its_unit(house: House, style: str) -> None:
    house.load(PAIR + FX.format(style="", exercise=""))
    house.trade("EC")
    as_an_older_version_stored_it(house, style)
    report = house.load(FX.format(style=style, exercise=""))
    assert (report.is_clean, report.counts["updated"]) == (True, 1)


def test_a_style_that_an_older_version_did_not_use_takes_a_word_to_come_into_use(house: House) -> None:
    house.load(PAIR + FX.format(style="", exercise=""))
    house.trade("EC")
    as_an_older_version_stored_it(house, "pips")
    house.load(FX.format(style="pips", exercise=""))
    assert "exercise empty -> european" in house.refused[0]
    assert house.load(FX.format(style="pips", exercise=""), accept=True).counts["updated"] == 1

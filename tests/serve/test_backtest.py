"""`/v1/var/backtest` as a client sees it."""

from typing import Any

import pytest

from riskengine.serve.app import create_app
from tests.scenarios_data import stored, walks
from tests.serve.guarded import Guarded
from tests.serve.stand_in import MIDS, StandIn, ask
from tests.struck import a_close
from tests.world import INSTRUMENTS


def test_stored_closes_are_rows_with_a_verdict_beside_them() -> None:
    house, closes = StandIn(), walks(MIDS, 300)
    dates = sorted({close.date for close in closes})
    house.workbench.take_closes(stored(closes))
    for date in dates[-4:]:
        house.struck[date] = a_close(date=date)
    told = ask(create_app(house), "/v1/var/backtest", {"node": "FX"}).json()
    assert [(row["date"], row["next_date"]) for row in told["rows"]] == list(zip(dates[-4:-1], dates[-3:], strict=True))
    assert all(row["var"] > 0.0 and row["exception"] is (-row["pnl"] > row["var"]) for row in told["rows"])
    assert [row["left_out"] for row in told["rows"]] == [1] * 3, f"BTCUSD is none of {len(INSTRUMENTS)}"
    exceptions = sum(row["exception"] for row in told["rows"])
    assert (told["days"], told["exceptions"], told["node"]) == (3, exceptions, "FX")
    assert told["expected"] == pytest.approx(0.03)
    assert told["light"] is None, "three days say nothing"


def test_without_stored_closes_there_are_no_rows_and_no_verdict() -> None:
    told = ask(create_app(StandIn()), "/v1/var/backtest").json()
    assert (told["rows"], told["days"], told["kupiec"], told["light"]) == ([], 0, None, None)


def test_a_token_sees_the_backtest_of_its_own_nodes_alone(tmp_path: Any) -> None:
    house = Guarded(tmp_path).with_trades()
    assert house.ask("dealer", "/v1/var/backtest", {"node": "OURDESK"}).status == 200
    assert [house.ask("dealer", "/v1/var/backtest", {"node": node}).status for node in ("ALL", "ZETADESK", "nobody")] == [403] * 3

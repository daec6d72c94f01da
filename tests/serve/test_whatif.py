"""`POST /v1/whatif` as a client sees it: before and after, and every fault with its place and field."""

from typing import Any

import pytest
from starlette.types import ASGIApp

from riskengine.config import Config, ScenariosConfig
from riskengine.records.scenario_shifts import ScenarioShift
from riskengine.records.types import Close
from riskengine.serve.app import create_app
from tests.scenarios_data import stored, walks
from tests.serve.guarded import Guarded
from tests.serve.stand_in import MIDS, StandIn, ask, newest, post, problem
from tests.world import NOON, mark_settings, row

DEALS = (
    row("1", quantity="1000000", price="1.19"),
    row("2", desk="FX2", instrument="GBPUSD", quantity="500000", price="1.51", side="sell"),
    row("3", desk="EQ1", instrument="ACME", quantity="2000", price="41"),
)
BUY = {"instrument": "EURUSD", "desk": "FX1", "side": "buy", "quantity": 1000, "price": 1.1}


@pytest.fixture(scope="module")
def gateway() -> StandIn:
    house = StandIn(config=Config(marks=mark_settings(), scenarios=ScenariosConfig(max_trades=200)))
    app = create_app(house)
    assert post(app, "/v1/trades", list(DEALS)).json()["counts"]["applied"] == len(DEALS)
    ticks = [{"instrument": name, "ts": NOON, "mid": mid, "source": "feed"} for name, mid in MIDS.items()]
    assert post(app, "/v1/ticks", ticks).json()["accepted"] == len(MIDS)
    shocked = [Close("2016-06-23", "GBPUSD", 1.50), Close("2016-06-24", "GBPUSD", 1.35)]
    falls = [
        ScenarioShift(scenario="euro falls", factor="spot", currency="EUR", relative=-0.1),
        ScenarioShift(scenario="euro falls", factor="spot", instrument="ACME", absolute=-4.0),
    ]
    house.workbench.take_closes(stored(walks(MIDS, 300) + shocked)._replace(loaded={"euro falls": falls}))
    return house


@pytest.fixture(scope="module")
def app(gateway: StandIn) -> ASGIApp:
    return create_app(gateway)


def told(app: ASGIApp, **body: Any) -> dict[str, Any]:
    answer = post(app, "/v1/whatif", body)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json()
    return found


def faults(app: ASGIApp, **body: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = problem(post(app, "/v1/whatif", body), 400)["errors"]
    return found


def test_trades_and_shifts_change_what_they_say_and_the_snapshot_stays(gateway: StandIn, app: ASGIApp) -> None:
    before = ask(app, "/v1/nodes/ALL").json()
    found = told(
        app,
        nodes=["ALL", "FX1"],
        trades=[BUY],
        shifts=[{"instrument": "EURUSD", "relative": 0.1}],
    )
    assert [each["node"] for each in found["rows"]] == ["ALL", "FX1"]
    for told_of in found["rows"]:
        assert told_of["change"]["total_pnl"] == pytest.approx(1_000_000 * 0.12 + 1_000 * (1.32 - 1.1))
    assert (found["seq"], found["trades"], found["unvalued"]) == (newest(gateway).seq, 1, [])
    assert ask(app, "/v1/nodes/ALL").json() == before


def test_without_nodes_it_is_about_the_root_and_without_changes_nothing_changes(app: ASGIApp) -> None:
    [whole] = told(app)["rows"]
    assert whole["node"] == "ALL"
    assert whole["before"] == whole["after"]


def test_a_currency_moves_against_all_others(app: ASGIApp) -> None:
    found = told(app, shifts=[{"currency": "GBP", "relative": -0.1}])
    assert found["rows"][0]["change"]["total_pnl"] == pytest.approx(500_000 * 1.5 * 0.1)


def test_a_grid_has_a_row_for_each_cell_and_its_middle_is_after(app: ASGIApp) -> None:
    found = told(app, nodes=["FX1"], grid={"spot": [-0.1, 0, 0.1], "instrument": "EURUSD"})
    assert [(cell["spot"], cell["vol"]) for cell in found["grid"]] == [(-0.1, 0.0), (0.0, 0.0), (0.1, 0.0)]
    assert [cell["change"] for cell in found["grid"]] == pytest.approx([-120_000.0, 0.0, 120_000.0])


def test_a_historical_shock_moves_what_it_has_closes_of_and_names_what_stands_still(app: ASGIApp) -> None:
    found = told(app, shock="2016-06-24")
    assert found["rows"][0]["change"]["total_pnl"] == pytest.approx(500_000 * 1.5 * 0.1)
    assert [each["instrument"] for each in found["unshifted"]] == ["ACME", "EURUSD"]
    assert found["unshifted"][0]["reason"] == "the store lacks a close of 2016-06-23 or 2016-06-24"


def test_a_loaded_scenario_is_its_shifts_in_their_order(app: ASGIApp) -> None:
    found = told(app, shock="euro falls")
    assert found["shock"] == "euro falls"
    assert found["rows"][0]["change"]["total_pnl"] == pytest.approx(-1_000_000 * 0.12 - 2_000 * 4.0)


def test_var_stands_beside_both_where_it_is_asked_for(app: ASGIApp) -> None:
    [whole] = told(app, trades=[BUY | {"quantity": 5_000_000}], var=True)["rows"]
    assert whole["before"]["var"] == pytest.approx(ask(app, "/v1/var").json()["var"], rel=1e-12)
    assert whole["change"]["var"] == pytest.approx(whole["after"]["var"] - whole["before"]["var"])
    assert whole["after"]["var"] > whole["before"]["var"]


def test_a_forward_that_nobody_holds_yet_is_valued_and_counts_as_unpriced_without_points(app: ASGIApp) -> None:
    [found] = told(app, nodes=["FX1"], trades=[BUY | {"value_date": "2026-09-04"}])["rows"]
    assert (found["change"]["position_count"], found["change"]["unpriced_count"]) == (1, 1)
    [spot] = told(app, nodes=["FX1"], trades=[BUY | {"value_date": "2026-03-06"}])["rows"]
    assert spot["change"]["unpriced_count"] == 0


def test_limits_stand_beside_with_headroom_before_and_after(app: ASGIApp) -> None:
    limits = [
        {"limit_id": "NET", "measure": "net_exposure", "node": "FX1", "limit": 1_300_000},
        {"limit_id": "RISK", "measure": "var", "node": "FX1", "limit": 1e6},
        {"limit_id": "ELSEWHERE", "measure": "net_exposure", "node": "EQ1", "limit": 1},
        {"limit_id": "BAND", "measure": "price_band", "node": "FX1", "limit": 1},
    ]
    assert post(app, "/v1/limits", limits).json()["counts"]["applied"] == len(limits)
    found = told(app, nodes=["FX1"], limits=True, trades=[BUY | {"quantity": 100_000}])
    rows = {row["limit_id"]: row for row in found["limits"]}
    assert set(rows) == {"NET", "RISK"}
    net = rows["NET"]
    assert (net["before"], net["after"]) == (pytest.approx(1_200_000.0), pytest.approx(1_320_000.0))
    assert (net["headroom_before"], net["headroom_after"]) == (pytest.approx(100_000.0), pytest.approx(-20_000.0))
    assert (net["state_before"], net["state_after"], net["outcome"]) == ("warning", "breach", "refuse")
    assert (rows["RISK"]["before"], rows["RISK"]["state_before"]) == (None, "unknown"), "no figure stands here"
    assert rows["RISK"]["after"] == pytest.approx(found["rows"][0]["after"]["var"])
    assert told(app, nodes=["FX1"])["limits"] == []


def test_margin_stands_beside_before_and_after(app: ASGIApp) -> None:
    rules = [
        {"rule_id": "REG", "kind": "reg_t", "node": "EQ1"},
        {"rule_id": "GRID", "kind": "scenario", "node": "EQ1", "price_shifts": "-10 0 10"},
        {"rule_id": "OTHER", "kind": "reg_t", "node": "FX1"},
    ]
    assert post(app, "/v1/margin", rules).json()["counts"]["applied"] == len(rules)
    buys = [{"instrument": "ACME", "desk": "EQ1", "side": "buy", "quantity": 1_000, "price": 40}]
    fall = [{"instrument": "ACME", "relative": -0.5}]
    found = {row["rule_id"]: row for row in told(app, nodes=["EQ1"], margin=True, trades=buys, shifts=fall)["margin"]}
    assert set(found) == {"REG", "GRID"}
    price = MIDS["ACME"]
    before, after = found["REG"]["before"], found["REG"]["after"]
    assert (before["requirement"], after["requirement"]) == (41_000.0, 61_000.0), "half of cost"
    assert (before["market_value"], after["market_value"]) == (2_000 * price, 3_000 * price / 2)
    assert after["available_cash"] == before["available_cash"] - 40_000.0
    assert after["call"] == pytest.approx(max(0.0, 0.25 * after["market_value"] - after["equity"]))
    assert found["GRID"]["before"]["requirement"] == pytest.approx(200 * price)
    assert found["GRID"]["after"]["requirement"] == pytest.approx(150 * price)
    plain = {row["rule_id"]: row for row in ask(app, "/v1/margin").json()["rows"]}
    assert all(plain["REG"][name] == value for name, value in before.items())


@pytest.mark.parametrize(
    ("body", "index", "field", "reason"),
    [
        ({"trades": [BUY, BUY | {"instrument": "NOTHING"}]}, 1, "trades.instrument", "unknown instrument"),
        ({"trades": [BUY | {"desk": "G10"}]}, 0, "trades.desk", ""),
        ({"trades": [BUY | {"quantity": -5}]}, 0, "trades.quantity", ""),
        ({"trades": [BUY | {"colour": "red"}]}, 0, "trades.colour", ""),
        ({"trades": [BUY | {"action": "cancel"}]}, 0, "trades.action", "must be new"),
        ({"trades": [BUY | {"value_date": "2026-09-05"}]}, 0, "trades.value_date", "is a Saturday"),
        ({"trades": [BUY] * 201}, None, "trades", "are 201, at most 200"),
        ({"trades": [BUY] * 10_000}, None, "trades", "are 10,000, at most 200 in one what-if"),
        ({"shifts": [{"instrument": "EURUSD", "relative": -1}]}, 0, "shifts.relative", "takes the price of EURUSD to 0 or below"),
        ({"shifts": [{"instrument": "ACME", "absolute": -41}]}, 0, "shifts.absolute", "takes the price of ACME to 0 or below"),
        ({"shifts": [{"all": True, "relative": -2}]}, 0, "shifts.relative", "to 0 or below"),
        ({"shifts": [{"currency": "EUR", "relative": -1}]}, 0, "shifts.relative", "takes EUR to 0 or below"),
        ({"shifts": [{"currency": "EUR", "absolute": 1}]}, 0, "shifts.absolute", "say relative"),
        ({"shifts": [{"instrument": "NOTHING", "relative": 0.1}]}, 0, "shifts.instrument", "unknown instrument"),
        ({"shifts": [{"instrument": "GHOST", "relative": 0.1}]}, 0, "shifts.instrument", "has no price"),
        ({"shifts": [{"sector": "none such", "relative": 0.1}]}, 0, "shifts.sector", "no instrument has the sector"),
        ({"shifts": [{"relative": 0.1}]}, 0, "shifts.instrument", "one of instrument, currency, sector and all"),
        ({"shifts": [{"all": True}]}, 0, "shifts.relative", "one of relative and absolute"),
        ({"shifts": [{"factor": "vol", "all": True, "absolute": 0.1}]}, 0, "shifts.factor", "there are no options"),
        ({"shifts": [{"factor": "rate", "currency": "EUR", "relative": 0.1}]}, 0, "shifts.relative", "say absolute"),
        ({"shifts": [{"factor": "rate", "currency": "EUR", "absolute": 4}]}, 0, "shifts.absolute", "0.01 is 1 %"),
        ({"shifts": [{"factor": "rate", "currency": "ABC", "absolute": 0.1}]}, 0, "shifts.currency", "unknown currency"),
        ({"shifts": [{"factor": "gamma"}]}, 0, "shifts.factor", "invalid enum value"),
        ({"grid": {"spot": [0.1, -1]}}, 0, "grid.relative", "to 0 or below"),
        ({"grid": {"spot": [0.01] * 30, "vol": [0.01] * 30}}, None, "grid", "has 900 cells, at most 441"),
        ({"shock": "1987"}, None, "shock", "must be one of '2008-10', '2015-01-15'"),
        ({"nodes": ["ALL"] * 51}, None, "nodes", "at most 50"),
        ({"tarde": []}, None, "body", "unknown field `tarde`"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_every_fault_is_told_with_its_place_and_field(
    app: ASGIApp, body: dict[str, Any], index: int | None, field: str, reason: str
) -> None:
    [fault] = faults(app, **body)
    assert (fault["index"], fault["field"]) == (index, field)
    assert reason in fault["reason"]


def test_all_faulty_trades_are_told_at_once(app: ASGIApp) -> None:
    found = faults(app, trades=[BUY | {"side": "up"}, BUY, BUY | {"price": "x"}])
    assert [(fault["index"], fault["field"]) for fault in found] == [(0, "trades.side"), (2, "trades.price")]


def test_an_unknown_node_is_404_and_a_body_that_is_no_object_400(app: ASGIApp) -> None:
    assert post(app, "/v1/whatif", {"nodes": ["NOBODY"]}).status == 404
    assert post(app, "/v1/whatif", [1]).status == 400


def test_a_token_asks_about_its_own_nodes_with_trades_of_its_own_desks(tmp_path: Any) -> None:
    house = Guarded(tmp_path).with_trades()
    mine = {"instrument": "EURUSD", "side": "buy", "quantity": 5, "price": 1.2, "desk": "OURDESK"}
    assert house.post("dealer", "/v1/whatif", {"nodes": ["OURDESK"], "trades": [mine]}).status == 200
    assert house.post("dealer", "/v1/whatif", {}).status == 403
    for node in ("ALL", "ZETADESK", "nobody"):
        assert house.post("dealer", "/v1/whatif", {"nodes": [node]}).status == 403
    hidden = [
        house.post("dealer", "/v1/whatif", {"nodes": ["OURDESK"], "trades": [mine | {"desk": desk}]}).json()["errors"]
        for desk in ("ZETADESK", "nobody")
    ]
    mine_alone = house.post("dealer", "/v1/whatif", {"nodes": ["OURDESK"], "limits": True, "margin": True}).json()
    shown = {row["line"] for row in mine_alone["limits"]} | {row["rule_id"] for row in mine_alone["margin"]}
    assert shown and not any("zeta" in name for name in shown)
    assert hidden[0] == hidden[1] == [{"index": 0, "field": "trades.desk", "reason": "the token does not show it"}]

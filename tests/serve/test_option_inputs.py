"""`POST /v1/vols`, `/v1/rates` and `/v1/greeks`, and the same in frames of publishers: a bad item costs only itself."""

from pathlib import Path

import pytest
from starlette.types import ASGIApp

from riskengine.serve.app import create_app
from riskengine.serve.routes.option_inputs import MAX_NEAR
from riskengine.serve.stream import ingest
from tests import world
from tests.serve.guarded import Guarded
from tests.serve.stand_in import StandIn, post
from tests.serve.wired import run, talk, wired
from tests.world import NOON

OPTION = {"instrument": "ECALL", "kind": "fx_option", "base_currency": "EUR", "quote_currency": "USD"} | {
    "option_type": "call",
    "strike": "1.1",
    "expiry": "2026-06-18",
    "greeks": "pushed",
}
REFERENCE = world.reference(rows=[*world.INSTRUMENTS, OPTION])
VOL = {"instrument": "ECALL", "ts": NOON, "vol": 0.0825}
SURFACE = {"pair": "EURUSD", "expiry": "2026-06-18", "ts": NOON, "atm": 0.08}
RATE = {"currency": "USD", "date": "2026-06-18", "ts": NOON, "rate": 0.045}
GREEKS = {"instrument": "ECALL", "ts": NOON, "spot": 1.1, "vol": 0.08, "value": 0.02} | {
    "delta": 0.5,
    "gamma": 3,
    "vega": 0.002,
    "theta": -0.0001,
}


@pytest.fixture
def house() -> StandIn:
    return StandIn(REFERENCE)


@pytest.fixture
def app(house: StandIn) -> ASGIApp:
    return create_app(house)


def test_what_is_posted_is_in_force_with_the_next_beat(house: StandIn, app: ASGIApp) -> None:
    for path, rows in (("/v1/vols", [VOL, SURFACE]), ("/v1/rates", [RATE]), ("/v1/greeks", [GREEKS])):
        answer = post(app, path, rows)
        assert (answer.status, answer.json()) == (200, {"accepted": len(rows), "refused": 0, "older": 0, "errors": []})
    market = house.engine.option_market
    assert (market.vols["ECALL"].vol, market.surface_rows("EURUSD")[0].atm) == (0.0825, 0.08)
    assert (market.rate_rows()[0].value, market.greeks["ECALL"].gamma) == (0.045, 3.0)


def test_one_object_is_one_row(house: StandIn, app: ASGIApp) -> None:
    assert post(app, "/v1/vols", VOL).json()["accepted"] == 1
    assert house.engine.option_market.vols["ECALL"].ts == NOON


def test_a_bad_item_is_refused_with_field_and_reason_and_harms_no_other(house: StandIn, app: ASGIApp) -> None:
    rows = [VOL | {"vol": 30}, VOL, 7, VOL | {"instrument": "ECALX"}, VOL | {"voll": 1}, SURFACE | {"atm": -1}]
    answer = post(app, "/v1/vols", rows).json()
    assert (answer["accepted"], answer["refused"], answer["older"]) == (1, 5, 0)
    assert [(each["index"], each["field"], each["reason"]) for each in answer["errors"]] == [
        (0, "vol", "is above 5: a vol is a fraction, 0.0825 is 8.25 %"),
        (2, "", "expected `object`, got `int`"),
        (3, "instrument", "unknown instrument 'ECALX': did you mean ECALL?"),
        (4, "voll", "is not a field of a vol: did you mean vol?"),
        (5, "atm", "must be above 0"),
    ]
    assert house.engine.option_market.vols["ECALL"].vol == 0.0825


def test_an_older_row_is_counted_and_changes_nothing(house: StandIn, app: ASGIApp) -> None:
    post(app, "/v1/rates", RATE)
    answer = post(app, "/v1/rates", [RATE | {"ts": NOON - 1, "rate": 0.01}, RATE]).json()
    assert (answer["accepted"], answer["older"]) == (1, 1)
    assert house.engine.option_market.rate_rows()[0].value == 0.045
    counted = {name: counter._value.get() for name, counter in house.metrics.option_inputs.items()}
    assert counted == {"taken": 0, "older": 0, "refused": 0}, "the live engine counts them where it takes them"


def test_of_many_unknown_names_the_near_one_is_looked_for_a_few_times(app: ASGIApp) -> None:
    errors = post(app, "/v1/rates", [RATE | {"currency": "USX"}] * (MAX_NEAR + 2)).json()["errors"]
    assert sum("did you mean USD?" in each["reason"] for each in errors) == MAX_NEAR
    assert len(errors) == MAX_NEAR + 2


def test_greeks_of_an_option_that_the_model_values_are_refused_by_name(app: ASGIApp) -> None:
    [refused] = post(app, "/v1/greeks", GREEKS | {"instrument": "EURUSD"}).json()["errors"]
    assert (refused["field"], refused["reason"]) == ("instrument", "'EURUSD' is of kind fx, not an option")


@pytest.mark.parametrize("path", ["/v1/vols", "/v1/rates", "/v1/greeks"])
@pytest.mark.parametrize("body", [b"", b"{", b"5", b'"text"', b"null"])
def test_what_is_no_list_of_objects_is_refused_whole(app: ASGIApp, path: str, body: bytes) -> None:
    assert post(app, path, body).status == 400


def test_nothing_is_taken_before_the_engine_is_live(house: StandIn, app: ASGIApp) -> None:
    house.state = "loading"
    assert post(app, "/v1/vols", VOL).status == 503


@pytest.mark.parametrize(("role", "status"), [("feed", 200), ("boss", 200), ("viewer", 403), ("dealer", 403)])
def test_feeds_and_ops_may_send_them(tmp_path: Path, role: str, status: int) -> None:
    house = Guarded(tmp_path)
    rate = {"currency": "USD", "date": "2026-06-18", "ts": NOON, "rate": 0.045}
    assert house.post(role, "/v1/rates", rate).status == status
    noted = [(subject, detail) for kind, subject, detail, _ in house.gateway.noted if kind == "option_inputs"]
    assert noted == ([("/v1/rates", {"accepted": 1, "refused": 0, "older": 0})] if role == "boss" else [])


@pytest.mark.parametrize("path", ["/v1/ingest", "/v1/ingest?encoding=msgpack"])
def test_publishers_send_them_in_frames_and_hear_what_was_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "REPORT_AFTER_S", 0.01)

    async def scenario() -> None:
        async with wired() as engine, talk(engine, path) as client:
            surface = {"pair": "EURUSD", "expiry": "2026-06-18", "ts": NOON, "atm": 0.08}
            await client.say(vols=[surface, surface | {"atm": 8}], rates=[RATE, RATE | {"ts": NOON - 1}])
            told = await client.hear()
            assert told["type"] == "refused"
            assert (told["count"], told["older"]) == (1, 1)
            assert told["errors"] == [
                {"index": 1, "field": "vols.atm", "reason": "is above 5: a vol is a fraction, 0.0825 is 8.25 %"}
            ]
            await client.say(counts=True)
            assert (await client.hear())["inputs"] == {"taken": 2, "older": 1, "refused": 1}
            assert engine.engine.option_market.surface_rows("EURUSD")[0].atm == 0.08

    run(scenario())

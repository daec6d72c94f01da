"""The lights of an engine: red where its writer hangs, its store is away, or its prices say nothing."""

from typing import Any

import pytest

from riskengine.process.alert_lights import Seen, red_lights
from tests.world import SECOND, House, trade


@pytest.fixture
def house() -> House:
    made = House()
    made.deal(trade("a", instrument="ACME", desk="EQ1", quantity="100", price="90"))
    made.marks(ACME=90.0)
    return made


def red(house: House, **what: Any) -> dict[str, str]:
    usual: dict[str, Any] = {
        "state": "live",
        "snapshot": house.beat(),
        "publish_age_ms": 100,
        "tick_age_us": SECOND,
        "stale_after_us": 60 * SECOND,
    }
    return red_lights(Seen(**(usual | what)))


def test_a_sound_engine_has_none(house: House) -> None:
    assert red(house) == {}
    assert red(House(), tick_age_us=None) == {}, "without positions no price is missed"


def test_a_writer_that_hangs_and_a_store_that_is_away(house: House) -> None:
    assert red(house, publish_age_ms=3_400) == {"engine": "the writer has published nothing for 3 s"}
    assert red(house, state="degraded") == {"trades": "the store does not answer: no trade can be taken"}


def test_prices_that_do_not_come_are_old_or_missing(house: House) -> None:
    assert red(house, tick_age_us=None) == {"prices": "no price has come since the start"}
    assert red(house, tick_age_us=90 * SECOND) == {"prices": "the newest price is 90 s old"}
    house.now += 120 * SECOND
    assert red(house) == {"prices": "1 of 1 positions are valued with an old price or rate"}
    bare = House()
    bare.deal(trade("g", instrument="GHOST", desk="EQ1", quantity="1", price="1"))
    assert red(bare) == {"prices": "none of 1 positions is priced"}

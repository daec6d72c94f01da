"""What the summary of the start counts as somebody's work: of a real engine and its store."""

from typing import Any

from riskengine.config import Config, StoreConfig
from riskengine.errors import StoreUnavailable
from riskengine.market.trading_day import TradingDay
from riskengine.process.morning_work import needing_a_person
from riskengine.process.process import EngineProcess
from riskengine.records.types import Verdict
from riskengine.store.open_store import open_store
from riskengine.store.results import FoundBreak
from tests.live_process import run_live
from tests.world import NOON, House, instruments, nodes, trade


def test_what_nobody_has_decided_is_counted_by_kind_with_breaks_and_unpriced_positions(store_url: str) -> None:
    store = open_store(store_url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.append_trades(
        [
            trade("a", received_ts=NOON),
            trade("a", quantity="7", received_ts=NOON),
            trade("b", quantity="9", received_ts=NOON),
            trade("b", quantity="8", received_ts=NOON),
            trade("c", version=2, action="cancel", received_ts=NOON),
            trade("d", legs=2, received_ts=NOON),
            trade("e", instrument="GHOST", desk="EQ1", received_ts=NOON),
        ]
    )
    store.save_verdict(Verdict("parked:test:c:0:2", "accept", "", "ops", NOON))
    store.remember_breaks([FOUND], against="store", epoch=1, watermark=1, ts=NOON, by="test")
    store.close()

    async def look(process: EngineProcess) -> dict[str, Any]:
        await process.morning.complete.wait()
        return dict(process.morning.account()["needs_a_person"])

    found = run_live(Config(store=StoreConfig(store_url)), look)
    assert found["exceptions"] == {"conflict": 2, "unmatched": 1, "unpriced": 2, "no_close": 2}
    assert (found["breaks"], found["unpriced"], found["without_close"]) == (1, 2, 2)


FOUND = FoundBreak("quantity", ("node", "FX1", "EURUSD"), '{"quantity": "1"}', '{"quantity": "2"}')


class Away:
    """A store that cannot be read."""

    def breaks(self, *, status: str) -> list[Any]:
        raise StoreUnavailable("away")


def test_breaks_of_a_store_that_is_away_are_unknown_not_0() -> None:
    store: Any = Away()
    found = needing_a_person(House().engine.snapshot, TradingDay.of(Config().engine), store)
    assert found == {"exceptions": {}, "breaks": None, "unpriced": 0, "without_close": None}

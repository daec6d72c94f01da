"""What `serve` shows of the start, and `rebuild`: of now, of a moment, with every check."""

import asyncio
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from riskengine.cli.start import bar_text, show_start, summary_page
from riskengine.clock import SystemClock
from riskengine.config import Config, LogConfig, StoreConfig
from riskengine.engine.engine import Engine
from riskengine.market.trading_day import TradingDay
from riskengine.process.process import EngineProcess
from riskengine.records.types import ONE, Close, Opening, StoredMark
from riskengine.store.open_store import open_store
from riskengine.store.witness import Witness
from tests.cli.commands import fails, riskengine
from tests.store_book import Outside
from tests.world import NOON, SECOND, config, instruments, nodes, trade

HOUR = 3_600 * SECOND


@pytest.fixture
def url(store_url: str) -> str:
    """Three trades: at noon, an hour later, and another hour later an amendment of the first."""
    store = open_store(store_url)
    store.save_nodes(nodes())
    store.save_instruments(instruments())
    store.append_trades(
        [
            trade("a", quantity="100", price="1.1", received_ts=NOON),
            trade("b", ts=NOON + HOUR, quantity="50", price="1.2", received_ts=NOON + HOUR),
            trade("a", version=2, action="amend", quantity="10", price="1.1", received_ts=NOON + 2 * HOUR),
        ]
    )
    store.save_openings([Opening(desk="FX2", instrument="GBPUSD", ts=NOON + HOUR, quantity=ONE, average_price=ONE)])
    store.save_marks([StoredMark("EURUSD", NOON + 2 * HOUR, 1.3, "feed")])
    store.save_closes([Close("2026-03-03", "EURUSD", 1.15)])
    store.close()
    return store_url


def rebuilt(url: str, *words: str) -> dict[str, Any]:
    done = riskengine("rebuild", "--store", url, "--json", *words)
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)


def root(state: dict[str, Any]) -> dict[str, Any]:
    return state["nodes"][0]


# -- rebuild -----------------------------------------------------------------------------------------------------


def test_as_of_a_moment_it_is_the_state_of_then(url: str) -> None:
    first = rebuilt(url, "--as-of", str(NOON))
    assert first["as_of"] == NOON and first.keys() == {"digest", "counts", "nodes", "as_of"}
    assert (root(first)["trade_count"], root(first)["position_count"]) == (1, 1)
    assert root(first)["total_pnl"] == pytest.approx(100 * (1.15 - 1.1)), "the mark of two hours later was not known"
    second = rebuilt(url, "--as-of", "2026-03-04T14:00:00+01:00")
    assert (root(second)["trade_count"], root(second)["position_count"]) == (2, 2)
    third = rebuilt(url, "--as-of", str(NOON + 2 * HOUR))
    assert root(third)["total_pnl"] == pytest.approx(10 * (1.3 - 1.1) + 50 * (1.3 - 1.2))
    assert third["digest"] == rebuilt(url)["digest"]
    assert root(rebuilt(url, "--as-of", str(NOON - 1)))["trade_count"] == 0


def test_before_the_first_price_the_value_is_unknown(url: str) -> None:
    early = rebuilt(url, "--as-of", str(TradingDay.of(config().engine).close_of(dt.date(2026, 3, 3)) - 1))
    assert root(early)["total_pnl"] == 0, "no position, no question"
    store = open_store(url)
    store.append_trades([trade("g", instrument="GBPUSD", received_ts=NOON)])
    store.close()
    assert (root(rebuilt(url, "--as-of", str(NOON)))["unpriced_count"]) == 1


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("yesterday", "is not a time: 'yesterday'"),
        ("2026-03-04T12:00:00", "has no offset from UTC"),
        ("1772625600", "looks like seconds"),
        ("2190-01-01T00:00:00Z", "2190-01-01 00:00:00 UTC lies in the future"),
    ],
)
def test_a_moment_that_is_none_is_one_line(moment: str, said: str) -> None:
    fails(riskengine("rebuild", "--store", "sqlite:///none.db", "--as-of", moment), "--as-of", said, status=2)


def test_with_every_check_a_sound_store_is_found_sound(url: str) -> None:
    assert rebuilt(url, "--full")["digest"] == rebuilt(url)["digest"]
    assert rebuilt(url, "--full", "--as-of", str(NOON + HOUR)) == rebuilt(url, "--as-of", str(NOON + HOUR))


@pytest.mark.parametrize("words", [[], ["--as-of", str(NOON + HOUR)]])
def test_an_engine_that_loses_a_trade_differs_from_the_store_s_own_sums(
    url: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = Engine.apply

    def forgetful(self: Engine, trades: Any, *more: Any, **how: Any) -> Any:
        return apply(self, [each for each in trades if each.trade_id != "b"], *more, **how)

    monkeypatch.setattr(Engine, "apply", forgetful)
    assert root(rebuilt(url, *words))["trade_count"] == 1, "the engine itself finds nothing wrong"
    line = fails(riskengine("rebuild", "--store", url, "--full", *words), "quantity: 2 positions")
    assert line.endswith("with different quantities in engine and store: dealer ann EURUSD, node FX1 EURUSD")


def test_a_row_that_somebody_changed_is_found_by_the_audit_trail_only_with_every_check(url: str) -> None:
    outside = Outside(url)
    outside.execute("UPDATE trades SET price = '1.15' WHERE trade_id = 'b'")
    outside.close()
    rebuilt(url)
    fails(riskengine("rebuild", "--store", url, "--full"), "audit: 1 findings: ")


def test_a_store_that_went_back_is_found_with_every_check(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(url)
    store.acquire_writer("engine")
    store.next_epoch()
    Witness(StoreConfig(url), store, SystemClock()).note()
    store.close()
    outside = Outside(url)
    outside.execute("UPDATE meta SET value = '0' WHERE key = 'writer_epoch'")
    outside.close()
    rebuilt(url)
    done = riskengine("rebuild", "--store", url, "--full")
    assert done.exit_code == 1 and "riskengine: restored: the store was restored from an older state" in done.stderr


# -- what is shown of the start ----------------------------------------------------------------------------------


def test_the_bar_says_how_far_it_is_how_long_it_takes_and_with_what() -> None:
    view = {"phase": "replay", "progress": 0.48, "trades_loaded": 480_000, "trades_total": 1_000_000, "remaining_s": 4.2}
    assert bar_text(view) == "loading [###########-------------] 48 %  4 s left, replay, 480,000 of 1,000,000 trades"
    assert bar_text(view | {"phase": "compare", "progress": 0.92, "remaining_s": None}) == (
        "loading [######################--] 92 %  compare"
    )
    assert bar_text({"phase": None, "progress": 0.0, "trades_total": None, "remaining_s": None}).endswith(" 0 %  starting")


ALL = {
    "node": "ALL",
    "parent": None,
    "total_pnl": 48_250.004,
    "realised_pnl": None,
    "unrealised_pnl": -1.0,
    "day_pnl": -3_500.5,
    "position_count": 40,
    "trade_count": 1_200,
    "unpriced_count": 1,
}
FX = ALL | {"node": "FX", "parent": "ALL", "day_pnl": None, "total_pnl": 1.0, "realised_pnl": 2.0}
ACCOUNT: dict[str, Any] = {
    "epoch": 3,
    "watermark": 1_234,
    "store": "sqlite:///desk.db",
    "trades_loaded": 1_234,
    "unreadable": 0,
    "unjudged": 0,
    "from_close": None,
    "from_close_refused": "there is none yet",
    "rows_behind": 0,
    "compared": 12,
    "counts": {"applied": 1_200, "late": 34},
    "openings": 7,
    "openings_left_out": 0,
    "closed": "2026-12-01",
    "made_up": [],
    "mismatches": [],
    "needs_a_person": {"exceptions": {}, "breaks": 0, "unpriced": 0, "without_close": 0},
    "nodes_below": 0,
    "digest": "d1",
    "seconds": 8.35,
    "phases": [{"phase": "lease", "seconds": 0.01}, {"phase": "live", "seconds": None}],
    "nodes": [ALL, FX],
}


def test_the_page_says_what_was_loaded_what_came_of_it_and_what_it_took() -> None:
    assert summary_page(ACCOUNT) == [
        "live  epoch 3, watermark 1,234, sqlite:///desk.db",
        "trades loaded 1,234: applied 1,200, late 34",
        "opening balances 7",
        "last close 2026-12-01",
        "compared with the store: 12 positions",
        "node             day P&L         total P&L          realised        unrealised positions   trades unpriced",
        "ALL            -3,500.50         48,250.00                 -             -1.00        40     1200        1",
        "  FX             unknown              1.00              2.00             -1.00        40     1200        1",
        "nothing needs a person",
        "digest d1",
        "8.35 s: lease 0.01",
    ]


def test_the_page_says_what_is_not_as_it_should_be() -> None:
    page = summary_page(
        ACCOUNT
        | {
            "unreadable": 2,
            "unjudged": 3,
            "openings_left_out": 1,
            "made_up": [f"2026-11-{day}" for day in range(23, 31)],
            "nodes_below": 20_000,
            "mismatches": [{"kind": "restored", "text": "it went back"}],
        }
    )
    assert page[1].endswith("late 34 (2 rows cannot be read as trades) (3 not compared with a mark of their time)")
    assert page[2] == "opening balances 7 (1 left out: unknown desk or instrument)"
    assert page[-3] == "nothing needs a person"
    assert page[3].startswith("last close 2026-12-01; made up at this start, no engine ran when the day ended: 2026-11-23, ")
    assert page[3].endswith("2026-11-27 and 3 more")
    assert "MISMATCH, accepted: it went back" in page and "... and 20,000 nodes below" in page


def test_the_page_says_from_which_close_it_went_on_or_why_from_none() -> None:
    gone_on = ACCOUNT | {"from_close": "2026-03-03", "from_close_refused": "", "rows_behind": 1_000, "compared": None}
    line = "went on from the close of 2026-03-03: 1,000 rows behind it are being compared with the store"
    assert line in summary_page(gone_on)
    refused = summary_page(ACCOUNT | {"from_close_refused": "opening balances have changed"})
    assert "replayed everything, not from the state of the last close: opening balances have changed" in refused


def test_the_page_says_what_needs_a_person() -> None:
    work = {"exceptions": {"conflict": 1, "late": 1_200, "no_close": 3}, "breaks": None, "unpriced": 2, "without_close": 3}
    page = summary_page(ACCOUNT | {"needs_a_person": work})
    assert (
        "needs a person: conflict 1, late 1,200, no_close 3, open breaks unknown, positions unpriced 2"
        " (riskengine exceptions; GET /v1/breaks)"
    ) in page
    first = summary_page(ACCOUNT | {"needs_a_person": work | {"without_close": None, "breaks": 0}})
    assert any(line.startswith("needs a person: conflict 1, late 1,200, no_close 3, positions unpriced 2 (") for line in first)


@pytest.mark.parametrize(("format", "shown"), [("console", True), ("json", False)])
def test_where_there_is_no_terminal_there_is_no_bar_and_only_people_get_the_page(
    tmp_path: Path, format: Any, shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async def life() -> None:
        process = EngineProcess(Config(store=StoreConfig(f"sqlite:///{tmp_path}/new.db"), log=LogConfig(format=format)))
        process.open()
        showing = asyncio.create_task(show_start(process))
        await process.start()
        await asyncio.wait_for(showing, 10)
        await process.stop()

    asyncio.run(life())
    said = capsys.readouterr()
    assert ("live  epoch 1, watermark 0, sqlite:///" in said.err) == shown
    assert "loading" not in said.err and said.out == ""


def test_now_is_not_the_future(url: str) -> None:
    assert rebuilt(url, "--as-of", str(SystemClock().now()))["digest"] == rebuilt(url)["digest"]

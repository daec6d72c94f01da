"""Reference data that arrives while the engine runs: the state of a fresh start on the same store, and what goes on."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from riskengine.process.process import EngineProcess
from riskengine.rebuild.renewal import LATEST_S, Settling
from riskengine.records.types import Node
from riskengine.snapshot.digest import digest
from riskengine.snapshot.exposure import exposure
from riskengine.snapshot.rows import ladder_rows
from riskengine.store.protocol import Store
from riskengine.views.sources import OwnerExposure
from tests.live_process import sent
from tests.rebuild.renewal.renewing import LATER, assert_as_fresh, live, newest, quarantined
from tests.store_book import Outside
from tests.waiting import until
from tests.world import instruments, opening, quote


def times_due(looks: Sequence[tuple[float, int]], settling: Settling) -> list[float]:
    return [now for now, revision in looks if settling.due(revision, now)]


@pytest.mark.usefixtures("real_times")
def test_a_change_is_followed_once_it_has_rested() -> None:
    looks = [(0.25, 1), (0.5, 2), (0.75, 2), (1.0, 2)]
    assert times_due(looks, Settling(1))[:1] == [0.75]


@pytest.mark.usefixtures("real_times")
def test_changes_that_do_not_end_are_followed_within_a_second() -> None:
    looks = [(step / 4, 1 + step) for step in range(1, 9)]
    assert times_due(looks, Settling(1))[0] == pytest.approx(0.25 + LATEST_S)


@pytest.mark.usefixtures("real_times")
def test_what_is_followed_is_not_due_until_it_changes_again() -> None:
    settling = Settling(1)
    assert times_due([(1.0, 2), (1.25, 2)], settling) == [1.25]
    settling.followed = 2
    assert times_due([(1.5, 2), (9.0, 2), (9.25, 3), (9.5, 3)], settling) == [9.5]


@pytest.mark.usefixtures("real_times")
def test_what_could_not_be_read_is_due_again() -> None:
    settling = Settling(1)
    settling.followed = None
    assert times_due([(1.0, 1), (1.25, 1)], settling) == [1.25]


# -- what arrives ------------------------------------------------------------------------------------------------


def test_a_trade_in_an_instrument_that_was_unknown_is_applied_when_that_is_loaded(
    store_url: str, loader: Store, outside: Outside
) -> None:
    async def test(process: EngineProcess) -> None:
        process.offer_ticks([quote("GBPUSD", 1.3, 1.3, process.clock.now()), quote("EURUSD", 1.2, 1.2, process.clock.now())])
        await process.submit([sent("1", process), sent("1", process, instrument="GBPUSD")])
        outside.book(trade_id="B1", instrument="NEWCO", desk="EQ1")
        await until(lambda: newest(process).counts.quarantined == 1)
        before = newest(process)
        assert quarantined(process) == ["instrument: unknown instrument 'NEWCO'"]
        loader.save_instruments(instruments(LATER))
        await until(lambda: newest(process).counts.quarantined == 0, 2.0)
        after = newest(process)
        assert after.exceptions["quarantined"] == ()
        assert after.counts == before.counts._replace(applied=2, quarantined=0)
        assert (after.epoch, after.seq > before.seq) == (before.epoch, True)
        [held] = ladder_rows(after, node="EQ1")
        assert (held["instrument"], held["quantity"]) == ("NEWCO", 1.0)
        await until(lambda: len(process._store.marks()) == 2)  # type: ignore[union-attr]
        assert_as_fresh(process)

    live(store_url, test)


def test_a_trade_on_a_desk_that_was_unknown_is_applied_when_that_is_loaded_and_others_stay(
    store_url: str, loader: Store, outside: Outside
) -> None:
    async def test(process: EngineProcess) -> None:
        outside.book(trade_id="B1", desk="FX9")
        outside.book(trade_id="B2", desk="FX8")
        outside.book(trade_id="B3", quantity="-1")
        await until(lambda: newest(process).counts.quarantined == 3)
        loader.save_nodes([Node("FX9", "desk", "G10")])
        await until(lambda: newest(process).counts.quarantined == 2, 2.0)
        assert quarantined(process) == ["desk: unknown desk 'FX8'", "quantity: must be above 0"]
        [held] = ladder_rows(newest(process), node="FX9")
        assert held["quantity"] == 1.0
        assert_as_fresh(process)

    live(store_url, test)


def add_child(outside: Outside, loader: Store) -> None:
    loader.save_nodes([Node("FX1a", "desk", "FX1")])


def move_node(outside: Outside, loader: Store) -> None:
    outside.execute("UPDATE nodes SET parent = 'CASH' WHERE node = 'FX1'")


def change_multiplier(outside: Outside, loader: Store) -> None:
    outside.execute("UPDATE instruments SET multiplier = '20' WHERE instrument = 'ESZ6'")


def remove_instrument(outside: Outside, loader: Store) -> None:
    outside.execute("DELETE FROM marks WHERE instrument = 'GBPUSD'")
    outside.execute("DELETE FROM instruments WHERE instrument = 'GBPUSD'")


def rename_root(outside: Outside, loader: Store) -> None:
    outside.execute("BEGIN")
    outside.execute("UPDATE nodes SET parent = 'HOUSE' WHERE parent = 'ALL'")
    outside.execute("UPDATE nodes SET node = 'HOUSE' WHERE node = 'ALL'")
    outside.execute("COMMIT")


def add_opening(outside: Outside, loader: Store) -> None:
    balance: dict[str, Any] = {"desk": "EM1", "dealer": "bob", "quantity": "1000", "average_price": "1.1", "realised": "3"}
    loader.save_openings([opening(instrument="EURGBP", **balance)])


def change_opening(outside: Outside, loader: Store) -> None:
    outside.execute("UPDATE openings SET quantity = '77' WHERE instrument = 'EURUSD'")


@pytest.mark.parametrize(
    ("change", "quarantines"),
    [
        (add_child, 3),
        (move_node, 0),
        (change_multiplier, 0),
        (remove_instrument, 1),
        (rename_root, 0),
        (add_opening, 0),
        (change_opening, 0),
    ],
)
def test_after_any_change_the_state_is_that_of_a_fresh_start(
    store_url: str, loader: Store, outside: Outside, change: Callable[[Outside, Store], None], quarantines: int
) -> None:
    loader.save_openings([opening(quantity="50", average_price="1.05")])

    async def test(process: EngineProcess) -> None:
        now = process.clock.now()
        process.offer_ticks([quote(symbol, 1.25, 1.27, now) for symbol in ("EURUSD", "GBPUSD", "ESZ6", "EURGBP")])
        await until(lambda: newest(process).units.priced.sum() == 4)
        await process.submit(
            [
                sent("1", process),
                sent("2", process, instrument="GBPUSD", desk="FX1", dealer="bob"),
                sent("3", process, instrument="ESZ6", desk="EQ1", price="5000"),
                sent("4", process, side="sell", fees="2"),
                sent("5", process, desk="EM1", instrument="EURGBP", price="0.9"),
            ]
        )
        await until(lambda: len(process._store.marks()) == 4)  # type: ignore[union-attr]
        before = newest(process)
        change(outside, loader)
        await until(lambda: newest(process).reference is not before.reference, 2.0)
        assert newest(process).counts.quarantined == quarantines
        assert_as_fresh(process)
        assert digest(newest(process)) != digest(before) or change in (move_node, rename_root)
        late = await process.submit([sent("6", process, desk="FX2", instrument="EURUSD")])
        assert [outcome.status for outcome in late.outcomes] == ["applied"]
        assert_as_fresh(process)

    live(store_url, test)


def test_a_sector_that_is_loaded_anew_moves_the_exposure_without_a_restart(store_url: str, loader: Store) -> None:
    shares = {"instrument": "ACME", "kind": "equity", "quote_currency": "USD", "quantity_decimals": 0}

    async def test(process: EngineProcess) -> None:
        process.offer_ticks([quote("ACME", 12.0, 12.0, process.clock.now())])
        await process.submit([sent("1", process, instrument="ACME", desk="EQ1", quantity="10", price="11")])
        await until(lambda: newest(process).units.priced.sum() == 1)
        view = OwnerExposure(newest(process), "EQ1", None, "sector")
        before = view.price_token(newest(process))
        assert [(row["sector"], row["net"]) for row in view.rows(newest(process))] == [("", 120.0)]
        loader.save_instruments(instruments([shares | {"sector": "Mining"}]))
        await until(lambda: newest(process).reference.by_symbol["ACME"].sector == "Mining", 2.0)
        found = exposure(newest(process), "sector")
        assert [(row["sector"], row["net"]) for row in found.rows] == [("Mining", 120.0)]
        assert found.summary["sector_count"] == 1
        assert view.price_token(newest(process)) is not before, "screens get it too"
        assert list(view.rows(newest(process))) == found.rows

    live(store_url, test)


@pytest.mark.usefixtures("loader")
def test_trades_changed_in_place_are_followed_and_said(store_url: str) -> None:
    async def test(process: EngineProcess) -> None:
        await process.submit([sent("1", process), sent("2", process, desk="FX2")])
        await process.renew("nothing has changed")
        assert "edited" not in process.warnings
        program = Outside(store_url)
        program.execute("UPDATE trades SET quantity = '7' WHERE trade_id = '1'")
        program.close()
        await process.renew("something has")
        await until(lambda: "edited" in process.warnings)
        assert "changed in place" in process.warnings["edited"]
        assert "2 positions changed" in process.warnings["edited"]

    live(store_url, test)

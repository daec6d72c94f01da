"""Forwards, swaps and options past their cut in an engine that is renewed: the state of a fresh start on the same store."""

import datetime as dt

from riskengine.clock import SystemClock
from riskengine.market.calendars import Calendars
from riskengine.process.process import EngineProcess
from riskengine.records.option_inputs import CutSpot
from riskengine.records.types import StoredMark
from riskengine.snapshot.snapshot import Snapshot
from riskengine.store.protocol import Store
from tests.live_process import sent
from tests.optioned import option
from tests.rebuild.renewal.renewing import LATER, assert_as_fresh, fresh, live, newest
from tests.waiting import until
from tests.world import INSTRUMENTS, SECOND, instruments, quote

HOUR = 3_600 * SECOND


def far_date() -> str:
    """A day on which euro and dollar are paid, more than three months ahead."""
    calendars, day = Calendars(), dt.datetime.now(dt.UTC).date() + dt.timedelta(days=100)
    while not all(calendars.is_business_day(code, day) for code in ("EUR", "USD")):
        day += dt.timedelta(days=1)
    return day.isoformat()


def held(process: EngineProcess) -> dict[str, float]:
    snapshot = newest(process)
    state = snapshot.nodes.state(snapshot.reference.hierarchy.index["FX1"])
    return {snapshot.reference.symbols[row.instrument]: row.quantity / 1e10 for row in state.positions()}


async def renewed(process: EngineProcess, loader: Store) -> None:
    """Load instruments that move the number of every other one, and wait until the engine has them."""
    loader.save_instruments(instruments(LATER))
    await until(lambda: "NEWCO" in newest(process).reference.by_symbol, 5.0)


def test_a_swap_keeps_its_legs_in_spot_and_forward(store_url: str, loader: Store) -> None:
    date = far_date()

    async def test(process: EngineProcess) -> None:
        process.offer_ticks([quote("EURUSD", 1.2, 1.2, process.clock.now())])
        near = sent("swap", process, side="sell", quantity="100", legs=2)
        far = sent("swap", process, leg=1, quantity="100", price="1.21", value_date=date, legs=2)
        await process.submit([near, far, sent("one", process, quantity="7", value_date=date)])
        before = held(process)
        assert before == {"EURUSD": -100.0, f"EURUSD@{date}": 107.0}
        await renewed(process, loader)
        assert held(process) == before
        assert newest(process).counts.unmatched == 0
        await until(lambda: len(process._store.marks()) == 1)  # type: ignore[union-attr]
        assert_as_fresh(process)

    live(store_url, test)


def decided(snapshot: Snapshot) -> dict[str, tuple[float, bool]]:
    """Of each expired option the spot of its cut, and whether it is exercised."""
    options = snapshot.units.options
    assert options is not None
    fixing, in_money = options.values.fixing.tolist(), options.values.in_money.tolist()
    return {symbol: (fixing[place], in_money[place]) for symbol, place in options.terms.place.items()}


def test_an_option_past_its_cut_keeps_the_spot_that_decided(store_url: str, loader: Store) -> None:
    cut = SystemClock().now() - HOUR // 2
    expiry = dt.datetime.fromtimestamp(cut / SECOND, dt.UTC).isoformat(timespec="microseconds")
    kinds = {"C1": "call", "P1": "put"}
    rows = [option(name, "EUR", "USD", "1.1", expiry=expiry, option_type=kind) for name, kind in kinds.items()]
    loader.save_instruments(instruments((*INSTRUMENTS, *rows)))
    loader.save_marks([StoredMark("EURUSD", cut - SECOND, 1.12)])

    async def test(process: EngineProcess) -> None:
        where, dealt = newest(process).reference, {"price": "0.01", "ts": cut - HOUR}
        await process.submit([sent(name, process, where=where, instrument=name, **dealt) for name in kinds])
        process.offer_ticks([quote("EURUSD", 1.05, 1.05, process.clock.now())])
        await until(lambda: sum(isinstance(row, CutSpot) for row in loader.option_inputs()) == 2, 5.0)
        await until(lambda: [mark.price for mark in loader.marks()] == [1.05], 5.0)
        await renewed(process, loader)
        assert decided(newest(process)) == decided(fresh(process)) == {"C1": (1.12, True), "P1": (1.12, False)}
        assert held(process) == {"C1": 100.0, "P1": 100.0}

    live(store_url, test)

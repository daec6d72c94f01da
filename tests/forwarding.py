"""Forwards in tests: rates and points, days, trades with value dates, and engines that took them on the way or at once."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from riskengine.engine.engine import Engine
from riskengine.engine.self_audit import SelfAudit
from riskengine.records.option_inputs import RateRow
from riskengine.records.types import Trade
from riskengine.snapshot.digest import digest
from riskengine.snapshot.snapshot import Snapshot
from tests.world import NOON, SECOND, House, cancel, trade

PRICES = {"EURUSD": 1.08, "GBPUSD": 1.25, "USDJPY": 150.0, "EURGBP": 0.86, "USDCAD": 1.36}

RATES = (
    RateRow("USD", "rate", "2027-03-08", NOON, 0.04),
    RateRow("EUR", "rate", "2027-03-08", NOON, 0.02),
    RateRow("GBP", "rate", "2026-06-08", NOON, 0.045),
    RateRow("GBP", "rate", "2027-03-08", NOON, 0.05),
    RateRow("JPY", "rate", "2027-03-08", NOON, -0.001),
    RateRow("EURUSD", "points", "2026-06-08", NOON, 0.005),
    RateRow("EURUSD", "points", "2027-03-08", NOON, 0.02),
)


def noon_of(date: str) -> int:
    """Noon, UTC, of a date."""
    return int(dt.datetime.fromisoformat(f"{date}T12:00+00:00").timestamp()) * SECOND


def house(rows: Iterable[RateRow] = RATES, **prices: float) -> House:
    """A house with prices and rates."""
    made = House()
    made.engine.forwards.take_rates(rows)
    made.marks(**{**PRICES, **prices})
    return made


def to_day(engine: Engine, date: str) -> Snapshot:
    """Go on to noon of a date."""
    engine.beat({}, noon_of(date))
    return engine.publish(noon_of(date))


DAYS = ("2026-03-04", "2026-03-05", "2026-03-06", "2026-03-09", "2026-03-10", "2026-03-11")
VALUE_DATES = ("", "2026-03-05", "2026-03-06", "2026-03-09", "2026-03-10", "2026-03-11", "2026-03-12", "2026-06-08", "2026-03-07")

columns: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "day": st.integers(0, len(DAYS) - 1),
        "second": st.integers(0, 9),
        "instrument": st.sampled_from(["EURUSD", "EURUSD", "EURGBP", "USDCAD"]),
        "desk": st.sampled_from(["FX1", "FX2"]),
        "dealer": st.sampled_from(["ann", "bob"]),
        "side": st.sampled_from(["buy", "sell"]),
        "quantity": st.integers(1, 4).map(str),
        "price": st.sampled_from(["1.1", "1.37", "2.0001"]),
        "fees": st.sampled_from(["0", "0.1"]),
        "value_date": st.sampled_from(VALUE_DATES),
    }
)


def _made(trade_id: str, version: int, drawn: dict[str, Any]) -> tuple[int, Trade]:
    drawn = dict(drawn)
    day = drawn.pop("day")
    ts = noon_of(DAYS[day]) + drawn.pop("second") * SECOND
    action = "amend" if version > 1 else "new"
    return day, trade(trade_id, version=version, action=action, ts=ts, received_ts=ts, **drawn)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, Trade]]:
    """Up to eight trades in up to three versions each, with the place of the day on which each comes, in order of days.

    A later version comes some days later.
    """
    found: list[tuple[int, Trade]] = []
    for place in range(draw(st.integers(1, 8))):
        first = 0
        for version in range(1, draw(st.integers(1, 3)) + 1):
            if version > 1 and draw(st.booleans()):
                found.append((max(first, draw(st.integers(0, len(DAYS) - 1))), cancel(f"t{place}", version)))
            else:
                day, made = _made(f"t{place}", version, draw(columns))
                first = max(first, day)
                found.append((first, made))
    return sorted(found, key=lambda each: each[0])


def live(history: Sequence[tuple[int, Trade]], until: int) -> Engine:
    """An engine that takes each trade on its day, and rolls from day to day."""
    made = house()
    for place, date in enumerate(DAYS[: until + 1]):
        to_day(made.engine, date)
        for day, each in history:
            if day == place:
                made.engine.apply([each], noon_of(date))
                made.engine.publish(noon_of(date))
    return made.engine


def afresh(trades: Iterable[Trade], until: int) -> Engine:
    """An engine that takes all trades at once on the last day, as a start does."""
    made = house()
    made.engine.beat({}, noon_of(DAYS[until]))
    made.engine.apply(list(trades), noon_of(DAYS[until]))
    made.engine.publish(noon_of(DAYS[until]))
    return made.engine


def assert_equal(one: Engine, other: Engine) -> None:
    """Assert that two engines show the same to the last bit, whatever the numbers of their forwards."""
    here, there = one.snapshot, other.snapshot
    assert digest(here) == digest(there)
    for mine, theirs in zip(here.nodes.numbers, there.nodes.numbers, strict=True):
        assert np.array_equal(mine, theirs)
    assert _dealers(here) == _dealers(there)


def _dealers(snapshot: Snapshot) -> dict[str, bytes]:
    numbers = enumerate(snapshot.dealer_names)
    held = ((name, number) for number, name in numbers if snapshot.dealers.state(number).position_count)
    return {name: snapshot.dealers.measures(number).tobytes() for name, number in held}


def assert_sound(engine: Engine) -> None:
    """Assert every invariant of an engine, and that its self-audit finds nothing."""
    engine.check()
    assert SelfAudit(engine).finish_pass() == []

"""A day of trades for tests and replays: a given number, over given hours, near recorded prices."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from riskengine.clock import MICROS_PER_SECOND
from riskengine.feeds.simulation.dealing import amend_of, cancel_of, exact_price, fees_of
from riskengine.feeds.simulation.sample_book import style_of
from riskengine.feeds.simulation.seeded_random import SeededRandom
from riskengine.records.decode import TradeInput
from riskengine.records.types import Instrument

SOURCE = "seeded"
_AMENDED = 0.03
_CANCELLED = 0.02
_LATE = 0.03
_LATEST_US = 600 * MICROS_PER_SECOND
_CORRECTED_WITHIN_US = 300 * MICROS_PER_SECOND
_DRAWS = 1_000

PriceAt = Callable[[str, int], Decimal | None]
"""The price of an instrument at a time in microseconds; None if unknown."""


def seeded_day(
    seed: int,
    start_ts: int,
    end_ts: int,
    count: int,
    desks: Sequence[str],
    dealers: Sequence[str],
    instruments: Sequence[Instrument],
    price_at: PriceAt,
) -> list[TradeInput]:
    """Exactly `count` messages about trades executed in [start_ts, end_ts), in order of arrival; equal for equal seeds.

    3 % amend a trade and 2 % cancel one. 3 % of the trades arrive up to ten minutes late, so that some amends precede their
    trades. Prices lie within three ticks of `price_at`. Raises ValueError if `price_at` gives no price in a thousand draws in a
    row. Cost: 15 us a message besides `price_at`.
    """
    rng = SeededRandom(seed, "day")
    amends, cancels = round(count * _AMENDED), round(count * _CANCELLED)
    arrivals: list[tuple[int, TradeInput]] = []
    newest: list[tuple[int, TradeInput]] = []
    ts = start_ts
    for number in range(count - amends - cancels):
        # A third of the trades follow another within two seconds.
        near = number > 0 and rng.chance(1 / 3)
        ts, instrument, price = _deal(
            rng, (ts, ts + 2 * MICROS_PER_SECOND) if near else (start_ts, end_ts), end_ts, instruments, price_at
        )
        quantity = (1 + rng.below(10)) * style_of(instrument).lot
        trade = TradeInput(
            version=1,
            trade_id=f"{seed}-{number:06d}",
            source=SOURCE,
            ts=ts,
            source_seq=number,
            instrument=instrument.instrument,
            desk=rng.pick(desks),
            dealer=rng.pick(dealers) if dealers else "",
            side=rng.pick(("buy", "sell")),
            quantity=quantity,
            price=price,
            fees=fees_of(instrument, quantity, price),
            fees_currency=instrument.currency,
        )
        arrivals.append((ts + (rng.below(_LATEST_US) if rng.chance(_LATE) else 0), trade))
        newest.append((ts, trade))
    _change(rng, amends, cancels, arrivals, newest, desks, dealers, instruments)
    return [trade for _, trade in sorted(arrivals, key=lambda arrival: arrival[0])]


def _deal(
    rng: SeededRandom, within: tuple[int, int], end_ts: int, instruments: Sequence[Instrument], price_at: PriceAt
) -> tuple[int, Instrument, Decimal]:
    """Draw a time, an instrument with a price at that time, and a price near it."""
    start_ts, stop_ts = within
    for _ in range(_DRAWS):
        ts = start_ts + rng.below(min(stop_ts, end_ts) - start_ts)
        instrument = rng.pick(instruments)
        known = price_at(instrument.instrument, ts)
        if known is not None:
            away = Decimal(rng.below(7) - 3).scaleb(-instrument.price_decimals)
            price = exact_price(known, instrument) + away
            return ts, instrument, price if price > 0 else known
    raise ValueError(f"price_at gives no price between {start_ts} and {stop_ts}")


def _change(
    rng: SeededRandom,
    amends: int,
    cancels: int,
    arrivals: list[tuple[int, TradeInput]],
    newest: list[tuple[int, TradeInput]],
    desks: Sequence[str],
    dealers: Sequence[str],
    instruments: Sequence[Instrument],
) -> None:
    """Add amends and then cancels of the trades in `newest`. A trade may have several amends; a cancel is final."""
    by_symbol = {instrument.instrument: instrument for instrument in instruments}
    for change in range(amends + cancels):
        if not newest:
            break
        at = rng.below(len(newest))
        last_ts, trade = newest[at]
        booked_ts = last_ts + 1 + rng.below(_CORRECTED_WITHIN_US)
        if change < amends:
            elsewhere = rng.pick(desks), rng.pick(dealers) if dealers else ""
            trade = amend_of(rng, trade, by_symbol[trade.instrument], booked_ts, elsewhere)
            newest[at] = booked_ts, trade
        else:
            trade = cancel_of(trade, booked_ts)
            newest[at] = newest[-1]
            newest.pop()
        arrivals.append((booked_ts, trade))

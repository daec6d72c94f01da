"""Trades by chance on the house of `tests.world`, for tests of what is said before them and judged after them."""

from typing import Any

from hypothesis import strategies as st

from riskengine.records.types import Trade
from tests.world import DESKS, House, trade

PRICES = {"EURUSD": 1.1, "GBPUSD": 1.28, "USDJPY": 150.0, "EURGBP": 0.86, "ACME": 90.0, "ESZ6": 5_000.0, "USDCAD": 1.4}

deals = st.lists(
    st.tuples(
        st.sampled_from(("EURUSD", "USDJPY", "EURGBP", "ACME", "ESZ6", "USDCAD")),
        st.sampled_from(DESKS),
        st.sampled_from(("ann", "bob")),
        st.sampled_from(("buy", "sell")),
        st.integers(1, 90),
        st.integers(-5, 5),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=4,
)


def made(number: int, deal: tuple[str, str, str, str, int, int, int], where: Any = None) -> Trade:
    symbol, desk, dealer, side, quantity, off, fees = deal
    columns: dict[str, Any] = {"instrument": symbol, "desk": desk, "dealer": dealer, "side": side, "quantity": str(quantity)}
    return trade(f"t{number}", price=f"{PRICES[symbol] * (1 + off / 1_000):.6f}", fees=str(fees), **columns)


def quoted(house: House) -> House:
    house.marks(**PRICES)
    return house

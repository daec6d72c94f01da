"""A seeded day: the given number of trades, inside its hours, at known prices, equal for equal seeds."""

from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import Decimal

import pytest

from riskengine.feeds.simulation.sample_book import sample_instruments, sample_nodes
from riskengine.feeds.simulation.seeded_day import seeded_day
from riskengine.records.decode import TradeCheck, TradeInput
from riskengine.records.types import Kind

START_TS = 1_763_700_000_000_000
SECOND = 1_000_000
END_TS = START_TS + 4 * 3_600 * SECOND
NODES = sample_nodes()
LEAVES = {node.node for node in NODES} - {node.parent for node in NODES}
FX_ONLY = [instrument for instrument in sample_instruments() if instrument.kind is Kind.FX]


def day(seed: int, price_at: Callable[[str, int], Decimal | None] | None = None) -> list[TradeInput]:
    known = price_at or (lambda symbol, ts: Decimal("1.234565"))
    return seeded_day(seed, START_TS, END_TS, 2_000, sorted(LEAVES), ["Anna", "Bruno"], FX_ONLY, known)


def test_a_seeded_day_has_exactly_its_trades_and_repeats():
    assert day(9) == day(9) != day(10)
    actions = Counter(trade.action for trade in day(9))
    assert actions == {"new": 1_900, "amend": 60, "cancel": 40}


def test_a_seeded_day_passes_the_door_and_stays_in_its_hours():
    instruments = {instrument.instrument: instrument for instrument in FX_ONLY}
    door = TradeCheck(instruments, LEAVES, {node.node for node in NODES})
    times = [door(sent, END_TS, "file").ts for sent in day(9)]
    assert START_TS <= min(times) and max(times) < END_TS
    assert min(times) < START_TS + 600 * SECOND and max(times) > END_TS - 600 * SECOND
    assert times != sorted(times), "some are late"


def test_versions_of_a_seeded_day_are_whole_and_a_cancel_is_the_last():
    versions: dict[str, list[TradeInput]] = defaultdict(list)
    for trade in day(9):
        versions[trade.trade_id].append(trade)
    for chain in versions.values():
        chain.sort(key=lambda trade: trade.version or 0)
        assert [trade.version for trade in chain] == list(range(1, len(chain) + 1))
        assert all(trade.action != "cancel" for trade in chain[:-1])


def test_a_seeded_day_deals_only_where_a_price_is_known_and_near_it():
    sent = day(9, lambda symbol, ts: Decimal("1.10000") if symbol == "EURUSD" else None)
    dealt_in = [trade for trade in sent if trade.action == "new"]
    assert {trade.instrument for trade in dealt_in} == {"EURUSD"}
    assert all(abs((trade.price or 0) - Decimal("1.1")) <= Decimal("0.00003") for trade in dealt_in)


def test_a_seeded_day_without_any_price_says_so():
    with pytest.raises(ValueError, match="gives no price"):
        day(9, lambda symbol, ts: None)

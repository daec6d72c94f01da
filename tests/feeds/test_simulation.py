"""The simulated house: it repeats for a seed, holds together like a market, and sends only what the engine can take."""

from collections import Counter, defaultdict
from decimal import Decimal
from itertools import pairwise

import pytest

from riskengine.config import Config
from riskengine.feeds.simulation.dealing import DealingSimulator
from riskengine.feeds.simulation.market import MarketSimulator
from riskengine.feeds.simulation.sample_book import DEALERS, MANDATES, sample_instruments, sample_nodes
from riskengine.feeds.simulation.seeded_random import SeededRandom, Stepper
from riskengine.market.quote_book import QuoteBook
from riskengine.records.decode import TradeCheck, TradeInput
from riskengine.records.fields import quote
from riskengine.records.reference import Reference
from riskengine.records.types import Instrument, Kind, Node, Tick, Trade

START_TS = 1_763_700_000_000_000
SECOND = 1_000_000
INSTRUMENTS = {instrument.instrument: instrument for instrument in sample_instruments()}
NODES = sample_nodes()
LEAVES = {node.node for node in NODES} - {node.parent for node in NODES}


def check() -> TradeCheck:
    return TradeCheck(INSTRUMENTS, LEAVES, {node.node for node in NODES})


def market_ticks(seed: int, seconds: int, interval_s: float = 0.1, **options: float) -> list[Tick]:
    market = MarketSimulator(seed, sample_instruments(), **options)
    ticks, step = [], round(interval_s * SECOND)
    for now_ts in range(START_TS + step, START_TS + seconds * SECOND + 1, step):
        ticks += market.ticks(now_ts, interval_s)
    return ticks


def dealt(seed: int, seconds: int, *, run: str = "r1", rate: float = 4.0) -> list[tuple[int, TradeInput]]:
    """The trades that arrive, with their times, dealt at the quotes of a market."""
    market = MarketSimulator(seed, sample_instruments(), ticks_per_second=50)
    dealing = DealingSimulator(seed, NODES, sample_instruments(), run=run, trades_per_second=rate)
    arrived = []
    for now_ts in range(START_TS, START_TS + seconds * SECOND, SECOND // 10):
        market.ticks(now_ts, 0.1)
        arrived += [(now_ts, trade) for trade in dealing.trades(now_ts, 0.1, market.quote)]
    return arrived


@pytest.fixture(scope="module")
def ten_minutes() -> list[Tick]:
    return market_ticks(11, 600)


@pytest.fixture(scope="module")
def busy_day() -> list[tuple[int, TradeInput]]:
    return dealt(11, 600, rate=20.0)


# -- the sample book ---------------------------------------------------------------------------------------------


def test_the_sample_has_the_instruments_that_a_house_deals_in():
    kinds = Counter(instrument.kind for instrument in INSTRUMENTS.values())
    assert len(INSTRUMENTS) == len(sample_instruments()) == 41
    assert kinds == {Kind.FX: 21, Kind.METAL: 2, Kind.CRYPTO: 2, Kind.EQUITY: 15, Kind.FUTURE: 1}
    assert all(instrument.sector for instrument in INSTRUMENTS.values() if instrument.kind is Kind.EQUITY)
    assert INSTRUMENTS["EURUSD"].price_decimals == 5 and INSTRUMENTS["GBPJPY"].price_decimals == 3
    assert INSTRUMENTS["XAUUSD"].base_currency == "XAU"
    assert INSTRUMENTS["ESZ29"].multiplier == 50 * 10**8 and INSTRUMENTS["ESZ29"].expiry
    assert {instrument.quote_currency for instrument in INSTRUMENTS.values()} >= {"USD", "EUR", "GBP", "JPY"}


def test_the_sample_is_one_tree_of_a_total_two_books_and_desks_with_dealers():
    seen: set[str] = set()
    for node in NODES:
        assert node.parent in seen or (not node.parent and not seen), "parents first, one root"
        seen.add(node.node)
    levels = Counter(node.level for node in NODES)
    assert levels == {"total": 1, "book": 2, "desk": 7}
    assert set(DEALERS) == set(MANDATES) == LEAVES
    assert len({dealer for names in DEALERS.values() for dealer in names}) >= 10
    assert all(2 <= len(names) <= 3 for names in DEALERS.values())
    assert {symbol for symbols in MANDATES.values() for symbol in symbols} == set(INSTRUMENTS), "somebody deals in each"


# -- chance ------------------------------------------------------------------------------------------------------


def test_the_random_numbers_are_the_same_on_every_machine():
    rng = SeededRandom(42, "market")
    assert [rng.below(1_000) for _ in range(6)] == [75, 55, 857, 177, 259, 980]
    assert SeededRandom(42, "market").random() != SeededRandom(42, "dealing").random()


def test_a_stepper_loses_no_time_and_makes_none_up_after_a_long_sleep():
    stepper = Stepper()
    assert list(stepper.steps(5_000, 0.005)) == []
    assert list(stepper.steps(25_000, 0.020)) == [10_000, 20_000]
    assert list(stepper.steps(30_000, 0.005)) == [30_000]
    assert len(stepper.steps(10**9, 3_600.0)) == 500


# -- the market --------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_ticks_and_another_seed_others():
    assert market_ticks(1, 20) == market_ticks(1, 20)
    assert market_ticks(1, 20) != market_ticks(2, 20)


def test_the_ticks_do_not_depend_on_how_often_the_market_is_asked():
    assert market_ticks(3, 20, 0.1) == market_ticks(3, 20, 0.5)


def test_everything_is_quoted_at_once_and_near_the_rate_from_then_on(ten_minutes: list[Tick]):
    assert {tick.instrument for tick in ten_minutes[: len(INSTRUMENTS)]} == set(INSTRUMENTS)
    assert 320 < len(ten_minutes) / 600 < 480
    per_second = Counter(tick.ts // SECOND for tick in ten_minutes)
    assert max(per_second.values()) > 800, "bursts"
    assert min(per_second.values()) < 200, "quiet spells"


def test_ticks_are_in_order_inside_their_interval_and_rounded():
    market = MarketSimulator(5, sample_instruments())
    before = START_TS
    for now_ts in range(START_TS + SECOND, START_TS + 30 * SECOND, SECOND):
        ticks = market.ticks(now_ts, 1.0)
        times = [tick.ts for tick in ticks]
        assert times == sorted(times) and before < times[0] and times[-1] <= now_ts
        for tick in ticks:
            for price in (tick.bid, tick.ask):
                if price is not None:
                    assert price > 0 and price == round(price, INSTRUMENTS[tick.instrument].price_decimals)
                    assert quote(price, "price") == price
        before = now_ts


def test_now_and_then_a_quote_is_one_sided_or_crossed(ten_minutes: list[Tick]):
    one_sided = sum(tick.bid is None or tick.ask is None for tick in ten_minutes)
    crossed = sum(tick.bid is not None and tick.ask is not None and tick.bid > tick.ask for tick in ten_minutes)
    assert 0.001 < one_sided / len(ten_minutes) < 0.006
    assert 0 < crossed / len(ten_minutes) < 0.003
    assert not any(tick.bid is None and tick.ask is None for tick in ten_minutes)


def test_an_instrument_now_and_then_falls_silent_for_a_while(ten_minutes: list[Tick]):
    last: dict[str, int] = {}
    longest_s: dict[str, float] = defaultdict(float)
    for tick in ten_minutes:
        silence_s = (tick.ts - last.get(tick.instrument, tick.ts)) / SECOND
        longest_s[tick.instrument] = max(longest_s[tick.instrument], silence_s)
        last[tick.instrument] = tick.ts
    assert max(longest_s.values()) > 20
    assert longest_s["EURUSD"] < 15


def sides(tick: Tick) -> tuple[float, float]:
    """Bid and ask of a whole quote."""
    assert tick.bid is not None and tick.ask is not None
    return tick.bid, tick.ask


@pytest.mark.parametrize(
    ("cross", "over", "under", "product"),
    [
        ("EURGBP", "EURUSD", "GBPUSD", False),
        ("EURJPY", "EURUSD", "USDJPY", True),
        ("GBPJPY", "GBPUSD", "USDJPY", True),
        ("AUDNZD", "AUDUSD", "NZDUSD", False),
        ("EURCHF", "EURUSD", "USDCHF", True),
    ],
)
def test_a_cross_cannot_be_arbitraged_against_its_majors(
    ten_minutes: list[Tick], cross: str, over: str, under: str, product: bool
):
    newest: dict[str, Tick] = {}
    compared = violated = 0
    for tick in ten_minutes:
        if tick.bid is None or tick.ask is None or tick.bid > tick.ask:
            continue
        newest[tick.instrument] = tick
        trio = [newest[symbol] for symbol in (cross, over, under) if symbol in newest]
        if tick.instrument not in (cross, over, under) or len(trio) < 3:
            continue
        if max(leg.ts for leg in trio) - min(leg.ts for leg in trio) > SECOND // 2:
            continue
        (bid, ask), first, second = (sides(leg) for leg in trio)
        implied_bid = first[0] * second[0] if product else first[0] / second[1]
        implied_ask = first[1] * second[1] if product else first[1] / second[0]
        compared += 1
        violated += implied_bid > ask or implied_ask < bid
    assert compared > 1_000
    assert violated / compared < 0.001


def returns(ticks: list[Tick], symbol: str) -> list[float]:
    """Relative moves of the mid over ten seconds each; 0 without a quote."""
    mids: dict[int, float] = {}
    for tick in ticks:
        if tick.instrument == symbol and tick.bid is not None and tick.ask is not None:
            mids[tick.ts // (10 * SECOND)] = (tick.bid + tick.ask) / 2
    first = START_TS // (10 * SECOND)
    known = [mids[first]]
    for place in range(first + 1, max(mids)):
        known.append(mids.get(place, known[-1]))
    return [new / old - 1 for old, new in pairwise(known)]


def test_what_is_related_moves_together(ten_minutes: list[Tick]):
    euro, franc = returns(ten_minutes, "EURUSD"), returns(ten_minutes, "USDCHF")
    together = sum(one * other for one, other in zip(euro, franc, strict=False))
    own = (sum(one**2 for one in euro) * sum(other**2 for other in franc)) ** 0.5
    assert together / own < -0.2, "both are mostly the dollar"
    daily = (sum(one**2 for one in euro) / len(euro) * 8_640) ** 0.5
    assert 0.002 < daily < 0.012


def test_the_market_remembers_its_newest_whole_quote(ten_minutes: list[Tick]):
    market = MarketSimulator(11, sample_instruments())
    assert market.quote("EURUSD") is None
    market.ticks(START_TS, 1.0)
    bid, ask = market.quote("EURUSD") or (0.0, 0.0)
    assert 1.1 < bid < ask < 1.2
    assert market.quote("NOSUCH") is None


def test_a_book_of_strangers_and_an_empty_one_are_quoted_too():
    instruments = [
        Instrument(instrument="ABC", kind=Kind.EQUITY, quote_currency="USD", price_decimals=2),
        Instrument(instrument="EURPLN", kind=Kind.FX, base_currency="EUR", quote_currency="PLN"),
        Instrument(instrument="EURUSD C", kind=Kind.FX_OPTION, base_currency="EUR", quote_currency="USD"),
    ]
    ticks = MarketSimulator(1, instruments).ticks(START_TS, 1.0)
    assert {tick.instrument for tick in ticks} == {"ABC", "EURPLN"}
    assert MarketSimulator(1, []).ticks(START_TS, 1.0) == []


# -- dealing -----------------------------------------------------------------------------------------------------


def test_the_same_seed_deals_the_same():
    assert dealt(4, 60) == dealt(4, 60)
    assert dealt(4, 60) != dealt(5, 60)


def test_everything_that_is_sent_passes_the_door(busy_day: list[tuple[int, TradeInput]]):
    door = check()
    for now_ts, sent in busy_day:
        trade = door(sent, now_ts, "api")
        assert trade.ts <= now_ts
        if trade.action != "cancel":
            assert trade.dealer in DEALERS[trade.desk]
            assert isinstance(sent.price, Decimal) and isinstance(sent.quantity, Decimal)


def test_trades_come_at_about_the_rate_in_bursts():
    arrived = dealt(6, 900)
    assert 3.0 < len(arrived) / 900 < 5.0
    per_second = Counter(now_ts // SECOND for now_ts, _ in arrived)
    assert max(per_second.values()) > 12


def test_all_that_makes_a_day_difficult_happens(busy_day: list[tuple[int, TradeInput]]):
    sent = [trade for _, trade in busy_day]
    actions = Counter(trade.action for trade in sent)
    assert actions["amend"] > 0.015 * len(sent) and actions["cancel"] > 0.01 * len(sent)
    versions = Counter((trade.trade_id, trade.leg, trade.version) for trade in sent)
    assert sum(times - 1 for times in versions.values()) > 0.01 * len(sent), "redelivered"
    ages = [now_ts - check()(trade, now_ts, "api").ts for now_ts, trade in busy_day if trade.action == "new"]
    late = [age for age in ages if age > 20 * SECOND]
    assert len(late) > 0.01 * len(sent) and max(late) > 120 * SECOND
    parts = Counter(trade.trade_id.partition(".")[0] for trade in sent if "." in trade.trade_id)
    assert max(parts.values()) >= 3, "partial fills"
    legs = Counter(trade.legs for trade in sent)
    assert legs[2] > 0.005 * len(sent), "internal deals"


def test_a_second_delivery_says_exactly_the_same(busy_day: list[tuple[int, TradeInput]]):
    known: dict[tuple, Trade] = {}
    door = check()
    for now_ts, sent in busy_day:
        trade = door(sent, now_ts, "api")
        first = known.setdefault((trade.identity, trade.version), trade)
        assert trade.same_economics(first)


def test_amends_set_right_a_price_or_quantity_or_move_to_another_desk(busy_day: list[tuple[int, TradeInput]]):
    first = {(trade.trade_id, trade.leg): trade for _, trade in busy_day if trade.version == 1}
    changed: Counter[str] = Counter()
    for _, trade in busy_day:
        original = first.get((trade.trade_id, trade.leg))
        if trade.action == "amend" and original is not None:
            assert trade.ts == original.ts and isinstance(trade.booked_ts, int)
            assert isinstance(trade.ts, int) and trade.booked_ts > trade.ts
            fields = [name for name in ("price", "quantity", "desk") if getattr(trade, name) != getattr(original, name)]
            assert len(fields) == 1
            changed.update(fields)
    assert set(changed) == {"price", "quantity", "desk"}


def test_an_internal_deal_has_two_opposite_legs_on_two_desks(busy_day: list[tuple[int, TradeInput]]):
    deals: dict[str, dict[int, TradeInput]] = defaultdict(dict)
    for _, trade in busy_day:
        if trade.legs == 2:
            deals[trade.trade_id][trade.leg] = trade
    whole = [legs for legs in deals.values() if len(legs) == 2]
    assert whole
    for legs in whole:
        assert (legs[0].side, legs[1].side) == ("sell", "buy")
        assert legs[0].desk != legs[1].desk
        same = ("instrument", "quantity", "price", "ts")
        assert all(getattr(legs[0], name) == getattr(legs[1], name) for name in same)


def test_equities_pay_fees_in_their_currency_and_currencies_none(busy_day: list[tuple[int, TradeInput]]):
    for now_ts, sent in busy_day:
        if sent.action == "cancel" or sent.legs == 2:
            continue
        instrument = INSTRUMENTS[sent.instrument]
        trade = check()(sent, now_ts, "api")
        assert trade.fees_currency == instrument.quote_currency
        assert (trade.fees > 0) == (instrument.kind in (Kind.EQUITY, Kind.FUTURE))


def test_desks_keep_to_their_mandate_and_their_positions_bounded(busy_day: list[tuple[int, TradeInput]]):
    net: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for _, trade in busy_day:
        if trade.action == "new":
            assert trade.instrument in MANDATES[trade.desk]
            net[trade.desk, trade.instrument] += (trade.quantity or 0) * (1 if trade.side == "buy" else -1)
    assert max(abs(quantity) for (_, symbol), quantity in net.items() if symbol == "EURUSD") < 60_000_000


def test_trade_ids_begin_with_the_run_so_that_two_runs_never_share_one():
    first = {trade.trade_id for _, trade in dealt(4, 30, run="a")}
    second = {trade.trade_id for _, trade in dealt(4, 30, run="b")}
    assert first and second and not first & second
    assert all(trade_id.startswith("a-") for trade_id in first)


def test_nobody_deals_without_a_price_or_without_a_desk():
    silent = DealingSimulator(1, NODES, sample_instruments(), run="r")
    assert silent.trades(START_TS, 5.0, lambda symbol: None) == []
    empty = DealingSimulator(1, NODES, [], run="r")
    assert empty.trades(START_TS, 5.0, lambda symbol: (1.0, 1.1)) == []


def test_a_house_of_ones_own_deals_in_everything_without_dealer_names():
    nodes = [Node("TOP"), Node("D1", "desk", "TOP"), Node("D2", "desk", "TOP")]
    instruments = [Instrument(instrument="EURUSD", kind=Kind.FX, base_currency="EUR", quote_currency="USD")]
    dealing = DealingSimulator(1, nodes, instruments, run="r", trades_per_second=50)
    sent = dealing.trades(START_TS, 5.0, lambda symbol: (1.1, 1.2))
    assert {trade.desk for trade in sent if trade.action == "new"} == {"D1", "D2"}
    assert {trade.dealer for trade in sent} == {""}


def test_no_price_of_the_simulated_market_is_too_far_from_the_one_before() -> None:
    """The demo runs with the limits on moves of the default configuration, and none of its prices is held back."""
    quotes = QuoteBook(Reference(NODES, sample_instruments(), "USD"), Config().marks, 60.0)
    for tick in market_ticks(7, 60):
        quotes.offer([tick], tick.ts)
    assert quotes.accepted > 10_000
    assert (quotes.held_back, quotes.refused) == (0, 0)

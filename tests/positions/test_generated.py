"""Whatever trades and corporate actions come in whatever order: the state of the perfect stream, and that of the store."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.engine.engine import Engine
from riskengine.engine.self_audit import SelfAudit
from riskengine.market.trading_day import TradingDay
from riskengine.reconciliation.store_actions import StoreActions
from riskengine.records.actions import Action, ActionRows, PriceBefore
from riskengine.records.types import Trade
from riskengine.snapshot.compare import side_of
from riskengine.snapshot.digest import digest
from tests.acted import ACTED, DAY, EX_DATE, YESTERDAY, action, dealt, rows_of
from tests.world import NOON, SECOND, cancel, config, opening

TRADING_DAY = TradingDay.of(config().engine)
SYMBOLS = ("AAA", "AAA", "BBB", "CCC", "AAA-C400")
EX_DATES = ("2026-03-02", "2026-03-03", EX_DATE)
CLOSES = {(symbol, date): PriceBefore("2026-02-27", 123.45) for symbol in ("AAA", "CCC") for date in EX_DATES}

Step = Trade | Action


@st.composite
def deals(draw: st.DrawFn) -> list[Trade]:
    found: list[Trade] = []
    for number in range(draw(st.integers(1, 9))):
        columns: dict[str, Any] = {
            "instrument": draw(st.sampled_from(SYMBOLS)),
            "ts": NOON - draw(st.integers(0, 5)) * DAY - draw(st.integers(0, 3)) * SECOND,
            "quantity": str(draw(st.integers(1, 40))),
            "side": draw(st.sampled_from(("buy", "sell"))),
            "price": str(draw(st.integers(1, 500))),
            "dealer": draw(st.sampled_from(("ann", "bob", ""))),
            "desk": draw(st.sampled_from(("FX1", "EQ1"))),
            "fees": draw(st.sampled_from(("0", "1.5"))),
        }
        if draw(st.integers(0, 4)) == 0:
            columns["trade_date"] = draw(st.sampled_from(EX_DATES))
        found.append(dealt(f"t{number}", **columns))
        if draw(st.integers(0, 4)) == 0:
            found.append(dealt(f"t{number}", **columns | {"version": 2, "action": "amend", "quantity": "17", "desk": "FX1"}))
        elif draw(st.integers(0, 6)) == 0:
            found.append(cancel(f"t{number}"))
    return found


@st.composite
def actions(draw: st.DrawFn) -> list[Action]:
    kinds: dict[str, dict[str, Any]] = {
        "split": {"ratio": draw(st.sampled_from(("4:1", "1:10", "3:2", "1:3", "7:5")))},
        "dividend": {"amount": draw(st.sampled_from(("0.5", "1.234567"))), "currency": draw(st.sampled_from(("USD", "EUR")))},
        "spin_off": {"into": "CCC", "ratio": draw(st.sampled_from(("1:3", "2:1"))), "cost_share": "0.2"},
        "symbol_change": {"into": "BBB"},
    }
    found: list[Action] = []
    for number in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(sorted(kinds)))
        symbol = draw(st.sampled_from(("AAA", "BBB", "CCC")))
        columns = {"kind": kind, "instrument": symbol, "ex_date": draw(st.sampled_from(EX_DATES))} | kinds[kind]
        if columns.get("into") == symbol:
            columns["into"] = "AAA"
        found.append(action(f"a{number}", **columns))
        if draw(st.integers(0, 4)) == 0:
            found.append(action(f"a{number}", version=2, **{**columns, "ex_date": EX_DATE}))
        elif draw(st.integers(0, 6)) == 0:
            found.append(action(f"a{number}", version=2, kind="cancel"))
    return found


def engine_of(steps: Sequence[Step], *, publish: bool) -> Engine:
    """The state after these steps; `publish` after each of them."""
    engine, known = Engine(ACTED, config(), now=NOON), list[Action]()
    engine.open_with([opening(ACTED, instrument="AAA", ts=NOON - 6 * DAY, quantity="11", average_price="100", dealer="ann")])
    for step in steps:
        if isinstance(step, Trade):
            engine.apply([step], NOON)
        else:
            known.append(step)
            engine.take_actions(ActionRows(tuple(known), CLOSES), NOON)
        if publish:
            engine.publish(NOON)
    engine.publish(NOON)
    return engine


def account(engine: Engine, known: Sequence[Action]) -> dict[Any, list[int]]:
    """Quantity, cash and amounts in euro beside it by key, by the store's own account of the trades that count."""
    mine = StoreActions(ActionRows(tuple(known), CLOSES), ACTED.by_symbol, EX_DATE, TRADING_DAY)
    trades = list(engine.processed.standing_trades())
    balances = [opening(ACTED, instrument="AAA", ts=NOON - 6 * DAY, quantity="11", average_price="100", dealer="ann")]
    sums: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0])
    acted = [trade for trade in trades if trade.instrument in mine.acted]
    held = mine.holdings(acted, [each for each in balances if each.instrument in mine.acted])
    parts = [(each.desk, each.dealer, each.instrument, each.quantity, each.cash, each.beside.get("EUR", 0)) for each in held]
    plain = [
        (trade.desk, trade.dealer, trade.instrument, trade.signed_quantity, trade.cash, 0)
        for trade in trades
        if trade.instrument not in mine.acted
    ]
    plain += [
        (each.desk, each.dealer, each.instrument, each.quantity, -each.quantity * each.average_price * 10**8, 0)
        for each in balances
        if each.instrument not in mine.acted
    ]
    for desk, dealer, symbol, *amounts in (*parts, *plain):
        for key in (("node", desk, symbol), ("dealer", dealer, symbol)):
            sums[key] = [one + more for one, more in zip(sums[key], amounts, strict=True)]
    return sums


@settings(max_examples=120, deadline=None)
@given(deals(), actions(), st.randoms(use_true_random=False))
def test_any_order_of_trades_and_actions_ends_in_the_state_of_the_perfect_stream(
    trades: list[Trade], known: list[Action], chance: Any
) -> None:
    perfect = engine_of([*known, *sorted(trades, key=lambda trade: (trade.ts, trade.version))], publish=False)
    shuffled: list[Step] = [*trades, *known]
    chance.shuffle(shuffled)
    arrived = engine_of(shuffled, publish=chance.random() < 0.7)
    assert digest(arrived.snapshot) == digest(perfect.snapshot)
    arrived.check()
    assert SelfAudit(arrived).finish_pass() == []
    expected = account(arrived, known)
    held = side_of(arrived.snapshot)
    leaves = ACTED.hierarchy.leaves
    for (rollup, owner, symbol), holding in held.items():
        if rollup == "dealer" or owner in leaves:
            amounts = [holding.quantity, holding.cash, holding.beside.get("EUR", 0)]
            assert amounts == expected.pop((rollup, owner, symbol), [0, 0, 0]), (owner, symbol)
    assert not any(any(sums) for sums in expected.values())


@settings(max_examples=60, deadline=None)
@given(deals(), st.sampled_from(("4:1", "2:1", "10:1", "5:1")))
def test_a_split_changes_no_value(trades: list[Trade], ratio: str) -> None:
    engine = engine_of(trades, publish=True)
    before = {key: holding.cash for key, holding in side_of(engine.snapshot).items()}
    new = int(ratio.partition(":")[0])
    worth = {key: holding.quantity * 360 for key, holding in side_of(engine.snapshot).items() if key[2] == "AAA"}
    early = dict.fromkeys(worth, 0)
    for trade in engine.processed.standing_trades():
        is_early = trade.trade_date < EX_DATE if trade.trade_date else TRADING_DAY.date_of(trade.ts).isoformat() < EX_DATE
        if trade.instrument == "AAA" and not is_early:
            for key in (("node", trade.desk, "AAA"), ("dealer", trade.dealer, "AAA")):
                early[key] += trade.signed_quantity * (new - 1) * 360
    engine.take_actions(rows_of(action("s", ratio=ratio)), NOON)
    engine.publish(NOON)
    for key, holding in side_of(engine.snapshot).items():
        assert holding.cash == before[key]
        if key in worth and key[1] in (*ACTED.hierarchy.leaves, "ann", "bob", ""):
            assert holding.quantity * 360 == worth[key] * new - early[key], "what is dated from the ex-date on is as dealt"
    assert YESTERDAY < NOON

"""What counterparties and strategies have of each position, from stored trades: the engine's positions, proved line by line."""

import random
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import pytest

from riskengine.reconciliation import trade_groups
from riskengine.reconciliation.trade_groups import TradeGroups
from riskengine.records.actions import Action, ActionKind, ActionRows, Ratio
from riskengine.records.types import Trade, Verdict, attributes_of
from riskengine.snapshot.groups import BY, Parts, unproven
from riskengine.snapshot.snapshot import Snapshot
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from tests.reconciliation.furnished import CONFIG, engine_of, furnished
from tests.store_book import Outside
from tests.world import DESKS, NOON, SECOND, cancel, opening, trade

BANKS, STRATEGIES = ("", "ALPHA", "BETA"), ("", "carry", "momentum")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = furnished(open_store(store_url))
    yield opened
    opened.close()


def rest() -> None:
    """Nobody waits here."""


def groups_of(store: Store, snapshot: Snapshot) -> TradeGroups:
    found = TradeGroups(store, CONFIG, snapshot)
    found.read_up_to(snapshot.watermark, rest)
    return found


def parts_of(groups: TradeGroups, snapshot: Snapshot, by: str, node: str | None = None, dealer: str | None = None) -> Parts:
    hierarchy = snapshot.reference.hierarchy
    desks = hierarchy.leaves_below(0 if node is None else hierarchy.index[node])
    parts = groups.parts(by, snapshot.watermark, desks=() if dealer is not None else desks, dealer=dealer)
    assert parts is not None
    return parts


def proved(store: Store) -> TradeGroups:
    """The groups of a store, of which the engine's snapshot must prove every line of every node and dealer."""
    snapshot = engine_of(store).snapshot
    groups = groups_of(store, snapshot)
    for by in BY:
        for node in snapshot.reference.hierarchy.names:
            assert unproven(snapshot, parts_of(groups, snapshot, by, node), node, None) == []
        for dealer in snapshot.dealer_names:
            assert unproven(snapshot, parts_of(groups, snapshot, by, dealer=dealer), None, dealer) == []
    return groups


def shown(parts: Parts) -> dict[tuple[str, str], tuple[Fraction, Fraction, int]]:
    """Quantity, cash and number of trades by instrument and group, as fractions."""
    return {
        (symbol, name): (Fraction(part.quantity, 10**10), Fraction(part.cash, 10**28), part.trade_count)
        for symbol, groups in parts.items()
        for name, part in groups.items()
        if part.trade_count
    }


def some_trades(seed: int, count: int) -> list[Trade]:
    """New, amended, cancelled and repeated trades, whose amends go to other desks, dealers, counterparties and strategies."""
    choose = random.Random(seed)
    sent: list[Trade] = []
    versions: dict[str, int] = {}
    for number in range(count):
        name = f"t{choose.randrange(count)}"
        versions[name] = versions.get(name, 0) + 1
        if versions[name] > 1 and choose.random() < 0.3:
            sent.append(cancel(name, version=versions[name], counterparty=choose.choice(BANKS)))
            continue
        sent.append(
            trade(
                name,
                version=versions[name],
                action="new" if versions[name] == 1 else "amend",
                ts=NOON - choose.randrange(3_600) * SECOND,
                instrument=choose.choice(("EURUSD", "USDJPY", "ACME")),
                desk=choose.choice(DESKS),
                dealer=choose.choice(("", "ann", "bob")),
                side=choose.choice(("buy", "sell")),
                quantity=str(choose.randrange(1, 50)),
                price=f"{choose.randrange(1, 10_000)}.{number % 10}",
                fees=choose.choice(("0", "0.07", "-1")),
                counterparty=choose.choice(BANKS),
                strategy=choose.choice(STRATEGIES),
            )
        )
    choose.shuffle(sent)
    return sent


def in_force(trades: Iterable[Trade]) -> list[Trade]:
    """The naive account: the highest version of each, without cancels."""
    highest: dict[str, Trade] = {}
    for each in sorted(trades, key=lambda one: one.version):
        highest[each.trade_id] = each
    return [each for each in highest.values() if each.action != "cancel"]


def naive(trades: Iterable[Trade], by: Callable[[Trade], str]) -> dict[tuple[str, str], tuple[Fraction, Fraction, int]]:
    found: dict[tuple[str, str], tuple[Fraction, Fraction, int]] = {}
    for each in in_force(trades):
        signed = Fraction(each.quantity, 10**10) * (1 if each.side == "buy" else -1)
        cash = -signed * Fraction(each.price, 10**10)
        quantity, paid, count = found.get((each.instrument, by(each)), (Fraction(), Fraction(), 0))
        found[each.instrument, by(each)] = quantity + signed, paid + cash, count + 1
    return found


def attribute(name: str) -> Callable[[Trade], str]:
    return lambda one: str(getattr(attributes_of(one), name))


@pytest.mark.parametrize("seed", range(4))
def test_groups_are_what_the_trades_in_force_come_to_and_every_line_is_proved(store: Store, seed: int) -> None:
    trades = some_trades(seed, 60)
    store.append_trades(trades)
    groups = proved(store)
    snapshot = engine_of(store).snapshot
    for by in BY:
        assert shown(parts_of(groups, snapshot, by)) == naive(trades, attribute(by))
        bobs = [one for one in in_force(trades) if one.dealer == "bob"]
        assert shown(parts_of(groups, snapshot, by, dealer="bob")) == naive(bobs, attribute(by))


def test_read_as_they_come_they_are_what_they_are_read_at_once_and_of_a_moment_ago_too(store: Store) -> None:
    trades = some_trades(7, 80)
    store.append_trades(trades[:30])
    first = engine_of(store).snapshot
    following = groups_of(store, first)
    before = {by: shown(parts_of(following, first, by)) for by in BY}
    for at in range(30, 80, 10):
        store.append_trades(trades[at : at + 10])
        snapshot = engine_of(store).snapshot
        following.read_up_to(snapshot.watermark, rest)
        for by in BY:
            at_once = parts_of(groups_of(store, snapshot), snapshot, by)
            assert shown(parts_of(following, snapshot, by)) == shown(at_once)
            assert unproven(snapshot, parts_of(following, snapshot, by), None, None) == []
            assert shown(parts_of(following, first, by)) == before[by], "the snapshot of before has its sums"


def test_a_moment_too_long_ago_is_not_guessed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trade_groups, "MAX_UNDONE", 3)
    store.append_trades([trade("a")])
    first = engine_of(store).snapshot
    groups = groups_of(store, first)
    store.append_trades([trade(f"b{number}") for number in range(5)])
    groups.read_up_to(engine_of(store).snapshot.watermark, rest)
    assert groups.parts("strategy", first.watermark, desks=DESKS) is None


def test_what_is_kept_out_is_in_no_group_until_a_person_lets_it_in(store: Store) -> None:
    ahead = trade("ahead", ts=NOON + 3_600 * SECOND, strategy="carry")
    store.append_trades([trade("in", strategy="carry"), ahead])
    snapshot = engine_of(store).snapshot
    groups = proved(store)
    assert shown(parts_of(groups, snapshot, "strategy"))["EURUSD", "carry"][2] == 1
    store.save_verdict(Verdict("quarantined:test:ahead:0:1", "accept", "", "ann", NOON))
    decided = engine_of(store).snapshot
    assert not groups.is_of(decided), "it is judged anew"
    assert shown(parts_of(proved(store), decided, "strategy"))["EURUSD", "carry"][2] == 2


def test_openings_are_of_no_group_and_splits_adjust_quantities(store: Store) -> None:
    store.save_openings(
        [opening(desk="EQ1", instrument="ACME", ts=NOON - 86_400 * SECOND * 30, quantity="7", average_price="90")]
    )
    days_ago = NOON - 86_400 * SECOND * 5
    store.append_trades(
        [trade("before", instrument="ACME", desk="EQ1", ts=days_ago, quantity="5", price="100", counterparty="ALPHA")]
    )
    store.save_actions([Action(action_id="s", instrument="ACME", kind=ActionKind.SPLIT, ex_date="2026-03-03", ratio=Ratio(4, 1))])
    store.append_trades([trade("after", instrument="ACME", desk="EQ1", quantity="2", price="25", counterparty="ALPHA")])
    snapshot = engine_of(store).snapshot
    found = shown(parts_of(proved(store), snapshot, "counterparty"))
    assert found == {("ACME", "ALPHA"): (Fraction(22), Fraction(-550), 2)}
    row = snapshot.nodes.row(0, snapshot.reference.instrument_index["ACME"])
    assert row is not None and row.quantity == 50 * 10**10


def test_that_actions_are_known_of_which_none_is_in_force_has_nothing_read_again(store: Store) -> None:
    engine = engine_of(store)
    groups = groups_of(store, engine.snapshot)
    engine.take_actions(ActionRows((), {}), NOON, engine.snapshot.current_day)
    assert engine.publish(NOON).adjustments is not None
    assert groups.is_of(engine.snapshot)


def test_a_forward_counts_in_the_instrument_that_it_is_a_position_of(store: Store) -> None:
    store.append_trades([trade("fwd", value_date="2026-06-04", counterparty="BETA"), trade("spot", counterparty="BETA")])
    snapshot = engine_of(store).snapshot
    assert set(shown(parts_of(proved(store), snapshot, "counterparty"))) == {("EURUSD", "BETA"), ("EURUSD@2026-06-04", "BETA")}


def test_a_row_edited_in_place_is_not_proved_until_everything_is_read_again(store: Store, outside: Outside) -> None:
    store.append_trades([trade("1", strategy="carry"), trade("2", instrument="ACME", desk="EQ1")])
    groups = groups_of(store, engine_of(store).snapshot)
    outside.execute("UPDATE trades SET quantity = '9' WHERE trade_id = '1'")
    edited = engine_of(store).snapshot
    assert unproven(edited, parts_of(groups, edited, "strategy"), None, None) == ["EURUSD"]
    proved(store)

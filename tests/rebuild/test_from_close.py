"""A start from the state of a close is the replay of everything, to the last bit, whatever came before and after."""

import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskengine.rebuild.equal_states import state_differences
from riskengine.rebuild.from_close import ALL_IN_MEMORY, NONE_YET
from riskengine.records.actions import Action, ActionInput, check_action
from riskengine.records.decode import convert
from riskengine.records.types import Instrument, Trade, Verdict
from tests.closing_house import (
    BOUNDARY,
    DAY,
    OLD,
    SETTINGS,
    STRUCK,
    TUESDAY,
    WEDNESDAY,
    ClosingHouse,
    assert_equal,
    kept_house,
    old,
)
from tests.store_book import Outside
from tests.world import REFERENCE, SECOND, cancel, config, instruments, nodes, opening, trade

columns: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "trade_id": st.sampled_from("abcdefghij"),
        "version": st.sampled_from([1, 1, 1, 2, 3]),
        "ts": st.sampled_from([-450_000, -260_000, -90_000, -7, -5, -3, -2, -1, 0, 2, 4, 100]).map(
            lambda n: BOUNDARY + n * SECOND
        ),
        "instrument": st.sampled_from(["EURUSD", "ACME", "ESZ6"]),
        "desk": st.sampled_from(["FX1", "FX2", "EQ1"]),
        "dealer": st.sampled_from(["", "ann", "bob"]),
        "side": st.sampled_from(["buy", "sell"]),
        "quantity": st.sampled_from(["1", "2", "3"]),
        "price": st.sampled_from(["1.1", "1.37", "2.0001"]),
        "fees": st.sampled_from(["0", "0", "0.1"]),
        "fees_currency": st.sampled_from(["", "", "EUR"]),
        "source_seq": st.sampled_from([0, 1]),
        "leg": st.sampled_from([0, 0, 0, 0, 1]),
        "legs": st.sampled_from([None] * 9 + [2]),
        "value_date": st.sampled_from([""] * 9 + ["2026-06-04", "2026-03-05"]),
        "trade_date": st.sampled_from([""] * 7 + ["2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05"]),
    }
)


def sent(given: dict[str, Any], *, is_cancel: bool, received_ts: int) -> Trade:
    if is_cancel:
        return cancel(given["trade_id"], given["version"], leg=given["leg"], received_ts=received_ts)
    return trade(**given, action="amend" if given["version"] > 1 else "new", received_ts=received_ts)


def received(*times: int) -> st.SearchStrategy[list[Trade]]:
    one = st.builds(sent, columns, is_cancel=st.sampled_from([False] * 5 + [True]), received_ts=st.sampled_from(times))
    return st.lists(one, max_size=24)


verdicts = st.lists(st.tuples(st.integers(0, 23), st.sampled_from(["accept", "accept", "reject"])), max_size=4)


@settings(deadline=None, max_examples=20)
@given(
    received(BOUNDARY - 2 * SECOND, BOUNDARY + 3 * SECOND),
    verdicts,
    received(STRUCK + SECOND, STRUCK + 9 * SECOND),
    verdicts,
    received(STRUCK + DAY + 9 * SECOND),
)
def test_it_is_the_replay_of_everything(
    before: list[Trade],
    decided: list[tuple[int, str]],
    after: list[Trade],
    decided_after: list[tuple[int, str]],
    later: list[Trade],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        house = ClosingHouse(f"sqlite:///{folder}/engine.db")
        try:
            house.deliver(before, decided)
            house.strike(TUESDAY)
            house.now = STRUCK + 10 * SECOND
            if not house.keep(TUESDAY):
                return
            house.compare()
            house.deliver(after, decided_after)
            house.compare()
            house.now += DAY
            house.strike(WEDNESDAY)
            house.keep(WEDNESDAY)
            start = house.compare(later)
            assert start.state is not None and start.state.date == WEDNESDAY.isoformat()
        finally:
            house.store.close()


# -- one thing at a time ---------------------------------------------------------------------------------------------


@pytest.fixture
def house(store_url: str) -> Iterator[ClosingHouse]:
    made = ClosingHouse(store_url)
    yield made
    made.store.close()


def test_what_touches_frozen_trades_after_the_close_counts_as_ever(house: ClosingHouse) -> None:
    """Amends, cancels, late trades, a conflict and a trade of the next day; and its figures are not those of the close."""
    kept_house(house, old("c"), cancel("c", received_ts=OLD), old("x", quantity="7"))
    before = house.compare()
    assert before.state is not None and (before.state.frozen, before.state.cancelled, before.state.kept) == (7, 1, [])
    house.deliver(
        [
            old("t1", version=2, action="amend", price="2.5", received_ts=STRUCK + SECOND),
            cancel("t2", received_ts=STRUCK + SECOND),
            old("late", ts=OLD - SECOND, received_ts=STRUCK + SECOND),
            old("x", quantity="8", received_ts=STRUCK + SECOND),
            old("c", version=3, action="amend", received_ts=STRUCK + SECOND),
            old("next", ts=BOUNDARY + 2 * SECOND, received_ts=STRUCK + SECOND),
        ]
    )
    house.compare([old("t3", price="9"), cancel("t4"), old("again", ts=OLD + 3 * SECOND)])


def test_amended_trades_of_earlier_days_are_frozen_again_at_the_next_close(house: ClosingHouse) -> None:
    kept_house(house)
    house.deliver([old("t1", version=2, action="amend", price="2.5", received_ts=STRUCK + SECOND), cancel("t2")])
    house.now += DAY
    house.strike(WEDNESDAY)
    house.keep(WEDNESDAY)
    state = house.compare().state
    assert state is not None and (state.frozen, state.cancelled, state.kept, state.tails) == (5, 1, [], [])


def test_rows_that_are_no_trades_are_read_again_and_count_once_they_are(house: ClosingHouse) -> None:
    outside = Outside(house.url)
    outside.book(source="test", trade_id="odd", instrument="EURUSD", desk="NOWHERE", ts=OLD, received_ts=OLD)
    kept_house(house)
    house.compare()
    assert [item.trade for item in house.full().snapshot.exceptions["quarantined"]] == [None]
    outside.execute("UPDATE trades SET desk = 'FX2' WHERE trade_id = 'odd'")
    outside.close()
    house.compare()
    assert house.resumed()[0].snapshot.counts.quarantined == 0


def test_a_row_that_commits_late_with_an_earlier_number_is_read(postgres_url: str) -> None:
    house = ClosingHouse(postgres_url)
    late = Outside(postgres_url)
    late.execute("BEGIN")
    late.book(source="test", trade_id="slow", instrument="EURUSD", desk="FX2", ts=OLD, received_ts=OLD)
    kept_house(house)
    late.execute("COMMIT")
    late.close()
    start = house.compare()
    assert house.resumed()[0].snapshot.counts.applied == 7 and start.watermark == 7
    house.store.close()


def test_a_gentle_start_makes_the_same_state(house: ClosingHouse) -> None:
    kept_house(house)
    house.deliver([old(f"n{at}", ts=BOUNDARY + at * SECOND, received_ts=STRUCK + SECOND) for at in range(3)])
    assert_equal(house.full(), house.resumed(gentle=True)[0])


# -- when it cannot be used ------------------------------------------------------------------------------------------


def refused(house: ClosingHouse, settings: Any = SETTINGS) -> str:
    """Why a start does not go on from the stored state; it comes to the full replay all the same."""
    resumed, start = house.resumed(settings)
    assert start.state is None
    assert_equal(house._rebuilt(settings), resumed)
    return start.refused


def other(symbol: str, **columns: Any) -> Instrument:
    [found] = [each for each in instruments() if each.instrument == symbol]
    return type(found)(**({name: getattr(found, name) for name in found.__struct_fields__} | columns))


def test_another_multiplier_is_a_full_replay_that_says_why(house: ClosingHouse) -> None:
    kept_house(house, old("e", instrument="ESZ6", desk="EQ1"))
    house.store.save_instruments([other("ACME", sector="steel"), other("EURGBP", multiplier=3 * 10**8)])
    house.compare()
    house.edit("UPDATE instruments SET multiplier = '20' WHERE instrument = 'ESZ6'")
    assert refused(house) == "instrument ESZ6 has other terms"


def split(**columns: Any) -> Action:
    sent = {"action_id": "s1", "instrument": "ACME", "kind": "split", "ratio": "2:1"} | columns
    return check_action(convert(sent, ActionInput), REFERENCE.by_symbol, OLD)


@pytest.mark.parametrize("ex_date", ["2026-03-03", "2026-03-04", "2026-03-05"])
def test_positions_on_which_a_corporate_action_acts_are_not_frozen(house: ClosingHouse, ex_date: str) -> None:
    house.store.save_actions([split(ex_date=ex_date)])
    kept_house(
        house, old("a", instrument="ACME", desk="EQ1"), old("b", instrument="ACME", desk="EQ1", side="sell", quantity="30")
    )
    house.compare([old("c", instrument="ACME", desk="EQ1", ts=OLD + SECOND)])


def test_a_corporate_action_that_comes_later_is_a_full_replay_that_says_why(house: ClosingHouse) -> None:
    kept_house(house, old("a", instrument="ACME", desk="FX2"))
    house.store.save_actions([split(ex_date="2026-03-04")])
    assert refused(house) == "a corporate action of ACME has come since"


def test_other_openings_are_a_full_replay_that_says_why(house: ClosingHouse) -> None:
    kept_house(house)
    house.store.save_openings([opening(ts=OLD + 2 * SECOND, quantity="5", average_price="1")])
    assert refused(house) == "opening balances have changed"


def test_other_settings_are_a_full_replay_that_says_why(house: ClosingHouse) -> None:
    kept_house(house)
    assert "future_limit_s" in refused(house, config(engine={"future_limit_s": 1.0}))
    assert refused(house, config(engine={"history_days": 0})) == ALL_IN_MEMORY


def test_a_corrected_row_behind_it_is_a_full_replay_that_says_why(house: ClosingHouse) -> None:
    kept_house(house, old("x", quantity="7"))
    house.store.record_corrections([house.store.watermark() + 5], "ann", "later than the state")
    house.compare()
    house.edit("UPDATE trades SET price = '8' WHERE trade_id = 't3'")
    house.store.record_corrections([4], "ann", "a slip")
    assert refused(house).endswith("corrected, 1 of them: a slip")


def test_an_accepted_conflict_behind_it_is_a_full_replay_that_says_why(house: ClosingHouse) -> None:
    kept_house(house, old("x", quantity="7"))
    conflict = old("x", quantity="8", received_ts=STRUCK + SECOND)
    house.deliver([conflict])
    [item] = house.full().snapshot.exceptions["conflict"]
    house.store.save_verdict(Verdict(item.id, "accept", "", "ann", house.now), conflict)
    assert "accepted conflict:test:x:" in refused(house)


def test_a_chunk_that_is_gone_or_cut_is_a_full_replay_that_says_why(house: ClosingHouse) -> None:
    kept_house(house)
    outside = Outside(house.url)
    outside.execute(
        "UPDATE close_state_chunks SET content = ? WHERE part = 'ids'", [b"cut"] if not outside.is_postgres else ["cut"]
    )
    assert "cannot be read" in refused(house)
    outside.execute("DELETE FROM close_state_chunks WHERE part = 'dealer'")
    outside.close()
    assert refused(house) == "chunk 0 of its dealer positions is gone"


def test_a_kill_before_the_state_is_stored_leaves_no_state_and_its_chunks_go_with_the_next(house: ClosingHouse) -> None:
    house.deliver([old("t1")])
    house.store.save_close_state_chunks(house.store.new_close_state(), "ids", 0, [b"half"])
    assert refused(house) == NONE_YET
    kept_house(house)
    house.compare()
    assert [number for (number,) in house.edit("SELECT DISTINCT state FROM close_state_chunks")] == [2]


def test_a_desk_that_is_no_leaf_any_more_is_a_full_replay(house: ClosingHouse) -> None:
    kept_house(house)
    house.store.save_nodes([type(nodes()[0])("FX11", "", "FX1")])
    assert refused(house) == "node FX1 is gone"


def test_a_row_edited_behind_it_is_not_seen_at_the_start_and_differs_from_the_store(house: ClosingHouse) -> None:
    """The comparison with the store finds it once the engine is live (`tests/process/test_close_states.py`)."""
    kept_house(house)
    house.edit("UPDATE trades SET price = '8' WHERE trade_id = 't3'")
    resumed, start = house.resumed()
    assert start.state is not None
    assert state_differences(house.full().snapshot, resumed.snapshot)

"""A verdict is stored before it takes effect, and a start applies it: on both databases."""

from typing import Any

import pytest

from riskengine.config import Config, StoreConfig
from riskengine.errors import StoreError
from riskengine.process.process import EngineProcess
from riskengine.records.types import Verdict
from riskengine.snapshot.digest import digest
from riskengine.snapshot.snapshot import ExceptionItem
from riskengine.store.open_store import open_store
from riskengine.store.protocol import Store
from tests.live_process import Test, run_live
from tests.store_book import TS
from tests.store_book import trade as plain_trade
from tests.world import SECOND, trade


def live(url: str, test: Test) -> Any:
    return run_live(Config(store=StoreConfig(url)), test)


def sent(name: str, process: EngineProcess, **columns: Any) -> Any:
    return trade(name, received_ts=process.clock.now(), ts=TS - SECOND, **columns)


def verdict(item: ExceptionItem, word: str) -> Verdict:
    return Verdict(item.id, word, "because", "ann", TS)


async def seen(process: EngineProcess) -> Any:
    newest = process.history.newest
    return digest(newest), {kind: [item.id for item in items] for kind, items in newest.exceptions.items()}, newest.verdicts


@pytest.mark.parametrize("word", ["accept", "reject"])
@pytest.mark.parametrize(
    ("kind", "name", "columns"), [("conflict", "1", {"quantity": "7"}), ("quarantined", "2", {"value_date": "2031-01-04"})]
)
def test_what_was_decided_outlives_a_restart(url: str, kind: str, name: str, columns: dict[str, Any], word: str) -> None:
    async def decide(process: EngineProcess) -> Any:
        await process.submit([sent("1", process), sent(name, process, **columns)])
        [item] = process.history.newest.exceptions[kind]
        before = digest(process.history.newest)
        await process.decide(item, verdict(item, word))
        assert (digest(process.history.newest) != before) == (word == "accept")
        return await seen(process)

    assert live(url, decide) == live(url, seen)


def test_a_conflict_that_was_accepted_is_the_stored_version_and_the_other_one_conflicts_now(url: str) -> None:
    async def decide(process: EngineProcess) -> Any:
        first, other = sent("1", process), sent("1", process, quantity="7")
        await process.submit([first, other])
        [item] = process.history.newest.exceptions["conflict"]
        await process.decide(item, verdict(item, "accept"))
        receipt = await process.submit([other, first])
        return [outcome.status for outcome in receipt.outcomes]

    assert live(url, decide) == ["duplicate", "conflict"]
    opened = open_store(url)
    [row] = opened.trades_after(0)
    [conflict] = opened.conflicts()
    opened.close()
    assert (row.quantity, conflict.row.quantity) == ("7", "100")


def test_a_conflict_with_a_version_that_is_gone_cannot_be_accepted_and_nothing_is_stored(store: Store) -> None:
    with pytest.raises(StoreError, match="is not in the store any more"):
        store.save_verdict(Verdict("conflict:x", "accept", "", "ann", TS), plain_trade("1"))
    assert store.verdicts() == []


def test_the_newest_word_counts(store: Store) -> None:
    for word in ("accept", "", "reject"):
        store.save_verdict(Verdict("late:x", word, word, "ann", TS))
    assert store.verdicts() == [Verdict("late:x", "reject", "reject", "ann", TS)]

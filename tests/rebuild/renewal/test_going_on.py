"""What goes on when an engine is renewed: prices, counts, notices, trades that were on their way."""

from typing import Any

from riskengine.process.process import EngineProcess
from riskengine.snapshot.rows import ladder_rows, mark_rows
from riskengine.store.protocol import Store
from tests.live_process import sent
from tests.rebuild.renewal.renewing import LATER, assert_as_fresh, live, newest
from tests.store_book import Outside
from tests.waiting import until
from tests.world import SECOND, instruments, quote


def test_prices_go_on_by_their_symbols_with_what_was_held_back_beside_them(store_url: str, loader: Store) -> None:
    async def test(process: EngineProcess) -> None:
        now = process.clock.now() - 10 * SECOND
        ticks = [
            quote("EURUSD", 1.2, 1.2, now),
            quote("EURUSD", 2.2, 2.2, now + 1),
            quote("GBPUSD", 1.3, None, now),
            quote("ACME", 9, 9, now),
        ]
        assert process.offer_ticks(ticks).refused == []
        await until(lambda: newest(process).units.priced.sum() == 3)

        def marks() -> dict[str, dict[str, Any]]:
            fields = ("price", "ts", "source", "kind", "suspect", "suspect_ts")
            return {row["instrument"]: {f: row[f] for f in fields} for row in mark_rows(newest(process)) if row["price"]}

        before = marks()
        assert before["EURUSD"]["suspect"] == 2.2
        loader.save_instruments(instruments(LATER))
        await until(lambda: "NEWCO" in newest(process).reference.instrument_index)
        assert marks() == before
        # The book of quotes goes on too: the suspect level holds until its time, a one-sided quote replaces a one-sided one.
        await until(lambda: process.offer_ticks([quote("NEWCO", 5, 5, now)]).refused == [])
        process.offer_ticks([quote("EURUSD", 2.2, 2.2, now + 2), quote("GBPUSD", 1.4, None, now + 2)])
        process.offer_ticks([quote("ACME", 8, 8, now - 1)])
        await until(lambda: "NEWCO" in marks())
        after = marks()
        assert (after["EURUSD"]["price"], after["EURUSD"]["suspect_ts"]) == (1.2, now + 1)
        assert (after["GBPUSD"]["price"], after["ACME"]["price"], after["NEWCO"]["price"]) == (1.4, 9, 5)

    live(store_url, test, max_move=0.5)


def test_a_mark_that_somebody_loaded_counts_where_it_is_the_newer_one(store_url: str, loader: Store, outside: Outside) -> None:
    async def test(process: EngineProcess) -> None:
        now = process.clock.now() - 10 * SECOND
        process.offer_ticks([quote("EURUSD", 1.2, 1.2, now), quote("GBPUSD", 1.3, 1.3, now)])
        await until(lambda: len(process._store.marks()) == 2)  # type: ignore[union-attr]
        values = "('NEWCO', ?, 7, 'desk', 'quote'), ('ACME', ?, 8, 'desk', 'quote')"
        loader.save_instruments(instruments(LATER))
        outside.execute(f"INSERT INTO marks (instrument, ts, price, source, kind) VALUES {values}", (now, now))
        outside.execute("UPDATE marks SET ts = ts + 5, price = 1.25 WHERE instrument = 'EURUSD'")
        outside.execute("UPDATE marks SET ts = ts - 5, price = 1.35 WHERE instrument = 'GBPUSD'")
        await process.renew("marks were loaded")
        prices = {row["instrument"]: row["price"] for row in mark_rows(newest(process)) if row["price"]}
        assert prices == {"EURUSD": 1.25, "GBPUSD": 1.3, "NEWCO": 7, "ACME": 8}
        process.offer_ticks([quote("EURUSD", 1.1, 1.1, now + 4), quote("GBPUSD", 1.4, 1.4, now + 1)])
        await until(lambda: ("GBPUSD", 1.4) in [(row["instrument"], row["price"]) for row in mark_rows(newest(process))])
        assert next(row["price"] for row in mark_rows(newest(process)) if row["instrument"] == "EURUSD") == 1.25

    live(store_url, test)


def test_counts_of_what_arrived_and_the_times_of_notices_go_on(store_url: str, loader: Store) -> None:
    async def test(process: EngineProcess) -> None:
        now = process.clock.now()
        first, late = sent("1", process), sent("2", process, ts=now - 60 * SECOND, price="1.2")
        await process.submit([first, first, first])
        nine, eight = sent("1", process, quantity="9"), sent("1", process, quantity="8")
        await process.submit([late, nine, eight, eight])
        before = newest(process)
        assert (before.counts.duplicates, before.counts.conflicts, before.counts.late) == (2, 3, 1)
        await process.renew("test")
        after = newest(process)
        assert after.reference is not before.reference
        assert (after.counts, after.last_trade_at) == (before.counts, before.last_trade_at)
        assert after.exceptions == before.exceptions
        assert after.trade_seq == after.seq or after.trade_seq > before.seq

    live(store_url, test)


def test_a_trade_of_our_own_is_judged_by_the_reference_data_of_now_and_rejected_not_quarantined(
    store_url: str, loader: Store, outside: Outside
) -> None:
    async def test(process: EngineProcess) -> None:
        check, columns = process.check, {"instrument": "ESZ6", "desk": "EQ1", "price": "10"}
        early, gone = sent("1", process, **columns), sent("2", process, instrument="GHOST", desk="EQ1")
        outside.execute("UPDATE instruments SET multiplier = '5' WHERE instrument = 'ESZ6'")
        outside.execute("DELETE FROM instruments WHERE instrument = 'GHOST'")
        await until(lambda: process.check is not check)
        receipt = await process.submit([early, gone], check)
        assert [outcome.status for outcome in receipt.outcomes] == ["applied", "rejected"]
        assert receipt.outcomes[1].reason == "instrument: unknown instrument 'GHOST'"
        [held] = ladder_rows(process.history.at(receipt.seq), node="EQ1")
        assert held["net_cash"] == -100 * 10 * 5
        assert newest(process).counts.quarantined == 0
        assert_as_fresh(process)

    live(store_url, test)

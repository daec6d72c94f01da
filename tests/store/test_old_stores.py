"""A store made by an earlier version opens with every number as it was, on both databases."""

from decimal import Decimal
from typing import Any

import pytest

from riskengine.engine.engine import Engine
from riskengine.engine.worklist import MAX_NOTICES
from riskengine.rebuild.load import compare_here
from riskengine.rebuild.rebuild import rebuild
from riskengine.reconciliation.store_sums import store_side
from riskengine.records.rules import FORWARDS_COUNT, OPTION_CUTS, RULES, TRADE_DATE_WAITS
from riskengine.records.types import CASH_ONE, StoredMark
from riskengine.snapshot.compare import side_of
from riskengine.snapshot.digest import digest
from riskengine.snapshot.rows import decimal_texts, node_rows, position_rows
from riskengine.store.open_store import open_store
from riskengine.store.results import CHANGED_KINDS, FoundBreak
from riskengine.store.tables.bulk_trades import read_conflicts, read_trades
from tests.store.old_stores import load_old_store, make_old_store
from tests.store_book import Outside
from tests.world import config

NOW = 1_796_070_000_000_000
"""An hour after the earlier version had closed the store."""


@pytest.fixture
def old_engine(store_url: str) -> Engine:
    make_old_store(store_url)
    store = open_store(store_url)
    try:
        return rebuild(store, read_trades(store), config(), epoch=9, now=NOW, read_conflicts=read_conflicts(store, MAX_NOTICES))
    finally:
        store.close()


def said() -> dict[str, Any]:
    says: dict[str, Any] = load_old_store()["says"]
    return says


def test_every_position_is_what_it_was(old_engine: Engine) -> None:
    assert digest(old_engine.snapshot) == said()["digest"]


def test_counts_are_what_they_were(old_engine: Engine) -> None:
    counts = old_engine.snapshot.counts._asdict()
    assert {name: counts[name] for name in said()["counts"]} == said()["counts"]


def test_amounts_of_nodes_are_what_they_were(old_engine: Engine) -> None:
    rows = {row["node"]: row for row in map(decimal_texts, node_rows(old_engine.snapshot))}
    for node, amounts in said()["nodes"].items():
        for field in ("realised_pnl", "unrealised_pnl", "total_pnl"):
            assert Decimal(rows[node][field]) == Decimal(amounts[field]), (node, field)


def test_the_audit_trail_still_verifies(store_url: str) -> None:
    make_old_store(store_url)
    store = open_store(store_url)
    try:
        report = store.verify_audit(None)
    finally:
        store.close()
    assert [str(finding) for finding in report.findings] == []
    assert report.trades == len(load_old_store()["tables"]["trades"]["rows"])


OLDER = {
    "older_rule:booking:T28:0:1": "contra_amount: must be negative: it has the sign of the price, which is negative",
    "older_rule:booking:T32:0:1": "fees_currency: 'XAU' is a metal, and fees in it never get a rate; "
    "possible: BTC, CHF, EUR, GBP, JPY, USD",
    "older_rule:instrument:JPYCHF": "multiplier: of fx is a lot size and must be 1 or more: quote the price for one unit of the "
    "base currency; it goes on with its positions, and its mark gives no currency rate",
}


def test_what_a_stricter_rule_would_refuse_counts_and_is_listed(old_engine: Engine) -> None:
    listed = {item.id: item.reason for item in old_engine.snapshot.exceptions["older_rule"]}
    assert listed == OLDER
    rows = {f"{row['node']} {row['instrument']}": row for row in position_rows(old_engine.snapshot, exact=True)}
    for key, held in said()["positions"].items():
        for field in ("quantity", "net_cash", "average_price"):
            assert Decimal(rows[key][field]) == Decimal(held[field]), (key, field)
    assert rows["FX1 XAUUSD"]["fees"] is None, "a metal has no rate"
    assert float(rows["FX1 BTCUSD"]["fees"]) == pytest.approx(0.61), "the mark of a coin is one"


def test_the_store_s_own_account_judges_older_rows_alike(store_url: str, old_engine: Engine) -> None:
    store = open_store(store_url)
    try:
        found = compare_here(store, config(), old_engine.snapshot)
    finally:
        store.close()
    assert (found.breaks, found.compared > 0) == ([], True)


@pytest.mark.parametrize("style", ["pips", "pct_quote", "percent of strike", "pct_base"])
def test_an_option_keeps_its_numbers_whatever_style_its_price_had_without_use(store_url: str, style: str) -> None:
    make_old_store(store_url)
    older = Outside(store_url)
    older.execute("UPDATE instruments SET premium_style = ? WHERE kind = 'fx_option'", (style,))
    option = [row[0] for row in older.execute("SELECT instrument FROM instruments WHERE kind = 'fx_option'")]
    older.close()
    store = open_store(store_url)
    try:
        engine = rebuild(store, read_trades(store), config(), epoch=9, now=NOW, read_conflicts=read_conflicts(store, MAX_NOTICES))
        assert compare_here(store, config(), engine.snapshot).breaks == []
    finally:
        store.close()
    assert digest(engine.snapshot) == said()["digest"]
    listed = {item.detail.get("instrument"): item.detail.get("field") for item in engine.snapshot.exceptions["older_rule"]}
    assert (option, listed.get(option[0])) == (["EURUSD-C110"], None if style == "pct_base" else "premium_style")


def test_a_stricter_rule_judges_the_rows_that_come_after_it(store_url: str) -> None:
    make_old_store(store_url)
    store = open_store(store_url)
    highest = len(load_old_store()["tables"]["trades"]["rows"])
    try:
        received = max(row[-1] for row in load_old_store()["tables"]["trades"]["rows"])
        assert store.rule_starts() == dict.fromkeys(RULES, highest + 1) | {
            TRADE_DATE_WAITS: received + 1,
            FORWARDS_COUNT: received + 1,
            OPTION_CUTS: received + 1,
        }
        program = Outside(store_url)
        oil = {"source": "booking", "instrument": "CL", "desk": "EQ1", "quantity": "5", "price": "-37.63"}
        program.book(**oil, trade_id="wrong", ts=NOW, contra_amount="188150")
        program.book(**oil, trade_id="right", ts=NOW, contra_amount="-188150")
        program.book(trade_id="gold", source="booking", ts=NOW, instrument="XAUUSD", desk="FX1", fees="1", fees_currency="XAU")
        program.close()
        engine = rebuild(store, read_trades(store), config(), epoch=9, now=NOW)
        assert compare_here(store, config(), engine.snapshot).breaks == []
    finally:
        store.close()
    reasons = {item.reason for item in engine.snapshot.exceptions["quarantined"] if "store_seq" in item.detail}
    assert reasons == {OLDER["older_rule:booking:T28:0:1"], OLDER["older_rule:booking:T32:0:1"]}
    assert engine.processed.effective(("booking", "right", 0)) is not None
    assert {item.id for item in engine.snapshot.exceptions["older_rule"]} == OLDER.keys()


def test_an_older_row_that_is_corrected_or_amended_leaves_the_list(store_url: str) -> None:
    make_old_store(store_url)
    store = open_store(store_url)
    try:
        program = Outside(store_url)
        program.book(
            trade_id="T28", source="booking", version=2, action="amend", ts=NOW, instrument="CL", desk="EQ1", price="-37.63"
        )
        program.execute("UPDATE trades SET fees = ? WHERE trade_id = ?", ("0", "T32"))
        program.close()
        engine = rebuild(store, read_trades(store), config(), epoch=9, now=NOW)
    finally:
        store.close()
    assert {item.id for item in engine.snapshot.exceptions["older_rule"]} == {"older_rule:instrument:JPYCHF"}


def test_an_older_row_whose_exact_cash_is_zero_beside_a_price_counts_as_it_did_and_is_listed(store_url: str) -> None:
    make_old_store(store_url)
    older = Outside(store_url)
    plain = {"source": "booking", "instrument": "CL", "desk": "EQ1", "quantity": "5", "ts": NOW, "received_ts": NOW}
    older.book(**plain, trade_id="cash", price="40", contra_amount="0")
    older.book(**plain, trade_id="price", price="0", contra_amount="200000")
    older.close()
    store = open_store(store_url)
    try:
        engine = rebuild(store, read_trades(store), config(), epoch=9, now=NOW)
        assert compare_here(store, config(), engine.snapshot).breaks == []
    finally:
        store.close()
    counted = (engine.processed.effective(("booking", name, 0)) for name in ("cash", "price"))
    assert [each.cash for each in counted if each is not None] == [0, -200_000 * CASH_ONE]
    listed = {item.id: item.reason for item in engine.snapshot.exceptions["older_rule"]}
    assert listed == OLDER | {
        "older_rule:booking:cash:0:1": "contra_amount: must not be 0: it has the sign of the price, which is not 0",
        "older_rule:booking:price:0:1": "contra_amount: must be 0: it has the sign of the price, which is 0",
    }


def test_rules_of_a_new_store_judge_every_row(store_url: str) -> None:
    store = open_store(store_url)
    try:
        assert store.rule_starts() == dict.fromkeys((*RULES, TRADE_DATE_WAITS, FORWARDS_COUNT, OPTION_CUTS), 1)
    finally:
        store.close()


def test_breaks_that_an_earlier_version_remembered_are_kept_and_the_new_kinds_follow(store_url: str) -> None:
    make_old_store(store_url)
    program = Outside(store_url)
    for number, status in enumerate(("repaired", "gone", "open")):
        program.execute(
            "INSERT INTO breaks (kind, rollup, owner, instrument, first_seen_ts, last_seen_ts, status, comment)"
            " VALUES ('cash', 'node', 'FX1', ?, ?, ?, ?, 'as it was')",
            (f"I{number}", NOW, NOW + number, status),
        )
    before = program.execute(f"SELECT {BREAK_COLUMNS} FROM breaks ORDER BY break_id")
    store = open_store(store_url)
    try:
        assert program.execute(f"SELECT {BREAK_COLUMNS} FROM breaks ORDER BY break_id") == before
        newer = [FoundBreak(kind, ("node", "FX2", kind), None, None) for kind in ("fees", "order")]
        opened = store.remember_breaks(newer, against="store", epoch=1, watermark=1, ts=NOW + 9, by="reconciliation")
        assert {one.kind for one in opened} == {"fees", "order"}
        assert {one.break_id for one in opened} == {before[-1][0] + 1, before[-1][0] + 2}
    finally:
        store.close()
        program.close()


BREAK_COLUMNS = (
    "break_id, kind, against, rollup, owner, instrument, here, there, trades, epoch, watermark, first_seen_ts, last_seen_ts,"
    " times_seen, status, comment, resolved_by, resolved_ts"
)


def test_the_old_store_agrees_with_its_own_account(old_engine: Engine, store_url: str) -> None:
    store = open_store(store_url)
    try:
        assert store_side(store, config(), 2**62).side() == side_of(old_engine.snapshot)
    finally:
        store.close()


def test_numbers_up_to_the_cursors_of_before_count_as_come(store_url: str) -> None:
    make_old_store(store_url)
    columns, rows = (load_old_store()["tables"]["feeds"][part] for part in ("columns", "rows"))
    cursors = {row[columns.index("source")]: row[columns.index("cursor")] for row in rows}
    store = open_store(store_url)
    try:
        feeds = store.feeds()
    finally:
        store.close()
    assert {source: state.came.highest for source, state in feeds.items()} == cursors
    assert all(not state.came.missing and state.promised is None and not state.retired for state in feeds.values())


def test_an_engine_that_takes_it_over_compares_it_with_itself_and_notices_what_others_write(store_url: str) -> None:
    make_old_store(store_url)
    store = open_store(store_url, writer="a test")
    try:
        store.next_epoch()
        store.check_standing(store.watermark())
        assert store.marks_of_others() == store.marks(), "an earlier engine did not say which marks were its own"
        kinds, seen = store.changes_beyond(None)
        assert kinds == CHANGED_KINDS
        loader = open_store(store_url)
        [*marks] = loader.marks()
        loader.save_marks([StoredMark(marks[0].instrument, marks[0].ts + 1, marks[0].price)])
        loader.close()
        assert store.changes_beyond(seen)[0] == {"marks"}
    finally:
        store.close()

"""The chain of hashes: the hash of an entry and the hash of a row."""

import hashlib
import json
from typing import Any

import pytest

from riskengine.store.audit_chain import (
    DIGEST_BYTES,
    GONE,
    AuditEntry,
    Head,
    RowsDetail,
    canonical,
    entry_hash,
    entry_row,
    genesis,
    link,
    new_row_digests,
    parse_head,
    ranges_of,
    row_digests,
    rows_detail,
)
from riskengine.store.trade_rows import PLAIN_VALUES, row_values
from tests.store_book import cancel, trade

ENTRY = AuditEntry(0, 1_790_000_000_000_000, "ann", "verdict", "conflict:1", None, None, 0, "", "", '{"verdict":"accept"}')


def test_an_entry_is_hashed_as_its_documentation_says() -> None:
    """Anybody can compute it without this program: SHA-256 of a JSON array."""
    entry = link(ENTRY, Head(4, "ab" * 32))
    said = [5, 1_790_000_000_000_000, "ann", "verdict", "conflict:1", None, None, 0, "ab" * 32, '{"verdict":"accept"}']
    text = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
    assert entry.hash == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize("field", [field for field in AuditEntry._fields if field != "hash"])
def test_every_column_of_an_entry_is_covered(field: str) -> None:
    entry = link(ENTRY, genesis("store"))
    other: Any = 7 if field.endswith(("seq", "ts", "count")) else "other"
    assert entry_hash(entry._replace(**{field: other})) != entry.hash


def test_a_chain_belongs_to_its_store() -> None:
    assert link(ENTRY, genesis("one")).hash != link(ENTRY, genesis("two")).hash


def test_a_row_is_hashed_with_the_salt_of_its_entry() -> None:
    values = row_values(trade())
    text = json.dumps(list(values[:PLAIN_VALUES]), separators=(",", ":"), ensure_ascii=False).encode()
    assert row_digests([values], b"salt") == hashlib.blake2b(text, digest_size=DIGEST_BYTES, salt=b"salt").digest()
    assert row_digests([values], b"salt") != row_digests([values], b"pepper")


def test_the_hash_of_a_row_covers_its_attributes_and_is_what_it_was_without() -> None:
    values = row_values(trade(account="A7"))
    text = json.dumps(list(values), separators=(",", ":"), ensure_ascii=False).encode()
    assert row_digests([values], b"salt") == hashlib.blake2b(text, digest_size=DIGEST_BYTES, salt=b"salt").digest()
    assert row_digests([values], b"salt") != row_digests([row_values(trade())], b"salt")
    assert new_row_digests([values], b"salt") == row_digests([values], b"salt")


def test_rows_made_of_trades_are_hashed_alike_the_quick_way() -> None:
    rows = [row_values(each) for each in (trade(), cancel(), trade("T2", dealer="Zoë", contra_amount="5"))]
    assert new_row_digests(rows, b"salt") == row_digests(rows, b"salt")


def test_a_row_that_is_gone_has_a_mark_in_the_place_of_its_hash() -> None:
    assert row_digests([None], b"") == GONE


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a", None], ["a", ""]),
        ([1], ["1"]),
        ([float("inf")], [None]),
        ([1.0], [1]),
        (["\udc80"], ["\x80"]),
        ([b"a"], ["a"]),
        ([b"a"], ["\udc61"]),
        (["a", "b"], ["ab", ""]),
        (['a","b'], ["a", "b"]),
        (["\u2028"], ["\\u2028"]),
    ],
)
def test_values_that_differ_have_texts_that_differ(one: list[object], other: list[object]) -> None:
    """Bytes, broken text and infinities, which a SQLite file can hold, included."""
    assert canonical(one) != canonical(other)


def test_numbers_are_kept_as_ranges() -> None:
    assert ranges_of([]) == []
    assert ranges_of([3, 4, 5]) == [[3, 5]]
    assert ranges_of([1, 3, 4, 9]) == [[1, 1], [3, 4], [9, 9]]


def test_the_detail_of_rows_reads_back() -> None:
    detail = RowsDetail([[1, 2], [5, 5]], b"x" * 24, b"salt")
    assert rows_detail(detail.text(reason="why")) == detail
    assert detail.store_seqs == [1, 2, 5]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"rows":"","salt":""}',
        '{"rows":"00","salt":"","store_seqs":[[1,1]]}',
        '{"rows":"","salt":"","store_seqs":[[2,1]]}',
        '{"rows":"","salt":"","store_seqs":[["1",1]]}',
        '{"rows":"0000000000000000","salt":"zz","store_seqs":[[1,1]]}',
        '{"rows":"","salt":"","store_seqs":5}',
        '{"rows":"","salt":"","store_seqs":[[1,9223372036854775807]]}',
    ],
)
def test_another_detail_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"detail|hash for each"):
        rows_detail(text)


def test_a_head_reads_back_and_anything_else_does_not() -> None:
    assert parse_head(str(Head(12, "ab"))) == Head(12, "ab")
    for text in (None, "", "0", "12", "x ab", "-1 ab", "12 ", "\u0661 ab"):
        assert parse_head(text) is None


def test_an_entry_for_readers_has_no_hashes_of_rows_and_hides_nothing_that_it_cannot_read() -> None:
    def entry(detail: str, row_count: int) -> AuditEntry:
        return AuditEntry(7, 1, "ann", "trades", "", 1, 1, row_count, "", "ab", detail)

    rows = RowsDetail([[1, 1]], b"12345678", b"salt").text(reason="wrong price")
    assert entry_row(entry(rows, 1))["detail"] == {"store_seqs": [[1, 1]], "reason": "wrong price"}
    assert entry_row(entry('{"rows": 3}', 0))["detail"] == {"rows": 3}
    assert entry_row(entry("no JSON", 0))["detail"] == {"text": "no JSON"}
    assert entry_row(entry("[1]", 0))["detail"] == {"text": "[1]"}

"""Fingerprints of trades: integers that add up, so that two sums tell whether two sets of trades are the same.

The fingerprint of a trade has two parts of 64 bits: which version of which trade it is, and what its economics say. The sum of
some fingerprints is the sums of both parts (`versions_of`, `economics_of`), whatever the order of the trades. They are the same
in every process: CPython does not salt hashes of numbers, and texts enter by their CRC.
"""

from binascii import crc_hqx
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import repeat
from operator import add, attrgetter, lshift
from typing import Any
from zlib import crc32

from riskengine.records.types import Trade

_PART = 96
"""Bits of the lower part of a sum: 64 of a fingerprint, and room for the sum of 2**31 of them."""
_HALF = 1 << _PART - 1
_MASK = (1 << _PART) - 1

_MAX_REMEMBERED = 100_000
"""Texts whose codes are remembered: names repeat, and new ones must not grow this without end."""


def version_fingerprint(source: str, trade_id: str, leg: int, version: int) -> int:
    """64 bits for one version of a trade. 0.4 us."""
    text = f"{source}\0{trade_id}".encode()
    return hash((crc32(text), crc_hqx(text, 0), leg, version))


def version_fingerprints(
    sources: Sequence[str], trade_ids: Sequence[str], legs: Sequence[int], versions: Sequence[int]
) -> list[int]:
    """`version_fingerprint` over columns. 0.3 us each."""
    prefixes = {}
    for source in set(sources):
        text = f"{source}\0".encode()
        prefixes[source] = (crc32(text), crc_hqx(text, 0))
    texts = [*map(str.encode, trade_ids)]
    checks = map(crc32, texts, [prefixes[source][0] for source in sources])
    others = map(crc_hqx, texts, [prefixes[source][1] for source in sources])
    return [*map(hash, zip(checks, others, legs, versions, strict=True))]


# -- economics ---------------------------------------------------------------------------------------------------


class _TextCodes(dict[str, int]):
    """The code of each name."""

    def __missing__(self, text: str) -> int:
        if len(self) >= _MAX_REMEMBERED:
            self.clear()
        code = self[text] = text_code(text.encode())
        return code


def text_code(text: bytes) -> int:
    """32 bits for a name of a trade, as UTF-8."""
    return crc32(text)


def terms_code(text: bytes) -> int:
    """32 bits for the rarer columns of a trade: action, value_date, trade_date, legs and contra_amount (in units of 1e-10).

    `text` has them with spaces between them, an absent one empty; an ordinary trade is `b"new    "`.
    """
    return crc32(text)


ORDINARY_TERMS = terms_code(b"new    ")
"""Of a new trade without dates, number of legs and exact cash."""

Terms = tuple[str, str, str, int | None, int | None]


@lru_cache(maxsize=65_536)
def _code_of_terms(terms: Terms) -> int:
    action, value_date, trade_date, legs, contra_amount = terms
    number, cash = "" if legs is None else legs, "" if contra_amount is None else contra_amount
    return terms_code(f"{action} {value_date} {trade_date} {number} {cash}".encode())


_codes = _TextCodes()
_terms_of = attrgetter("action", "value_date", "trade_date", "legs", "contra_amount")


def economics_fingerprint(trade: Trade, version: int) -> int:
    """64 bits for what one version of a trade says: every column of its economics (`types.economics`), by value. 0.8 us.

    `version` is its `version_fingerprint`: two trades that exchange a value do not make up for each other.
    """
    codes = _codes
    names = codes[trade.instrument], codes[trade.desk], codes[trade.dealer], codes[trade.fees_currency]
    amounts = trade.signed_quantity, trade.price, trade.fees
    return hash((version, trade.ts, trade.source_seq, *names, *amounts, _code_of_terms(_terms_of(trade))))


def economics_fingerprints(versions: Iterable[int], columns: Sequence[Iterable[int]]) -> list[int]:
    """`economics_fingerprint` over columns. 0.2 us each.

    `columns` are ts, source_seq, the `text_code`s of instrument, desk, dealer and fees_currency, the signed quantity, price and
    fees in units of 1e-10, and the `terms_code`s.
    """
    return [*map(hash, zip(versions, *columns, strict=False))]  # a constant column is endless


# -- both parts as one -------------------------------------------------------------------------------------------


def trade_fingerprint(trade: Trade) -> int:
    """The fingerprint of one version of a trade: both parts. 1.3 us."""
    version = version_fingerprint(trade.source, trade.trade_id, trade.leg, trade.version)
    return version + (economics_fingerprint(trade, version) << _PART)


def fingerprint_parts(trades: Sequence[Trade]) -> tuple[list[int], list[int]]:
    """Both parts of each trade's fingerprint, in two columns. 1 us each."""

    def column(field: str) -> Iterable[Any]:
        return map(attrgetter(field), trades)

    versions = version_fingerprints(*(list(column(field)) for field in ("source", "trade_id", "leg", "version")))
    texts = (map(_codes.__getitem__, column(field)) for field in ("instrument", "desk", "dealer", "fees_currency"))
    amounts = map(column, ("signed_quantity", "price", "fees"))
    terms = map(_code_of_terms, map(_terms_of, trades))
    return versions, economics_fingerprints(versions, [column("ts"), column("source_seq"), *texts, *amounts, terms])


def join_parts(versions: Iterable[int], economics: Iterable[int]) -> list[int]:
    """Fingerprints, or sums of them, from their two parts."""
    return [*map(add, versions, map(lshift, economics, repeat(_PART)))]


def versions_of(total: int) -> int:
    """Which versions of which trades a sum of fingerprints is made of: equal for the same versions."""
    return ((total + _HALF) & _MASK) - _HALF


def economics_of(total: int) -> int:
    """What the trades say that a sum of fingerprints is made of: equal for the same versions with the same economics."""
    return (total + _HALF) >> _PART

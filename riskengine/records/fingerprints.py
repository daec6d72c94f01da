"""Fingerprints of trades: integers that add up, so that two sums tell whether two sets of trades are the same.

The fingerprint of a trade has three parts of 64 bits: which version of which trade it is, what its economics say but for the
amount of its fees, and that amount. The sum of some fingerprints is the sums of the parts (`split_parts`), whatever the order of
the trades. They are the same in every process: CPython does not salt hashes of numbers, and texts enter by their CRC.
"""

from binascii import crc_hqx
from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple
from zlib import crc32

from riskengine.records.types import Trade

_PART = 96
"""Bits of a part of a sum: 64 of a fingerprint, and room for the sum of 2**31 of them."""
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
    """64 bits for what one version of a trade says: its economics (`types.economics`) but for the amount of its fees. 0.5 us.

    `version` is its `version_fingerprint`: two trades that exchange a value do not make up for each other.
    """
    codes = _codes
    ordinary = trade.action == "new" and not trade.value_date and not trade.trade_date
    return hash(
        (
            version,
            trade.ts,
            trade.source_seq,
            codes[trade.instrument],
            codes[trade.desk],
            codes[trade.dealer],
            codes[trade.fees_currency],
            trade.signed_quantity,
            trade.price,
            ORDINARY_TERMS
            if ordinary and trade.legs is None and trade.contra_amount is None
            else _code_of_terms(_terms_of(trade)),
        )
    )


def hash_columns(versions: Iterable[int], columns: Sequence[Iterable[int]]) -> list[int]:
    """`economics_fingerprint` over columns, or the fingerprints of fees. 0.2 us each.

    `columns` are ts, source_seq, the `text_code`s of instrument, desk, dealer and fees_currency, the signed quantity and the
    price in units of 1e-10, and the `terms_code`s; or the fees of versions that have some, in units of 1e-10.
    """
    return [*map(hash, zip(versions, *columns, strict=True))]


# -- the parts as one --------------------------------------------------------------------------------------------


class Parts(NamedTuple):
    """The parts of a fingerprint, or of the sum of some.

    versions   equal for the same versions of the same trades
    economics  equal for the same versions that say the same, but for the amount of their fees
    fees       equal for the same versions with the same fees each; 0 without any
    """

    versions: int
    economics: int
    fees: int


def trade_fingerprint(trade: Trade) -> int:
    """The fingerprint of one version of a trade. 1.2 us."""
    version = version_fingerprint(trade.source, trade.trade_id, trade.leg, trade.version)
    total = version + (economics_fingerprint(trade, version) << _PART)
    return total + (hash((version, trade.fees)) << 2 * _PART) if trade.fees else total


def fingerprint_columns(trades: Sequence[Trade]) -> tuple[list[int], list[int], list[int]]:
    """The parts of each trade's fingerprint, a column each. 1 us a trade."""
    columns = (list(map(attrgetter(field), trades)) for field in ("source", "trade_id", "leg", "version"))
    versions = version_fingerprints(*columns)
    fees = [
        hash((version, units)) if units else 0 for version, units in zip(versions, map(attrgetter("fees"), trades), strict=True)
    ]
    return versions, [*map(economics_fingerprint, trades, versions)], fees


def join_parts(versions: Iterable[int], economics: Iterable[int], fees: Iterable[int]) -> list[int]:
    """Fingerprints, or sums of them, from columns of their parts. 0.2 us each."""
    return [low + (middle + (high << _PART) << _PART) for low, middle, high in zip(versions, economics, fees, strict=True)]


def split_parts(total: int) -> Parts:
    """The parts of a fingerprint, or of a sum of fewer than 2**31 of them. 0.5 us."""
    rest = (total + _HALF) >> _PART
    return Parts(versions_of(total), versions_of(rest), (rest + _HALF) >> _PART)


def versions_of(total: int) -> int:
    """The first part alone. 0.1 us."""
    return ((total + _HALF) & _MASK) - _HALF

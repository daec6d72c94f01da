"""Small numbers that stand for trades: equal sets of trades have equal sums, whatever their order.

Not secrets and not stored: both sides of a comparison work them out with the same interpreter. Two different trades share one
about once in 2**48 pairs, so a fingerprint that is known says "look it up", and one that is not known says "never seen".
"""

from binascii import crc_hqx
from collections.abc import Sequence
from zlib import crc32


def fingerprint(source: str, trade_id: str, leg: int) -> int:
    """64 bits for an identity. 0.4 us. The same in every process: CPython does not salt the hashes of numbers."""
    text = f"{source}\0{trade_id}".encode()
    return hash((crc32(text), crc_hqx(text, 0), leg))


def version_fingerprint(source: str, trade_id: str, leg: int, version: int) -> int:
    """64 bits for one version of a trade; sums of them are compared, so they may be added and taken away. 0.4 us."""
    text = f"{source}\0{trade_id}".encode()
    return hash((crc32(text), crc_hqx(text, 0), leg, version))


def version_fingerprints(
    sources: Sequence[str], trade_ids: Sequence[str], legs: Sequence[int], versions: Sequence[int]
) -> list[int]:
    """`version_fingerprint` of many, in columns. 0.3 us each."""
    begun = {}
    for source in set(sources):
        text = f"{source}\0".encode()
        begun[source] = (crc32(text), crc_hqx(text, 0))
    texts = [*map(str.encode, trade_ids)]
    checks = map(crc32, texts, [begun[source][0] for source in sources])
    others = map(crc_hqx, texts, [begun[source][1] for source in sources])
    return [*map(hash, zip(checks, others, legs, versions, strict=True))]

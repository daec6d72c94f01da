"""Small numbers that stand for trades: equal sets of trades have equal sums, whatever their order.

Not secrets and not stored: both sides of a comparison work them out with the same interpreter. Two different trades share one
about once in 2**48 pairs, so a fingerprint that is known says "look it up", and one that is not known says "never seen".
"""

from binascii import crc_hqx
from zlib import crc32


def fingerprint(source: str, trade_id: str, leg: int) -> int:
    """64 bits for an identity. 0.4 us. The same in every process: CPython does not salt the hashes of numbers."""
    text = f"{source}\0{trade_id}".encode()
    return hash((crc32(text), crc_hqx(text, 0), leg))


def version_fingerprint(source: str, trade_id: str, leg: int, version: int) -> int:
    """64 bits for one version of a trade; sums of them are compared, so they may be added and taken away. 0.4 us."""
    text = f"{source}\0{trade_id}".encode()
    return hash((crc32(text), crc_hqx(text, 0), leg, version))

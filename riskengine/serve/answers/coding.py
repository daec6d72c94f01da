"""Content codings: whether a client takes gzip, and the gzip bytes.

gzip at its fastest level shrinks a ladder to a sixth, at 60 to 100 MB/s of JSON, and releases the interpreter lock.
"""

import asyncio
import re
import zlib
from functools import lru_cache

GZIP = "gzip"

MIN_GZIP_BYTES = 1_024
"""A smaller answer is not encoded: it fits into one packet either way."""

MAX_INLINE_BYTES = 16_384
"""Up to this size encoding takes a fraction of a millisecond and is done on the loop; more goes to a thread."""

_LEVEL = 1
_GZIP_FORMAT = 31
_WEIGHT = re.compile(r"q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


@lru_cache(maxsize=256)
def prefers_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header prefers gzip to identity (RFC 9110, 12.5.3). Empty or absent: identity."""
    named = q_values(accept_encoding)
    gzip = max((named[name] for name in (GZIP, "x-gzip") if name in named), default=named.get("*", 0.0))
    return gzip > 0.0 and gzip >= named.get("identity", 0.0)


def q_values(header: str) -> dict[str, float]:
    """The names in an Accept or Accept-Encoding header, in lower case, each with its q-value; 1 if that is missing or invalid."""
    named: dict[str, float] = {}
    for part in header.lower().split(","):
        name, _, parameters = part.partition(";")
        sound = filter(None, (_WEIGHT.fullmatch(text.strip()) for text in parameters.split(";")))
        named[name.strip()] = next((float(found[1]) for found in sound), 1.0)
    return named


async def gzip_bytes(content: bytes) -> bytes:
    """The content as one gzip member, the same bytes at every call. Large content is encoded in a thread."""
    return await asyncio.to_thread(compress, content) if len(content) > MAX_INLINE_BYTES else compress(content)


def compress(content: bytes) -> bytes:
    """The content as one gzip member, encoded on this thread."""
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP_FORMAT)
    return packer.compress(content) + packer.flush()


def decompress(content: bytes, limit: int) -> bytes | None:
    """What was packed as gzip, in one member or several; None if that is more than `limit` bytes. Raises ValueError.

    Never makes more than `limit` bytes of it. 4 ms a megabyte.
    """
    parts: list[bytes] = []
    while content:
        opener = zlib.decompressobj(_GZIP_FORMAT)
        try:
            parts.append(opener.decompress(content, limit + 1))
        except zlib.error as error:
            raise ValueError(str(error)) from None
        limit -= len(parts[-1])
        if limit < 0:
            return None
        if not opener.eof:
            raise ValueError("it ends in the middle")
        content = opener.unused_data
    return b"".join(parts)


class GzipStream:
    """gzip for content that comes in parts."""

    def __init__(self) -> None:
        self._packer = zlib.compressobj(_LEVEL, wbits=_GZIP_FORMAT)

    async def pack(self, part: bytes) -> bytes:
        """The bytes that can be sent after this part, perhaps none yet."""
        if len(part) > MAX_INLINE_BYTES:
            return await asyncio.to_thread(self._packer.compress, part)
        return self._packer.compress(part)

    def finish(self) -> bytes:
        """The last bytes."""
        return self._packer.flush()

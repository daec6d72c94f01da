"""Content codings: whether a client takes gzip, and the bytes that it then gets.

gzip at its fastest level: a ladder shrinks to a sixth, at 60 to 100 MB/s of JSON, with the interpreter lock released.
"""

import asyncio
import re
import zlib
from functools import lru_cache

GZIP = "gzip"

MIN_GZIP_BYTES = 1_024
"""Below it the header of a second packet is not saved, and nothing is encoded."""

MAX_INLINE_BYTES = 16_384
"""Up to here encoding takes a fraction of a millisecond; what is larger is encoded beside the loop."""

_LEVEL = 1
_GZIP_FORMAT = 31
_WEIGHT = re.compile(r"q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


@lru_cache(maxsize=256)
def prefers_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header prefers gzip to bytes as they are. RFC 9110, 12.5.3; empty or absent: as they are."""
    named = q_values(accept_encoding)
    gzip = max((named[name] for name in (GZIP, "x-gzip") if name in named), default=named.get("*", 0.0))
    return gzip > 0.0 and gzip >= named.get("identity", 0.0)


def q_values(header: str) -> dict[str, float]:
    """The names in an Accept or Accept-Encoding header, in lower case, each with its q-value; 1 where none is sound."""
    named: dict[str, float] = {}
    for part in header.lower().split(","):
        name, _, parameters = part.partition(";")
        sound = filter(None, (_WEIGHT.fullmatch(text.strip()) for text in parameters.split(";")))
        named[name.strip()] = next((float(found[1]) for found in sound), 1.0)
    return named


async def gzip_bytes(content: bytes) -> bytes:
    """The whole as one gzip member, the same at every call. A thread does it where it is large."""
    return await asyncio.to_thread(compress, content) if len(content) > MAX_INLINE_BYTES else compress(content)


def compress(content: bytes) -> bytes:
    """The same on this thread."""
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP_FORMAT)
    return packer.compress(content) + packer.flush()


class GzipStream:
    """The same for what comes in parts."""

    def __init__(self) -> None:
        self._packer = zlib.compressobj(_LEVEL, wbits=_GZIP_FORMAT)

    async def pack(self, part: bytes) -> bytes:
        """What can be sent after this part, perhaps nothing yet."""
        if len(part) > MAX_INLINE_BYTES:
            return await asyncio.to_thread(self._packer.compress, part)
        return self._packer.compress(part)

    def finish(self) -> bytes:
        """The end."""
        return self._packer.flush()

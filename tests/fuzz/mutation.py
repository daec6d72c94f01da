"""Draws inputs that are nearly right: sound values with a few places changed, written as JSON, msgpack or CSV, then as bytes.

Everything comes from one `random.Random`, so the same seed draws the same inputs.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import msgspec


class Token(str):
    """A piece of JSON that is written as it is, sound or not."""

    __slots__ = ()


TEXTS = (
    "",
    " ",
    "\0",
    "\x7f",
    "a\nb",
    "a\tb",
    "\u00e9",
    "\u2028",
    "\u202e",
    "\ufeff",
    "\U0001f4b6",
    "\u0661\u0662",
    "\u00b2",
    "\u00bd",
    "\uff11\uff12",
    "\u2212" + "5",
    "=1+1",
    "'=1",
    "@x",
    "-",
    "+",
    ".",
    ",",
    '"',
    "'",
    ";",
    "%",
    "$",
    "{",
    "[",
    "null",
    "true",
    "NaN",
    "nan",
    "inf",
    "-Infinity",
    "0x10",
    "1_000",
    "1,000",
    "1.000,5",
    "1 000",
    " 1 ",
    "1e5",
    "1e400",
    "-1e-400",
    "1e999999999",
    "1E+16",
    "0.00000000001",
    "1." + "0" * 40,
    "9" * 15 + "." + "9" * 10,
    "9" * 24,
    "9" * 129,
    "9" * 5_000,
    "x" * 128,
    "x" * 129,
    "y" * 1_001,
    "-0",
    "+5",
    "5.",
    ".5",
    "..",
    "1.1.1",
    "2026-03-04",
    "2026-02-29",
    "2024-02-29",
    "2026-13-01",
    "0000-00-00",
    "0001-01-01",
    "9999-12-31",
    "20260304",
    "2026-W10-3",
    "2026-063",
    "2026-03-04T12:00:00",
    "2026-03-04T12:00:00Z",
    "2026-03-04T12:00:60Z",
    "9999-12-31T23:59:60Z",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "2026-03-04T24:00:00Z",
    "2026-03-04T12:00:00.1234567Z",
    "2026-03-04T12:00:00+99:99",
    "2026-03-04 12:00:00+01",
    "2026-03-29T02:30:00",
    "04.03.2026",
    "03/04/26",
    "1772625600",
    "1772625600000",
    "1772625600000000",
    "1772625600000000000",
    "-1",
    "EUR",
    "eur",
    "GBX",
    "GBp",
    "ZZZ",
    "XAU",
    "EURUSD",
    "EURUSD@2026-06-08",
    "USDKRW@2030-06-17",
    "ALL",
    "FX1",
    "riskengine",
    "America/New_York",
    "../../etc/passwd",
    "Mars/Olympus",
    "4:1",
    "0:1",
    "1:0",
    "-15 -10 0 10",
    "1 " * 30,
)
"""Texts that have been something else somewhere: numbers of other scripts, times at an edge, formulas, names that are near."""

NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 2, 7, 100, 1_000, 1_001, -0.0, 0.1 + 0.2, 1e-12, 1e-13, 0.5, 1.5, 99.999, 1e15, 1e15 + 1, 1e16),
    *(2**31, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30, 1e300, -1e300, 5e-324),
    *(1_772_625_600, 1_772_625_600_000, 1_772_625_600_000_000, 1_772_625_600_000_000_000),
)

TOKENS = tuple(
    map(
        Token,
        (
            *("1e400", "-1e400", "1E5", "-0", "-0.0", "00", "01", "1.", ".5", "+1", "NaN", "Infinity", "nul", "tru", "'x'"),
            *('"\\ud800"', '"a\\udc00b"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\x"', '"', "{}", "[]", "[[]]", "{", "[", "]", ""),
            *("1e999999999", "1" + "0" * 400, "0." + "0" * 400 + "1", "9" * 5_000, "[" * 3_000, "[" * 600 + "]" * 600),
            *('{"a":1,"a":2}', "1,2", "/* */1", "\ufeff1"),
        ),
    )
)


def dump(value: Any) -> str:
    """JSON with its tokens as they are; objects that are lists of pairs may have a key twice."""
    if isinstance(value, Token):
        return value
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{dump(each)}" for key, each in value.items()) + "}"
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(key)}:{dump(each)}" for key, each in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    return json.dumps(value)


class Pairs(list[tuple[str, Any]]):
    """An object with its keys in order, perhaps one of them twice."""


class Draw:
    """Draws from one seed. `chance(p)` is true with probability p."""

    def __init__(self, seed: str) -> None:
        self.random = Random(seed)
        self.pick = self.random.choice
        self.below = self.random.randrange

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def few(self, most: int) -> int:
        """0 to `most`, small numbers more often."""
        return min(self.below(most + 1), self.below(most + 1))

    # -- values ------------------------------------------------------------------------------------------------

    def text(self, like: str = "") -> str:
        """A text: one of TEXTS, or `like` with something changed."""
        kind = self.below(8)
        if kind < 4 or not like:
            return self.pick(TEXTS)
        if kind == 4:
            at = self.below(len(like) + 1)
            return like[:at] + self.pick(TEXTS)[:200] + like[at:]
        if kind == 5:
            at = self.below(len(like))
            return like[:at] + like[at + 1 :]
        if kind == 6:
            return self.pick((like.lower(), like.upper(), like * 2, like[::-1], f" {like}", f"{like}\n", like[: len(like) // 2]))
        at = self.below(len(like))
        return like[:at] + chr(ord(like[at]) ^ 1 << self.below(7)) + like[at + 1 :]

    def value(self, like: Any = "") -> Any:
        """A value in the place of `like`: of the same kind or of another."""
        kind = self.below(10)
        if kind < 4:
            return self.text(like if isinstance(like, str) else str(like))
        if kind < 6:
            return self.pick(NUMBERS)
        if kind == 6:
            return self.pick(TOKENS)
        if kind == 7:
            return self.pick((None, True, False, [], {}, [like], {"a": like}, [[like]], {"": None}))
        if kind == 8 and isinstance(like, int | float) and not isinstance(like, bool):
            return self.pick((like + 1, -like, like * 10, str(like), float(like)))
        return self.value_of(like)

    def value_of(self, like: Any) -> Any:
        """`like` changed inside, if it has an inside."""
        if isinstance(like, dict | Pairs):
            return self.record(dict(like))
        if isinstance(like, list) and like:
            return [self.value(each) if self.chance(0.3) else each for each in like]
        return self.text(str(like))

    def record(self, like: Mapping[str, Any], more: Sequence[str] = ()) -> Any:
        """An object with some fields changed, left out, doubled, misspelt, or added from `more`."""
        made = dict(like)
        for _ in range(1 + self.few(4)):
            keys = list(made)
            what = self.below(12)
            if not keys or what == 0:
                made[self.pick(more) if more else self.text()] = self.value()
            elif what < 8:
                key = self.pick(keys)
                made[key] = self.value(made[key])
            elif what == 8:
                del made[self.pick(keys)]
            elif what == 9:
                key = self.pick(keys)
                made[self.text(key)] = made.pop(key)
            elif what == 10 and more:
                made[self.pick(more)] = self.pick(TEXTS)
            else:
                twice = self.pick(keys)
                return Pairs([*made.items(), (twice, self.value(made[twice]))])
        return made

    # -- bytes -------------------------------------------------------------------------------------------------

    def damage(self, data: bytes, most: int = 3) -> bytes:
        """Bytes with up to `most` places changed, left out, doubled or cut off."""
        made = bytearray(data)
        for _ in range(1 + self.few(most - 1)):
            size = len(made)
            what = self.below(7)
            at = self.below(size + 1)
            if what == 0:
                made[at:at] = bytes([self.below(256)])
            elif what == 1 and size:
                made[self.below(size)] ^= 1 << self.below(8)
            elif what == 2:
                del made[at : at + 1 + self.few(16)]
            elif what == 3:
                made[at:at] = made[at : at + 1 + self.few(40)]
            elif what == 4:
                del made[at:]
            elif what == 5:
                made[at:at] = self.pick(TEXTS).encode()[:300]
            else:
                made[at:at] = self.pick(PIECES)
        return bytes(made)

    def written(self, value: Any) -> bytes:
        """A value as JSON, sometimes damaged."""
        text = dump(value)
        if self.chance(0.03):
            text = "\ufeff" + text
        data = text.encode("utf-8", "surrogatepass")
        return self.damage(data) if self.chance(0.15) else data

    def packed(self, value: Any) -> bytes:
        """A value as msgpack, sometimes damaged."""
        data = msgspec.msgpack.encode(plain(value))
        return self.damage(data) if self.chance(0.25) else data

    def some(self, make: Callable[[], Any]) -> Any:
        """One item, or a list of a few."""
        return make() if self.chance(0.4) else [make() for _ in range(self.few(6))]


PIECES = (
    *(b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x1f\x8b", b"\xef\xbb\xbf", b"\xff\xfe", b"PK\x03\x04", b"\0\0\0\0", b"\r", b"\n\n"),
    *(
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b";",
        b"\t",
        b"\\u",
        b"\\ud83d",
        b"\xc1",
        b"\xdf\xff\xff\xff\xff",
        b"\xa9",
    ),
)


def plain(value: Any) -> Any:
    """A value without tokens, which only JSON has."""
    if isinstance(value, Token):
        return str(value)
    if isinstance(value, Pairs):
        return {key: plain(each) for key, each in value}
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value

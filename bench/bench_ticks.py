"""Measures ticks in JSON frames of 100: decode, check, coalesce. Target: at least 1,000,000/s.

The prices move by less than the limits on moves allow, which are on as by default.
"""

import json

import msgspec
import pytest

from bench.book import NOW
from riskengine.config import Config
from riskengine.market.quote_book import QuoteBook
from riskengine.records.decode import decode_ticks

FRAMES, TICKS = 1_000, 100


@pytest.fixture(scope="module")
def frames(maker):
    seeded, symbols = maker.seeded, maker.reference.symbols
    return [
        json.dumps(
            [
                {
                    "instrument": seeded.choice(symbols),
                    "ts": NOW + frame * TICKS + tick,
                    "source": "feed",
                    "bid": round(seeded.uniform(1.0980, 1.0999), 5),
                    "ask": round(seeded.uniform(1.1001, 1.1020), 5),
                }
                for tick in range(TICKS)
            ]
        ).encode()
        for frame in range(FRAMES)
    ]


@pytest.mark.benchmark(group="100,000 ticks")
def test_decode_and_coalesce(benchmark, maker, frames):
    book = QuoteBook(maker.reference, Config().marks, 60.0)

    def take() -> None:
        for frame in frames:
            book.offer(decode_ticks(frame), NOW)  # type: ignore[arg-type]  # every tick here is valid
        book.take()

    benchmark.pedantic(take, rounds=20, warmup_rounds=2)
    assert not (book.refused or book.held_back)


@pytest.mark.parametrize("loads", [json.loads, msgspec.json.decode], ids=["json", "msgspec"])
@pytest.mark.benchmark(group="100,000 ticks")
def test_yardstick_untyped_decoding(benchmark, frames, loads):
    """Decode into dictionaries, without any check."""

    def take() -> None:
        for frame in frames:
            loads(frame)

    benchmark.pedantic(take, rounds=20, warmup_rounds=2)

"""Measures a history of ten million processed ids: `python -m bench.history`.

Adds ids in parts, as a replay does, then looks up known and unknown ones. Prints one JSON object: bytes of the history, peak
memory while building (beyond the ids of one part), seconds, look-ups a second, single and in batches; exit status 1 if the
history, or its building, takes more memory than the target.
"""

import argparse
import json
import sys
import time
import tracemalloc

from bench.latency import machine
from riskengine.positions.frozen_ids import FrozenIds, identity_fingerprint
from riskengine.records.types import Identity

TARGET_MB = 250
PART = 250_000
ASKED = 100_000
BATCH = 256


def build_history(count: int) -> tuple[FrozenIds, float]:
    """Build a history of `count` ids; return it and the seconds it took."""
    history, taken = FrozenIds(), 0.0
    for first in range(0, count, PART):
        prints = [identity_fingerprint("booking", f"T{number:010d}", 0) for number in range(first, min(count, first + PART))]
        started = time.perf_counter()
        history.add(prints, [1] * len(prints))
        taken += time.perf_counter() - started
    started = time.perf_counter()
    history.merge_all()
    return history, taken + time.perf_counter() - started


def lookups_per_s(history: FrozenIds, identities: list[Identity], at_once: int) -> float:
    """Look-ups a second, `at_once` in each call."""
    started = time.perf_counter()
    for first in range(0, len(identities), at_once):
        history.version_counts(identities[first : first + at_once])
    return len(identities) / (time.perf_counter() - started)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure a history of ten million processed ids.")
    parser.add_argument("--ids", type=int, default=10_000_000)
    asked = parser.parse_args()
    tracemalloc.start()
    history, _ = build_history(asked.ids)
    held, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    history, seconds = build_history(asked.ids)
    step = max(1, asked.ids // ASKED)
    known = [Identity("booking", f"T{number:010d}", 0) for number in range(0, asked.ids, step)]
    unknown = [Identity("booking", f"U{number:010d}", 0) for number in range(0, asked.ids, step)]
    found = sum(map(bool, history.version_counts(known))), sum(map(bool, history.version_counts(unknown)))
    met = held <= TARGET_MB * 1e6 and highest <= TARGET_MB * 1e6 and found[0] == len(known)
    print(
        json.dumps(
            {
                "bench": "history",
                "machine": machine(),
                "ids": len(history),
                "held_mb": round(held / 1e6, 1),
                "arrays_mb": round(history.nbytes / 1e6, 1),
                "highest_mb": round(highest / 1e6, 1),
                "target_mb": TARGET_MB,
                "build_s": round(seconds, 2),
                "lookups_per_s": {
                    "one_at_a_time": round(lookups_per_s(history, known[:20_000], 1)),
                    "in_batches": round(lookups_per_s(history, known, BATCH)),
                    "unknown_in_batches": round(lookups_per_s(history, unknown, BATCH)),
                },
                "known_found": found[0],
                "unknown_found": found[1],
                "met": met,
            },
            indent=2,
        )
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

"""The table `curve_samples`: the amounts of all nodes, once a minute. Inside the caller's transaction."""

import zlib
from collections.abc import Sequence

import numpy as np
import orjson

from riskengine.records.types import MEASURES, Sample
from riskengine.store.queries import Transaction

_DOUBLE = np.dtype("<f8")
_FASTEST = 1


def save(transaction: Transaction, samples: Sequence[Sample], keep_from: int) -> None:
    """Store samples in ascending order; remove samples older than `keep_from`, and newer than the last one.

    Newer ones exist if the clock was set back. Storing a sample again changes nothing.
    """
    transaction.run("curve_sample_save", [(each.ts, each.epoch, each.seq, pack(each)) for each in samples])
    if samples:
        transaction.run("curve_samples_prune", [(keep_from, samples[-1].ts)])


def since(transaction: Transaction, first_ts: int, last_ts: int) -> list[Sample]:
    """Samples between two times, both included, oldest first; skips a sample that cannot be read. Cost 0.1 ms each."""
    found: list[Sample] = []
    names: dict[tuple[str, ...], tuple[str, ...]] = {}
    for ts, epoch, seq, content in transaction.rows("curve_samples_since", (first_ts, last_ts)):
        sample = unpack(ts, epoch, seq, content)
        if sample is not None:  # most samples have the same nodes: they share one tuple
            found.append(sample._replace(nodes=names.setdefault(sample.nodes, sample.nodes)))
    return found


def pack(sample: Sample) -> bytes:
    """The content of a row: zlib over a line of JSON, then little-endian doubles, all nodes of a measure together."""
    header = orjson.dumps({"measures": MEASURES, "nodes": sample.nodes})
    return zlib.compress(header + b"\n" + sample.amounts.astype(_DOUBLE).tobytes(), _FASTEST)


def unpack(ts: int, epoch: int, seq: int, content: bytes) -> Sample | None:
    """The sample of a row; a measure that it does not hold is NaN. None if the content cannot be read."""
    try:
        header, _, body = zlib.decompress(content).partition(b"\n")
        names = orjson.loads(header)
        nodes, measures = tuple(map(str, names["nodes"])), list(names["measures"])
        stored = np.frombuffer(body, _DOUBLE).reshape(len(measures), len(nodes))
    except (zlib.error, ValueError, KeyError, TypeError):
        return None
    amounts = np.full((len(MEASURES), len(nodes)), np.nan)
    for place, measure in enumerate(MEASURES):
        if measure in measures:
            amounts[place] = stored[measures.index(measure)]
    return Sample(ts, epoch, seq, nodes, amounts)

"""The table `curve_samples`: the amounts of nodes and dealers, once a minute. Inside the caller's transaction."""

import zlib
from collections.abc import Sequence

import numpy as np
import orjson

from riskengine.records.types import MEASURES, FloatArray, Sample
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
            nodes, dealers = names.setdefault(sample.nodes, sample.nodes), names.setdefault(sample.dealers, sample.dealers)
            found.append(sample._replace(nodes=nodes, dealers=dealers))
    return found


def pack(sample: Sample) -> bytes:
    """The content of a row: zlib over a line of JSON, then little-endian doubles.

    All nodes of a measure stand together; behind those of all measures the dealers, likewise.
    """
    header = orjson.dumps({"measures": MEASURES, "nodes": sample.nodes, "dealers": sample.dealers})
    amounts = sample.amounts.astype(_DOUBLE).tobytes() + sample.of_dealers.astype(_DOUBLE).tobytes()
    return zlib.compress(header + b"\n" + amounts, _FASTEST)


def unpack(ts: int, epoch: int, seq: int, content: bytes) -> Sample | None:
    """The sample of a row; a measure that it does not hold is NaN. None if the content cannot be read."""
    try:
        header, _, body = zlib.decompress(content).partition(b"\n")
        names = orjson.loads(header)
        nodes, measures = tuple(map(str, names["nodes"])), list(names["measures"])
        dealers = tuple(map(str, names.get("dealers", ())))
        stored = np.frombuffer(body, _DOUBLE)
        end = len(measures) * len(nodes)
        of_nodes = _by_measure(measures, stored[:end].reshape(len(measures), len(nodes)))
        of_dealers = _by_measure(measures, stored[end:].reshape(len(measures), len(dealers)))
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Sample(ts, epoch, seq, nodes, of_nodes, dealers, of_dealers)


def _by_measure(measures: Sequence[str], stored: FloatArray) -> FloatArray:
    """Stored amounts in the order of MEASURES."""
    amounts = np.full((len(MEASURES), stored.shape[1]), np.nan)
    for place, measure in enumerate(MEASURES):
        if measure in measures:
            amounts[place] = stored[measures.index(measure)]
    return amounts

"""The samples of curves, on either database; inside the caller's transaction."""

import zlib
from collections.abc import Sequence

import numpy as np
import orjson

from riskengine.records.types import MEASURES, Sample
from riskengine.store.queries import Transaction

_DOUBLE = np.dtype("<f8")
_FASTEST = 1


def save(transaction: Transaction, samples: Sequence[Sample], keep_from: int) -> None:
    """Store samples, and remove what is older than `keep_from` or newer than the newest: a clock that was set back has no future.

    Storing one again changes nothing.
    """
    transaction.run("curve_sample_save", [(each.ts, each.epoch, each.seq, packed(each)) for each in samples])
    if samples:
        transaction.run("curve_samples_prune", [(keep_from, samples[-1].ts)])


def since(transaction: Transaction, first_ts: int, last_ts: int) -> list[Sample]:
    """Stored samples between two times, both included, oldest first; one that cannot be read is left out. 0.1 ms each."""
    found: list[Sample] = []
    names: dict[tuple[str, ...], tuple[str, ...]] = {}
    for ts, epoch, seq, content in transaction.rows("curve_samples_since", (first_ts, last_ts)):
        sample = unpacked(ts, epoch, seq, content)
        if sample is not None:  # most samples have the nodes of the one before: one tuple for all of these
            found.append(sample._replace(nodes=names.setdefault(sample.nodes, sample.nodes)))
    return found


def packed(sample: Sample) -> bytes:
    """The content of a row."""
    header = orjson.dumps({"measures": MEASURES, "nodes": sample.nodes})
    return zlib.compress(header + b"\n" + sample.amounts.astype(_DOUBLE).tobytes(), _FASTEST)


def unpacked(ts: int, epoch: int, seq: int, content: bytes) -> Sample | None:
    """The sample of a row, its measures by name: what was not stored is unknown. None where the content makes no sense."""
    try:
        header, _, body = zlib.decompress(content).partition(b"\n")
        told = orjson.loads(header)
        nodes, measures = tuple(map(str, told["nodes"])), list(told["measures"])
        stored = np.frombuffer(body, _DOUBLE).reshape(len(measures), len(nodes))
    except (zlib.error, ValueError, KeyError, TypeError):
        return None
    amounts = np.full((len(MEASURES), len(nodes)), np.nan)
    for place, measure in enumerate(MEASURES):
        if measure in measures:
            amounts[place] = stored[measures.index(measure)]
    return Sample(ts, epoch, seq, nodes, amounts)

"""One immutable moment, and pure functions of it: rows, sums to compare, digest, curves."""

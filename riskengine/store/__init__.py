"""The truth on disk: one protocol, two databases. Knows records and the ground, nothing of the engine."""

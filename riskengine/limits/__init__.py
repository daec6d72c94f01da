"""Limits judged on snapshots, checks before a trade, margin: pure functions of a snapshot and of rules as dated data."""

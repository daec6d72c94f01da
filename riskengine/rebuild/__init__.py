"""Engines made from the store: in the morning, as of a moment, beside a live one."""

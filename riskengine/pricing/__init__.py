"""Formulas: what options and forwards are worth, over arrays; no records, no state."""

"""Marks, currency rates, curves, vol surfaces and the trading day."""

"""Marks, currency rates and the trading day."""

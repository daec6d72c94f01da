"""Feeds of prices and trades: recordings, the simulation, later venues."""

"""Prices and trades that come by themselves: recordings, the simulation, later venues."""

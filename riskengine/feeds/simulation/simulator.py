"""The simulated house behind `riskengine demo`: a sample book, a market that quotes it, desks that deal in it.

Each part stands alone: `sample_book` holds the tables, `simulated_market` makes ticks, `simulated_dealing` makes trades
against any source of quotes (recorded ones too), `seeded_day` makes a day of trades for tests and replays. All of it is
pure and repeats for a seed (`dice`). This module is the door.
"""

from riskengine.feeds.simulation.dealing import DealingSimulator, Quotes
from riskengine.feeds.simulation.market import MarketSimulator
from riskengine.feeds.simulation.sample_book import DEALERS, MANDATES, sample_instruments, sample_nodes
from riskengine.feeds.simulation.seeded_day import seeded_day

__all__ = [
    "DEALERS",
    "MANDATES",
    "DealingSimulator",
    "MarketSimulator",
    "Quotes",
    "sample_instruments",
    "sample_nodes",
    "seeded_day",
]

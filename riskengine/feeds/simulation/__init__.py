"""The made-up house of the demo: a sample book, a market that quotes it, desks that deal in it.

Each module stands alone: `sample_book` holds the tables, `market` makes ticks, `dealing` makes trades against any source of quotes
(recorded ones too), `seeded_day` makes a day of trades for tests and replays. All of it is pure and repeats for a seed.
"""

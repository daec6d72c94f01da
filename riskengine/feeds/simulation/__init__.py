"""The simulated house of the demo: a sample book, a market that quotes it, desks that deal in it.

`sample_book` holds the tables. `market` makes ticks, `dealing` makes trades against any source of quotes (also recorded ones),
and `seeded_day` makes a day of trades for tests and replays. All are pure and repeat for a seed.
"""

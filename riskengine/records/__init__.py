"""The engine's records and the checks at its door: trades, ticks, nodes, instruments, balances."""

"""What the engine speaks of, checked: trades, ticks, nodes, instruments, balances."""

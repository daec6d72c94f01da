"""One file for each table (trades have three: rows, bulk reading, sums); the same on both databases."""

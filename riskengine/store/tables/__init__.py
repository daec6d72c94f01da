"""One file for each table, the same on both databases."""

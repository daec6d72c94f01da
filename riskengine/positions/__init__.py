"""Which trades count, and the positions and sums that they make; exact."""

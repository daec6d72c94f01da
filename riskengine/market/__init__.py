"""What prices and dates say: marks, rates, the trading day."""

"""What a snapshot would be worth if prices were others: historical scenarios, VaR, what-if; pure functions of snapshots."""

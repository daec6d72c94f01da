-- From which received_ts on a trade that is dated after the current trading day waits for its day: what this store has received so far
-- counts as it counted before. A new store has 1. The one rule that judges by a time: a trade in memory has no store_seq.
INSERT INTO rules (rule, from_store_seq, ts)
SELECT 'trade_date_waits', (SELECT max(coalesce(max(received_ts), 0), 0) + 1 FROM trades),
       CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER);

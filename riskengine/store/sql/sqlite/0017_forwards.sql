-- From which received_ts on nobody ever kept a trade out because its value date is another one than spot: what this store has received so
-- far was kept out until now. It stays out, listed, so that every number is as it was. A new store has 1.
INSERT INTO rules (rule, from_store_seq, ts)
SELECT 'forwards_count', (SELECT max(coalesce(max(received_ts), 0), 0) + 1 FROM trades),
       CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER);

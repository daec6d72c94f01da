-- From which received_ts on a trade in an option that is dated after its cut is kept out: what this store has received so far counts as it
-- did, and is listed. A new store has 1.
INSERT INTO rules (rule, from_store_seq, ts)
SELECT 'option_cuts', (SELECT max(coalesce(max(received_ts), 0), 0) + 1 FROM trades),
       CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER);

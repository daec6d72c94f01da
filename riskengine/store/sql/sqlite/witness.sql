-- Queries on the state of the store, for the witness that is kept outside it.

-- name: standing
SELECT (SELECT value FROM meta WHERE key = 'store_id'), coalesce((SELECT value FROM meta WHERE key = ?), '0'),
       (SELECT coalesce(max(store_seq), 0) FROM trades), (SELECT received_ts FROM trades ORDER BY store_seq DESC LIMIT 1),
       (SELECT count(*) FROM trades WHERE store_seq > ?), (SELECT coalesce(max(audit_seq), 0) FROM audit),
       coalesce((SELECT hash FROM audit ORDER BY audit_seq DESC LIMIT 1), ''),
       max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'trades'), 0),
           coalesce((SELECT max(store_seq) FROM trades), 0))

-- name: audit_hash_at
SELECT hash FROM audit WHERE audit_seq = ?

-- The same, as cheap as it can be, for a writer that asks several times a second.
-- name: standing_now
SELECT coalesce((SELECT value FROM meta WHERE key = 'store_id'), ''),
       coalesce((SELECT value FROM meta WHERE key = 'writer_epoch'), '0'), (SELECT value FROM meta WHERE key = 'audit_head'),
       max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'trades'), 0),
           coalesce((SELECT max(store_seq) FROM trades), 0))

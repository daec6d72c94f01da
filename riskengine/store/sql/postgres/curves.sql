-- Queries on the samples of curves.

-- name: curve_sample_save
INSERT INTO curve_samples (ts, epoch, seq, content) VALUES (%s, %s, %s, %s)
ON CONFLICT (ts) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, content = excluded.content

-- name: curve_samples_prune
DELETE FROM curve_samples WHERE ts < %s OR ts > %s

-- name: curve_samples_since
SELECT ts, epoch, seq, content FROM curve_samples WHERE ts >= %s AND ts <= %s ORDER BY ts

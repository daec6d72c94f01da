-- Queries on the journal of instants.

-- name: journal_save
INSERT INTO journal (epoch, seq, ts, whole_seq, watermark, revision, content) VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (epoch, seq) DO NOTHING

-- name: journal_prune
DELETE FROM journal WHERE ts < %s

-- name: journal_newest
SELECT epoch, seq, whole_seq FROM journal WHERE ts <= %s ORDER BY ts DESC, epoch DESC, seq DESC LIMIT 1

-- name: journal_chain
SELECT epoch, seq, ts, whole_seq, watermark, revision, content FROM journal
WHERE epoch = %s AND seq >= %s AND seq <= %s ORDER BY seq

-- name: journal_span
SELECT min(ts), max(ts) FROM journal

-- name: journal_times
SELECT ts FROM journal WHERE ts >= %s AND ts <= %s ORDER BY ts

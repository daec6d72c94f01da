-- Queries on the journal of instants.

-- name: journal_save
INSERT INTO journal (epoch, seq, ts, whole_seq, watermark, revision, content) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (epoch, seq) DO NOTHING

-- name: journal_prune
DELETE FROM journal WHERE ts < ?

-- name: journal_newest
SELECT epoch, seq, whole_seq FROM journal WHERE ts <= ? ORDER BY ts DESC, epoch DESC, seq DESC LIMIT 1

-- name: journal_chain
SELECT epoch, seq, ts, whole_seq, watermark, revision, content FROM journal
WHERE epoch = ? AND seq >= ? AND seq <= ? ORDER BY seq

-- name: journal_span
SELECT min(ts), max(ts) FROM journal

-- name: journal_times
SELECT ts FROM journal WHERE ts >= ? AND ts <= ? ORDER BY ts

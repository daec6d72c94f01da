-- Queries on the marks that people set by hand.

-- The newest of each instrument of those entered up to a moment.
-- name: manual_marks
SELECT instrument, ts, price, author, reason, expires_ts, entered_ts FROM manual_marks
WHERE mark_id IN (SELECT max(mark_id) FROM manual_marks WHERE entered_ts <= ? GROUP BY instrument)
ORDER BY instrument

-- name: manual_mark_insert
INSERT INTO manual_marks (instrument, ts, price, author, reason, expires_ts, entered_ts) VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: manual_marks_delete
DELETE FROM manual_marks WHERE instrument = ?

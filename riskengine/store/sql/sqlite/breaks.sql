-- Queries on breaks.

-- name: break_insert
INSERT INTO breaks (kind, against, rollup, owner, instrument, here, there, trades, epoch, watermark, first_seen_ts, last_seen_ts)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: break_seen
UPDATE breaks SET kind = ?, here = ?, there = ?, trades = ?, epoch = ?, watermark = ?, last_seen_ts = ?,
    times_seen = times_seen + 1
WHERE break_id = ?

-- name: break_resolve
UPDATE breaks SET status = ?, resolved_by = ?, resolved_ts = ?, comment = CASE WHEN ? = '' THEN comment ELSE ? END
WHERE status = 'open' AND against = ? AND rollup = ? AND owner = ? AND instrument = ?

-- name: break_comment
UPDATE breaks SET comment = ? WHERE break_id = ?

-- name: break_by_id
SELECT break_id, kind, against, rollup, owner, instrument, here, there, trades, epoch, watermark, first_seen_ts, last_seen_ts,
       times_seen, status, comment, resolved_by, resolved_ts
FROM breaks WHERE break_id = ?

-- name: breaks_all
SELECT break_id, kind, against, rollup, owner, instrument, here, there, trades, epoch, watermark, first_seen_ts, last_seen_ts,
       times_seen, status, comment, resolved_by, resolved_ts
FROM breaks ORDER BY CASE status WHEN 'open' THEN 0 ELSE 1 END, break_id DESC LIMIT ?

-- name: breaks_of_status
SELECT break_id, kind, against, rollup, owner, instrument, here, there, trades, epoch, watermark, first_seen_ts, last_seen_ts,
       times_seen, status, comment, resolved_by, resolved_ts
FROM breaks WHERE status = ? ORDER BY break_id DESC LIMIT ?

-- Queries on breaks.

-- name: break_insert
INSERT INTO breaks (kind, against, rollup, owner, instrument, here, there, trades, epoch, watermark, first_seen_ts, last_seen_ts)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)

-- name: break_seen
UPDATE breaks SET kind = %s, here = %s, there = %s, trades = %s, epoch = %s, watermark = %s, last_seen_ts = %s,
    times_seen = times_seen + 1
WHERE break_id = %s

-- name: break_resolve
UPDATE breaks SET status = %s, resolved_by = %s, resolved_ts = %s, comment = CASE WHEN %s = '' THEN comment ELSE %s END
WHERE status = 'open' AND against = %s AND rollup = %s AND owner = %s AND instrument = %s

-- name: break_comment
UPDATE breaks SET comment = %s WHERE break_id = %s

-- name: break_by_id
SELECT break_id, kind, against, rollup, owner, instrument, here, there, trades, epoch, watermark, first_seen_ts, last_seen_ts,
       times_seen, status, comment, resolved_by, resolved_ts
FROM breaks WHERE break_id = %s

-- name: breaks_all
SELECT break_id, kind, against, rollup, owner, instrument, here, there, trades, epoch, watermark, first_seen_ts, last_seen_ts,
       times_seen, status, comment, resolved_by, resolved_ts
FROM breaks ORDER BY CASE status WHEN 'open' THEN 0 ELSE 1 END, break_id DESC LIMIT %s

-- name: breaks_of_status
SELECT break_id, kind, against, rollup, owner, instrument, here, there, trades, epoch, watermark, first_seen_ts, last_seen_ts,
       times_seen, status, comment, resolved_by, resolved_ts
FROM breaks WHERE status = %s ORDER BY break_id DESC LIMIT %s

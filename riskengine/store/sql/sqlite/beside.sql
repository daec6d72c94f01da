-- Queries on what other programs write beside a running engine.

-- name: change_counts
SELECT kind, count FROM changes ORDER BY kind

-- name: conflict_ids
SELECT conflict_id FROM conflicts ORDER BY conflict_id DESC LIMIT ?

-- name: conflicts_by_id
SELECT conflict_id, {columns}, 0, received_ts, {attributes} FROM conflicts WHERE conflict_id IN (SELECT value FROM json_each(?)) ORDER BY conflict_id

-- name: marks_of_others
SELECT instrument, ts, price, source, kind FROM marks WHERE saved = 0 ORDER BY instrument

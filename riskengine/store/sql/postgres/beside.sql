-- Queries on what other programs write beside a running engine.

-- Changes that this transaction sees and an earlier snapshot did not. Rows that were restored from another server carry its
-- transaction numbers; numbers in the future are left out.
-- name: changes_beyond
SELECT DISTINCT kind FROM changes
WHERE xid >= pg_snapshot_xmin(%(seen)s::pg_snapshot) AND NOT pg_visible_in_snapshot(xid, %(seen)s::pg_snapshot)
  AND xid < pg_snapshot_xmax(%(now)s::pg_snapshot)

-- What every engine from now on has seen.
-- name: changes_forget
DELETE FROM changes WHERE xid < pg_snapshot_xmin(pg_current_snapshot())

-- name: conflict_ids
SELECT conflict_id FROM conflicts ORDER BY conflict_id DESC LIMIT %s

-- name: conflicts_by_id
SELECT conflict_id, {columns}, 0, received_ts, {attributes} FROM conflicts WHERE conflict_id = ANY(%s::bigint[]) ORDER BY conflict_id

-- name: marks_of_others
SELECT instrument, ts, price, source, kind FROM marks WHERE saved = 0 ORDER BY instrument

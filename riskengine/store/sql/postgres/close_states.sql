-- Queries on the state of the newest close.

-- name: close_state_number
SELECT greatest((SELECT coalesce(max(state), 0) FROM close_states), (SELECT coalesce(max(state), 0) FROM close_state_chunks))

-- name: close_state_chunk_insert
INSERT INTO close_state_chunks (state, part, chunk, content) VALUES (%s, %s, %s, %s)

-- name: close_states_delete
DELETE FROM close_states

-- name: close_state_insert
INSERT INTO close_states (state, date, watermark, made_ts, void, content) VALUES (%s, %s, %s, %s, %s, %s)

-- name: close_state_chunks_left
SELECT state, part, chunk FROM close_state_chunks WHERE state NOT IN (SELECT state FROM close_states) LIMIT %s

-- name: close_state_chunk_delete
DELETE FROM close_state_chunks WHERE state = %s AND part = %s AND chunk = %s

-- name: close_state
SELECT state, void, content FROM close_states ORDER BY state DESC LIMIT 1

-- name: close_state_standing
SELECT state, date, void FROM close_states ORDER BY state DESC LIMIT 1

-- name: close_state_chunk
SELECT content FROM close_state_chunks WHERE state = %s AND part = %s AND chunk = %s

-- name: close_state_void
UPDATE close_states SET void = %s WHERE void = '' AND watermark >= %s

-- Rows up to a number that became visible later than the transactions of the bookmark. On SQLite one program writes at a time: none.
-- name: close_state_late
SELECT store_seq FROM trades
WHERE written_xid >= pg_snapshot_xmin(%(bookmark)s::pg_snapshot) AND NOT pg_visible_in_snapshot(written_xid, %(bookmark)s::pg_snapshot)
  AND store_seq <= %(up_to)s
ORDER BY store_seq

-- Backwards from the newest row.
-- name: last_received_before
SELECT store_seq FROM trades WHERE received_ts < %s ORDER BY store_seq DESC LIMIT 1

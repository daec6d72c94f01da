-- Queries on external cash and carry.

-- name: cash
SELECT cash_id, version, node, currency, ts, amount, comment FROM cash ORDER BY cash_id, version

-- name: carry
SELECT carry_id, version, desk, dealer, instrument, currency, ts, amount, type FROM carry ORDER BY carry_id, version

-- name: cash_rows
SELECT cash_id, version, node, currency, ts, amount, comment, received_ts FROM cash ORDER BY cash_id, version

-- name: carry_rows
SELECT carry_id, version, desk, dealer, instrument, currency, ts, amount, type, received_ts FROM carry ORDER BY carry_id, version

-- name: cash_of_ids
SELECT cash_id, version, node, currency, ts, amount, comment, received_ts FROM cash WHERE cash_id = ANY(%s::text[])

-- name: carry_of_ids
SELECT carry_id, version, desk, dealer, instrument, currency, ts, amount, type, received_ts
FROM carry WHERE carry_id = ANY(%s::text[])

-- name: cash_insert
INSERT INTO cash (cash_id, version, node, currency, ts, amount, comment, received_ts) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)

-- name: carry_insert
INSERT INTO carry (carry_id, version, desk, dealer, instrument, currency, ts, amount, type, received_ts)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)

-- Rows that this transaction sees and an earlier snapshot did not (see `changes_beyond`).
-- name: cash_beyond
SELECT cash_id, version, node, currency, ts, amount, comment, received_ts FROM cash
WHERE xid >= pg_snapshot_xmin(%(seen)s::pg_snapshot) AND NOT pg_visible_in_snapshot(xid, %(seen)s::pg_snapshot)
  AND xid < pg_snapshot_xmax(%(now)s::pg_snapshot)

-- name: carry_beyond
SELECT carry_id, version, desk, dealer, instrument, currency, ts, amount, type, received_ts FROM carry
WHERE xid >= pg_snapshot_xmin(%(seen)s::pg_snapshot) AND NOT pg_visible_in_snapshot(xid, %(seen)s::pg_snapshot)
  AND xid < pg_snapshot_xmax(%(now)s::pg_snapshot)

-- Queries on the audit trail.

-- The noted head of the chain and the epoch; `newest`, the last entry of the table, shows whether the note was set back.
-- name: audit_hold
SELECT key, value, (SELECT coalesce(max(audit_seq), 0) FROM audit) AS newest FROM meta WHERE key IN ('audit_head', ?)

-- name: audit_insert
INSERT INTO audit (audit_seq, ts, actor, kind, subject, first_store_seq, last_store_seq, row_count, previous_hash, hash, detail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: audit_after
SELECT audit_seq, ts, actor, kind, subject, first_store_seq, last_store_seq, row_count, previous_hash, hash, detail
FROM audit WHERE audit_seq > ? ORDER BY audit_seq LIMIT ?

-- name: audit_of_kind
SELECT audit_seq, ts, actor, kind, subject, first_store_seq, last_store_seq, row_count, previous_hash, hash, detail
FROM audit WHERE kind = ? AND kind <> 'trades' ORDER BY audit_seq

-- name: audit_newest
SELECT audit_seq, ts, actor, kind, subject, first_store_seq, last_store_seq, row_count, previous_hash, hash, detail
FROM audit WHERE {where} ORDER BY audit_seq DESC LIMIT :limit

-- name: where_audit_before
audit_seq < :before

-- name: where_audit_kind
kind = :kind

-- name: where_audit_not_trades
kind <> 'trades'

-- name: where_audit_subject
subject = :subject AND subject <> ''

-- name: where_audit_since
ts >= :since_ts

-- name: where_audit_until
ts < :until_ts

-- The first and last number say which rows an entry holds, except for entries that leave some numbers out.
-- name: where_audit_covers
first_store_seq > :lowest AND first_store_seq <= :last AND last_store_seq >= :first

-- name: audit_recorded
SELECT first_store_seq, last_store_seq, CASE WHEN last_store_seq - first_store_seq + 1 <> row_count THEN detail END
FROM audit WHERE first_store_seq > ? AND first_store_seq <= ? AND last_store_seq >= ?

-- name: trade_numbers
SELECT store_seq FROM trades WHERE store_seq > ? AND store_seq <= ? ORDER BY store_seq LIMIT ?

-- name: audited_rows
SELECT store_seq, {columns}, received_ts, {attributes} FROM trades WHERE store_seq > ? ORDER BY store_seq LIMIT ?

-- name: audited_rows_of
SELECT store_seq, {columns}, received_ts, {attributes} FROM trades WHERE store_seq IN (SELECT value FROM json_each(?)) ORDER BY store_seq

-- Rows that may become visible later although higher numbers are visible already: none here, numbers become visible in order.
-- name: audit_horizon
SELECT ''

-- name: rows_before_horizon
SELECT store_seq FROM trades WHERE store_seq IN (SELECT value FROM json_each(?)) AND ? = '' ORDER BY store_seq

-- name: read_along
SELECT 1

-- name: trades_named
SELECT store_seq, source, trade_id, leg FROM trades WHERE trade_id = ? ORDER BY store_seq

-- A cancel may leave out its desk: it then takes the desk of the version before it.
-- name: trades_at_desks
SELECT t.store_seq FROM trades AS t
WHERE t.store_seq BETWEEN ? AND ? AND coalesce(nullif(t.desk, ''), (
    SELECT b.desk FROM trades AS b
    WHERE b.source = t.source AND b.trade_id = t.trade_id AND b.leg = t.leg AND b.version < t.version AND b.desk <> ''
    ORDER BY b.version DESC LIMIT 1), '') IN (SELECT value FROM json_each(?))

-- Queries on the audit trail.

-- The noted head of the chain and the epoch; `newest`, the last entry of the table, shows whether the note was set back. 
-- Locks the epoch first, as every other writer does: no deadlock.
-- name: audit_hold
SELECT key, value, (SELECT coalesce(max(audit_seq), 0) FROM audit) AS newest FROM meta WHERE key IN ('audit_head', %s)
ORDER BY key DESC FOR UPDATE

-- Entry, note of the head, and numbers that are the next ones of their sources, in one statement: each statement is a round trip to
-- the server. Says which sources those are; the others take a second statement.
-- name: audit_append
WITH entry AS (
    INSERT INTO audit (audit_seq, ts, actor, kind, subject, first_store_seq, last_store_seq, row_count, previous_hash, hash, detail)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
), fed AS (
    INSERT INTO feeds (source, cursor, ts)
    SELECT run.source, run.last, %s
    FROM jsonb_to_recordset(%s::jsonb) AS run (source text, first bigint, last bigint)
    LEFT JOIN feeds AS known ON known.source = run.source
    WHERE coalesce(known.cursor, 0) = run.first - 1 AND known.anew IS NULL
    ON CONFLICT (source) DO UPDATE SET cursor = excluded.cursor, ts = excluded.ts
    RETURNING source
)
UPDATE meta SET value = %s WHERE key = 'audit_head' RETURNING (SELECT array_agg(source) FROM fed)

-- name: audit_after
SELECT audit_seq, ts, actor, kind, subject, first_store_seq, last_store_seq, row_count, previous_hash, hash, detail
FROM audit WHERE audit_seq > %s ORDER BY audit_seq LIMIT %s

-- name: audit_of_kind
SELECT audit_seq, ts, actor, kind, subject, first_store_seq, last_store_seq, row_count, previous_hash, hash, detail
FROM audit WHERE kind = %s AND kind <> 'trades' ORDER BY audit_seq

-- name: audit_newest
SELECT audit_seq, ts, actor, kind, subject, first_store_seq, last_store_seq, row_count, previous_hash, hash, detail
FROM audit WHERE {where} ORDER BY audit_seq DESC LIMIT %(limit)s

-- name: where_audit_before
audit_seq < %(before)s

-- name: where_audit_kind
kind = %(kind)s

-- name: where_audit_not_trades
kind <> 'trades'

-- name: where_audit_subject
subject = %(subject)s AND subject <> ''

-- name: where_audit_since
ts >= %(since_ts)s

-- name: where_audit_until
ts < %(until_ts)s

-- The first and last number say which rows an entry holds, except for entries that leave some numbers out.
-- name: where_audit_covers
first_store_seq > %(lowest)s AND first_store_seq <= %(last)s AND last_store_seq >= %(first)s

-- name: audit_recorded
SELECT first_store_seq, last_store_seq, CASE WHEN last_store_seq - first_store_seq + 1 <> row_count THEN detail END
FROM audit WHERE first_store_seq > %s AND first_store_seq <= %s AND last_store_seq >= %s

-- name: trade_numbers
SELECT store_seq FROM trades WHERE store_seq > %s AND store_seq <= %s ORDER BY store_seq LIMIT %s

-- name: audited_rows
SELECT store_seq, {columns}, received_ts, {attributes} FROM trades WHERE store_seq > %s ORDER BY store_seq LIMIT %s

-- name: audited_rows_of
SELECT store_seq, {columns}, received_ts, {attributes} FROM trades WHERE store_seq = ANY(%s::bigint[]) ORDER BY store_seq

-- Rows that may become visible later although higher numbers are visible already: those of transactions outside this snapshot.
-- name: audit_horizon
SELECT pg_current_snapshot()::text

-- name: rows_before_horizon
SELECT store_seq FROM trades WHERE store_seq = ANY(%s::bigint[]) AND pg_visible_in_snapshot(written_xid, %s::pg_snapshot) ORDER BY store_seq

-- Read pages along an index (see trades.sql).
-- name: read_along
SELECT set_config('enable_bitmapscan', 'off', true)

-- name: trades_named
SELECT store_seq, source, trade_id, leg FROM trades WHERE trade_id = %s ORDER BY store_seq

-- A cancel may leave out its desk: it then takes the desk of the version before it.
-- name: trades_at_desks
SELECT t.store_seq FROM trades AS t
WHERE t.store_seq BETWEEN %s AND %s AND coalesce(nullif(t.desk, ''), (
    SELECT b.desk FROM trades AS b
    WHERE b.source = t.source AND b.trade_id = t.trade_id AND b.leg = t.leg AND b.version < t.version AND b.desk <> ''
    ORDER BY b.version DESC LIMIT 1), '') = ANY(%s::text[])

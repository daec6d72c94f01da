-- Queries on struck closes and the prices that the roll needs until then.

-- name: struck_close_insert
INSERT INTO struck_closes (date, version, ts, struck_ts, reporting_currency, positions, content) VALUES (%s, %s, %s, %s, %s, %s, %s)

-- name: struck_close_dates
SELECT date, max(version) FROM struck_closes GROUP BY date ORDER BY date

-- name: struck_close_versions
SELECT version FROM struck_closes WHERE date = %s ORDER BY version

-- name: struck_close_header
SELECT date, version, ts, struck_ts, reporting_currency, content FROM struck_closes WHERE date = %s AND version = %s

-- name: struck_close_positions
SELECT positions FROM struck_closes WHERE date = %s AND version = %s

-- What a close left behind whose row of struck_closes somebody deleted.
-- name: closed_positions_leave
DELETE FROM closed_positions WHERE date = %s AND version = %s

-- name: close_totals_leave
DELETE FROM close_totals WHERE date = %s AND version = %s

-- name: close_chunks_known
SELECT hash FROM close_chunks WHERE hash = ANY(%s::text[])

-- name: close_chunk_insert
INSERT INTO close_chunks (hash, content) VALUES (%s, %s) ON CONFLICT (hash) DO NOTHING

-- name: close_chunks_by_hash
SELECT hash, content FROM close_chunks WHERE hash = ANY(%s::text[])

-- name: closed_positions_insert
INSERT INTO closed_positions (date, version, rollup, chunk, first_owner, last_owner, positions, hash) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)

-- name: closed_positions_of
SELECT first_owner, last_owner, positions, hash FROM closed_positions WHERE date = %s AND version = %s AND rollup = %s ORDER BY chunk

-- name: close_totals_insert
INSERT INTO close_totals (rollup, date, version, first_owner, last_owner, content) VALUES (%s, %s, %s, %s, %s, %s)

-- name: close_totals_of_close
SELECT content FROM close_totals WHERE rollup = %s AND date = %s AND version = %s ORDER BY first_owner

-- The first and the newest version of each date.
-- name: close_totals_of_owner
SELECT t.date, t.version, t.content FROM close_totals AS t
WHERE t.rollup = %s AND t.date >= %s AND t.first_owner <= %s AND t.last_owner >= %s
  AND (t.version = 1 OR t.version = (SELECT max(s.version) FROM struck_closes AS s WHERE s.date = t.date))
ORDER BY t.date, t.version

-- name: closing_mark_save
INSERT INTO closing_marks (date, instrument, ts, price, source, kind) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (date, instrument) DO UPDATE SET ts = excluded.ts, price = excluded.price, source = excluded.source,
    kind = excluded.kind

-- name: closing_marks
SELECT instrument, ts, price, source, kind FROM closing_marks WHERE date = %s ORDER BY instrument

-- name: closing_marks_prune
DELETE FROM closing_marks WHERE date <= %s

-- name: first_close_date
SELECT min(date) FROM closes WHERE date >= %s

-- name: closes_changed
SELECT date, xid::text FROM closes_changed ORDER BY date, xid

-- name: closes_changed_forget
DELETE FROM closes_changed WHERE date = %s AND xid = %s::xid8

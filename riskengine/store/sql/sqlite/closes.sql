-- Queries on struck closes and the prices that the roll needs until then.

-- name: struck_close_insert
INSERT INTO struck_closes (date, version, ts, struck_ts, reporting_currency, positions, content) VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: struck_close_dates
SELECT date, max(version) FROM struck_closes GROUP BY date ORDER BY date

-- name: struck_close_versions
SELECT version FROM struck_closes WHERE date = ? ORDER BY version

-- name: struck_close_header
SELECT date, version, ts, struck_ts, reporting_currency, content FROM struck_closes WHERE date = ? AND version = ?

-- name: struck_close_positions
SELECT positions FROM struck_closes WHERE date = ? AND version = ?

-- What a close left behind whose row of struck_closes somebody deleted.
-- name: closed_positions_leave
DELETE FROM closed_positions WHERE date = ? AND version = ?

-- name: close_totals_leave
DELETE FROM close_totals WHERE date = ? AND version = ?

-- name: close_chunks_known
SELECT hash FROM close_chunks WHERE hash IN (SELECT value FROM json_each(?))

-- name: close_chunk_insert
INSERT INTO close_chunks (hash, content) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING

-- name: close_chunks_by_hash
SELECT hash, content FROM close_chunks WHERE hash IN (SELECT value FROM json_each(?))

-- name: closed_positions_insert
INSERT INTO closed_positions (date, version, rollup, chunk, first_owner, last_owner, positions, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: closed_positions_of
SELECT first_owner, last_owner, positions, hash FROM closed_positions WHERE date = ? AND version = ? AND rollup = ? ORDER BY chunk

-- name: close_totals_insert
INSERT INTO close_totals (rollup, date, version, first_owner, last_owner, content) VALUES (?, ?, ?, ?, ?, ?)

-- name: close_totals_of_close
SELECT content FROM close_totals WHERE rollup = ? AND date = ? AND version = ? ORDER BY first_owner

-- The first and the newest version of each date.
-- name: close_totals_of_owner
SELECT t.date, t.version, t.content FROM close_totals AS t
WHERE t.rollup = ? AND t.date >= ? AND t.first_owner <= ? AND t.last_owner >= ?
  AND (t.version = 1 OR t.version = (SELECT max(s.version) FROM struck_closes AS s WHERE s.date = t.date))
ORDER BY t.date, t.version

-- name: closing_mark_save
INSERT INTO closing_marks (date, instrument, ts, price, source, kind) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (date, instrument) DO UPDATE SET ts = excluded.ts, price = excluded.price, source = excluded.source,
    kind = excluded.kind

-- name: closing_marks
SELECT instrument, ts, price, source, kind FROM closing_marks WHERE date = ? ORDER BY instrument

-- name: closing_marks_prune
DELETE FROM closing_marks WHERE date <= ?

-- name: first_close_date
SELECT min(date) FROM closes WHERE date >= ?

-- name: closes_changed
SELECT date, count FROM closes_changed ORDER BY date

-- name: closes_changed_forget
DELETE FROM closes_changed WHERE date = ? AND count = ?

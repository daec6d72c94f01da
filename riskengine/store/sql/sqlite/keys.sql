-- Queries on the trades of some positions, for repairs and for frozen history.

-- name: deals_of_desks
SELECT DISTINCT source, trade_id, desk, instrument FROM trades
WHERE desk IN (SELECT value FROM json_each(?)) AND instrument IN (SELECT value FROM json_each(?))

-- name: deals_of_dealers
SELECT DISTINCT source, trade_id, dealer, instrument FROM trades
WHERE dealer IN (SELECT value FROM json_each(?)) AND instrument IN (SELECT value FROM json_each(?))

-- name: audit_corrections
SELECT detail FROM audit WHERE kind = 'correction' ORDER BY audit_seq

-- Rows of some positions between two times: instruments, then owners, in pairs. The index `trades_by_time` holds every column of the condition.
-- name: numbers_of_desks
SELECT store_seq FROM trades INDEXED BY trades_by_time
WHERE action <> 'cancel' AND ts >= ? AND ts <= ? AND (instrument, desk) IN (SELECT json_extract(?, '$[' || key || ']'), value FROM json_each(?))

-- name: numbers_of_dealers
SELECT store_seq FROM trades INDEXED BY trades_by_time
WHERE action <> 'cancel' AND ts >= ? AND ts <= ? AND (instrument, dealer) IN (SELECT json_extract(?, '$[' || key || ']'), value FROM json_each(?))

-- name: later_versions
SELECT source, trade_id, max(store_seq) FROM trades WHERE version > 1 GROUP BY source, trade_id

-- Queries on the trades of some positions: what a repair reads.

-- name: deals_of_desks
SELECT DISTINCT source, trade_id, desk, instrument FROM trades
WHERE desk IN (SELECT value FROM json_each(?)) AND instrument IN (SELECT value FROM json_each(?))

-- name: deals_of_dealers
SELECT DISTINCT source, trade_id, dealer, instrument FROM trades
WHERE dealer IN (SELECT value FROM json_each(?)) AND instrument IN (SELECT value FROM json_each(?))

-- name: audit_corrections
SELECT detail FROM audit WHERE kind = 'correction' ORDER BY audit_seq

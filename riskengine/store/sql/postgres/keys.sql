-- Queries on the trades of some positions, for repairs and for frozen history.

-- name: deals_of_desks
SELECT DISTINCT source, trade_id, desk, instrument FROM trades WHERE desk = ANY(%s::text[]) AND instrument = ANY(%s::text[])

-- name: deals_of_dealers
SELECT DISTINCT source, trade_id, dealer, instrument FROM trades WHERE dealer = ANY(%s::text[]) AND instrument = ANY(%s::text[])

-- name: audit_corrections
SELECT detail FROM audit WHERE kind = 'correction' ORDER BY audit_seq

-- Rows of some positions between two times: instruments, then owners, in pairs. The index `trades_by_time` holds every column of the condition.
-- name: numbers_of_desks
SELECT store_seq FROM trades
WHERE action <> 'cancel' AND ts >= %s AND ts <= %s AND (instrument, desk) IN (SELECT * FROM unnest(%s::text[], %s::text[]))

-- name: numbers_of_dealers
SELECT store_seq FROM trades
WHERE action <> 'cancel' AND ts >= %s AND ts <= %s AND (instrument, dealer) IN (SELECT * FROM unnest(%s::text[], %s::text[]))

-- name: later_versions
SELECT source, trade_id, max(store_seq) FROM trades WHERE version > 1 GROUP BY source, trade_id

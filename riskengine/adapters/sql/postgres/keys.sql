-- Queries on the trades of some positions: what a repair reads.

-- name: deals_of_desks
SELECT DISTINCT source, trade_id, desk, instrument FROM trades WHERE desk = ANY(%s::text[]) AND instrument = ANY(%s::text[])

-- name: deals_of_dealers
SELECT DISTINCT source, trade_id, dealer, instrument FROM trades WHERE dealer = ANY(%s::text[]) AND instrument = ANY(%s::text[])

-- name: audit_corrections
SELECT detail FROM audit WHERE kind = 'correction' ORDER BY audit_seq

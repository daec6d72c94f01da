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
SELECT cash_id, version, node, currency, ts, amount, comment, received_ts FROM cash WHERE cash_id IN (SELECT value FROM json_each(?))

-- name: carry_of_ids
SELECT carry_id, version, desk, dealer, instrument, currency, ts, amount, type, received_ts
FROM carry WHERE carry_id IN (SELECT value FROM json_each(?))

-- name: cash_insert
INSERT INTO cash (cash_id, version, node, currency, ts, amount, comment, received_ts) VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: carry_insert
INSERT INTO carry (carry_id, version, desk, dealer, instrument, currency, ts, amount, type, received_ts)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- Rows that are new or were edited after so many changes of the table.
-- name: cash_beyond
SELECT cash_id, version, node, currency, ts, amount, comment, received_ts FROM cash WHERE changed > ?

-- name: carry_beyond
SELECT carry_id, version, desk, dealer, instrument, currency, ts, amount, type, received_ts FROM carry WHERE changed > ?

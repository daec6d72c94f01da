-- Queries on the decisions of people.

-- name: verdicts
SELECT id, verdict, comment, actor, ts FROM verdicts ORDER BY ts, id

-- An empty verdict is a comment: what was decided before it stands.
-- name: verdict_save
INSERT INTO verdicts (id, verdict, comment, actor, ts) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    verdict = CASE WHEN excluded.verdict = '' THEN verdicts.verdict ELSE excluded.verdict END,
    comment = excluded.comment, actor = excluded.actor, ts = excluded.ts

-- name: standing_version
SELECT {columns}, store_seq, received_ts, {attributes} FROM trades
WHERE source = ? AND trade_id = ? AND leg = ? AND version = ?

-- name: trade_replace
UPDATE trades SET action = ?, ts = ?, source_seq = ?, instrument = ?, desk = ?, dealer = ?, side = ?, quantity = ?, price = ?,
    fees = ?, fees_currency = ?, value_date = ?, trade_date = ?, booked_ts = ?, contra_amount = ?, legs = ?,
    received_ts = ?, counterparty = ?, account = ?, broker = ?, order_id = ?, strategy = ?, comment = ?
WHERE store_seq = ?

-- name: conflicts_with_numbers
SELECT conflict_id, {columns}, 0, received_ts, {attributes} FROM conflicts
WHERE source = ? AND trade_id = ? AND leg = ? AND version = ? ORDER BY conflict_id

-- name: conflict_delete
DELETE FROM conflicts WHERE conflict_id = ?

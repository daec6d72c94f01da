-- Queries on the decisions of people.

-- name: verdicts
SELECT id, verdict, comment, actor, ts FROM verdicts ORDER BY ts, id

-- An empty verdict is a comment: what was decided before it stands.
-- name: verdict_save
INSERT INTO verdicts (id, verdict, comment, actor, ts) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET
    verdict = CASE WHEN excluded.verdict = '' THEN verdicts.verdict ELSE excluded.verdict END,
    comment = excluded.comment, actor = excluded.actor, ts = excluded.ts

-- name: standing_version
SELECT {columns}, store_seq, received_ts, {attributes} FROM trades
WHERE source = %s AND trade_id = %s AND leg = %s AND version = %s

-- name: trade_replace
UPDATE trades SET action = %s, ts = %s, source_seq = %s, instrument = %s, desk = %s, dealer = %s, side = %s, quantity = %s, price = %s,
    fees = %s, fees_currency = %s, value_date = %s, trade_date = %s, booked_ts = %s, contra_amount = %s, legs = %s,
    received_ts = %s, counterparty = %s, account = %s, broker = %s, order_id = %s, strategy = %s, comment = %s
WHERE store_seq = %s

-- name: conflicts_with_numbers
SELECT conflict_id, {columns}, 0, received_ts, {attributes} FROM conflicts
WHERE source = %s AND trade_id = %s AND leg = %s AND version = %s ORDER BY conflict_id

-- name: conflict_delete
DELETE FROM conflicts WHERE conflict_id = %s

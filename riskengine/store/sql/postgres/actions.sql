-- Queries on corporate actions.

-- name: actions
SELECT action_id, version, instrument, kind, ex_date, ratio, amount, currency, "into", cost_share, received_ts FROM actions
ORDER BY action_id, version

-- name: action_insert
INSERT INTO actions (action_id, version, instrument, kind, ex_date, ratio, amount, currency, "into", cost_share, received_ts)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)

-- The newest close of an instrument dated before a date.
-- name: close_before
SELECT date, price FROM closes WHERE instrument = %s AND date < %s ORDER BY date DESC LIMIT 1

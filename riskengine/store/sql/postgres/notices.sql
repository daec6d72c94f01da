-- Queries on what the engine noticed about trades.

-- name: notices_newest
SELECT id, kind, ts, reason, detail, source, trade_id, leg, version FROM notices
WHERE kind = %s ORDER BY ts DESC, id DESC LIMIT %s

-- name: notices_late
SELECT count(*) FROM notices WHERE kind = 'late'

-- name: notice_save
INSERT INTO notices (id, kind, ts, reason, detail, source, trade_id, leg, version)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO NOTHING

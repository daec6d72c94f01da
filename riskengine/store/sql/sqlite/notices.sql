-- Queries on what the engine noticed about trades.

-- name: notices_newest
SELECT id, kind, ts, reason, detail, source, trade_id, leg, version FROM notices ORDER BY ts DESC, id DESC LIMIT ?

-- name: notice_save
INSERT INTO notices (id, kind, ts, reason, detail, source, trade_id, leg, version)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING

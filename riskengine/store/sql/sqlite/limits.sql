-- Queries on limits, margin rules and breaches.

-- name: risk_rules
SELECT kind, rule_id, version, terms, author, entered_ts FROM risk_rules ORDER BY kind, rule_id, version

-- name: risk_rule_insert
INSERT INTO risk_rules (kind, rule_id, version, terms, author, entered_ts) VALUES (?, ?, ?, ?, ?, ?)

-- name: breaches
SELECT breach_id, limit_id, version, node, dealer, severity, bound, first_seen_ts, last_seen_ts, worst, worst_ts, ended_ts,
       acknowledged_by, acknowledged_ts, reason
FROM limit_breaches WHERE ended_ts IS NULL OR breach_id IN (
    SELECT breach_id FROM limit_breaches WHERE ended_ts IS NOT NULL ORDER BY first_seen_ts DESC, breach_id LIMIT ?)
ORDER BY first_seen_ts DESC, breach_id

-- name: breach_of_id
SELECT breach_id, limit_id, version, node, dealer, severity, bound, first_seen_ts, last_seen_ts, worst, worst_ts, ended_ts,
       acknowledged_by, acknowledged_ts, reason
FROM limit_breaches WHERE breach_id = ?

-- name: breach_save
INSERT INTO limit_breaches (breach_id, limit_id, version, node, dealer, severity, bound, first_seen_ts, last_seen_ts, worst, worst_ts,
                            ended_ts)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (breach_id) DO UPDATE SET last_seen_ts = excluded.last_seen_ts, worst = excluded.worst, worst_ts = excluded.worst_ts,
    ended_ts = excluded.ended_ts

-- name: breach_acknowledge
UPDATE limit_breaches SET acknowledged_by = ?, acknowledged_ts = ?, reason = ? WHERE breach_id = ?

-- name: limit_highs
SELECT node, dealer, day, high, ts FROM limit_highs ORDER BY node, dealer

-- name: limit_high_save
INSERT INTO limit_highs (node, dealer, day, high, ts) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (node, dealer) DO UPDATE SET day = excluded.day, high = excluded.high, ts = excluded.ts

-- Limits and margin rules as dated data, a row for each version: the highest version of an id counts. `terms` is a JSON object with the
-- fields of the record. Other programs may write rows.
CREATE TABLE risk_rules (
    kind        TEXT    NOT NULL CHECK (kind IN ('limit', 'margin')),
    rule_id     TEXT    NOT NULL CHECK (typeof(rule_id) = 'text' AND length(rule_id) BETWEEN 1 AND 128),
    version     INTEGER NOT NULL DEFAULT 1 CHECK (typeof(version) = 'integer' AND version >= 1),
    terms       TEXT    NOT NULL CHECK (json_valid(terms)),
    author      TEXT    NOT NULL DEFAULT '',
    entered_ts  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER))
                CHECK (typeof(entered_ts) = 'integer'),
    PRIMARY KEY (kind, rule_id, version)
) WITHOUT ROWID;

-- Breaches of limits, open (`ended_ts` NULL) and past. Amounts in the unit of the limit; `bound` is what the limit was when it began.
CREATE TABLE limit_breaches (
    breach_id        TEXT    PRIMARY KEY NOT NULL,
    limit_id         TEXT    NOT NULL,
    version          INTEGER NOT NULL,
    node             TEXT    NOT NULL DEFAULT '',
    dealer           TEXT    NOT NULL DEFAULT '',
    severity         TEXT    NOT NULL,
    bound            REAL    NOT NULL,
    first_seen_ts    INTEGER NOT NULL CHECK (typeof(first_seen_ts) = 'integer'),
    last_seen_ts     INTEGER NOT NULL CHECK (typeof(last_seen_ts) = 'integer'),
    worst            REAL    NOT NULL,
    worst_ts         INTEGER NOT NULL CHECK (typeof(worst_ts) = 'integer'),
    ended_ts         INTEGER CHECK (typeof(ended_ts) IN ('integer', 'null')),
    acknowledged_by  TEXT    NOT NULL DEFAULT '',
    acknowledged_ts  INTEGER CHECK (typeof(acknowledged_ts) IN ('integer', 'null')),
    reason           TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX limit_breaches_by_time ON limit_breaches (first_seen_ts);
CREATE INDEX limit_breaches_open ON limit_breaches (breach_id) WHERE ended_ts IS NULL;

-- The highest P&L of the day of each node or dealer whose loss from it is limited: a start goes on from there.
CREATE TABLE limit_highs (
    node    TEXT    NOT NULL DEFAULT '',
    dealer  TEXT    NOT NULL DEFAULT '',
    day     TEXT    NOT NULL,
    high    REAL    NOT NULL,
    ts      INTEGER NOT NULL CHECK (typeof(ts) = 'integer'),
    PRIMARY KEY (node, dealer)
) WITHOUT ROWID;

INSERT INTO changes (kind, count) VALUES ('risk_rules', 0);
CREATE TRIGGER risk_rules_deleted AFTER DELETE ON risk_rules BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'risk_rules';
END;
CREATE TRIGGER risk_rules_inserted AFTER INSERT ON risk_rules BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'risk_rules';
END;
CREATE TRIGGER risk_rules_updated AFTER UPDATE ON risk_rules BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'risk_rules';
END;

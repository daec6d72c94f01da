-- Corporate actions: every version of each, as it was sent. The highest version counts; one of kind `cancel` takes the action back.
-- `ratio` is new:old, `amount` and `cost_share` are exact texts, empty where the kind has none. Other programs may write rows.
CREATE TABLE actions (
    action_id    TEXT    NOT NULL CHECK (length(action_id) BETWEEN 1 AND 128),
    version      INTEGER NOT NULL DEFAULT 1 CHECK (typeof(version) = 'integer' AND version >= 1),
    instrument   TEXT    NOT NULL DEFAULT '',
    kind         TEXT    NOT NULL,
    ex_date      TEXT    NOT NULL DEFAULT '',
    ratio        TEXT    NOT NULL DEFAULT '',
    amount       TEXT    NOT NULL DEFAULT '',
    currency     TEXT    NOT NULL DEFAULT '',
    "into"       TEXT    NOT NULL DEFAULT '',
    cost_share   TEXT    NOT NULL DEFAULT '',
    received_ts  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)),
    PRIMARY KEY (action_id, version)
) WITHOUT ROWID;

INSERT INTO changes (kind, count) VALUES ('actions', 0);
CREATE TRIGGER actions_deleted AFTER DELETE ON actions BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'actions';
END;
CREATE TRIGGER actions_inserted AFTER INSERT ON actions BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'actions';
END;
CREATE TRIGGER actions_updated AFTER UPDATE ON actions BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'actions';
END;

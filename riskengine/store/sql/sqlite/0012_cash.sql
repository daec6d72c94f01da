-- Cash that is no trade: external movements of nodes and carry of positions, a row for each version. The highest version of an id
-- counts; amount 0 says that there is nothing. Other programs may write both. `changed` tells the engine which rows are new or
-- were edited since it looked: the count of changes of the table at that moment. A deleted row counts as `cash_gone`, `carry_gone`.
CREATE TABLE cash (
    row_seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    cash_id      TEXT    NOT NULL CHECK (typeof(cash_id) = 'text' AND length(cash_id) BETWEEN 1 AND 128),
    version      INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 1 CHECK (typeof(version) = 'integer' AND version >= 1),
    node         TEXT    NOT NULL,
    currency     TEXT    NOT NULL,
    ts           INTEGER NOT NULL CHECK (typeof(ts) = 'integer'),
    amount       TEXT    NOT NULL,
    comment      TEXT    NOT NULL ON CONFLICT REPLACE DEFAULT '',
    received_ts  INTEGER NOT NULL ON CONFLICT REPLACE
                 DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)) CHECK (typeof(received_ts) = 'integer'),
    changed      INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 0,
    UNIQUE (cash_id, version)
);
CREATE INDEX cash_changed ON cash (changed);
CREATE TABLE carry (
    row_seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    carry_id     TEXT    NOT NULL CHECK (typeof(carry_id) = 'text' AND length(carry_id) BETWEEN 1 AND 128),
    version      INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 1 CHECK (typeof(version) = 'integer' AND version >= 1),
    desk         TEXT    NOT NULL,
    dealer       TEXT    NOT NULL ON CONFLICT REPLACE DEFAULT '',
    instrument   TEXT    NOT NULL,
    currency     TEXT    NOT NULL ON CONFLICT REPLACE DEFAULT '',
    ts           INTEGER NOT NULL CHECK (typeof(ts) = 'integer'),
    amount       TEXT    NOT NULL,
    type         TEXT    NOT NULL,
    received_ts  INTEGER NOT NULL ON CONFLICT REPLACE
                 DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)) CHECK (typeof(received_ts) = 'integer'),
    changed      INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 0,
    UNIQUE (carry_id, version)
);
CREATE INDEX carry_changed ON carry (changed);

INSERT INTO changes (kind, count) VALUES ('cash', 0), ('cash_gone', 0), ('carry', 0), ('carry_gone', 0);
CREATE TRIGGER cash_inserted AFTER INSERT ON cash BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'cash';
    UPDATE cash SET changed = (SELECT count FROM changes WHERE kind = 'cash') WHERE row_seq = NEW.row_seq;
END;
CREATE TRIGGER cash_updated AFTER UPDATE OF cash_id, version, node, currency, ts, amount, comment, received_ts ON cash BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'cash';
    UPDATE cash SET changed = (SELECT count FROM changes WHERE kind = 'cash') WHERE row_seq = NEW.row_seq;
END;
CREATE TRIGGER cash_renamed AFTER UPDATE OF cash_id, version ON cash WHEN NEW.cash_id <> OLD.cash_id OR NEW.version <> OLD.version BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'cash_gone';
END;
CREATE TRIGGER cash_deleted AFTER DELETE ON cash BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'cash_gone';
END;
CREATE TRIGGER carry_inserted AFTER INSERT ON carry BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'carry';
    UPDATE carry SET changed = (SELECT count FROM changes WHERE kind = 'carry') WHERE row_seq = NEW.row_seq;
END;
CREATE TRIGGER carry_updated AFTER UPDATE OF carry_id, version, desk, dealer, instrument, currency, ts, amount, type, received_ts
ON carry BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'carry';
    UPDATE carry SET changed = (SELECT count FROM changes WHERE kind = 'carry') WHERE row_seq = NEW.row_seq;
END;
CREATE TRIGGER carry_renamed AFTER UPDATE OF carry_id, version ON carry
WHEN NEW.carry_id <> OLD.carry_id OR NEW.version <> OLD.version BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'carry_gone';
END;
CREATE TRIGGER carry_deleted AFTER DELETE ON carry BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'carry_gone';
END;

-- Breaks that are remembered, a trail that cannot be changed unseen, feeds whose place is kept in the transaction of their trades.
-- The first version had breaks, audit and verdicts, but nothing wrote them.

DROP TABLE breaks;
DROP TABLE audit;
DROP TABLE verdicts;

-- Differences that reconciliation found, remembered until they are resolved. `here` is the engine, `there` the other side, each a
-- JSON object of what it says (or NULL); `trades` a JSON list of the trades in question.
CREATE TABLE breaks (
    break_id       INTEGER PRIMARY KEY AUTOINCREMENT,
    kind           TEXT    NOT NULL CHECK (kind IN ('missing_here', 'missing_there', 'quantity', 'cash', 'identity',
                                                    'hierarchy')),
    against        TEXT    NOT NULL DEFAULT 'store',
    rollup         TEXT    NOT NULL CHECK (rollup IN ('node', 'dealer')),
    owner          TEXT    NOT NULL,
    instrument     TEXT    NOT NULL DEFAULT '',
    here           TEXT,
    there          TEXT,
    trades         TEXT    NOT NULL DEFAULT '[]',
    epoch          INTEGER NOT NULL DEFAULT 0,
    watermark      INTEGER NOT NULL DEFAULT 0,
    first_seen_ts  INTEGER NOT NULL,
    last_seen_ts   INTEGER NOT NULL,
    times_seen     INTEGER NOT NULL DEFAULT 1,
    status         TEXT    NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'repaired', 'accepted', 'gone')),
    comment        TEXT    NOT NULL DEFAULT '',
    resolved_by    TEXT    NOT NULL DEFAULT '',
    resolved_ts    INTEGER
);
CREATE UNIQUE INDEX breaks_open ON breaks (against, rollup, owner, instrument) WHERE status = 'open';

-- What was done, by whom; each entry's hash covers all its columns and the hash before it. An entry about trades says which rows
-- it is about and what they held when it was written. `meta` keeps the newest entry's number and hash, in the same transaction.
CREATE TABLE audit (
    audit_seq        INTEGER PRIMARY KEY,
    ts               INTEGER NOT NULL,
    actor            TEXT    NOT NULL,
    kind             TEXT    NOT NULL,
    subject          TEXT    NOT NULL DEFAULT '',
    first_store_seq  INTEGER,
    last_store_seq   INTEGER,
    row_count        INTEGER NOT NULL DEFAULT 0,
    previous_hash    TEXT    NOT NULL,
    hash             TEXT    NOT NULL,
    detail           TEXT    NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_by_trades ON audit (first_store_seq, last_store_seq) WHERE first_store_seq IS NOT NULL;
CREATE INDEX audit_by_kind ON audit (kind, audit_seq) WHERE kind <> 'trades';
CREATE INDEX audit_by_subject ON audit (subject, audit_seq) WHERE subject <> '';

-- What a person decided about an exception, the newest word on each.
CREATE TABLE verdicts (
    id       TEXT PRIMARY KEY NOT NULL,
    verdict  TEXT    NOT NULL CHECK (verdict IN ('', 'accept', 'reject')),
    comment  TEXT    NOT NULL DEFAULT '',
    actor    TEXT    NOT NULL DEFAULT '',
    ts       INTEGER NOT NULL
) WITHOUT ROWID;

-- How far each source of trades has come: the highest number of its own, stored with the trade that carried it.
CREATE TABLE feeds (
    source  TEXT PRIMARY KEY NOT NULL,
    cursor  INTEGER NOT NULL,
    ts      INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO feeds (source, cursor, ts)
SELECT source, max(source_seq), max(received_ts) FROM trades WHERE source_seq > 0 GROUP BY source;

-- Which store this is, wherever it is copied to; how often its reference data has changed; the newest entry of the audit trail.
INSERT INTO meta (key, value) VALUES ('store_id', lower(hex(randomblob(16)))), ('reference_revision', '0'),
    ('audit_head', '0');
INSERT INTO meta (key, value) SELECT 'audit_from_epoch', coalesce((SELECT value FROM meta WHERE key = 'writer_epoch'), '0');
CREATE TRIGGER nodes_inserted AFTER INSERT ON nodes BEGIN
    UPDATE meta SET value = value + 1 WHERE key = 'reference_revision';
END;
CREATE TRIGGER nodes_updated AFTER UPDATE ON nodes BEGIN
    UPDATE meta SET value = value + 1 WHERE key = 'reference_revision';
END;
CREATE TRIGGER nodes_deleted AFTER DELETE ON nodes BEGIN
    UPDATE meta SET value = value + 1 WHERE key = 'reference_revision';
END;
CREATE TRIGGER instruments_inserted AFTER INSERT ON instruments BEGIN
    UPDATE meta SET value = value + 1 WHERE key = 'reference_revision';
END;
CREATE TRIGGER instruments_updated AFTER UPDATE ON instruments BEGIN
    UPDATE meta SET value = value + 1 WHERE key = 'reference_revision';
END;
CREATE TRIGGER instruments_deleted AFTER DELETE ON instruments BEGIN
    UPDATE meta SET value = value + 1 WHERE key = 'reference_revision';
END;
CREATE TRIGGER openings_inserted AFTER INSERT ON openings BEGIN
    UPDATE meta SET value = value + 1 WHERE key = 'reference_revision';
END;
CREATE TRIGGER openings_updated AFTER UPDATE ON openings BEGIN
    UPDATE meta SET value = value + 1 WHERE key = 'reference_revision';
END;
CREATE TRIGGER openings_deleted AFTER DELETE ON openings BEGIN
    UPDATE meta SET value = value + 1 WHERE key = 'reference_revision';
END;

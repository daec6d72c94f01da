-- From which received_ts on a trade that is dated after the current trading day waits for its day: what this store has received so far
-- counts as it counted before. A new store has 1. The one rule that judges by a time: a trade in memory has no store_seq.
INSERT INTO rules (rule, from_store_seq, ts)
SELECT 'trade_date_waits', (SELECT max(coalesce(max(received_ts), 0), 0) + 1 FROM trades),
       CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER);

-- Marks that people set by hand, and ends of them (`price` NULL), as they came: the newest of an instrument counts. One with an expiry
-- holds against the feeds until then; one without stands in `marks` too.
CREATE TABLE manual_marks (
    mark_id     INTEGER PRIMARY KEY AUTOINCREMENT,
    instrument  TEXT    NOT NULL,
    ts          INTEGER NOT NULL CHECK (typeof(ts) = 'integer'),
    price       REAL    CHECK (typeof(price) IN ('real', 'null')),
    author      TEXT    NOT NULL,
    reason      TEXT    NOT NULL DEFAULT '',
    expires_ts  INTEGER CHECK (typeof(expires_ts) IN ('integer', 'null')),
    entered_ts  INTEGER NOT NULL CHECK (typeof(entered_ts) = 'integer')
);
CREATE INDEX manual_marks_by_instrument ON manual_marks (instrument, mark_id);

-- Breaks of fees and order: rows whose fees, times, dates or other columns were changed in place. `average` and `unknown_name` are
-- breaks with an outside statement. SQLite cannot change a constraint: the table is made anew, its numbers go on.
CREATE TABLE breaks_with_kinds (
    break_id       INTEGER PRIMARY KEY AUTOINCREMENT,
    kind           TEXT    NOT NULL CHECK (kind IN ('missing_here', 'missing_there', 'quantity', 'cash', 'identity',
                                                    'fees', 'order', 'average', 'unknown_name', 'hierarchy')),
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
INSERT INTO breaks_with_kinds SELECT break_id, kind, against, rollup, owner, instrument, here, there, trades, epoch, watermark,
    first_seen_ts, last_seen_ts, times_seen, status, comment, resolved_by, resolved_ts FROM breaks;
DROP TABLE breaks;
ALTER TABLE breaks_with_kinds RENAME TO breaks;
CREATE UNIQUE INDEX breaks_open ON breaks (against, rollup, owner, instrument) WHERE status = 'open';

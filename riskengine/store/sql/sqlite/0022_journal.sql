-- What every screen said, once a second: which snapshot, which trades it held, and the marks that had changed. Kept for some days;
-- nothing else hangs on it. `content` is a zlib stream of msgpack (riskengine/snapshot/mark_journal.py); a row whose `whole_seq` is
-- its `seq` says everything, each other one what differs from the row of its epoch before it.
CREATE TABLE journal (
    epoch      INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    ts         INTEGER NOT NULL,
    whole_seq  INTEGER NOT NULL,
    watermark  INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    content    BLOB    NOT NULL,
    PRIMARY KEY (epoch, seq)
);
CREATE INDEX journal_by_time ON journal (ts);

-- What every screen said, once a second: which snapshot, which trades it held, and the marks that had changed. Kept for some days;
-- nothing else hangs on it. `content` is a zlib stream of msgpack (riskengine/snapshot/mark_journal.py); a row whose `whole_seq` is
-- its `seq` says everything, each other one what differs from the row of its epoch before it.
CREATE TABLE journal (
    epoch      bigint  NOT NULL,
    seq        bigint  NOT NULL,
    ts         bigint  NOT NULL,
    whole_seq  bigint  NOT NULL,
    watermark  bigint  NOT NULL,
    revision   bigint  NOT NULL,
    content    bytea   NOT NULL,
    PRIMARY KEY (epoch, seq)
);
CREATE INDEX journal_by_time ON journal (ts);
-- It is compressed already.
ALTER TABLE journal ALTER COLUMN content SET STORAGE EXTERNAL;

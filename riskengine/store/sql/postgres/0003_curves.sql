-- What nodes came to, once a minute, so that a curve over the day survives a restart. Kept for a few days; nothing else hangs on it.
-- `content` is a zlib stream: a line of JSON (`measures`, `nodes`), then doubles, little-endian, all nodes of a measure together;
-- not-a-number is unknown.
CREATE TABLE curve_samples (
    ts       bigint  PRIMARY KEY,
    epoch    bigint  NOT NULL,
    seq      bigint  NOT NULL,
    content  bytea   NOT NULL
);
-- It is compressed already.
ALTER TABLE curve_samples ALTER COLUMN content SET STORAGE EXTERNAL;

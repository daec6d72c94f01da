-- What nodes came to, once a minute, so that a curve over the day survives a restart. Kept for a few days; nothing else hangs on it.
-- `content` is a zlib stream: a line of JSON (`measures`, `nodes`), then doubles, little-endian, all nodes of a measure together;
-- not-a-number is unknown.
CREATE TABLE curve_samples (
    ts       INTEGER PRIMARY KEY,
    epoch    INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    content  BLOB    NOT NULL
);

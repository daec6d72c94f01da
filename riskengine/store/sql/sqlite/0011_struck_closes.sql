-- The closes of trading days as the roll strikes them, and what the roll needs of prices until then.
-- A struck close is never rewritten: a later version stands beside it. Its positions are in chunks that are named by what they hold
-- (`hash` is the SHA-256 of `content`), so that a version with the same positions takes no room for them. `content` everywhere is a
-- zlib stream of MessagePack; owners are the leaf nodes or the dealers of the chunk, from `first_owner` to `last_owner`.
CREATE TABLE struck_closes (
    date                TEXT NOT NULL CHECK (date GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    version             INTEGER NOT NULL CHECK (version >= 1),
    ts                  INTEGER NOT NULL,
    struck_ts           INTEGER NOT NULL,
    reporting_currency  TEXT NOT NULL,
    positions           INTEGER NOT NULL,
    content             BLOB NOT NULL,
    PRIMARY KEY (date, version)
);

CREATE TABLE close_chunks (
    hash     TEXT PRIMARY KEY NOT NULL,
    content  BLOB NOT NULL
);

CREATE TABLE closed_positions (
    date         TEXT NOT NULL,
    version      INTEGER NOT NULL,
    rollup       TEXT NOT NULL CHECK (rollup IN ('node', 'dealer')),
    chunk        INTEGER NOT NULL,
    first_owner  TEXT NOT NULL,
    last_owner   TEXT NOT NULL,
    positions    INTEGER NOT NULL,
    hash         TEXT NOT NULL REFERENCES close_chunks (hash),
    PRIMARY KEY (date, version, rollup, chunk)
) WITHOUT ROWID;

CREATE TABLE close_totals (
    rollup       TEXT NOT NULL CHECK (rollup IN ('node', 'dealer')),
    date         TEXT NOT NULL,
    version      INTEGER NOT NULL,
    first_owner  TEXT NOT NULL,
    last_owner   TEXT NOT NULL,
    content      BLOB NOT NULL,
    PRIMARY KEY (rollup, date, version, first_owner, last_owner)
);

-- The mark of a close while it may still change: the newest mark of an instrument before its cutoff of that trading day. Stored before
-- any mark from the cutoff on, and gone once the close is struck.
CREATE TABLE closing_marks (
    date        TEXT NOT NULL,
    instrument  TEXT NOT NULL,
    ts          INTEGER NOT NULL CHECK (typeof(ts) = 'integer'),
    price       REAL    NOT NULL CHECK (typeof(price) = 'real'),
    source      TEXT    NOT NULL DEFAULT '',
    kind        TEXT    NOT NULL DEFAULT 'quote',
    PRIMARY KEY (date, instrument)
) WITHOUT ROWID;

-- A close that is loaded again with another price: one row as ever, with the price that counts. Which prices came before is in the trail.
ALTER TABLE closes ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

-- Dates whose official closes somebody wrote since the engine last compared them with what it had struck.
CREATE TABLE closes_changed (
    date   TEXT PRIMARY KEY NOT NULL,
    count  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER closes_inserted_on AFTER INSERT ON closes BEGIN
    INSERT INTO closes_changed (date, count) VALUES (NEW.date, 1) ON CONFLICT (date) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER closes_updated_on AFTER UPDATE ON closes BEGIN
    INSERT INTO closes_changed (date, count) VALUES (NEW.date, 1) ON CONFLICT (date) DO UPDATE SET count = count + 1;
END;

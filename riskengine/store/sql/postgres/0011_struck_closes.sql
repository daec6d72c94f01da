-- The closes of trading days as the roll strikes them, and what the roll needs of prices until then.
-- A struck close is never rewritten: a later version stands beside it. Its positions are in chunks that are named by what they hold
-- (`hash` is the SHA-256 of `content`), so that a version with the same positions takes no room for them. `content` everywhere is a
-- zlib stream of MessagePack; owners are the leaf nodes or the dealers of the chunk, from `first_owner` to `last_owner`.
CREATE TABLE struck_closes (
    date                text    COLLATE "C" NOT NULL CHECK (date ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'),
    version             bigint  NOT NULL CHECK (version >= 1),
    ts                  bigint  NOT NULL,
    struck_ts           bigint  NOT NULL,
    reporting_currency  text    COLLATE "C" NOT NULL,
    positions           bigint  NOT NULL,
    content             bytea   NOT NULL,
    PRIMARY KEY (date, version)
);

CREATE TABLE close_chunks (
    hash     text   COLLATE "C" PRIMARY KEY,
    content  bytea  NOT NULL
);

CREATE TABLE closed_positions (
    date         text    COLLATE "C" NOT NULL,
    version      bigint  NOT NULL,
    rollup       text    COLLATE "C" NOT NULL CHECK (rollup IN ('node', 'dealer')),
    chunk        bigint  NOT NULL,
    first_owner  text    COLLATE "C" NOT NULL,
    last_owner   text    COLLATE "C" NOT NULL,
    positions    bigint  NOT NULL,
    hash         text    COLLATE "C" NOT NULL REFERENCES close_chunks (hash),
    PRIMARY KEY (date, version, rollup, chunk)
);

CREATE TABLE close_totals (
    rollup       text    COLLATE "C" NOT NULL CHECK (rollup IN ('node', 'dealer')),
    date         text    COLLATE "C" NOT NULL,
    version      bigint  NOT NULL,
    first_owner  text    COLLATE "C" NOT NULL,
    last_owner   text    COLLATE "C" NOT NULL,
    content      bytea   NOT NULL,
    PRIMARY KEY (rollup, date, version, first_owner, last_owner)
);
-- They are compressed already.
ALTER TABLE struck_closes ALTER COLUMN content SET STORAGE EXTERNAL;
ALTER TABLE close_chunks ALTER COLUMN content SET STORAGE EXTERNAL;
ALTER TABLE close_totals ALTER COLUMN content SET STORAGE EXTERNAL;

-- The mark of a close while it may still change: the newest mark of an instrument before its cutoff of that trading day. Stored before
-- any mark from the cutoff on, and gone once the close is struck.
CREATE TABLE closing_marks (
    date        text    COLLATE "C" NOT NULL,
    instrument  text    COLLATE "C" NOT NULL,
    ts          bigint  NOT NULL,
    price       double precision NOT NULL CHECK (price > '-Infinity' AND price < 'Infinity'),
    source      text    COLLATE "C" NOT NULL DEFAULT '',
    kind        text    COLLATE "C" NOT NULL DEFAULT 'quote',
    PRIMARY KEY (date, instrument)
);

-- A close that is loaded again with another price: one row as ever, with the price that counts. Which prices came before is in the trail.
ALTER TABLE closes ADD COLUMN version bigint NOT NULL DEFAULT 1;

-- Dates whose official closes somebody wrote since the engine last compared them with what it had struck: by transaction, so that
-- nobody waits for another's commit.
CREATE TABLE closes_changed (
    xid   xid8 NOT NULL DEFAULT pg_current_xact_id(),
    date  text COLLATE "C" NOT NULL,
    PRIMARY KEY (xid, date)
);
-- By the owner's rights, as `note_change`.
CREATE FUNCTION note_close_date() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('INSERT INTO %I.closes_changed (date) VALUES ($1) ON CONFLICT DO NOTHING', TG_TABLE_SCHEMA) USING NEW.date;
    RETURN NULL;
END $$;
CREATE TRIGGER closes_changed_on AFTER INSERT OR UPDATE ON closes FOR EACH ROW EXECUTE FUNCTION note_close_date();

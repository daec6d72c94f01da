-- The store, first version. Times are microseconds since the Unix epoch, UTC. Exact decimals are text.
--
-- Other programs may read every table and write `trades`. What they leave out or set to NULL takes its default (that is
-- what ON CONFLICT REPLACE does on a NOT NULL column). The constraints hold the shape of a row; whether its instrument and
-- desk exist and its numbers fit them is judged by the engine, which sets aside what does not fit instead of losing it.

CREATE TABLE schema_version (
    version     INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL,
    applied_ts  INTEGER NOT NULL
);

CREATE TABLE meta (
    key    TEXT PRIMARY KEY NOT NULL,
    value  TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE nodes (
    node    TEXT PRIMARY KEY NOT NULL CHECK (length(node) BETWEEN 1 AND 128),
    level   TEXT NOT NULL DEFAULT '',
    parent  TEXT NOT NULL DEFAULT '' CHECK (parent <> node)
) WITHOUT ROWID;

CREATE TABLE instruments (
    instrument         TEXT PRIMARY KEY NOT NULL CHECK (length(instrument) BETWEEN 1 AND 128),
    kind               TEXT NOT NULL CHECK (kind IN ('fx', 'fx_forward', 'equity', 'crypto', 'metal', 'future',
                                                     'fx_option', 'equity_option')),
    base_currency      TEXT NOT NULL DEFAULT '',
    quote_currency     TEXT NOT NULL CHECK (quote_currency <> ''),
    price_decimals     INTEGER NOT NULL DEFAULT 5 CHECK (typeof(price_decimals) = 'integer' AND price_decimals BETWEEN 0 AND 12),
    quantity_decimals  INTEGER NOT NULL DEFAULT 2
                       CHECK (typeof(quantity_decimals) = 'integer' AND quantity_decimals BETWEEN 0 AND 10),
    multiplier         TEXT NOT NULL DEFAULT '1',
    sector             TEXT NOT NULL DEFAULT '',
    underlying         TEXT NOT NULL DEFAULT '',
    option_type        TEXT NOT NULL DEFAULT '' CHECK (option_type IN ('', 'call', 'put')),
    strike             TEXT NOT NULL DEFAULT '',
    expiry             TEXT NOT NULL DEFAULT '',
    delta_type         TEXT NOT NULL DEFAULT '',
    calendar           TEXT NOT NULL DEFAULT '',
    premium_currency   TEXT NOT NULL DEFAULT '',
    premium_style      TEXT NOT NULL DEFAULT '',
    cut                TEXT NOT NULL DEFAULT '',
    settlement         TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- One row per version of a trade, never rewritten by the engine. A cancel needs only identity and version: its ts,
-- quantity and price may be NULL.
CREATE TABLE trades (
    store_seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    source         TEXT    NOT NULL ON CONFLICT REPLACE DEFAULT 'file',
    trade_id       TEXT    NOT NULL,
    leg            INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 0,
    version        INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 1,
    action         TEXT    NOT NULL ON CONFLICT REPLACE DEFAULT 'new',
    ts             INTEGER,
    source_seq     INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 0,
    instrument     TEXT    NOT NULL ON CONFLICT REPLACE DEFAULT '',
    desk           TEXT    NOT NULL ON CONFLICT REPLACE DEFAULT '',
    dealer         TEXT    NOT NULL ON CONFLICT REPLACE DEFAULT '',
    side           TEXT    NOT NULL ON CONFLICT REPLACE DEFAULT '',
    quantity       TEXT,
    price          TEXT,
    fees           TEXT    NOT NULL ON CONFLICT REPLACE DEFAULT '0',
    fees_currency  TEXT    NOT NULL ON CONFLICT REPLACE DEFAULT '',
    value_date     TEXT    NOT NULL ON CONFLICT REPLACE DEFAULT '',
    trade_date     TEXT    NOT NULL ON CONFLICT REPLACE DEFAULT '',
    booked_ts      INTEGER,
    contra_amount  TEXT,
    legs           INTEGER,
    received_ts    INTEGER NOT NULL ON CONFLICT REPLACE
                   DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)),
    UNIQUE (source, trade_id, leg, version),
    CONSTRAINT identity_is_sound CHECK (
        typeof(source) = 'text' AND length(source) BETWEEN 1 AND 128
        AND typeof(trade_id) = 'text' AND length(trade_id) BETWEEN 1 AND 128
        AND typeof(leg) = 'integer' AND leg >= 0 AND typeof(version) = 'integer' AND version >= 1),
    CONSTRAINT action_is_known CHECK (action IN ('new', 'amend', 'cancel')),
    CONSTRAINT side_is_known CHECK (side IN ('buy', 'sell') OR (side = '' AND action = 'cancel')),
    CONSTRAINT required_columns_are_there CHECK (
        action = 'cancel'
        OR (ts IS NOT NULL AND quantity IS NOT NULL AND price IS NOT NULL AND instrument <> '' AND desk <> '')),
    CONSTRAINT whole_numbers_are_whole CHECK (
        typeof(ts) IN ('integer', 'null') AND typeof(source_seq) = 'integer' AND typeof(booked_ts) IN ('integer', 'null')
        AND typeof(legs) IN ('integer', 'null') AND typeof(received_ts) = 'integer')
);
-- One index serves every search: by time, and within it by desk, instrument or dealer, read without touching the rows. New
-- trades arrive in about the order of time, so it grows at its end; an index that starts with the desk, the instrument or the
-- dealer dirties a page of its own for nearly every trade, and the three together held the store to a third of its speed.
CREATE INDEX trades_by_time ON trades (ts, desk, instrument, dealer) WHERE action <> 'cancel';
-- Few trades have a second version or a cancel: these two stay small and make "is there a later version" cheap.
CREATE INDEX trades_later ON trades (source, trade_id, leg, version) WHERE version > 1;
CREATE INDEX trades_cancels ON trades (store_seq) WHERE action = 'cancel';

-- What arrived under an identity and version that was already stored, and said something else. The stored one stands.
CREATE TABLE conflicts (
    conflict_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    source         TEXT    NOT NULL,
    trade_id       TEXT    NOT NULL,
    leg            INTEGER NOT NULL,
    version        INTEGER NOT NULL,
    action         TEXT    NOT NULL,
    ts             INTEGER,
    source_seq     INTEGER NOT NULL,
    instrument     TEXT    NOT NULL,
    desk           TEXT    NOT NULL,
    dealer         TEXT    NOT NULL,
    side           TEXT    NOT NULL,
    quantity       TEXT,
    price          TEXT,
    fees           TEXT    NOT NULL,
    fees_currency  TEXT    NOT NULL,
    value_date     TEXT    NOT NULL,
    trade_date     TEXT    NOT NULL,
    booked_ts      INTEGER,
    contra_amount  TEXT,
    legs           INTEGER,
    received_ts    INTEGER NOT NULL
);
CREATE INDEX conflicts_by_identity ON conflicts (source, trade_id, leg, version);

-- Opening balances; numbers are exact text, quantity signed.
CREATE TABLE openings (
    desk           TEXT    NOT NULL CHECK (desk <> ''),
    dealer         TEXT    NOT NULL DEFAULT '',
    instrument     TEXT    NOT NULL REFERENCES instruments (instrument),
    ts             INTEGER NOT NULL CHECK (typeof(ts) = 'integer'),
    quantity       TEXT    NOT NULL,
    average_price  TEXT    NOT NULL,
    realised       TEXT    NOT NULL,
    fees           TEXT    NOT NULL,
    PRIMARY KEY (desk, dealer, instrument)
) WITHOUT ROWID;

-- The price that each instrument was last valued with.
CREATE TABLE marks (
    instrument  TEXT PRIMARY KEY NOT NULL REFERENCES instruments (instrument),
    ts          INTEGER NOT NULL CHECK (typeof(ts) = 'integer'),
    price       REAL    NOT NULL CHECK (typeof(price) = 'real'),
    source      TEXT    NOT NULL DEFAULT '',
    kind        TEXT    NOT NULL DEFAULT 'quote' CHECK (kind IN ('quote', 'one_sided'))
) WITHOUT ROWID;

-- Official closing prices, written once.
CREATE TABLE closes (
    date        TEXT NOT NULL CHECK (date GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    instrument  TEXT NOT NULL REFERENCES instruments (instrument),
    price       REAL NOT NULL CHECK (typeof(price) = 'real'),
    PRIMARY KEY (instrument, date)
) WITHOUT ROWID;
CREATE INDEX closes_by_date ON closes (date);

-- Differences that reconciliation found, remembered until they are resolved. `here` is the engine, `there` the other side.
CREATE TABLE breaks (
    break_id       INTEGER PRIMARY KEY AUTOINCREMENT,
    kind           TEXT    NOT NULL CHECK (kind IN ('missing_here', 'missing_there', 'quantity', 'cash', 'identity',
                                                    'hierarchy')),
    against        TEXT    NOT NULL DEFAULT 'store',
    desk           TEXT    NOT NULL DEFAULT '',
    dealer         TEXT    NOT NULL DEFAULT '',
    instrument     TEXT    NOT NULL DEFAULT '',
    here           TEXT,
    there          TEXT,
    watermark      INTEGER NOT NULL DEFAULT 0,
    first_seen_ts  INTEGER NOT NULL,
    last_seen_ts   INTEGER NOT NULL CHECK (last_seen_ts >= first_seen_ts),
    status         TEXT    NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'repaired', 'accepted', 'gone')),
    comment        TEXT    NOT NULL DEFAULT '',
    resolved_by    TEXT    NOT NULL DEFAULT '',
    resolved_ts    INTEGER
);
CREATE INDEX breaks_open ON breaks (desk, dealer, instrument) WHERE status = 'open';

-- What was done, by whom; each row's hash covers the hash before it.
CREATE TABLE audit (
    audit_seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    ts             INTEGER NOT NULL,
    actor          TEXT    NOT NULL,
    kind           TEXT    NOT NULL,
    subject        TEXT    NOT NULL DEFAULT '',
    detail         TEXT    NOT NULL DEFAULT '{}',
    previous_hash  TEXT    NOT NULL,
    hash           TEXT    NOT NULL UNIQUE
);
CREATE INDEX audit_by_subject ON audit (subject);

-- What a person decided about an exception.
CREATE TABLE verdicts (
    id       TEXT PRIMARY KEY NOT NULL,
    verdict  TEXT    NOT NULL CHECK (verdict IN ('', 'accept', 'reject')),
    comment  TEXT    NOT NULL DEFAULT '',
    ts       INTEGER NOT NULL
) WITHOUT ROWID;

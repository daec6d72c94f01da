-- What the engine noticed about a trade that counts, at the moment it came: late, far from the mark of its time, like one of another
-- source. A start has no such mark and lists what is here. `detail` is a JSON object. Rows refer to a version of a trade.
CREATE TABLE notices (
    id        TEXT PRIMARY KEY NOT NULL,
    kind      TEXT NOT NULL CHECK (kind IN ('late', 'off_market', 'possible_duplicate')),
    ts        INTEGER NOT NULL,
    reason    TEXT NOT NULL,
    detail    TEXT NOT NULL DEFAULT '{}',
    source    TEXT NOT NULL,
    trade_id  TEXT NOT NULL,
    leg       INTEGER NOT NULL,
    version   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX notices_by_time ON notices (kind, ts);

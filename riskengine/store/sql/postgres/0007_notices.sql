-- What the engine noticed about a trade that counts, at the moment it came: late, far from the mark of its time, like one of another
-- source. A start has no such mark and lists what is here. `detail` is a JSON object. Rows refer to a version of a trade.
CREATE TABLE notices (
    id        text    COLLATE "C" PRIMARY KEY NOT NULL,
    kind      text    COLLATE "C" NOT NULL CHECK (kind IN ('late', 'off_market', 'possible_duplicate')),
    ts        bigint NOT NULL,
    reason    text    COLLATE "C" NOT NULL,
    detail    text    COLLATE "C" NOT NULL DEFAULT '{}',
    source    text    COLLATE "C" NOT NULL,
    trade_id  text    COLLATE "C" NOT NULL,
    leg       bigint NOT NULL,
    version   bigint NOT NULL
);
CREATE INDEX notices_by_time ON notices (kind, ts);

-- The state of an engine at its newest close, from which a start goes on: `content` is a zlib stream of MessagePack, `void` says why no
-- start may use it any more. Its chunks hold positions and the fingerprints of trades, which are not in memory from then on.
CREATE TABLE close_states (
    state      INTEGER PRIMARY KEY NOT NULL,
    date       TEXT    NOT NULL,
    watermark  INTEGER NOT NULL,
    made_ts    INTEGER NOT NULL,
    void       TEXT    NOT NULL DEFAULT '',
    content    BLOB    NOT NULL
);

CREATE TABLE close_state_chunks (
    state    INTEGER NOT NULL,
    part     TEXT    NOT NULL CHECK (part IN ('node', 'dealer', 'ids')),
    chunk    INTEGER NOT NULL,
    content  BLOB    NOT NULL,
    PRIMARY KEY (state, part, chunk)
);

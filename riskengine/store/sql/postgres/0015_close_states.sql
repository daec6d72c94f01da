-- The state of an engine at its newest close, from which a start goes on: `content` is a zlib stream of MessagePack, `void` says why no
-- start may use it any more. Its chunks hold positions and the fingerprints of trades, which are not in memory from then on.
CREATE TABLE close_states (
    state      bigint PRIMARY KEY,
    date       text   COLLATE "C" NOT NULL,
    watermark  bigint NOT NULL,
    made_ts    bigint NOT NULL,
    void       text   NOT NULL DEFAULT '',
    content    bytea  NOT NULL
);

CREATE TABLE close_state_chunks (
    state    bigint NOT NULL,
    part     text   COLLATE "C" NOT NULL CHECK (part IN ('node', 'dealer', 'ids')),
    chunk    bigint NOT NULL,
    content  bytea  NOT NULL,
    PRIMARY KEY (state, part, chunk)
);
-- They are compressed already.
ALTER TABLE close_states ALTER COLUMN content SET STORAGE EXTERNAL;
ALTER TABLE close_state_chunks ALTER COLUMN content SET STORAGE EXTERNAL;

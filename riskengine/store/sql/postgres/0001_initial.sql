-- The store, first version. Times are microseconds since the Unix epoch, UTC. Exact decimals are numeric. Text is compared byte by
-- byte (COLLATE "C"), so that order and equality do not depend on the server's locale.
--
-- Other programs may read every table and write `trades`. What they leave out or set to NULL takes its default (a trigger sees
-- to that). The constraints hold the shape of a row; whether its instrument and desk exist and its numbers fit them is judged
-- by the engine, which sets aside what does not fit instead of losing it.

CREATE TABLE schema_version (
    version     integer PRIMARY KEY,
    name        text    COLLATE "C" NOT NULL,
    applied_ts  bigint  NOT NULL
);

CREATE TABLE meta (
    key    text COLLATE "C" PRIMARY KEY,
    value  text COLLATE "C" NOT NULL
);

-- Who holds, or last held, the lease: one row. `place` is the machine, its boot and its process namespace; `backend` the server's
-- process of the session that holds the lock; `token` tells one store object of a process from another.
CREATE TABLE writer_lease (
    one_row   boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    holder    text    COLLATE "C" NOT NULL,
    pid       bigint  NOT NULL,
    host      text    COLLATE "C" NOT NULL,
    place     text    COLLATE "C" NOT NULL,
    since_ts  bigint  NOT NULL,
    backend   integer NOT NULL,
    token     text    COLLATE "C" NOT NULL
);

CREATE TABLE nodes (
    node    text COLLATE "C" PRIMARY KEY CHECK (length(node) BETWEEN 1 AND 128),
    level   text COLLATE "C" NOT NULL DEFAULT '',
    parent  text COLLATE "C" NOT NULL DEFAULT '' CHECK (parent <> node)
);

CREATE TABLE instruments (
    instrument         text    COLLATE "C" PRIMARY KEY CHECK (length(instrument) BETWEEN 1 AND 128),
    kind               text    COLLATE "C" NOT NULL CHECK (kind IN ('fx', 'fx_forward', 'equity', 'crypto', 'metal', 'future',
                                                                    'fx_option', 'equity_option')),
    base_currency      text    COLLATE "C" NOT NULL DEFAULT '',
    quote_currency     text    COLLATE "C" NOT NULL CHECK (quote_currency <> ''),
    price_decimals     integer NOT NULL DEFAULT 5 CHECK (price_decimals BETWEEN 0 AND 12),
    quantity_decimals  integer NOT NULL DEFAULT 2 CHECK (quantity_decimals BETWEEN 0 AND 10),
    multiplier         numeric NOT NULL DEFAULT 1,
    sector             text    COLLATE "C" NOT NULL DEFAULT '',
    underlying         text    COLLATE "C" NOT NULL DEFAULT '',
    option_type        text    COLLATE "C" NOT NULL DEFAULT '' CHECK (option_type IN ('', 'call', 'put')),
    strike             text    COLLATE "C" NOT NULL DEFAULT '',
    expiry             text    COLLATE "C" NOT NULL DEFAULT '',
    delta_type         text    COLLATE "C" NOT NULL DEFAULT '',
    calendar           text    COLLATE "C" NOT NULL DEFAULT '',
    premium_currency   text    COLLATE "C" NOT NULL DEFAULT '',
    premium_style      text    COLLATE "C" NOT NULL DEFAULT '',
    cut                text    COLLATE "C" NOT NULL DEFAULT '',
    settlement         text    COLLATE "C" NOT NULL DEFAULT ''
);

-- One row per version of a trade, never rewritten by the engine. A cancel needs only identity and version: its ts,
-- quantity and price may be NULL.
CREATE TABLE trades (
    store_seq      bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source         text    COLLATE "C" NOT NULL DEFAULT 'file',
    trade_id       text    COLLATE "C" NOT NULL,
    leg            bigint  NOT NULL DEFAULT 0,
    version        bigint  NOT NULL DEFAULT 1,
    action         text    COLLATE "C" NOT NULL DEFAULT 'new',
    ts             bigint,
    source_seq     bigint  NOT NULL DEFAULT 0,
    instrument     text    COLLATE "C" NOT NULL DEFAULT '',
    desk           text    COLLATE "C" NOT NULL DEFAULT '',
    dealer         text    COLLATE "C" NOT NULL DEFAULT '',
    side           text    COLLATE "C" NOT NULL DEFAULT '',
    quantity       numeric,
    price          numeric,
    fees           numeric NOT NULL DEFAULT 0,
    fees_currency  text    COLLATE "C" NOT NULL DEFAULT '',
    value_date     text    COLLATE "C" NOT NULL DEFAULT '',
    trade_date     text    COLLATE "C" NOT NULL DEFAULT '',
    booked_ts      bigint,
    contra_amount  numeric,
    legs           bigint,
    received_ts    bigint  NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    -- The transaction that wrote the row. Numbers are given out before the commit, so a higher store_seq may be visible before a
    -- lower one; a snapshot, and this column, say exactly which rows it was that somebody has seen.
    written_xid    xid8    NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (source, trade_id, leg, version),
    CONSTRAINT identity_is_sound CHECK (
        length(source) BETWEEN 1 AND 128 AND length(trade_id) BETWEEN 1 AND 128 AND leg >= 0 AND version >= 1),
    CONSTRAINT action_is_known CHECK (action IN ('new', 'amend', 'cancel')),
    CONSTRAINT side_is_known CHECK (side IN ('buy', 'sell') OR (side = '' AND action = 'cancel')),
    CONSTRAINT required_columns_are_there CHECK (
        action = 'cancel'
        OR (ts IS NOT NULL AND quantity IS NOT NULL AND price IS NOT NULL AND instrument <> '' AND desk <> ''))
);
-- One index serves every search by time, and within it by desk, instrument or dealer; one finds what is new to a follower. New
-- trades arrive in about the order of both, so they grow at their ends.
CREATE INDEX trades_by_time ON trades (ts, desk, instrument, dealer) WHERE action <> 'cancel';
CREATE INDEX trades_by_transaction ON trades (written_xid, store_seq);
-- Few trades have a second version or a cancel: these two stay small and make "is there a later version" cheap.
CREATE INDEX trades_later ON trades (source, trade_id, leg, version) WHERE version > 1;
CREATE INDEX trades_cancels ON trades (store_seq) WHERE action = 'cancel';

CREATE FUNCTION trades_take_defaults() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.source := coalesce(NEW.source, 'file');
    NEW.leg := coalesce(NEW.leg, 0);
    NEW.version := coalesce(NEW.version, 1);
    NEW.action := coalesce(NEW.action, 'new');
    NEW.source_seq := coalesce(NEW.source_seq, 0);
    NEW.instrument := coalesce(NEW.instrument, '');
    NEW.desk := coalesce(NEW.desk, '');
    NEW.dealer := coalesce(NEW.dealer, '');
    NEW.side := coalesce(NEW.side, '');
    NEW.fees := coalesce(NEW.fees, 0);
    NEW.fees_currency := coalesce(NEW.fees_currency, '');
    NEW.value_date := coalesce(NEW.value_date, '');
    NEW.trade_date := coalesce(NEW.trade_date, '');
    NEW.received_ts := coalesce(NEW.received_ts, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    NEW.written_xid := pg_current_xact_id();
    RETURN NEW;
END $$;
-- The condition is worked out without calling the function: a row that has everything costs next to nothing.
CREATE TRIGGER trades_take_defaults BEFORE INSERT ON trades FOR EACH ROW
WHEN (NEW.source IS NULL OR NEW.leg IS NULL OR NEW.version IS NULL OR NEW.action IS NULL OR NEW.source_seq IS NULL
      OR NEW.instrument IS NULL OR NEW.desk IS NULL OR NEW.dealer IS NULL OR NEW.side IS NULL OR NEW.fees IS NULL
      OR NEW.fees_currency IS NULL OR NEW.value_date IS NULL OR NEW.trade_date IS NULL OR NEW.received_ts IS NULL
      OR NEW.written_xid IS DISTINCT FROM pg_current_xact_id())
EXECUTE FUNCTION trades_take_defaults();

-- Only a hint: a follower that misses it finds the rows at its next query.
CREATE FUNCTION trades_ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY riskengine_trades;
    RETURN NULL;
END $$;
CREATE TRIGGER trades_ring AFTER INSERT ON trades FOR EACH STATEMENT EXECUTE FUNCTION trades_ring();

-- What arrived under an identity and version that was already stored, and said something else. The stored one stands.
CREATE TABLE conflicts (
    conflict_id    bigint  GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    source         text    COLLATE "C" NOT NULL,
    trade_id       text    COLLATE "C" NOT NULL,
    leg            bigint  NOT NULL,
    version        bigint  NOT NULL,
    action         text    COLLATE "C" NOT NULL,
    ts             bigint,
    source_seq     bigint  NOT NULL,
    instrument     text    COLLATE "C" NOT NULL,
    desk           text    COLLATE "C" NOT NULL,
    dealer         text    COLLATE "C" NOT NULL,
    side           text    COLLATE "C" NOT NULL,
    quantity       numeric,
    price          numeric,
    fees           numeric NOT NULL,
    fees_currency  text    COLLATE "C" NOT NULL,
    value_date     text    COLLATE "C" NOT NULL,
    trade_date     text    COLLATE "C" NOT NULL,
    booked_ts      bigint,
    contra_amount  numeric,
    legs           bigint,
    received_ts    bigint  NOT NULL
);
CREATE INDEX conflicts_by_identity ON conflicts (source, trade_id, leg, version);

-- Opening balances; quantity is signed.
CREATE TABLE openings (
    desk           text    COLLATE "C" NOT NULL CHECK (desk <> ''),
    dealer         text    COLLATE "C" NOT NULL DEFAULT '',
    instrument     text    COLLATE "C" NOT NULL REFERENCES instruments (instrument),
    ts             bigint  NOT NULL,
    quantity       numeric NOT NULL,
    average_price  numeric NOT NULL,
    realised       numeric NOT NULL,
    fees           numeric NOT NULL,
    PRIMARY KEY (desk, dealer, instrument)
);

-- The price that each instrument was last valued with.
CREATE TABLE marks (
    instrument  text    COLLATE "C" PRIMARY KEY REFERENCES instruments (instrument),
    ts          bigint  NOT NULL,
    price       double precision NOT NULL CHECK (price > '-Infinity' AND price < 'Infinity'),
    source      text    COLLATE "C" NOT NULL DEFAULT '',
    kind        text    COLLATE "C" NOT NULL DEFAULT 'quote' CHECK (kind IN ('quote', 'one_sided'))
);

-- Official closing prices, written once.
CREATE TABLE closes (
    date        text    COLLATE "C" NOT NULL CHECK (date ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'),
    instrument  text    COLLATE "C" NOT NULL REFERENCES instruments (instrument),
    price       double precision NOT NULL CHECK (price > '-Infinity' AND price < 'Infinity'),
    PRIMARY KEY (instrument, date)
);
CREATE INDEX closes_by_date ON closes (date);

-- Differences that reconciliation found, remembered until they are resolved. `here` is the engine, `there` the other side.
CREATE TABLE breaks (
    break_id       bigint  GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    kind           text    COLLATE "C" NOT NULL CHECK (kind IN ('missing_here', 'missing_there', 'quantity', 'cash', 'identity',
                                                                'hierarchy')),
    against        text    COLLATE "C" NOT NULL DEFAULT 'store',
    desk           text    COLLATE "C" NOT NULL DEFAULT '',
    dealer         text    COLLATE "C" NOT NULL DEFAULT '',
    instrument     text    COLLATE "C" NOT NULL DEFAULT '',
    here           text    COLLATE "C",
    there          text    COLLATE "C",
    watermark      bigint  NOT NULL DEFAULT 0,
    first_seen_ts  bigint  NOT NULL,
    last_seen_ts   bigint  NOT NULL CHECK (last_seen_ts >= first_seen_ts),
    status         text    COLLATE "C" NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'repaired', 'accepted', 'gone')),
    comment        text    COLLATE "C" NOT NULL DEFAULT '',
    resolved_by    text    COLLATE "C" NOT NULL DEFAULT '',
    resolved_ts    bigint
);
CREATE INDEX breaks_open ON breaks (desk, dealer, instrument) WHERE status = 'open';

-- What was done, by whom; each row's hash covers the hash before it.
CREATE TABLE audit (
    audit_seq      bigint  GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    ts             bigint  NOT NULL,
    actor          text    COLLATE "C" NOT NULL,
    kind           text    COLLATE "C" NOT NULL,
    subject        text    COLLATE "C" NOT NULL DEFAULT '',
    detail         text    COLLATE "C" NOT NULL DEFAULT '{}',
    previous_hash  text    COLLATE "C" NOT NULL,
    hash           text    COLLATE "C" NOT NULL UNIQUE
);
CREATE INDEX audit_by_subject ON audit (subject);

-- What a person decided about an exception.
CREATE TABLE verdicts (
    id       text    COLLATE "C" PRIMARY KEY,
    verdict  text    COLLATE "C" NOT NULL CHECK (verdict IN ('', 'accept', 'reject')),
    comment  text    COLLATE "C" NOT NULL DEFAULT '',
    ts       bigint  NOT NULL
);

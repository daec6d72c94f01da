-- Cash that is no trade: external movements of nodes and carry of positions, a row for each version. The highest version of an id
-- counts; amount 0 says that there is nothing. Other programs may write both. `xid` tells the engine which rows are new or were
-- edited since it looked: the transaction that wrote them. A deleted row notes `cash_gone`, `carry_gone`.
CREATE TABLE cash (
    row_seq      bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cash_id      text    COLLATE "C" NOT NULL CHECK (length(cash_id) BETWEEN 1 AND 128),
    version      bigint  NOT NULL DEFAULT 1 CHECK (version >= 1),
    node         text    COLLATE "C" NOT NULL,
    currency     text    COLLATE "C" NOT NULL,
    ts           bigint  NOT NULL,
    amount       numeric NOT NULL,
    comment      text    COLLATE "C" NOT NULL DEFAULT '',
    received_ts  bigint  NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    xid          xid8    NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (cash_id, version)
);
CREATE INDEX cash_by_xid ON cash (xid);
CREATE TABLE carry (
    row_seq      bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    carry_id     text    COLLATE "C" NOT NULL CHECK (length(carry_id) BETWEEN 1 AND 128),
    version      bigint  NOT NULL DEFAULT 1 CHECK (version >= 1),
    desk         text    COLLATE "C" NOT NULL,
    dealer       text    COLLATE "C" NOT NULL DEFAULT '',
    instrument   text    COLLATE "C" NOT NULL,
    currency     text    COLLATE "C" NOT NULL DEFAULT '',
    ts           bigint  NOT NULL,
    amount       numeric NOT NULL,
    type         text    COLLATE "C" NOT NULL,
    received_ts  bigint  NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    xid          xid8    NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (carry_id, version)
);
CREATE INDEX carry_by_xid ON carry (xid);

-- What a program leaves out or sets to NULL takes its default, as in `trades`.
CREATE FUNCTION cash_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := coalesce(NEW.version, 1);
    NEW.comment := coalesce(NEW.comment, '');
    NEW.received_ts := coalesce(NEW.received_ts, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    NEW.xid := pg_current_xact_id();
    RETURN NEW;
END $$;
CREATE TRIGGER cash_written BEFORE INSERT OR UPDATE ON cash FOR EACH ROW EXECUTE FUNCTION cash_written();
CREATE FUNCTION carry_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := coalesce(NEW.version, 1);
    NEW.dealer := coalesce(NEW.dealer, '');
    NEW.currency := coalesce(NEW.currency, '');
    NEW.received_ts := coalesce(NEW.received_ts, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    NEW.xid := pg_current_xact_id();
    RETURN NEW;
END $$;
CREATE TRIGGER carry_written BEFORE INSERT OR UPDATE ON carry FOR EACH ROW EXECUTE FUNCTION carry_written();

CREATE TRIGGER cash_changed AFTER INSERT OR UPDATE ON cash FOR EACH STATEMENT EXECUTE FUNCTION note_change('cash');
CREATE TRIGGER cash_renamed AFTER UPDATE ON cash FOR EACH ROW
    WHEN (NEW.cash_id <> OLD.cash_id OR NEW.version <> OLD.version) EXECUTE FUNCTION note_change('cash_gone');
CREATE TRIGGER cash_deleted AFTER DELETE OR TRUNCATE ON cash FOR EACH STATEMENT EXECUTE FUNCTION note_change('cash_gone');
CREATE TRIGGER carry_changed AFTER INSERT OR UPDATE ON carry FOR EACH STATEMENT EXECUTE FUNCTION note_change('carry');
CREATE TRIGGER carry_renamed AFTER UPDATE ON carry FOR EACH ROW
    WHEN (NEW.carry_id <> OLD.carry_id OR NEW.version <> OLD.version) EXECUTE FUNCTION note_change('carry_gone');
CREATE TRIGGER carry_deleted AFTER DELETE OR TRUNCATE ON carry FOR EACH STATEMENT EXECUTE FUNCTION note_change('carry_gone');

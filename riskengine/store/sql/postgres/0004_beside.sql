-- What other programs write beside a running engine, so that it notices: which transactions wrote or deleted
-- conflicts, closes, marks and verdicts.
-- A row for each transaction, not a counter: nobody waits for another's commit, and the engine sees what became visible since.
-- `marks.saved` tells the marks that the engine saves itself, up to thousands a second, from those of others: the number of the save;
-- 0: another program wrote the row. Rows of the engine itself note nothing.

CREATE TABLE changes (
    xid   xid8 NOT NULL DEFAULT pg_current_xact_id(),
    kind  text COLLATE "C" NOT NULL,
    PRIMARY KEY (xid, kind)
);
-- By the owner's rights, in the schema of the table that changed: who may write that table needs no right to this one.
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('INSERT INTO %I.changes (kind) VALUES ($1) ON CONFLICT DO NOTHING', TG_TABLE_SCHEMA) USING TG_ARGV[0];
    RETURN NULL;
END $$;
CREATE TRIGGER conflicts_changed AFTER INSERT OR DELETE OR TRUNCATE ON conflicts FOR EACH STATEMENT EXECUTE FUNCTION note_change('conflicts');
CREATE TRIGGER closes_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON closes FOR EACH STATEMENT EXECUTE FUNCTION note_change('closes');
CREATE TRIGGER verdicts_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON verdicts FOR EACH STATEMENT EXECUTE FUNCTION note_change('verdicts');

ALTER TABLE marks ADD COLUMN saved bigint NOT NULL DEFAULT 0;
-- Every save of the engine has another number: who leaves it as it was is somebody else.
CREATE FUNCTION marks_of_others() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.saved := 0;
    RETURN NEW;
END $$;
CREATE TRIGGER marks_of_others BEFORE UPDATE ON marks FOR EACH ROW WHEN (NEW.saved = OLD.saved) EXECUTE FUNCTION marks_of_others();
CREATE TRIGGER marks_inserted AFTER INSERT ON marks FOR EACH ROW WHEN (NEW.saved = 0) EXECUTE FUNCTION note_change('marks');
CREATE TRIGGER marks_updated AFTER UPDATE ON marks FOR EACH ROW WHEN (NEW.saved = 0) EXECUTE FUNCTION note_change('marks');
CREATE TRIGGER marks_deleted AFTER DELETE OR TRUNCATE ON marks FOR EACH STATEMENT EXECUTE FUNCTION note_change('marks');

-- The bell of `trades` says in which schema it rings: a database may hold the stores of several engines.
CREATE OR REPLACE FUNCTION trades_ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('riskengine_trades', TG_TABLE_SCHEMA);
    RETURN NULL;
END $$;

-- What other programs write beside a running engine, so that it notices: how often conflicts, closes, marks and verdicts were
-- written or deleted.
-- `marks.saved` tells the marks that the engine saves itself, up to thousands a second, from those of others: the number of the save;
-- 0: another program wrote the row. Rows of the engine itself count nothing.

CREATE TABLE changes (
    kind   TEXT PRIMARY KEY NOT NULL,
    count  INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO changes (kind, count) VALUES ('closes', 0), ('conflicts', 0), ('marks', 0), ('verdicts', 0);

CREATE TRIGGER conflicts_deleted AFTER DELETE ON conflicts BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'conflicts';
END;
CREATE TRIGGER conflicts_inserted AFTER INSERT ON conflicts BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'conflicts';
END;
CREATE TRIGGER closes_deleted AFTER DELETE ON closes BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'closes';
END;
CREATE TRIGGER closes_inserted AFTER INSERT ON closes BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'closes';
END;
CREATE TRIGGER closes_updated AFTER UPDATE ON closes BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'closes';
END;
CREATE TRIGGER verdicts_deleted AFTER DELETE ON verdicts BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'verdicts';
END;
CREATE TRIGGER verdicts_inserted AFTER INSERT ON verdicts BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'verdicts';
END;
CREATE TRIGGER verdicts_updated AFTER UPDATE ON verdicts BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'verdicts';
END;

ALTER TABLE marks ADD COLUMN saved INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER marks_inserted AFTER INSERT ON marks WHEN NEW.saved = 0 BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'marks';
END;
-- Every save of the engine has another number: who leaves it as it was is somebody else.
CREATE TRIGGER marks_updated AFTER UPDATE ON marks WHEN NEW.saved = 0 OR NEW.saved = OLD.saved BEGIN
    UPDATE marks SET saved = 0 WHERE instrument = NEW.instrument AND saved <> 0;
    UPDATE changes SET count = count + 1 WHERE kind = 'marks';
END;
CREATE TRIGGER marks_deleted AFTER DELETE ON marks BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'marks';
END;

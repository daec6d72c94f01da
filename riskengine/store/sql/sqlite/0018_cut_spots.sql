-- What the underlying of an option was worth at its cut: what decides whether it is exercised, and what a cash-settled one holds.
-- `day` and `saved` are as in `vols`.
CREATE TABLE cut_spots (
    instrument  TEXT    NOT NULL,
    day         TEXT    NOT NULL DEFAULT '',
    ts          INTEGER NOT NULL CHECK (typeof(ts) = 'integer'),
    price       REAL    NOT NULL CHECK (typeof(price) = 'real' AND price > 0),
    source      TEXT    NOT NULL DEFAULT '',
    saved       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (instrument, day)
) WITHOUT ROWID;
CREATE TRIGGER cut_spots_inserted AFTER INSERT ON cut_spots WHEN NEW.saved = 0 BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'option_inputs';
END;
CREATE TRIGGER cut_spots_updated AFTER UPDATE ON cut_spots WHEN NEW.saved = 0 OR NEW.saved = OLD.saved BEGIN
    UPDATE cut_spots SET saved = 0 WHERE instrument = NEW.instrument AND day = NEW.day AND saved <> 0;
    UPDATE changes SET count = count + 1 WHERE kind = 'option_inputs';
END;
CREATE TRIGGER cut_spots_deleted AFTER DELETE ON cut_spots BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'option_inputs';
END;

-- What the underlying of an option was worth at its cut: what decides whether it is exercised, and what a cash-settled one holds.
-- `day` and `saved` are as in `vols`.
CREATE TABLE cut_spots (
    instrument  text   COLLATE "C" NOT NULL,
    day         text   COLLATE "C" NOT NULL DEFAULT '',
    ts          bigint NOT NULL,
    price       double precision NOT NULL CHECK (price > 0),
    source      text   COLLATE "C" NOT NULL DEFAULT '',
    saved       bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (instrument, day)
);
CREATE TRIGGER cut_spots_of_others BEFORE UPDATE ON cut_spots FOR EACH ROW WHEN (NEW.saved = OLD.saved) EXECUTE FUNCTION marks_of_others();
CREATE TRIGGER cut_spots_inserted AFTER INSERT ON cut_spots FOR EACH ROW WHEN (NEW.saved = 0) EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER cut_spots_updated AFTER UPDATE ON cut_spots FOR EACH ROW WHEN (NEW.saved = 0) EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER cut_spots_deleted AFTER DELETE ON cut_spots FOR EACH ROW EXECUTE FUNCTION note_change('option_inputs');

-- What an option or forward is besides its prices. `exercise` empty: an option of before these columns counted; its price goes on to
-- count as per unit of the underlying, whatever its `premium_style` says, so that every number stays as it was.
ALTER TABLE instruments ADD COLUMN exercise text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE instruments ADD COLUMN greeks text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE instruments ADD COLUMN bf_style text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE instruments ADD COLUMN fixing_date text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE instruments ADD COLUMN fixing_source text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE instruments ADD COLUMN settlement_currency text COLLATE "C" NOT NULL DEFAULT '';

-- What options and forwards are valued with beside prices: of each subject the newest row of each trading day (`day`, YYYY-MM-DD, by
-- `ts`), so that a start knows the newest, and a roll that comes late, or a moment of the past, the newest of before. Older days are
-- deleted after a while, but for the newest row of a subject.
-- `saved` is as in `marks`: the number of the engine's save; 0: another program wrote the row.
CREATE TABLE vols (
    instrument  text   COLLATE "C" NOT NULL,
    day         text   COLLATE "C" NOT NULL DEFAULT '',
    ts          bigint NOT NULL,
    vol         double precision NOT NULL CHECK (vol > 0 AND vol <= 5),
    source      text   COLLATE "C" NOT NULL DEFAULT '',
    saved       bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (instrument, day)
);
CREATE TABLE vol_surfaces (
    pair    text   COLLATE "C" NOT NULL,
    expiry  text   COLLATE "C" NOT NULL,
    day     text   COLLATE "C" NOT NULL DEFAULT '',
    ts      bigint NOT NULL,
    atm     double precision NOT NULL CHECK (atm > 0 AND atm <= 5),
    rr25    double precision CHECK (rr25 > '-Infinity' AND rr25 < 'Infinity'),
    bf25    double precision CHECK (bf25 > '-Infinity' AND bf25 < 'Infinity'),
    rr10    double precision CHECK (rr10 > '-Infinity' AND rr10 < 'Infinity'),
    bf10    double precision CHECK (bf10 > '-Infinity' AND bf10 < 'Infinity'),
    source  text   COLLATE "C" NOT NULL DEFAULT '',
    saved   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (pair, expiry, day)
);
CREATE TABLE rates (
    subject_kind  text   COLLATE "C" NOT NULL CHECK (subject_kind IN ('currency', 'underlying', 'pair')),
    subject       text   COLLATE "C" NOT NULL,
    date          text   COLLATE "C" NOT NULL,
    day           text   COLLATE "C" NOT NULL DEFAULT '',
    ts            bigint NOT NULL,
    kind          text   COLLATE "C" NOT NULL CHECK (kind IN ('rate', 'df', 'yield', 'points')),
    value         double precision NOT NULL CHECK (value > '-Infinity' AND value < 'Infinity'),
    source        text   COLLATE "C" NOT NULL DEFAULT '',
    saved         bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (subject_kind, subject, date, day)
);
CREATE TABLE greeks (
    instrument  text   COLLATE "C" NOT NULL,
    day         text   COLLATE "C" NOT NULL DEFAULT '',
    ts          bigint NOT NULL,
    spot        double precision NOT NULL CHECK (spot > 0 AND spot < 'Infinity'),
    vol         double precision NOT NULL CHECK (vol > 0 AND vol <= 5),
    value       double precision NOT NULL CHECK (value > '-Infinity' AND value < 'Infinity'),
    delta       double precision NOT NULL CHECK (delta > '-Infinity' AND delta < 'Infinity'),
    gamma       double precision NOT NULL CHECK (gamma > '-Infinity' AND gamma < 'Infinity'),
    vega        double precision NOT NULL CHECK (vega > '-Infinity' AND vega < 'Infinity'),
    theta       double precision NOT NULL CHECK (theta > '-Infinity' AND theta < 'Infinity'),
    source      text   COLLATE "C" NOT NULL DEFAULT '',
    saved       bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (instrument, day)
);

CREATE TRIGGER vols_of_others BEFORE UPDATE ON vols FOR EACH ROW WHEN (NEW.saved = OLD.saved) EXECUTE FUNCTION marks_of_others();
CREATE TRIGGER vols_inserted AFTER INSERT ON vols FOR EACH ROW WHEN (NEW.saved = 0) EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER vols_updated AFTER UPDATE ON vols FOR EACH ROW WHEN (NEW.saved = 0) EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER vol_surfaces_of_others BEFORE UPDATE ON vol_surfaces FOR EACH ROW WHEN (NEW.saved = OLD.saved) EXECUTE FUNCTION marks_of_others();
CREATE TRIGGER vol_surfaces_inserted AFTER INSERT ON vol_surfaces FOR EACH ROW WHEN (NEW.saved = 0) EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER vol_surfaces_updated AFTER UPDATE ON vol_surfaces FOR EACH ROW WHEN (NEW.saved = 0) EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER rates_of_others BEFORE UPDATE ON rates FOR EACH ROW WHEN (NEW.saved = OLD.saved) EXECUTE FUNCTION marks_of_others();
CREATE TRIGGER rates_inserted AFTER INSERT ON rates FOR EACH ROW WHEN (NEW.saved = 0) EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER rates_updated AFTER UPDATE ON rates FOR EACH ROW WHEN (NEW.saved = 0) EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER greeks_of_others BEFORE UPDATE ON greeks FOR EACH ROW WHEN (NEW.saved = OLD.saved) EXECUTE FUNCTION marks_of_others();
CREATE TRIGGER greeks_inserted AFTER INSERT ON greeks FOR EACH ROW WHEN (NEW.saved = 0) EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER greeks_updated AFTER UPDATE ON greeks FOR EACH ROW WHEN (NEW.saved = 0) EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER vols_deleted AFTER DELETE ON vols FOR EACH ROW EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER vols_emptied AFTER TRUNCATE ON vols FOR EACH STATEMENT EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER vol_surfaces_deleted AFTER DELETE ON vol_surfaces FOR EACH ROW EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER vol_surfaces_emptied AFTER TRUNCATE ON vol_surfaces FOR EACH STATEMENT EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER rates_deleted AFTER DELETE ON rates FOR EACH ROW EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER rates_emptied AFTER TRUNCATE ON rates FOR EACH STATEMENT EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER greeks_deleted AFTER DELETE ON greeks FOR EACH ROW EXECUTE FUNCTION note_change('option_inputs');
CREATE TRIGGER greeks_emptied AFTER TRUNCATE ON greeks FOR EACH STATEMENT EXECUTE FUNCTION note_change('option_inputs');

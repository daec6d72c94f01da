-- What an option or forward is besides its prices. `exercise` empty: an option of before these columns counted; its price goes on to
-- count as per unit of the underlying, whatever its `premium_style` says, so that every number stays as it was.
ALTER TABLE instruments ADD COLUMN exercise TEXT NOT NULL DEFAULT '';
ALTER TABLE instruments ADD COLUMN greeks TEXT NOT NULL DEFAULT '';
ALTER TABLE instruments ADD COLUMN bf_style TEXT NOT NULL DEFAULT '';
ALTER TABLE instruments ADD COLUMN fixing_date TEXT NOT NULL DEFAULT '';
ALTER TABLE instruments ADD COLUMN fixing_source TEXT NOT NULL DEFAULT '';
ALTER TABLE instruments ADD COLUMN settlement_currency TEXT NOT NULL DEFAULT '';

-- What options and forwards are valued with beside prices: of each subject the newest row of each trading day (`day`, YYYY-MM-DD, by
-- `ts`), so that a start knows the newest, and a roll that comes late, or a moment of the past, the newest of before. Older days are
-- deleted after a while, but for the newest row of a subject.
-- `saved` is as in `marks`: the number of the engine's save; 0: another program wrote the row.
CREATE TABLE vols (
    instrument  TEXT    NOT NULL,
    day         TEXT    NOT NULL DEFAULT '',
    ts          INTEGER NOT NULL CHECK (typeof(ts) = 'integer'),
    vol         REAL    NOT NULL CHECK (typeof(vol) = 'real' AND vol > 0 AND vol <= 5),
    source      TEXT    NOT NULL DEFAULT '',
    saved       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (instrument, day)
) WITHOUT ROWID;
CREATE TABLE vol_surfaces (
    pair    TEXT    NOT NULL,
    expiry  TEXT    NOT NULL,
    day     TEXT    NOT NULL DEFAULT '',
    ts      INTEGER NOT NULL CHECK (typeof(ts) = 'integer'),
    atm     REAL    NOT NULL CHECK (typeof(atm) = 'real' AND atm > 0 AND atm <= 5),
    rr25    REAL    CHECK (typeof(rr25) IN ('real', 'null')),
    bf25    REAL    CHECK (typeof(bf25) IN ('real', 'null')),
    rr10    REAL    CHECK (typeof(rr10) IN ('real', 'null')),
    bf10    REAL    CHECK (typeof(bf10) IN ('real', 'null')),
    source  TEXT    NOT NULL DEFAULT '',
    saved   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (pair, expiry, day)
) WITHOUT ROWID;
CREATE TABLE rates (
    subject_kind  TEXT    NOT NULL CHECK (subject_kind IN ('currency', 'underlying', 'pair')),
    subject       TEXT    NOT NULL,
    date          TEXT    NOT NULL,
    day           TEXT    NOT NULL DEFAULT '',
    ts            INTEGER NOT NULL CHECK (typeof(ts) = 'integer'),
    kind          TEXT    NOT NULL CHECK (kind IN ('rate', 'df', 'yield', 'points')),
    value         REAL    NOT NULL CHECK (typeof(value) = 'real'),
    source        TEXT    NOT NULL DEFAULT '',
    saved         INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (subject_kind, subject, date, day)
) WITHOUT ROWID;
CREATE TABLE greeks (
    instrument  TEXT    NOT NULL,
    day         TEXT    NOT NULL DEFAULT '',
    ts          INTEGER NOT NULL CHECK (typeof(ts) = 'integer'),
    spot        REAL    NOT NULL CHECK (typeof(spot) = 'real' AND spot > 0),
    vol         REAL    NOT NULL CHECK (typeof(vol) = 'real' AND vol > 0 AND vol <= 5),
    value       REAL    NOT NULL CHECK (typeof(value) = 'real'),
    delta       REAL    NOT NULL CHECK (typeof(delta) = 'real'),
    gamma       REAL    NOT NULL CHECK (typeof(gamma) = 'real'),
    vega        REAL    NOT NULL CHECK (typeof(vega) = 'real'),
    theta       REAL    NOT NULL CHECK (typeof(theta) = 'real'),
    source      TEXT    NOT NULL DEFAULT '',
    saved       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (instrument, day)
) WITHOUT ROWID;

INSERT INTO changes (kind, count) VALUES ('option_inputs', 0);
CREATE TRIGGER vols_inserted AFTER INSERT ON vols WHEN NEW.saved = 0 BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'option_inputs';
END;
CREATE TRIGGER vols_updated AFTER UPDATE ON vols WHEN NEW.saved = 0 OR NEW.saved = OLD.saved BEGIN
    UPDATE vols SET saved = 0 WHERE instrument = NEW.instrument AND day = NEW.day AND saved <> 0;
    UPDATE changes SET count = count + 1 WHERE kind = 'option_inputs';
END;
CREATE TRIGGER vol_surfaces_inserted AFTER INSERT ON vol_surfaces WHEN NEW.saved = 0 BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'option_inputs';
END;
CREATE TRIGGER vol_surfaces_updated AFTER UPDATE ON vol_surfaces WHEN NEW.saved = 0 OR NEW.saved = OLD.saved BEGIN
    UPDATE vol_surfaces SET saved = 0 WHERE pair = NEW.pair AND expiry = NEW.expiry AND day = NEW.day AND saved <> 0;
    UPDATE changes SET count = count + 1 WHERE kind = 'option_inputs';
END;
CREATE TRIGGER rates_inserted AFTER INSERT ON rates WHEN NEW.saved = 0 BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'option_inputs';
END;
CREATE TRIGGER rates_updated AFTER UPDATE ON rates WHEN NEW.saved = 0 OR NEW.saved = OLD.saved BEGIN
    UPDATE rates SET saved = 0 WHERE subject_kind = NEW.subject_kind AND subject = NEW.subject AND date = NEW.date AND day = NEW.day AND saved <> 0;
    UPDATE changes SET count = count + 1 WHERE kind = 'option_inputs';
END;
CREATE TRIGGER greeks_inserted AFTER INSERT ON greeks WHEN NEW.saved = 0 BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'option_inputs';
END;
CREATE TRIGGER greeks_updated AFTER UPDATE ON greeks WHEN NEW.saved = 0 OR NEW.saved = OLD.saved BEGIN
    UPDATE greeks SET saved = 0 WHERE instrument = NEW.instrument AND day = NEW.day AND saved <> 0;
    UPDATE changes SET count = count + 1 WHERE kind = 'option_inputs';
END;
CREATE TRIGGER vols_deleted AFTER DELETE ON vols BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'option_inputs';
END;
CREATE TRIGGER vol_surfaces_deleted AFTER DELETE ON vol_surfaces BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'option_inputs';
END;
CREATE TRIGGER rates_deleted AFTER DELETE ON rates BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'option_inputs';
END;
CREATE TRIGGER greeks_deleted AFTER DELETE ON greeks BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'option_inputs';
END;

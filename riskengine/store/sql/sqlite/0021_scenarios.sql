-- Scenarios that people load: a row for each shift, in the order of `row_seq`. A shift without a size is taken out.
CREATE TABLE scenario_shifts (
    row_seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    scenario    TEXT    NOT NULL,
    factor      TEXT    NOT NULL CHECK (factor IN ('spot', 'vol', 'rate')),
    instrument  TEXT    NOT NULL DEFAULT '',
    currency    TEXT    NOT NULL DEFAULT '',
    sector      TEXT    NOT NULL DEFAULT '',
    everything  INTEGER NOT NULL DEFAULT 0 CHECK (everything IN (0, 1)),
    relative    REAL,
    absolute    REAL,
    comment     TEXT    NOT NULL DEFAULT '',
    UNIQUE (scenario, factor, instrument, currency, sector, everything)
);

INSERT INTO changes (kind, count) VALUES ('scenario_shifts', 0);
CREATE TRIGGER scenario_shifts_deleted AFTER DELETE ON scenario_shifts BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'scenario_shifts';
END;
CREATE TRIGGER scenario_shifts_inserted AFTER INSERT ON scenario_shifts BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'scenario_shifts';
END;
CREATE TRIGGER scenario_shifts_updated AFTER UPDATE ON scenario_shifts BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'scenario_shifts';
END;

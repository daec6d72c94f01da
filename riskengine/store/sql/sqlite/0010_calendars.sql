-- Loaded calendars, which add to the published ones or overrule them: one row a date (`entry` 'day'), or a date from which the regular
-- session has other hours (`entry` 'session'; an empty date: always). A row of the same key replaces the one before.
CREATE TABLE calendars (
    calendar  TEXT NOT NULL,
    entry     TEXT NOT NULL CHECK (entry IN ('day', 'session')),
    date      TEXT NOT NULL,
    kind      TEXT NOT NULL CHECK (kind IN ('holiday', 'business', 'early_close', 'session')),
    open      TEXT NOT NULL DEFAULT '',
    close     TEXT NOT NULL DEFAULT '',
    zone      TEXT NOT NULL DEFAULT '',
    comment   TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (calendar, entry, date)
) WITHOUT ROWID;

-- The spot date of a pair and a trade date, as it was worked out when the first such trade came. It judges every trade received from
-- `since_ts` on, up to the next row of the pair and date: rows are added, never changed.
CREATE TABLE spot_dates (
    base      TEXT NOT NULL,
    quote     TEXT NOT NULL,
    traded    TEXT NOT NULL,
    since_ts  INTEGER NOT NULL,
    spot      TEXT NOT NULL,
    PRIMARY KEY (base, quote, traded, since_ts)
) WITHOUT ROWID;

-- Trades that were received before count as before: by weekdays, with four days of grace.
INSERT INTO meta (key, value)
SELECT 'exact_spot_since', CAST((SELECT max(received_ts) + 1 FROM trades) AS TEXT) WHERE EXISTS (SELECT 1 FROM trades);

INSERT INTO changes (kind, count) VALUES ('calendars', 0);
CREATE TRIGGER calendars_deleted AFTER DELETE ON calendars BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'calendars';
END;
CREATE TRIGGER calendars_inserted AFTER INSERT ON calendars BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'calendars';
END;
CREATE TRIGGER calendars_updated AFTER UPDATE ON calendars BEGIN
    UPDATE changes SET count = count + 1 WHERE kind = 'calendars';
END;

-- Loaded calendars, which add to the published ones or overrule them: one row a date (`entry` 'day'), or a date from which the regular
-- session has other hours (`entry` 'session'; an empty date: always). A row of the same key replaces the one before.
CREATE TABLE calendars (
    calendar  text COLLATE "C" NOT NULL,
    entry     text COLLATE "C" NOT NULL CHECK (entry IN ('day', 'session')),
    date      text COLLATE "C" NOT NULL,
    kind      text COLLATE "C" NOT NULL CHECK (kind IN ('holiday', 'business', 'early_close', 'session')),
    open      text COLLATE "C" NOT NULL DEFAULT '',
    close     text COLLATE "C" NOT NULL DEFAULT '',
    zone      text COLLATE "C" NOT NULL DEFAULT '',
    comment   text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (calendar, entry, date)
);

-- The spot date of a pair and a trade date, as it was worked out when the first such trade came. It judges every trade received from
-- `since_ts` on, up to the next row of the pair and date: rows are added, never changed.
CREATE TABLE spot_dates (
    base      text   COLLATE "C" NOT NULL,
    quote     text   COLLATE "C" NOT NULL,
    traded    text   COLLATE "C" NOT NULL,
    since_ts  bigint NOT NULL,
    spot      text   COLLATE "C" NOT NULL,
    PRIMARY KEY (base, quote, traded, since_ts)
);

-- Trades that were received before count as before: by weekdays, with four days of grace.
INSERT INTO meta (key, value)
SELECT 'exact_spot_since', (SELECT max(received_ts) + 1 FROM trades)::text WHERE EXISTS (SELECT 1 FROM trades);

CREATE TRIGGER calendars_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON calendars FOR EACH STATEMENT EXECUTE FUNCTION note_change('calendars');

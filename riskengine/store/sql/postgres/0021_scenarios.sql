-- Scenarios that people load: a row for each shift, in the order of `row_seq`. A shift without a size is taken out.
CREATE TABLE scenario_shifts (
    row_seq     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scenario    text    COLLATE "C" NOT NULL,
    factor      text    COLLATE "C" NOT NULL CHECK (factor IN ('spot', 'vol', 'rate')),
    instrument  text    COLLATE "C" NOT NULL DEFAULT '',
    currency    text    COLLATE "C" NOT NULL DEFAULT '',
    sector      text    COLLATE "C" NOT NULL DEFAULT '',
    everything  integer NOT NULL DEFAULT 0 CHECK (everything IN (0, 1)),
    relative    double precision,
    absolute    double precision,
    comment     text    COLLATE "C" NOT NULL DEFAULT '',
    UNIQUE (scenario, factor, instrument, currency, sector, everything)
);

CREATE TRIGGER scenario_shifts_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON scenario_shifts
    FOR EACH STATEMENT EXECUTE FUNCTION note_change('scenario_shifts');

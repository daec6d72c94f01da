-- Limits and margin rules as dated data, a row for each version: the highest version of an id counts. `terms` is a JSON object with the
-- fields of the record. Other programs may write rows.
CREATE TABLE risk_rules (
    kind        text   COLLATE "C" NOT NULL CHECK (kind IN ('limit', 'margin')),
    rule_id     text   COLLATE "C" NOT NULL CHECK (length(rule_id) BETWEEN 1 AND 128),
    version     bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    terms       text   COLLATE "C" NOT NULL CHECK (terms::json IS NOT NULL),
    author      text   COLLATE "C" NOT NULL DEFAULT '',
    entered_ts  bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    PRIMARY KEY (kind, rule_id, version)
);

-- Breaches of limits, open (`ended_ts` NULL) and past. Amounts in the unit of the limit; `bound` is what the limit was when it began.
CREATE TABLE limit_breaches (
    breach_id        text   COLLATE "C" PRIMARY KEY,
    limit_id         text   COLLATE "C" NOT NULL,
    version          bigint NOT NULL,
    node             text   COLLATE "C" NOT NULL DEFAULT '',
    dealer           text   COLLATE "C" NOT NULL DEFAULT '',
    severity         text   COLLATE "C" NOT NULL,
    bound            double precision NOT NULL,
    first_seen_ts    bigint NOT NULL,
    last_seen_ts     bigint NOT NULL,
    worst            double precision NOT NULL,
    worst_ts         bigint NOT NULL,
    ended_ts         bigint,
    acknowledged_by  text   COLLATE "C" NOT NULL DEFAULT '',
    acknowledged_ts  bigint,
    reason           text   COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX limit_breaches_by_time ON limit_breaches (first_seen_ts);
CREATE INDEX limit_breaches_open ON limit_breaches (breach_id) WHERE ended_ts IS NULL;

-- The highest P&L of the day of each node or dealer whose loss from it is limited: a start goes on from there.
CREATE TABLE limit_highs (
    node    text   COLLATE "C" NOT NULL DEFAULT '',
    dealer  text   COLLATE "C" NOT NULL DEFAULT '',
    day     text   COLLATE "C" NOT NULL,
    high    double precision NOT NULL,
    ts      bigint NOT NULL,
    PRIMARY KEY (node, dealer)
);

CREATE TRIGGER risk_rules_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON risk_rules
    FOR EACH STATEMENT EXECUTE FUNCTION note_change('risk_rules');

-- Corporate actions: every version of each, as it was sent. The highest version counts; one of kind `cancel` takes the action back.
-- `ratio` is new:old, `amount` and `cost_share` are exact texts, empty where the kind has none. Other programs may write rows.
CREATE TABLE actions (
    action_id    text   COLLATE "C" NOT NULL CHECK (length(action_id) BETWEEN 1 AND 128),
    version      bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    instrument   text   COLLATE "C" NOT NULL DEFAULT '',
    kind         text   COLLATE "C" NOT NULL,
    ex_date      text   COLLATE "C" NOT NULL DEFAULT '',
    ratio        text   COLLATE "C" NOT NULL DEFAULT '',
    amount       text   COLLATE "C" NOT NULL DEFAULT '',
    currency     text   COLLATE "C" NOT NULL DEFAULT '',
    "into"       text   COLLATE "C" NOT NULL DEFAULT '',
    cost_share   text   COLLATE "C" NOT NULL DEFAULT '',
    received_ts  bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    PRIMARY KEY (action_id, version)
);
CREATE TRIGGER actions_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON actions FOR EACH STATEMENT EXECUTE FUNCTION note_change('actions');

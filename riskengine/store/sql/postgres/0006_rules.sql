-- From which row on a stricter rule judges. A row with a lower store_seq counts as it counted before the rule came, and is listed as
-- `older_rule` where the rule would refuse it. A new store has 1: the rule judges every row. A later migration adds a rule by a row.
CREATE TABLE rules (
    rule            text   COLLATE "C" PRIMARY KEY,
    from_store_seq  bigint NOT NULL CHECK (from_store_seq >= 1),
    ts              bigint NOT NULL
);
INSERT INTO rules (rule, from_store_seq, ts)
SELECT rule, (SELECT coalesce(max(store_seq), 0) + 1 FROM trades), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
FROM (VALUES ('contra_amount_sign'), ('fees_currency')) AS new (rule);

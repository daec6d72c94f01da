-- From which row on a stricter rule judges. A row with a lower store_seq counts as it counted before the rule came, and is listed as
-- `older_rule` where the rule would refuse it. A new store has 1: the rule judges every row. A later migration adds a rule by a row.
CREATE TABLE rules (
    rule            TEXT PRIMARY KEY NOT NULL,
    from_store_seq  INTEGER NOT NULL CHECK (from_store_seq >= 1),
    ts              INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO rules (rule, from_store_seq, ts)
SELECT rule, (SELECT coalesce(max(store_seq), 0) + 1 FROM trades), CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)
FROM (SELECT 'contra_amount_sign' AS rule UNION ALL SELECT 'fees_currency');

-- What a trade carries outside its economics: with whom it was dealt, for which account, through which broker, by which order and
-- strategy, and a remark. No sum and no rule looks at them: every number of an earlier store stays as it was.
ALTER TABLE trades ADD COLUMN counterparty TEXT NOT NULL ON CONFLICT REPLACE DEFAULT '';
ALTER TABLE trades ADD COLUMN account TEXT NOT NULL ON CONFLICT REPLACE DEFAULT '';
ALTER TABLE trades ADD COLUMN broker TEXT NOT NULL ON CONFLICT REPLACE DEFAULT '';
ALTER TABLE trades ADD COLUMN order_id TEXT NOT NULL ON CONFLICT REPLACE DEFAULT '';
ALTER TABLE trades ADD COLUMN strategy TEXT NOT NULL ON CONFLICT REPLACE DEFAULT '';
ALTER TABLE trades ADD COLUMN comment TEXT NOT NULL ON CONFLICT REPLACE DEFAULT '';
ALTER TABLE conflicts ADD COLUMN counterparty TEXT NOT NULL DEFAULT '';
ALTER TABLE conflicts ADD COLUMN account TEXT NOT NULL DEFAULT '';
ALTER TABLE conflicts ADD COLUMN broker TEXT NOT NULL DEFAULT '';
ALTER TABLE conflicts ADD COLUMN order_id TEXT NOT NULL DEFAULT '';
ALTER TABLE conflicts ADD COLUMN strategy TEXT NOT NULL DEFAULT '';
ALTER TABLE conflicts ADD COLUMN comment TEXT NOT NULL DEFAULT '';

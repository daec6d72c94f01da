-- What a trade carries outside its economics: with whom it was dealt, for which account, through which broker, by which order and
-- strategy, and a remark. No sum and no rule looks at them: every number of an earlier store stays as it was.
ALTER TABLE trades ADD COLUMN counterparty text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE trades ADD COLUMN account text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE trades ADD COLUMN broker text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE trades ADD COLUMN order_id text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE trades ADD COLUMN strategy text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE trades ADD COLUMN comment text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE conflicts ADD COLUMN counterparty text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE conflicts ADD COLUMN account text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE conflicts ADD COLUMN broker text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE conflicts ADD COLUMN order_id text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE conflicts ADD COLUMN strategy text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE conflicts ADD COLUMN comment text COLLATE "C" NOT NULL DEFAULT '';

-- A NULL of another program takes the default here too.
CREATE FUNCTION trades_take_attributes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.counterparty := coalesce(NEW.counterparty, '');
    NEW.account := coalesce(NEW.account, '');
    NEW.broker := coalesce(NEW.broker, '');
    NEW.order_id := coalesce(NEW.order_id, '');
    NEW.strategy := coalesce(NEW.strategy, '');
    NEW.comment := coalesce(NEW.comment, '');
    RETURN NEW;
END $$;
CREATE TRIGGER trades_take_attributes BEFORE INSERT ON trades FOR EACH ROW
WHEN (NEW.counterparty IS NULL OR NEW.account IS NULL OR NEW.broker IS NULL OR NEW.order_id IS NULL OR NEW.strategy IS NULL
      OR NEW.comment IS NULL)
EXECUTE FUNCTION trades_take_attributes();

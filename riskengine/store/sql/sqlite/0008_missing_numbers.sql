-- Which numbers of each source of trades have come, not only the highest: `cursor` is the highest, `missing` the ranges below it that
-- have not (`2, 5-6`), `joined` how far ranges are joined because there were too many. Numbers up to the cursor of before count as come.
-- `promised` is the highest last_seq of the source's heartbeats (NULL: it promises nothing), `acknowledged` what a person knows to be
-- missing; `anew` is set while the source seems to number anew (`highest: missing` of what came since), `anew_seq` its newest last_seq.
ALTER TABLE feeds ADD COLUMN missing TEXT NOT NULL DEFAULT '';
ALTER TABLE feeds ADD COLUMN joined INTEGER NOT NULL DEFAULT 0;
ALTER TABLE feeds ADD COLUMN promised INTEGER;
ALTER TABLE feeds ADD COLUMN acknowledged TEXT NOT NULL DEFAULT '';
ALTER TABLE feeds ADD COLUMN anew TEXT;
ALTER TABLE feeds ADD COLUMN anew_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE feeds ADD COLUMN retired INTEGER NOT NULL DEFAULT 0;

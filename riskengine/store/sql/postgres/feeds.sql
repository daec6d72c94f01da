-- Queries on the sources of trades and their numbers.

-- name: feeds
SELECT source, cursor, missing, joined, promised, acknowledged, anew, anew_seq, retired FROM feeds ORDER BY source

-- name: feeds_of
SELECT source, cursor, missing, joined, promised, acknowledged, anew, anew_seq, retired FROM feeds
WHERE source = ANY (%s::text[])

-- name: feed_save
INSERT INTO feeds (source, cursor, missing, joined, promised, acknowledged, anew, anew_seq, retired, ts)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (source) DO UPDATE SET cursor = excluded.cursor, missing = excluded.missing, joined = excluded.joined,
    promised = excluded.promised, acknowledged = excluded.acknowledged, anew = excluded.anew, anew_seq = excluded.anew_seq,
    retired = excluded.retired, ts = excluded.ts

-- Queries on loaded calendars and on the spot dates that judge value dates.

-- name: calendars
SELECT calendar, entry, date, kind, open, close, zone, comment FROM calendars ORDER BY calendar, entry, date

-- name: calendar_save
INSERT INTO calendars (calendar, entry, date, kind, open, close, zone, comment) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (calendar, entry, date) DO UPDATE SET kind = excluded.kind, open = excluded.open, close = excluded.close,
    zone = excluded.zone, comment = excluded.comment

-- name: spot_dates
SELECT base, quote, traded, since_ts, spot FROM spot_dates ORDER BY base, quote, traded, since_ts

-- The first word stands.
-- name: spot_date_save
INSERT INTO spot_dates (base, quote, traded, since_ts, spot) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (base, quote, traded, since_ts) DO NOTHING

-- name: spot_dates_of
SELECT base, quote, traded, since_ts, spot FROM spot_dates WHERE base = %s AND quote = %s AND traded = %s ORDER BY since_ts

-- name: newest_with_value_date
SELECT coalesce(max(received_ts), 0) FROM trades WHERE value_date <> ''

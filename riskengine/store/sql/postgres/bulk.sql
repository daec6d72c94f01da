-- Queries of a start: all trades, in columns.

-- name: bulk_end
SELECT max(store_seq) FROM (
    SELECT store_seq FROM trades WHERE store_seq > %(after)s ORDER BY store_seq LIMIT %(limit)s) AS page

-- A range of trades in columns, each one text: line ends separate names, commas integers, spaces decimals; a NULL is empty or 0.
-- `flags` has a character for each row: b for a buy and s for a sell (B and S in an amend), 0 for a row that needs more than these
-- columns. The caller checks names and decimals.
-- name: bulk_columns
SELECT count(*), string_agg(store_seq::text, ','), string_agg(
            CASE WHEN source_seq BETWEEN 0 AND %(max_sequence)s AND leg <= %(max_integer)s AND version <= %(max_integer)s
             AND ts >= %(ts_min)s AND ts < %(ts_end)s
             AND (booked_ts IS NULL OR (booked_ts >= %(ts_min)s AND booked_ts < %(ts_end)s))
             AND contra_amount IS NULL AND legs IS NULL
            THEN CASE action WHEN 'new' THEN CASE side WHEN 'buy' THEN 'b' WHEN 'sell' THEN 's' ELSE '0' END
                             WHEN 'amend' THEN CASE side WHEN 'buy' THEN 'B' WHEN 'sell' THEN 'S' ELSE '0' END ELSE '0' END
            ELSE '0' END, ''),
       string_agg(source, E'\n'), string_agg(trade_id, E'\n'), string_agg(leg::text, ','), string_agg(version::text, ','),
       string_agg(coalesce(ts, 0)::text, ','), string_agg(source_seq::text, ','), string_agg(instrument, E'\n'),
       string_agg(desk, E'\n'), string_agg(dealer, E'\n'), string_agg(coalesce(quantity, 0)::text, ' '),
       string_agg(coalesce(price, 0)::text, ' '), string_agg(fees::text, ' '), string_agg(fees_currency, E'\n'),
       string_agg(value_date, E'\n'), string_agg(trade_date, E'\n'), string_agg(coalesce(booked_ts::text, ''), ','),
       string_agg(received_ts::text, ',')
FROM (SELECT * FROM trades WHERE store_seq > %(after)s AND store_seq <= %(up_to)s ORDER BY store_seq) AS page
